internal import DeviceLayers
internal import Ext2
internal import PageCache

/// The words and numbers of the page: the headline above the pictures, and the tables below them.
struct PictureTables {
  /// How many rows a table has at most; what there is beyond it, the JSON report has.
  static let rowLimit = 200

  private let report: RunReport
  private let run: RunCurves
  private let base: RunCurves?

  init(_ report: RunReport, _ run: RunCurves, base: RunCurves?) {
    self.report = report
    self.run = run
    self.base = base
  }

  /// The names of the jobs, each once.
  var jobNames: String {
    var names: [String] = []
    for group in report.groups where !names.contains(group.name) { names.append(group.name) }
    return names.isEmpty ? "A run" : names.joined(separator: ", ")
  }

  // MARK: The headline

  var headline: String {
    var tiles = [verdict]
    for operation in [ReportedOperation.read, .write, .trim, .writeZeroes] {
      guard let curve = run.operations.first(where: { $0.operation == operation }), curve.count > 0 else { continue }
      let before = base?.operations.first { $0.operation == operation }
      tiles.append(
        tile(
          operation.label, Quantity.bytesPerSecond.text(curve.bytesPerSecond),
          "\(Quantity.count.text(curve.perSecond)) IOPS" + ratio(curve.bytesPerSecond, before?.bytesPerSecond)))
    }
    for operation in [ReportedOperation.read, .write] {
      guard let latency = report.latencies[operation], latency.count > 0 else { continue }
      let before = base?.operations.first { $0.operation == operation }?.meanLatency
      let figures = report.groups.compactMap { $0.operations[operation] }
      // Where there is more than one latency, which of them this is.
      let intended = LatencySummary(of: figures.compactMap(\.intended))
      let hasParts = intended != nil || figures.contains { $0.completion != nil }
      tiles.append(
        tile(
          "\(operation.label) latency p99" + (hasParts ? ", total" : ""), Quantity.latency.text(latency.p99),
          "mean \(Quantity.latency.text(latency.mean))" + ratio(Double(latency.mean), before)))
      if let intended {
        tiles.append(
          tile(
            "\(operation.label) latency p99, from the intended start", Quantity.latency.text(intended.p99),
            "mean \(Quantity.latency.text(intended.mean))"))
      }
    }
    if let figures = report.writeback, figures.batches + figures.staleBatches > 0 {
      let share = Double(figures.staleBatches) / Double(figures.batches + figures.staleBatches) * 100
      tiles.append(
        tile(
          "stale batches", Quantity.count.text(figures.staleBatches), "\(Quantity.digits(share))% of all that were made"
        ))
    }
    if let layers = report.layers, !layers.rules.isEmpty {
      let fired = layers.rules.reduce(0) { $0 + $1.fireCount }
      tiles.append(
        tile("faults fired", Quantity.count.text(Double(fired)), "\(Self.counted(layers.rules.count, "rule"))"))
    }
    return "<ul class=\"tiles\">\n\(tiles.joined())</ul>\n"
  }

  private var verdict: String {
    let after =
      (report.isInterrupted ? "interrupted after " : "in ") + Quantity.time.text(report.elapsedNanoseconds)
      + ", seed \(report.seed)"
    let count = report.findings.count
    let text = count == 0 ? "all held" : "<a href=\"#findings\">\(Self.counted(count, "finding"))</a>"
    return "<li class=\"\(count == 0 ? "good" : "bad")\"><span>verdict</span><b>\(text)</b><i>\(after)</i></li>\n"
  }

  private func tile(_ name: String, _ value: String, _ more: String) -> String {
    "<li><span>\(Markup.escaped(name))</span><b>\(Markup.escaped(value))</b><i>\(Markup.escaped(more))</i></li>\n"
  }

  /// `, 0.97 × base`
  private func ratio(_ value: Double, _ before: Double?) -> String {
    guard let base, let before, before > 0 else { return "" }
    return ", \(Quantity.digits(value / before)) × \(base.name.isEmpty ? "base" : Markup.shortened(base.name))"
  }

  private static func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

  // MARK: Tables

  var markup: String {
    let parts = [
      findings, comparison, jobs, replays, verification, rules,
      section("counters", "Counters", Self.table(["", "counter", "value"], counters)),
      section("command", "The command that repeats it", "<pre>\(Markup.escaped(report.command))</pre>\n"),
      section("provenance", "Where and with what", Self.table(["", ""], provenance)),
    ]
    return "<div class=\"tables\">\n\(parts.joined())</div>\n"
  }

  private func section(_ id: String, _ title: String, _ body: String) -> String {
    body.isEmpty ? "" : "<section id=\"\(id)\">\n<h2>\(Markup.escaped(title))</h2>\n\(body)</section>\n"
  }

