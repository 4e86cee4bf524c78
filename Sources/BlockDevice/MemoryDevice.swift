public import Reactor

/// Bytes in memory as a device: they are copied when a request is submitted, and it completes at the next reap.
public final class MemoryDevice: BlockDevice {
  public let geometry: Geometry
  public var sink: (any CompletionSink)? {
    get { target }
    set { target = newValue }
  }
  /// Not weak: an object that is weakly referenced counts all its references more slowly. The queue clears it.
  private unowned var target: (any CompletionSink)?
  private let storage: Storage
  private var started: [Request] = []
  private var completed: [Request] = []

  /// A zeroed device of that size.
  public init(geometry: Geometry) {
    self.geometry = geometry
    storage = Storage(byteCount: Int(geometry.byteCount))
  }

  /// A device that holds these bytes, `image.count` a multiple of the logical block size.
  public convenience init(image: [UInt8], logicalBlockSize: Int = 512) {
    self.init(
      geometry: Geometry(
        logicalBlockSize: logicalBlockSize, byteCount: UInt64(image.count), memoryAlignment: min(logicalBlockSize, 512))
    )
    storage.store(image, at: 0)
  }

  /// The bytes the device holds now.
  public var image: [UInt8] { storage.bytes(in: 0..<Int(geometry.byteCount)) }

  public func attach(to reactor: Reactor, tagCount: Int) throws(DeviceError) {
    started.reserveCapacity(tagCount)
    completed.reserveCapacity(tagCount)
  }
  public func start(_ request: Request) { started.append(request) }
  public var hasUnsubmitted: Bool { !started.isEmpty }
  public func submit() {
    for request in started {
      storage.transfer(request)
      completed.append(request)
    }
    started.removeAll(keepingCapacity: true)
  }
  public func reap() -> Bool {
    guard !completed.isEmpty, let sink = target else { return false }
    let count = completed.count
    for index in 0..<count {
      let request = completed[index]
      sink.completed(request, result: request.remainingByteCount)
    }
    completed.removeFirst(count)
    return true
  }
}

/// A device that does nothing, at once: the floor under every measurement. Reads leave the memory as it was.
public final class NullDevice: BlockDevice {
  public let geometry: Geometry
  public var sink: (any CompletionSink)? {
    get { target }
    set { target = newValue }
  }
  /// Not weak: an object that is weakly referenced counts all its references more slowly. The queue clears it.
  private unowned var target: (any CompletionSink)?
  private var started: [Request] = []
  private var completed: [Request] = []

  /// A device of that size.
  public init(geometry: Geometry) { self.geometry = geometry }

  public func attach(to reactor: Reactor, tagCount: Int) throws(DeviceError) {
    started.reserveCapacity(tagCount)
    completed.reserveCapacity(tagCount)
  }
  public func start(_ request: Request) { started.append(request) }
  public var hasUnsubmitted: Bool { !started.isEmpty }
  public func submit() {
    // What completed before and is not reaped yet stays.
    completed.append(contentsOf: started)
    started.removeAll(keepingCapacity: true)
  }
  public func reap() -> Bool {
    guard !completed.isEmpty, let sink = target else { return false }
    let count = completed.count
    for index in 0..<count {
      let request = completed[index]
      sink.completed(request, result: request.remainingByteCount)
    }
    completed.removeFirst(count)
    return true
  }
}
