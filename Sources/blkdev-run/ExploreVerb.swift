internal import ArgumentParser
internal import CLinux
internal import Ext2
internal import FaultLab
internal import PageCache
internal import Reactor
internal import SystemPackage
internal import Workload

/// `blkdev-run explore`: runs of the whole volume on the simulated reactor and disk, judged by an oracle at the disk, a
/// model of every byte, our checker and e2fsck: every schedule of small races, or any number of seeds.
struct ExploreVerb: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explore",
    abstract: "Run a whole volume in simulation under every schedule, or by seed, and judge each run.",
    discussion: """
      With --bound, writeback of a file runs against each change of it, on a disk that completes, fails, hangs or is \
      late, under every schedule with at most that many deviations from the straight one. With --seeds, each seed is one \
      run of many tasks: options, schedule, latencies and operations follow from it. Without either: --bound 2. A failing \
      run fails again, bit for bit.

      Ends with 4 when a run broke a rule, with 5 when e2fsck is missing, with 130 when it is interrupted.
      """)

  @Option(help: ArgumentHelp("All schedules with at most that many deviations.", valueName: "number")) var bound: Int?
  @Option(help: ArgumentHelp("Run that many seeds instead.", valueName: "number")) var seeds: UInt64?
  @Option(help: "The first seed.") var seed: UInt64 = 0
  @Option(help: ArgumentHelp("Stop after that time, such as 60s or 10m.", valueName: "time")) var budget: String?
  @Option(help: ArgumentHelp("Only that race, such as truncate/completes/0.", valueName: "name")) var race: String?
  @Option(help: ArgumentHelp("Only that schedule of --race: its deviations, such as 2:1,3:1.", valueName: "deviations"))
  var schedule: String?
  @Option(help: "Judge every Nth image of --seeds with e2fsck as well; 0: none.") var e2fsckEvery: UInt64 = 20
  @Option(help: ArgumentHelp("Switch a rule off, by its name in --list-mutants.", valueName: "name")) var mutant:
    String?
  @Option(help: ArgumentHelp("Stop after that many failing runs.", valueName: "number")) var stopAfter: UInt64?
  @Option(
    help: ArgumentHelp("Write the first failing run, or the only one, as Chrome trace events.", valueName: "file"))
  var trace: String?
  @Flag(help: "Print the races, one a line.") var listRaces = false
  @Flag(help: "Print the mutants that --bound 2 has to catch, one a line.") var listMutants = false
  @Option(help: "What is printed: lines for people, or one JSON document.") var outputFormat = LabFormat.normal

  func validate() throws {
    if bound != nil && seeds != nil { throw ValidationError("--bound and --seeds exclude each other") }
    if let bound, bound < 0 { throw ValidationError("--bound \(bound): less than nothing") }
    if seed.addingReportingOverflow(seeds ?? 0).overflow {
      throw ValidationError("--seed and --seeds: there are no seeds beyond \(UInt64.max)")
    }
    if let race, RaceScenario(race) == nil {
      throw ValidationError("--race \(race): not one of --list-races")
    }
    if race != nil && seeds != nil { throw ValidationError("--race and --seeds exclude each other") }
    if schedule != nil && race == nil { throw ValidationError("--schedule goes with --race") }
    _ = try deviations()
    _ = try rule()
    if let budget { _ = try budgetNanoseconds(budget) }
  }

  func run() throws {
    if listMutants || listRaces {
      let names = listMutants ? ScheduleExplorer.mutants : RaceScenario.all.map(\.description)
      for name in names { print(name, to: .standardOutput) }
      return
    }
    cl_ignore_pipe_signal()
    // ⌃C ends it between two runs, so that no scratch file is left behind.
    let end = try LabEnd(budget: budget)
    let began = cl_monotonic_ns()
    var outcome = ExploreOutcome()
    let progress = WorkProgress(isShown: true)
    do {
      if let seeds {
        try run(seeds: seeds, &outcome, progress, end)
      } else {
        try runRaces(&outcome, progress, end)
      }
    } catch let error as ExplorerError {
      progress.clear()
      print("blkdev-run: \(error)", to: .standardError)
      throw ArgumentParser.ExitCode(5)
    }
    progress.clear()
    outcome.elapsed = cl_monotonic_ns() - began
    show(outcome)
    if let trace {
      let events = ChromeTrace()
      outcome.traced?(events)
      try writeTrace(events, to: trace)
    }
    if !outcome.findings.isEmpty { throw ArgumentParser.ExitCode(4) }
    if outcome.stopReason == LabEnd.interrupted { throw ArgumentParser.ExitCode(130) }
  }

  // MARK: Runs

  private func runRaces(_ outcome: inout ExploreOutcome, _ progress: WorkProgress, _ end: LabEnd) throws {
    let explorer = try ScheduleExplorer()
    let only = try deviations()
    let scenarios = race.flatMap { RaceScenario($0) }.map { [$0] } ?? RaceScenario.all
    let bound = only == nil ? bound ?? 2 : 0
    var enumerators = scenarios.map { _ in ScheduleEnumerator(bound: bound) }
    // What is wrong shows in few deviations as a rule: those come first, of all races.
    for limit in bound > 1 ? [1, bound] : [bound] {
      for (index, scenario) in scenarios.enumerated() {
        while !outcome.mustStop(end, stopAfter), let next = enumerators[index].next(atMost: limit) {
          progress.show("explore: \(scenario), \(outcome.count) schedules, \(outcome.failureCount) failed")
          let counts = try run(explorer, scenario, only ?? next, &outcome)
          if let only { try checkTaken(only, counts) }
          enumerators[index].note(counts, of: only ?? next)
        }
      }
    }
  }

  /// A deviation that nobody could take was meant for another run.
  private func checkTaken(_ deviations: [ScheduleChooser.Deviation], _ counts: [Int]) throws {
    for (index, deviation) in deviations.enumerated() {
      if index > 0 && deviations[index - 1].point >= deviation.point {
        throw ValidationError("--schedule: deviations are wanted in the order of their points, each once")
      }
      guard deviation.point < counts.count, deviation.choice < counts[deviation.point] else {
        throw ValidationError("--schedule: \(deviation) was never taken: this race has no such choice there")
      }
    }
  }

  /// Runs one schedule of a race. Returns how many choices there were at each point.
  private func run(
    _ explorer: ScheduleExplorer, _ scenario: RaceScenario, _ deviations: [ScheduleChooser.Deviation],
    _ outcome: inout ExploreOutcome
  ) throws -> [Int] {
    let rule = try rule()
    let run = explorer.run(scenario, deviations, switchedOff: rule)
    outcome.count += 1
    if run.breaksOrder { outcome.orderedViolations += 1 }
    if outcome.wantsTrace(failed: !run.findings.isEmpty) {
      outcome.traced = { trace in _ = explorer.run(scenario, deviations, switchedOff: rule, trace: trace) }
    }
    if let first = run.findings.first {
      let list = deviations.map(\.description).joined(separator: ",")
      outcome.note(
        "\(scenario), schedule [\(list)]: \(first)",
        "blkdev-run explore --race \(scenario) --schedule '\(list)'\(repeatedRule)")
    }
    return run.counts
  }

  private func run(
    seeds: UInt64, _ outcome: inout ExploreOutcome, _ progress: WorkProgress, _ end: LabEnd
  ) throws {
    let explorer = try Explorer()
    let rule = try rule()
    for seed in self.seed..<self.seed + seeds {
      if outcome.mustStop(end, stopAfter) { break }
      progress.show("explore: \(outcome.count) of \(seeds) seeds, \(outcome.failureCount) failed")
      outcome.count += 1
      let run = explorer.run(Scenario(seed: seed, switchedOff: rule))
      if run.breaksOrder { outcome.orderedViolations += 1 }
      outcome.batches += run.counters.writeback.batches
      outcome.stale += run.counters.writeback.staleBatches
      outcome.staleAfterFree += run.counters.writeback.staleAfterFree
      var finding = run.findings.first
      if finding == nil, e2fsckEvery > 0, seed % e2fsckEvery == 0, !run.image.isEmpty {
        finding = try Explorer.check(run).map { "e2fsck: \($0)" }
      }
      if outcome.wantsTrace(failed: finding != nil) {
        outcome.traced = { trace in _ = explorer.run(Scenario(seed: seed, switchedOff: rule), trace: trace) }
      }
      if let finding {
        outcome.note(
          "seed \(seed): \(finding)",
          "blkdev-run explore --seed \(seed) --seeds 1 --e2fsck-every 1\(repeatedRule)")
      }
    }
  }

  private var repeatedRule: String { mutant.map { " --mutant '\($0)'" } ?? "" }

  private func rule() throws -> SwitchedOffRules { try mutant.map(switchedOffRule) ?? [] }

  private func deviations() throws -> [ScheduleChooser.Deviation]? {
    guard let schedule else { return nil }
    return try schedule.split(separator: ",").map { text in
      guard let deviation = ScheduleChooser.Deviation(text) else {
        throw ValidationError("--schedule \(schedule): deviations are wanted, such as 2:1,3:1")
      }
      return deviation
    }
  }

  // MARK: Printing

  private func show(_ outcome: ExploreOutcome) {
    let isBySeed = seeds != nil
    let rate = ReportNumber.perSecond(outcome.count, nanoseconds: max(1, outcome.elapsed))
    if outputFormat == .json {
      let document = JSONValue.members([
        "seed": .unsigned(seed), "schedules": .unsigned(outcome.count), "schedules_per_second": .unsigned(rate),
        "bound": isBySeed ? nil : .unsigned(UInt64(bound ?? 2)),
        "violations": .array(
          outcome.findings.map {
            .members(["kind": .string("schedule"), "text": .string($0.text), "command": .string($0.command)])
          }),
        "ordered_violations": .unsigned(outcome.orderedViolations),
        "failed": .unsigned(outcome.failureCount),
        "stopped": outcome.stopReason.map(JSONValue.string),
        "elapsed_ns": .unsigned(outcome.elapsed),
      ])
      print(document.text(), to: .standardOutput)
      return
    }
    for finding in outcome.findings {
      print("\(finding.text)\n  repeat: \(finding.command)", to: .standardOutput)
    }
    if isBySeed {
      print(
        "\(outcome.count) seeds, \(outcome.failureCount) failed; \(outcome.batches) batches, \(outcome.stale) stale"
          + " discarded, \(outcome.staleAfterFree) after a free; cut at their end \(outcome.orderedViolations)"
          + " break the ordered contract", to: .standardOutput)
    } else {
      print(
        "\(outcome.count) schedules, \(outcome.failureCount) failed; \(rate) a second;"
          + " cut at their end \(outcome.orderedViolations) break the ordered contract", to: .standardOutput)
    }
    if let reason = outcome.stopReason { print("stopped: \(reason)", to: .standardOutput) }
  }
}

/// What an exploration has done.
private struct ExploreOutcome {
  var count: UInt64 = 0
  var failureCount: UInt64 = 0
  /// Runs whose end, cut off there, breaks the ordered contract.
  var orderedViolations: UInt64 = 0
  var batches: UInt64 = 0, stale: UInt64 = 0, staleAfterFree: UInt64 = 0
  var elapsed: UInt64 = 0
  /// Why not all was run.
  private(set) var stopReason: String?
  /// The first hundred.
  private(set) var findings: [(text: String, command: String)] = []

  mutating func mustStop(_ end: LabEnd, _ limit: UInt64?) -> Bool {
    stopReason = stopReason ?? end.reason
    if let limit, failureCount >= limit { stopReason = stopReason ?? "enough failed" }
    return stopReason != nil
  }

  /// Runs again what is to be traced.
  var traced: ((ChromeTrace) -> Void)?

  /// Whether the run that was just counted is the one to be traced: the first, unless another is the first to fail.
  func wantsTrace(failed: Bool) -> Bool { count == 1 || failed && failureCount == 0 }

  mutating func note(_ text: String, _ command: String) {
    failureCount += 1
    if findings.count < 100 { findings.append((text, command)) }
  }
}
