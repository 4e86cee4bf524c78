internal import ArgumentParser
internal import CLinux
internal import Ext2
internal import FaultLab
internal import Glibc
internal import PageCache
internal import SystemPackage
internal import Workload

/// `blkdev-run sweep`: fails every request of every operation of a volume in turn, and judges what comes of it.
struct SweepVerb: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sweep",
    abstract: "Let the 1st, 2nd, 3rd ... request of every operation fail, and judge what comes of it.",
    discussion: """
      Each operation of a volume runs in simulation, again and again: once for each request that it makes, and that a sync \
      or an unmount after it makes, and for each way in which that request may fail. Every run is judged: the call \
      succeeds or reports the fault, the tree is old or new, each opener is told once, all is written when the fault is \
      gone, and what was promised is there.

      Ends with 0 when nothing was found, with 4 when a run broke a rule, with 2 on wrong usage, with 5 when e2fsck is \
      missing, with 130 when it is interrupted.
      """)

  @Option(help: ArgumentHelp("Only this operation, by its name in --list-operations.", valueName: "name"))
  var operation: String?
  @Option(
    help: ArgumentHelp(
      "Only this point of it, as a violation names it: call|sync|unmount:N:FAULT:once|healing|forever.",
      valueName: "point"))
  var point: String?
  @Option(help: "The seed of schedules.") var seed: UInt64 = 1
  @Option(help: ArgumentHelp("Stop after that time, such as 60s or 10m.", valueName: "time")) var budget: String?
  @Option(help: "When freed blocks may be used again: plain or ordered.") var frees = "plain"
  @Option(help: ArgumentHelp("Switch a rule off, by its name in --list-mutants.", valueName: "name")) var mutant:
    String?
  @Flag(help: "Print the mutants that this verb has to catch, one a line.") var listMutants = false
  @Flag(help: "Print the operations, one a line.") var listOperations = false
  @Option(help: "What is printed: lines for people, or one JSON document.") var outputFormat = LabFormat.normal
  @Option(help: ArgumentHelp("Stop when so many violations were found.", valueName: "number")) var stopAfter: Int?
  @Option(help: ArgumentHelp("How many violations to show.", valueName: "number")) var show = 10

  func validate() throws {
    _ = try options()
  }

  func run() throws {
    if listMutants || listOperations {
      for name in listMutants ? SweepOptions.mutants : SweepOptions.operations { print(name, to: .standardOutput) }
      return
    }
    cl_ignore_pipe_signal()
    let end = try LabEnd(budget: budget)
    let progress = WorkProgress(isShown: true)
    let report: SweepReport
    do {
      let sweeper = try Sweeper(try options(), now: { cl_monotonic_ns() }, stopReason: { end.reason })
      report = try sweeper.run { report, operation in
        progress.show("sweep: \(operation), \(report.points) points, \(report.violatingPoints) broken")
      }
    } catch {
      progress.clear()
      print("blkdev-run: sweep: \(error)", to: .standardError)
      throw ArgumentParser.ExitCode(5)
    }
    progress.clear()
    if let point, report.points == 0, report.stopReason == nil {
      throw ValidationError("--point \(point): the fault never fired: the operation has no such request")
    }
    switch outputFormat {
    case .json: print(document(report).text(), to: .standardOutput)
    case .normal: printForPeople(report)
    }
    if !report.violations.isEmpty { throw ArgumentParser.ExitCode(4) }
    if report.stopReason == LabEnd.interrupted { throw ArgumentParser.ExitCode(130) }
  }

  private func options() throws -> SweepOptions {
    var options = SweepOptions()
    if let operation, !SweepOptions.operations.contains(operation) {
      throw ValidationError("--operation \(operation): not one of --list-operations")
    }
    options.operation = operation
    if let point {
      guard operation != nil else { throw ValidationError("--point \(point): --operation is needed") }
      guard SweepOptions.isPoint(point) else {
        throw ValidationError("--point \(point): a point as sync:3:EIO:once is wanted, as a violation names it")
      }
    }
    options.point = point
    options.frees = try freesName(frees)
    options.seed = seed
    if let budget { _ = try budgetNanoseconds(budget) }
    if let mutant { options.switchedOff = try switchedOffRule(named: mutant) }
    options.violationLimit = stopAfter
    return options
  }

  // MARK: Printing

  private func repeating(_ violation: SweepViolation) -> String {
    var words = ["blkdev-run", "sweep", "--operation", violation.operation, "--point", violation.point]
    if seed != 1 { words.append("--seed \(seed)") }
    if frees != "plain" { words.append("--frees=\(frees)") }
    if let mutant { words.append("--mutant '\(mutant)'") }
    return words.joined(separator: " ")
  }

  private func document(_ report: SweepReport) -> JSONValue {
    .members([
      "seed": .unsigned(seed),
      "frees": .string(frees),
      "operations": .unsigned(UInt64(report.operationCount)),
      "points": .unsigned(UInt64(report.points)),
      "runs": .unsigned(UInt64(report.runCount)),
      "failed_calls": .unsigned(UInt64(report.failedCount)),
      "ordered_violations": .unsigned(UInt64(report.orderedViolations)),
      "violating_points": .unsigned(UInt64(report.violatingPoints)),
      "e2fsck_clean": .unsigned(UInt64(report.cleanImages)),
      "e2fsck_repaired": .unsigned(UInt64(report.repairedImages)),
      "violations": .array(
        report.violations.map {
          .members([
            "kind": .string($0.finding.kind), "text": .string($0.finding.text), "operation": .string($0.operation),
            "point": .string($0.point), "command": .string(repeating($0)),
          ])
        }),
      "stopped": report.stopReason.map(JSONValue.string),
      "elapsed_ns": .unsigned(report.elapsed),
    ])
  }

  private func printForPeople(_ report: SweepReport) {
    func line(_ text: String) { print(text, to: .standardOutput) }
    for violation in report.violations.prefix(show) {
      line("\(violation.operation), \(violation.point): \(violation.finding)")
      line("  Repeat: \(repeating(violation))")
    }
    if report.violations.count > show { line("and \(report.violations.count - show) more violations") }
    let rate = ReportNumber.perSecond(UInt64(report.runCount), nanoseconds: max(1, report.elapsed))
    line(
      "\(report.operationCount) operations, \(report.points) points, \(report.runCount) runs, \(rate) a second;"
        + " the call failed at \(report.failedCount) points, and had up to \(report.largestNumber) requests")
    line(
      "shown to e2fsck -fn \(report.cleanImages) of the volumes that were clean in the end;"
        + " mended by e2fsck -fy \(report.repairedImages) whose unmount threw")
    line("\(report.violatingPoints) points break a rule, \(report.orderedViolations) the ordered contract")
    if let reason = report.stopReason { line("stopped: \(reason)") }
    line("seed \(seed), \(ReportNumber.hundredths(report.elapsed, per: 1_000_000_000)) s")
  }
}
