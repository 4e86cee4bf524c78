internal import Reactor

/// One file-system block of a file in the cache.
///
///     absent ──> filling ──> clean ──> dirty ──> under writeback ──> clean
///                                       ^  └──────(dirtied again)──────┘
///
/// Nothing that changes is stored publicly: what other modules can reach costs a check of exclusive access at run time, and
/// these are looked at many times for each page.
///
/// Detaching takes it out of its address space at any point; a write in flight keeps the page, and its memory, until
/// the device lets go. Confined to the reactor.
@safe public final class Page {
  /// The page's position in its file.
  public let index: PageIndex
  /// Where its memory lies in the arena.
  let frame: Int
  /// Kept until the page goes: a write in flight may outlive the cache.
  private let arena: FrameArena
  /// The file it belongs to, or belonged to.
  unowned let space: AddressSpace
  /// Its bytes.
  let memory: UnsafeMutableRawPointer

  /// Holds bytes that are not at its block yet.
  public internal(set) var isDirty: Bool {
    get { dirty }
    set { dirty = newValue }
  }
  private var dirty = false
  /// A write of it is queued or in flight.
  public internal(set) var isUnderWriteback: Bool {
    get { underWriteback }
    set { underWriteback = newValue }
  }
  private var underWriteback = false
  /// Its bytes are not valid yet: a read is on its way, or a writer is making it.
  public internal(set) var isFilling: Bool {
    get { filling }
    set { filling = newValue }
  }
  private var filling = false
  /// A writer is making it: it has no bytes of its own yet.
  var isBeingMade = false
  /// Belongs to its address space still.
  public internal(set) var isAttached: Bool {
    get { attached }
    set { attached = newValue }
  }
  private var attached = true
  /// Its write failed when it was alone; still dirty.
  public internal(set) var isFailed: Bool {
    get { failed }
    set { failed = newValue }
  }
  private var failed = false
  /// The batch it was in failed: it is to be written alone.
  var mustGoAlone = false
  /// Its write is past its deadline.
  var isTimedOut = false
  /// Its failure has entered the error sequence, and it has not been written since.
  var hasReportedError = false
  /// The cache's count of fsync calls when it became dirty.
  var dirtiedAt: UInt64 = 0
  /// What `dirtiedAt` was when its current write was dispatched.
  var dispatchedDirtiedAt: UInt64 = 0
  /// When it became dirty, and what that was when its current write was dispatched.
  var dirtySince = Instant(nanoseconds: 0)
  var dispatchedDirtySince = Instant(nanoseconds: 0)
  /// That count when its write, alone, was last dispatched.
  var attemptedAt: UInt64 = 0
  /// When background writeback may try a failed page again.
  var retryAt = Instant(nanoseconds: 0)
  var retryDelayNanoseconds: UInt64 = 0
  /// Why its read failed.
  var fillError: PageCacheError?
  /// The file's size when its fill began: bytes past it are zeroes, whatever the disk says.
  var sizeAtFill: UInt64 = 0
  /// How many operations hold it in the cache.
  var pinCount = 0
  /// Whether it holds a unit of the dirty budget.
  var holdsBudget = false

  private var waiters: WaitQueue?

  init(index: PageIndex, frame: Int, space: AddressSpace) {
    self.index = index
    self.frame = frame
    self.space = space
    arena = space.cache.arena
    unsafe memory = arena.pointer(frame)
  }
  deinit { arena.free(frame) }

  /// Bytes of a page.
  public var byteCount: Int { arena.frameByteCount }

  /// Waits for the page's next change of state.
  func waitForChange(_ reactor: Reactor) async {
    let queue = waiters ?? WaitQueue(reactor, "page", index.rawValue)
    waiters = queue
    await queue.wait()
  }
  /// Wakes whoever waits for a change of state.
  func wakeWaiters() {
    waiters?.wakeAll()
  }

  /// Reads the page's bytes.
  public func withBytes<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
    try body(unsafe RawSpan(_unsafeStart: memory, byteCount: byteCount))
  }
  /// Changes the page's bytes.
  public func withMutableBytes<R, E: Error>(_ body: (inout MutableRawSpan) throws(E) -> R) throws(E) -> R {
    var span = unsafe MutableRawSpan(_unsafeStart: memory, byteCount: byteCount)
    return try body(&span)
  }
  /// Zeroes the bytes from `start` to the page's end.
  func zero(from start: Int) {
    guard start < byteCount else { return }
    unsafe (memory + start).initializeMemory(as: UInt8.self, repeating: 0, count: byteCount - start)
  }
}
