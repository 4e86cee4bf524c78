internal import Reactor

/// Where a copy of a job is in the log that it replays.
struct ReplayCursor {
  let log: ReplayLog
  private let replay: Replay
  /// The copy's files by their numbers in the log.
  private let fileNumbers: [Int]
  private var position = 0
  /// How late operations with a time began, in nanoseconds.
  private(set) var drift = Latencies()
  private(set) var begunCount: UInt64 = 0

  /// - Parameter files: the copy's, in their order.
  init(_ replay: Replay, copy: Int, files: [String]) {
    self.replay = replay
    log = replay.log(ofCopy: copy)
    fileNumbers = log.files.map { file in files.firstIndex(of: file.name) ?? 0 }
  }

  var isAtEnd: Bool { position == log.entries.count }
  var donePermille: Int { position * 1000 / max(1, log.entries.count) }

  /// The next operation. There must be one.
  mutating func next() -> Step {
    let entry = log.entries[position]
    position += 1
    var step = Step(
      operation: entry.operation, file: fileNumbers[Int(entry.name)], offset: entry.offset,
      byteCount: Int(entry.byteCount), due: due(entry))
    step.isForcedUnitAccess = entry.flags.contains(.forcedUnitAccess)
    step.waitsForAll = entry.flags.contains(.waitsForAll)
    step.isDataOnly = entry.flags.contains(.dataOnly)
    return step
  }

  /// Nanoseconds after the copy's start. From the log's times alone, never from when another operation began: so an
  /// operation that is late makes none of those behind it late.
  private func due(_ entry: ReplayLog.Entry) -> UInt64? {
    if replay.ignoresTimes || entry.due == ReplayLog.Entry.asSoonAsCanBe { return nil }
    // At most 10^18: see the reader's limit of times.
    return replay.timeScale == 100 ? entry.due : entry.due * 100 / replay.timeScale
  }

  /// An operation begins, so long after it was due; nil: it had no time.
  mutating func noteBegin(late nanoseconds: UInt64?) {
    begunCount += 1
    if let nanoseconds { drift.record(nanoseconds) }
  }

  var figures: ReplayPart { ReplayPart(path: log.path, count: begunCount, drift: drift, cutOff: log.cutOff) }
}

/// What one copy of a job replayed.
struct ReplayPart: Sendable {
  let path: String
  let count: UInt64
  let drift: Latencies
  let cutOff: String?
}

/// What a job replayed, all its copies together.
package struct ReplayFigures: Sendable, Equatable {
  package var job: String
  package var paths: [String]
  /// Operations that began.
  package var operations: UInt64
  /// How late they began, in nanoseconds; nil where none had a time.
  package var drift: LatencySummary?
  /// Where logs were cut off: they were replayed up to there.
  package var cutOff: [String]

  package init(job: String, paths: [String], operations: UInt64, drift: LatencySummary?, cutOff: [String]) {
    self.job = job
    self.paths = paths
    self.operations = operations
    self.drift = drift
    self.cutOff = cutOff
  }

  /// Nil where no copy replayed anything.
  init?(job: String, _ parts: [ReplayPart]) {
    guard !parts.isEmpty else { return nil }
    var drift = Latencies()
    for part in parts { drift.add(part.drift) }
    func each(_ texts: [String]) -> [String] { texts.reduce(into: []) { if !$0.contains($1) { $0.append($1) } } }
    self.init(
      job: job, paths: each(parts.map(\.path)), operations: parts.reduce(0) { $0 + $1.count },
      drift: LatencySummary(drift), cutOff: each(parts.compactMap(\.cutOff)))
  }
}
