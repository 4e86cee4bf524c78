// Lets the 1st, 2nd, 3rd … request of every operation fail, in every way, until a run completes in which none failed.
internal import BlockDevice
internal import DeviceLayers
public import Ext2
internal import Ext2Tools
public import PageCache
internal import Reactor

/// What is swept.
public struct SweepOptions: Sendable {
  /// One operation, by its name; nil: all.
  public var operation: String?
  /// One point of it, as a violation names it; nil: all.
  public var point: String?
  /// The ways to fail, by name; nil: all.
  public var faults: Set<String>?
  public var frees = FreesName.plain
  public var seed: UInt64 = 1
  /// Rules of the protocol that are switched off.
  public var switchedOff: SwitchedOffRules = []
  /// Stop when so many violations were found.
  public var violationLimit: Int?
  /// Every how many of the images that are marked clean one is shown to `e2fsck -fn`, and of those that an unmount has left
  /// that threw to `e2fsck -fy`, besides all that need more than `e2fsck -p`; 0: none.
  public var cleanSampling = 100
  public init() {}

  /// The names of the operations, in their order.
  public static var operations: [String] { SweepOperations.all.map(\.name) }
  /// Whether there is such a point.
  public static func isPoint(_ text: String) -> Bool { SweepPoint(text) != nil }
  /// Rules whose absence a sweep has to notice, by name.
  public static var mutants: [String] { SwitchedOffRules.all.filter { sweepRules.contains($0.rule) }.map(\.name) }
  private static let sweepRules: SwitchedOffRules = [
    .failedFlushIsRemembered, .retryOnNormalPath, .fsyncWaitsForWriteback, .failedPageStaysDirty,
    .failedMetadataStaysDirty, .errorIsTold, .errorIsToldOnce, .failureGivesBack, .cleanOnlyWhenWritten,
    .changeMarksAgain, .evictionIsTriedAgain,
  ]
}

/// What broke, and where.
public struct SweepViolation: Sendable {
  public let finding: CrashFinding
  public let operation: String
  public let point: String
}

/// What was looked at, and what was found.
public struct SweepReport: Sendable {
  /// Operations that were swept, or begun.
  public var operationCount = 0
  /// Runs in which a request failed, each another one or in another way.
  public var points = 0
  /// Runs, with those in which none did.
  public var runCount = 0
  /// Points at which the call that was disturbed threw.
  public var failedCount = 0
  /// The most requests that a call has made.
  public var largestNumber = 0
  /// Images that were shown to `e2fsck -fn`.
  public var cleanImages = 0
  /// Images that an unmount has left that threw, and that `e2fsck -fy` has mended before they were judged once more.
  public var repairedImages = 0
  /// The violations, one a kind, operation, phase and fault, and the points that had any.
  public var violations: [SweepViolation] = []
  public var violatingPoints = 0
  /// Points at which an image that was judged, as a power cut would leave it, breaks the ordered contract.
  public var orderedViolations = 0
  /// Nanoseconds.
  public var elapsed: UInt64 = 0
  public var stopReason: String?
  public init() {}
}

/// Runs sweeps.
public final class Sweeper {
  private let options: SweepOptions
  private let image: [UInt8]
  private let start: ObservedTree
  private let judge: CrashJudge
  private let now: () -> UInt64
  private let stopReason: () -> String?
  private var report = SweepReport()
  private var kinds: Set<String> = []
  /// More requests than any operation on so small a tree can need.
  private static let largestNumber = 2000

  /// Makes the volume that the operations work on.
  ///
  /// - Parameters:
  ///   - now: a monotonic clock, in nanoseconds.
  ///   - stopReason: asked between runs; not nil: stop, for that reason.
  /// - Throws: `ExplorerError` where e2fsck is missing or the volume cannot be made.
  public init(_ options: SweepOptions, now: @escaping () -> UInt64, stopReason: @escaping () -> String?) throws {
    self.options = options
    self.now = now
    self.stopReason = stopReason
    (image, start) = try ScratchImage.prepared(blockSize: 1024, seed: options.seed) { volume in
      try await SweepOperations.prepare(volume)
      try await volume.synchronize()
      return try await ObservedTree(of: volume, blockSize: 1024)
    }
    do { judge = try CrashJudge(image) } catch { throw ExplorerError.failed("\(error)") }
  }

  /// Sweeps all that the options name. `progress` is told now and then.
  public func run(progress: (SweepReport, String) -> Void = { _, _ in }) throws -> SweepReport {
    let began = now()
    for operation in SweepOperations.all where options.operation.map({ $0 == operation.name }) ?? true {
      report.operationCount += 1
      try sweep(operation) {
        report.elapsed = now() - began
        progress(report, operation.name)
      }
      if report.stopReason != nil { break }
    }
    report.elapsed = now() - began
    return report
  }

