internal import DeviceLayers

/// A run as one JSON document: `{"blkdev": {…}}`, keys always in the same order, absent where they do not apply.
package enum JSONReport {
  /// The document, ending with a newline.
  package static func text(_ report: RunReport) -> String {
    JSONValue.members(["blkdev": blkdev(report)]).text() + "\n"
  }

  /// The document of a run that has no report, because it could not begin or not be brought to its end.
  package static func text(_ error: RunError, of plan: WorkloadPlan) -> String {
    let blkdev = JSONValue.members([
      "seed": plan.jobs[0].randomSeed.map(JSONValue.unsigned),
      "command": .string(plan.commandLine),
      "exit_code": .signed(Int64(error.exitCode.rawValue)),
      "error": .string("\(error)"),
    ])
    return JSONValue.members(["blkdev": blkdev]).text() + "\n"
  }

  private static func blkdev(_ report: RunReport) -> JSONValue {
    .members([
      "seed": .unsigned(report.seed),
      "command": .string(report.command),
      "elapsed_ns": .unsigned(report.elapsedNanoseconds),
      "interrupted": .boolean(report.isInterrupted),
      "exit_code": .signed(Int64(report.exitCode.rawValue)),
      "ops": perOperation(report.operations, JSONValue.unsigned),
      "writeback": report.writeback.map(writeback),
      "device": report.device.map(device),
      "layers": report.layers.map(layers),
      "latency_ns": perOperation(report.latencies, latency),
      "replay": report.replays.isEmpty ? nil : .array(report.replays.map(replay)),
      "verify": report.verify.map { .members(["bytes": .unsigned($0.bytes), "mismatches": .unsigned($0.mismatches)]) },
      "e2fsck": report.e2fsckExit.map { .members(["exit": .signed(Int64($0))]) },
      "memory": report.peakMemoryBytes.map { .members(["peak_bytes": .unsigned($0)]) },
      "findings": .array(report.findings.map(finding)),
    ])
  }

  private static func perOperation<Value>(
    _ values: PerOperation<Value>, _ convert: (Value) -> JSONValue
  ) -> JSONValue? {
    let present = values.present
    return present.isEmpty ? nil : .object(present.map { (key: $0.operation.rawValue, value: convert($0.value)) })
  }

  private static func writeback(_ figures: WritebackFigures) -> JSONValue {
    .members([
      "batches": .unsigned(figures.batches),
      "pages": .unsigned(figures.pages),
      "bytes": .unsigned(figures.bytes),
      "mean_batch_bytes": figures.meanBatchBytes.map(JSONValue.unsigned),
      "largest_batch_bytes": .unsigned(figures.largestBatchBytes),
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

  private static func latency(_ summary: LatencySummary) -> JSONValue {
    .members([
      "p50": .unsigned(summary.p50),
      "p99": .unsigned(summary.p99),
      "p999": .unsigned(summary.p999),
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
