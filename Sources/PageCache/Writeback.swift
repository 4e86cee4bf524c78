// Writeback: dirty pages go to their blocks in batches.
//
//   plan ──────────> admit ──────────────> validate and dispatch ──────> complete
//   dirty pages,     a place in the        ONE STEP: compare the         pages clean, or
//   one extent,      queue; the world      cookie, look each page        dirty again
//   its cookie       may change here       up again, queue the write
//                                             │ stale
//                                             └─> discard the batch, plan again from what is cached
//
// A mapping is cached across pages because looking each page up costs CPU and, where a pointer block is not in memory, a
// read. What makes that safe is the cookie: see ValidityCookie.
internal import BlockDevice
internal import Reactor

/// How writeback finds the blocks of what it writes.
public enum WritebackPolicyName: String, Sendable, CaseIterable {
  /// Map once, keep the extent with its cookie, compare before dispatch.
  case cookie
  /// Map each page when it is written; no batches but those that the queue merges.
  case perPage = "per-page"
  /// Take the place in the queue first, then plan and dispatch in one step.
  case admitFirst = "admit-first"
}

/// What writeback has done since the cache was made.
public struct WritebackCounters: Equatable, Sendable {
  /// Nothing yet.
  public init() {}
  /// Batches dispatched.
  public var batches: UInt64 = 0
  /// Pages in them.
  public var pages: UInt64 = 0
  /// Bytes in them.
  public var bytes: UInt64 = 0
  /// Bytes of the largest.
  public var largestBatchBytes: UInt64 = 0
  /// Lookups of extents.
  public var lookups: UInt64 = 0
  /// Batches discarded because their cookie was stale.
  public var staleBatches: UInt64 = 0
  /// Those of them where a block of the inode had been freed since the sample.
  public var staleAfterFree: UInt64 = 0
  /// Those of them where blocks had been allocated only.
  public var staleAfterAllocation: UInt64 = 0
  /// Pages of discarded batches that were still dirty and in the file: they were planned again.
  public var replannedPages: UInt64 = 0
}

/// Writes the dirty pages of one cache. Confined to its reactor.
public final class Writeback {
  unowned let cache: PageCache
  /// What was done so far.
  public internal(set) var counters = WritebackCounters()
  let batchPageLimit: Int
  private let switchedOff: SwitchedOffRules
  let background: BackgroundWriteback
  /// The page whose failure left nothing that can be written.
  private(set) var firstStuck = (owner: UInt64(0), page: PageIndex(0))

  init(_ cache: PageCache) {
    self.cache = cache
    let geometry = cache.queue.geometry
    let bytes = min(cache.configuration.batchByteCount, geometry.maximumTransfer)
    batchPageLimit = max(1, bytes / cache.pageByteCount)
    switchedOff = cache.configuration.switchedOff
    background = BackgroundWriteback(cache)
  }

  /// One ascending walk over the dirty pages of a file.
  struct Pass {
    let space: AddressSpace
    var cursor = PageIndex(0)
    /// For fsync: only pages that became dirty before this count of calls.
    var horizon: UInt64?
    /// Pages to dispatch at most.
    var limit = Int.max
    var dispatched = 0
  }

  // MARK: Which pages

  /// Whether a pass takes this page: dirty, inside the file, and not one that the pass must leave alone.
  private func isWanted(_ page: Page, _ pass: Pass) -> Bool {
    guard page.isDirty, page.index < pass.space.endIndex, !page.isTimedOut else { return false }
    if let horizon = pass.horizon {
      return page.dirtiedAt < horizon && !(page.isFailed && page.attemptedAt >= horizon)
    }
    return !page.isUnderWriteback && (!page.isFailed || page.retryAt <= cache.reactor.now)
  }

  /// The next page of a pass; for fsync it may be under writeback still.
  func nextPage(_ pass: Pass) -> Page? {
    var index = pass.cursor
    while let page = pass.space.pages.firstDirty(from: index) {
      if isWanted(page, pass) { return page }
      index = page.index + 1
    }
    return nil
  }

  // MARK: A pass

