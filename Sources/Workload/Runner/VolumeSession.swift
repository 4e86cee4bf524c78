// A run on the files of a volume, on its reactor:
//
//   load ─> mount ─> open, lay out ─> work ─> sync ─> compare ─> unmount ─> mount cold ─> compare ─> unmount ─> store
//                                      │
//                                      └ a task for each job, copy and place of its iodepth, and one for the progress
//
// What it compares with is in Model/; a file's changes take turns there, everything else runs at once.
internal import BlockDevice
internal import DeviceLayers
internal import Ext2
internal import PageCache
internal import Reactor

/// One run on a volume. Everything of it runs on the reactor.
actor VolumeSession {
  nonisolated let reactor: Reactor
  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }
  let plan: WorkloadPlan
  let control: RunControl
  private let medium: Medium
  /// The layers around the device, which stay from mount to mount; nil before the first.
  private var stack: DeviceStack?
  let seed: UInt64
  /// The files of the run, each once, in the order in which the jobs name them.
  var models: [FileModel] = []
  /// Files are numbered in their contents; one that is made anew has a new number.
  var fileCount: UInt32 = 0
  /// What was in the root directory before, and is no file of a job.
  var foreignNames: Set<String> = []
  var comparison: ContentComparison
  private(set) var copies: [JobCopy] = []
  /// For each copy, its own openings of its files, beside the number of the file's model.
  var openings: [[Opening]] = []
  private(set) var startedAt = Instant(nanoseconds: 0)
  var findings: [Finding] = []
  var verify = VerifyFigures(bytes: 0, mismatches: 0)
  /// Whether a request to stop ends the comparison too: not one that came before and ended the work.
  private var stopsComparing = false
  /// When the simulated processor is free again.
  var processorIsFreeAt = Instant(nanoseconds: 0)
  var operationCount: UInt64 = 0
  /// Bytes that the run has given to write.
  var givenBytes: UInt64 = 0
  private var counterSeries: CounterSeries?
  private var accesses: AccessLayer?
  /// The volume of the run; nil before its mount.
  private var volume: Volume?
  private let progressWait: WaitQueue
  /// Woken when a job asks the others to end.
  let endWait: WaitQueue
  private var meter: ProgressMeter
  private let status: StatusBoard
  private var statusClock: StatusClock

  struct Opening {
    let file: File
    let model: Int
  }

  init(_ plan: WorkloadPlan, on reactor: Reactor, _ medium: Medium, _ control: RunControl) {
    self.plan = plan
    self.reactor = reactor
    self.medium = medium
    self.control = control
    seed = plan.jobs[0].randomSeed ?? 0
    comparison = ContentComparison(stamp: ContentStamp(seed: seed), names: [])
    progressWait = WaitQueue(reactor, "the time of the next progress line")
    endWait = WaitQueue(reactor, "the start of a job, or its next operation")
    meter = ProgressMeter()
    status = StatusBoard(control)
    statusClock = StatusClock(status, from: reactor.now)
  }

  /// Whether to compare the rest as well.
  var mayCompare: Bool { !(stopsComparing && control.isStopRequested) }
  var isSimulated: Bool { plan.jobs[0].engine == .simulated }

  /// The whole run but for making and judging the image. `storePath`: where an image in memory goes for the judge.
  func run(loadPath: String, storePath: String?) async throws(RunError) -> RunReport {
    if case .resident(let device) = medium {
      do { try await device.load(from: loadPath) } catch { throw plan.volume?.image == nil ? error : error.ofNamedFile }
    }
    let stack = try plan.makeStack()
    if stack.needsRegions { stack.regions = namedRegions(ofVolume: loadPath) }
    self.stack = stack
    var volume = try await mount(isReadOnly: false)
    do {
      try await age(volume)
      try await open(volume)
    } catch {
      try? await volume.unmount()
      throw error
    }
    volume = try await reopenCold(volume)
    self.volume = volume
    let before = ProcessorTime.ofThread
    startedAt = reactor.now
    beginSeries()
    status.begin(laneCount: 1)
    statusClock = StatusClock(status, from: startedAt)
    await work()
    // The synchronization, the comparison and the unmount that follow are no part of the run.
    sampleCounters()
    let processor = ProcessorTime.ofThread.since(before)
    var report = RunReport(
      command: plan.commandLine, seed: seed, elapsedNanoseconds: reactor.now.nanoseconds(since: startedAt))
    stopsComparing = !control.isStopRequested
    for copy in copies { copy.mark = .verifying }
    tellProgress()
    do { try await volume.synchronize() } catch { note(error, context: "sync after the run") }
    await compareFiles(of: volume, context: "after the run")
    do { try await volume.unmount() } catch { note(error, context: "unmount") }
    report.count(await volume.counters, givenBytes: givenBytes)
    report.device?.systemCalls += reactor.systemCalls
    report.counterSeries = counterSeries
    if let accesses { report.accessMaps = [NamedAccessMap(name: plan.volume?.image ?? "image", map: accesses.map)] }
    await compareCold()
    var figures = copies.map(\.figures)
    if !isSimulated {
      figures.share(processor)
      report.processor = processor
    }
    report.fill(figures, of: plan)
    report.verify = verify
    report.findings = findings + copies.flatMap(\.logFindings)
    if !stack.description.isEmpty { report.add(stack.end()) }
    if case .resident(let device) = medium, let storePath { try await device.store(to: storePath) }
    try stack.settleDamage(onto: storePath ?? loadPath)
    return report
  }

  // MARK: The volume and its files

  func mount(isReadOnly: Bool) async throws(RunError) -> Volume {
    let opened = try medium.open(isReadOnly: isReadOnly && !isResident, control.logger)
    let device: any BlockDevice
    do {
      let stacked = try stack?.stacked(on: opened) ?? opened
      if plan.options.htmlPath != nil && !isReadOnly { accesses = AccessLayer(stacked) }
      device = isReadOnly ? stacked : accesses ?? stacked
    } catch { throw .device(error) }
    if let onStack = control.onStack, !isReadOnly { onStack(stackDescription(of: device)) }
    // Mount after mount has it, and all of them run on this session's reactor.
    nonisolated(unsafe) let sent = device
    do {
      return unsafe try await Volume.mount(
        sent, on: reactor, options: plan.mountOptions(isReadOnly: isReadOnly, logger: control.logger))
    } catch { throw .volume(error, image: plan.volume?.image) }
  }

  private var isResident: Bool { if case .resident = medium { true } else { false } }

  /// Opens every file of every copy, makes those that are missing, and lays out what is read before it is written.
  private func open(_ volume: Volume) async throws(RunError) {
    try plan.checkSharedNames()
    do throws(Ext2Error) {
      for (jobIndex, job) in plan.jobs.enumerated() {
        for copy in 0..<job.copies {
          var own: [Opening] = []
          for name in job.fileNames(copy: copy) { own.append(try await open(name, volume)) }
          try await layOut(own, job)
          var ranges: [Range<UInt64>] = []
          for opening in own { ranges.append(try range(of: models[opening.model], job, copy: copy)) }
          let logs = plan.operationLogs(jobIndex: jobIndex, copy: copy)
          copies.append(JobCopy(job, jobIndex: jobIndex, copy: copy, files: ranges, logs: logs))
          openings.append(own)
        }
      }
      try await noteForeignNames(volume)
    } catch { throw .volume(error, image: plan.volume?.image) }
    comparison = ContentComparison(stamp: ContentStamp(seed: seed), names: models.map(\.name))
  }

  /// The bytes of a file that a copy works on.
  private func range(of model: FileModel, _ job: Job, copy: Int) throws(Ext2Error) -> Range<UInt64> {
    let whole = job.bytesPerFile ?? model.byteCount
    let part = job.sizePercent.map { Load.Extent.percent($0).bytes(of: whole) } ?? whole
    let (skip, overflow) = job.load.offsetIncrement.bytes(of: whole).multipliedReportingOverflow(by: UInt64(copy))
    let (start, isTooFar) = job.load.offset.bytes(of: whole).addingReportingOverflow(skip)
    let block = UInt64(job.smallestBlock)
    guard !overflow, !isTooFar, start < whole, whole - start >= block, part >= block else {
      throw .badOption("job \(job.name): a file is smaller than one block of \(block) bytes, from its offset on")
    }
    return start..<start + min(part, whole - start) / block * block
  }

  private func open(_ name: String, _ volume: Volume) async throws(Ext2Error) -> Opening {
    // Files that have a size are made and laid out, also for jobs that only read.
    let file = try await volume.open(name, create: plan.jobs.contains { $0.writes || $0.size != nil })
    if let known = models.firstIndex(where: { $0.name == name }) { return Opening(file: file, model: known) }
    let size = try await file.status().byteCount
    fileCount += 1
    models.append(
      FileModel(reactor, id: fileCount - 1, name: name, unitSize: unitSize(of: name), byteCount: size))
    return Opening(file: file, model: models.count - 1)
  }

  /// The largest unit, up to a page, that the blocks of all jobs on this file are whole multiples of.
  func unitSize(of name: String) -> Int {
    let sizes = plan.jobs.filter { job in (0..<job.copies).contains { job.fileNames(copy: $0).contains(name) } }
      .flatMap { job in job.load.directions(withMix: job.mix).flatMap { job.load.blockSizes[$0].all } }
    var unit = 4096
    while unit > 512, sizes.contains(where: { $0 % unit != 0 }) { unit /= 2 }
    return unit
  }

  /// Writes the files of a job that reads, or overwrites only, as far as they are shorter than the job's share; until
  /// somebody stops the run.
  private func layOut(_ own: [Opening], _ job: Job) async throws(Ext2Error) {
    guard job.needsContents, let share = job.bytesPerFile else { return }
    for opening in own {
      let model = models[opening.model]
      while model.byteCount < share && !control.isStopRequested {
        let count = min(256 << 10, share - model.byteCount)
        await model.changes.lock()
        defer { model.changes.unlock() }
        _ = try await write(model.byteCount..<model.byteCount + count, opening)
      }
    }
  }

  /// Writes a range of a file with a new generation of its content, under the file's `changes`. Returns what was done.
  func write(
    _ range: Range<UInt64>, _ opening: Opening, isAppend: Bool = false
  ) async throws(Ext2Error) -> Range<UInt64> {
    let model = models[opening.model]
    let generation = model.nextGeneration()
    var bytes = [UInt8](repeating: 0, count: range.count)
    comparison.stamp.fill(
      &bytes, 0..<bytes.count, file: model.id, position: range.lowerBound, generation: generation)
    model.begin(.write(range, generation: generation))
    do throws(Ext2Error) {
      let count =
        isAppend ? try await opening.file.append(bytes) : try await opening.file.write(bytes, at: range.lowerBound)
      let done = range.lowerBound..<range.lowerBound + UInt64(count)
      model.end(.write(done, generation: generation))
      givenBytes += UInt64(count)
      return done
    } catch {
      // A write that throws has changed nothing: it returns what it did before an error.
      model.cancel()
      throw error
    }
  }

  // MARK: Figures over time

  private static let counterNames = [
    "batches", "batch_bytes", "stale_after_free", "stale_after_allocation", "replanned_pages", "flushes", "faults",
  ]

  private func beginSeries() {
    guard let width = plan.seriesNanoseconds else { return }
    for copy in copies { copy.follow(plan.makeSeries(of: copy.job), from: startedAt, offset: 0) }
    accesses?.origin = startedAt
    counterSeries = CounterSeries(binNanoseconds: width, names: Self.counterNames, values: counterValues)
  }

  private var counterValues: [UInt64] {
    // It runs on the same reactor.
    guard let counters = volume?.assumeIsolated({ $0.counters }) else { return Self.counterNames.map { _ in 0 } }
    let writeback = counters.writeback
    let fired = (stack?.faults?.reports ?? []).reduce(0) { $0 + UInt64($1.fireCount) }
    return [
      writeback.batches, writeback.bytes, writeback.staleAfterFree, writeback.staleAfterAllocation,
      writeback.replannedPages, counters.device.flushes, fired,
    ]
  }

  private func sampleCounters() {
    counterSeries?.sample(counterValues, at: reactor.now.nanoseconds(since: startedAt))
  }

  func sampleCountersIfDue() {
    if let series = counterSeries, series.isDue(at: reactor.now.nanoseconds(since: startedAt)) { sampleCounters() }
  }

  // MARK: The work

  private func work() async {
    for stage in plan.stages where !control.isStopRequested {
      for index in stage { _ = stack?.mark("begin \(plan.jobs[index].name)") }
      await withTaskGroup(of: Void.self) { group in
        for (index, copy) in copies.enumerated() where stage.contains(copy.jobIndex) {
          for task in 0..<(copy.job.schedule.thinkTime.isOneAtATime ? 1 : copy.job.queueing.depth) {
            copy.beginWorker()
            group.addTask(name: "\(copy.name)/\(task)") { await self.work(index, task) }
          }
        }
        if control.isWatched && !isSimulated {
          group.addTask(name: "progress") { await self.showProgress(stage) }
        }
      }
      control.endStage()
    }
  }

  /// Whether a copy's next operation may begin.
  func mayGoOn(_ copy: JobCopy) -> Bool { !control.isEndRequested && copy.takeTurn(at: reactor.now) }

  /// One of a copy's tasks has ended; the last one syncs the files, if the job asks for it.
  func endTask(_ index: Int) async {
    let copy = copies[index]
    guard copy.endWorker() else { return }
    if copy.job.fsyncsAtEnd && !copy.hasFailed {
      copy.mark = .fsyncing
      for opening in openings[index] where models[opening.model].isPresent {
        do { try await synchronize(opening, copy) } catch { fail(copy, error, "end_fsync", opening) }
      }
    }
    copy.end(at: reactor.now)
    let schedule = copy.job.schedule
    if schedule.endsOthers || schedule.endsOthersOnError && copy.hasFailed {
      control.requestEnd()
      endWait.wakeAll()
    }
    if copies.allSatisfy({ $0.jobIndex != copy.jobIndex || $0.endedAt != nil }) {
      _ = stack?.mark("end \(copy.job.name)")
    }
    progressWait.wakeAll()
  }

  // MARK: The progress

  private func showProgress(_ stage: Range<Int>) async {
    while copies.contains(where: { stage.contains($0.jobIndex) && $0.endedAt == nil }) {
      tellProgress()
      noteStatusIfDue()
      let next = reactor.now.advanced(byNanoseconds: 500_000_000)
      _ = await progressWait.waitInterruptibly(until: statusClock.earliest(next))
    }
  }

  /// Tells whoever looks how far the run is. In simulation the tasks call it now and then, and no task of its own does:
  /// whether somebody looks must not change the run.
  func tellProgress() {
    guard let onProgress = control.onProgress else { return }
    onProgress(meter.line(copies.map { CopyProgress($0, at: reactor.now) }, at: reactor.now))
  }

  /// Notes what the copies have done, once an interval and when somebody asks. In simulation the tasks call it, after each operation.
  func noteStatusIfDue() {
    let now = reactor.now
    guard let point = statusClock.takeDue(at: now) else { return }
    status.note(
      0, at: point, copies.map { $0.figures(at: now) }, elapsedNanoseconds: now.nanoseconds(since: startedAt))
  }

  // MARK: The second mount

  /// Mounts the volume anew, with nothing in memory, and compares every byte again.
  private func compareCold() async {
    do throws(RunError) {
      let volume = try await mount(isReadOnly: true)
      await compareFiles(of: volume, context: "after remount")
      do throws(Ext2Error) { try await volume.unmount() } catch { note(error, context: "unmount after remount") }
    } catch {
      if case .volume(let error, image: _) = error {
        note(error, context: "remount")
      } else {
        findings.append(Finding(.ioError, context: "remount", found: "\(error)"))
      }
    }
  }
}
