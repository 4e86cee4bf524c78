internal import BlockDevice
internal import DeviceLayers
internal import Ext2
internal import Ext2Format
internal import Ext2Tools
internal import PageCache
internal import Reactor

/// Runs workloads and judges what their cuts leave.
public final class CrashExplorer {
  private let options: CrashOptions
  private let image: [UInt8]
  private let judge: CrashJudge
  /// What the cases have in common: the image, changed in place, and what was found in the state before.
  private let medium: MemoryBytes
  private let memory: JudgeMemory
  private let now: () -> UInt64
  private let stopReason: () -> String?
  private var seen = SeenHashes()
  /// States, each with what was expected of it.
  private var judged = SeenHashes()
  /// States that broke the contract, and the ordered one.
  private var broken = SeenHashes(), unordered = SeenHashes()
  private var report = CrashReport()
  private var failure: (any Error)?
  /// When the shrinking of workloads ends, once it has begun.
  private var shrinkingEnd: UInt64?

  /// Makes the volume that the workloads begin with. Its free blocks have been in use before, so that old contents show.
  ///
  /// - Parameters:
  ///   - now: a monotonic clock, in nanoseconds.
  ///   - stopReason: asked between cases, and now and then in them; not nil: stop, for that reason.
  /// - Throws: `ExplorerError` where e2fsck is missing or the volume cannot be made.
  public init(_ options: CrashOptions, now: @escaping () -> UInt64, stopReason: @escaping () -> String?) throws {
    self.options = options
    self.now = now
    self.stopReason = stopReason
    var image = try ScratchImage.prepared(
      blockSize: options.blockSize, blockCount: options.blockCount, inodeCount: options.inodeCount, seed: options.seed
    ) { volume in
      for step in Sequences.preparation(blockSize: options.blockSize) { try await step.run(volume) }
    }.image
    do { judge = try CrashJudge(image) } catch { throw ExplorerError.failed("\(error)") }
    judge.raw.makeFreeBlocksUsed(in: &image, seed: options.seed)
    self.image = image
    medium = MemoryBytes(image)
    memory = JudgeMemory(imageByteCount: image.count)
  }

  /// Runs all cases. `progress` is told of each case that is done.
  public func run(progress: (CrashReport) -> Void = { _ in }) throws -> CrashReport {
    let began = now()
    let cases = cases()
    for (index, number) in cases {
      report.nextCase = index
      askWhetherToStop()
      if let limit = options.stateLimit, seen.count >= limit { report.stopReason = "enough states" }
      if report.stopReason != nil { break }
      try runCase(number)
      // A case that was not looked at to its end comes again.
      if report.stopReason != nil { break }
      report.nextCase = index + 1
      report.elapsed = now() - began
      progress(report)
    }
    if report.stopReason == nil {
      report.nextCase = nil
      if case .sequences(let length, nil) = options.workload, let limit = options.caseLimit,
        case let next = options.firstCase + limit, next < Sequences.count(length: length)
      {
        report.nextCase = next
      }
    }
    report.elapsed = now() - began
    return report
  }

  /// The numbers of the cases, in order, with the place of each.
  private func cases() -> AnySequence<(index: Int, number: Int)> {
    guard case .sequences(let length, let only) = options.workload else { return AnySequence([(0, 0)]) }
    if let only { return AnySequence([(0, only)]) }
    let count = Sequences.count(length: length)
    let last = options.caseLimit.map { min(count, options.firstCase + $0) } ?? count
    guard options.firstCase < last else { return AnySequence([]) }
    let range = options.firstCase..<last
    if length < 3 { return AnySequence(range.lazy.map { ($0, $0) }) }
    // Drawn by index, so that a later run goes on where this one ends.
    let seed = options.seed
    return AnySequence(
      range.lazy.map { index in
        var random = SeededGenerator(seed: seed).split(UInt64(index))
        return (index, random.below(count))
      })
  }

  /// Nanoseconds between two looks at whether somebody wants it to stop.
  private static let lookInterval: UInt64 = 10_000_000

