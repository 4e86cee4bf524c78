internal import Reactor

/// One copy of a job while it runs: where it is, and what it has done. Its `iodepth` tasks share it.
final class JobCopy {
  /// One read or write of a pattern: which of the copy's files, and which block of it.
  struct Step {
    let isWrite: Bool
    let file: Int
    let block: UInt64
  }

  let job: Job
  /// Which job of the plan, and which copy of the job.
  let jobIndex: Int
  let copy: Int
  let recorder = OperationRecorder()
  /// Blocks of `bs` bytes that each file has for this copy.
  let blocksPerFile: [UInt64]
  private var generator: SeededGenerator
  private var permutations: [OffsetPermutation?]
  private var nextBlock: [UInt64]
  private var nextFile = 0
  /// Steps until `size` has been done once; nil when the run time decides.
  private var remainingSteps: UInt64?
  private let stepCount: UInt64
  private var writesSinceSync: UInt32 = 0
  private var writesSinceDataSync: UInt32 = 0
  private var runningTasks: Int
  /// When the last of its tasks ended; nil while one runs.
  private(set) var endedAt: Instant?
  /// No further operation is to begin: one has failed.
  private(set) var hasFailed = false
  var mark: ProgressLine.Mark

  init(_ job: Job, jobIndex: Int, copy: Int, blocksPerFile: [UInt64]) {
    self.job = job
    self.jobIndex = jobIndex
    self.copy = copy
    self.blocksPerFile = blocksPerFile
    generator = SeededGenerator(seed: job.randomSeed ?? 0).split(UInt64(jobIndex) << 32 | UInt64(copy))
    permutations = Array(repeating: nil, count: blocksPerFile.count)
    nextBlock = Array(repeating: 0, count: blocksPerFile.count)
    stepCount = blocksPerFile.reduce(0, +)
    remainingSteps = job.isTimeBased ? nil : stepCount
    runningTasks = job.depth
    mark = ProgressLine.Mark(running: job)
  }

  var name: String { "\(job.name).\(copy)" }

  /// How much of `size` has been done, in thousandths; nil when the run time decides.
  var donePermille: Int? {
    remainingSteps.map { stepCount == 0 ? 1000 : Int((stepCount - $0) * 1000 / stepCount) }
  }

  /// The choices of one of the tasks.
  func generator(ofTask task: Int) -> SeededGenerator { generator.split(UInt64(task) + 1) }

  /// Takes the right to one more operation; false when all have been done.
  func takeTurn() -> Bool {
    if hasFailed { return false }
    guard let remaining = remainingSteps else { return true }
    if remaining == 0 { return false }
    remainingSteps = remaining - 1
    return true
  }

  /// The next read or write of the job's pattern. Files take turns, as with fio's `file_service_type=roundrobin`.
  func nextStep(_ random: inout SeededGenerator) -> Step {
    let file = nextFile
    nextFile = (nextFile + 1) % blocksPerFile.count
    let isWrite: Bool
    switch (job.pattern.reads, job.pattern.writes) {
    case (true, true): isWrite = random.next() & 1 == 0
    case (_, let writes): isWrite = writes
    }
    return Step(isWrite: isWrite, file: file, block: block(in: file, &random))
  }

  private func block(in file: Int, _ random: inout SeededGenerator) -> UInt64 {
    let count = blocksPerFile[file]
    if job.pattern.isRandom && job.offsetsMayRepeat { return UInt64(random.below(Int(count))) }
    let position = nextBlock[file]
    nextBlock[file] = position + 1 == count ? 0 : position + 1
    guard job.pattern.isRandom else { return position }
    // Each block once a pass, every pass in another order.
    if position == 0 || permutations[file] == nil {
      permutations[file] = OffsetPermutation(count: count, generator: &generator)
    }
    return permutations[file]?(position) ?? position
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

  func fail() {
    recorder.recordError()
    hasFailed = true
  }

  /// One of its tasks has ended. True for the last one.
  func endTask() -> Bool {
    runningTasks -= 1
    return runningTasks == 0
  }
  func end(at now: Instant) {
    endedAt = now
    mark = .finished
  }
}

extension [JobCopy] {
  /// The jobs as fio reports them: each copy alone, or with `group_reporting` all copies as one.
  func groupReports(startedAt start: Instant) -> [GroupReport] {
    var groups: [GroupReport] = []
    var index = startIndex
    while index < endIndex {
      let first = self[index]
      let size = first.job.reportsAsGroup ? first.job.copies : 1
      let members = self[index..<Swift.min(index + size, endIndex)]
      let sum = OperationRecorder()
      var nanoseconds: UInt64 = 0
      for member in members {
        sum.add(member.recorder)
        nanoseconds = Swift.max(nanoseconds, (member.endedAt ?? start).nanoseconds(since: start))
      }
      groups.append(
        GroupReport(
          name: first.job.name, groupID: 0, copies: members.count, errors: sum.errorCount,
          runtimeNanoseconds: nanoseconds, operations: sum.figures))
      index += size
    }
    return groups
  }

  /// Enters the figures of all copies into a report.
  func fill(_ report: inout RunReport, startedAt start: Instant) {
    let sum = OperationRecorder()
    for copy in self { sum.add(copy.recorder) }
    report.groups = groupReports(startedAt: start)
    report.operations = sum.counts
    for operation in ReportedOperation.allCases { report.latencies[operation] = sum.latency(of: operation) }
  }
}
