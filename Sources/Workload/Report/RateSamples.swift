/// How much went a second, sampled over time as fio does: a sample for each interval of a job's rates.
struct RateSamples {
  let count: Int
  let minimum: UInt64
  let maximum: UInt64
  /// In millionths, as is the standard deviation.
  let meanMillionths: UInt64
  let deviationMillionths: UInt64

  /// Of what each interval counts; nil when none was over when the job ended.
  init?(
    _ group: GroupReport, _ operation: ReportedOperation, unit: UInt64 = 1, _ value: (RateSeries.Amount) -> UInt64
  ) {
    guard let amounts = group.rates.amounts[operation], !amounts.isEmpty else { return nil }
    let rates = amounts.map { ReportNumber.perSecond(value($0), nanoseconds: group.rates.interval) / unit }
    count = rates.count
    minimum = rates.min() ?? 0
    maximum = rates.max() ?? 0
    let mean = rates.reduce(0.0) { $0 + Double($1) } / Double(rates.count)
    let squares = rates.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
    meanMillionths = UInt64(min(1e18, mean * 1e6))
    deviationMillionths = UInt64(min(1e18, (squares / Double(max(1, rates.count - 1))).squareRoot() * 1e6))
  }

  /// Bandwidth in KiB/s, as fio has it.
  static func bandwidth(_ group: GroupReport, _ operation: ReportedOperation) -> RateSamples? {
    RateSamples(group, operation, unit: 1024, \.byteCount)
  }
  static func iops(_ group: GroupReport, _ operation: ReportedOperation) -> RateSamples? {
    RateSamples(group, operation, \.count)
  }

  /// The mean as a part of the job's bandwidth, in millionths of a percent; as with fio, at most all of it.
  func share(ofKibibytes bandwidth: UInt64) -> UInt64 {
    min(Percentiles.whole, ReportNumber.scaled(meanMillionths, 100, over: bandwidth))
  }
}