  /// Whether the work, or the shrinking of what it found, is to end.
  private var isToStop: Bool {
    guard let shrinkingEnd else { return stopReason() != nil }
    return stopReason() == "interrupted" || now() > shrinkingEnd
  }

  private func askWhetherToStop() {
    if let reason = stopReason() { report.stopReason = reason }
    if [seen, judged, broken, unordered].reduce(0, { $0 + $1.byteCount }) > options.memoryLimit {
      report.stopReason = "the memory limit is reached"
    }
  }

  private func steps(_ number: Int) -> [CrashStep] {
    switch options.workload {
    case .sequences(let length, _): Sequences.steps(number, length: length)
    case .steps(let script): script.steps
    }
  }

  // MARK: One case

  private func runCase(_ number: Int) throws {
    var kinds: Set<String> = []
    do {
      var visitCount = 0, nextLook = now() + Self.lookInterval
      let isOneCase: Bool
      if case .steps = options.workload { isOneCase = true } else { isOneCase = false }
      try explore(steps(number)) { state, expected, recording in
        // States that are known already take time as well.
        visitCount += 1
        if visitCount & 0xFF == 0 || now() >= nextLook {
          nextLook = now() + Self.lookInterval
          askWhetherToStop()
          if report.stopReason != nil { return false }
        }
        if seen.insert(state.hash) { report.distinctStates += 1 }
        guard judged.insert(state.hash &* 31 ^ expected.hash) else { return true }
        report.judgedStates += 1
        let verdict = judge.judge(medium, expected.value, memory: memory)
        if !verdict.orderedFindings.isEmpty && unordered.insert(state.hash) { report.orderedViolations += 1 }
        var findings = verdict.findings
        if options.contract == .ordered { findings += verdict.orderedFindings }
        do { findings += try slowFindings(state, expected.value, verdict) } catch {
          failure = error
          return false
        }
        if !findings.isEmpty && broken.insert(state.hash) { report.violatingStates += 1 }
        for finding in findings where kinds.insert(finding.kind).inserted {
          report.violations.append(
            CrashViolation(
              finding: finding, number: number, script: recording.steps.map(\.line),
              timeline: recording.timeline(of: state),
              evidence: judge.evidence(of: finding, expected.value, in: medium, recording, base: image),
              blockMap: finding.inode.map { judge.blockMap(of: $0, named: recording.name(of: $0), in: medium) } ?? []))
        }
        if isOneCase, let limit = options.stateLimit, seen.count >= limit {
          report.stopReason = "enough states"
          return false
        }
        if let limit = options.violationLimit, report.violations.count >= limit {
          report.stopReason = "enough violations"
          return false
        }
        return true
      }
    } catch let error as EndlessRun { noteEndless(error.error, number) }
    if let failure { throw failure }
    report.caseCount += 1
  }

  /// The volume did not come to the end of a workload: a deadlock, or an endless loop.
  private func noteEndless(_ error: any Error, _ number: Int) {
    report.violatingStates += 1
    report.violations.append(
      CrashViolation(
        finding: CrashFinding(kind: "run", text: "\(error)"), number: number, script: steps(number).map(\.line),
        timeline: [], evidence: [], blockMap: []))
  }

  /// A workload that did not come to its end.
  private struct EndlessRun: Error { let error: any Error }

  /// What is expected at a cut, made when it is wanted.
  final class Expected {
    let hash: UInt64
    private let make: () -> CrashExpectation
    private(set) lazy var value = make()
    init(_ hash: UInt64, _ make: @escaping () -> CrashExpectation) {
      self.hash = hash
      self.make = make
    }
  }

