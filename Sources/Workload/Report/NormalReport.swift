internal import DeviceLayers
internal import Ext2
internal import PageCache

/// A run in fio's shape: a block a job, a summary a group, and behind them what fio has no words for: writeback, the
/// device, the verdicts, and how to get the same run again.
package enum NormalReport {
  /// The text, ending with a newline.
  package static func text(_ report: RunReport) -> String {
    var lines: [String] = []
    for group in report.groups { lines += job(group) }
    for id in groupIDs(report) { lines += status(id, report.groups.filter { $0.groupID == id }) }
    lines.append("")
    for figures in report.replays { lines += replay(figures) }
    if let figures = report.writeback { lines += writeback(figures) }
    if let figures = report.volume { lines += volume(figures) }
    if let figures = report.device { lines += device(figures) }
    if let time = report.processor { lines += processor(time, report) }
    if let report = report.layers { lines += layers(report) }
    if let bytes = report.peakMemoryBytes { lines.append("Memory: peak=\(bytesText(bytes))") }
    if let comparison = report.comparison { lines += comparison.lines }
    lines += verdict(report)
    if let provenance = report.provenance { lines.append("Run by: \(sentence(provenance))") }
    lines.append("Seed: \(report.seed)")
    lines.append("Repeat: \(report.command)")
    return lines.joined(separator: "\n") + "\n"
  }

  /// The jobs of a run that goes on, ending with an empty line.
  package static func status(_ report: RunReport) -> String {
    report.groups.flatMap(job).map { $0 + "\n" }.joined() + "\n"
  }

  // MARK: - Jobs

  private static func job(_ group: GroupReport) -> [String] {
    var lines = ["\(group.name): (groupid=\(group.groupID), jobs=\(group.copies)): err=\(aligned(group.errors, 2))"]
    if let remark = group.job?.remark { lines.append("  Description  : [\(remark)]") }
    let percentiles = group.job?.percentiles ?? Percentiles()
    for (operation, figures) in group.operations.present {
      if operation == .fsync {
        lines.append("  fsync/fdatasync: count=\(figures.count)")
        lines += latency("  sync", figures.latency) + list("sync", figures.latency, percentiles)
        continue
      }
      lines.append(
        "  \(operation.rawValue): " + rate(operation, figures, nanoseconds: group.runtimeNanoseconds))
      // What is no request of a device is not submitted apart, and has one latency.
      let isSubmitted = figures.completion != nil
      if isSubmitted { lines += latency("  slat", figures.submission) + latency("  clat", figures.completion) }
      lines += latency("   lat", figures.latency) + latency("  intended lat", figures.intended)
      if percentiles.ofSubmission { lines += list("slat", figures.submission, percentiles) }
      if percentiles.ofCompletion && isSubmitted { lines += list("clat", figures.completion, percentiles) }
      if percentiles.ofTotal || percentiles.ofCompletion && !isSubmitted {
        lines += list("lat", figures.latency, percentiles)
      }
      lines += list("intended lat", figures.intended, percentiles)
      lines += samples(group, operation)
    }
    return lines + pace(group) + distribution(group) + processor(group) + queue(group)
  }

  /// `IOPS=133k, BW=519MiB/s (545MB/s)(5194MiB/10001msec)`, without the bandwidth where no bytes move.
  private static func rate(_ operation: ReportedOperation, _ figures: OperationFigures, nanoseconds: UInt64) -> String {
    let iops = "IOPS=" + ReportNumber.short(ReportNumber.perSecond(figures.count, nanoseconds: nanoseconds))
    guard operation.movesBytes else { return "\(iops), count=\(figures.count)" }
    let bandwidth = ReportNumber.perSecond(figures.bytes, nanoseconds: nanoseconds)
    let amount = "(\(bytesText(figures.bytes))/\(nanoseconds / 1_000_000)msec)"
    return "\(iops), BW=\(bytesText(bandwidth))/s (\(decimalBytes(bandwidth))/s)\(amount)"
  }

  /// `    slat (usec): min=3, max=2659, avg=17.81, stdev=111.02`
  private static func latency(_ name: String, _ summary: LatencySummary?) -> [String] {
    guard let summary else { return [] }
    let unit = LatencyUnit(
      minimum: summary.minimum, maximum: summary.maximum, deviation: summary.deviationPicoseconds / 1000)
    func whole(_ value: UInt64) -> String { ReportNumber.short(value / unit.rawValue, digits: 6) }
    func decimal(_ picoseconds: UInt64) -> String {
      let hundredth = unit.rawValue * 10
      let text = ReportNumber.fixed((picoseconds + hundredth / 2) / hundredth, scale: 2, places: 2)
      return ReportNumber.aligned(text, 5)
    }
    return [
      "  \(name) (\(unit.name)): min=\(whole(summary.minimum)), max=\(whole(summary.maximum)), "
        + "avg=\(decimal(summary.meanPicoseconds)), stdev=\(decimal(summary.deviationPicoseconds))"
    ]
  }

  /// The percentiles in as many columns as fit into fio's 80.
  private static func list(_ name: String, _ summary: LatencySummary?, _ percentiles: Percentiles) -> [String] {
    guard let summary else { return [] }
    let values = percentiles.list.map(summary.value)
    let unit = LatencyUnit(minimum: values.first ?? 0, maximum: values.last ?? 0)
    let texts = values.map { "\($0 / unit.rawValue + ($0 % unit.rawValue > 0 ? 1 : 0))" }
    let width = max(5, texts.map(\.utf8.count).max() ?? 0)
    let entries = zip(percentiles.list, texts).map { percentile, text in
      ReportNumber.aligned(ReportNumber.fixed(percentile, scale: 6, places: 2), 5)
        + "th=[\(ReportNumber.aligned(text, width))]"
    }
    let columns = max(1, 73 / (12 + width))
    return ["    \(name) percentiles (\(unit.name)):"]
      + stride(from: 0, to: entries.count, by: columns).map { start in
        let row = entries[start..<min(start + columns, entries.count)].joined(separator: ", ")
        return "     | \(row)\(start + columns < entries.count ? "," : "")"
      }
  }

  /// Bandwidth and IOPS over time.
  private static func samples(_ group: GroupReport, _ operation: ReportedOperation) -> [String] {
    guard let bandwidth = RateSamples.bandwidth(group, operation), let iops = RateSamples.iops(group, operation) else {
      return []
    }
    func line(_ samples: RateSamples, _ share: String) -> String {
      func decimal(_ millionths: UInt64) -> String {
        ReportNumber.aligned(ReportNumber.fixed((millionths + 5000) / 10_000, scale: 2, places: 2), 5)
      }
      return "min=\(aligned(samples.minimum, 5)), max=\(aligned(samples.maximum, 5)), \(share)"
        + "avg=\(decimal(samples.meanMillionths)), stdev=\(decimal(samples.deviationMillionths)), samples=\(samples.count)"
    }
    let bytes = group.operations[operation]?.bytes ?? 0
    let whole = ReportNumber.perSecond(bytes, nanoseconds: group.runtimeNanoseconds) / 1024
    let share = ReportNumber.percentText(bandwidth.share(ofKibibytes: whole), places: 2)
    return ["   bw (  KiB/s): " + line(bandwidth, "per=\(share)%, "), "   iops        : " + line(iops, "")]
  }

  /// How many latencies are in each of fio's classes, five to a line.
  private static func distribution(_ group: GroupReport) -> [String] {
    let distribution = LatencyDistribution(group)
    let parts = [
      ("nsec", LatencyDistribution.names, distribution.nanoseconds),
      ("usec", LatencyDistribution.names, distribution.microseconds),
      ("msec", LatencyDistribution.millisecondNames, distribution.milliseconds),
    ]
    return parts.flatMap { unit, names, shares in
      let entries = zip(names, shares).filter { $0.1 > 0 }
        .map { "\($0)=\(ReportNumber.percentText($1, places: 2))%" }
      return stride(from: 0, to: entries.count, by: 5).map { start in
        "  lat (\(unit))   : " + entries[start..<min(start + 5, entries.count)].joined(separator: ", ")
      }
    }
  }

  /// How near a job came to the rate that it asks for, and whether its rate was steady.
  private static func pace(_ group: GroupReport) -> [String] {
    var lines: [String] = []
    for kept in group.keptRates {
      let permyriad = Int64((kept.drift * 10_000).rounded())
      let sign = permyriad < 0 ? "-" : "+"
      let actual = ReportNumber.hundredths(UInt64(min(1e15, kept.actual) * 100), per: 100)
      lines.append(
        "  rate         : \(kept.operation.rawValue) \(kept.unit)=\(actual), wanted=\(kept.wanted), "
          + "drift=\(sign)\(ReportNumber.hundredths(permyriad.magnitude, per: 100))%")
    }
    if let state = group.steadyState {
      let unit = state.criterion.isPercent ? "%" : ""
      let found =
        state.deviation.map { $0.isFinite ? ReportNumber.sixDigits($0) + unit : "infinite" } ?? "no whole window"
      lines.append(
        "  steadystate  : attained=\(state.isAttained ? "yes" : "no"), \(state.criterion.text), found=\(found)")
    }
    return lines
  }

  private static func processor(_ group: GroupReport) -> [String] {
    guard let figures = group.processor else { return [] }
    func share(_ nanoseconds: UInt64) -> String {
      ReportNumber.percentText(ReportNumber.percentage(nanoseconds, of: group.runtimeNanoseconds), places: 2)
    }
    return [
      "  cpu          : usr=\(share(figures.user))%, sys=\(share(figures.system))%, "
        + "ctx=\(figures.contextSwitches), majf=\(figures.majorFaults), minf=\(figures.minorFaults)"
    ]
  }

  private static func queue(_ group: GroupReport) -> [String] {
    guard let figures = group.queue else { return [] }
    func shares(_ names: [String], _ counts: SIMD8<UInt64>) -> String {
      zip(names, QueueFigures.shares(counts)).map { "\($0)=\(ReportNumber.percentText($1, places: 1))%" }
        .joined(separator: ", ")
    }
    let issued = [ReportedOperation.read, .write, .trim, .fsync].map { "\(group.operations[$0]?.count ?? 0)" }
    return [
      "  IO depths    : " + shares(QueueFigures.depthNames, figures.depths),
      "     submit    : " + shares(QueueFigures.roundNames, figures.begun),
      "     complete  : " + shares(QueueFigures.roundNames, figures.completed),
      "     issued rwts: total=\(issued.joined(separator: ","))",
    ]
  }

  // MARK: - Groups

  private static func groupIDs(_ report: RunReport) -> [Int] {
    report.groups.map(\.groupID).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }

  private static func status(_ id: Int, _ groups: [GroupReport]) -> [String] {
    var lines = ["", "Run status group \(id) (all jobs):"]
    for operation in [ReportedOperation.read, .write, .trim] {
      let members = groups.compactMap { group in group.operations[operation].map { (group.runtimeNanoseconds, $0) } }
      guard let longest = members.map(\.0).max(), let shortest = members.map(\.0).min() else { continue }
      let bytes = members.reduce(0) { $0 + $1.1.bytes }
      let bandwidth = ReportNumber.perSecond(bytes, nanoseconds: longest)
      let each = members.map { ReportNumber.perSecond($0.1.bytes, nanoseconds: $0.0) }
      let least = each.min() ?? 0, most = each.max() ?? 0
      let name = ReportNumber.aligned(operation.rawValue.uppercased(), 7)
      lines.append(
        "\(name): bw=\(bytesText(bandwidth))/s (\(decimalBytes(bandwidth))/s), "
          + "\(bytesText(least))/s-\(bytesText(most))/s (\(decimalBytes(least))/s-\(decimalBytes(most))/s), "
          + "io=\(bytesText(bytes)) (\(decimalBytes(bytes))), "
          + "run=\(shortest / 1_000_000)-\(longest / 1_000_000)msec")
    }
    return lines
  }

  // MARK: - The volume and the verdicts

  private static func replay(_ figures: ReplayFigures) -> [String] {
    var lines = ["Replay: \(figures.job): operations=\(figures.operations) of \(figures.paths.joined(separator: ", "))"]
    if let drift = figures.drift {
      let unit = LatencyUnit(minimum: drift.mean, maximum: drift.maximum)
      lines.append(
        "  began late (\(unit.name)): avg=\(ReportNumber.hundredths(drift.mean, per: unit.rawValue)), "
          + "99.00th=\(drift.p99 / unit.rawValue), max=\(drift.maximum / unit.rawValue)")
    }
    return lines + figures.cutOff.map { "  cut off: \($0); replayed up to there" }
  }

  private static func writeback(_ figures: WritebackCounters) -> [String] {
    let mean = figures.meanBatchBytes.map { ", mean=\(bytesText($0))" } ?? ""
    return [
      "Writeback:",
      "  batches=\(figures.batches)\(mean), largest=\(bytesText(figures.largestBatchBytes)), "
        + "pages=\(figures.pages), bytes=\(bytesText(figures.bytes)), lookups=\(figures.lookups)",
      "  stale batches discarded=\(figures.staleBatches): after a free=\(figures.staleAfterFree), "
        + "after allocations=\(figures.staleAfterAllocation); pages planned again=\(figures.replannedPages)",
    ]
  }

  private static func volume(_ figures: VolumeFigures) -> [String] {
    var lines = [
      "Volume:",
      "  pages: hits=\(figures.pages.hits), misses=\(figures.pages.misses); "
        + "metadata: hits=\(figures.metadata.hits), misses=\(figures.metadata.misses)",
    ]
    if let mean = figures.meanDirtyNanoseconds {
      lines.append(
        "  dirty until durable: pages=\(figures.dirtyTime.pages), mean=\(mean / 1000)usec, "
          + "max=\(figures.dirtyTime.maximumNanoseconds / 1000)usec")
    }
    var written =
      "  written: data=\(bytesText(figures.written.data)), trees=\(bytesText(figures.written.tree)), "
      + "inodes=\(bytesText(figures.written.inodes)), bitmaps=\(bytesText(figures.written.bitmaps)), "
      + "superblock=\(bytesText(figures.written.superblock))"
    if let permille = figures.amplificationPermille {
      written += "; amplification=\(ReportNumber.hundredths(permille / 10, per: 100))"
    }
    return lines + [written]
  }

  private static func processor(_ time: ProcessorTime, _ report: RunReport) -> [String] {
    let count = report.operations.present.reduce(0) { $0 + $1.value }
    guard count > 0 else { return [] }
    let calls = report.device.map {
      ", system calls=\(ReportNumber.hundredths($0.systemCalls * 100 / count, per: 100))"
    }
    return [
      "An operation: cpu=\(ReportNumber.hundredths((time.user + time.system) / count, per: 1000))usec"
        + (calls ?? "")
    ]
  }

  private static func device(_ figures: DeviceFigures) -> [String] {
    [
      "Device:",
      "  reads=\(figures.reads) (\(bytesText(figures.readBytes))), "
        + "writes=\(figures.writes) (\(bytesText(figures.writeBytes))), flushes=\(figures.flushes), "
        + "discards=\(figures.discards)",
      "  merges=\(figures.merges), waits for a place=\(figures.admissionWaits) "
        + "(\(figures.admissionWaitNanoseconds / 1000)usec), EAGAIN requeues=\(figures.requeues)",
    ] + (figures.spuriousCompletions > 0 ? ["  spurious completions=\(figures.spuriousCompletions)"] : [])
  }

  private static func layers(_ report: StackReport) -> [String] {
    report.rules.isEmpty
      ? []
      : ["Faults:"] + report.counts.map { "  \($0)" }
  }

  private static func verdict(_ report: RunReport) -> [String] {
    var lines: [String] = []
    if let verify = report.verify {
      let unflushed = verify.unflushedBytes.map { ", older and never flushed=\(bytesText($0))" } ?? ""
      lines.append("Verified: \(bytesText(verify.bytes)), mismatches=\(verify.mismatches)\(unflushed)")
    }
    if let exit = report.e2fsckExit { lines.append("e2fsck -fn: exit \(exit)") }
    let interrupted = report.isInterrupted ? " (interrupted)" : ""
    if report.findings.isEmpty {
      let slower = report.comparison?.hasRegression == true ? ", but slower than the run before" : ""
      lines.append("Verdict: all held\(slower)\(interrupted)")
    } else {
      let noun = report.findings.count == 1 ? "finding" : "findings"
      lines.append("Verdict: \(report.findings.count) \(noun)\(interrupted)")
      lines += report.findings.map { "  \(sentence($0))" }
    }
    return lines
  }

  /// `content mismatch: shared.0 at byte 4096: expected …, found …; disk block 77 now belongs to grower.1 (after remount)`
  private static func sentence(_ finding: Finding) -> String {
    var text = finding.kind.rawValue
    if let file = finding.file { text += ": \(file)" + (finding.offset.map { " at byte \($0)" } ?? "") }
    let comparison = [finding.expected.map { "expected \($0)" }, finding.found.map { "found \($0)" }].compactMap(\.self)
    if !comparison.isEmpty { text += ": " + comparison.joined(separator: ", ") }
    if let block = finding.block {
      text += "; disk block \(block)" + (finding.blockOwner.map { " now belongs to \($0)" } ?? "")
    }
    if let context = finding.context { text += " (\(context))" }
    return text
  }

  private static func sentence(_ provenance: Provenance) -> String {
    let commit = provenance.commit.map { " (\($0))" } ?? ""
    let parts = [
      "blkdev-run \(provenance.version)\(commit)", provenance.kernel,
      "\(provenance.processorCount) x \(provenance.processor)",
    ]
    var fileSystems: [String] = []
    for (_, type) in provenance.fileSystems where !fileSystems.contains(type) { fileSystems.append(type) }
    return (parts + fileSystems).joined(separator: ", ")
  }

  // MARK: - Numbers

  private static func bytesText(_ bytes: UInt64) -> String { ReportNumber.short(bytes, .binary) + "B" }
  private static func decimalBytes(_ bytes: UInt64) -> String { ReportNumber.short(bytes) + "B" }
  private static func aligned(_ number: UInt64, _ width: Int) -> String { ReportNumber.aligned("\(number)", width) }
}