  /// Dispatches the pages of a pass. Returns when they are queued, not when they are written.
  func write(_ pass: inout Pass) async {
    while pass.dispatched < pass.limit, let page = nextPage(pass) {
      if page.isUnderWriteback {
        if switchedOff.contains(.fsyncWaitsForWriteback) {
          pass.cursor = page.index + 1
          continue
        }
        // Waited out holding nothing: no admission, no plan.
        await page.waitForChange(cache.reactor)
        continue
      }
      do throws(PageCacheError) {
        switch cache.configuration.policy {
        case .cookie: try await writeByCookie(page, &pass)
        case .admitFirst: try await writeAdmittedFirst(page, &pass, limit: batchPageLimit)
        case .perPage: try await writeAdmittedFirst(page, &pass, limit: 1)
        }
      } catch {
        cannotBeMapped(page, of: pass.space, error)
        pass.cursor = page.index + 1
      }
    }
  }

  // MARK: Policy: cookie

  private func writeByCookie(_ page: Page, _ pass: inout Pass) async throws(PageCacheError) {
    guard let plan = try await plan(page, pass) else { return }
    let request = try await cache.admit(.writeback)
    if switchedOff.contains(.oneStepDispatch), isValid(plan, pass.space) {
      await cache.reactor.pass()
      dispatch(plan, request, &pass)
    } else {
      validateAndDispatch(plan, request, &pass)
    }
  }

  /// Finds contiguous dirty pages from `page` on and where they live. Nil when the page went while it looked.
  private func plan(_ page: Page, _ pass: Pass) async throws(PageCacheError) -> Plan? {
    let space = pass.space
    guard let extent = try await extent(at: page.index, pass) else { return nil }
    var count = run(from: page.index, to: extent.end, pass)
    // A batch may cross from one extent to the next when both are contiguous and as old.
    while count > 0, count < batchPageLimit, page.index + count == space.cachedExtent?.end ?? extent.end,
      let next = space.pages[page.index + count], isCollectable(next, pass)
    {
      // What is wrong further on is reported when its own turn comes.
      guard let further = try? await self.extent(at: next.index, pass),
        further.cookie == extent.cookie, further.block(of: next.index) == extent.block(of: page.index) + count
      else { break }
      let more = run(from: next.index, to: further.end, pass)
      if more == 0 { break }
      count += more
    }
    guard count > 0 else { return nil }
    return Plan(
      first: page.index, count: min(count, batchPageLimit), block: extent.block(of: page.index), cookie: extent.cookie)
  }

  /// The cached extent if it covers `index` and is current; else a new one, looked up. Nil when the page went.
  private func extent(at index: PageIndex, _ pass: Pass) async throws(PageCacheError) -> MappedExtent? {
    let space = pass.space, mapper = space.mapper
    if let cached = space.cachedExtent, cached.covers(index) {
      if isCurrent(cached.cookie, mapper) { return cached }
      if switchedOff.contains(.oldCookieOfCachedExtent) {
        return MappedExtent(
          index: cached.index, block: cached.block, count: cached.count, cookie: ValidityCookie(sampling: mapper))
      }
    }
    counters.lookups += 1
    var cookie = ValidityCookie(sampling: mapper)
    let mapping = try await mapper.lookUp(index, limit: Int.max)
    if switchedOff.contains(.sampleBeforeLookup) {
      await cache.reactor.pass()
      cookie = ValidityCookie(sampling: mapper)
    }
    switch mapping {
    case .mapped(let block, let count):
      let extent = MappedExtent(index: index, block: block, count: count, cookie: cookie)
      space.cachedExtent = extent
      return extent
    case .hole:
      // A dirty page always has a block: unless the tree changed meanwhile, this is corruption.
      if cookie.isCurrent(mapper), let page = space.pages[index], isWanted(page, pass), !page.isUnderWriteback {
        throw .unmapped(owner: space.owner, page: index)
      }
      return nil
    }
  }

  private func isCollectable(_ page: Page, _ pass: Pass) -> Bool {
    isWanted(page, pass) && !page.isUnderWriteback && !page.mustGoAlone && !page.isFailed
  }

  /// How many pages from `first` on may go in one batch, before `end`.
  private func run(from first: PageIndex, to end: PageIndex, _ pass: Pass) -> Int {
    guard let page = pass.space.pages[first], isWanted(page, pass), !page.isUnderWriteback else { return 0 }
    if page.mustGoAlone || page.isFailed { return 1 }
    let limit = min(batchPageLimit, end.distance(from: first))
    return 1 + pass.space.pages.runLength(from: first + 1, limit: limit - 1) { isCollectable($0, pass) }
  }

