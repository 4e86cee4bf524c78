// One point of a sweep: an operation whose n-th request fails, and everything after it, to the end of the volume.
internal import BlockDevice
internal import DeviceLayers
internal import Ext2
internal import Ext2Tools
internal import PageCache
internal import Reactor

/// What was found at one point.
struct SweepOutcome: Sendable {
  /// Whether the rule fired.
  var hasFired = false
  var findings: [CrashFinding] = []
  /// Whether one of the images that were judged breaks the ordered contract.
  var breaksOrdered = false
  /// The image that was left at the end, where the volume was unmounted without an error.
  var cleanImage: [UInt8]?
  /// The images that an unmount has left that threw, for a reader and for who comes after a power cut, what has to be in
  /// each, and whether there is more to mend than `e2fsck -p` would.
  var unfinished: [(image: [UInt8], expected: CrashExpectation, isSerious: Bool)] = []
  /// Whether the call that was disturbed threw.
  var hasFailed = false
}

/// Runs one operation under one fault. Confined to its reactor.
final class SweepRun {
  private let operation: SweepOperation
  private let point: SweepPoint
  private let reference: SweepReference
  private let image: [UInt8]
  private let options: VolumeOptions
  private let reactor: SimulatedReactor
  private let judge: CrashJudge
  private var watch: FaultWatch
  private(set) var outcome = SweepOutcome()
  /// Images that a call has reported durable, with how much of the run they answer for.
  private var promised: [(image: [UInt8], ended: Int, call: String)] = []
  private var hasSeen = [false, false]

  init(
    _ operation: SweepOperation, _ point: SweepPoint, _ reference: SweepReference, image: [UInt8],
    options: VolumeOptions, judge: CrashJudge, reactor: SimulatedReactor
  ) throws {
    self.operation = operation
    self.point = point
    self.reference = reference
    self.image = image
    self.options = options
    self.judge = judge
    self.reactor = reactor
    watch = try Self.device(image, [point.fault.rule(point.number, point.persistence)], point.fault.isTorn, reactor)
  }

  private static func device(
    _ image: [UInt8], _ rules: [FaultRule], _ isTorn: Bool, _ reactor: SimulatedReactor
  ) -> FaultWatch {
    FaultWatch(FaultLayer(SimulatedDevice(reactor: reactor, image: image), rules: rules), isTorn: isTorn)
  }

  private func find(_ kind: String, _ text: String) {
    outcome.findings.append(CrashFinding(kind: kind, text: text))
  }

  // MARK: The run

  func run() async throws {
    guard let volume = try await mounted() else { return }
    if operation.name == "mount" {
      try await finish(volume, callError: nil)
      return
    }
    let target = try await Self.target(operation, volume)
    try await operation.given?(target)
    var callError: (any Error)?
    if point.phase == .call { watch.arm() }
    do { try await operation.run(target) } catch { callError = error }
    if let callError, !(callError is ShortWrite) { judgeError(callError, operation.name) }
    if callError == nil && !operation.persistence.isEmpty {
      promised.append((watch.durableImage, 2, operation.name))
    }
    if point.phase == .call {
      await heal()
      outcome.hasFailed = callError != nil
      noteSeen(operation, callError)
    } else {
      if let callError { find("error", "\(operation.name) without a fault: \(callError)") }
      guard try await disturbed(volume, point.phase) else { return }
    }
    try await finish(volume, callError: callError, target)
  }

  static func target(_ operation: SweepOperation, _ volume: Volume) async throws -> SweepTarget {
    guard let path = operation.file else { return SweepTarget(volume: volume, file: nil, other: nil) }
    return SweepTarget(volume: volume, file: try await volume.open(path), other: try await volume.open(path))
  }

