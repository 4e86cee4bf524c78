internal import BlockDevice
internal import Ext2Format
internal import Reactor

/// One disk block that is not regular-file data, in memory. Confined to the reactor.
final class MetadataBlock {
  let number: BlockNumber
  /// The inode it belongs to; `.none` for what the volume shares: bitmaps, inode tables, descriptors.
  var owner: InodeNumber
  private let buffer: Buffer

  /// Its bytes are those of the block.
  var isValid = false
  /// It is the home of its block. Once forgotten, its bytes go nowhere.
  var isLive = true
  var isDirty = false
  var isUnderWriteback = false
  var isTimedOut = false
  var isFailed = false
  var hasReportedError = false
  /// Its contents were checked against what is known of the volume.
  var isChecked = false
  /// Stays in memory for as long as the volume is mounted.
  var isResident = false
  var pinCount = 0
  var readError: Ext2Error?
  /// The cache's count of fsync calls when it became dirty, and when its current write was dispatched.
  var dirtiedAt: UInt64 = 0
  var dispatchedDirtiedAt: UInt64 = 0
  var attemptedAt: UInt64 = 0

  // For the clock that finds what may leave.
  var isReferenced = false
  var isQueued = false
  var isCountedUnevictable = false
  var isCountedUnwritten = false
  var isCountedStuck = false
  private var waiters: WaitQueue?

  init(number: BlockNumber, owner: InodeNumber, buffer: Buffer) {
    self.number = number
    self.owner = owner
    self.buffer = buffer
  }

  /// Whether it may leave the cache now.
  var isEvictable: Bool {
    isValid && pinCount == 0 && !isDirty && !isUnderWriteback && !isResident
  }

  func withBytes<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R { try buffer.withBytes(body) }
  /// Changes the bytes. The cache's `markDirty` belongs in the same step.
  func withMutableBytes<R, E: Error>(_ body: (inout MutableRawSpan) throws(E) -> R) throws(E) -> R {
    try buffer.withMutableBytes(body)
  }
  /// The memory, for the read that fills it.
  var segment: Segment { unsafe buffer.segment }

  /// The little-endian pointer at `index` of a pointer block.
  func pointer(_ index: Int) -> BlockNumber {
    withBytes { bytes in BlockNumber(rawValue: bytes.integer(at: index * 4, as: UInt32.self)) }
  }

  func waitForChange(_ reactor: Reactor) async {
    let queue = waiters ?? WaitQueue(reactor, "block", UInt64(number.rawValue))
    waiters = queue
    await queue.wait()
  }
  func wakeWaiters() { waiters?.wakeAll() }
}
