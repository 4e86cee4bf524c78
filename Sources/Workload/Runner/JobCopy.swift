internal import BlockDevice
internal import Reactor

/// One operation of a job's pattern: what it does, in which of the copy's files, where, and when it was meant to begin.
struct Step {
  let operation: Operation
  let file: Int
  let offset: UInt64
  let byteCount: Int
  /// Nanoseconds after the copy's start; nil: as soon as can be.
  let due: UInt64?
  /// Whether the same bytes are written when this trim has ended.
  var isWrittenNext = false
  /// Whether it only compares, and counts as no operation of the job.
  var isVerification = false
  /// Of a trim: zeroes are read there afterwards.
  var leavesZeroes = false
  /// Of a write: durable by itself.
  var isForcedUnitAccess = false
  /// Begins when all before it have ended.
  var waitsForAll = false
  /// Of a flush: that of fdatasync.
  var isDataOnly = false

  var isWrite: Bool { operation.isWrite }
  var range: Range<UInt64> { offset..<offset + UInt64(byteCount) }
}

/// One copy of a job while it runs: where it is, and what it has done. Its operations in flight share it.
final class JobCopy {
  let job: Job
  /// Which job of the plan, and which copy of the job.
  let jobIndex: Int
  let copy: Int
  let recorder = OperationRecorder()
  /// How much it does in each half second from when it counts, and when the one that goes on ends.
  private var rates = RateSeries()
  private var rateIntervalEnd = Instant(nanoseconds: 0)
  /// What it does over time, from the begin of the run on; nil: nobody wants it.
  private var series: TimeSeries?
  /// What is asked at every operation: to look at the optional itself would be checked for exclusive access each time.
  private var isFollowed = false
  private let isReplay: Bool, seeksSteadyState: Bool
  /// The run's begin on the clock of the reactor, and how much of the run there was before it.
  private var seriesOrigin = Instant(nanoseconds: 0)
  private var seriesOffset: UInt64 = 0
  private let generator: SeededGenerator
  private var pattern: StepPattern
  /// What is left of the bytes and of the operations that end the job; nil: neither does.
  private var remainingBytes: UInt64?
  private var remainingOperations: UInt64?
  private var replay: ReplayCursor?
  /// Whether its rate is steady; nil: nobody asks.
  private var steadyState: SteadyState?
  /// Where it is logged what the copy does.
  private let iolog: IOLogWriter?
  private let logs: OperationLogs?
  private let isLogged: Bool
  private let wholeBytes: UInt64
  private var writesSinceSync: UInt32 = 0
  private var writesSinceDataSync: UInt32 = 0
  /// When the copy began, and from when on it counts.
  private(set) var startedAt = Instant(nanoseconds: 0)
  private var countsFrom = Instant(nanoseconds: 0)
  private var isRamping = false
  /// When its last operation ended; nil while one runs.
  private(set) var endedAt: Instant?
  /// No further operation is to begin: one has failed.
  private(set) var hasFailed = false
  var mark: ProgressLine.Mark

  /// - Parameter files: the bytes of each file that this copy works on; each has at least one block.
  init(
    _ job: Job, jobIndex: Int, copy: Int, files: [Range<UInt64>], iolog: IOLogWriter? = nil, logs: OperationLogs? = nil
  ) {
    self.job = job
    self.iolog = iolog
    self.logs = logs
    isLogged = logs != nil
    replay = job.replay.map { ReplayCursor($0, copy: copy, files: job.fileNames(copy: copy)) }
    self.jobIndex = jobIndex
    self.copy = copy
    var generator = SeededGenerator(seed: job.randomSeed ?? 0).split(UInt64(jobIndex) << 32 | UInt64(copy))
    pattern = StepPattern(job, files: files, &generator)
    self.generator = generator
    let block = UInt64(job.smallestBlock)
    let size = files.reduce(0) { $0 + UInt64($1.count) / block * block }
    let once = job.schedule.ioBytes ?? job.schedule.ioPercent.map { Load.Extent.percent($0).bytes(of: size) } ?? size
    wholeBytes = once.multipliedReportingOverflow(by: job.schedule.loops).overflow ? .max : once * job.schedule.loops
    remainingBytes =
      job.schedule.isTimeBased || job.replay != nil || job.load.pattern == .flush && job.mix == nil ? nil : wholeBytes
    remainingOperations = job.schedule.operationCount
    steadyState = job.schedule.steadyState
    isReplay = replay != nil
    seeksSteadyState = steadyState != nil
    mark = ProgressLine.Mark(running: job)
  }

  var name: String { "\(job.name).\(copy)" }

