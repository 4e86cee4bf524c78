// Verification of one copy of a job: what its operations on devices mean for what is there, and whether what it reads is
// what may be there.
internal import BlockDevice
internal import Reactor
internal import SystemPackage

/// A part of a device, the blocks in it, and whoever works on it.
final class VerifyArea {
  let map: GenerationMap
  let format: BlockFormat
  /// Whether some job writes here: then what nobody has written yet is unknown.
  let hasWriters: Bool

  init(_ map: GenerationMap, _ format: BlockFormat, hasWriters: Bool) {
    self.map = map
    self.format = format
    self.hasWriters = hasWriters
  }
}

/// What a copy verifies, or, where it does not, what those have to know who verify on the same device.
final class CopyVerifier {
  /// An operation in flight.
  enum Ticket {
    case change(GenerationMap.Change, isTrimmedLater: Bool)
    case flush([(GenerationMap, GenerationMap.Flush)])
    case read(GenerationMap.Observation)
  }

  /// One file of the copy.
  struct File {
    let name: String
    let range: Range<UInt64>
    let area: VerifyArea?
    /// All areas of the device: a flush covers each.
    let areasOfDevice: [VerifyArea]
  }

  private let copy: JobCopy
  private let options: VerifyOptions?
  private let files: [File]
  private var judges: [BlockJudge?]
  private let statePath: String?
  /// Whether the map tells of an earlier run.
  private var judgesEarlierRun = false
  private(set) var verdict = VerifyVerdict()
  /// What went wrong beside a comparison.
  private(set) var failures: [Finding] = []

  private var backlog: [(file: Int, range: Range<UInt64>)] = []
  private var backlogHead = 0
  /// Entries that may be done and still there: to remove them one by one would move all others each time.
  private static let backlogSlack = 4096
  private var backlogDue = 0
  private var trims: TrimBacklog?
  private var isReadingBack = false
  private var nextFile = 0
  private var nextUnit = 0

  private var savedAt = Instant(nanoseconds: 0)
  private var saveNanoseconds: UInt64 = 0

  /// Beside those of the workers of a copy.
  private static let trimGenerator = 1 << 32

  /// - Parameters:
  ///   - files: of the copy, in their order.
  ///   - jobNames: of the run.
  ///   - statePath: where a state is saved, and loaded from; nil where devices end with the run.
  init(_ copy: JobCopy, _ files: [File], jobNames: [String], statePath: String?) {
    self.copy = copy
    self.files = files
    self.statePath = statePath
    options = copy.job.verify
    trims = options.map { TrimBacklog($0.trim, copy.generator(of: Self.trimGenerator)) }
    judges = files.map { file in file.area.map { BlockJudge(format: $0.format, jobNames: jobNames) } }
  }

  /// Whether the copy's own writes have what verification needs.
  var stampsWrites: Bool { options != nil }
  /// Whether the copy only compares.
  var isOnly: Bool { options.map { $0.isOnly && (writes || $0.loadsState) } ?? false }
  private var writes: Bool { copy.job.load.pattern.writes }
  /// No operation has a number left.
  var isExhausted: Bool {
    files.contains { ($0.area?.map.operationCount ?? 0) > GenerationMap.generationLimit - 1 << 20 }
  }
  /// Whether no further operation is to begin.
  var hasEnded: Bool { hasFailedFatally || isExhausted }
  /// Whether a mismatch has ended the job.
  var hasFailedFatally: Bool { options?.isFatal == true && verdict.mismatches > 0 }

  // MARK: An earlier run

  /// Takes over what an earlier run has left, by its state.
  func loadState() throws(RunError) {
    guard let options, options.loadsState, let statePath else { return }
    let state = try VerifyState.load(from: statePath, job: copy.job.name)
    func refuse(_ reason: String) -> RunError { .unfit(job: copy.job.name, reason: "\(statePath): \(reason)") }
    guard state.files.count == files.count else { throw refuse("tells of \(state.files.count) files") }
    for (index, file) in state.files.enumerated() {
      guard let area = files[index].area else { continue }
      guard file.unit == area.map.unit else {
        throw refuse("has blocks of \(file.unit) bytes, the job has \(area.map.unit): bs has to be what it was")
      }
      judges[index] = BlockJudge(
        format: BlockFormat(
          seed: state.seed, area: file.area, unit: file.unit, method: state.method, pattern: state.pattern),
        jobNames: judges[index]?.jobNames ?? [])
      for entry in file.entries {
        let range = area.map.range
        guard entry.range.lowerBound >= range.lowerBound, entry.range.upperBound <= range.upperBound,
          (entry.range.lowerBound - range.lowerBound).isMultiple(of: UInt64(file.unit))
        else { throw refuse("bytes \(entry.range) are not among those that the job works on") }
        for unit in area.map.units(entry.range) {
          area.map.restore(
            unit, candidates: entry.candidates.isEmpty ? [GenerationMap.anything] : entry.candidates,
            durable: entry.durable ?? GenerationMap.anything)
        }
      }
    }
    judgesEarlierRun = true
  }

