// A run on raw devices: lanes beside each other, each a reactor with the copies and the devices that belong to it.
internal import BlockDevice
internal import DeviceLayers
internal import Reactor

/// Runs the jobs of a plan that work on devices.
///
/// A copy of a job has a lane of its own, as fio has a process or a thread: its own reactor and its own opening of the
/// device. What has to be shared shares one lane: a device in memory, whatever has layers around it, and everything in
/// simulation.
struct DeviceRun {
  private let plan: WorkloadPlan
  private let command: String
  private let control: RunControl
  /// More copies than these share lanes.
  private static let laneLimit = 64

  init(_ plan: WorkloadPlan, _ control: RunControl) throws(RunError) {
    // With the options as they were given.
    command = plan.commandLine
    self.plan = try plan.readingLogs()
    if plan.jobs.contains(where: { $0.replay != nil }) { try self.plan.checkMemory(imageBytes: nil) }
    self.control = control
  }

  /// The whole run.
  func run() async throws(RunError) -> RunReport {
    var report = RunReport(command: command, seed: plan.jobs[0].randomSeed ?? 0, elapsedNanoseconds: 0)
    var copies: [CopyFigures] = []
    let board = ProgressBoard(control), status = StatusBoard(control)
    for stage in plan.stages where !control.isStopRequested {
      let results = try await run(stage, board, status, after: report.elapsedNanoseconds)
      copies += results.flatMap(\.copies)
      report.elapsedNanoseconds += results.map(\.elapsedNanoseconds).max() ?? 0
      for result in results {
        report.add(result)
      }
      control.endStage()
    }
    copies.sort { $0.jobIndex < $1.jobIndex }
    report.fill(copies, of: plan)
    report.isInterrupted = control.isStopRequested
    return report
  }

  private func run(
    _ stage: Range<Int>, _ board: ProgressBoard, _ status: StatusBoard, after timeBefore: UInt64
  ) async throws(RunError) -> [LaneResult] {
    let lanes = lanes(of: stage)
    status.begin(laneCount: lanes.count)
    let plan = plan, control = control
    let results = await withTaskGroup(of: Result<LaneResult, RunError>.self) { group in
      for (number, members) in lanes.enumerated() {
        group.addTask {
          do throws(RunError) {
            return .success(
              try await WorkloadRunner.onReactor(plan, control) { reactor async throws(RunError) in
                try await DeviceLane(
                  plan, members, on: reactor, control, board, status, number: number, timeBefore: timeBefore
                )
                .run()
              })
          } catch {
            // The others would go on for nothing.
            control.requestEnd()
            return .failure(error)
          }
        }
      }
      var results: [Result<LaneResult, RunError>] = []
      for await result in group { results.append(result) }
      return results
    }
    var good: [LaneResult] = []
    for result in results { good.append(try result.get()) }
    return good.sorted { $0.number < $1.number }
  }

  /// The copies of each lane.
  private func lanes(of stage: Range<Int>) -> [[LaneMember]] {
    let members = stage.flatMap { index in
      (0..<plan.jobs[index].copies).map { LaneMember(jobIndex: index, copy: $0) }
    }
    if !plan.options.stack.isEmpty || plan.jobs[0].engine.isInMemory { return [members] }
    // A file that is written has one opening: who shares it shares its lane.
    let written = Set(
      plan.jobs.filter { $0.writes && $0.engine == .libaio }.flatMap { job in
        (0..<job.copies).flatMap { job.fileNames(copy: $0) }
      })
    var lanes: [(members: [LaneMember], files: Set<String>)] = []
    for member in members {
      var lane = (
        members: [member], files: written.intersection(plan.jobs[member.jobIndex].fileNames(copy: member.copy))
      )
      for index in lanes.indices.reversed() where !lanes[index].files.isDisjoint(with: lane.files) {
        let other = lanes.remove(at: index)
        lane = (other.members + lane.members, other.files.union(lane.files))
      }
      lanes.append(lane)
    }
    let count = min(lanes.count, Self.laneLimit)
    return (0..<count).map { number in
      stride(from: number, to: lanes.count, by: count).flatMap { lanes[$0].members }
    }
  }
}

/// One copy of a job, by its numbers.
struct LaneMember: Sendable {
  let jobIndex: Int
  let copy: Int
}

/// What came of a lane.
struct LaneResult: Sendable {
  let number: Int
  var copies: [CopyFigures]
  var elapsedNanoseconds: UInt64
  var device: DeviceFigures
  var stacks: [(report: StackReport, isEmpty: Bool)]
  var findings: [Finding]
  /// Nil where nothing is verified.
  var verdict: VerifyVerdict?
  /// What its thread cost; nil in simulation.
  var processor: ProcessorTime?
  var counterSeries: CounterSeries?
  var accessMaps: [NamedAccessMap]
}

extension RunReport {
  fileprivate mutating func add(_ result: LaneResult) {
    var sum = device ?? DeviceFigures()
    sum.add(result.device)
    device = sum
    findings += result.findings
    if let part = result.processor {
      var sum = processor ?? ProcessorTime()
      sum.add(part)
      processor = sum
    }
    if let series = result.counterSeries {
      if counterSeries == nil { counterSeries = series } else { counterSeries?.add(series) }
    }
    for part in result.accessMaps {
      if let index = accessMaps.firstIndex(where: { $0.name == part.name }) {
        accessMaps[index].map.add(part.map)
      } else {
        accessMaps.append(part)
      }
    }
    if let verdict = result.verdict {
      var sum = verify ?? VerifyFigures(bytes: 0, mismatches: 0)
      sum.bytes += verdict.bytes
      sum.mismatches += verdict.mismatches
      if verdict.unflushedBytes > 0 { sum.unflushedBytes = (sum.unflushedBytes ?? 0) + verdict.unflushedBytes }
      verify = sum
      findings += verdict.findings
    }
    for stack in result.stacks where !stack.isEmpty { add(stack.report) }
  }
}
