package import DeviceLayers
package import PageCache

/// What one run did and what was found out about it: the figures, the verdicts, and the command that repeats it.
///
/// Plain values, integers throughout: counts, bytes and nanoseconds. What does not apply to a run is nil, and is absent
/// from its report. The writers (`NormalReport`, `JSONReport`) only format; nothing is measured or judged there.
package struct RunReport: Sendable, Equatable {
  /// The command that offers the same load again.
  package var command: String
  package var seed: UInt64
  /// From the first operation to the last, without making, checking and mounting an image.
  package var elapsedNanoseconds: UInt64
  /// Whether somebody stopped the run before its time.
  package var isInterrupted = false
  /// The jobs, each copy or each group of copies.
  package var groups: [GroupReport] = []
  /// How many operations completed, of all jobs. Overwrites and appends both are writes.
  package var operations = PerOperation<UInt64>()
  package var latencies = PerOperation<LatencySummary>()
  package var writeback: WritebackCounters?
  package var device: DeviceFigures?
  /// What the volume did beside writeback.
  package var volume: VolumeFigures?
  /// What the reactors' threads cost from the first operation to the last; nil in simulation.
  package var processor: ProcessorTime?
  /// Whether the JSON report is to have the figures over time, too.
  package var wantsSeries = false
  /// Counters of the devices, or of the volume, over time; nil when nobody asked for them.
  package var counterSeries: CounterSeries?
  /// Where requests went over time, by device; empty when nobody asked.
  package var accessMaps: [NamedAccessMap] = []
  /// Where and with what the run was made.
  package var provenance: Provenance?
  /// What became of the layers around the devices, where there were any.
  package var layers: StackReport?
  /// What jobs replayed, each that replays a log.
  package var replays: [ReplayFigures] = []
  package var verify: VerifyFigures?
  /// The exit status of `e2fsck -fn`.
  package var e2fsckExit: Int32?
  /// The process's high-water mark of resident memory.
  package var peakMemoryBytes: UInt64?
  /// What did not hold; empty when all did.
  package var findings: [Finding] = []
  /// The run beside an earlier one, where that was asked for.
  package var comparison: Comparison?

  package init(command: String, seed: UInt64, elapsedNanoseconds: UInt64) {
    self.command = command
    self.seed = seed
    self.elapsedNanoseconds = elapsedNanoseconds
  }

  /// What the process ends with. Lost data outranks a failed judge, that an I/O error, and that an interruption: who
  /// stops a run that has lost data must still hear of it. Half a run is not judged against a whole one.
  package var exitCode: ExitCode {
    let codes = findings.map(\.kind.exitCode)
    if codes.contains(.verificationMismatch) { return .verificationMismatch }
    if codes.contains(.invariantFailed) { return .invariantFailed }
    if codes.contains(.jobError) { return .jobError }
    if isInterrupted { return .interrupted }
    // The run before was another one.
    if comparison?.rows.isEmpty == true { return .usage }
    return comparison?.hasRegression == true ? .regression : .allHeld
  }
}

/// The accesses of one device.
package struct NamedAccessMap: Sendable, Equatable {
  package var name: String
  package var map: AccessMap
}

/// What the command's exit status says.
package enum ExitCode: Int32, Sendable {
  case allHeld = 0
  /// An I/O or job error.
  case jobError = 1
  case usage = 2
  case verificationMismatch = 3
  /// An invariant or a judge failed.
  case invariantFailed = 4
  /// The machine lacks something.
  case environment = 5
  /// A run is slower than the one it is compared with.
  case regression = 6
  case interrupted = 130
}

/// What a report tells operations apart by.
package enum ReportedOperation: String, CaseIterable, Sendable {
  case read, write, trim
  case writeZeroes = "write_zeroes"
  case truncate, fsync, create, unlink, rename

  /// Its place among all.
  package var index: Int {
    switch self {
    case .read: 0
    case .write: 1
    case .trim: 2
    case .writeZeroes: 3
    case .truncate: 4
    case .fsync: 5
    case .create: 6
    case .unlink: 7
    case .rename: 8
    }
  }
  /// Whether bytes go with it.
  package var movesBytes: Bool { index <= Self.writeZeroes.index }
}