  /// Runs steps and visits all states that their cuts may leave.
  private func explore(
    _ steps: [CrashStep], visit: (MediumState, Expected, CrashRecording) -> Bool
  ) throws {
    let recording: CrashRecording
    do { recording = try record(steps, isStopped: { self.isToStop }) } catch is CrashRecording.Stopped {
      askWhetherToStop()
      return
    } catch { throw EndlessRun(error: error) }
    report.addFaults(recording.faults)
    if case .steps = options.workload, options.faults.isEmpty {
      report.failedSteps = recording.errors.sorted { $0.key < $1.key }.map { step, error in
        (recording.steps[step - 1].line, "\(error)")
      }
    }
    let observations = recording.observations, blockSize = judge.blockSize
    var states = MediumStates(of: recording.history, on: image, rule: options.subset, seed: options.seed)
    states.changes = memory.changes
    var begun = 0, ended = 0
    func expectation() -> Expected {
      let (begun, ended) = (begun, ended)
      return Expected(observations.expectationHash(begun: begun, ended: ended)) {
        observations.expectation(begun: begun, ended: ended, blockSize: blockSize)
      }
    }
    var expected = expectation()
    states.forEach(on: medium) { text in
      guard let mark = StepMark(text) else { return false }
      if mark.isBegin { begun = mark.step } else { ended = mark.step }
      expected = expectation()
      return !mark.isBegin && !recording.steps[mark.step - 1].persistence.isEmpty
    } visit: {
      visit($0, expected, recording)
    }
    report.cutCount += states.cutCount
    report.isExhaustive = report.isExhaustive && states.isExhaustive
  }

  /// What happens in a case, up to its end.
  public func trace(ofCase number: Int) -> ChromeTrace {
    let trace = ChromeTrace()
    // A run without an end is drawn as far as it goes.
    _ = try? record(steps(number), trace, isStopped: { false })
    return trace
  }

  private func record(
    _ steps: [CrashStep], _ trace: ChromeTrace? = nil, isStopped: @escaping () -> Bool
  ) throws -> CrashRecording {
    try CrashRecording(
      steps, on: image, seed: options.seed, options: volumeOptions, faults: options.faults, trace: trace,
      isStopped: isStopped)
  }

  private var volumeOptions: VolumeOptions {
    var volumeOptions = CrashRecording.options(frees: options.frees, seed: options.seed)
    volumeOptions.cache.switchedOff = options.switchedOff
    return volumeOptions
  }

  // MARK: Shrinking

  /// The shortest workload that could be found in which the same kind of finding comes up, as lines of a script.
  public func shrunk(_ violation: CrashViolation) -> [String] {
    let all = steps(violation.number)
    if shrinkingEnd == nil { shrinkingEnd = now() + options.shrinkingLimit }
    let isShorter = shrink(all, runLimit: 200) { steps in self.comesUp(violation.finding.kind, in: steps) }
    return isShorter.map(\.line)
  }

  private func comesUp(_ kind: String, in steps: [CrashStep]) -> Bool {
    if isToStop { return false }
    var isFound = false
    let before = report
    defer { report = before }
    do {
      try explore(steps) { state, expected, _ in
        let verdict = judge.judge(medium, expected.value, memory: memory)
        var findings = verdict.findings + (options.contract == .ordered ? verdict.orderedFindings : [])
        if findings.allSatisfy({ $0.kind != kind }), !["promise", "clean-flag", "unreadable"].contains(kind) {
          findings += (try? slowFindings(state, expected.value, verdict)) ?? []
        }
        isFound = findings.contains { $0.kind == kind }
        return !isFound && !isToStop
      }
    } catch { return kind == "run" }
    return isFound
  }

  // MARK: Slower judges

  private func isDrawn(_ state: MediumState, _ oneIn: Int, salt: UInt64) -> Bool {
    oneIn > 0
      && (state.hash ^ salt &* 0x9E37_79B9_7F4A_7C15).multipliedFullWidth(by: 0xA076_1D64_78BD_642F).high
        % UInt64(oneIn) == 0
  }

