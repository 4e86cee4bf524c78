// The page cache of one volume: its memory, its limits, and which pages leave.
//
// Limits: `pageCount` pages in all, `dirtyLimit` of them dirty or under writeback. When no frame is free, the clean page
// that was used longest ago leaves; when there is none, whoever wants a page waits for one.
public import BlockDevice
public import Reactor

/// How much a page cache may hold and when it writes.
public struct PageCacheConfiguration: Sendable {
  /// Bytes of all pages.
  public var cacheByteCount = 64 << 20
  /// Bytes of dirty pages at which writers wait; nil: half of the cache.
  public var dirtyLimitByteCount: Int?
  /// Bytes of dirty pages at which background writeback begins; nil: half of the dirty limit.
  public var backgroundByteCount: Int?
  /// The most bytes of one write batch; the device's limits may be smaller.
  public var batchByteCount = 1 << 20
  /// How writeback finds the blocks of what it writes.
  public var policy: any WritebackPolicy = CookiePolicy()
  /// For experiments: dispatch batches without comparing their cookie. It loses data.
  public var ignoresCookie = false
  /// Mark pages clean when their write failed, as Linux does, instead of keeping them dirty.
  public var marksFailedPagesClean = false
  /// After how many nanoseconds background writeback writes a dirty page, whatever the thresholds say.
  public var expiryNanoseconds: UInt64 = 30_000_000_000
  /// Mutants of the test suite.
  public var switchedOff: SwitchedOffRules = []
  /// The defaults.
  public init() {}
}

/// All cached pages of one volume. Confined to its reactor.
public final class PageCache {
  /// The reactor everything runs on.
  public let reactor: Reactor
  /// The queue pages are read and written through.
  public let queue: RequestQueue
  /// The limits and options.
  public let configuration: PageCacheConfiguration
  /// Bytes of a page: the file system's block size.
  public let pageByteCount: Int
  let pageByteCountLog2: Int
  /// Writes dirty pages.
  public private(set) var writeback: Writeback!
  /// The most pages there are.
  public var pageCount: Int { arena.count }
  /// The most pages that may be dirty or under writeback before writers wait.
  public var dirtyLimit: Int { budget.limit }
  /// Pages that are dirty or under writeback now.
  public var dirtyCount: Int { budget.used }

  /// Pages that were wanted for reading, or to change a part of them.
  public internal(set) var counters = CacheCounters()
  /// How long pages are dirty.
  public let durability = DurabilityClock()

  let arena: FrameArena
  let budget: DirtyBudget
  let backgroundPageCount: Int
  let clean: CleanList
  /// Counts calls of fsync: a page dirtied after a call is none of its business.
  var flushCalls: UInt64 = 0

  /// A cache for pages of `pageByteCount` bytes. Needs room for at least 16 pages.
  public init(
    reactor: Reactor, queue: RequestQueue, pageByteCount: Int,
    configuration: PageCacheConfiguration = PageCacheConfiguration()
  ) {
    self.reactor = reactor
    self.queue = queue
    self.configuration = configuration
    precondition(pageByteCount.nonzeroBitCount == 1, "pages have a power of two of bytes")
    self.pageByteCount = pageByteCount
    pageByteCountLog2 = pageByteCount.trailingZeroBitCount
    let pages = max(16, configuration.cacheByteCount / pageByteCount)
    arena = FrameArena(reactor, frameByteCount: pageByteCount, count: pages)
    clean = CleanList(frameCount: pages)
    let dirtyBytes = configuration.dirtyLimitByteCount ?? configuration.cacheByteCount / 2
    let reservedFrames = configuration.switchedOff.contains(.framesAreReserved) ? 0 : 4
    let limit = min(max(8, dirtyBytes / pageByteCount), pages - reservedFrames)
    budget = DirtyBudget(reactor, limit: limit)
    backgroundPageCount = configuration.backgroundByteCount.map { $0 / pageByteCount } ?? limit / 2
    writeback = Writeback(self)
    budget.onWait = { [unowned self] in writeback.kick() }
  }

  // MARK: Budget

  /// The most pages one operation may reserve at once: a quarter of the dirty limit.
  public var largestReservation: Int { max(1, budget.limit / 4) }

  /// Waits for the right to dirty `count` pages. To be called before any inode lock is held; `releaseDirty` ends it.
  public func reserveDirty(_ count: Int) async throws(PageCacheError) {
    // A writer in memory never suspends and would run on to the limit while the device has nothing to do. So while
    // writeback is due each piece of a write costs a turn (mm/page-writeback.c, balance_dirty_pages, paces writers).
    if budget.used > backgroundPageCount { await reactor.pass() }
    guard await budget.reserve(count) else {
      throw .stuck(owner: writeback.firstStuck.owner, page: writeback.firstStuck.page)
    }
  }
  /// As `reserveDirty`, without suspending; false, with nothing reserved, where that would have to wait or to pace.
  public func reserveDirtyNow(_ count: Int) -> Bool {
    budget.used <= backgroundPageCount && budget.reserveNow(count)
  }
  /// Ends a reservation: gives back what the step did not use, and lets background writeback look at what it did.
  public func releaseDirty(_ unusedCount: Int) {
    if unusedCount > 0 { budget.release(unusedCount) }
    writeback.background.kickIfNeeded()
  }

  /// A place in the device's queue. Throws when none may ever come back.
  func admit(_ admissionClass: AdmissionClass = .ordinary) async throws(PageCacheError) -> Request {
    let admissionClass = configuration.switchedOff.contains(.writebackHasPlaces) ? .ordinary : admissionClass
    do { return try await queue.admit(admissionClass) } catch { throw .device(error) }
  }

  // MARK: Frames

  /// A frame, if possible right after `previous`, waiting for a page to leave if need be. Throws when none has come for
  /// as long as a request may take, and something is past its deadline: a page keeps its frame until the device lets go.
  func obtainFrame(after previous: Int?) async throws(PageCacheError) -> Int {
    var deadline: Instant?
    while true {
      if let frame = obtainFrameNow(after: previous) { return frame }
      if let passed = deadline, passed <= reactor.now, let error = queue.timedOut { throw .device(error) }
      writeback.kick()
      guard let timeout = queue.configuration.timeoutNanoseconds else {
        await arena.waiters.wait()
        continue
      }
      let end = deadline.flatMap { $0 > reactor.now ? $0 : nil } ?? reactor.now.advanced(byNanoseconds: timeout)
      deadline = end
      await arena.waiters.wait(until: end)
    }
  }

  /// A frame without waiting; nil when all are taken and none of their pages may leave.
  func obtainFrameNow(after previous: Int?) -> Int? {
    if arena.freeCount == 0 { evictOldest() }
    return arena.allocate(after: previous)
  }

  // MARK: The clean list

  /// Whether a page may leave the cache.
  private func isEvictable(_ page: Page) -> Bool {
    page.pinCount == 0 && !page.isDirty && !page.isUnderWriteback && !page.isFilling
  }

  /// Lets the clean pages that were used longest ago leave: some at a time, since they lie side by side in their file.
  private func evictOldest() {
    for _ in 0..<min(16, arena.count / 16) {
      guard let page = clean.oldest(where: isEvictable) else { return }
      page.space.evict(page)
    }
  }

  /// Notes that a clean page was used just now, or has become clean.
  func touch(_ page: Page) {
    if !clean.contains(page) { arena.waiters.wakeOne() }
    clean.touch(page)
  }
}
