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
  public internal(set) var counters = DeviceCounters()
  /// Called after each completed request, on the reactor: what waits for a block to be out of flight looks again.
  public var onWriteCompleted: (() -> Void)?
  /// Told of each request in the step that submits it: an oracle that knows who owns what.
  public var onSubmit: ((Request) -> Void)?

  let places: [Request]
  var idle: [Request]
  var admissionWaiters = Deque<AdmissionWaiter>()
  private var plugged = Deque<Request>()
  private var backlog = Deque<Request>()
  private var freeTags: [Int]
  let deadlines: DeadlineWatch
  /// Requests that were submitted and are not complete.
  public private(set) var outstandingCount = 0

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
    places = (0..<configuration.placeCount).map { _ in Request(segmentCapacity: segmentCapacity) }
    idle = places.reversed()
    freeTags = (0..<configuration.tagCount).reversed()
    plugged.reserveCapacity(configuration.placeCount)
    backlog.reserveCapacity(configuration.placeCount)
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

  // MARK: Submitting

  /// Queues an admitted request until the end of the turn. `handler` is told of its completion; without one the
  /// submitter waits with a resumption.
  ///
  /// A request outside the device, misaligned, or changing a read-only device completes with that error.
  public func submit(_ request: Request, handler: (any RequestHandler)?) {
    precondition(request.phase == .admitted, "a request is submitted once after each admission")
    request.handler = handler
    request.phase = .plugged
    outstandingCount += 1
    deadlines.watch(request)
    request.error = refusal(of: request)
    onSubmit?(request)
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
    let block = UInt64(geometry.logicalBlockSize)
    guard size > 0, size % block == 0, offset % block == 0, areSegmentsAligned(request) else {
      return .misaligned(operation, offset: offset, byteCount: size, alignment: geometry.logicalBlockSize)
    }
    return nil
  }

  private func areSegmentsAligned(_ request: Request) -> Bool {
    for index in 0..<request.segmentCount {
      let segment = unsafe request.segments[index]
      if unsafe Int(bitPattern: segment.base) % geometry.memoryAlignment != 0
        || segment.byteCount % geometry.logicalBlockSize != 0
      {
        return false
      }
    }
    return true
  }

  private func plug(_ request: Request) {
    var index = plugged.count
    if configuration.order == .ascending {
      // Walking back from the end keeps equal offsets in their order, and costs one step for ascending arrivals.
      while index > 0, plugged[index - 1].operation == request.operation, plugged[index - 1].offset > request.offset {
        index -= 1
      }
    }
    plugged.insert(request, at: index)
  }

  // MARK: Dispatching

  /// Dispatches what is plugged, as far as there are tags.
  private func unplug() {
    while let request = plugged.popFirst() { backlog.append(request) }
    while let request = backlog.first {
      if request.error != nil {
        backlog.removeFirst()
        finish(request)
        continue
      }
      guard let tag = freeTags.popLast() else { return }
      backlog.removeFirst()
      while let next = backlog.first, next.error == nil, request.absorb(next, geometry) {
        next.phase = .dispatched
        backlog.removeFirst()
      }
      request.tag = tag
      request.phase = .dispatched
      counters.count(request)
      device.start(request)
    }
  }

  // MARK: Completing

  private func finish(_ request: Request) {
    let error = request.error
    let isWrite = request.operation.isWrite
    var next: Request? = request
    while let done = next {
      next = done.follower
      done.error = error
      complete(done)
    }
    if isWrite { onWriteCompleted?() }
  }

  private func complete(_ request: Request) {
    outstandingCount -= 1
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
    !plugged.isEmpty || (!backlog.isEmpty && !freeTags.isEmpty) || device.hasUnsubmitted
  }

  @discardableResult public func endTurn() -> Bool {
    let hadWork = awaitsEndOfTurn
    if hadWork {
      unplug()
      device.submit()
    }
    let hasReaped = outstandingCount > 0 && device.reap()
    if hasReaped && !backlog.isEmpty {
      unplug()
      device.submit()
    }
    return hasReaped || (hadWork && !device.hasUnsubmitted)
  }
}

extension RequestQueue: CompletionSink {
  /// A device has done `result` bytes of a request, or failed with a negative errno. A short transfer goes on from its
  /// last whole logical block; the second attempt without progress is an I/O error.
  public func completed(_ request: Request, result: Int) {
    guard let tag = request.tag else { preconditionFailure("a device completed a request twice") }
    if result < 0 {
      request.error = .io(request.operation, offset: request.remainingOffset, Errno(rawValue: Int32(clamping: -result)))
    } else if request.operation == .read || request.operation == .write, result < request.remainingByteCount {
      let whole = result / geometry.logicalBlockSize * geometry.logicalBlockSize
      request.attemptsWithoutProgress = whole == 0 ? request.attemptsWithoutProgress + 1 : 0
      if request.attemptsWithoutProgress < 2 {
        request.advance(by: whole)
        device.start(request)
        return
      }
      request.error = .io(request.operation, offset: request.remainingOffset, .ioError)
    }
    request.tag = nil
    freeTags.append(tag)
    finish(request)
  }
}
