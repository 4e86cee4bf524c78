internal import DeviceLayers
internal import FaultLab
internal import SystemPackage
internal import Workload

/// Prints what `blkdev-run crash` found.
struct CrashPrinter {
  private let verb: CrashVerb
  private let report: CrashReport
  private let explorer: CrashExplorer

  init(_ verb: CrashVerb, _ report: CrashReport, _ explorer: CrashExplorer) {
    self.verb = verb
    self.report = report
    self.explorer = explorer
  }

  func print() throws {
    switch verb.outputFormat {
    case .json: blkdev_run.print(document.text(), to: .standardOutput)
    case .normal: printForPeople()
    }
  }

  private func repeating(_ violation: CrashViolation) -> String {
    verb.workload.hasPrefix("seq") ? "\(verb.command) --case \(violation.number)" : verb.command
  }

  /// Distinct states a second, without the time of the slower judges.
  private var rate: UInt64 {
    ReportNumber.perSecond(
      UInt64(report.distinctStates), nanoseconds: max(1, report.elapsed - min(report.elapsed, report.elapsedAside)))
  }

  private var document: JSONValue {
    .members([
      "seed": .unsigned(verb.seed),
      "workload": .string(verb.workload),
      "contract": .string(verb.contract),
      "frees": .string(verb.frees),
      "cases": .unsigned(UInt64(report.caseCount)),
      "cuts": .unsigned(UInt64(report.cutCount)),
      "states": .members([
        "distinct": .unsigned(UInt64(report.distinctStates)), "exhaustive": .boolean(report.isExhaustive),
        "judged": .unsigned(UInt64(report.judgedStates)), "violating": .unsigned(UInt64(report.violatingStates)),
        "e2fsck_clean": .unsigned(UInt64(report.cleanStates)),
        "e2fsck_repaired": .unsigned(UInt64(report.repairedStates)),
        "mounted": .unsigned(UInt64(report.mountedStates)), "recovered": .unsigned(UInt64(report.recoveredStates)),
        "remounted": .unsigned(UInt64(report.remountedStates)),
      ]),
      "states_per_second": .unsigned(rate),
      "violations": .array(
        report.violations.map {
          .members([
            "kind": .string($0.finding.kind), "text": .string($0.finding.text), "command": .string(repeating($0)),
            "script": .array($0.script.map(JSONValue.string)), "timeline": .array($0.timeline.map(JSONValue.string)),
            "evidence": .array($0.evidence.map(JSONValue.string)),
            "block_map": .array($0.blockMap.map(JSONValue.string)),
          ])
        }),
      "ordered_violations": .unsigned(UInt64(report.orderedViolations)),
      "faults": report.faults.isEmpty
        ? nil
        : .array(
          report.faults.map {
            .members(["rule": .string($0.rule.text), "fired": .unsigned(UInt64($0.fireCount))])
          }),
      "failed_steps": report.failedSteps.isEmpty
        ? nil
        : .array(
          report.failedSteps.map { .members(["step": .string($0.line), "error": .string($0.error)]) }),
      "stopped": report.stopReason.map(JSONValue.string),
      "elapsed_ns": .unsigned(report.elapsed),
    ])
  }

  private func printForPeople() {
    func line(_ text: String) { blkdev_run.print(text, to: .standardOutput) }
    for violation in report.violations.prefix(verb.show) {
      line("\(violation.finding)")
      for step in violation.script { line("  \(step)") }
      line("  The end of the device's history:")
      for event in violation.timeline { line("    \(event)") }
      for evidence in violation.evidence { line("  \(evidence)") }
      for map in violation.blockMap { line("  \(map)") }
      line("  Shorter:")
      for step in explorer.shrunk(violation) { line("    \(step)") }
      line("  Repeat: \(repeating(violation))")
    }
    if report.violations.count > verb.show { line("and \(report.violations.count - verb.show) more violations") }
    line(
      "\(report.caseCount) cases, \(report.distinctStates) distinct states"
        + " of \(report.cutCount) cuts (\(report.isExhaustive ? "exhaustive" : "sampled where more than 12 writes were pending")), \(rate) a second"
    )
    line(
      "shown to e2fsck -fn \(report.cleanStates), to e2fsck -fy \(report.repairedStates), mounted"
        + " \(report.mountedStates), recovered with cuts \(report.recoveredStates), remounted with cuts"
        + " \(report.remountedStates)")
    line("\(report.violatingStates) states break the contract, \(report.orderedViolations) the ordered one")
    for step in report.failedSteps.prefix(3) { line("failed: \(step.line): \(step.error.withoutControls)") }
    if report.failedSteps.count > 3 { line("and \(report.failedSteps.count - 3) more steps failed") }
    for fault in report.faults {
      line("--fault=\(fault.rule.text): " + (fault.fireCount == 0 ? "never fired" : "fired \(fault.fireCount) times"))
    }
    if let reason = report.stopReason {
      line("stopped: \(reason)" + (report.nextCase.map { "; the next case is \($0)" } ?? ""))
    }
    line("seed \(verb.seed), \(ReportNumber.hundredths(report.elapsed, per: 1_000_000_000)) s")
  }
}