/// A value for each kind of operation that a run has.
package struct PerOperation<Value: Sendable>: Sendable {
  private var values = [Value?](repeating: nil, count: ReportedOperation.allCases.count)

  package init() {}

  package subscript(operation: ReportedOperation) -> Value? {
    get { values[operation.index] }
    set { values[operation.index] = newValue }
  }

  /// The operations that have a value, in the order of every report.
  package var present: [(operation: ReportedOperation, value: Value)] {
    ReportedOperation.allCases.compactMap { operation in self[operation].map { (operation, $0) } }
  }
}

extension PerOperation: Equatable where Value: Equatable {}

extension PerOperation: ExpressibleByDictionaryLiteral {
  package init(dictionaryLiteral elements: (ReportedOperation, Value)...) {
    self.init()
    for (operation, value) in elements { self[operation] = value }
  }
}

/// One job, or all copies of one, as fio reports them.
package struct GroupReport: Sendable, Equatable {
  package var name: String
  /// fio's groupid: jobs that are reported as one share it.
  package var groupID: Int
  /// How many copies the figures are the sum of.
  package var copies: Int
  /// How many operations failed.
  package var errors: UInt64
  package var runtimeNanoseconds: UInt64
  package var operations: PerOperation<OperationFigures>
  /// What the job cost the processor; nil in simulation.
  package var processor: ProcessorTime?
  /// Whether the rate was steady, of the first of its copies; nil when nobody asked.
  package var steadyState: SteadyState?
  /// The rates that its copies ask for, together; nil where one of them asks for none.
  package var wantedRates = PerOperation<WantedRate>()
  /// How much the job did in each half second.
  package var rates = RateSeries()
  /// The operations over time; nil when nobody asked for them.
  package var series: TimeSeries?
  /// From when on the job counts, in nanoseconds of the series, which begins with the run.
  package var seriesFrom: UInt64 = 0
  /// The error number of the first operation that failed; 0: none did.
  package var firstError: Int32 = 0
  /// Of jobs on devices.
  package var queue: QueueFigures?
  /// The job itself; nil where only its figures are known.
  package var job: Job?

  package init(
    name: String, groupID: Int, copies: Int, errors: UInt64, runtimeNanoseconds: UInt64,
    operations: PerOperation<OperationFigures>
  ) {
    self.name = name
    self.groupID = groupID
    self.copies = copies
    self.errors = errors
    self.runtimeNanoseconds = runtimeNanoseconds
    self.operations = operations
  }
}

extension GroupReport {
  /// Operations and bytes a second.
  package struct WantedRate: Sendable, Equatable {
    var operations: UInt64?
    var bytes: UInt64?

    func adding(_ other: WantedRate) -> WantedRate {
      func sum(_ a: UInt64?, _ b: UInt64?) -> UInt64? { a.flatMap { a in b.map { a + $0 } } }
      return WantedRate(operations: sum(operations, other.operations), bytes: sum(bytes, other.bytes))
    }
  }

  /// A rate that a job asks for, beside what came of it.
  struct KeptRate {
    let operation: ReportedOperation
    /// `iops` or `bytes/s`.
    let unit: String
    let wanted: UInt64
    let actual: Double
    /// As a part of what was wanted.
    var drift: Double { actual / Double(wanted) - 1 }
  }

  var keptRates: [KeptRate] {
    wantedRates.present.flatMap { operation, rate -> [KeptRate] in
      guard let figures = operations[operation], runtimeNanoseconds > 0 else { return [] }
      func kept(_ wanted: UInt64?, _ unit: String, _ done: UInt64) -> KeptRate? {
        wanted.map {
          KeptRate(
            operation: operation, unit: unit, wanted: $0, actual: Double(done) * 1e9 / Double(runtimeNanoseconds))
        }
      }
      return [kept(rate.operations, "iops", figures.count), kept(rate.bytes, "bytes/s", figures.bytes)]
        .compactMap(\.self)
    }
  }
}

/// One kind of operation of one job.
package struct OperationFigures: Sendable, Equatable {
  package var count: UInt64
  /// Bytes read or written; 0 for operations that move none.
  package var bytes: UInt64
  /// From the start of an operation to its end.
  package var latency: LatencySummary?
  /// The parts of it: until the device had the operation, and from there to the end. Of operations on devices.
  package var submission: LatencySummary?
  package var completion: LatencySummary?
  /// From when it was meant to start, by the job's rate, to its end. Of jobs that have a rate.
  package var intended: LatencySummary?

  package init(count: UInt64, bytes: UInt64, latency: LatencySummary? = nil) {
    self.count = count
    self.bytes = bytes
    self.latency = latency
  }
}
