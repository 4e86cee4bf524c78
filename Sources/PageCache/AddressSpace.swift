internal import Reactor

/// All cached pages of one inode. Confined to its volume's reactor.
public final class AddressSpace {
  /// The cache the pages belong to.
  public let cache: PageCache
  /// The inode's number, for errors and checks.
  public let owner: UInt64
  /// Where the pages live.
  public let mapper: any BlockMapper
  /// The file's size in bytes. It changes only in the steps of a write or a truncate.
  public var fileByteCount: UInt64 {
    get { size }
    set { size = newValue }
  }
  private var size: UInt64
  /// Errors of its writeback.
  public var errors = ErrorSequence()

  let pages = PageTree()
  /// The latest extent that writeback looked up.
  var cachedExtent: MappedExtent?
  /// Batches whose writes are queued or in flight.
  var batchesInFlight: [WriteBatch] = []
  /// Calls of fsync that collect errors.
  var activeFlushes: [FlushCall] = []
  /// Counts batches: the mutant of fsync that ignores earlier ones knows them by it.
  var batchNumber: UInt64 = 0
  /// Where background writeback goes on.
  var backgroundCursor = PageIndex(0)
  let batchDone: WaitQueue
  /// Pages that are dirty.
  public var dirtyCount: Int { dirtyPages }
  private var dirtyPages = 0
  /// Whether the space is in the list of those that background writeback visits.
  var isListedDirty = false
  var dirtySince = Instant(nanoseconds: 0)
  /// Pages of a failed batch wait to be written one by one.
  var hasRetries = false
  /// Background writeback has left the dirty end of the file to grow, and where that end was.
  var waitsForMore = false
  var seenEnd = PageIndex(0)
  /// When the first of its failed pages is due again, as far as background writeback knows; nil when none is.
  var retryAt: Instant?
  /// A failed page is due then.
  func noteRetry(at instant: Instant) { retryAt = min(retryAt ?? instant, instant) }

  /// The empty space of an inode with that size.
  public init(cache: PageCache, owner: UInt64, mapper: any BlockMapper, fileByteCount: UInt64) {
    self.cache = cache
    self.owner = owner
    self.mapper = mapper
    size = fileByteCount
    batchDone = WaitQueue(cache.reactor, "writeback of inode", owner)
  }

  /// Pages in the cache.
  public var pageCount: Int { pages.count }
  /// Whether anything is dirty, being written, or being read.
  public var isBusy: Bool { dirtyCount > 0 || !batchesInFlight.isEmpty }
  /// The first page that lies past the end of the file.
  public var endIndex: PageIndex {
    PageIndex((size &+ UInt64(cache.pageByteCount - 1)) >> UInt64(cache.pageByteCountLog2))
  }
  /// Whether a batch is at the device that has not passed its deadline: its end is going to come.
  var awaitsBatch: Bool { batchesInFlight.contains { !$0.isTimedOut } }
  /// The page at `index`, if it is cached.
  public func page(at index: PageIndex) -> Page? { pages[index] }
  /// The first cached page at or after `index`.
  public func firstPage(from index: PageIndex) -> Page? { pages.first(from: index) }

  deinit {
    while let page = pages.first(from: PageIndex(0)) { detach(page) }
  }

  // MARK: Steps that change what is cached

  /// Enters a page that is being filled.
  func insertFilling(at index: PageIndex, frame: Int) -> Page {
    let page = Page(index: index, frame: frame, space: self)
    page.isFilling = true
    page.sizeAtFill = fileByteCount
    pages.insert(page)
    return page
  }

  /// The page's bytes are valid from now on.
  func publish(_ page: Page) {
    page.isFilling = false
    if page.isAttached && !page.isDirty { cache.touch(page) }
    page.wakeWaiters()
  }

  /// Marks a page dirty, with a unit of the budget that the caller holds. Returns whether the unit was used: a page
  /// that is dirty or under writeback has one already.
  public func markDirty(_ page: Page) -> Bool {
    precondition(page.isAttached, "a page that left its file cannot become dirty")
    if !page.isDirty {
      page.isDirty = true
      page.dirtiedAt = cache.flushCalls
      page.dirtySince = cache.reactor.now
      pages.setDirty(true, at: page.index)
      dirtyPages += 1
      cache.clean.remove(page)
      if !isListedDirty { cache.writeback.background.list(self) }
    }
    if page.holdsBudget { return false }
    page.holdsBudget = true
    return true
  }

  /// As `markDirty`, beyond the limit if need be: for steps that cannot wait.
  public func markDirtyUnconditionally(_ page: Page) {
    if markDirty(page) { cache.budget.force() }
    cache.writeback.background.kickIfNeeded()
  }

  /// Takes the dirty mark off, in the step that queues the page's write or detaches it.
  func clearDirty(_ page: Page) {
    guard page.isDirty else { return }
    page.isDirty = false
    pages.setDirty(false, at: page.index)
    dirtyPages -= 1
  }

  /// Takes the page's unit of the budget from it. Returns how many units the caller has to give back: one or none.
  func takeBudget(_ page: Page) -> Int {
    setFailed(page, false)
    guard page.holdsBudget else { return 0 }
    page.holdsBudget = false
    return 1
  }

  /// Whether the page counts as one that cannot be written now.
  func setFailed(_ page: Page, _ isFailed: Bool, isTimedOut: Bool = false) {
    let was = page.isFailed || page.isTimedOut
    page.isFailed = isFailed
    page.isTimedOut = isTimedOut
    let now = isFailed || isTimedOut
    if was != now, page.holdsBudget { cache.budget.changeStuck(by: now ? 1 : -1) }
  }

  /// Takes the pages in a range out of the file, in the step that frees their blocks. A write of one that is in flight
  /// runs on and keeps its memory; whoever waits for one looks again.
  public func detach(_ range: Range<PageIndex>) {
    var released = 0
    while let page = pages.first(from: range.lowerBound), page.index < range.upperBound { released += remove(page) }
    cache.budget.release(released)
  }

  func detach(_ page: Page) {
    if page.isAttached { cache.budget.release(remove(page)) }
  }

  /// Takes an attached page out of the file. Returns the units of the budget that the caller has to give back.
  private func remove(_ page: Page) -> Int {
    clearDirty(page)
    let released = takeBudget(page)
    cache.clean.remove(page)
    page.isAttached = false
    // Fsync does not wait for the write of a page that left.
    if page.isUnderWriteback { batchDone.wakeAll() }
    page.isFilling = false
    pages.remove(at: page.index)
    page.wakeWaiters()
    return released
  }

  /// Drops a clean page that nobody uses.
  func evict(_ page: Page) { detach(page) }

  /// Holds a page in the cache until `unpin`.
  public func pin(_ page: Page) { page.pinCount += 1 }
  /// Ends a `pin`.
  public func unpin(_ page: Page) {
    page.pinCount -= 1
    if page.pinCount == 0 { cache.arena.waiters.wakeOne() }
  }
}
