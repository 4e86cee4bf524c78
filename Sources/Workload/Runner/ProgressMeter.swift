internal import Reactor
internal import Synchronization

/// How far one copy of a job is.
struct CopyProgress: Sendable {
  let jobIndex: Int
  let copy: Int
  let mark: ProgressLine.Mark
  /// By time where the job has a run time, else by its bytes; nil when nobody knows.
  let permille: Int?
  /// Reads and writes, and their bytes, so far.
  let counts: PerDirection<UInt64>
  let bytes: PerDirection<UInt64>
  let fileCount: Int

  init(_ copy: JobCopy, at now: Instant) {
    jobIndex = copy.jobIndex
    self.copy = copy.copy
    mark = copy.mark
    let schedule = copy.job.schedule
    if copy.endedAt != nil {
      permille = 1000
    } else {
      let byTime = schedule.runtimeNanoseconds.map { runtime in
        let whole = runtime + schedule.rampNanoseconds + schedule.startDelayNanoseconds
        return Int(min(1000, now.nanoseconds(since: copy.startedAt) / max(1, whole / 1000)))
      }
      let byBytes = copy.donePermille
      permille = byTime == nil && byBytes == nil ? nil : max(byTime ?? 0, byBytes ?? 0)
    }
    let recorder = copy.recorder
    counts = PerDirection(
      read: recorder.count(of: .read), write: recorder.count(of: .write), trim: recorder.count(of: .trim))
    bytes = PerDirection(
      read: recorder.byteCount(of: .read), write: recorder.byteCount(of: .write), trim: recorder.byteCount(of: .trim))
    fileCount = copy.endedAt == nil ? copy.job.filesPerCopy : 0
  }
}

/// Turns what the copies have done into progress lines: rates since the line before, and when it will be over.
struct ProgressMeter {
  private var startedAt: Instant?
  private var lastAt: Instant?
  private var lastCounts = PerDirection<UInt64>(0)
  private var lastBytes = PerDirection<UInt64>(0)

  /// The line of these copies, which are in the order of the plan.
  mutating func line(_ copies: [CopyProgress], at now: Instant) -> ProgressLine {
    func sum(_ values: (CopyProgress) -> PerDirection<UInt64>) -> PerDirection<UInt64> {
      copies.reduce(PerDirection(0)) { sum, copy in
        let more = values(copy)
        return PerDirection(read: sum.read + more.read, write: sum.write + more.write, trim: sum.trim + more.trim)
      }
    }
    let counts = sum(\.counts), bytes = sum(\.bytes)
    let start = startedAt ?? now
    startedAt = start
    let nanoseconds = now.nanoseconds(since: lastAt ?? start)
    // What counts anew after a ramp is less than before it.
    func rate(_ new: UInt64, _ old: UInt64) -> UInt64 {
      ReportNumber.perSecond(new < old ? new : new - old, nanoseconds: nanoseconds)
    }
    let elapsed = now.nanoseconds(since: start)
    // The copy that will be done last decides.
    let permille = copies.contains { $0.permille == nil } ? nil : copies.compactMap(\.permille).min()
    let line = ProgressLine(
      marks: copies.map(\.mark), openFiles: copies.reduce(0) { $0 + $1.fileCount }, permille: permille,
      readBytesPerSecond: rate(bytes.read, lastBytes.read), writeBytesPerSecond: rate(bytes.write, lastBytes.write),
      readsPerSecond: rate(counts.read, lastCounts.read), writesPerSecond: rate(counts.write, lastCounts.write),
      remainingSeconds: permille.flatMap { $0 == 0 ? nil : elapsed / 1_000_000 * UInt64(1000 - $0) / UInt64($0) / 1000 }
    )
    lastAt = now
    lastCounts = counts
    lastBytes = bytes
    return line
  }
}

/// Where lanes, each on its thread, put their progress, and whoever looks gets one line for all of them.
final class ProgressBoard: Sendable {
  private struct State {
    var byLane: [Int: [CopyProgress]] = [:]
    var meter = ProgressMeter()
    var toldAt: Instant?
  }
  // Lanes meet nowhere else. It is held for one line, some times a second.
  private let state = Mutex(State())
  private let onProgress: (@Sendable (ProgressLine) -> Void)?

  init(_ control: RunControl) { onProgress = control.onProgress }

  /// Notes how far a lane's copies are. The first lane's clock decides when there is a line.
  func note(_ lane: Int, _ copies: [CopyProgress], at now: Instant) {
    guard let onProgress else { return }
    let line = state.withLock { state -> ProgressLine? in
      state.byLane[lane] = copies
      if let told = state.toldAt, now < told.advanced(byNanoseconds: 400_000_000) { return nil }
      state.toldAt = now
      let all = state.byLane.values.flatMap(\.self).sorted { ($0.jobIndex, $0.copy) < ($1.jobIndex, $1.copy) }
      return state.meter.line(all, at: now)
    }
    if let line { onProgress(line) }
  }
}
