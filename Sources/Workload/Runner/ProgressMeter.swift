internal import Reactor

/// Turns what the copies have done into progress lines: rates since the line before, and when it will be over.
struct ProgressMeter {
  private var lastAt: Instant?
  private var lastCounts = PerOperation<UInt64>(read: 0, write: 0)
  private var lastBytes = PerOperation<UInt64>(read: 0, write: 0)

  mutating func line(_ copies: [JobCopy], openFiles: Int, startedAt start: Instant, now: Instant) -> ProgressLine {
    var counts = PerOperation<UInt64>(read: 0, write: 0), bytes = counts
    for copy in copies {
      for operation in [ReportedOperation.read, .write] {
        counts[operation, default: 0] += copy.recorder.counts[operation] ?? 0
        bytes[operation, default: 0] += copy.recorder.byteCounts[operation] ?? 0
      }
    }
    let nanoseconds = now.nanoseconds(since: lastAt ?? start)
    func rate(_ new: UInt64?, _ old: UInt64?) -> UInt64 {
      ReportNumber.perSecond((new ?? 0) - (old ?? 0), nanoseconds: nanoseconds)
    }
    let elapsed = now.nanoseconds(since: start)
    let permille = Self.permille(copies, elapsed)
    let line = ProgressLine(
      marks: copies.map(\.mark), openFiles: openFiles, permille: permille,
      readBytesPerSecond: rate(bytes.read, lastBytes.read), writeBytesPerSecond: rate(bytes.write, lastBytes.write),
      readsPerSecond: rate(counts.read, lastCounts.read), writesPerSecond: rate(counts.write, lastCounts.write),
      remainingSeconds: permille.flatMap { $0 == 0 ? nil : elapsed / 1_000_000 * UInt64(1000 - $0) / UInt64($0) / 1000 }
    )
    lastAt = now
    lastCounts = counts
    lastBytes = bytes
    return line
  }

  /// How far the copy is that will be done last: by time where it has a run time, else by its blocks.
  private static func permille(_ copies: [JobCopy], _ elapsed: UInt64) -> Int? {
    copies.map { copy in
      if copy.endedAt != nil { return 1000 }
      let byTime = copy.job.runtimeNanoseconds.map { Int(min(1000, elapsed / max(1, $0 / 1000))) } ?? 0
      return max(byTime, copy.donePermille ?? 0)
    }.min()
  }
}