  private func sweep(_ operation: SweepOperation, progress: () -> Void) throws {
    let reference = try reference(of: operation)
    if let point = options.point.flatMap(SweepPoint.init) {
      _ = try run(operation, point, reference)
      return
    }
    for phase in operation.phases {
      for fault in SweepFault.all where options.faults?.contains(fault.name) ?? true {
        for persistence in fault.persistences {
          for number in 1...Self.largestNumber {
            report.stopReason = report.stopReason ?? stopReason()
            if report.stopReason != nil { return }
            if try !run(operation, SweepPoint(phase, number, fault, persistence), reference) { break }
          }
        }
        progress()
      }
    }
  }

  private func volumeOptions(_ operation: SweepOperation, _ fault: SweepFault?) -> VolumeOptions {
    var volumeOptions = CrashRecording.options(frees: options.frees, seed: options.seed)
    volumeOptions.cache.switchedOff = options.switchedOff
    if fault?.hasSmallestQueue == true {
      volumeOptions.queue.tagCount = 1
      volumeOptions.queue.placeCount = 3
      volumeOptions.queue.writebackReserve = 1
    }
    operation.options?(&volumeOptions)
    return volumeOptions
  }

  private func reference(of operation: SweepOperation) throws -> SweepReference {
    let reactor = SimulatedReactor(seed: options.seed, policy: .uniform)
    let (image, start, volumeOptions) = (image, start, volumeOptions(operation, nil))
    let (old, new) = try reactor.run {
      let volume = try await Volume.mount(
        SimulatedDevice(reactor: reactor, image: image), on: reactor, options: volumeOptions)
      let target = try await SweepRun.target(operation, volume)
      try await operation.given?(target)
      let old = try await ObservedTree(of: volume, blockSize: 1024)
      try await operation.run(target)
      let new = try await ObservedTree(of: volume, blockSize: 1024)
      try await volume.unmount()
      return (old, new)
    }
    return SweepReference(start: start, old: old, new: new, operation.persistence, blockSize: judge.blockSize)
  }

  /// Runs one point. False: no request failed in it.
  private func run(_ operation: SweepOperation, _ point: SweepPoint, _ reference: SweepReference) throws -> Bool {
    let reactor = SimulatedReactor(seed: options.seed, policy: .uniform)
    reactor.stepLimit = 500_000
    let run = try SweepRun(
      operation, point, reference, image: image, options: volumeOptions(operation, point.fault), judge: judge,
      reactor: reactor)
    // The reactor runs its body on this thread, which looks at the run again only when that has ended.
    nonisolated(unsafe) let confined = run
    report.runCount += 1
    var outcome: SweepOutcome
    do {
      try reactor.run { unsafe try await confined.run() }
      outcome = run.outcome
    } catch {
      outcome = run.outcome
      // What does not end was disturbed.
      outcome.hasFired = true
      let isEndless = error is SimulatedReactor.Deadlock || error is SimulatedReactor.StepLimit
      outcome.findings.append(CrashFinding(kind: isEndless ? "hang" : "error", text: "\(error)"))
    }
    let isDrawn = options.cleanSampling > 0 && (report.runCount - 1) % options.cleanSampling == 0
    for (image, expected, isSerious) in outcome.unfinished where options.cleanSampling > 0 && (isSerious || isDrawn) {
      report.repairedImages += 1
      outcome.findings += judge.brokenAfterRepair(try ScratchImage.repaired(image), of: image, expected).map {
        CrashFinding(kind: "promise-after-e2fsck", text: "after an unmount that threw: \($0.text)")
      }
    }
    if let clean = outcome.cleanImage, isDrawn {
      report.cleanImages += 1
      if let text = try ScratchImage.check(clean) {
        outcome.findings.append(CrashFinding(kind: "e2fsck", text: "marked clean, but e2fsck says: \(text)"))
      }
    }
    note(outcome, operation, point)
    return outcome.hasFired
  }

  private func note(_ outcome: SweepOutcome, _ operation: SweepOperation, _ point: SweepPoint) {
    if outcome.hasFired {
      report.points += 1
      report.largestNumber = max(report.largestNumber, point.number)
      if outcome.hasFailed { report.failedCount += 1 }
    }
    if !outcome.findings.isEmpty { report.violatingPoints += 1 }
    if outcome.breaksOrdered { report.orderedViolations += 1 }
    for finding in outcome.findings
    where kinds.insert("\(finding.kind) \(operation.name) \(point.phase) \(point.fault.name)").inserted {
      report.violations.append(
        SweepViolation(finding: finding, operation: operation.name, point: "\(point)"))
    }
    if let limit = options.violationLimit, report.violations.count >= limit { report.stopReason = "enough violations" }
  }
}
