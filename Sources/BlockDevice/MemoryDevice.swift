public import Reactor

/// A device whose requests are served when they are submitted and complete at the next reap: in memory, or nowhere.
public class ImmediateDevice: BlockDevice {
  public let geometry: Geometry
  public var sink: (any CompletionSink)? {
    get { target }
    set { target = newValue }
  }
  /// Not weak: an object that is weakly referenced counts all its references more slowly. The queue clears it.
  private unowned var target: (any CompletionSink)?
  /// What is started and not reaped, and how many of them have been served.
  private var requests: [Request] = []
  private var servedCount = 0

  init(geometry: Geometry) { self.geometry = geometry }

  /// Moves the bytes of a request.
  func serve(_ request: Request) {}

  public func attach(to reactor: Reactor, tagCount: Int) throws(DeviceError) {
    requests.reserveCapacity(tagCount)
  }
  public func start(_ request: Request) { requests.append(request) }
  public var hasUnsubmitted: Bool { servedCount < requests.count }
  public func submit() {
    while servedCount < requests.count {
      serve(requests[servedCount])
      servedCount += 1
    }
  }
  public func reap() -> Bool {
    guard servedCount > 0, let sink = target else { return false }
    let count = servedCount
    // By index: whoever is told may start more.
    for index in 0..<count {
      let request = requests[index]
      sink.completed(request, result: request.remainingByteCount)
    }
    requests.removeFirst(count)
    servedCount -= count
    return true
  }
}

/// Bytes in memory as a device.
public final class MemoryDevice: ImmediateDevice {
  private let storage: Storage

  /// A zeroed device of that size.
  public override init(geometry: Geometry) {
    storage = Storage(byteCount: Int(geometry.byteCount))
    super.init(geometry: geometry)
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

  override func serve(_ request: Request) { storage.transfer(request) }
}

/// A device that does nothing, at once: the floor under every measurement. Reads leave the memory as it was.
public final class NullDevice: ImmediateDevice {
  /// A device of that size.
  public override init(geometry: Geometry) { super.init(geometry: geometry) }
}
