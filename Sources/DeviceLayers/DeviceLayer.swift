// What all layers share: a layer is a device around a device.
//
//   queue ──start──> layer ──start──> layer ──start──> device
//   queue <─completed─ layer <─completed─ layer <─completed─ device
public import BlockDevice
public import Reactor

/// A device that wraps a device and changes, watches or delays what goes through.
///
/// By itself it lets everything through. A subclass overrides `start`, for what goes down, and `finished`, for what
/// comes back; it may make requests of its own, whose tags follow those of the queue. Confined to a reactor.
open class DeviceLayer: BlockDevice, CompletionSink {
  /// The device that is wrapped. A stack that outlives the openings of its device sets it between two of them.
  public internal(set) final var inner: any BlockDevice {
    get { wrapped }
    set { wrapped = newValue }
  }
  /// The queue, or the layer above.
  public final var sink: (any CompletionSink)? {
    get { target }
    set { target = newValue }
  }
  /// The reactor, from `attach` on.
  public final var reactor: Reactor? { attached }
  /// The most requests the queue has at the device.
  private(set) final var tagCount = 0
  /// Mutants of the test suite.
  package final var switchedOff: SwitchedOffPromises {
    get { brokenPromises }
    set { brokenPromises = newValue }
  }
  // Nobody else touches what is private, so that no access to it is checked while the program runs.
  private final var wrapped: any BlockDevice
  private final unowned var target: (any CompletionSink)?
  private final var attached: Reactor?
  private final var brokenPromises: SwitchedOffPromises = []
  /// What the layer answers by itself; told at the next reap.
  private var answers: [(request: Request, result: Int)] = []
  private var told: [(request: Request, result: Int)] = []

  /// A layer around a device.
  public init(_ inner: any BlockDevice) { wrapped = inner }

  open var geometry: Geometry { inner.geometry }
  /// One line that names the layer and what it was told to do; see `stackDescription`.
  open var summary: String { "pass" }
  /// Requests of its own that the layer may have at its device at once, when the queue has `tagCount`.
  open func ownRequestCount(tagCount: Int) -> Int { 0 }

  open func attach(to reactor: Reactor, tagCount: Int) throws(DeviceError) {
    let count = ownRequestCount(tagCount: tagCount)
    try inner.attach(to: reactor, tagCount: tagCount + count)
    attached = reactor
    self.tagCount = tagCount
    inner.sink = self
    answers.reserveCapacity(tagCount)
    told.reserveCapacity(tagCount)
  }

  open func start(_ request: Request) { inner.start(request) }
  open func submit() { inner.submit() }
  open var hostCalls: HostCalls { inner.hostCalls }
  open var hasUnsubmitted: Bool { !answers.isEmpty || inner.hasUnsubmitted }
  open func reap() -> Bool {
    let hasAnswers = tellAnswers()
    return inner.reap() || hasAnswers
  }
  open func waitForCompletion() {
    if !tellAnswers() { inner.waitForCompletion() }
  }
  open func close() {
    inner.sink = nil
    inner.close()
    attached = nil
  }

  public final func completed(_ request: Request, result: Int) { finished(request, result) }

  /// The device has let go of a request: the queue's, or one of the layer's own.
  open func finished(_ request: Request, _ result: Int) { target?.completed(request, result: result) }

  // MARK: For subclasses

  /// Completes a request without the device, at the next reap.
  package final func answer(_ request: Request, _ result: Int) { answers.append((request, result)) }

  /// Completes a request now: in a step that the device or a timer began.
  package final func tell(_ request: Request, _ result: Int) { target?.completed(request, result: result) }

  /// Starts a request outside of the queue's turn: in a timer's step.
  package final func startNow(_ request: Request) {
    inner.start(request)
    inner.submit()
    // A device that is done at once tells at a reap, and nobody else may have a reason for one.
    _ = inner.reap()
  }

  private func tellAnswers() -> Bool {
    guard !answers.isEmpty else { return false }
    // What is started again meanwhile may be answered by itself: that is for the next reap.
    swap(&answers, &told)
    for (request, result) in told { target?.completed(request, result: result) }
    told.removeAll(keepingCapacity: true)
    return true
  }
}

/// The layers of a device from the top down, one a line, with the device itself last.
public func stackDescription(of device: any BlockDevice) -> String {
  var lines: [String] = []
  var current = device
  while let layer = current as? DeviceLayer {
    lines.append(layer.summary)
    current = layer.inner
  }
  lines.append("\(type(of: current)) of \(current.geometry.byteCount) bytes")
  return lines.joined(separator: "\n")
}

extension Request {
  /// The bytes of what is still to be transferred, gathered.
  package func gather() -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(remainingByteCount)
    for index in 0..<segmentCount {
      let segment = unsafe segment(index)
      unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(start: segment.base, count: segment.byteCount))
    }
    return bytes
  }

  /// Overwrites the memory of what is transferred, from a byte of the transfer on.
  package func scatter(_ bytes: Span<UInt8>, at start: Int) {
    var position = 0
    for index in 0..<segmentCount {
      let segment = unsafe segment(index)
      unsafe withSegment(segment) { memory in
        let first = max(start, position), end = min(start + bytes.count, position + memory.count)
        if first < end {
          for offset in first..<end { unsafe memory[offset - position] = bytes[offset - start] }
        }
      }
      unsafe position += segment.byteCount
    }
  }

  private func withSegment(_ segment: Segment, _ body: (UnsafeMutableBufferPointer<UInt8>) -> Void) {
    let start = unsafe segment.base.assumingMemoryBound(to: UInt8.self)
    unsafe body(UnsafeMutableBufferPointer(start: start, count: segment.byteCount))
  }

  /// The range of bytes on the device of what is still to be transferred.
  package var remainingRange: Range<UInt64> { remainingOffset..<remainingOffset + UInt64(remainingByteCount) }
}
