/// When a job has run long enough: its rate no longer changes (fio's `steadystate`).
package struct SteadyState: Sendable, Equatable {
  /// What has to be steady, and how steady.
  package struct Criterion: Sendable, Equatable {
    package var countsBytes: Bool
    /// By the slope of the line through the window; else by the largest distance from its mean.
    package var isSlope: Bool
    package var limit: Double
    /// The limit is a part of the mean, in percent.
    package var isPercent: Bool

    /// `iops:5%`, `bw_slope:0.1%`, `iops:200`; nil when it is none.
    package init?(_ text: some StringProtocol) {
      let parts = text.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 2, var number = parts.last else { return nil }
      switch parts[0] {
      case "iops": (countsBytes, isSlope) = (false, false)
      case "bw": (countsBytes, isSlope) = (true, false)
      case "iops_slope": (countsBytes, isSlope) = (false, true)
      case "bw_slope": (countsBytes, isSlope) = (true, true)
      default: return nil
      }
      isPercent = number.hasSuffix("%")
      if isPercent { number = number.dropLast() }
      guard let value = Double(number), value.isFinite, value >= 0 else { return nil }
      limit = value
    }

    package var text: String {
      let name = (countsBytes ? "bw" : "iops") + (isSlope ? "_slope" : "")
      return "\(name):\(limit == limit.rounded() && limit < 1e15 ? "\(Int(limit))" : "\(limit)")\(isPercent ? "%" : "")"
    }
  }

  package let criterion: Criterion
  /// Seconds of the window, and those at the begin that do not count.
  package let duration: Int
  package let ramp: Int
  /// Operations and bytes of the seconds of the window, the last one at the end.
  package private(set) var operations: [UInt64] = []
  package private(set) var bytes: [UInt64] = []
  private var second = 0
  private var current = (operations: UInt64(0), bytes: UInt64(0))
  package private(set) var isAttained = false
  /// How far the last whole window was from steady, in the criterion's unit; nil: there was none.
  package private(set) var deviation: Double?
  /// The same in operations or bytes a second: the largest distance from the mean, or the slope, which may fall.
  package private(set) var distance = 0.0

  package init(_ criterion: Criterion, duration: Int, ramp: Int) {
    self.criterion = criterion
    self.duration = max(1, duration)
    self.ramp = ramp
  }

  /// Notes an operation that ended so many nanoseconds after the job's start.
  package mutating func note(bytes count: Int, at time: UInt64) {
    let now = Int(min(time / 1_000_000_000, UInt64(Int32.max)))
    while second < now && !isAttained {
      endSecond()
      // A pause of more than a window leaves nothing but zeroes in it.
      if now - second > duration && current.operations == 0 { second = now - duration }
    }
    current.operations += 1
    current.bytes += UInt64(count)
  }

  private mutating func endSecond() {
    if second >= ramp {
      operations.append(current.operations)
      bytes.append(current.bytes)
      if operations.count > duration {
        operations.removeFirst()
        bytes.removeFirst()
      }
      if operations.count == duration { judge() }
    }
    current = (0, 0)
    second += 1
  }

  private mutating func judge() {
    let values = (criterion.countsBytes ? bytes : operations).map { Double($0) }
    let count = Double(values.count), mean = values.reduce(0, +) / count
    if criterion.isSlope {
      // The line of least squares through (0, v0), (1, v1), …
      let middle = (count - 1) / 2
      var above = 0.0, below = 0.0
      for (index, value) in values.enumerated() {
        above += (Double(index) - middle) * (value - mean)
        below += (Double(index) - middle) * (Double(index) - middle)
      }
      distance = below == 0 ? 0 : above / below
    } else {
      distance = values.map { abs($0 - mean) }.max() ?? 0
    }
    var result = distance.magnitude
    if criterion.isPercent { result = mean == 0 ? .infinity : result / mean * 100 }
    deviation = result
    isAttained = result <= criterion.limit
  }

  package static func == (one: SteadyState, other: SteadyState) -> Bool {
    one.criterion == other.criterion && one.duration == other.duration && one.ramp == other.ramp
      && one.operations == other.operations && one.bytes == other.bytes && one.isAttained == other.isAttained
      && one.deviation == other.deviation && one.distance == other.distance
  }
}
