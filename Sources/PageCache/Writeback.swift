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
public import BlockDevice
internal import Reactor

/// Map once, keep the extent with its cookie, compare before dispatch: what this file is about.
public struct CookiePolicy: WritebackPolicy {
  /// The policy.
  public init() {}
  public func write(
    _ page: Page, _ pass: inout Writeback.Pass, _ writeback: Writeback
  ) async throws(PageCacheError) {
    guard let plan = try await writeback.plan(page, pass) else { return }
    let request = try await writeback.admit()
    if writeback.switchedOff.contains(.oneStepDispatch) {
      await writeback.validateThenDispatch(plan, request, &pass)
    } else {
      writeback.validateAndDispatch(plan, request, &pass)
    }
  }
}

/// Writes the dirty pages of one cache. Confined to its reactor.
public final class Writeback {
  unowned let cache: PageCache
  /// What was done so far.
  public internal(set) var counters = WritebackCounters()
  /// The most pages of a batch: the option, or what the device takes at once.
  public let batchPageLimit: Int
  fileprivate let switchedOff: SwitchedOffRules
  let background: BackgroundWriteback
  /// The page whose failure left nothing that can be written.
  var firstStuck = (owner: UInt64(0), page: PageIndex(0))

  init(_ cache: PageCache) {
    self.cache = cache
    let geometry = cache.queue.geometry
    let bytes = min(cache.configuration.batchByteCount, geometry.maximumTransfer)
    batchPageLimit = max(1, bytes / cache.pageByteCount)
    switchedOff = cache.configuration.switchedOff
    background = BackgroundWriteback(cache)
  }

  /// One ascending walk over the dirty pages of a file.
  public struct Pass {
    /// The file's pages.
    public let space: AddressSpace
    /// It looks at no page before this one any more.
    public internal(set) var cursor = PageIndex(0)
    /// For fsync: only pages that became dirty before this count of calls.
    var horizon: UInt64?
    /// Pages to dispatch at most.
    var limit = Int.max
    /// Background writeback may leave the short end of a growing file for later; and it has.
    var mayWaitForMore = false
    var waitsForMore = false
    var dispatched = 0
  }

  // MARK: Which pages

  /// Whether a write of it is queued or in flight: then it gets no other one.
  private func isInFlight(_ page: Page) -> Bool { page.isUnderWriteback && !switchedOff.contains(.oneWriteAPage) }

  /// Whether a pass takes this page: dirty, inside the file, and not one that the pass must leave alone.
  private func isWanted(_ page: Page, _ pass: Pass) -> Bool {
    guard page.isDirty, page.index < pass.space.endIndex, !page.isTimedOut else { return false }
    if let horizon = pass.horizon {
      if switchedOff.contains(.pageIsTriedOnce) { return page.dirtiedAt < horizon }
      return page.dirtiedAt < horizon && !(page.isFailed && page.attemptedAt >= horizon)
    }
    return !isInFlight(page) && (!page.isFailed || page.retryAt <= cache.reactor.now)
  }

  /// The next page of a pass; for fsync it may be under writeback still.
  func nextPage(_ pass: Pass) -> Page? {
    var index = pass.cursor
    while let page = pass.space.pages.firstDirty(from: index) {
      if isWanted(page, pass) { return page }
      // A walk of background writeback learns when those are due that it leaves alone.
      if page.isFailed && pass.horizon == nil { pass.space.noteRetry(at: page.retryAt) }
      index = page.index + 1
    }
    return nil
  }

  /// Whether `page` begins a short batch at the end of a file that may yet grow: an earlier batch is at the device still, or
  /// there was more since background writeback last came here. An appender that it keeps up with would otherwise get as
  /// many batches as it makes calls. (RFC 896 does the like to small packets.)
  private func waitsForMore(_ page: Page, _ pass: Pass) -> Bool {
    let space = pass.space
    let count = space.endIndex.distance(from: page.index)
    guard pass.mayWaitForMore, count < batchPageLimit, run(from: page.index, to: space.endIndex, pass) == count else {
      return false
    }
    defer { space.seenEnd = space.endIndex }
    return space.endIndex > space.seenEnd || space.awaitsBatch
  }

  // MARK: A pass

  /// Dispatches the pages of a pass. Returns when they are queued, not when they are written.
  func write(_ pass: inout Pass) async {
    while pass.dispatched < pass.limit, let page = nextPage(pass) {
      if waitsForMore(page, pass) {
        pass.waitsForMore = true
        return
      }
      if isInFlight(page) {
        if switchedOff.contains(.fsyncWaitsForWriteback) {
          pass.cursor = page.index + 1
          continue
        }
        // Waited out holding nothing: no admission, no plan.
        await page.waitForChange(cache.reactor)
        continue
      }
      do throws(PageCacheError) {
        try await cache.configuration.policy.write(page, &pass, self)
      } catch {
        cannotBeMapped(page, of: pass.space, error)
        pass.cursor = page.index + 1
      }
    }
  }

  // MARK: Plan

