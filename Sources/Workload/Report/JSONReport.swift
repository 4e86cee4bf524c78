internal import DeviceLayers
internal import Ext2
internal import PageCache

/// Who made a report, and when: what a run does not know of itself.
package struct ReportStamp: Sendable, Equatable {
  /// The program's version.
  package var version: String
  /// Milliseconds since 1970, and the same as text; nil in simulation, where everything in a report follows from the seed.
  package var milliseconds: UInt64?
  package var time: String?

  package init(version: String, milliseconds: UInt64? = nil, time: String? = nil) {
    self.version = version
    self.milliseconds = milliseconds
    self.time = time
  }

  /// What stands for fio's version: the one whose formats these are, and then ours, in the shape of fio's own development
  /// builds (`fio-3.33-24-gabcdef`), which whoever takes it apart has to know.
  var fioVersion: String { "fio-3.33-blkdev-run-\(version)" }
}

/// A run as one JSON document in fio's structure, and our own figures in `blkdev`; keys always in the same order.
package enum JSONReport {
  /// How a document is written.
  package struct Style: Sendable {
    /// With the buckets of the histograms, as `json+`.
    package var hasBins = false
    /// On one line.
    package var isLine = false
    /// The run goes on.
    package var isInterim = false

    package init(hasBins: Bool = false, isLine: Bool = false, isInterim: Bool = false) {
      self.hasBins = hasBins
      self.isLine = isLine
      self.isInterim = isInterim
    }
  }

  /// The document, ending with a newline.
  package static func text(_ report: RunReport, _ stamp: ReportStamp, _ style: Style = Style()) -> String {
    let document = document(report, stamp, style)
    return (style.isLine ? document.line : document.text()) + "\n"
  }

  /// The document.
  package static func document(_ report: RunReport, _ stamp: ReportStamp, _ style: Style = Style()) -> JSONValue {
    .object(
      FioDocument.members(report, stamp, hasBins: style.hasBins) + [
        ("blkdev", blkdev(report, isInterim: style.isInterim))
      ])
  }

  /// The document of a run that has no report, because it could not begin or not be brought to its end.
  package static func text(
    _ error: RunError, of plan: WorkloadPlan, _ stamp: ReportStamp, _ style: Style = Style()
  ) -> String {
    let blkdev = JSONValue.members([
      "seed": plan.jobs[0].randomSeed.map(JSONValue.unsigned),
      "command": .string(plan.commandLine),
      "exit_code": .signed(Int64(error.exitCode.rawValue)),
      "error": .string("\(error)"),
    ])
    let document = JSONValue.object(FioDocument.head(stamp) + [("jobs", .array([])), ("blkdev", blkdev)])
    return (style.isLine ? document.line : document.text()) + "\n"
  }

  private static func blkdev(_ report: RunReport, isInterim: Bool) -> JSONValue {
    .members([
      "interim": isInterim ? .boolean(true) : nil,
      "seed": .unsigned(report.seed),
      "command": .string(report.command),
      "elapsed_ns": .unsigned(report.elapsedNanoseconds),
      "interrupted": .boolean(report.isInterrupted),
      "exit_code": .signed(Int64(report.exitCode.rawValue)),
      "ops": perOperation(report.operations, JSONValue.unsigned),
      "writeback": report.writeback.map(writeback),
      "volume": report.volume.map(volume),
      "device": report.device.map(device),
      "cpu": report.processor.map { cpu($0, report) },
      "layers": report.layers.map(layers),
      "latency_ns": perOperation(report.latencies, latency),
      "jobs": report.groups.isEmpty ? nil : .array(report.groups.map { job($0, withSamples: !report.wantsSeries) }),
      "comparison": report.comparison?.document,
      "replay": report.replays.isEmpty ? nil : .array(report.replays.map(replay)),
      "verify": report.verify.map { verify in
        .members([
          "bytes": .unsigned(verify.bytes), "mismatches": .unsigned(verify.mismatches),
          "unflushed_bytes": verify.unflushedBytes.map(JSONValue.unsigned),
        ])
      },
      "e2fsck": report.e2fsckExit.map { .members(["exit": .signed(Int64($0))]) },
      "memory": report.peakMemoryBytes.map { .members(["peak_bytes": .unsigned($0)]) },
      "findings": .array(report.findings.map(finding)),
      "provenance": report.provenance.map(provenance),
      "series": series(report),
    ])
  }

  // MARK: Figures over time

  /// Columns, since that is short: an hour of a second each is some hundred kilobytes.
  private static func series(_ report: RunReport) -> JSONValue? {
    let jobs = report.groups.filter { $0.series != nil && report.wantsSeries }
    guard !jobs.isEmpty || report.counterSeries != nil && report.wantsSeries else { return nil }
    return .members([
      "jobs": .array(
        jobs.map { group in
          .members([
            "jobname": .string(group.name),
            "bin_ns": group.series.map { .unsigned($0.binNanoseconds) },
            "from_ns": .unsigned(group.seriesFrom),
            "ops": group.series.flatMap { perOperation($0.bins, bins) },
          ])
        }),
      "counters": report.counterSeries.map(counters),
    ])
  }

  private static func bins(_ bins: [TimeBin]) -> JSONValue {
    func column(_ value: (TimeBin) -> UInt64) -> JSONValue { .row(bins.map(value)) }
    return .members([
      "ios": column(\.count),
      "bytes": column(\.byteCount),
      "mean_ns": column(\.meanNanoseconds),
      "p99_ns": column { min($0.latencies.value(atPercent: 99), $0.maximumNanoseconds) },
      "max_ns": column(\.maximumNanoseconds),
    ])
  }

  private static func counters(_ series: CounterSeries) -> JSONValue {
    .object(
      [(key: "bin_ns", value: .unsigned(series.binNanoseconds))]
        + series.names.enumerated().map { index, name in
          (key: name, value: .row(series.rows.map { $0[index] }))
        })
  }

  // MARK: What it cost, and where

  private static func cpu(_ time: ProcessorTime, _ report: RunReport) -> JSONValue {
    let count = report.operations.present.reduce(0) { $0 + $1.value }
    return .members([
      "user_ns": .unsigned(time.user),
      "system_ns": .unsigned(time.system),
      "ns_per_op": count == 0 ? nil : .unsigned((time.user + time.system) / count),
      "voluntary_switches": .unsigned(time.voluntarySwitches),
      "involuntary_switches": .unsigned(time.involuntarySwitches),
      "major_faults": .unsigned(time.majorFaults),
      "minor_faults": .unsigned(time.minorFaults),
    ])
  }

  private static func provenance(_ provenance: Provenance) -> JSONValue {
    .members([
      "version": .string(provenance.version),
      "commit": provenance.commit.map(JSONValue.string),
      "kernel": .string(provenance.kernel),
      "cpu": .string(provenance.processor),
      "cpus": .unsigned(UInt64(provenance.processorCount)),
      "memory_bytes": .unsigned(provenance.memoryByteCount),
      "file_systems": .object(provenance.fileSystems.map { (key: $0.path, value: .string($0.type)) }),
    ])
  }

  private static func volume(_ figures: VolumeFigures) -> JSONValue {
    .members([
      "page_hits": .unsigned(figures.pages.hits),
      "page_misses": .unsigned(figures.pages.misses),
      "metadata_hits": .unsigned(figures.metadata.hits),
      "metadata_misses": .unsigned(figures.metadata.misses),
      "dirty_until_durable": .members([
        "pages": .unsigned(figures.dirtyTime.pages),
        "mean_ns": figures.meanDirtyNanoseconds.map(JSONValue.unsigned),
        "max_ns": .unsigned(figures.dirtyTime.maximumNanoseconds),
      ]),
      "written_bytes": .members([
        "given": .unsigned(figures.givenBytes),
        "data": .unsigned(figures.written.data),
        "tree": .unsigned(figures.written.tree),
        "inodes": .unsigned(figures.written.inodes),
        "bitmaps": .unsigned(figures.written.bitmaps),
        "superblock": .unsigned(figures.written.superblock),
      ]),
      "write_amplification_permille": figures.amplificationPermille.map(JSONValue.unsigned),
    ])
  }

  private static func perOperation<Value>(
    _ values: PerOperation<Value>, _ convert: (Value) -> JSONValue
  ) -> JSONValue? {
    let present = values.present
    return present.isEmpty ? nil : .object(present.map { (key: $0.operation.rawValue, value: convert($0.value)) })
  }

  private static func writeback(_ figures: WritebackCounters) -> JSONValue {
    .members([
      "batches": .unsigned(figures.batches),
      "pages": .unsigned(figures.pages),
      "bytes": .unsigned(figures.bytes),
      "mean_batch_bytes": figures.meanBatchBytes.map(JSONValue.unsigned),
      "largest_batch_bytes": .unsigned(figures.largestBatchBytes),
      // By powers of two, from one byte on.
      "batch_sizes_log2": .row(figures.batchSizes),
      "lookups": .unsigned(figures.lookups),
      "stale_batches": .unsigned(figures.staleBatches),
      "stale_after_free": .unsigned(figures.staleAfterFree),
      "stale_after_allocation": .unsigned(figures.staleAfterAllocation),
      "replanned_pages": .unsigned(figures.replannedPages),
    ])
  }

  private static func device(_ figures: DeviceFigures) -> JSONValue {
    .members([
      "reads": .unsigned(figures.reads),
      "writes": .unsigned(figures.writes),
      "flushes": .unsigned(figures.flushes),
      "discards": .unsigned(figures.discards),
      "read_bytes": .unsigned(figures.readBytes),
      "write_bytes": .unsigned(figures.writeBytes),
      "merges": .unsigned(figures.merges),
      "admission_waits": .unsigned(figures.admissionWaits),
      "admission_wait_ns": .unsigned(figures.admissionWaitNanoseconds),
      "system_calls": .unsigned(figures.systemCalls),
      "eagain_requeues": .unsigned(figures.requeues),
      "spurious_completions": .unsigned(figures.spuriousCompletions),
    ])
  }

  private static func layers(_ report: StackReport) -> JSONValue {
    .members([
      "rules": .array(
        report.rules.map { rule in
          .members([
            "rule": .string(rule.rule.text),
            "matched": .unsigned(UInt64(rule.matchCount)),
            "fired": .unsigned(UInt64(rule.fireCount)),
          ])
        }),
      "hanging_requests": .unsigned(UInt64(report.heldCount)),
      "lost_writes": .unsigned(UInt64(report.lostWriteCount)),
      "lost_bytes": .unsigned(report.lostByteCount),
      "violations": .unsigned(UInt64(report.violationCount)),
    ])
  }

  /// What fio has no place for: operations that move no bytes or only zeroes, latencies from the intended start, rates and
  /// the samples of them, unless there is a series, which tells more.
  private static func job(_ group: GroupReport, withSamples: Bool) -> JSONValue {
    let rates = group.keptRates
    return .members([
      "name": .string(group.name),
      "groupid": .signed(Int64(group.groupID)),
      "copies": .unsigned(UInt64(group.copies)),
      "errors": .unsigned(group.errors),
      "runtime_ns": .unsigned(group.runtimeNanoseconds),
      "operations": perOperation(group.operations) { figures in
        .members([
          "count": .unsigned(figures.count),
          "bytes": .unsigned(figures.bytes),
          "latency_ns": figures.latency.map(latency),
          "intended_latency_ns": figures.intended.map(latency),
        ])
      },
      "rates": rates.isEmpty ? nil : .array(rates.map(rate)),
      "samples": withSamples && !group.rates.amounts.present.isEmpty ? samples(group.rates) : nil,
    ])
  }

  private static func rate(_ kept: GroupReport.KeptRate) -> JSONValue {
    let drift = Int64((max(-1, min(1e6, kept.drift)) * 1e8).rounded())
    return .members([
      "operation": .string(kept.operation.rawValue),
      "unit": .string(kept.unit),
      "wanted": .unsigned(kept.wanted),
      "actual": .decimal(UInt64(min(1e12, kept.actual) * 1e6), scale: 6),
      "drift_percent": .number((drift < 0 ? "-" : "") + ReportNumber.fixed(drift.magnitude, scale: 6, places: 6)),
    ])
  }

  private static func samples(_ rates: RateSeries) -> JSONValue {
    .members([
      "interval_ns": .unsigned(rates.interval),
      "ops": perOperation(rates.amounts) { amounts in
        .members(["ios": .row(amounts.map(\.count)), "bytes": .row(amounts.map(\.byteCount))])
      },
    ])
  }

  private static func latency(_ summary: LatencySummary) -> JSONValue {
    .members([
      "mean": .unsigned(summary.mean),
      "p50": .unsigned(summary.p50),
      "p99": .unsigned(summary.p99),
      "p999": .unsigned(summary.p999),
      "p9999": .unsigned(summary.value(at: 99_990_000)),
      "p99999": .unsigned(summary.value(at: 99_999_000)),
      "max": .unsigned(summary.maximum),
    ])
  }

  private static func replay(_ figures: ReplayFigures) -> JSONValue {
    .members([
      "job": .string(figures.job),
      "logs": .array(figures.paths.map(JSONValue.string)),
      "operations": .unsigned(figures.operations),
      "late_ns": figures.drift.map { drift in
        .members(["mean": .unsigned(drift.mean), "p99": .unsigned(drift.p99), "max": .unsigned(drift.maximum)])
      },
      "cut_off": .array(figures.cutOff.map(JSONValue.string)),
    ])
  }

  private static func finding(_ finding: Finding) -> JSONValue {
    .members([
      "kind": .string(finding.kind.rawValue),
      "context": finding.context.map(JSONValue.string),
      "file": finding.file.map(JSONValue.string),
      "offset": finding.offset.map(JSONValue.unsigned),
      "expected": finding.expected.map(JSONValue.string),
      "found": finding.found.map(JSONValue.string),
      "block": finding.block.map(JSONValue.unsigned),
      "block_owner": finding.blockOwner.map(JSONValue.string),
    ])
  }
}