  /// Columns from `numbers` on are numbers. Columns in which nothing stands are left out; without rows, the table is.
  private static func table(_ heads: [String], _ rows: [[String]], numbers: Int = .max) -> String {
    guard !rows.isEmpty else { return "" }
    let used = heads.indices.filter { index in rows.contains { !$0[index].isEmpty } }
    func row(_ cells: [String], _ element: String) -> String {
      let texts = used.map { index in
        "<\(element)\(index >= numbers ? " class=\"r\"" : "")>\(Markup.escaped(cells[index]))</\(element)>"
      }
      return "<tr>\(texts.joined())</tr>\n"
    }
    let head = heads.allSatisfy(\.isEmpty) ? "" : "<thead>\(row(heads, "th"))</thead>\n"
    let shown = rows.prefix(rowLimit).map { row($0, "td") }.joined()
    let rest = rows.count > rowLimit ? "<p>and \(rows.count - rowLimit) more, which the JSON report has.</p>\n" : ""
    return "<div class=\"scroll\"><table>\n\(head)<tbody>\(shown)</tbody>\n</table></div>\n\(rest)"
  }

  private var findings: String {
    let rows = report.findings.map { finding in
      [
        finding.kind.rawValue, finding.file ?? "", finding.offset.map { "byte \($0)" } ?? "", finding.expected ?? "",
        finding.found ?? "",
        (finding.block.map { "block \($0)" } ?? "") + (finding.blockOwner.map { " of \($0)" } ?? ""),
        finding.context ?? "",
      ]
    }
    return section(
      "findings", "Findings",
      Self.table(["kind", "file", "at", "expected", "found", "disk block, now", "when, or who says so"], rows))
  }

  /// What `--compare` says.
  private var comparison: String {
    let rows = (report.comparison?.rows ?? []).map { row in
      let quantity: Quantity =
        switch row.figure {
        case .bandwidth: .bytesPerSecond
        case .iops: .perSecond
        case .meanLatency, .p99Latency: .latency
        }
      let interval = row.interval.map { range in
        "\(Quantity.digits(range.lowerBound)) to \(Quantity.digits(range.upperBound))"
      }
      return [
        // fio's name for it is sync.
        row.job, row.operation == "sync" ? ReportedOperation.fsync.label : row.operation, Self.label(row.figure),
        row.isRegression ? "regression" : "", interval ?? "",
        row.samples?.rawValue ?? "", quantity.text(row.base), quantity.text(row.now), Quantity.digits(row.ratio),
      ]
    }
    let heads = ["job", "operation", "figure", "", "95% interval", "interval from", "before", "now", "ratio"]
    return section("comparison", "Beside the run before", Self.table(heads, rows, numbers: 6))
  }

  private static func label(_ figure: Comparison.Figure) -> String {
    switch figure {
    case .bandwidth: "bandwidth"
    case .iops: "IOPS"
    case .meanLatency: "completion latency, mean"
    case .p99Latency: "completion latency, p99"
    }
  }

  /// What jobs replayed, and how late they began it.
  private var replays: String {
    let rows = report.replays.map { figures in
      [
        figures.job, figures.paths.joined(separator: ", "), figures.cutOff.joined(separator: "; "),
        "\(figures.operations)",
      ]
        + (figures.drift.map { [$0.mean, $0.p99, $0.maximum].map { Quantity.latency.text($0) } } ?? ["", "", ""])
    }
    let heads = ["job", "log", "cut off", "operations", "began late, mean", "p99", "max"]
    return section("replay", "Replay", Self.table(heads, rows, numbers: 3))
  }

  /// What the judges looked at and said.
  private var verification: String {
    var rows: [[String]] = []
    if let figures = report.verify {
      rows.append(["compared with what was written", Quantity.bytes.text(figures.bytes)])
      rows.append(["blocks that differ", "\(figures.mismatches)"])
      if let bytes = figures.unflushedBytes {
        rows.append(["older, and covered by no flush", Quantity.bytes.text(bytes)])
      }
    }
    if let exit = report.e2fsckExit { rows.append(["exit of e2fsck -fn", "\(exit)"]) }
    return section("verification", "Verification", Self.table(["", ""], rows, numbers: 1))
  }

  private var jobs: String {
    var rows: [[String]] = []
    for group in report.groups {
      for (operation, figures) in group.operations.present {
        let nanoseconds = group.runtimeNanoseconds
        let iops = ReportNumber.perSecond(figures.count, nanoseconds: nanoseconds)
        let bandwidth = ReportNumber.perSecond(figures.bytes, nanoseconds: nanoseconds)
        var row = [
          group.name, operation.label, "\(group.copies)", "\(group.errors)", "\(figures.count)",
          Quantity.count.text(iops), operation.movesBytes ? Quantity.bytesPerSecond.text(bandwidth) : "",
        ]
        if let latency = figures.latency, latency.count > 0 {
          let values = [latency.mean, latency.p50, latency.p99, latency.p999, latency.maximum]
          row += values.map { Quantity.latency.text($0) }
        } else {
          row += ["", "", "", "", ""]
        }
        rows.append(row + [figures.intended.map { Quantity.latency.text($0.p99) } ?? ""])
      }
    }
    let heads = [
      "job", "operation", "copies", "errors", "operations", "IOPS", "bandwidth", "mean", "p50", "p99", "p99.9", "max",
      "p99 from the intended start",
    ]
    return section("jobs", "Jobs", Self.table(heads, rows, numbers: 2))
  }

  private var rules: String {
    guard let layers = report.layers else { return "" }
    var rows = layers.rules.map { [$0.rule.text, "\($0.matchCount)", "\($0.fireCount)"] }
    if layers.lostWriteCount > 0 {
      rows.append(["writes lost in the volatile cache", "", "\(layers.lostWriteCount)"])
    }
    if layers.heldCount > 0 { rows.append(["requests that hang by a rule", "", "\(layers.heldCount)"]) }
    if layers.violationCount > 0 { rows.append(["promises broken", "", "\(layers.violationCount)"]) }
    return section("faults", "Faults", Self.table(["rule", "matched", "fired"], rows, numbers: 1))
  }

  private var counters: [[String]] {
    var rows: [[String]] = []
    func add(_ part: String, _ entries: [(String, String?)]) {
      for (name, value) in entries { if let value { rows.append([part, name, value]) } }
    }
    let bytes = { (value: UInt64) in Quantity.bytes.text(value) }
    let latency = { (value: UInt64) in Quantity.latency.text(value) }
    if let figures = report.writeback {
      add(
        "writeback",
        [
          ("batches", "\(figures.batches)"), ("pages", "\(figures.pages)"), ("bytes", bytes(figures.bytes)),
          ("mean batch", figures.meanBatchBytes.map(bytes)), ("largest batch", bytes(figures.largestBatchBytes)),
          ("extents looked up", "\(figures.lookups)"), ("stale after a free", "\(figures.staleAfterFree)"),
          ("stale after an allocation", "\(figures.staleAfterAllocation)"),
          ("pages planned again", "\(figures.replannedPages)"),
        ])
    }
    if let figures = report.volume {
      add(
        "volume",
        [
          ("pages found in memory, read", "\(figures.pages.hits), \(figures.pages.misses)"),
          ("metadata found in memory, read", "\(figures.metadata.hits), \(figures.metadata.misses)"),
          ("dirty until durable, mean", figures.meanDirtyNanoseconds.map(latency)),
          (
            "dirty until durable, max",
            figures.dirtyTime.pages == 0 ? nil : latency(figures.dirtyTime.maximumNanoseconds)
          ),
          ("written: data", bytes(figures.written.data)), ("written: block trees", bytes(figures.written.tree)),
          ("written: inodes", bytes(figures.written.inodes)), ("written: bitmaps", bytes(figures.written.bitmaps)),
          ("written: superblock", bytes(figures.written.superblock)),
          (
            "write amplification",
            figures.amplificationPermille.map { ReportNumber.hundredths($0 / 10, per: 100) }
          ),
        ])
    }
    if let figures = report.device {
      add(
        "device",
        [
          ("reads", "\(figures.reads) (\(bytes(figures.readBytes)))"),
          ("writes", "\(figures.writes) (\(bytes(figures.writeBytes)))"), ("flushes", "\(figures.flushes)"),
          ("discards", "\(figures.discards)"), ("merges", "\(figures.merges)"),
          ("waits for a place", "\(figures.admissionWaits) (\(latency(figures.admissionWaitNanoseconds)))"),
          ("system calls", "\(figures.systemCalls)"), ("EAGAIN requeues", "\(figures.requeues)"),
        ])
    }
    if let time = report.processor {
      let count = report.operations.present.reduce(0) { $0 + $1.value }
      add(
        "processor",
        [
          ("user, system", "\(latency(time.user)), \(latency(time.system))"),
          ("an operation", count == 0 ? nil : latency((time.user + time.system) / count)),
          ("context switches, voluntary and not", "\(time.voluntarySwitches), \(time.involuntarySwitches)"),
        ])
    }
    add("memory", [("peak", report.peakMemoryBytes.map(bytes))])
    return rows
  }

  private var provenance: [[String]] {
    guard let provenance = report.provenance else { return [] }
    let commit = provenance.commit.map { " (\($0))" } ?? ""
    return [
      ["program", "blkdev-run \(provenance.version)\(commit)"], ["kernel", provenance.kernel],
      ["processor", "\(provenance.processorCount) × \(provenance.processor)"],
      ["memory", Quantity.bytes.text(provenance.memoryByteCount)], ["seed", "\(report.seed)"],
    ] + provenance.fileSystems.map { ["file system of \($0.path)", $0.type] }
  }
}
