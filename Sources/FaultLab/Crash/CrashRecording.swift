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

  /// Runs the steps on a volume, and unmounts it, as the last step. `trace` collects what happens meanwhile.
  package init(
    _ steps: [CrashStep], on image: [UInt8], seed: UInt64, options: VolumeOptions, trace: ChromeTrace? = nil
  ) throws {
    let reactor = SimulatedReactor(seed: seed, policy: .uniform)
    reactor.stepLimit = 10_000_000
    trace?.watch(reactor)
    let recorded = try reactor.run { try await Self.run(steps, image, options, reactor) }
    self.steps = steps + [CrashStep("unmount", .everything) { try await $0.unmount() }]
    (history, observations, errors) = recorded
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
    _ steps: [CrashStep], _ image: [UInt8], _ options: VolumeOptions, _ reactor: SimulatedReactor
  ) async throws -> (DeviceHistory, CrashObservations, [Int: any Error & Sendable]) {
    let device = HistoryLayer(SimulatedDevice(reactor: reactor, image: image, keepsDurable: false))
    let volume = try await Volume.mount(device, on: reactor, options: options)
    let blockSize = await volume.statistics.blockSize
    var observations = CrashObservations(start: try await ObservedTree(of: volume, blockSize: blockSize))
    var errors: [Int: any Error & Sendable] = [:]
    for (index, step) in steps.enumerated() {
      await volume.mark(.begin(index + 1), step.line)
      var isDone = true
      do { try await step.run(volume) } catch {
        errors[index + 1] = error
        isDone = false
      }
      await volume.mark(.end(index + 1))
      observations.add(
        try await ObservedTree(of: volume, blockSize: blockSize, after: observations.trees.last),
        promising: isDone ? step.persistence : [])
    }
    await volume.mark(.begin(steps.count + 1), "unmount")
    do throws(Ext2Error) { try await volume.unmount() } catch { errors[steps.count + 1] = error }
    await volume.mark(.end(steps.count + 1))
    observations.add(observations.trees[steps.count], promising: errors[steps.count + 1] == nil ? [.everything] : [])
    let history = await volume.withDevice { ($0 as? HistoryLayer)?.history ?? DeviceHistory() }
    return (history, observations, errors)
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
  fileprivate func mark(_ mark: StepMark, _ line: String = "") {
    withDevice { ($0 as? HistoryLayer)?.mark(mark.text) }
    reactor.onTrace?(TraceEvent(.step, mark.isBegin ? .begin : .end, UInt64(mark.step), line))
  }
}
