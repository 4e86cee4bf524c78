// Seeded runs of the whole volume on the simulated reactor and disk.
internal import BlockDevice
internal import Ext2
internal import Logging
internal import PageCache
internal import Reactor
internal import Workload

/// Runs scenarios. Makes the images they begin with once.
public struct Explorer: Sendable {
  private let images: [Int: [UInt8]]

  /// Makes a small, empty volume for each block size, and finds the judge. Throws `missingTool` when e2fsck is missing.
  public init() throws(ExplorerError) {
    var images: [Int: [UInt8]] = [:]
    for blockSize in Scenario.blockSizes { images[blockSize] = try ScratchImage.make(blockSize: blockSize) }
    self.images = images
  }

  /// Runs one scenario. The same scenario has the same outcome, bit for bit. `trace` collects what happens.
  public func run(_ scenario: Scenario, trace: ChromeTrace? = nil) -> ScenarioOutcome {
    var outcome = ScenarioOutcome(seed: scenario.seed)
    let image = images[scenario.blockSize] ?? []
    let reactor = SimulatedReactor(seed: scenario.seed)
    reactor.stepLimit = 1_000_000
    trace?.watch(reactor)
    do {
      let found = try reactor.run { try await Self.run(scenario, image, reactor) }
      outcome.findings = found.findings
      outcome.counters = found.counters
      outcome.image = found.image
      outcome.breaksOrder = found.breaksOrder
    } catch {
      outcome.findings = ["\(error)"]
    }
    outcome.trace = reactor.trace
    return outcome
  }

  private static func run(
    _ scenario: Scenario, _ image: [UInt8], _ reactor: SimulatedReactor
  ) async throws -> ScenarioOutcome {
    var outcome = ScenarioOutcome(seed: scenario.seed)
    let volume = try await Volume.mount(
      SimulatedDevice(reactor: reactor, image: image), on: reactor, options: scenario.options)
    await volume.watchOwnership()
    let experiment = Experiment(scenario, volume, reactor)
    await experiment.run()
    if scenario.endsWithCut {
      let left = await volume.withDevice { ($0 as? SimulatedDevice)?.durableImage ?? [] }
      let survivor = try await Volume.mount(SimulatedDevice(reactor: reactor, image: left), on: reactor, options: .cold)
      outcome.breaksOrder = CrashJudge.breaksOrder(left)
      await experiment.checkPromises(survivor)
      try await survivor.unmount()
    }
    await experiment.compareAll(volume, "before unmount")
    outcome.counters = await volume.counters
    do { try await volume.unmount() } catch { outcome.findings.append("unmount: \(error)") }
    outcome.image = await volume.withDevice { ($0 as? SimulatedDevice)?.durableImage ?? [] }
    let reader = try await Volume.mount(
      SimulatedDevice(reactor: reactor, image: outcome.image), on: reactor, options: .cold)
    await experiment.compareAll(reader, "after a cold mount")
    try await reader.unmount()
    outcome.findings += await volume.ownershipViolations.map(\.description)
    outcome.findings += await experiment.findings
    return outcome
  }

  /// What `e2fsck -fn` says of an outcome's image; nil when it is clean.
  public static func check(_ outcome: ScenarioOutcome) throws(ExplorerError) -> String? {
    try ScratchImage.check(outcome.image)
  }
}