  /// Goes through what the job would write, and expects that it is there.
  func expectOwnWork(_ random: inout SeededGenerator, at now: Instant) {
    var generation: UInt32 = 0
    // Beyond one at a time nobody knows which of two operations on one block was the last.
    let isInOrder = copy.job.queueing.depth == 1
    while generation < GenerationMap.generationLimit, copy.takeTurn(at: now) {
      let step = copy.nextStep(&random, at: nil)
      guard step.isWrite, let map = files[step.file].area?.map else { continue }
      generation += 1
      let value: UInt32? =
        switch step.operation {
        case .write: generation
        case .writeZeroes: GenerationMap.zeroes(by: generation)
        default: nil
        }
      for unit in map.units(step.range) {
        let known = map.durableValue(of: unit)
        let isFirst = known == GenerationMap.anything && !map.isKnown(unit)
        map.restore(
          unit, candidates: [value ?? GenerationMap.anything],
          durable: value.map { isInOrder || isFirst ? $0 : known } ?? GenerationMap.anything)
      }
    }
    judgesEarlierRun = true
  }

  // MARK: Operations

  /// An operation goes to its device; what a write writes is put into its memory.
  func begin(_ step: Step, _ pieces: [Buffer]) -> Ticket? {
    let file = files[step.file]
    switch step.operation {
    case .flush:
      return file.areasOfDevice.isEmpty ? nil : .flush(file.areasOfDevice.map { ($0.map, $0.map.beginFlush()) })
    case .read:
      guard let map = file.area?.map, options != nil else { return nil }
      return .read(map.observe(map.units(step.range)))
    case .write, .discard, .writeZeroes:
      guard let area = file.area else { return nil }
      let effect: GenerationMap.Effect =
        switch step.operation {
        case .writeZeroes: .zeroes
        case .discard where step.leavesZeroes: .zeroes
        case .write where options != nil: .blocks
        default: .unknown
        }
      guard let change = area.map.begin(area.map.units(step.range), effect) else { return nil }
      if effect == .blocks { fill(pieces, step, area.format, change.generation) }
      return .change(change, isTrimmedLater: effect == .blocks && trims?.choose() == true)
    }
  }

  private func fill(_ pieces: [Buffer], _ step: Step, _ format: BlockFormat, _ generation: UInt32) {
    forEachPiece(pieces, step) { piece, offset, count in
      piece.withMutableBytes { bytes in
        for index in stride(from: 0, to: count, by: format.unit) {
          format.fill(
            &bytes, index, at: offset + UInt64(index), generation: generation,
            job: UInt16(truncatingIfNeeded: copy.jobIndex), copy: UInt16(truncatingIfNeeded: copy.copy))
        }
      }
    }
  }

  /// Calls `body` with each piece, its offset on the device, and its bytes that count.
  private func forEachPiece(_ pieces: [Buffer], _ step: Step, _ body: (Buffer, UInt64, Int) -> Void) {
    var offset = step.offset
    for piece in pieces where offset < step.range.upperBound {
      let count = min(piece.byteCount, Int(step.range.upperBound - offset))
      body(piece, offset, count)
      offset += UInt64(count)
    }
  }