  /// The mounted volume: under the fault where the mount is what is disturbed. It has to work when the fault is gone.
  private func mounted() async throws -> Volume? {
    guard operation.name == "mount" else { return try await mount() }
    watch.arm()
    do {
      let volume = try await mount()
      await heal()
      return volume
    } catch {
      outcome.hasFailed = true
      judgeError(error, "mount")
      await heal()
    }
    let left = watch.image
    judgeImage(left, reference.expectation(nil, ended: 0), "after the mount that failed")
    watch = Self.device(left, [], false, reactor)
    do { return try await mount() } catch {
      find("liveness", "the fault is gone, but mount: \(error)")
      return nil
    }
  }

  private func mount() async throws -> Volume {
    try await Volume.mount(watch, on: reactor, options: options)
  }

  /// The sync or the unmount that is disturbed. False: that was the end.
  private func disturbed(_ volume: Volume, _ phase: SweepPoint.Phase) async throws -> Bool {
    var failure: Ext2Error?
    if phase == .sync {
      watch.arm()
      do throws(Ext2Error) { try await volume.synchronize() } catch { failure = error }
      if failure == nil { promised.append((watch.durableImage, 3, "sync")) }
    } else {
      watch.arm()
      do throws(Ext2Error) { try await volume.unmount() } catch { failure = error }
      if failure == nil { promised.append((watch.durableImage, 3, "unmount")) }
    }
    await heal()
    if let failure { judgeError(failure, phase.rawValue) }
    outcome.hasFailed = failure != nil
    if failure == nil, let hit = watch.hits.first(where: { $0.operation == .flush && ($0.hasFailed || $0.hasTimedOut) })
    {
      find("forgotten", "\(phase.rawValue) succeeded, but a flush failed: \(hit)")
    }
    guard phase == .unmount else { return true }
    judgePromises(reference.new)
    for image in [watch.image, watch.durableImage] {
      // What is marked clean is complete.
      let isClean = isMarkedClean(image)
      let expected = reference.expectation(reference.new, ended: isClean ? 3 : 0)
      let isSerious = judgeImage(image, expected, "after the unmount")
      if failure != nil, image != outcome.unfinished.last?.image {
        outcome.unfinished.append((image, expected, isSerious))
      }
      if failure == nil && !isClean && !mayBeUnclean {
        find("clean-flag", "unmount succeeded, but the volume is not marked clean")
      }
    }
    if failure == nil && isMarkedClean(watch.image) { outcome.cleanImage = watch.image }
    return false
  }

  /// Ends the fault, and lets everything run that it has held up.
  private func heal() async {
    watch.heal()
    let rest: UInt64 = point.fault.isLate ? 100_000_000_000 : 5_000_000
    await reactor.sleep(until: reactor.now.advanced(byNanoseconds: rest))
    outcome.hasFired = !watch.hits.isEmpty
  }

  /// What has to hold when the fault is gone.
  private func finish(_ volume: Volume, callError: (any Error)?, _ target: SweepTarget? = nil) async throws {
    let found: ObservedTree
    do { found = try await ObservedTree(of: volume, blockSize: judge.blockSize) } catch {
      find("liveness", "the fault is gone, but the tree cannot be read: \(error)")
      return
    }
    if let text = SweepComparison(operation, reference).difference(of: found, hasFailed: callError != nil) {
      find("tree", text)
    }
    do { try await volume.synchronize() } catch { find("liveness", "the fault is gone, but sync: \(error)") }
    if let target { await judgeReports(target) }
    let dirty = await volume.dirtyPageCount
    if dirty > 0 { find("liveness", "the fault is gone, but \(dirty) pages are dirty after sync") }
    judgePromises(found)
    if !(operation.leavesUnchangeable && callError == nil), await !volume.isReadOnly { await judgeChange(volume) }
    do { try await volume.unmount() } catch { find("liveness", "the fault is gone, but unmount: \(error)") }
    await reactor.sleep(until: reactor.now.advanced(byNanoseconds: 1_000_000))
    let left = watch.durableImage
    let isSerious = judgeImage(left, reference.expectation(found, ended: 3), "in the end")
    if isSerious { find("check", "in the end: there is more to mend than e2fsck -p would") }
    if isMarkedClean(left) {
      outcome.cleanImage = left
    } else if !mayBeUnclean {
      find("clean-flag", "unmounted, but the volume is not marked clean")
    }
  }