  /// The copy begins.
  func begin(at now: Instant) {
    startedAt = now
    isRamping = job.schedule.rampNanoseconds > 0
    countsFrom = now.advanced(byNanoseconds: job.schedule.rampNanoseconds)
    rateIntervalEnd = countsFrom.advanced(byNanoseconds: rates.nextEnd)
  }

  /// Notes what the copy does over time, too. `offset`: how much of the run there was before `origin`, in nanoseconds.
  func follow(_ series: TimeSeries?, from origin: Instant, offset: UInt64) {
    self.series = series
    isFollowed = series != nil
    seriesOrigin = origin
    seriesOffset = offset
  }

  /// Notes an operation that ended well now; see `OperationRecord.record`.
  func record(
    _ operation: ReportedOperation, bytes: Int, offset: UInt64 = 0, nanoseconds: UInt64, submission: UInt64? = nil,
    lateness: UInt64? = nil, at now: Instant
  ) {
    if now >= rateIntervalEnd { endRateIntervals(at: now) }
    recorder.record(
      operation, bytes: bytes, nanoseconds: nanoseconds, submission: submission, lateness: lateness)
    if seeksSteadyState { steadyState?.note(bytes: bytes, at: now.nanoseconds(since: startedAt)) }
    // What the report forgets is in no log.
    if isLogged && !isRamping {
      logs?.note(
        operation, bytes: bytes, offset: offset, nanoseconds: nanoseconds, submission: submission,
        at: countedTime(at: now))
    }
    if isFollowed {
      series?.record(
        operation, at: seriesOffset + now.nanoseconds(since: seriesOrigin), bytes: bytes, nanoseconds: nanoseconds)
    }
  }

  private func endRateIntervals(at now: Instant) {
    rates.close(until: countedTime(at: now), recorder.amounts)
    rateIntervalEnd = countsFrom.advanced(byNanoseconds: rates.nextEnd)
  }

  /// Nanoseconds from when the copy counts until now.
  func countedTime(at now: Instant) -> UInt64 { now > countsFrom ? now.nanoseconds(since: countsFrom) : 0 }

  /// When the run time is over; nil: there is none.
  var timeEnd: Instant? { job.schedule.runtimeNanoseconds.map { countsFrom.advanced(byNanoseconds: $0) } }

  /// How much has been done, in thousandths; nil when the run time decides.
  var donePermille: Int? {
    if let left = remainingOperations, let whole = job.schedule.operationCount {
      return Int((whole - left) * 1000 / max(1, whole))
    }
    if let replay { return replay.donePermille }
    return remainingBytes.map { left in
      wholeBytes == 0 ? 1000 : Int(Double(wholeBytes - left) / Double(wholeBytes) * 1000)
    }
  }

  /// The choices of one of those who work for the copy.
  func generator(of worker: Int) -> SeededGenerator { generator.split(UInt64(worker) + 1) }

  // MARK: What is next

  /// Whether one more operation may begin now; it is taken.
  func takeTurn(at now: Instant) -> Bool {
    if hasFailed { return false }
    if isRamping && now >= countsFrom {
      isRamping = false
      recorder.reset()
    }
    if let runtime = job.schedule.runtimeNanoseconds, countedTime(at: now) >= runtime { return false }
    if seeksSteadyState && steadyState?.isAttained == true { return false }
    if remainingBytes == 0 || remainingOperations == 0 || isReplay && replay?.isAtEnd == true { return false }
    if isRamping { return true }
    if let left = remainingOperations { remainingOperations = left - 1 }
    if job.mix != nil { spend(job.smallestBlock) }
    return true
  }

  /// The turn that was taken last had nothing to do, and counts for nothing.
  func returnTurn() {
    if isRamping { return }
    if let left = remainingOperations { remainingOperations = min(left + 1, job.schedule.operationCount ?? left) }
    if let left = remainingBytes { remainingBytes = min(left + UInt64(job.smallestBlock), wholeBytes) }
  }

  private func spend(_ byteCount: Int) {
    if isRamping { return }
    if let left = remainingBytes { remainingBytes = left - min(left, UInt64(byteCount)) }
  }

  /// The next operation of the job's pattern, after a turn was taken; `now` nil: at no time in particular.
  func nextStep(_ random: inout SeededGenerator, at now: Instant?) -> Step {
    if isReplay, let step = replay?.next() { return step }
    let step = pattern.next(&random, at: now.map { $0.nanoseconds(since: startedAt) })
    spend(step.byteCount)
    return step
  }

  /// An operation begins; `file` is the number of its file.
  func noteBegin(_ step: Step, at now: Instant) {
    iolog?.note(step, nanoseconds: now.nanoseconds(since: startedAt))
    if isReplay { replay?.noteBegin(late: lateness(of: step, begunAt: now)) }
  }