  /// An operation has ended; what was read is compared.
  func end(_ step: Step, _ pieces: [Buffer], _ ticket: Ticket, isDone: Bool, at now: Instant) {
    let file = files[step.file]
    switch ticket {
    case .change(let change, let isTrimmedLater):
      let isDurable = step.operation == .write && copy.job.writeSync != .none
      file.area?.map.end(change, isDone: isDone, isDurable: isDurable)
      if isDone, step.operation != .discard, let options {
        if options.backlog > 0 { addToBacklog(step, options) }
        if step.operation == .write { trims?.noteWrite(step, isChosen: isTrimmedLater) }
      }
    case .flush(let flushes):
      for (map, flush) in flushes { map.end(flush, isDone: isDone) }
      if isDone { saveStateIfDue(at: now) }
    case .read(let observation):
      file.area?.map.end(observation)
      if isDone, let area = file.area, let judge = judges[step.file] {
        compare(step, pieces, observation, area.map, judge, hasWriters: area.hasWriters)
      }
    }
  }

  private func compare(
    _ step: Step, _ pieces: [Buffer], _ observation: GenerationMap.Observation, _ map: GenerationMap,
    _ judge: BlockJudge, hasWriters: Bool
  ) {
    forEachPiece(pieces, step) { piece, offset, count in
      piece.withBytes { bytes in
        var index = 0
        while index < count {
          let place = offset + UInt64(index)
          let unit = Int((place - map.range.lowerBound) / UInt64(map.unit))
          if !judgesEarlierRun && !hasWriters {
            index += compareUnknown(bytes, index..<count, at: place, judge, step)
            continue
          }
          // The last unit of an area may be cut.
          if index + map.unit > count { break }
          if judgesEarlierRun {
            judgeEarlier(bytes, index, unit, map, judge, step)
          } else {
            let expectation = map.expectation(of: unit, observation)
            if expectation != .anything {
              verdict.bytes += UInt64(map.unit)
              note(judge.fault(bytes, index, at: place, expectation), step)
            }
          }
          index += map.unit
        }
      }
    }
  }

  /// Compares a block that some earlier run has written, and is as long as its header says. Returns how long that is.
  private func compareUnknown(
    _ bytes: RawSpan, _ range: Range<Int>, at offset: UInt64, _ judge: BlockJudge, _ step: Step
  ) -> Int {
    var format = judge.format
    if format.method.hasHeader, let header = BlockFormat.header(bytes, range.lowerBound) {
      format.unit = Int(header.length)
    }
    if !(512...range.count).contains(format.unit) || !format.unit.isMultiple(of: 512) {
      format.unit = min(judge.format.unit, range.count / 512 * 512)
    }
    if format.unit == 0 { return range.count }
    verdict.bytes += UInt64(format.unit)
    let judge = BlockJudge(format: format, jobNames: judge.jobNames)
    note(judge.fault(bytes, range.lowerBound, at: offset, .written), step)
    return format.unit
  }

  private func judgeEarlier(
    _ bytes: RawSpan, _ index: Int, _ unit: Int, _ map: GenerationMap, _ judge: BlockJudge, _ step: Step
  ) {
    let known = map.durableValue(of: unit)
    let durable = known == GenerationMap.anything ? nil : known
    let candidates = map.isKnown(unit) ? map.candidates(of: unit) : []
    if candidates.isEmpty && durable == nil { return }
    let outcome = VerifyState.judge(
      bytes, index, at: map.offset(of: unit), judge, candidates: candidates, durable: durable)
    switch outcome {
    case .held: verdict.bytes += UInt64(map.unit)
    case .unflushed: verdict.unflushedBytes += UInt64(map.unit)
    case .fault(let fault):
      verdict.bytes += UInt64(map.unit)
      note(fault, step)
    }
  }

  private func note(_ fault: BlockFault?, _ step: Step) {
    guard let fault else { return }
    verdict.mismatches += 1
    verdict.note(Finding(fault, file: files[step.file].name, context: "verify of \(copy.name)"))
  }

  // MARK: Reading back

  private func addToBacklog(_ step: Step, _ options: VerifyOptions) {
    backlog.append((step.file, step.range))
    guard backlogDue == 0, backlog.count - backlogHead >= options.backlog else { return }
    let count = UInt64(backlog.count - backlogHead)
    backlogDue = Int(min(count, options.backlogBatch ?? count))
  }

  /// From now on everything that is to be there is read.
  func beginReadingBack() {
    // What a job that has failed was still to trim stays as it is.
    trims = nil
    guard let options, isOnly || options.readsBack && writes else { return }
    if options.backlog > 0 && !isOnly {
      backlogDue = backlog.count - backlogHead
    } else {
      isReadingBack = true
    }
  }

