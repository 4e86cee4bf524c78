public import Reactor
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
  public var operation: Operation { ask.operation }
  /// Where on the device, in bytes.
  public var offset: UInt64 { ask.offset }
  /// How many bytes this request asks for, without those of requests merged into it.
  public var byteCount: Int { ask.byteCount }
  /// Forced unit access: complete only when it is durable.
  public var isFUA: Bool { ask.isFUA }
  /// The slot it occupies while in flight; nil outside.
  public var tag: Int? { flight.tag }
  /// How it ended: nil is success. Valid in `requestCompleted`.
  public var error: DeviceError? { failure }
  /// Whether its deadline passed before it completed.
  public var hasTimedOut: Bool { flight.hasTimedOut }
  /// Keeps the memory of the segments alive until the device lets go of it; whoever submits may store what it needs
  /// at completion.
  public var context: AnyObject? {
    get { keptContext }
    set { keptContext = newValue }
  }
  /// On whose behalf it is, for checks and traces: an inode number, or 0 for the volume itself.
  public var owner: UInt64 {
    get { ask.owner }
    set { ask.owner = newValue }
  }
  /// The first page of the owner's file that it writes; meaningless for metadata.
  public var ownerPage: UInt64 {
    get { ask.ownerPage }
    set { ask.ownerPage = newValue }
  }
  /// Whether it carries a file's data, as opposed to metadata.
  public var isFileData: Bool {
    get { ask.isFileData }
    set { ask.isFileData = newValue }
  }
  /// Whether it may share a transfer, and its end, with adjacent requests.
  public var mayMerge: Bool {
    get { ask.mayMerge }
    set { ask.mayMerge = newValue }
  }
  /// When the device got it, in a queue that `timesDispatch`; nil before.
  public var dispatchedAt: Instant? { flight.dispatchedAt }
  /// How many segments the request has.
  public var segmentCount: Int { flight.segmentCount }
  /// All bytes of the transfer, merged requests included.
  public var transferByteCount: Int { flight.transferByteCount }

  // Nothing stored is public: the compiler drops the run-time check of exclusive access, some 10 ns each time, from
  // what only this module can reach.

  /// What whoever submits has said.
  struct Ask {
    var operation = Operation.read
    var offset: UInt64 = 0
    var byteCount = 0
    var isFUA = false
    var isFileData = false
    var mayMerge = true
    var owner: UInt64 = 0
    var ownerPage: UInt64 = 0
  }
  /// Where the request stands.
  struct Flight {
    var tag: Int?
    /// Between its start and its completion, which a device is to report once.
    var isAtDevice = false
    var hasTimedOut = false
    var segmentCount = 0
    var transferByteCount = 0
    /// Bytes of the transfer that earlier, short attempts have done.
    var doneByteCount = 0
    var attemptsWithoutProgress = 0
    var deadline: Instant?
    var dispatchedAt: Instant?
    /// Whether `follower` is set: to look at a reference costs more.
    var hasFollower = false
  }
  var ask = Ask()
  var flight = Flight()
  var phase = Phase.idle
  /// For whom the place was taken.
  var admissionClass = AdmissionClass.ordinary
  var failure: DeviceError?
  var handler: (any RequestHandler)?
  var resumption: Resumption?
  /// The next of the requests merged behind this one.
  var follower: Request?
  private var lastFollower: Request?
  private var ownTag: Int?
  private var keptContext: AnyObject?

  /// Its index among the queue's places.
  let place: Int
  // The pieces of memory, those of merged requests included, with neighbours joined.
  let segments: UnsafeMutablePointer<Segment>
  let segmentCapacity: Int

  init(place: Int, segmentCapacity: Int) {
    self.place = place
    self.segmentCapacity = segmentCapacity
    unsafe segments = .allocate(capacity: segmentCapacity)
  }
  deinit { unsafe segments.deallocate() }

  // MARK: Requests of a layer's own

  /// A request that no queue has: a device layer makes it for what it asks of its device on its own account. It keeps
  /// its tag for good.
  package convenience init(ownTag: Int, segmentCapacity: Int) {
    self.init(place: -1, segmentCapacity: segmentCapacity)
    self.ownTag = ownTag
  }

  /// Makes a layer's own request a new one that begins at `offset`; segments follow with `append`.
  package func prepareOwn(_ operation: Operation, at offset: UInt64, byteCount: Int = 0, isFUA: Bool = false) {
    precondition(ownTag != nil, "a request that belongs to a queue")
    ask = Ask()
    flight = Flight()
    flight.tag = ownTag
    phase = .admitted
    prepare(operation, at: offset, byteCount: byteCount)
    ask.isFUA = isFUA
    phase = .dispatched
  }

  // MARK: Filling in

  /// Makes it a transfer that begins at `offset`; segments follow with `append`.
  public func prepare(_ operation: Operation, at offset: UInt64, isFUA: Bool = false) {
    precondition(phase == .admitted, "only an admitted request can be filled in")
    ask.operation = operation
    ask.offset = offset
    ask.isFUA = isFUA
    ask.byteCount = 0
    flight.segmentCount = 0
    flight.transferByteCount = 0
  }

  /// Makes it an operation on a range that moves no memory: discard or write zeroes.
  public func prepare(_ operation: Operation, at offset: UInt64, byteCount: Int) {
    prepare(operation, at: offset)
    ask.byteCount = byteCount
    flight.transferByteCount = byteCount
  }

  /// Adds memory to the transfer. Returns false, and adds nothing, when no segment is left for it.
  public func append(_ segment: Segment) -> Bool {
    guard unsafe join(segment) else { return false }
    unsafe ask.byteCount += segment.byteCount
    unsafe flight.transferByteCount += segment.byteCount
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
      flight.segmentCount += 1
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
  public var remainingOffset: UInt64 { offset + UInt64(flight.doneByteCount) }
  /// Bytes still to be transferred.
  public var remainingByteCount: Int { transferByteCount - flight.doneByteCount }

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
    flight.transferByteCount += next.transferByteCount
    let last = lastFollower ?? self
    last.follower = next
    last.flight.hasFollower = true
    lastFollower = next
    return true
  }

  /// Takes a merged transfer apart. It is what the submitter asked for again, but for what earlier, short attempts have
  /// done, and so is each of its followers, the first of which is returned; none of them merges again.
  func takeApart() -> Request? {
    let first = follower
    follower = nil
    lastFollower = nil
    flight.hasFollower = false
    ask.mayMerge = false
    flight.transferByteCount = byteCount
    flight.attemptsWithoutProgress = 0
    var rest = max(0, remainingByteCount)
    var count = 0
    while rest > 0, count < segmentCount {
      unsafe segments[count].byteCount = unsafe min(segments[count].byteCount, rest)
      unsafe rest -= segments[count].byteCount
      count += 1
    }
    flight.segmentCount = count
    return first
  }

  // MARK: Short transfers

  /// Moves past the first `count` bytes of what remains, `count` a multiple of the logical block size.
  func advance(by count: Int) {
    flight.doneByteCount += count
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
    flight.segmentCount -= first
  }

  /// Back to a clean slate.
  func reset() {
    phase = .idle
    if flight.hasFollower {
      follower = nil
      lastFollower = nil
    }
    ask = Ask()
    flight = Flight()
    handler = nil
    keptContext = nil
    resumption = nil
    // Seldom set, and to clear it costs more than to look.
    if failure != nil { failure = nil }
  }
}
