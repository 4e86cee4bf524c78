// All schedules of the races, up to a number of deviations from the straight one.
internal import BlockDevice
internal import Ext2
internal import Ext2Tools
internal import Logging
public import PageCache
public import Reactor
internal import SystemPackage

/// Runs races under chosen schedules. Makes the volume they begin with once.
public struct ScheduleExplorer: Sendable {
  private let image: [UInt8]

  /// Throws `missingTool` when e2fsck is missing.
  public init() throws(ExplorerError) { image = try ScratchImage.make(blockSize: Race.blockSize, blockCount: 200) }

  /// Rules whose absence a run with two deviations has to notice, by name.
  public static var mutants: [String] {
    SwitchedOffRules.all.filter { rule in showing.contains { $0.rule == rule.rule } }.map(\.name)
  }

  /// For each of these rules a race in which it shows.
  package static let showing: [(rule: SwitchedOffRules, race: String)] = [
    (.cookieComparison, "truncate/completes/0"), (.oldCookieOfCachedExtent, "truncate/completes/0"),
    (.pendingFrees, "truncate/completes/0"), (.lateMetadataCopy, "truncate/completes/0"),
    (.retryOnNormalPath, "truncate/fails/0"), (.staleIsPlannedAgain, "truncate/completes/0"),
    (.fillChecksAttachment, "read-truncate/completes/0"), (.writerWaitsForFill, "read-rewrite/completes/0"),
    (.discardCountsAsWrite, "discard/completes/0"), (.fsyncWaitsForWriteback, "fsync/fails/0"),
    (.detachInOneStep, "punch/completes/0"), (.lateWritesCount, "truncate/hangs/0"),
    (.freedIsForgotten, "truncate/completes/0"), (.redirtiedStaysDirty, "rewrite/late/0"),
    (.freshPageIsZeroed, "truncate/completes/0"), (.oneWriteAPage, "fsync/completes/0"),
    (.growInOneStep, "read-extend/completes/0"), (.flushAfterLastWrite, "fsync/late/3"),
    (.failedFlushIsRemembered, "sync-other/flush-fails/0"), (.sharedFailureIsTold, "fsync/flush-fails/0"),
    (.errorIsToldOnce, "fsync/broken/0"), (.pageIsTriedOnce, "fsync/broken/0"),
    (.blockIsTriedOnce, "reallocate/hangs/0"), (.placeIsGivenBack, "rewrite/fails/0"),
  ]

  /// Runs one schedule of a scenario. Returns what was wrong, how many choices there were at each point, and whether a
  /// power cut at its end would leave what breaks the ordered contract. `trace` collects what happens.
  public func run(
    _ scenario: RaceScenario, _ deviations: [ScheduleChooser.Deviation], switchedOff: SwitchedOffRules = [],
    trace: ChromeTrace? = nil
  ) -> (findings: [String], counts: [Int], breaksOrder: Bool) {
    let chooser = ScheduleChooser(deviations)
    let reactor = SimulatedReactor(seed: 1, policy: .chosen(chooser))
    reactor.stepLimit = 200_000
    trace?.watch(reactor)
    let image = image
    do {
      let found = try reactor.run { try await Self.run(scenario, image, reactor, chooser, switchedOff) }
      return (found.findings, chooser.counts, CrashJudge.breaksOrder(found.cut))
    } catch { return (["\(error)"], chooser.counts, false) }
  }

  private static func options(_ scenario: RaceScenario, _ switchedOff: SwitchedOffRules) -> VolumeOptions {
    var options = VolumeOptions()
    options.discards = scenario.change == .discard
    options.cache.cacheByteCount = 64 << 10
    options.cache.batchByteCount = 4 << 10
    options.cache.switchedOff = switchedOff
    options.queue.tagCount = 2
    options.queue.placeCount = 4
    options.queue.writebackReserve = 2
    options.queue.timeoutNanoseconds = 10_000_000
    options.metadataSlotCount = 64
    options.accessTimes = .none
    options.logger.logLevel = .critical
    return options
  }

