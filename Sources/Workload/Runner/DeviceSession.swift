// A run on raw devices, on their reactor: a task for each job, copy and place of its iodepth.
internal import BlockDevice
internal import DeviceLayers
internal import Reactor

/// One run on devices. Everything of it runs on the reactor.
actor DeviceSession {
  nonisolated let reactor: Reactor
  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }
  private let plan: WorkloadPlan
  private let control: RunControl
  /// The run's devices by the names that jobs have for them, each once.
  private var queues: [(name: String, queue: RequestQueue, stack: DeviceStack)] = []
  private var copies: [JobCopy] = []
  /// For each copy, the numbers of its devices.
  private var targets: [[Int]] = []
  private var startedAt = Instant(nanoseconds: 0)
  private var findings: [Finding] = []
  private var operationCount: UInt64 = 0
  private let progressWait: WaitQueue
  private var meter = ProgressMeter()

  init(_ plan: WorkloadPlan, on reactor: Reactor, _ control: RunControl) {
    self.plan = plan
    self.reactor = reactor
    self.control = control
    progressWait = WaitQueue(reactor, "the time of the next progress line")
  }

  /// The whole run.
  func run() async throws(RunError) -> RunReport {
    defer { for entry in queues { entry.queue.closeWhenIdle() } }
    for (jobIndex, job) in plan.jobs.enumerated() { try prepare(job, jobIndex) }
    startedAt = reactor.now
    await work()
    var report = RunReport(
      command: plan.commandLine, seed: plan.jobs[0].randomSeed ?? 0,
      elapsedNanoseconds: reactor.now.nanoseconds(since: startedAt))
    report.isInterrupted = control.isStopRequested
    copies.fill(&report, startedAt: startedAt)
    var sum = DeviceFigures()
    for entry in queues { sum.add(DeviceFigures(entry.queue.counters)) }
    report.device = sum
    report.findings = findings
    for entry in queues {
      report.add(entry.stack)
      if plan.jobs[0].engine == .libaio { try entry.stack.settleDamage(onto: entry.name) }
    }
    return report
  }

  // MARK: Devices

  private func prepare(_ job: Job, _ jobIndex: Int) throws(RunError) {
    let names = job.namedFiles.isEmpty ? [job.name] : job.namedFiles
    var numbers: [Int] = []
    for name in names {
      if let known = queues.firstIndex(where: { $0.name == name }) {
        numbers.append(known)
      } else {
        let (queue, stack) = try openQueue(name, job)
        queues.append((name, queue, stack))
        numbers.append(queues.count - 1)
      }
    }
    var blocks: [UInt64] = []
    for number in numbers {
      let geometry = queues[number].queue.geometry
      guard job.blockSize % geometry.logicalBlockSize == 0 else {
        throw .unfit(
          job: job.name,
          reason: "bs=\(job.blockSize) is no multiple of the device's logical block of \(geometry.logicalBlockSize)")
      }
      let bytes = job.bytesPerFile ?? geometry.byteCount
      guard bytes <= geometry.byteCount else {
        throw .unfit(
          job: job.name, reason: "\(queues[number].name) has \(geometry.byteCount) bytes, size asks for \(bytes) of it")
      }
      guard bytes >= UInt64(job.blockSize) else {
        throw .unfit(
          job: job.name, reason: "\(queues[number].name) is smaller than one block of \(job.blockSize) bytes")
      }
      blocks.append(bytes / UInt64(job.blockSize))
    }
    for copy in 0..<job.copies {
      copies.append(JobCopy(job, jobIndex: jobIndex, copy: copy, blocksPerFile: blocks))
      targets.append(numbers)
    }
  }

  private func openQueue(_ name: String, _ job: Job) throws(RunError) -> (RequestQueue, DeviceStack) {
    if plan.options.stack.writeLogPath != nil, !queues.isEmpty {
      throw .unfit(job: job.name, reason: "--write-log logs one device; \(name) would be the second")
    }
    var configuration = RequestQueue.Configuration(tagCount: job.queueDepth)
    if let deadline = plan.options.stack.deadlineNanoseconds { configuration.timeoutNanoseconds = deadline }
    let device: any BlockDevice
    do { device = try openDevice(name, job) } catch { throw .device(error) }
    // Its log is made once the device is there.
    let stack = try plan.makeStack()
    do throws(DeviceError) {
      let queue = try RequestQueue(device: stack.stacked(on: device), reactor: reactor, configuration: configuration)
      if let onStack = control.onStack { onStack("\(name):\n\(stackDescription(of: queue.device))") }
      return (queue, stack)
    } catch { throw .device(error) }
  }

  private func openDevice(_ name: String, _ job: Job) throws(DeviceError) -> any BlockDevice {
    switch job.engine {
    case .libaio:
      let isReadOnly = !plan.jobs.contains { $0.writes && $0.namedFiles.contains(name) }
      // As fio does, a file that is not there is made; one that is stays as it is.
      if !isReadOnly, !HostFile.exists(name) {
        guard let size = job.bytesPerFile else {
          throw .unsuitable(path: name, reason: "is not there, and without size nobody knows how large to make it")
        }
        try FileDevice.createImage(path: name, byteCount: (size + 4095) / 4096 * 4096)
      }
      let device = try FileDevice(path: name, options: .init(isDirect: job.isDirect, isReadOnly: isReadOnly))
      if job.isDirect { device.tellIfBuffered(control.logger) }
      return device
    case .memory: return MemoryDevice(geometry: Self.geometry(job))
    case .null: return NullDevice(geometry: Self.geometry(job))
    case .simulated:
      guard let reactor = reactor as? SimulatedReactor else { throw .closed }
      let device = SimulatedDevice(reactor: reactor, geometry: Self.geometry(job), keepsDurable: false)
      device.latency = WorkloadRunner.simulatedLatency
      return device
    }
  }

  private static func geometry(_ job: Job) -> Geometry {
    Geometry(byteCount: (job.bytesPerFile ?? 0) / 512 * 512)
  }

  // MARK: The work

  private func work() async {
    for job in plan.jobs { mark("begin \(job.name)") }
    await withTaskGroup(of: Void.self) { group in
      for (index, copy) in copies.enumerated() {
        for task in 0..<copy.job.depth {
          group.addTask(name: "\(copy.name)/\(task)") { await self.work(index, task) }
        }
      }
      if control.onProgress != nil && plan.jobs[0].engine != .simulated {
        group.addTask(name: "progress") { await self.showProgress() }
      }
    }
  }

  private func work(_ index: Int, _ task: Int) async {
    let copy = copies[index]
    var random = copy.generator(ofTask: task)
    let largestPiece = targets[index].map { queues[$0].queue.geometry.maximumTransfer }.min() ?? copy.job.blockSize
    let buffer = JobBuffer(byteCount: copy.job.blockSize, largestPiece: largestPiece, reactor)
    // Written once, as fio does: what a device stores does not depend on it.
    buffer.fill(&random)
    while mayGoOn(copy) {
      let step = copy.nextStep(&random)
      do throws(DeviceError) {
        try await perform(step, copy, queues[targets[index][step.file]].queue, buffer)
      } catch {
        fail(copy, error, step.isWrite ? "write" : "read", targets[index][step.file])
        // A request that timed out still owns the buffer.
        break
      }
      operationCount += 1
      if operationCount % 4096 == 0 && plan.jobs[0].engine == .simulated { tellProgress() }
    }
    await endTask(index)
  }

  private func mayGoOn(_ copy: JobCopy) -> Bool {
    if control.isStopRequested { return false }
    if let runtime = copy.job.runtimeNanoseconds, reactor.now.nanoseconds(since: startedAt) >= runtime { return false }
    return copy.takeTurn()
  }

  private func perform(
    _ step: JobCopy.Step, _ copy: JobCopy, _ queue: RequestQueue, _ buffer: JobBuffer
  ) async throws(DeviceError) {
    let start = reactor.now
    let offset = step.block * UInt64(copy.job.blockSize)
    try await buffer.transfer(step.isWrite ? .write : .read, at: offset, on: queue)
    copy.recorder.record(
      step.isWrite ? .write : .read, bytes: copy.job.blockSize, nanoseconds: reactor.now.nanoseconds(since: start))
    if step.isWrite, copy.syncDueAfterWrite().isDue { try await flush(copy, queue) }
  }

  private func flush(_ copy: JobCopy, _ queue: RequestQueue) async throws(DeviceError) {
    let start = reactor.now
    try await queue.flush()
    copy.recorder.record(.fsync, bytes: 0, nanoseconds: reactor.now.nanoseconds(since: start))
  }

  private func endTask(_ index: Int) async {
    let copy = copies[index]
    guard copy.endTask() else { return }
    if copy.job.fsyncsAtEnd && !copy.hasFailed {
      copy.mark = .fsyncing
      for target in targets[index] {
        do throws(DeviceError) { try await flush(copy, queues[target].queue) } catch {
          fail(copy, error, "end_fsync", target)
        }
      }
    }
    copy.end(at: reactor.now)
    if copies.allSatisfy({ $0.jobIndex != copy.jobIndex || $0.endedAt != nil }) { mark("end \(copy.job.name)") }
    if copies.allSatisfy({ $0.endedAt != nil }) { progressWait.wakeAll() }
  }

  /// Sets a mark in the write log, if there is one.
  private func mark(_ text: String) { _ = queues.first?.stack.mark(text) }

  private func fail(_ copy: JobCopy, _ error: DeviceError, _ operation: String, _ target: Int) {
    copy.fail()
    findings.append(
      Finding(.ioError, context: "\(operation) of \(copy.name)", file: queues[target].name, found: "\(error)"))
  }

  // MARK: The progress

  private func showProgress() async {
    while copies.contains(where: { $0.endedAt == nil }) {
      tellProgress()
      _ = await progressWait.waitInterruptibly(until: reactor.now.advanced(byNanoseconds: 500_000_000))
    }
  }
  private func tellProgress() {
    guard let onProgress = control.onProgress else { return }
    onProgress(meter.line(copies, openFiles: queues.count, startedAt: startedAt, now: reactor.now))
  }
}

extension DeviceFigures {
  fileprivate mutating func add(_ other: DeviceFigures) {
    reads += other.reads
    writes += other.writes
    flushes += other.flushes
    discards += other.discards
    readBytes += other.readBytes
    writeBytes += other.writeBytes
    spuriousCompletions += other.spuriousCompletions
  }
}
