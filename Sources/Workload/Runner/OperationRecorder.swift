internal import Histogram

/// What one copy of a job has done, and how long it took.
///
/// Latencies are kept with two significant digits, as fio keeps them (its buckets are 1/64 wide), so that a histogram
/// takes some 15 KiB: it grows to what is recorded.
final class OperationRecorder {
  private(set) var counts = PerOperation<UInt64>()
  private(set) var byteCounts = PerOperation<UInt64>()
  private var histograms: [ReportedOperation: Histogram<UInt32>] = [:]
  private(set) var errorCount: UInt64 = 0

  /// Notes an operation that ended well. `nanoseconds`: from its call to its return.
  func record(_ operation: ReportedOperation, bytes: Int, nanoseconds: UInt64) {
    counts[operation, default: 0] += 1
    byteCounts[operation, default: 0] += UInt64(bytes)
    histograms[operation, default: Self.emptyHistogram()].record(nanoseconds)
  }

  func recordError() { errorCount += 1 }

  /// Adds what another copy has done.
  func add(_ other: OperationRecorder) {
    errorCount += other.errorCount
    for operation in ReportedOperation.allCases {
      if let count = other.counts[operation] { counts[operation, default: 0] += count }
      if let bytes = other.byteCounts[operation] { byteCounts[operation, default: 0] += bytes }
      if let histogram = other.histograms[operation] {
        histograms[operation, default: Self.emptyHistogram()].add(histogram)
      }
    }
  }

  /// The latencies of one kind of operation; nil when there was none.
  func latency(of operation: ReportedOperation) -> LatencySummary? {
    guard let histogram = histograms[operation], histogram.totalCount > 0 else { return nil }
    return LatencySummary(
      count: histogram.totalCount, minimum: histogram.min, maximum: histogram.max, mean: UInt64(histogram.mean),
      standardDeviation: UInt64(histogram.stdDeviation)
    ) { min(histogram.valueAtPercentile($0), histogram.max) }
  }

  /// Counts, bytes and latencies, for the report.
  var figures: PerOperation<OperationFigures> {
    var figures = PerOperation<OperationFigures>()
    for (operation, count) in counts.present {
      figures[operation] = OperationFigures(
        count: count, bytes: byteCounts[operation] ?? 0, latency: latency(of: operation))
    }
    return figures
  }

  private static func emptyHistogram() -> Histogram<UInt32> { Histogram(numberOfSignificantValueDigits: .two) }
}

extension PerOperation where Value == UInt64 {
  subscript(operation: ReportedOperation, default value: UInt64) -> UInt64 {
    get { self[operation] ?? value }
    set { self[operation] = newValue }
  }
}
