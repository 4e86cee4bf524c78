// Everything that changes a device, in order: what a power cut at any moment may leave follows from it.
public import BlockDevice
internal import Reactor

/// A write, discard or zeroing that a device was asked for.
public struct RecordedWrite: Sendable, Equatable {
  public let operation: Operation
  /// Where, in bytes.
  public let offset: UInt64
  public let byteCount: Int
  /// What was written, as it was when the device took the request; empty for discards and zeroings, which leave zeroes.
  public let bytes: [UInt8]
  public let isFUA: Bool
  /// An inode's number, or 0.
  public let owner: UInt64
  public let isFileData: Bool

  /// A write as somebody else has noted it.
  public init(
    operation: Operation, offset: UInt64, byteCount: Int, bytes: [UInt8], isFUA: Bool = false, owner: UInt64 = 0,
    isFileData: Bool = false
  ) {
    self.operation = operation
    self.offset = offset
    self.byteCount = byteCount
    self.bytes = bytes
    self.isFUA = isFUA
    self.owner = owner
    self.isFileData = isFileData
  }

  /// The bytes of the device that change.
  public var range: Range<UInt64> { offset..<offset + UInt64(byteCount) }
}

/// What happened at a device.
public enum DeviceEvent: Sendable, Equatable {
  /// The device has taken the write with that index.
  case started(Int)
  /// The write is complete; false: it failed.
  case completed(Int, isDone: Bool)
  /// The device has taken the flush with that number.
  case flushStarted(Int)
  /// The flush is complete; false: it failed.
  case flushCompleted(Int, isDone: Bool)
  /// Whoever runs the experiment has set a mark.
  case mark(String)
}

/// The writes and flushes of a device since it was attached.
public struct DeviceHistory: Sendable, Equatable {
  public private(set) var writes: [RecordedWrite] = []
  public private(set) var events: [DeviceEvent] = []
  private var flushCount = 0

  /// Nothing yet.
  public init() {}

  /// Notes that the device has taken a write. Returns its index.
  public mutating func start(_ write: RecordedWrite) -> Int {
    writes.append(write)
    events.append(.started(writes.count - 1))
    return writes.count - 1
  }
  public mutating func complete(_ index: Int, isDone: Bool) { events.append(.completed(index, isDone: isDone)) }
  /// Notes that the device has taken a flush. Returns its number.
  public mutating func startFlush() -> Int {
    flushCount += 1
    events.append(.flushStarted(flushCount))
    return flushCount
  }
  public mutating func completeFlush(_ number: Int, isDone: Bool) {
    events.append(.flushCompleted(number, isDone: isDone))
  }
  public mutating func mark(_ text: String) { events.append(.mark(text)) }
}

/// Records what goes through to a device.
public final class HistoryLayer: DeviceLayer {
  /// What was recorded.
  public private(set) var history = DeviceHistory()
  /// The index of the write, or the number of the flush, that each tag has.
  private var indices: [Int] = []

  public override var summary: String {
    "history of \(history.writes.count) writes"
  }

  /// Sets a mark.
  public func mark(_ text: String) { history.mark(text) }

  public override func start(_ request: Request) {
    if let tag = request.tag, request.operation != .read {
      while indices.count <= tag { indices.append(0) }
      indices[tag] =
        request.operation == .flush
        ? history.startFlush()
        : history.start(
          RecordedWrite(
            operation: request.operation, offset: request.remainingOffset, byteCount: request.remainingByteCount,
            bytes: request.operation == .write ? request.gather() : [], isFUA: request.isFUA, owner: request.owner,
            isFileData: request.isFileData))
    }
    inner.start(request)
  }

  public override func finished(_ request: Request, _ result: Int) {
    if let tag = request.tag, request.operation != .read {
      if request.operation == .flush {
        history.completeFlush(indices[tag], isDone: result >= 0)
      } else {
        finish(indices[tag], result)
      }
    }
    tell(request, result)
  }

  /// What a short write has done is done; the rest comes again, as another write.
  private func finish(_ index: Int, _ result: Int) {
    let write = history.writes[index]
    history.complete(index, isDone: result == write.byteCount || switchedOff.contains(.failuresAreRecorded))
    guard write.operation == .write, result > 0, result < write.byteCount else { return }
    let part = history.start(
      RecordedWrite(
        operation: .write, offset: write.offset, byteCount: result, bytes: Array(write.bytes[..<result]),
        isFUA: write.isFUA, owner: write.owner, isFileData: write.isFileData))
    history.complete(part, isDone: true)
  }
}
