// The driver: a bounded queue of requests in front of a device.
//
//   admit ──> prepare, append ──> submit ──> [plug, merge] ──> dispatch ──> device ──> complete
//   (a place)                     (plugged)   (end of turn)     (a tag)
//
// Limits: `placeCount` requests exist, `tagCount` of them may be at the device. Whoever asks for more waits in
// `admit`. All memory is taken in the initialiser; the polled core allocates nothing for a request.
internal import DequeModule
public import Reactor
internal import SystemPackage

/// A device's queue: admission, plugging, merging, dispatch, deadlines, completion. Confined to its reactor.
public final class RequestQueue {
  /// In which order what was plugged in one turn is dispatched.
  public enum Order: String, Sendable, CaseIterable {
    /// As it came; neighbours in time merge.
    case arrival
    /// By offset, so that everything adjacent merges, across files too.
    case ascending
  }

  /// How a queue is made.
  public struct Configuration: Sendable {
    /// Requests at the device at once.
    public var tagCount = 32
    /// Requests that have a place, waiting or at the device.
    public var placeCount = 128
    /// Places that only writeback may take, so that dirty memory can always be written.
    public var writebackReserve = 4
    /// The dispatch order.
    public var order = Order.ascending
    /// When a request counts as timed out, in nanoseconds after it was submitted; nil: never.
    public var timeoutNanoseconds: UInt64? = 30_000_000_000
    /// Whether requests say when the device got them (`Request.dispatchedAt`), which costs a look at the clock each.
    public var timesDispatch = false
    /// The defaults.
    public init() {}
    /// The defaults, with that many tags and four places a tag.
    public init(tagCount: Int, order: Order = .ascending) {
      self.tagCount = tagCount
      placeCount = max(4 * tagCount, 16)
      self.order = order
    }
  }

  /// The reactor everything runs on.
  public let reactor: Reactor
  /// The device behind the queue.
  public let device: any BlockDevice
  /// The device's geometry.
  public let geometry: Geometry
  /// How the queue was made.
  public let configuration: Configuration
  /// What was dispatched since the queue opened.
  public var counters: DeviceCounters {
    var counters = counts
    counters.host = device.hostCalls
    return counters
  }
  /// Called after each completed write, discard or zeroing, on the reactor: what waits for a block to be out of flight
  /// looks again.
  public var onWriteCompleted: (() -> Void)? {
    get { writeObserver }
    set { writeObserver = newValue }
  }
  /// Told of each request in the step that submits it: an oracle that knows who owns what.
  public var onSubmit: ((Request) -> Void)? {
    get { submitObserver }
    set { submitObserver = newValue }
  }
  /// Requests that were submitted and are not complete.
  public var outstandingCount: Int { outstanding }

  // Nothing stored that changes is public, for the reason given at `Request`.
  private var counts = DeviceCounters()
  private var writeObserver: (() -> Void)?
  private var submitObserver: ((Request) -> Void)?
  private var outstanding = 0
  private var closesWhenIdle = false

  let places: [Request]
  /// Places nobody has. These lists hold indices of `places`.
  let idle: FixedRing<Int>
  /// Places of requests past their deadline that are still out.
  var timedOutCount = 0
  /// Places that others than writeback have.
  var unreservedCount = 0
  var admissionWaiters = Deque<AdmissionWaiter>()
  /// How many wait for a place: what the path of every request asks, without touching the list.
  var admissionWaiterCount = 0
  /// What waits for a tag: first the backlog of earlier turns, then what this turn plugged.
  private let waiting: FixedRing<Waiting>
  /// A place, and what decides its order among those plugged: to look at the requests themselves would count references.
  private struct Waiting {
    var place = 0
    var operation = Operation.read
    var offset: UInt64 = 0
  }
  private var backlogCount = 0
  private let freeTags: FixedRing<Int>
  /// Requests that keep their tag after a short transfer and go on when the turn ends. Until then they are not at the
  /// device, so that a second report of the same short transfer is seen to be one.
  private let unfinished: FixedRing<Int>
  private var turnDeadline: Instant?
  let deadlines: DeadlineWatch

  /// Opens the queue on `device` and attaches it to the reactor.
  public init(device: any BlockDevice, reactor: Reactor, configuration: Configuration = Configuration())
    throws(DeviceError)
  {
    precondition(configuration.tagCount > 0 && configuration.placeCount > configuration.writebackReserve + 1)
    try device.attach(to: reactor, tagCount: configuration.tagCount)
    self.device = device
    self.reactor = reactor
    self.configuration = configuration
    geometry = device.geometry
    let segmentCapacity = min(geometry.maximumSegments, 1024)
    places = (0..<configuration.placeCount).map { Request(place: $0, segmentCapacity: segmentCapacity) }
    idle = FixedRing(capacity: configuration.placeCount, filler: 0)
    for place in places.indices.reversed() { idle.append(place) }
    waiting = FixedRing(capacity: configuration.placeCount, filler: Waiting())
    freeTags = FixedRing(capacity: configuration.tagCount, filler: 0)
    for tag in (0..<configuration.tagCount).reversed() { freeTags.append(tag) }
    unfinished = FixedRing(capacity: configuration.tagCount, filler: 0)
    deadlines = DeadlineWatch(reactor)
    deadlines.queue = self
    device.sink = self
    reactor.attach(self)
  }

