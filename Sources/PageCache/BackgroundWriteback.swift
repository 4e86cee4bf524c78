internal import DequeModule
internal import Reactor

/// Decides when dirty pages are written though nobody calls fsync: above the background threshold, when a writer waits,
/// when a page has been dirty for long, and when a failed page is due again.
final class BackgroundWriteback {
  private unowned let cache: PageCache
  private let work: WaitQueue
  private var spaces = Deque<AddressSpace>()
  private var isStopping = false
  private var isKicked = false
  private var isRunning = false
  private let ended: WaitQueue
  /// Pages one visit of a file may dispatch, so that several files take turns.
  private let chunk: Int

  init(_ cache: PageCache) {
    self.cache = cache
    work = WaitQueue(cache.reactor, "work for background writeback")
    ended = WaitQueue(cache.reactor, "the end of background writeback")
    chunk = max(64, (4 << 20) / cache.pageByteCount)
  }

  func list(_ space: AddressSpace) {
    // After `stop` nobody would take it out again: a write past its deadline may fail when the volume is no more.
    guard !space.isListedDirty, !isStopping else { return }
    space.isListedDirty = true
    space.dirtySince = cache.reactor.now
    spaces.append(space)
    kickIfNeeded()
  }

  func kick() {
    isKicked = true
    work.wakeAll()
  }
  func kickIfNeeded() {
    if cache.budget.used > cache.backgroundPageCount || spaces.count == 1 { kick() }
  }

  private var isPressed: Bool {
    cache.budget.used > cache.backgroundPageCount || cache.budget.hasWaiters || !cache.arena.waiters.isEmpty
  }

  /// Runs until `stop`.
  func run() async {
    isRunning = true
    while !isStopping {
      isKicked = false
      let wrote = await writeRound()
      if wrote || isKicked || isStopping { continue }
      if let deadline = nextDeadline() {
        _ = await work.waitInterruptibly(until: deadline)
      } else {
        await work.wait()
      }
    }
    isRunning = false
    ended.wakeAll()
  }

  /// Visits each listed file once. Returns whether anything was dispatched, or is to be looked at again.
  private func writeRound() async -> Bool {
    var wrote = false
    for _ in 0..<spaces.count {
      guard !isStopping, let space = spaces.popFirst() else { break }
      let isRetryDue = space.retryAt.map { $0 <= cache.reactor.now } ?? false
      if isRetryDue {
        space.retryAt = nil
        space.backgroundCursor = PageIndex(0)
      }
      if isPressed || isExpired(space) || space.hasRetries || isRetryDue {
        var pass = Writeback.Pass(space: space, cursor: space.backgroundCursor, limit: chunk)
        pass.mayWaitForMore = !isExpired(space) && !space.hasRetries && !isRetryDue
        space.hasRetries = false
        await cache.writeback.write(&pass)
        if pass.dispatched > 0 { wrote = true }
        // At the end of the file the next visit begins anew.
        let isAtEnd = pass.dispatched < chunk
        if isAtEnd && space.backgroundCursor.rawValue > 0 && pass.dispatched == 0 { wrote = true }
        space.backgroundCursor = isAtEnd ? PageIndex(0) : pass.cursor
        space.waitsForMore = pass.waitsForMore
        if isAtEnd && !pass.waitsForMore { space.dirtySince = cache.reactor.now }
        if !isAtEnd && isRetryDue { space.hasRetries = true }
        // The end of one batch brings us back; without any at the device it is the next turn.
        if pass.waitsForMore && !space.awaitsBatch {
          await cache.reactor.pass()
          wrote = true
        }
      }
      if space.dirtyCount > 0 { spaces.append(space) } else { space.isListedDirty = false }
    }
    return wrote
  }

  private func isExpired(_ space: AddressSpace) -> Bool {
    space.dirtySince.advanced(byNanoseconds: cache.configuration.expiryNanoseconds) <= cache.reactor.now
  }

  /// When the next page expires or a failed one is due; nil when nothing is dirty.
  private func nextDeadline() -> Instant? {
    guard let first = spaces.map(\.dirtySince).min() else { return nil }
    let expiry = first.advanced(byNanoseconds: cache.configuration.expiryNanoseconds)
    let retry = spaces.compactMap(\.retryAt).min() ?? expiry
    return max(min(expiry, retry), cache.reactor.now.advanced(byNanoseconds: 1))
  }

  /// Ends `run`, waits for its end, and lets go of the files.
  func stop() async {
    isStopping = true
    kick()
    while isRunning { await ended.wait() }
    // The list holds the files, and they hold the cache; also where nobody has ever called `run`.
    while let space = spaces.popFirst() { space.isListedDirty = false }
  }
}

extension Writeback {
  /// Writes dirty pages as they come, until `stopBackground`. To be run as a task of the volume.
  public func runBackground() async { await background.run() }
  /// Ends `runBackground` and waits for its end.
  public func stopBackground() async { await background.stop() }
  /// Makes background writeback look for work.
  public func kick() { background.kick() }

  /// A batch is complete, or past its deadline: nobody waits for that one any longer.
  func batchEnded(failed: Bool, of space: AddressSpace) {
    if failed || cache.budget.hasWaiters || (space.waitsForMore && !space.awaitsBatch) { kick() }
  }
}
