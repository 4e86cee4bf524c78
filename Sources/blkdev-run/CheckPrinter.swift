internal import ArgumentParser
internal import Ext2Tools
internal import SystemPackage
internal import Workload

/// Prints what a check found, for people or as JSON, and ends the command with its exit code.
struct CheckPrinter {
  let image: String
  let format: CheckVerb.OutputFormat

  /// What was found and left as it is.
  func end(_ report: CheckReport) throws {
    try finish(report.isClean ? 0 : 4) { code in
      switch format {
      case .normal:
        lines(report.findings, total: report.total) + "\(image): \(state(report)), \(usage(report.statistics))\n"
      case .json: document(code, report, mended: [], isChanged: false)
      }
    }
  }

  /// What was found, and what became of it.
  func end(_ outcome: RepairOutcome) throws {
    let code: Int32 = outcome.after.isClean && outcome.refusal.isEmpty ? outcome.isChanged ? 1 : 0 : 4
    try finish(code) { code in
      switch format {
      case .normal: text(outcome)
      case .json:
        document(code, code == 4 ? outcome.before : outcome.after, mended: outcome.mended, isChanged: outcome.isChanged)
      }
    }
  }

  /// Nothing could be checked.
  func end(_ failure: CheckFailure) throws {
    var features: [String]?
    if case .unsupportedFeatures(let names) = failure { features = names }
    try end("\(image): \(failure)", features: features)
  }

  /// Nothing could be checked, for a reason outside of the volume.
  func end(_ message: String, features: [String]? = nil) throws {
    print("blkdev-run: \(message)", to: .standardError)
    try finish(8) { code in
      guard format == .json else { return "" }
      return wrapped([
        "image": .string(image), "exit_code": .signed(Int64(code)), "error": .string(message),
        "unsupported_features": features.map { .array($0.map(JSONValue.string)) },
      ])
    }
  }

  private func finish(_ code: Int32, _ text: (Int32) -> String) throws {
    guard print(text(code), to: .standardOutput, terminator: "") else {
      // Who reads only the exit code must not take half a document for all of it.
      print("blkdev-run: the output could not be written", to: .standardError)
      throw ExitCode(8)
    }
    if code != 0 { throw ExitCode(code) }
  }

  // MARK: For people

  private func lines(_ findings: [CheckFinding], total: UInt64) -> String {
    var lines = findings.map { ($0.kind.weight == .note ? "Note: " : "") + "\($0)\n" }
    if total > UInt64(findings.count) { lines.append("… and \(total - UInt64(findings.count)) more\n") }
    return lines.joined()
  }

  private func state(_ report: CheckReport) -> String {
    report.isClean ? "clean" : Self.counted(report.errorCount, "error")
  }

  /// As e2fsck has it on its last line.
  private func usage(_ statistics: CheckStatistics) -> String {
    let permille = statistics.nonContiguousPermille
    return
      "\(statistics.usedInodes)/\(statistics.inodeCount) files (\(permille / 10).\(permille % 10)% non-contiguous), "
      + "\(statistics.usedBlocks)/\(statistics.blockCount) blocks"
  }

  private func text(_ outcome: RepairOutcome) -> String {
    guard outcome.refusal.isEmpty else {
      let refusal = outcome.refusal.prefix(10).map { "  \($0)\n" }.joined()
      return lines(outcome.before.findings, total: outcome.before.total)
        + "\(image): \(state(outcome.before)); these need a decision, so that nothing was changed:\n" + refusal
    }
    let what =
      outcome.mended.isEmpty
      ? (outcome.isChanged ? "marked clean" : "clean") : "repaired (\(Self.counted(outcome.mendedCount, "change")))"
    return lines(Array(outcome.mended), total: outcome.mendedCount)
      + "\(image): \(what), \(usage(outcome.after.statistics))\n"
  }

  private static func counted(_ count: UInt64, _ what: String) -> String { "\(count) \(what)\(count == 1 ? "" : "s")" }

  // MARK: JSON

  private func document(_ code: Int32, _ report: CheckReport, mended: [CheckFinding], isChanged: Bool) -> String {
    let statistics = report.statistics
    return wrapped([
      "image": .string(image),
      "exit_code": .signed(Int64(code)),
      "clean": .boolean(report.isClean),
      "changed": .boolean(isChanged),
      "errors": .unsigned(report.errorCount),
      "serious": .unsigned(report.seriousCount),
      "notes": .unsigned(report.noteCount),
      "volume": .members([
        "block_size": .unsigned(UInt64(statistics.blockSize)),
        "blocks": .unsigned(statistics.blockCount),
        "used_blocks": .unsigned(statistics.usedBlocks),
        "inodes": .unsigned(statistics.inodeCount),
        "used_inodes": .unsigned(statistics.usedInodes),
        "directories": .unsigned(statistics.directories),
        "regular_files": .unsigned(statistics.regularFiles),
        "symbolic_links": .unsigned(statistics.symbolicLinks),
        "special_files": .unsigned(statistics.specialFiles),
        "non_contiguous": .unsigned(statistics.nonContiguous),
        "marked_clean": .boolean(statistics.isMarkedClean),
      ]),
      "findings": .array(report.findings.map(value)),
      "mended": isChanged ? .array(mended.map(value)) : nil,
    ])
  }

  private func wrapped(_ members: KeyValuePairs<String, JSONValue?>) -> String {
    JSONValue.members(["check": .members(members)]).text() + "\n"
  }

  private func value(_ finding: CheckFinding) -> JSONValue {
    func number(_ value: UInt32?) -> JSONValue? { value.map { .unsigned(UInt64($0)) } }
    return .members([
      "kind": .string(finding.kind.rawValue),
      "pass": .unsigned(UInt64(finding.kind.pass.rawValue)),
      "weight": .string(finding.kind.weight.rawValue),
      "inode": number(finding.inode),
      "other_inode": number(finding.otherInode),
      "group": number(finding.group),
      "block": number(finding.block),
      "last_block": number(finding.lastBlock),
      "file_block": finding.fileBlock.map { .signed($0) },
      "offset": finding.offset.map { .signed(Int64($0)) },
      "field": finding.field.map { .string($0) },
      "found": finding.found.map { .unsigned($0) },
      "expected": finding.expected.map { .unsigned($0) },
      "name": finding.name.map { .string(CheckFinding.printable($0)) },
      "text": .string("\(finding)"),
    ])
  }
}