  /// Finds contiguous dirty pages from `page` on and where they live. Nil when the page went while it looked.
  public func plan(_ page: Page, _ pass: Pass) async throws(PageCacheError) -> Plan? {
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
      if cookie.isCurrent(mapper), let page = space.pages[index], isWanted(page, pass), !isInFlight(page) {
        throw .unmapped(owner: space.owner, page: index)
      }
      return nil
    }
  }

  private func isCollectable(_ page: Page, _ pass: Pass) -> Bool {
    isWanted(page, pass) && !isInFlight(page) && !page.mustGoAlone && !page.isFailed
  }

  /// How many pages from `first` on may go in one batch, before `end`.
  private func run(from first: PageIndex, to end: PageIndex, _ pass: Pass) -> Int {
    guard let page = pass.space.pages[first], isWanted(page, pass), !isInFlight(page) else { return 0 }
    if page.mustGoAlone || page.isFailed { return 1 }
    let limit = min(batchPageLimit, end.distance(from: first))
    return 1 + pass.space.pages.runLength(from: first + 1, limit: limit - 1) { isCollectable($0, pass) }
  }

  // MARK: Admit

  /// Waits for a place in the device's queue. The world may change here. The place is used or given back in the step that
  /// receives it.
  public func admit() async throws(PageCacheError) -> Request { try await cache.admit(.writeback) }

  // MARK: Validate and dispatch: one step

  /// The comparison that all of this is about; experiments leave it out, here and nowhere else.
  private func isCurrent(_ cookie: ValidityCookie, _ mapper: any BlockMapper) -> Bool {
    if switchedOff.contains(.cookieHasAllBits) {
      return UInt8(truncatingIfNeeded: cookie.blockSequence) == UInt8(truncatingIfNeeded: mapper.blockSequence)
    }
    return cache.configuration.ignoresCookie || switchedOff.contains(.cookieComparison) || cookie.isCurrent(mapper)
  }

  private func isValid(_ plan: Plan, _ space: AddressSpace) -> Bool { isCurrent(plan.cookie, space.mapper) }

  /// What the mutant does that suspends between validation and dispatch.
  fileprivate func validateThenDispatch(_ plan: Plan, _ request: Request, _ pass: inout Pass) async {
    if isValid(plan, pass.space) {
      await cache.reactor.pass()
      dispatch(plan, request, &pass)
    } else {
      validateAndDispatch(plan, request, &pass)
    }
  }

  /// Dispatches a batch whose cookie is current. A stale one is discarded and planned again at once from what is in
  /// memory, with the same admission: so an admission costs at most one discard, and a steady appender cannot starve
  /// writeback.
  public func validateAndDispatch(_ plan: Plan, _ request: Request, _ pass: inout Pass) {
    if isValid(plan, pass.space) {
      dispatch(plan, request, &pass)
      return
    }
    discard(plan, pass)
    guard !switchedOff.contains(.stalePlanKeepsPlace),
      case .plan(let again) = planFromMemory(from: plan.first, pass, limit: batchPageLimit)
    else {
      if !switchedOff.contains(.placeIsGivenBack) { cache.queue.giveBack(request) }
      return
    }
    dispatch(again, request, &pass)
  }

  private func discard(_ plan: Plan, _ pass: Pass) {
    let space = pass.space, isAfterFree = plan.cookie.freeSequence != space.mapper.freeSequence
    counters.staleBatches += 1
    if isAfterFree {
      counters.staleAfterFree += 1
    } else {
      counters.staleAfterAllocation += 1
    }
    cache.reactor.onTrace?(
      TraceEvent(
        .batch, .instant, 0, "stale: file \(space.owner) pages \(plan.first.rawValue) +\(plan.count)",
        details: [
          "block": "\(plan.block.rawValue)", "cookie": "\(plan.cookie.blockSequence)",
          "after": isAfterFree ? "a free" : "an allocation",
        ]))
    for index in 0..<plan.count {
      guard let page = space.pages[plan.first + index], isWanted(page, pass), !isInFlight(page) else { continue }
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
      pages.isEmpty ? isWanted(page, pass) && !isInFlight(page) : isCollectable(page, pass),
      unsafe request.append(Segment(base: page.memory, byteCount: size))
    {
      pages.append(page)
      if page.mustGoAlone || page.isFailed { break }
    }
    guard !pages.isEmpty else {
      if !switchedOff.contains(.placeIsGivenBack) { cache.queue.giveBack(request) }
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
    batch.traceBegin(plan)
    count(pages.count)
    pass.dispatched += pages.count
    pass.cursor = plan.first + pages.count
    cache.queue.submit(request, handler: batch)
  }

  private func beginWriteback(_ page: Page, of space: AddressSpace) {
    page.dispatchedDirtiedAt = page.dirtiedAt
    page.dispatchedDirtySince = page.dirtySince
    page.attemptedAt = cache.flushCalls
    space.clearDirty(page)
    page.isUnderWriteback = true
    if switchedOff.contains(.budgetUntilWritten) { cache.budget.release(space.takeBudget(page)) }
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
    let magnitude = 63 - max(1, bytes).leadingZeroBitCount
    while counters.batchSizes.count <= magnitude { counters.batchSizes.append(0) }
    counters.batchSizes[magnitude] += 1
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
    guard let page = nextPage(search), !isInFlight(page) else { return .nothing }
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

  /// Plans from the pass's next page on, what is in memory alone, and dispatches it, in one step: at most `limit` pages.
  /// Returns the page whose pointer block is not in memory when that is what it takes; the admission is given back then.
  public func planAndDispatch(_ request: Request, _ pass: inout Pass, limit: Int) -> Page? {
    switch planFromMemory(from: pass.cursor, pass, limit: min(limit, batchPageLimit)) {
    case .plan(let plan): dispatch(plan, request, &pass)
    case .nothing: cache.queue.giveBack(request)
    case .unmapped(let page):
      cache.queue.giveBack(request)
      cannotBeMapped(page, of: pass.space, .unmapped(owner: pass.space.owner, page: page.index))
    case .needsRead(let page):
      cache.queue.giveBack(request)
      return page
    }
    return nil
  }
}