  private static func mount(
    _ image: [UInt8], _ scenario: RaceScenario, _ reactor: SimulatedReactor, _ switchedOff: SwitchedOffRules
  ) async throws -> Volume {
    let disk = SimulatedDevice(reactor: reactor, image: image)
    disk.latency = 20_000...20_000
    if scenario.disk == .late { disk.takesBytesEarly = true }
    return try await Volume.mount(disk, on: reactor, options: options(scenario, switchedOff))
  }

  private static func run(
    _ scenario: RaceScenario, _ image: [UInt8], _ reactor: SimulatedReactor, _ chooser: ScheduleChooser,
    _ switchedOff: SwitchedOffRules
  ) async throws -> (findings: [String], cut: [UInt8]) {
    var volume = try await mount(image, scenario, reactor, switchedOff)
    let race = Race(scenario, volume, reactor)
    try await race.prepare()
    if scenario.change.isRead {
      try await volume.unmount()
      let prepared = await volume.withDevice { ($0 as? SimulatedDevice)?.durableImage ?? [] }
      volume = try await mount(prepared, scenario, reactor, switchedOff)
      try await race.remount(volume)
    }
    await volume.watchOwnership()
    await volume.withDevice { device in
      (device as? SimulatedDevice)?.script =
        DiskScript(scenario.disk, scenario.change.isRead ? .read : .write).treatment
    }
    chooser.isOn = true
    await race.run()
    chooser.isOn = false
    let cut = await volume.withDevice { ($0 as? SimulatedDevice)?.durableImage ?? [] }
    await volume.withDevice { device in
      (device as? SimulatedDevice)?.script = nil
      (device as? SimulatedDevice)?.release()
    }
    // What failed or hung is tried again, and told once.
    await reactor.sleep(until: reactor.now.advanced(byNanoseconds: 1_000_000))
    await race.checkTold()
    do { try await volume.synchronize() } catch { try? await volume.synchronize() }
    await race.compare(volume, "before unmount")
    do { try await volume.unmount() } catch {
      if scenario.disk.isSound { await race.note("unmount: \(error)") }
    }
    let left = await volume.withDevice { ($0 as? SimulatedDevice)?.durableImage ?? [] }
    for violation in await volume.ownershipViolations { await race.note("\(violation)") }
    do {
      let report = try VolumeChecker().check(MemoryBytes(left))
      if let finding = report.findings.first(where: { $0.kind.weight != .note }) {
        await race.note("the volume that is left: \(finding)")
      }
    } catch { await race.note("the volume that is left: \(error)") }
    let reader = try await Volume.mount(
      SimulatedDevice(reactor: reactor, image: left, keepsDurable: false), on: reactor, options: .cold)
    await race.compare(reader, "after a cold mount")
    try await reader.unmount()
    return (await race.findings, cut)
  }
}

/// What the disk does with the first write, or read, of data, or the first flush.
///
/// Sendable because nobody but the disk that it is handed to calls it, on the thread of the simulated reactor.
private final class DiskScript: @unchecked Sendable {
  private let disk: RaceScenario.Disk
  private let operation: Operation
  private var hasCome = false
  init(_ disk: RaceScenario.Disk, _ operation: Operation) {
    self.disk = disk
    self.operation = operation
  }

  func treatment(_ request: Request) -> SimulatedDevice.Treatment {
    if disk == .broken { return request.operation == .write ? .fail(.ioError) : .proceed }
    let isMeant =
      disk == .flushFails || disk == .flushLate
      ? request.operation == .flush : request.operation == operation && request.isFileData
    guard isMeant, !hasCome else { return .proceed }
    hasCome = true
    switch disk {
    case .completes, .broken: return .proceed
    case .fails, .flushFails: return .fail(.ioError)
    case .hangs: return .hold
    case .late, .flushLate: return .delay(5_000_000)
    }
  }
}