  /// How long after its intended start an operation began; nil: it had none.
  func lateness(of step: Step, begunAt: Instant) -> UInt64? {
    step.due.map { due in
      let meant = startedAt.advanced(byNanoseconds: due)
      return begunAt > meant ? begunAt.nanoseconds(since: meant) : 0
    }
  }

  /// The next operation of a job's mix, after a turn was taken.
  func nextOperation(of mix: OperationMix, _ random: inout SeededGenerator, at now: Instant) -> FileOperation {
    pattern.operation(of: mix, &random, at: now.nanoseconds(since: startedAt))
  }

  /// When an operation of a job with a mix is meant to begin, by the job's rate.
  func nextDue(_ operation: FileOperation, _ random: inout SeededGenerator) -> UInt64? {
    let movesBytes = [.read, .write, .append].contains(operation)
    return pattern.takeTurn(operation.direction, byteCount: movesBytes ? job.smallestBlock : 0, &random)
  }

  /// What is due after a write, by `fsync` and `fdatasync`.
  func syncDueAfterWrite() -> (isDue: Bool, isDataOnly: Bool) {
    writesSinceSync += 1
    writesSinceDataSync += 1
    if job.fsyncEvery > 0 && writesSinceSync >= job.fsyncEvery {
      writesSinceSync = 0
      writesSinceDataSync = 0
      return (true, false)
    }
    if job.fdatasyncEvery > 0 && writesSinceDataSync >= job.fdatasyncEvery {
      writesSinceDataSync = 0
      return (true, true)
    }
    return (false, false)
  }

  // MARK: Pauses

  private var countSincePause: UInt64 = 0
  private var pausedUntil: Instant?

  /// Counts an operation that has ended; where a pause is due, it begins now.
  func noteForPause(at now: Instant) {
    let think = job.schedule.thinkTime
    guard think.nanoseconds > 0 else { return }
    countSincePause += 1
    guard countSincePause >= think.operationCount else { return }
    countSincePause = 0
    // Where several end meanwhile, one pause follows the other.
    pausedUntil = max(now, pausedUntil ?? now).advanced(byNanoseconds: think.nanoseconds)
  }

  /// When the pause ends that is going on; nil when there is none.
  func pauseEnd(at now: Instant) -> Instant? {
    if let until = pausedUntil, until <= now { pausedUntil = nil }
    return pausedUntil
  }

  // MARK: Its end

  private var runningWorkers = 0
  /// One of those who work for the copy begins, or has ended. True for the last one.
  func beginWorker() { runningWorkers += 1 }
  func endWorker() -> Bool {
    runningWorkers -= 1
    return runningWorkers == 0
  }

  /// An operation has failed. Returns whether that ends the copy.
  @discardableResult
  func fail(isWrite: Bool = true, errorNumber: Int32) -> Bool {
    recorder.recordError(errorNumber)
    if job.tolerance.ends(afterWrite: isWrite) { hasFailed = true }
    return hasFailed
  }

  /// The copy cannot go on, whatever errors it tolerates.
  func stop(errorNumber: Int32) {
    recorder.recordError(errorNumber)
    hasFailed = true
  }

  func end(at now: Instant) {
    endedAt = now
    endRateIntervals(at: now)
    iolog?.end(nanoseconds: now.nanoseconds(since: startedAt))
    logs?.end(at: countedTime(at: now))
    mark = .finished
  }

  /// What of its logs could not be written.
  var logFindings: [Finding] { (iolog?.finding.map { [$0] } ?? []) + (logs?.findings ?? []) }

  /// What the copy has done, when it has ended.
  var figures: CopyFigures {
    figures(at: endedAt ?? countsFrom)
  }

  /// What it has done so far.
  func figures(at now: Instant) -> CopyFigures {
    CopyFigures(
      jobIndex: jobIndex, copy: copy, errorCount: recorder.errorCount, firstError: recorder.firstError,
      runtimeNanoseconds: countedTime(at: endedAt ?? now), records: recorder.records, rates: rates,
      queue: job.target == .device ? recorder.queue : nil, series: series,
      seriesFrom: seriesOffset + (countsFrom > seriesOrigin ? countsFrom.nanoseconds(since: seriesOrigin) : 0),
      replay: replay?.figures,
      steadyState: steadyState)
  }
}

/// What one copy of a job has done.
struct CopyFigures: Sendable {
  var jobIndex: Int
  var copy: Int
  var errorCount: UInt64
  var firstError: Int32
  /// From when the copy counted to its end.
  var runtimeNanoseconds: UInt64
  var records: PerOperation<OperationRecord>
  var rates = RateSeries()
  var queue: QueueFigures?
  var series: TimeSeries?
  /// From when on the copy counts, in the time of the series.
  var seriesFrom: UInt64 = 0
  var replay: ReplayPart?
  var steadyState: SteadyState?
  /// Its part of what its reactor's thread cost.
  var processor: ProcessorTime?