  /// No write follows: what is left to be trimmed is due.
  func beginLastTrims() {
    if !isOnly { trims?.beginRest() }
  }

  /// The next trim of what was written, or the next read that only compares, if one is due.
  func takeStep() -> Step? {
    if hasFailedFatally { return nil }
    if let trim = trims?.takeStep() { return trim }
    if backlogDue > 0 {
      let (file, range) = backlog[backlogHead]
      backlogHead += 1
      backlogDue -= 1
      // What has completed meanwhile, and what a smaller batch leaves over, stays: its turn comes, at the job's end at
      // the latest.
      if backlogHead == backlog.count || backlogHead == Self.backlogSlack {
        backlog.removeFirst(backlogHead)
        backlogHead = 0
      }
      return reading(file, range)
    }
    while isReadingBack && nextFile < files.count {
      let file = files[nextFile]
      if let map = file.area?.map, let range = nextKnown(map, map.units(file.range)) {
        return reading(nextFile, range)
      }
      nextFile += 1
      nextUnit = 0
    }
    return nil
  }

  private func reading(_ file: Int, _ range: Range<UInt64>) -> Step {
    var step = Step(
      operation: .read, file: file, offset: range.lowerBound, byteCount: Int(range.count), due: nil)
    step.isVerification = true
    return step
  }

  /// The next bytes of which something is known, at most one block of the job.
  private func nextKnown(_ map: GenerationMap, _ units: Range<Int>) -> Range<UInt64>? {
    func isKnown(_ unit: Int) -> Bool {
      map.isKnown(unit) || judgesEarlierRun && map.durableValue(of: unit) != GenerationMap.anything
    }
    var first = max(nextUnit, units.lowerBound)
    while first < units.upperBound && !isKnown(first) { first += 1 }
    var end = first
    let most = copy.job.largestBlock / map.unit
    while end < units.upperBound && end - first < most && isKnown(end) { end += 1 }
    nextUnit = end
    return first < end ? map.offset(of: first)..<map.offset(of: end) : nil
  }

  // MARK: The state

  private var savesState: Bool { options?.savesState == true && !isOnly && writes && statePath != nil }

  /// What the copy's files hold, as far as it is known.
  private var state: VerifyState? {
    guard let options, let format = files.lazy.compactMap({ $0.area?.format }).first else { return nil }
    var state = VerifyState(seed: format.seed, method: options.method, pattern: options.pattern)
    for file in files {
      guard let area = file.area else { continue }
      var part = VerifyState.File(name: file.name, unit: area.map.unit, area: area.format.area)
      for unit in area.map.units(file.range) {
        let candidates = area.map.isKnown(unit) ? area.map.candidates(of: unit) : []
        let known = area.map.durableValue(of: unit)
        let durable = known == GenerationMap.anything ? nil : known
        if candidates.isEmpty && durable == nil { continue }
        let start = area.map.offset(of: unit)
        if let last = part.entries.last, last.range.upperBound == start, last.candidates == candidates,
          last.durable == durable
        {
          part.entries[part.entries.count - 1].range = last.range.lowerBound..<start + UInt64(area.map.unit)
        } else {
          part.entries.append(
            .init(range: start..<start + UInt64(area.map.unit), candidates: candidates, durable: durable))
        }
      }
      state.files.append(part)
    }
    return state
  }

  /// Saves what is there, for a later run.
  func saveState() {
    guard savesState, let statePath, let state else { return }
    do throws(Errno) { try state.store(to: statePath) } catch {
      if failures.isEmpty {
        failures.append(
          Finding(.ioError, context: "verify_state_save of \(copy.name)", file: statePath, found: "\(error)"))
      }
    }
  }

  /// After a flush, so that a power cut finds a state on the disk: but not more than a twentieth of the time.
  private func saveStateIfDue(at now: Instant) {
    guard savesState, now >= savedAt.advanced(byNanoseconds: max(1_000_000_000, 20 * saveNanoseconds)) else { return }
    saveState()
    // What it takes is not seen on a clock that a reactor holds for a turn; what is written is.
    saveNanoseconds = UInt64(files.reduce(0) { $0 + ($1.area?.map.units($1.range).count ?? 0) }) * 1_000
    savedAt = now
  }
}