  /// Detaches the queue and closes the device. Nothing is outstanding.
  public func close() {
    precondition(outstandingCount == 0, "a queue closes only when nothing is in flight")
    reactor.disarm(deadlines.timer)
    reactor.detach(self)
    device.sink = nil
    device.close()
  }

  /// Closes the queue as soon as nothing is outstanding: a request past its deadline keeps its tag and its memory until the
  /// device lets go of it. Nobody uses the queue any more.
  public func closeWhenIdle() {
    if outstanding == 0 { close() } else { closesWhenIdle = true }
  }
  private var isToBeClosed: Bool { closesWhenIdle && outstanding == 0 }

  /// Somebody has waited for a place.
  func noteAdmissionWait(nanoseconds: UInt64) {
    counts.admissionWaits += 1
    counts.admissionWaitNanoseconds += nanoseconds
  }

  // MARK: Submitting

  /// Queues an admitted request until the end of the turn. `handler` is told of its completion; without one the
  /// submitter waits with a resumption.
  ///
  /// A request outside the device, misaligned, or changing a read-only device completes with that error. `now`: what the
  /// submitter has just read from the clock, which saves a look.
  public func submit(_ request: Request, handler: (any RequestHandler)?, at now: Instant? = nil) {
    precondition(request.phase == .admitted, "a request is submitted once after each admission")
    request.handler = handler
    request.phase = .plugged
    outstanding += 1
    request.flight.deadline = deadlineOfTurn(now)
    if let refusal = refusal(of: request) { request.failure = refusal }
    submitObserver?(request)
    plug(request)
  }

  /// Why a request cannot be served at all, or nil.
  private func refusal(of request: Request) -> DeviceError? {
    let operation = request.operation
    if operation.isWrite && geometry.isReadOnly { return .readOnly(operation) }
    if operation == .flush { return nil }
    let size = UInt64(request.byteCount), offset = request.offset
    guard size <= geometry.byteCount, offset <= geometry.byteCount - size else {
      return .outOfBounds(operation, offset: offset, byteCount: size, deviceByteCount: geometry.byteCount)
    }
    let mask = UInt64(geometry.logicalBlockSize - 1)
    guard size > 0, (size | offset) & mask == 0, areSegmentsAligned(request) else {
      return .misaligned(operation, offset: offset, byteCount: size, alignment: geometry.logicalBlockSize)
    }
    return nil
  }

  private func areSegmentsAligned(_ request: Request) -> Bool {
    // Both are powers of two: one mask each for all segments.
    var addresses = 0, sizes = 0
    for index in 0..<request.segmentCount {
      let segment = unsafe request.segments[index]
      unsafe addresses |= Int(bitPattern: segment.base)
      unsafe sizes |= segment.byteCount
    }
    return addresses & (geometry.memoryAlignment - 1) == 0 && sizes & (geometry.logicalBlockSize - 1) == 0
  }

  private func plug(_ request: Request) {
    var index = waiting.count
    if configuration.order == .ascending {
      // Walking back from the end keeps equal offsets in their order, and costs one step for ascending arrivals.
      while index > backlogCount {
        let previous = waiting[index - 1]
        guard previous.operation == request.operation, previous.offset > request.offset else { break }
        index -= 1
      }
    }
    waiting.insert(
      Waiting(place: request.place, operation: request.operation, offset: request.offset), at: index)
  }

  // MARK: Dispatching

  /// Dispatches what is plugged, as far as there are tags.
  private func unplug() {
    turnDeadline = nil
    var now: Instant?
    while unfinished.count > 0 {
      let request = places[unfinished.first]
      unfinished.removeFirst()
      start(request)
    }
    backlogCount = waiting.count
    while backlogCount > 0 {
      let request = places[waiting.first.place]
      if request.failure != nil {
        takeFirst()
        finish(request)
        continue
      }
      guard freeTags.count > 0 else { return }
      takeFirst()
      while backlogCount > 0 {
        let next = places[waiting.first.place]
        guard next.failure == nil, request.absorb(next, geometry) else { break }
        next.phase = .dispatched
        counts.merges += 1
        takeFirst()
      }
      let tag = freeTags.removeLast()
      request.flight.tag = tag
      request.phase = .dispatched
      counts.count(request)
      traceBegin(request, tag: tag)
      if configuration.timesDispatch {
        // One look at the clock for all that goes together.
        let instant = now ?? reactor.now
        now = instant
        request.flight.dispatchedAt = instant
        if request.flight.hasFollower { request.forEachMerged { $0.flight.dispatchedAt = instant } }
      }
      start(request)
    }
  }