  /// Operations of all kinds.
  var operationCount: UInt64 { records.present.reduce(0) { $0 + $1.value.count } }
}

extension [CopyFigures] {
  /// Shares out what the thread cost on which all of them ran, by their operations.
  mutating func share(_ processor: ProcessorTime) {
    let whole = reduce(0) { $0 + $1.operationCount }
    for index in indices { self[index].processor = processor.share(self[index].operationCount, of: whole) }
  }
}

extension RunReport {
  /// Enters what the copies have done, which are in the order of the plan: as fio reports them, each alone, or with
  /// `group_reporting` all of a group as one, under the name of its first job.
  mutating func fill(_ copies: [CopyFigures], of plan: WorkloadPlan) {
    var all = PerOperation<OperationRecord>()
    for copy in copies { all.add(copy.records) }
    for (operation, record) in all.present {
      operations[operation] = record.count
      latencies[operation] = LatencySummary(record.total)
    }
    var groupID = 0, rest = copies[...]
    var sums: [CopiesSum] = []
    for (index, job) in plan.jobs.enumerated() {
      if index > 0 && (job.schedule.waitsForPrevious || job.schedule.beginsGroup) { groupID += 1 }
      let members = rest.prefix { $0.jobIndex == index }
      rest = rest.dropFirst(members.count)
      if let figures = ReplayFigures(job: job.name, members.compactMap(\.replay)) { replays.append(figures) }
      for member in members {
        if job.reportsAsGroup, let last = sums.indices.last, sums[last].job.reportsAsGroup,
          sums[last].groupID == groupID
        {
          sums[last].add(member, of: job)
        } else {
          sums.append(CopiesSum(member, of: job, groupID: groupID))
        }
      }
    }
    groups += sums.map(GroupReport.init)
  }
}

/// What is reported as one: a copy of a job, or all of a group.
private struct CopiesSum {
  let job: Job
  let groupID: Int
  var copyCount = 1
  var figures: CopyFigures
  var wantedRates: PerOperation<GroupReport.WantedRate>

  init(_ figures: CopyFigures, of job: Job, groupID: Int) {
    self.job = job
    self.groupID = groupID
    self.figures = figures
    wantedRates = Self.wantedRates(job)
  }

  mutating func add(_ other: CopyFigures, of job: Job) {
    copyCount += 1
    figures.errorCount += other.errorCount
    if figures.firstError == 0 { figures.firstError = other.firstError }
    if let queue = other.queue { figures.queue?.add(queue) }
    figures.runtimeNanoseconds = max(figures.runtimeNanoseconds, other.runtimeNanoseconds)
    figures.records.add(other.records)
    figures.rates.add(other.rates)
    if let series = other.series { figures.series?.add(series) }
    if let processor = other.processor { figures.processor?.add(processor) }
    for (operation, rate) in Self.wantedRates(job).present {
      wantedRates[operation] = wantedRates[operation].map { $0.adding(rate) } ?? rate
    }
  }

  /// The rates of what the job does; it has one for what it never does, too.
  private static func wantedRates(_ job: Job) -> PerOperation<GroupReport.WantedRate> {
    var rates = PerOperation<GroupReport.WantedRate>()
    for direction in job.load.directions(withMix: job.mix) {
      rates[direction == .read ? .read : direction == .write ? .write : .trim] = GroupReport.WantedRate(
        operations: job.schedule.operationsPerSecond[direction], bytes: job.schedule.bytesPerSecond[direction])
    }
    return rates
  }
}

extension GroupReport {
  fileprivate init(_ sum: CopiesSum) {
    let figures = sum.figures, job = sum.job
    var operations = PerOperation<OperationFigures>()
    for (operation, record) in figures.records.present {
      var part = OperationFigures(
        count: record.count, bytes: record.byteCount, latency: LatencySummary(record.total))
      part.submission = LatencySummary(record.submission)
      part.completion = LatencySummary(record.completion)
      part.intended = LatencySummary(record.intended)
      operations[operation] = part
    }
    self.init(
      name: job.name, groupID: sum.groupID, copies: sum.copyCount, errors: figures.errorCount,
      runtimeNanoseconds: figures.runtimeNanoseconds, operations: operations)
    processor = figures.processor
    rates = figures.rates
    wantedRates = sum.wantedRates
    series = figures.series
    seriesFrom = figures.seriesFrom
    steadyState = figures.steadyState
    firstError = figures.firstError
    queue = figures.queue
    self.job = job
  }
}