  private func slowFindings(
    _ state: MediumState, _ expected: CrashExpectation, _ verdict: CrashVerdict
  ) throws -> [CrashFinding] {
    var findings: [CrashFinding] = []
    if verdict.isMarkedClean && isDrawn(state, options.sampling.clean, salt: 1) {
      try aside {
        report.cleanStates += 1
        if let text = try ScratchImage.check(medium.bytes) {
          findings.append(CrashFinding(kind: "e2fsck", text: "the volume is marked clean, but e2fsck says: \(text)"))
        }
      }
    }
    if verdict.isSerious && isDrawn(state, options.sampling.serious, salt: 2) {
      try aside {
        report.repairedStates += 1
        let repaired = try ScratchImage.repaired(medium.bytes)
        findings += judge.brokenAfterRepair(repaired, of: medium.bytes, expected).map {
          CrashFinding(kind: "promise-after-e2fsck", text: $0.text)
        }
      }
    }
    if isDrawn(state, options.sampling.mounted, salt: 3) {
      aside {
        report.mountedStates += 1
        findings += MountedJudge.broken(
          expected, in: medium.bytes, seed: options.seed, isDamaged: verdict.isSerious)
      }
    }
    if !verdict.isMarkedClean && !verdict.isSerious {
      if isDrawn(state, options.sampling.recovered, salt: 4) {
        aside {
          report.recoveredStates += 1
          findings += recoveryFindings(medium.bytes, expected)
        }
      }
      if isDrawn(state, options.sampling.recovered, salt: 5) {
        aside {
          report.remountedStates += 1
          findings += remountFindings(medium.bytes, expected)
        }
      }
    }
    return findings
  }

  private func aside(_ body: () throws -> Void) rethrows {
    let began = now()
    defer { report.elapsedAside += now() - began }
    try body()
  }

  /// Cuts a repair at every write: whatever is left keeps the promises, is not marked clean before it is, and can be
  /// repaired again.
  private func recoveryFindings(_ image: [UInt8], _ expected: CrashExpectation) -> [CrashFinding] {
    let recorded = RecordedBytes(image)
    let time: UInt32 = 1_767_225_600
    let checker = VolumeChecker()
    do { _ = try checker.repair(recorded, time: time) } catch {
      return [CrashFinding(kind: "recovery", text: "check --repair: \(error)")]
    }
    let found = secondCut(of: recorded.history, on: image) { medium in
      let verdict = judge.judge(medium, expected, isRepaired: true)
      if let first = verdict.findings.first { return "in the middle of check --repair: \(first)" }
      guard let outcome = try? checker.repair(MemoryBytes(medium.bytes), time: time), outcome.after.isClean else {
        return "a second check --repair does not mend what a cut left of the first"
      }
      return nil
    }
    return found.map { [CrashFinding(kind: "recovery", text: $0)] } ?? []
  }

  /// Mounts what a cut has left, unmounts it, and cuts that as well: the promises still hold, and nothing is marked clean.
  private func remountFindings(_ image: [UInt8], _ expected: CrashExpectation) -> [CrashFinding] {
    let history: DeviceHistory
    do { history = try CrashRecording.remount(image, seed: options.seed, options: volumeOptions) } catch {
      return [CrashFinding(kind: "mount", text: "mounted for writing: \(error)")]
    }
    let found = secondCut(of: history, on: image) { medium in
      let verdict = judge.judge(medium, expected)
      if let first = verdict.findings.first { return "in a mount of what a cut has left: \(first)" }
      return verdict.isMarkedClean ? "a mount of what a cut has left marks it clean" : nil
    }
    return found.map { [CrashFinding(kind: "mount", text: $0)] } ?? []
  }

  /// Visits what a cut leaves of what was done to a state. Returns what `judge` found first.
  private func secondCut(
    of history: DeviceHistory, on image: [UInt8], judge: (MemoryBytes) -> String?
  ) -> String? {
    var states = MediumStates(of: history, on: image, rule: .automatic, seed: options.seed)
    let medium = MemoryBytes(image), base = StableHash(image: image).value
    var judgedHere = SeenHashes()
    var found: String?
    states.forEach(on: medium) { state in
      guard judgedHere.insert(state.hash) else { return true }
      if seen.insert(state.hash ^ base) { report.distinctStates += 1 }
      report.judgedStates += 1
      found = judge(medium)
      return found == nil && !isToStop
    }
    return found
  }
}