  private func isMarkedClean(_ image: [UInt8]) -> Bool { RawVolume.isMarkedClean(unsafe image.span.bytes) }

  /// Whether something may be left for a check.
  private var mayBeUnclean: Bool {
    if operation.mayMark && outcome.hasFailed { return true }
    // Where all places of the queue hang, nothing can be read either.
    return operation.frees && watch.hits.contains { $0.operation == .read || $0.hasTimedOut }
  }

  /// Before anything changes, *not clean* is on the disk, whatever the fault has left there.
  private func judgeChange(_ volume: Volume) async {
    do throws(Ext2Error) { try await volume.change("/B/dir", StatusChanges(permissions: 0o755)) } catch {
      find("liveness", "the fault is gone, but chmod: \(error)")
    }
    if isMarkedClean(watch.image) {
      find("clean-flag", "the volume is marked clean while it is mounted and has changed")
    }
  }

  // MARK: Judges

  private func judgeError(_ error: any Error, _ call: String) {
    switch error {
    case let error as Ext2Error where point.fault.explains(error): break
    case let wrong as WrongAnswer: find("answer", "\(wrong)")
    default: find("error", "\(call): an error that the fault does not explain: \(error)")
    }
  }

  /// Returns whether a check has more to mend than `e2fsck -p` would.
  @discardableResult
  private func judgeImage(_ image: [UInt8], _ expected: CrashExpectation, _ place: String) -> Bool {
    let verdict = judge.judge(MemoryBytes(image), expected)
    if !verdict.orderedFindings.isEmpty { outcome.breaksOrdered = true }
    for finding in verdict.findings {
      outcome.findings.append(CrashFinding(kind: finding.kind, text: "\(place): \(finding.text)", inode: finding.inode))
    }
    return verdict.isSerious
  }

  private func judgePromises(_ found: ObservedTree) {
    for (image, ended, call) in promised {
      judgeImage(image, reference.expectation(found, ended: ended), "\(call) has promised it")
    }
  }

  /// Whether every opener has to see an error of this hit: nobody else has heard of it, or everybody has to.
  private func mustBeSeen(_ hit: FaultHit, _ inode: UInt64) -> Bool {
    guard hit.hasFailed || hit.hasTimedOut, hit.operation != .read, !hit.isMerged else { return false }
    if hit.operation == .flush { return true }
    guard hit.operation == .write else { return false }
    // Pages of a batch are tried again alone.
    if hit.isFileData { return hit.owner == inode && (hit.hasTimedOut || hit.byteCount == judge.blockSize) }
    return hit.owner == 0 || hit.owner == inode
  }

  private func noteSeen(_ operation: SweepOperation, _ error: (any Error)?) {
    // Only these report through the file that is open.
    if ["fsync", "fsync-indirect", "fdatasync"].contains(operation.name) { hasSeen[0] = error != nil }
  }

  /// Every opener sees an error once.
  private func judgeReports(_ target: SweepTarget) async {
    guard let file = target.file, let other = target.other, let status = try? await file.status() else { return }
    let reason = watch.hits.first { mustBeSeen($0, UInt64(status.inode)) }
    for (index, opener) in [file, other].enumerated() {
      var errors: [Ext2Error] = []
      for _ in 0..<2 {
        do throws(Ext2Error) { try await opener.synchronize() } catch { errors.append(error) }
      }
      let name = index == 0 ? "the first opener" : "the second opener"
      for error in errors { judgeError(error, "fsync of \(name)") }
      let count = errors.count + (hasSeen[index] ? 1 : 0)
      // Where several requests failed, one after the other, the call may have told of the first alone.
      let failures = watch.hits.count { $0.hasFailed || $0.hasTimedOut }
      if errors.count > 1 || count > max(1, failures) {
        find("reports", "\(name) was told \(count) times of what failed once: \(errors)")
      }
      if let reason, count == 0 { find("reports", "\(name) was never told of what failed: \(reason)") }
    }
  }
}