  // MARK: Validate and dispatch: one step

  /// The comparison that all of this is about; experiments leave it out, here and nowhere else.
  private func isCurrent(_ cookie: ValidityCookie, _ mapper: any BlockMapper) -> Bool {
    cookie.isCurrent(mapper) || cache.configuration.ignoresCookie || switchedOff.contains(.cookieComparison)
  }

  private func isValid(_ plan: Plan, _ space: AddressSpace) -> Bool { isCurrent(plan.cookie, space.mapper) }

  /// Dispatches a batch whose cookie is current. A stale one is discarded and planned again at once from what is in
  /// memory, with the same admission: so an admission costs at most one discard, and a steady appender cannot starve
  /// writeback.
  private func validateAndDispatch(_ plan: Plan, _ request: Request, _ pass: inout Pass) {
    if isValid(plan, pass.space) {
      dispatch(plan, request, &pass)
      return
    }
    discard(plan, pass)
    guard case .plan(let again) = planFromMemory(from: plan.first, pass, limit: batchPageLimit) else {
      cache.queue.giveBack(request)
      return
    }
    dispatch(again, request, &pass)
  }

  private func discard(_ plan: Plan, _ pass: Pass) {
    let space = pass.space
    counters.staleBatches += 1
    if plan.cookie.freeSequence != space.mapper.freeSequence {
      counters.staleAfterFree += 1
    } else {
      counters.staleAfterAllocation += 1
    }
    for index in 0..<plan.count {
      guard let page = space.pages[plan.first + index], isWanted(page, pass), !page.isUnderWriteback else { continue }
      counters.replannedPages += 1
      if switchedOff.contains(.staleIsPlannedAgain) {
        space.clearDirty(page)
        cache.budget.release(space.takeBudget(page))
        cache.touch(page)
      }
    }
  }

  /// Queues one write for the pages of a plan that are still there, dirty and not under writeback.
  private func dispatch(_ plan: Plan, _ request: Request, _ pass: inout Pass) {
    let space = pass.space
    let size = cache.pageByteCount
    request.prepare(.write, at: plan.block.rawValue &* UInt64(size))
    var pages: [Page] = []
    pages.reserveCapacity(plan.count)
    while pages.count < plan.count, let page = space.pages[plan.first + pages.count],
      pages.isEmpty ? isWanted(page, pass) && !page.isUnderWriteback : isCollectable(page, pass),
      unsafe request.append(Segment(base: page.memory, byteCount: size))
    {
      pages.append(page)
      if page.mustGoAlone || page.isFailed { break }
    }
    guard !pages.isEmpty else {
      cache.queue.giveBack(request)
      return
    }
    for page in pages { beginWriteback(page, of: space) }
    let batch = WriteBatch(space, pages)
    space.batchesInFlight.append(batch)
    request.owner = space.owner
    request.ownerPage = plan.first.rawValue
    request.isFileData = true
    // A page that is to be written alone must not share its fate with a neighbour's request either.
    request.mayMerge = !pages[0].mustGoAlone && !pages[0].isFailed
    request.context = batch
    count(pages.count)
    pass.dispatched += pages.count
    pass.cursor = plan.first + pages.count
    cache.queue.submit(request, handler: batch)
  }

  private func beginWriteback(_ page: Page, of space: AddressSpace) {
    page.dispatchedDirtiedAt = page.dirtiedAt
    page.attemptedAt = cache.flushCalls
    space.clearDirty(page)
    page.isUnderWriteback = true
    // What lies past the end of the file never reaches the disk other than as zeroes.
    let start = page.index.rawValue &* UInt64(page.byteCount)
    if start &+ UInt64(page.byteCount) > space.fileByteCount { page.zero(from: Int(space.fileByteCount - start)) }
  }

  private func count(_ pages: Int) {
    let bytes = UInt64(pages * cache.pageByteCount)
    counters.batches += 1
    counters.pages += UInt64(pages)
    counters.bytes += bytes
    counters.largestBatchBytes = max(counters.largestBatchBytes, bytes)
  }

  // MARK: Planning in one step

  private enum StepPlan {
    case plan(Plan)
    case nothing
    case needsRead(Page)
    case unmapped(Page)
  }

