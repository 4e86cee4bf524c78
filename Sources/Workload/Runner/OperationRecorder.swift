package import Histogram

/// What was done of one kind of operation, and how long it took, in nanoseconds.
///
/// Latencies are kept with two significant digits, as fio keeps them (its buckets are 1/64 wide), so that a histogram
/// takes some 15 KiB: it grows to what is recorded.
package struct OperationRecord: Sendable {
  package private(set) var count: UInt64 = 0
  package private(set) var byteCount: UInt64 = 0
  /// From the start of an operation until the device has it.
  package private(set) var submission: Latencies?
  /// From there to its end.
  package private(set) var completion: Latencies?
  /// From the start to the end.
  package private(set) var total = Latencies()
  /// From when it was meant to start, by the job's rate, to the end.
  package private(set) var intended: Latencies?

  package init() {}

  /// Adds an operation.
  ///
  /// - Parameters:
  ///   - submission: of `total`, the time until the device had it; nil: unknown.
  ///   - lateness: how long after its intended start it began; nil: it had none.
  @inline(__always)
  mutating func record(byteCount: Int, total nanoseconds: UInt64, submission: UInt64? = nil, lateness: UInt64? = nil) {
    count += 1
    self.byteCount += UInt64(byteCount)
    total.record(nanoseconds)
    if let submission {
      if self.submission == nil {
        self.submission = Latencies()
        completion = Latencies()
      }
      self.submission?.record(submission)
      completion?.record(nanoseconds - min(nanoseconds, submission))
    }
    if let lateness {
      if intended == nil { intended = Latencies() }
      intended?.record(nanoseconds + lateness)
    }
  }

  /// Adds what another copy has done.
  mutating func add(_ other: OperationRecord) {
    count += other.count
    byteCount += other.byteCount
    total.add(other.total)
    func add(_ part: Latencies?, to sum: inout Latencies?) {
      guard let part else { return }
      if sum == nil { sum = part } else { sum?.add(part) }
    }
    add(other.submission, to: &submission)
    add(other.completion, to: &completion)
    add(other.intended, to: &intended)
  }
}

/// How long operations took, in nanoseconds: a histogram with two significant digits, and the exact ends.
package struct Latencies: Sendable {
  package private(set) var histogram = Histogram<UInt32>(numberOfSignificantValueDigits: .two)
  private(set) var minimum = UInt64.max
  private(set) var maximum: UInt64 = 0
  /// Of all; 584 years fit.
  private(set) var sum: UInt64 = 0

  mutating func record(_ nanoseconds: UInt64) {
    histogram.record(nanoseconds)
    sum &+= nanoseconds
    if nanoseconds < minimum { minimum = nanoseconds }
    if nanoseconds > maximum { maximum = nanoseconds }
  }
  mutating func add(_ other: Latencies) {
    histogram.add(other.histogram)
    sum &+= other.sum
    minimum = min(minimum, other.minimum)
    maximum = max(maximum, other.maximum)
  }
}

/// Records the operations of one copy of a job.
final class OperationRecorder {
  /// One kind while it grows. A class: a record in an array would be checked for exclusive access at each operation.
  private final class Kind {
    var record = OperationRecord()
  }
  private let kinds = ReportedOperation.allCases.map { _ in Kind() }
  private(set) var errorCount: UInt64 = 0
  /// The error number of the first of them.
  private(set) var firstError: Int32 = 0
  private(set) var queue = QueueFigures()

  /// Notes an operation that ended well; see `OperationRecord.record`.
  func record(
    _ operation: ReportedOperation, bytes: Int, nanoseconds: UInt64, submission: UInt64? = nil, lateness: UInt64? = nil
  ) {
    kinds[operation.index].record.record(
      byteCount: bytes, total: nanoseconds, submission: submission, lateness: lateness)
  }

  func recordError(_ number: Int32) {
    if errorCount == 0 { firstError = number }
    errorCount += 1
  }

  /// Notes that an operation began, as the one that made so many in flight.
  @inline(__always)
  func noteDepth(_ depth: Int) { queue.noteDepth(depth) }
  /// Notes how many began together, and how many had ended before them.
  func noteRound(begun: Int, completed: Int) { queue.noteRound(begun: begun, completed: completed) }

  /// Forgets everything: what came before counts no more.
  func reset() {
    for kind in kinds { kind.record = OperationRecord() }
    errorCount = 0
    firstError = 0
    queue = QueueFigures()
  }

  func count(of operation: ReportedOperation) -> UInt64 { kinds[operation.index].record.count }
  func byteCount(of operation: ReportedOperation) -> UInt64 { kinds[operation.index].record.byteCount }

  /// How much was done so far.
  var amounts: PerOperation<RateSeries.Amount> {
    var amounts = PerOperation<RateSeries.Amount>()
    for operation in ReportedOperation.allCases where count(of: operation) > 0 {
      amounts[operation] = RateSeries.Amount(count: count(of: operation), byteCount: byteCount(of: operation))
    }
    return amounts
  }

  /// What was recorded so far.
  var records: PerOperation<OperationRecord> {
    var records = PerOperation<OperationRecord>()
    for operation in ReportedOperation.allCases where kinds[operation.index].record.count > 0 {
      records[operation] = kinds[operation.index].record
    }
    return records
  }
}

extension PerOperation where Value == OperationRecord {
  /// Adds what another copy has done.
  mutating func add(_ other: Self) {
    for (operation, record) in other.present {
      if self[operation] == nil { self[operation] = record } else { self[operation]?.add(record) }
    }
  }
}

extension LatencySummary {
  /// Of what was recorded; nil when nothing was.
  init?(_ latencies: Latencies?) {
    guard let latencies, latencies.histogram.totalCount > 0 else { return nil }
    let histogram = latencies.histogram
    self.init(
      minimum: latencies.minimum, maximum: latencies.maximum, sum: latencies.sum,
      buckets: histogram.recordedValues().map { entry in
        Bucket(
          lowest: histogram.lowestEquivalentForValue(entry.value),
          highest: histogram.highestEquivalentForValue(entry.value), count: UInt64(entry.count))
      })
  }
}
