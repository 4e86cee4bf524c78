// fio's logs of bandwidth, latencies and IOPS, in the files and columns of its manual's LOG FILE FORMATS:
//
//   milliseconds since the copy counts, value, 0 read | 1 write | 2 trim, bytes, [offset,] 0
//
// The last column is the priority, which is never high here.

/// Which of these logs a job writes.
package struct OperationLogging: Sendable, Equatable {
  /// What the names of each kind's files begin with; nil: none are written.
  package var bandwidth: String?
  package var latency: String?
  package var iops: String?
  /// Each copy has its own, with its number in the name.
  package var isPerCopy: Bool
  package var hasOffsets: Bool
  /// Of operations that are averaged, the longest latency and not the mean.
  package var takesMaximum: Bool

  init(_ settings: ResolvedSettings, jobName: String) {
    func name(_ option: JobOption.Name) -> String? { settings.text(option).map { $0.isEmpty ? jobName : $0 } }
    bandwidth = name(.writeBandwidthLog)
    latency = name(.writeLatencyLog)
    iops = name(.writeIOPSLog)
    isPerCopy = settings.flag(.perJobLogs)
    hasOffsets = settings.flag(.logOffset)
    takesMaximum = settings.flag(.logMaximum)
  }

  /// The value of one of its options, as a user would write it.
  func text(of option: JobOption.Name) -> String? {
    switch option {
    case .writeBandwidthLog: bandwidth
    case .writeLatencyLog: latency
    case .writeIOPSLog: iops
    case .perJobLogs: isPerCopy ? "1" : "0"
    case .logOffset: hasOffsets ? "1" : "0"
    case .logMaximum: takesMaximum ? "1" : "0"
    default: nil
    }
  }

  /// The files of a copy, by the number that it has in the run.
  fileprivate func paths(number: Int) -> [(value: OperationLogs.Value, path: String)] {
    OperationLogs.Value.allCases.compactMap { value in
      let name =
        switch value {
        case .bandwidth: bandwidth
        case .submission, .completion, .total: latency
        case .iops: iops
        }
      return name.map { (value, "\($0)_\(value.rawValue)\(isPerCopy ? ".\(number)" : "").log") }
    }
  }
}

extension WorkloadPlan {
  /// The number of a copy among all of the run, from 1 on, as fio numbers its threads.
  private func number(jobIndex: Int, copy: Int) -> Int { jobs[..<jobIndex].reduce(copy + 1) { $0 + $1.copies } }

  /// Makes the logs of all jobs, empty: what cannot be written ends the run before it begins.
  func makeOperationLogs() throws(RunError) {
    for (index, job) in jobs.enumerated() {
      for copy in 0..<job.copies {
        for (_, path) in job.logging.paths(number: number(jobIndex: index, copy: copy)) {
          do throws(TraceError) { try LogFile.make(path) } catch { throw .trace(error) }
        }
      }
    }
  }

  /// The logs that a copy writes; nil: none.
  func operationLogs(jobIndex: Int, copy: Int) -> OperationLogs? {
    let job = jobs[jobIndex], paths = job.logging.paths(number: number(jobIndex: jobIndex, copy: copy))
    return paths.isEmpty ? nil : OperationLogs(paths, job.logging, windowNanoseconds: job.seriesNanoseconds)
  }
}

/// The logs of one copy of a job: a line for each operation, or, with `log_avg_msec`, for those of a window.
final class OperationLogs {
  /// What a log has; the raw value is its part of the file's name.
  enum Value: String, CaseIterable {
    case bandwidth = "bw"
    case submission = "slat"
    case completion = "clat"
    case total = "lat"
    case iops

    fileprivate var option: JobOption.Name {
      switch self {
      case .bandwidth: .writeBandwidthLog
      case .submission, .completion, .total: .writeLatencyLog
      case .iops: .writeIOPSLog
      }
    }
  }

  /// Latencies of a window.
  private struct Sum {
    var count: UInt64 = 0
    var nanoseconds: UInt64 = 0
    var maximum: UInt64 = 0

    mutating func add(_ nanoseconds: UInt64) {
      count += 1
      self.nanoseconds += nanoseconds
      maximum = max(maximum, nanoseconds)
    }
    mutating func add(_ other: Sum) {
      count += other.count
      nanoseconds += other.nanoseconds
      maximum = max(maximum, other.maximum)
    }
    var mean: UInt64 { (nanoseconds + count / 2) / count }
  }
  /// The operations of one direction in a window.
  private struct Sums {
    var count: UInt64 = 0
    var byteCount: UInt64 = 0
    var submission = Sum(), completion = Sum(), total = Sum()

