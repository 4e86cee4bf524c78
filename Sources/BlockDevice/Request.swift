internal import Reactor
internal import SystemPackage

/// Whoever is told, in one step on the reactor, what became of a request.
public protocol RequestHandler: AnyObject {
  /// The device has let go of the request and its memory. `request.error` says how it ended. The place goes back to
  /// the queue when this returns.
  func requestCompleted(_ request: Request)
  /// The request's deadline has passed; it is still out, and completes later.
  func requestTimedOut(_ request: Request)
}

/// One operation on a device, and a place in its queue: the queue makes a fixed number of them when it opens.
///
/// Admission hands out an idle request; whoever receives it fills it in and gives it to `RequestQueue.submit`, or back
/// to `giveBack`, in that same step. Adjacent requests merge: the first absorbs the segments of the others, which follow
/// it and complete with it. Confined to the reactor.
@safe public final class Request {
  enum Phase { case idle, admitted, plugged, dispatched }

  /// What is asked.
  public private(set) var operation = Operation.read
  /// Where on the device, in bytes.
  public private(set) var offset: UInt64 = 0
  /// How many bytes this request asks for, without those of requests merged into it.
  public private(set) var byteCount = 0
  /// Forced unit access: complete only when it is durable.
  public private(set) var isFUA = false
  /// The slot it occupies while in flight; nil outside.
  public internal(set) var tag: Int?
  /// How it ended: nil is success. Valid in `requestCompleted`.
  public internal(set) var error: DeviceError?
  /// Whether its deadline passed before it completed.
  public internal(set) var hasTimedOut = false
  /// Keeps the memory of the segments alive until the device lets go of it; whoever submits may store what it needs
  /// at completion.
  public var context: AnyObject?
  /// On whose behalf it is, for checks and traces: an inode number, or 0 for the volume itself.
  public var owner: UInt64 = 0
  /// The first page of the owner's file that it writes; meaningless for metadata.
  public var ownerPage: UInt64 = 0
  /// Whether it carries a file's data, as opposed to metadata.
  public var isFileData = false
  /// Whether it may share a transfer, and its end, with adjacent requests.
  public var mayMerge = true

  // The pieces of memory, those of merged requests included, with neighbours joined.
  let segments: UnsafeMutablePointer<Segment>
  /// How many segments the request has.
  public private(set) var segmentCount = 0
  let segmentCapacity: Int

  /// All bytes of the transfer, merged requests included.
  public private(set) var transferByteCount = 0
  /// Bytes of the transfer that earlier, short attempts have done.
  var doneByteCount = 0
  var attemptsWithoutProgress = 0

  var phase = Phase.idle
  var deadline: Instant?
  weak var handler: (any RequestHandler)?
  var resumption: Resumption?
  /// The next of the requests merged behind this one.
  var follower: Request?
  private var lastFollower: Request?

  init(segmentCapacity: Int) {
    self.segmentCapacity = segmentCapacity
    unsafe segments = .allocate(capacity: segmentCapacity)
  }
  deinit { unsafe segments.deallocate() }

  // MARK: Filling in

  /// Makes it a transfer that begins at `offset`; segments follow with `append`.
  public func prepare(_ operation: Operation, at offset: UInt64, isFUA: Bool = false) {
    precondition(phase == .admitted, "only an admitted request can be filled in")
    self.operation = operation
    self.offset = offset
    self.isFUA = isFUA
    segmentCount = 0
    byteCount = 0
    transferByteCount = 0
  }

  /// Makes it an operation on a range that moves no memory: discard or write zeroes.
  public func prepare(_ operation: Operation, at offset: UInt64, byteCount: Int) {
    prepare(operation, at: offset)
    self.byteCount = byteCount
    transferByteCount = byteCount
  }