  /// Plans from what is in memory, in one step, so that what it finds is true now.
  private func planFromMemory(from index: PageIndex, _ pass: Pass, limit: Int) -> StepPlan {
    let space = pass.space
    var search = pass
    search.cursor = index
    guard let page = nextPage(search), !page.isUnderWriteback else { return .nothing }
    counters.lookups += 1
    let cookie = ValidityCookie(sampling: space.mapper)
    guard let mapping = space.mapper.lookUpCached(page.index, limit: Int.max) else { return .needsRead(page) }
    guard case .mapped(let block, let mappedCount) = mapping else { return .unmapped(page) }
    if limit > 1 {
      space.cachedExtent = MappedExtent(index: page.index, block: block, count: mappedCount, cookie: cookie)
    }
    var count = min(limit, run(from: page.index, to: page.index + mappedCount, pass))
    var end = page.index + mappedCount
    while count < limit, page.index + count == end, let next = space.pages[end], isCollectable(next, pass) {
      counters.lookups += 1
      guard case .mapped(let further, let more)? = space.mapper.lookUpCached(end, limit: Int.max),
        further == block + count
      else { break }
      count = min(limit, count + run(from: end, to: end + more, pass))
      end = end + more
    }
    return .plan(Plan(first: page.index, count: count, block: block, cookie: cookie))
  }

  // MARK: Policies: admit-first and per-page

  private func writeAdmittedFirst(_ page: Page, _ pass: inout Pass, limit: Int) async throws(PageCacheError) {
    let request = try await cache.admit(.writeback)
    switch planFromMemory(from: pass.cursor, pass, limit: limit) {
    case .plan(let plan): dispatch(plan, request, &pass)
    case .nothing: cache.queue.giveBack(request)
    case .unmapped(let page):
      cache.queue.giveBack(request)
      cannotBeMapped(page, of: pass.space, .unmapped(owner: pass.space.owner, page: page.index))
    case .needsRead(let page):
      cache.queue.giveBack(request)
      _ = try await pass.space.mapper.lookUp(page.index, limit: 1)
    }
  }

  // MARK: Failures

  /// A page whose block cannot be found fails alone, and the pass goes on; unless it went meanwhile.
  private func cannotBeMapped(_ page: Page, of space: AddressSpace, _ error: PageCacheError) {
    guard page.isAttached && page.isDirty && !page.isUnderWriteback else { return }
    page.dispatchedDirtiedAt = page.dirtiedAt
    page.attemptedAt = cache.flushCalls
    becameFailed(page, of: space, error)
  }

  /// Remembers the page whose failure, or whose deadline, comes first of those that cannot be written now.
  func noteStuck(_ page: Page, of space: AddressSpace) {
    if cache.budget.stuck == 0 { firstStuck = (space.owner, page.index) }
  }

  /// A page's write failed when it was alone. It stays dirty, and background writeback leaves it alone for a while:
  /// one second, then twice as long each time, a minute at most.
  func becameFailed(_ page: Page, of space: AddressSpace, _ error: PageCacheError) {
    noteStuck(page, of: space)
    page.mustGoAlone = false
    page.retryDelayNanoseconds = min(max(1_000_000_000, page.retryDelayNanoseconds * 2), 60_000_000_000)
    page.retryAt = cache.reactor.now.advanced(byNanoseconds: page.retryDelayNanoseconds)
    space.setFailed(page, true)
    space.report(page, error, dirtiedAt: page.dispatchedDirtiedAt)
    kick()
  }

  /// What the mutant does that retries where the batch went, without a plan.
  func retryOutsideThePlan(_ page: Page, of space: AddressSpace, near first: PageIndex) {
    guard let extent = space.cachedExtent, extent.covers(page.index), let request = cache.queue.admitNow(.writeback)
    else { return }
    request.prepare(.write, at: extent.block(of: page.index).rawValue &* UInt64(cache.pageByteCount))
    _ = unsafe request.append(Segment(base: page.memory, byteCount: cache.pageByteCount))
    page.isUnderWriteback = true
    let batch = WriteBatch(space, [page])
    space.batchesInFlight.append(batch)
    request.owner = space.owner
    request.ownerPage = page.index.rawValue
    request.isFileData = true
    request.context = batch
    cache.queue.submit(request, handler: batch)
  }
}