    mutating func add(_ other: Sums) {
      count += other.count
      byteCount += other.byteCount
      submission.add(other.submission)
      completion.add(other.completion)
      total.add(other.total)
    }
  }
  private struct Window {
    var number: UInt64
    var sums = PerDirection(Sums())
  }

  private let files: [(value: Value, file: LogFile)]
  private let hasOffsets: Bool
  private let takesMaximum: Bool
  /// Nil: a line for each operation.
  private let windowNanoseconds: UInt64?
  private var window = Window(number: 0)
  /// The one before, which is written when it is known how long this one is.
  private var before: Window?

  fileprivate init(
    _ paths: [(value: Value, path: String)], _ logging: OperationLogging, windowNanoseconds: UInt64?
  ) {
    files = paths.map { ($0.value, LogFile(path: $0.path)) }
    hasOffsets = logging.hasOffsets
    takesMaximum = logging.takesMaximum
    self.windowNanoseconds = windowNanoseconds
  }

  /// Notes an operation that ended well, by the nanoseconds since the copy counts; what moves no bytes is in no log.
  func note(
    _ operation: ReportedOperation, bytes: Int, offset: UInt64, nanoseconds: UInt64, submission: UInt64?,
    at time: UInt64
  ) {
    guard let direction = Direction(operation) else { return }
    let completion = nanoseconds - min(nanoseconds, submission ?? 0)
    if let windowNanoseconds {
      // A window has its end, and not its begin: so none is empty.
      let number = time == 0 ? 0 : (time - 1) / windowNanoseconds
      if number > window.number {
        if let before { write(before, until: (before.number + 1) * windowNanoseconds) }
        before = window
        window = Window(number: number)
      }
      window.sums[direction].count += 1
      window.sums[direction].byteCount += UInt64(bytes)
      if let submission { window.sums[direction].submission.add(submission) }
      window.sums[direction].completion.add(completion)
      window.sums[direction].total.add(nanoseconds)
      return
    }
    for (value, file) in files {
      let number: UInt64? =
        switch value {
        case .bandwidth: ReportNumber.perSecond(UInt64(bytes), nanoseconds: completion) / 1024
        case .submission: submission
        case .completion: completion
        case .total: nanoseconds
        case .iops: 1
        }
      if let number { line(file, time, number, direction, UInt64(bytes), offset) }
    }
  }

  /// The copy has ended.
  func end(at time: UInt64) {
    if let windowNanoseconds { writeLast(at: time, windowNanoseconds) }
    for (_, file) in files { file.flush() }
  }

  /// What could not be written.
  var findings: [Finding] { files.compactMap { $1.finding($0.option) } }

  /// The last window, as far as it goes: where that is less than a half, with the one before. What is done in a moment says
  /// nothing about a rate.
  private func writeLast(at end: UInt64, _ length: UInt64) {
    if var before {
      if before.number + 1 == window.number, end - window.number * length < length / 2 {
        for direction in Direction.allCases { before.sums[direction].add(window.sums[direction]) }
        write(before, until: end)
        return
      }
      write(before, until: (before.number + 1) * length)
    }
    write(window, until: end)
  }

  /// Writes a line for each direction in which something was done.
  private func write(_ window: Window, until end: UInt64) {
    let length = end - window.number * (windowNanoseconds ?? 0)
    for direction in Direction.allCases where window.sums[direction].count > 0 {
      let sums = window.sums[direction]
      for (value, file) in files {
        let number: UInt64? =
          switch value {
          case .bandwidth: ReportNumber.perSecond(sums.byteCount, nanoseconds: length) / 1024
          case .submission: latency(sums.submission)
          case .completion: latency(sums.completion)
          case .total: latency(sums.total)
          case .iops: ReportNumber.perSecond(sums.count, nanoseconds: length)
          }
        if let number { line(file, end, number, direction, 0, 0) }
      }
    }
  }

  private func latency(_ sum: Sum) -> UInt64? { sum.count == 0 ? nil : takesMaximum ? sum.maximum : sum.mean }

  private func line(
    _ file: LogFile, _ time: UInt64, _ value: UInt64, _ direction: Direction, _ byteCount: UInt64, _ offset: UInt64
  ) {
    let start = [time / 1_000_000, value, direction.logNumber, byteCount]
    file.line(start + (hasOffsets ? [offset, 0] : [0]))
  }
}

extension Direction {
  /// Nil: no bytes go.
  fileprivate init?(_ operation: ReportedOperation) {
    switch operation {
    case .read: self = .read
    case .write, .writeZeroes: self = .write
    case .trim: self = .trim
    case .truncate, .fsync, .create, .unlink, .rename: return nil
    }
  }

  fileprivate var logNumber: UInt64 {
    switch self {
    case .read: 0
    case .write: 1
    case .trim: 2
    }
  }
}