  /// Adds memory to the transfer. Returns false, and adds nothing, when no segment is left for it.
  public func append(_ segment: Segment) -> Bool {
    guard unsafe join(segment) else { return false }
    unsafe byteCount += segment.byteCount
    unsafe transferByteCount += segment.byteCount
    return true
  }

  /// Whether that piece of memory would join the last segment.
  private func isNeighbour(_ segment: Segment) -> Bool {
    guard segmentCount > 0 else { return false }
    let last = unsafe segments[segmentCount - 1]
    return unsafe last.base + last.byteCount == segment.base
  }

  private func join(_ segment: Segment) -> Bool {
    if unsafe isNeighbour(segment) {
      unsafe segments[segmentCount - 1].byteCount += segment.byteCount
    } else if segmentCount < segmentCapacity {
      unsafe (segments + segmentCount).initialize(to: segment)
      segmentCount += 1
    } else {
      return false
    }
    return true
  }

  // MARK: Being read by devices

  /// A segment of what is still to be transferred.
  public func segment(_ index: Int) -> Segment {
    precondition(index >= 0 && index < segmentCount)
    return unsafe segments[index]
  }
  /// The segments of what is still to be transferred, laid out as `struct iovec`.
  public var remainingSegments: UnsafeMutablePointer<Segment> { unsafe segments }
  /// Where the rest of the transfer begins on the device, in bytes.
  public var remainingOffset: UInt64 { offset + UInt64(doneByteCount) }
  /// Bytes still to be transferred.
  public var remainingByteCount: Int { transferByteCount - doneByteCount }

  /// The range on the device, in bytes, merged requests included.
  public var byteRange: Range<UInt64> { offset..<offset + UInt64(transferByteCount) }

  /// Calls `body` with this request and then with each one merged into it, in order of offsets.
  public func forEachMerged(_ body: (Request) -> Void) {
    body(self)
    var next = follower
    while let request = next {
      body(request)
      next = request.follower
    }
  }

  // MARK: Merging

  /// Takes in `next`, which begins where this one ends. Returns false when the limits forbid it.
  func absorb(_ next: Request, _ geometry: Geometry) -> Bool {
    guard mayMerge, next.mayMerge, operation == next.operation, isFUA == next.isFUA,
      operation == .read || operation == .write,
      offset + UInt64(transferByteCount) == next.offset,
      transferByteCount + next.transferByteCount <= geometry.maximumTransfer
    else { return false }
    let joined = unsafe next.segmentCount > 0 && isNeighbour(next.segments[0]) ? 1 : 0
    guard segmentCount + next.segmentCount - joined <= min(segmentCapacity, geometry.maximumSegments) else {
      return false
    }
    for index in 0..<next.segmentCount { _ = unsafe join(next.segments[index]) }
    transferByteCount += next.transferByteCount
    if let lastFollower { lastFollower.follower = next } else { follower = next }
    lastFollower = next
    return true
  }

  // MARK: Short transfers

  /// Moves past the first `count` bytes of what remains, `count` a multiple of the logical block size.
  func advance(by count: Int) {
    doneByteCount += count
    var rest = count
    var first = 0
    while rest > 0, first < segmentCount {
      let size = unsafe segments[first].byteCount
      if size <= rest {
        rest -= size
        first += 1
      } else {
        unsafe segments[first].base += rest
        unsafe segments[first].byteCount -= rest
        rest = 0
      }
    }
    for index in first..<segmentCount { unsafe segments[index - first] = segments[index] }
    segmentCount -= first
  }

  /// Back to a clean slate.
  func reset() {
    phase = .idle
    operation = .read
    byteCount = 0
    transferByteCount = 0
    segmentCount = 0
    doneByteCount = 0
    attemptsWithoutProgress = 0
    isFUA = false
    tag = nil
    error = nil
    hasTimedOut = false
    context = nil
    owner = 0
    ownerPage = 0
    isFileData = false
    mayMerge = true
    deadline = nil
    handler = nil
    resumption = nil
    follower = nil
    lastFollower = nil
  }
}
