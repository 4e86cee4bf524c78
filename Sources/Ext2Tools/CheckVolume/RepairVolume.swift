/// What a repair did.
public struct RepairOutcome: Sendable {
  /// What was wrong before.
  public internal(set) var before: CheckReport
  /// What is wrong now: the same as before where nothing was changed.
  public internal(set) var after: CheckReport
  /// What was mended, in the order in which it was; as many as were to be kept.
  public internal(set) var mended: [CheckFinding] = []
  /// How much was mended.
  public internal(set) var mendedCount: UInt64 = 0
  /// Whether anything was written.
  public internal(set) var isChanged = false
  /// The findings that nobody but a person can decide about, for which nothing was changed.
  public internal(set) var refusal: [CheckFinding] = []
}

extension VolumeChecker {
  /// Mends what `e2fsck -p` mends without asking, and no more: counts, bitmaps, sizes, link counts, deletion times, entries
  /// of inodes that are not in use, indexes (whose flag is taken away; `e2fsck -D` makes new ones).
  ///
  /// All changes are made in memory first, pass by pass as e2fsck makes them, and checked again after each. Only when the
  /// volume is clean with them are they written. So where something is left that has to be decided about, nothing is
  /// changed at all; e2fsck stops there too, but keeps what it had changed on the way, which leaves a volume that is
  /// neither as it was nor mended.
  ///
  /// - Parameters:
  ///   - time: seconds since 1970, for deletion times and the time of the last check.
  /// - Throws: why nothing could be checked, or `unreadable` for a transfer that failed.
  public func repair(
    _ volume: any VolumeBytes, options: Options = Options(), time: UInt32, progress: ((Double) -> Void)? = nil
  ) throws(CheckFailure) -> RepairOutcome {
    let before = try check(volume, options: options, progress: progress)
    var outcome = RepairOutcome(before: before, after: before)
    let changes = ChangedBytes(volume)
    var roundOptions = options
    // More than these are left to the next round.
    roundOptions.keptFindings = max(options.keptFindings, 100_000)
    var last: [CheckFinding] = []
    for _ in 0..<64 {
      let report = try check(changes, options: roundOptions)
      guard let pass = report.findings.filter({ $0.kind.isForRepair }).map(\.kind.pass).min() else {
        return try finish(&outcome, changes, volume, report, time)
      }
      let all = report.findings.filter { $0.kind.pass == pass && $0.kind.isForRepair }
      let findings = all.filter(\.kind.canBeMended)
      // An index that is given up for one reason is not asked about for another.
      guard !findings.isEmpty, all.allSatisfy({ $0.kind.canBeMended || $0.kind == .indexTree }) else {
        outcome.refusal = all.filter { !$0.kind.canBeMended }
        outcome.mended = []
        outcome.mendedCount = 0
        return outcome
      }
      let mender = Mender(run: run, volume: changes, time: time)
      do { try mender.mend(findings, pass) } catch { throw .unreadable(error) }
      outcome.mended += findings.prefix(max(0, options.keptFindings - outcome.mended.count))
      outcome.mendedCount += UInt64(findings.count)
      last = findings
    }
    // What comes back however often it is mended, nobody but a person can put right.
    outcome.refusal = last
    outcome.mended = []
    outcome.mendedCount = 0
    return outcome
  }

  /// Marks the volume as checked, and writes.
  private func finish(
    _ outcome: inout RepairOutcome, _ changes: ChangedBytes, _ volume: any VolumeBytes, _ report: CheckReport,
    _ time: UInt32
  ) throws(CheckFailure) -> RepairOutcome {
    outcome.after = report
    let needsMark = !report.statistics.isMarkedClean || report.statistics.isMarkedWithErrors
    guard changes.hasChanges || needsMark else { return outcome }
    do {
      try Mender(run: run, volume: changes, time: time).markChecked()
      try changes.writeBack()
    } catch { throw .unreadable(error) }
    outcome.isChanged = true
    outcome.after.statistics.isMarkedClean = true
    outcome.after.statistics.isMarkedWithErrors = false
    return outcome
  }
}

extension CheckFinding.Kind {
  /// Whether a repair has to do with it: every error, and the notes that `e2fsck -p` mends or stops at.
  fileprivate var isForRepair: Bool {
    switch self {
    case .specialFlags, .dotLong: false
    default: true
    }
  }

  /// Whether a repair mends it.
  fileprivate var canBeMended: Bool {
    switch self {
    case .freeBlocks, .freeInodes, .entryTypeMissing: true
    default: weight == .mendable
    }
  }
}
