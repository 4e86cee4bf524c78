// Runs a workload on a simulated device and records what the device was asked for, and what the volume's users saw.
internal import BlockDevice
package import DeviceLayers
package import Ext2
internal import Ext2Tools
internal import Logging
internal import PageCache
internal import Reactor

/// A workload that has run, with everything that its cuts follow from.
package struct CrashRecording: Sendable {
  /// What the device was asked for, with the marks `begin N` and `end N` around the Nth step, from 1 on.
  package let history: DeviceHistory
  package let observations: CrashObservations
  package let steps: [CrashStep]
  /// What the volume's own errors were, by step; most come of a step that has nothing to work on.
  package let errors: [Int: any Error & Sendable]
  /// What became of the rules of faults.
  package let faults: [FaultReport]

  /// Somebody stopped it.
  package struct Stopped: Error {}

  /// Runs the steps on a volume, and unmounts it, as the last step. `trace` collects what happens meanwhile; `isStopped` is
  /// asked before each step.
  ///
  /// - Throws: `Stopped`, or what the reactor says of a step without an end.
  package init(
    _ steps: [CrashStep], on image: [UInt8], seed: UInt64, options: VolumeOptions, faults: [FaultRule] = [],
    trace: ChromeTrace? = nil, isStopped: @escaping () -> Bool = { false }
  ) throws {
    let reactor = SimulatedReactor(seed: seed, policy: .uniform)
    trace?.watch(reactor)
    // The reactor runs its body on this thread, which does nothing else until that has ended: nobody is called but here.
    nonisolated(unsafe) let isStopped = isStopped
    self = try reactor.run {
      try await Self.run(steps, image, options, faults, reactor) {
        // Each step has as many.
        reactor.stepLimit = reactor.steps + 10_000_000
        if unsafe isStopped() { throw Stopped() }
      }
    }
  }

  /// How volumes are mounted for this.
  package static func options(frees: FreesName, seed: UInt64) -> VolumeOptions {
    var options = VolumeOptions()
    options.cache.cacheByteCount = 256 << 10
    options.cache.dirtyLimitByteCount = 128 << 10
    options.queue.tagCount = 8
    options.metadataSlotCount = 128
    options.frees = frees
    // What looks at the volume between two steps must not change it.
    options.accessTimes = .none
    options.seed = seed
    options.logger.logLevel = .critical
    return options
  }

  /// What a mount for writing and an unmount ask of the device.
  static func remount(_ image: [UInt8], seed: UInt64, options: VolumeOptions) throws -> DeviceHistory {
    let reactor = SimulatedReactor(seed: seed, policy: .uniform)
    return try reactor.run {
      let device = HistoryLayer(SimulatedDevice(reactor: reactor, image: image, keepsDurable: false))
      let volume = try await Volume.mount(device, on: reactor, options: options)
      try await volume.unmount()
      return await volume.withDevice { ($0 as? HistoryLayer)?.history ?? DeviceHistory() }
    }
  }

  private static func run(
    _ steps: [CrashStep], _ image: [UInt8], _ options: VolumeOptions, _ faults: [FaultRule],
    _ reactor: SimulatedReactor, beforeEach: () throws -> Void
  ) async throws -> CrashRecording {
    let device = HistoryLayer(SimulatedDevice(reactor: reactor, image: image, keepsDurable: false))
    // What is drawn differs from one workload to the next, and is the same whenever the same one runs.
    var seed = StableHash(options.seed)
    for step in steps { seed.add(Array(step.line.utf8)) }
    let layered = FaultLayer(device, rules: faults, seed: seed.value)
    layered.isEnabled = false
    let volume = try await Volume.mount(layered, on: reactor, options: options)
    let blockSize = await volume.statistics.blockSize
    var observations = CrashObservations(start: try await ObservedTree(of: volume, blockSize: blockSize))
    var errors: [Int: any Error & Sendable] = [:]
    for (index, step) in steps.enumerated() {
      do { try beforeEach() } catch {
        // Its tasks would wait for ever.
        try? await volume.unmount()
        throw error
      }
      await volume.begin(index + 1, step)
      do { try await step.run(volume) } catch { errors[index + 1] = error }
      await volume.end(index + 1)
      observations.add(
        try await ObservedTree(of: volume, blockSize: blockSize, after: observations.trees.last),
        promising: errors[index + 1] == nil ? step.persistence : [])
    }
    let unmount = CrashStep("unmount", .everything) { try await $0.unmount() }
    await volume.begin(steps.count + 1, unmount)
    do { try await unmount.run(volume) } catch { errors[steps.count + 1] = error }
    await volume.end(steps.count + 1)
    observations.add(observations.trees[steps.count], promising: errors[steps.count + 1] == nil ? [.everything] : [])
    let (reports, history) = await volume.withLayers { faults, history in (faults.reports, history.history) }
    return CrashRecording(
      history: history, observations: observations, steps: steps + [unmount], errors: errors, faults: reports)
  }

  private init(
    history: DeviceHistory, observations: CrashObservations, steps: [CrashStep],
    errors: [Int: any Error & Sendable], faults: [FaultReport]
  ) {
    self.history = history
    self.observations = observations
    self.steps = steps
    self.errors = errors
    self.faults = faults
  }
}

/// Where a step begins or ends, as a mark in a history.
struct StepMark {
  let isBegin: Bool
  /// From 1 on.
  let step: Int
  var text: String { "\(isBegin ? "begin" : "end") \(step)" }

  static func begin(_ step: Int) -> StepMark { StepMark(isBegin: true, step: step) }
  static func end(_ step: Int) -> StepMark { StepMark(isBegin: false, step: step) }
}

extension StepMark {
  /// Reads what `text` writes.
  init?(_ text: String) {
    let words = text.split(separator: " ")
    guard words.count == 2, let step = Int(words[1]) else { return nil }
    self.init(isBegin: words[0] == "begin", step: step)
  }
}

extension Volume {
  fileprivate func withLayers<R: Sendable>(_ body: @Sendable (FaultLayer, HistoryLayer) -> R) -> R {
    withDevice { device in
      guard let faults = device as? FaultLayer, let history = faults.inner as? HistoryLayer else {
        preconditionFailure("the device of a recording")
      }
      return body(faults, history)
    }
  }

  /// Faults happen in steps alone: what looks at the volume between them sees it as it is.
  fileprivate func begin(_ number: Int, _ step: CrashStep) {
    withLayers { faults, history in
      history.mark(StepMark.begin(number).text)
      faults.isEnabled = true
    }
    reactor.onTrace?(TraceEvent(.step, .begin, UInt64(number), step.line))
  }

  fileprivate func end(_ number: Int) {
    withLayers { faults, history in
      history.mark(StepMark.end(number).text)
      faults.isEnabled = false
    }
    reactor.onTrace?(TraceEvent(.step, .end, UInt64(number)))
  }
}
