internal import BlockDevice
internal import Logging
internal import Reactor

/// Runs a plan from its first job to its report.
package enum WorkloadRunner {
  /// How long a simulated disk takes for a request, in nanoseconds: a solid-state disk behind a hypervisor.
  static let simulatedLatency: ClosedRange<UInt64> = 20_000...200_000

  /// Runs the plan on a reactor of its own. Every job has a seed (`WorkloadPlan.seeded`).
  ///
  /// Throws when there can be no report. Everything else that goes wrong is a finding of the report.
  package static func run(_ plan: WorkloadPlan, control: RunControl) async throws(RunError) -> RunReport {
    precondition(plan.jobs.allSatisfy { $0.randomSeed != nil }, "a plan is seeded before it runs")
    try plan.checkMemory(imageBytes: plan.scratchImageBytes)
    var report: RunReport
    switch plan.jobs[0].target {
    case .device:
      let run = try DeviceRun(plan, control)
      report = try await run.run()
    case .fileSystem:
      let image = try VolumeImage(plan)
      if !plan.options.keepsImage { control.willRemove(image) }
      do throws(RunError) {
        try image.make(plan)
        report = try await onReactor(plan, control) { reactor async throws(RunError) in
          try await runVolume(plan, image, reactor, control)
        }
        let verdict = try image.check()
        report.e2fsckExit = verdict.exitCode
        if verdict.exitCode != 0 {
          // Where much is broken, the first lines say enough.
          let lines = verdict.output.split(separator: "\n").prefix(20).joined(separator: "\n")
          report.findings.append(Finding(.checkFailed, context: "exit \(verdict.exitCode)", found: lines))
        }
      } catch {
        image.remove()
        throw error
      }
      report.isInterrupted = control.isStopRequested
      if plan.options.keepsImage {
        control.logger.notice("the image is kept: \(image.judgedPath)")
      } else {
        image.remove()
      }
    }
    if var provenance = control.provenance {
      for path in plan.filesOfHost { provenance.noteFileSystem(of: path) }
      report.provenance = provenance
    }
    report.wantsSeries = plan.jobs.contains { $0.seriesNanoseconds != nil }
    // In simulation everything in the report follows from the seed.
    if plan.jobs[0].engine != .simulated { report.peakMemoryBytes = HostFile.peakMemoryBytes }
    return report
  }

  private static func runVolume(
    _ plan: WorkloadPlan, _ image: VolumeImage, _ reactor: Reactor, _ control: RunControl
  ) async throws(RunError) -> RunReport {
    let medium: Medium
    if plan.jobs[0].engine == .libaio {
      medium = .file(path: image.path, isDirect: plan.jobs[0].isDirect)
    } else {
      let byteCount = try image.byteCount()
      try plan.checkMemory(imageBytes: byteCount)
      medium = .resident(residentDevice(byteCount, reactor))
    }
    let session = VolumeSession(plan, on: reactor, medium, control)
    return try await session.run(loadPath: image.path, storePath: image.judgedPath)
  }

  private static func residentDevice(_ byteCount: UInt64, _ reactor: Reactor) -> ResidentDevice {
    let geometry = Geometry(byteCount: byteCount / 4096 * 4096)
    guard let simulated = reactor as? SimulatedReactor else {
      return ResidentDevice(MemoryDevice(geometry: geometry), on: reactor)
    }
    let device = SimulatedDevice(reactor: simulated, geometry: geometry, keepsDurable: false)
    device.latency = simulatedLatency
    return ResidentDevice(device, on: reactor)
  }

  /// Calls `body` on the reactor that the plan's engine needs.
  static func onReactor<T: Sendable>(
    _ plan: WorkloadPlan, _ control: RunControl, _ body: @escaping @Sendable (Reactor) async throws(RunError) -> T
  ) async throws(RunError) -> T {
    let body = { @Sendable (reactor: Reactor) async throws(RunError) -> T in
      let end = control.onReactor?(reactor)
      defer { end?() }
      return try await body(reactor)
    }
    guard plan.jobs[0].engine == .simulated else {
      let reactor = ThreadReactor()
      defer { reactor.stop() }
      return try await reactor.run { () async throws(RunError) in try await body(reactor) }
    }
    return try simulate(seed: plan.jobs[0].randomSeed ?? 0, body)
  }

  private static func simulate<T: Sendable>(
    seed: UInt64, _ body: @escaping @Sendable (Reactor) async throws(RunError) -> T
  ) throws(RunError) -> T {
    // Every ready task is as likely as any other. Tasks that are held back for long, which finds races sooner, would make
    // virtual time jump, and with it the latencies that a run reports.
    let reactor = SimulatedReactor(seed: seed, policy: .uniform)
    // How long a run is, its options say.
    reactor.stepLimit = .max
    do {
      return try reactor.run(name: "the run") { try await body(reactor) }
    } catch let error as RunError {
      throw error
    } catch {
      throw .deadlock("\(error)")
    }
  }
}