  private func start(_ request: Request) {
    request.flight.isAtDevice = true
    device.start(request)
  }

  private func takeFirst() {
    waiting.removeFirst()
    backlogCount -= 1
  }

  /// The deadline of what this turn submits: the clock is read once a turn.
  private func deadlineOfTurn(_ now: Instant?) -> Instant? {
    if turnDeadline == nil, let timeout = configuration.timeoutNanoseconds {
      let deadline = (now ?? reactor.now).advanced(byNanoseconds: timeout)
      deadlines.watch(deadline)
      turnDeadline = deadline
    }
    return turnDeadline
  }

  // MARK: Completing

  private func finish(_ request: Request) {
    let isWrite = request.operation.isWrite
    if !request.flight.hasFollower {
      complete(request)
    } else if request.failure != nil {
      finishApart(request)
    } else {
      var next: Request? = request
      while let done = next {
        next = done.follower
        complete(done)
      }
    }
    if isWrite { writeObserver?() }
  }

  /// A merged transfer has failed. Whoever was merged is not to share the fate of a neighbour: what was done before the
  /// failure is complete, and the rest goes again, each request alone.
  private func finishApart(_ request: Request) {
    var undone = request.flight.doneByteCount
    var next: Request? = request
    request.failure = nil
    while let part = next {
      next = part.takeApart()
      undone -= part.byteCount
      if undone >= 0 {
        complete(part)
      } else {
        part.phase = .plugged
        plug(part)
      }
    }
  }

  private func complete(_ request: Request) {
    outstanding -= 1
    if let handler = request.handler {
      handler.requestCompleted(request)
      giveBack(request)
    } else if let resumption = request.resumption.take() {
      // The waiter reads the outcome and gives the place back.
      request.phase = .idle
      reactor.resume(resumption)
    } else {
      giveBack(request)
    }
  }

  /// Whether a write or a discard that touches this range of bytes is queued or in flight, timed out or not.
  public func hasOutstandingWrite(overlapping range: Range<UInt64>) -> Bool {
    guard outstandingCount > 0 else { return false }
    return places.contains { request in
      (request.phase == .plugged || request.phase == .dispatched) && request.operation.isWrite
        && request.offset < range.upperBound && range.lowerBound < request.offset + UInt64(request.byteCount)
    }
  }
}

extension RequestQueue: EventSource {
  public var awaitsEndOfTurn: Bool {
    waiting.count > backlogCount || (backlogCount > 0 && freeTags.count > 0) || unfinished.count > 0
      || device.hasUnsubmitted || isToBeClosed
  }

  @discardableResult public func endTurn() -> Bool {
    if isToBeClosed {
      closesWhenIdle = false
      close()
      return true
    }
    let hadWork = awaitsEndOfTurn
    if hadWork {
      unplug()
      device.submit()
    }
    var reapsAgain = outstanding > 0 && device.reap()
    let hasReaped = reapsAgain
    // A device that is done at once has nothing that would make anybody ask for the next reap.
    while reapsAgain && (backlogCount > 0 || unfinished.count > 0) {
      unplug()
      device.submit()
      reapsAgain = outstanding > 0 && device.reap()
    }
    return hasReaped || (hadWork && !device.hasUnsubmitted)
  }
}

extension RequestQueue: CompletionSink {
  /// A device has done `result` bytes of a request, or failed with a negative errno. A short transfer goes on from its
  /// last whole logical block; the second attempt without progress is an I/O error.
  ///
  /// What devices say is not believed: the end of a request that is not at the device is counted, and nothing else, as
  /// the NVMe driver does with an "invalid id completed on queue"; a request does not transfer more than it asked for.
  public func completed(_ request: Request, result: Int) {
    guard request.flight.isAtDevice, let tag = request.tag else {
      counts.spuriousCompletions += 1
      return
    }
    request.flight.isAtDevice = false
    if result < 0 {
      request.failure = .io(
        request.operation, offset: request.remainingOffset, Errno(rawValue: Int32(clamping: result.magnitude)))
    } else if request.operation == .read || request.operation == .write, result < request.remainingByteCount {
      let whole = result / geometry.logicalBlockSize * geometry.logicalBlockSize
      request.flight.attemptsWithoutProgress = whole == 0 ? request.flight.attemptsWithoutProgress + 1 : 0
      if request.flight.attemptsWithoutProgress < 2 {
        request.advance(by: whole)
        unfinished.append(request.place)
        // A layer's timer may tell of it, after which a reactor may sleep.
        reactor.wake()
        return
      }
      request.failure = .io(request.operation, offset: request.remainingOffset, .ioError)
    }
    traceEnd(tag: tag, result: result)
    request.flight.tag = nil
    freeTags.append(tag)
    finish(request)
  }
}
