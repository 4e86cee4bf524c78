internal import BlockDevice

/// What a job replays, and how (`read_iolog` and the options beside it).
package struct Replay: Sendable, Equatable {
  /// The logs; copy N of the job has the one at N, counted round.
  package var paths: [String]
  /// Begin each operation as soon as can be, whatever its time (`replay_no_stall`).
  package var ignoresTimes: Bool
  /// Percent: at 200 the replay takes half as long (`replay_time_scale`).
  package var timeScale: UInt64
  /// One file for all that the log names (`replay_redirect`).
  package var redirect: String?
  /// Offsets are divided by it (`replay_scale`), and then moved down to a multiple of the alignment, a power of two
  /// (`replay_align`).
  package var offsetScale: UInt64
  package var align: UInt64?
  /// What is left out (`replay_skip`).
  package var skips: [SkippedOperation]
  /// The logs of `paths`, once they have been read.
  var logs: [ReplayLog] = []
}

/// What `replay_skip` can leave out.
package enum SkippedOperation: String, CaseIterable, Sendable {
  case read, write, trim, sync

  init(_ operation: Operation) {
    self =
      switch operation {
      case .read: .read
      case .write, .writeZeroes: .write
      case .discard: .trim
      case .flush: .sync
      }
  }
}

extension Replay {
  /// Nil where a job replays nothing.
  init?(_ settings: ResolvedSettings) {
    let names = settings.names(.readIOLog)
    if names.isEmpty { return nil }
    paths = names
    ignoresTimes = settings.flag(.replayNoStall)
    timeScale = settings.integer(.replayTimeScale)
    redirect = settings.text(.replayRedirect)
    offsetScale = settings.integer(.replayScale)
    align = settings.positive(.replayAlign)
    skips = settings.names(.replaySkip).compactMap(SkippedOperation.init)
  }

  /// The value of one of its options, as a user would write it.
  func text(of option: JobOption.Name) -> String? {
    switch option {
    case .readIOLog: namesText(paths)
    case .replayNoStall: ignoresTimes ? "1" : "0"
    case .replayTimeScale: "\(timeScale)"
    case .replayRedirect: redirect
    case .replayScale: "\(offsetScale)"
    case .replayAlign: align.map(bytesText)
    case .replaySkip: skips.isEmpty ? nil : skips.map(\.rawValue).joined(separator: ",")
    default: nil
    }
  }

  func log(ofCopy copy: Int) -> ReplayLog { logs[copy % logs.count] }

  /// How many bytes a file must have for all logs, and what all positions on it are multiples of.
  func needs(of name: String) -> (end: UInt64, alignment: Int) {
    let files = logs.flatMap(\.files).filter { $0.name == name }
    let end = files.map(\.end).max() ?? 0, bits = files.reduce(0) { $0 | $1.positionBits }
    return (end, 1 << min(20, bits.trailingZeroBitCount))
  }
}

extension UInt64 {
  /// The next multiple of a power of two; of numbers below 2^63.
  func roundedUp(to unit: UInt64) -> UInt64 { (self + unit - 1) & ~(unit - 1) }
}

extension WorkloadPlan {
  /// The plan with the logs read that jobs replay, and with their files and blocks in the place of those that the options
  /// name: of these a replay needs none.
  func readingLogs() throws(RunError) -> WorkloadPlan {
    var plan = self
    for index in plan.jobs.indices { try plan.jobs[index].readLogs() }
    let written = jobs.flatMap { job in (0..<job.copies).compactMap { job.iologPath(copy: $0) } }
    if Set(written).count < written.count {
      throw .unfit(job: jobs[0].name, reason: "write_iolog: two jobs would write one log")
    }
    return plan
  }
}

extension Job {
  fileprivate mutating func readLogs() throws(RunError) {
    guard var replay else { return }
    // A log of writes has no name for its device.
    let device = namedFiles.first ?? (engine == .libaio ? nil : name)
    do throws(TraceError) {
      for path in replay.paths { replay.logs.append(try ReplayLog.read(path, replay, device: device)) }
    } catch { throw .trace(error) }
    var names: [String] = []
    for name in replay.logs.flatMap(\.files).map(\.name) where !names.contains(name) { names.append(name) }
    // Where the job says what it works on, nothing else is written.
    if !namedFiles.isEmpty, replay.redirect == nil, let other = names.first(where: { !namedFiles.contains($0) }) {
      throw .unfit(
        job: name,
        reason: "\(replay.paths[0]) names \(other), which filename does not; replay_redirect=FILE sends all to one file"
      )
    }
    if names.contains("") {
      throw .unfit(
        job: name, reason: "\(replay.paths[0]) is a log of writes, which names no device: give filename=DEVICE")
    }
    namedFiles = names
    directories = []
    let largest = replay.logs.map(\.largestTransfer).max() ?? 512
    load.blockSizes = PerDirection(.fixed(largest))
    load.blockAlign = PerDirection(nil)
    load.pattern = replay.logs.contains { $0.changes } ? .mixed : .read
    load.patternModifier = nil
    load.offset = .bytes(0)
    load.offsetIncrement = .bytes(0)
    size = nil
    sizePercent = nil
    self.replay = replay
  }
}
