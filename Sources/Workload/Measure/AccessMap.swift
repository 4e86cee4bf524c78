internal import BlockDevice
internal import DeviceLayers
internal import Reactor

/// Where on a device requests went, over time: a grid of counts.
package struct AccessMap: Sendable, Equatable {
  /// A column is so wide, in nanoseconds.
  package private(set) var columnNanoseconds: UInt64
  /// A row is so high, in bytes.
  package let rowByteCount: UInt64
  package static let rowCount = 64
  private static let columnLimit = 256
  /// Requests that read, and that changed something, a list of rows for each column.
  package private(set) var reads: [[UInt32]] = []
  package private(set) var writes: [[UInt32]] = []
  package let deviceByteCount: UInt64

  package init(deviceByteCount: UInt64, columnNanoseconds: UInt64 = 1_000_000) {
    self.columnNanoseconds = columnNanoseconds
    self.deviceByteCount = deviceByteCount
    let (whole, rest) = deviceByteCount.quotientAndRemainder(dividingBy: UInt64(Self.rowCount))
    rowByteCount = max(1, whole + (rest == 0 ? 0 : 1))
  }

  /// Notes a request. A large one counts in every row that it touches.
  package mutating func note(_ range: Range<UInt64>, isWrite: Bool, at time: UInt64) {
    while time / columnNanoseconds >= UInt64(Self.columnLimit) { widen() }
    let column = Int(time / columnNanoseconds)
    while reads.count <= column {
      reads.append([UInt32](repeating: 0, count: Self.rowCount))
      writes.append([UInt32](repeating: 0, count: Self.rowCount))
    }
    let last = min(Self.rowCount - 1, Int((max(range.upperBound, range.lowerBound + 1) - 1) / rowByteCount))
    let first = min(last, Int(range.lowerBound / rowByteCount))
    for row in first...last {
      if isWrite { writes[column][row] &+= 1 } else { reads[column][row] &+= 1 }
    }
  }

  private mutating func widen() {
    columnNanoseconds *= 2
    func pairs(_ columns: [[UInt32]]) -> [[UInt32]] {
      stride(from: 0, to: columns.count, by: 2).map { index in
        index + 1 < columns.count ? zip(columns[index], columns[index + 1]).map { $0 &+ $1 } : columns[index]
      }
    }
    reads = pairs(reads)
    writes = pairs(writes)
  }

  /// Adds another opening of the same device.
  package mutating func add(_ other: AccessMap) {
    guard rowByteCount == other.rowByteCount else { return }
    var other = other
    while columnNanoseconds < other.columnNanoseconds { widen() }
    while other.columnNanoseconds < columnNanoseconds { other.widen() }
    while reads.count < other.reads.count {
      reads.append([UInt32](repeating: 0, count: Self.rowCount))
      writes.append([UInt32](repeating: 0, count: Self.rowCount))
    }
    for column in other.reads.indices {
      reads[column] = zip(reads[column], other.reads[column]).map { $0 &+ $1 }
      writes[column] = zip(writes[column], other.writes[column]).map { $0 &+ $1 }
    }
  }
}

/// Notes where requests go that a queue gives to its device.
final class AccessLayer: DeviceLayer {
  private(set) var map: AccessMap
  /// The instant of the run's begin; nil: nothing is noted yet.
  var origin: Instant?
  /// What the times count from, in nanoseconds before `origin`.
  var offset: UInt64 = 0

  override init(_ inner: any BlockDevice) {
    map = AccessMap(deviceByteCount: inner.geometry.byteCount)
    super.init(inner)
  }
  override var summary: String { "access map" }

  override func start(_ request: Request) {
    if let origin, let reactor, request.operation != .flush {
      let now = reactor.now
      if now >= origin {
        map.note(
          request.offset..<request.offset + UInt64(request.transferByteCount), isWrite: request.operation.isWrite,
          at: now.nanoseconds(since: origin) + offset)
      }
    }
    super.start(request)
  }
}
