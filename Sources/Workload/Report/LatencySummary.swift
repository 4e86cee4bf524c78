/// How long operations of one kind took, in nanoseconds.
///
/// A summary, not a histogram: whoever records latencies reduces them to this when the run ends, so that a report needs
/// no package of its own.
package struct LatencySummary: Sendable, Equatable {
  /// The percentiles that are kept, in hundredths of a percent: fio's default list.
  package static let reportedPercentiles: [Int] = [
    100, 500, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 9500, 9900, 9950, 9990, 9995, 9999,
  ]

  package let count: UInt64
  package let minimum: UInt64
  package let maximum: UInt64
  /// Rounded down to a nanosecond, as is the standard deviation.
  package let mean: UInt64
  package let standardDeviation: UInt64
  /// One value for each of `reportedPercentiles`.
  package let percentiles: [UInt64]

  /// - Parameter valueAtPercentile: the latency that the given percentage (0 to 100) of operations does not exceed.
  package init(
    count: UInt64, minimum: UInt64, maximum: UInt64, mean: UInt64, standardDeviation: UInt64,
    valueAtPercentile: (Double) -> UInt64
  ) {
    self.count = count
    self.minimum = minimum
    self.maximum = maximum
    self.mean = mean
    self.standardDeviation = standardDeviation
    percentiles = Self.reportedPercentiles.map { valueAtPercentile(Double($0) / 100) }
  }

  /// The median.
  package var p50: UInt64 { percentile(5000) }
  package var p99: UInt64 { percentile(9900) }
  package var p999: UInt64 { percentile(9990) }

  private func percentile(_ hundredths: Int) -> UInt64 {
    guard let index = Self.reportedPercentiles.firstIndex(of: hundredths) else {
      preconditionFailure("\(hundredths) is one of the percentiles kept")
    }
    return percentiles[index]
  }
}
