public import BlockDevice
public import Reactor

/// What went through a layer, by operation.
public struct LayerStatistics: Equatable, Sendable {
  /// Of one operation.
  public struct Line: Equatable, Sendable {
    /// Requests that ended.
    public var requestCount: UInt64 = 0
    /// Bytes that were done.
    public var byteCount: UInt64 = 0
    /// Requests that failed.
    public var failureCount: UInt64 = 0
    /// Requests that did less than was asked.
    public var shortCount: UInt64 = 0
    /// All times of requests, in nanoseconds.
    public var nanoseconds: UInt64 = 0
    /// The longest time, in nanoseconds.
    public var longestNanoseconds: UInt64 = 0
    /// How many took less than 2^n nanoseconds, by n from 0 to 63, and not less than half of that.
    public var histogram = [UInt64](repeating: 0, count: 64)

    /// Enters a request of so many bytes that ended with `result` after a time.
    fileprivate mutating func count(
      _ operation: Operation, _ byteCount: Int, _ result: Int, _ time: UInt64, countsFailure: Bool
    ) {
      requestCount += 1
      if result < 0 && countsFailure {
        failureCount += 1
      } else if operation != .flush {
        self.byteCount += UInt64(max(0, result))
        if result < byteCount { shortCount += 1 }
      }
      nanoseconds += time
      longestNanoseconds = max(longestNanoseconds, time)
      histogram[min(63, UInt64.bitWidth - time.leadingZeroBitCount)] += 1
    }
  }
  /// The lines, by operation.
  public var lines: [Operation: Line] = [:]
  /// The most requests that were at the device at once.
  public var deepest = 0
}

/// Counts and times what goes through.
public final class StatisticsLayer: DeviceLayer {
  private var lines = [LayerStatistics.Line](repeating: LayerStatistics.Line(), count: Operation.allCases.count)
  private var begun: [UInt64] = []
  private var depth = 0
  private var deepest = 0

  public override var summary: String { "statistics" }

  /// What was counted since the device was attached.
  public var statistics: LayerStatistics {
    var statistics = LayerStatistics()
    for operation in Operation.allCases where lines[Int(operation.rawValue)].requestCount > 0 {
      statistics.lines[operation] = lines[Int(operation.rawValue)]
    }
    statistics.deepest = deepest
    return statistics
  }

  public override func attach(to reactor: Reactor, tagCount: Int) throws(DeviceError) {
    try super.attach(to: reactor, tagCount: tagCount)
    begun = Array(repeating: 0, count: tagCount)
  }

  public override func start(_ request: Request) {
    if let tag = request.tag, tag < tagCount, let reactor { begun[tag] = reactor.now.nanoseconds }
    if !switchedOff.contains(.depthIsCounted) { depth += 1 }
    deepest = max(deepest, depth)
    inner.start(request)
  }

  public override func finished(_ request: Request, _ result: Int) {
    depth -= 1
    if let tag = request.tag, tag < tagCount, let reactor {
      let operation = request.operation
      lines[Int(operation.rawValue)].count(
        operation, request.remainingByteCount, result, reactor.now.nanoseconds - begun[tag],
        countsFailure: !switchedOff.contains(.failuresAreCounted))
    }
    tell(request, result)
  }
}
