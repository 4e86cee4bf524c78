// The copies of jobs on devices that share a reactor.
internal import BlockDevice
internal import DeviceLayers
internal import Reactor

/// One lane of a run on devices. Everything of it runs on its reactor.
actor DeviceLane {
  nonisolated let reactor: Reactor
  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }
  let plan: WorkloadPlan
  private let members: [LaneMember]
  let control: RunControl
  private let board: ProgressBoard
  private let status: StatusBoard
  private var statusClock: StatusClock
  private let number: Int
  /// The lane's devices by the names that jobs have for them, each once.
  private var devices: [OpenDevice] = []
  private var copies: [JobCopy] = []
  /// What each copy works on: for each of its files the device and the bytes.
  private var parts: [[(device: OpenDevice, range: Range<UInt64>)]] = []
  private var loads: [DeviceLoad] = []
  private var verifiers: [CopyVerifier?] = []
  private var startedAt = Instant(nanoseconds: 0)
  private let progressWait: WaitQueue
  /// Woken when a job asks the others to end.
  private let endWait: WaitQueue
  private var operationCount: UInt64 = 0
  /// How much of the run there was before this lane, in nanoseconds.
  private let timeBefore: UInt64
  private var counterSeries: CounterSeries?

  private struct OpenDevice {
    let name: String
    let queue: RequestQueue
    let stack: DeviceStack
    let accesses: AccessLayer?
  }

  init(
    _ plan: WorkloadPlan, _ members: [LaneMember], on reactor: Reactor, _ control: RunControl, _ board: ProgressBoard,
    _ status: StatusBoard, number: Int, timeBefore: UInt64
  ) {
    self.plan = plan
    self.members = members
    self.reactor = reactor
    self.control = control
    self.board = board
    self.status = status
    statusClock = StatusClock(status, from: reactor.now)
    self.number = number
    self.timeBefore = timeBefore
    progressWait = WaitQueue(reactor, "the time of the next progress line")
    endWait = WaitQueue(reactor, "the start of a job")
  }

  /// The whole lane.
  func run() async throws(RunError) -> LaneResult {
    defer { for device in devices { device.queue.closeWhenIdle() } }
    for member in members { try prepare(member) }
    let before = ProcessorTime.ofThread
    try prepareVerification()
    for index in copies.indices { addLoad(index) }
    startedAt = reactor.now
    statusClock = StatusClock(status, from: startedAt)
    beginSeries()
    await work()
    sampleCounters()
    let elapsed = reactor.now.nanoseconds(since: startedAt)
    let processor = ProcessorTime.ofThread.since(before)
    noteStatus(.end)
    // What a write cache has sent on: its queue has nothing in flight, and does not ask for it any more.
    while !isSimulated && devices.contains(where: \.stack.isBusy) {
      for device in devices {
        device.queue.device.submit()
        _ = device.queue.device.reap()
      }
      await reactor.sleep(until: reactor.now.advanced(byNanoseconds: 1_000_000))
    }
    var sum = DeviceFigures()
    for device in devices { sum.add(DeviceFigures(device.queue.counters)) }
    sum.systemCalls += reactor.systemCalls
    var figures = copies.map(\.figures)
    if !isSimulated { figures.share(processor) }
    for device in devices where plan.jobs[0].engine == .libaio { try device.stack.settleDamage(onto: device.name) }
    return LaneResult(
      number: number, copies: figures, elapsedNanoseconds: elapsed, device: sum,
      stacks: devices.map { ($0.stack.end(), $0.stack.description.isEmpty) },
      findings: loads.flatMap(\.findings) + verifiers.flatMap { $0?.failures ?? [] } + copies.flatMap(\.logFindings),
      verdict: verdict,
      processor: isSimulated ? nil : processor, counterSeries: counterSeries,
      accessMaps: devices.compactMap { device in
        device.accesses.map { NamedAccessMap(name: device.name, map: $0.map) }
      })
  }

  /// What the verification of all copies found; nil where there is none.
  private var verdict: VerifyVerdict? {
    guard zip(copies, verifiers).contains(where: { $0.job.verify != nil && $1 != nil }) else { return nil }
    return verifiers.reduce(into: VerifyVerdict()) { if let part = $1?.verdict { $0.add(part) } }
  }

  // MARK: Figures over time

  private static let counterNames = ["requests", "merges", "flushes", "faults"]

  private func beginSeries() {
    guard let width = plan.seriesNanoseconds else { return }
    for copy in copies { copy.follow(plan.makeSeries(of: copy.job), from: startedAt, offset: timeBefore) }
    for device in devices {
      device.accesses?.origin = startedAt
      device.accesses?.offset = timeBefore
    }
    counterSeries = CounterSeries(
      binNanoseconds: width, names: Self.counterNames, values: counterValues, from: timeBefore)
  }

  private var counterValues: [UInt64] {
    devices.reduce([0, 0, 0, 0]) { sum, device in
      let counters = device.queue.counters
      let requests = counters.reads + counters.writes + counters.discards + counters.zeroings
      let fired = (device.stack.faults?.reports ?? []).reduce(0) { $0 + UInt64($1.fireCount) }
      return [sum[0] + requests, sum[1] + counters.merges, sum[2] + counters.flushes, sum[3] + fired]
    }
  }

  private func sampleCounters() {
    guard counterSeries != nil else { return }
    counterSeries?.sample(counterValues, at: timeBefore + reactor.now.nanoseconds(since: startedAt))
  }

  // MARK: Devices

  /// Whether the one copy of the lane has the reactor and its device to itself, so that it may wait in the device.
  private var isPolled: Bool {
    let job = plan.jobs[members[0].jobIndex]
    // Who has to begin at a time cannot wait for the device.
    let hasTimes = job.schedule.hasRate || job.replay.map { !$0.ignoresTimes } ?? false
    let mayWait = !hasTimes && job.schedule.thinkTime.nanoseconds == 0
    return mayWait && members.count == 1 && job.filesPerCopy == 1 && plan.options.stack.isEmpty
      && job.engine != .simulated
  }

  private func prepare(_ member: LaneMember) throws(RunError) {
    let job = plan.jobs[member.jobIndex]
    var own: [OpenDevice] = []
    var ranges: [Range<UInt64>] = []
    for name in job.fileNames(copy: member.copy) {
      let device: OpenDevice
      if let known = devices.first(where: { $0.name == name }) {
        device = known
      } else {
        device = try open(name, job)
        devices.append(device)
      }
      own.append(device)
      ranges.append(try range(of: device, job, copy: member.copy))
    }
    copies.append(
      JobCopy(
        job, jobIndex: member.jobIndex, copy: member.copy, files: ranges, iolog: try job.makeIOLog(copy: member.copy),
        logs: plan.operationLogs(jobIndex: member.jobIndex, copy: member.copy)))
    parts.append(zip(own, ranges).map { ($0, $1) })
  }

  private func addLoad(_ index: Int) {
    let control = control
    loads.append(
      DeviceLoad(
        copies[index], on: parts[index].map { ($0.device.name, $0.device.queue) }, reactor, verifiers[index],
        control: control, onTurn: isFollowed ? { [unowned self] in self.assumeIsolated { $0.tick() } } : nil))
  }

  private func prepareVerification() throws(RunError) {
    verifiers = copies.map { _ in nil }
    guard copies.contains(where: { $0.job.verify != nil }) else { return }
    let numbered = parts.map { files in
      files.map { part in (device: devices.firstIndex { $0.name == part.device.name } ?? 0, range: part.range) }
    }
    let (areas, places) = try Self.areas(
      of: copies, numbered, maximumTransfers: devices.map(\.queue.geometry.maximumTransfer))
    let jobNames = plan.jobs.map(\.name)
    for (index, copy) in copies.enumerated() {
      let files = numbered[index].enumerated().map { file, part in
        CopyVerifier.File(
          name: devices[part.device].name, range: part.range,
          area: places[index][file].map { areas[part.device][$0] }, areasOfDevice: areas[part.device])
      }
      let verifier = CopyVerifier(
        copy, files, jobNames: jobNames,
        statePath: plan.verifyStatePath(jobIndex: copy.jobIndex, copy: copy.copy))
      try verifier.loadState()
      verifiers[index] = verifier
    }
  }

  /// The bytes of a device that a copy works on.
  private func range(of device: OpenDevice, _ job: Job, copy: Int) throws(RunError) -> Range<UInt64> {
    let geometry = device.queue.geometry
    if let replay = job.replay { return try range(of: device, replay, job) }
    let blocks = job.load.directions(withMix: nil).map { job.load.blockSizes[$0] }
    for size in blocks.flatMap(\.all) + [job.load.blockAlign.read ?? 0, job.load.blockAlign.write ?? 0]
    where size % geometry.logicalBlockSize != 0 {
      throw .unfit(
        job: job.name,
        reason: "bs=\(size) is no multiple of the device's logical block of \(geometry.logicalBlockSize)")
    }
    let whole = geometry.byteCount, block = UInt64(geometry.logicalBlockSize)
    for case .bytes(let bytes) in [job.load.offset, job.load.offsetIncrement] where bytes % block != 0 {
      throw .unfit(
        job: job.name, reason: "an offset of \(bytes) is no multiple of the device's logical block of \(block)")
    }
    func aligned(_ bytes: UInt64) -> UInt64 { bytes / block * block }
    let (skip, overflow) = job.load.offsetIncrement.bytes(of: whole).multipliedReportingOverflow(by: UInt64(copy))
    let start = aligned(job.load.offset.bytes(of: whole)).addingReportingOverflow(overflow ? .max : aligned(skip))
    guard !start.overflow, start.partialValue < whole else {
      throw .unfit(job: job.name, reason: "\(device.name) has \(whole) bytes, and offset is not before its end")
    }
    let room = whole - start.partialValue
    let share = job.bytesPerFile ?? job.sizePercent.map { aligned(Load.Extent.percent($0).bytes(of: whole)) } ?? room
    // What parts of the whole push past its end is cut.
    var isPushed = false
    for case .percent(_) in [job.load.offset, job.load.offsetIncrement] { isPushed = true }
    guard share <= room || job.bytesPerFile == nil || isPushed && share <= whole else {
      throw .unfit(
        job: job.name,
        reason:
          "\(device.name) has \(whole) bytes, offset and size ask for \(start.partialValue + share); a job that writes a "
          + "file makes it larger")
    }
    let count = min(share, room)
    guard count >= UInt64(job.smallestBlock) else {
      throw .unfit(job: job.name, reason: "\(device.name) is smaller than one block of \(job.smallestBlock) bytes")
    }
    return start.partialValue..<start.partialValue + count
  }

  /// All of a device, if it has what a log needs.
  private func range(of device: OpenDevice, _ replay: Replay, _ job: Job) throws(RunError) -> Range<UInt64> {
    let geometry = device.queue.geometry, needs = replay.needs(of: device.name)
    guard needs.end <= geometry.byteCount else {
      throw .unfit(
        job: job.name,
        reason: "\(device.name) has \(geometry.byteCount) bytes, and \(replay.paths[0]) goes to byte \(needs.end); "
          + "replay_scale brings it closer")
    }
    guard needs.alignment >= geometry.logicalBlockSize else {
      throw .unfit(
        job: job.name,
        reason:
          "\(replay.paths[0]) has operations on \(device.name) that are no multiples of the device's logical block "
          + "of \(geometry.logicalBlockSize)")
    }
    return 0..<geometry.byteCount
  }

  private func open(_ name: String, _ job: Job) throws(RunError) -> OpenDevice {
    if plan.options.stack.writeLogPath != nil, !devices.isEmpty {
      throw .unfit(job: job.name, reason: "--write-log logs one device; \(name) would be the second")
    }
    let device: any BlockDevice
    do { device = try openDevice(name, job) } catch { throw .device(error) }
    var configuration = RequestQueue.Configuration(tagCount: job.queueDepth)
    configuration.timesDispatch = true
    if let deadline = plan.options.stack.deadlineNanoseconds { configuration.timeoutNanoseconds = deadline }
    // A place for every request that may be in flight.
    let users = members.filter { plan.jobs[$0.jobIndex].fileNames(copy: $0.copy).contains(name) }
    let pieces = users.reduce(0) { sum, member in
      let user = plan.jobs[member.jobIndex]
      let each = (user.largestBlock + device.geometry.maximumTransfer - 1) / device.geometry.maximumTransfer
      return sum + user.queueing.depth * max(1, each)
    }
    configuration.placeCount = pieces + configuration.writebackReserve + 2
    // Its log is made once the device is there.
    let stack = try plan.makeStack()
    do throws(DeviceError) {
      let stacked = try stack.stacked(on: device)
      let accesses = plan.options.htmlPath == nil ? nil : AccessLayer(stacked)
      let queue = try RequestQueue(device: accesses ?? stacked, reactor: reactor, configuration: configuration)
      if let onStack = control.onStack { onStack("\(name):\n\(stackDescription(of: queue.device))") }
      return OpenDevice(name: name, queue: queue, stack: stack, accesses: accesses)
    } catch { throw .device(error) }
  }

  private func openDevice(_ name: String, _ job: Job) throws(DeviceError) -> any BlockDevice {
    switch job.engine {
    case .libaio:
      let isReadOnly = !plan.jobs.contains { user in
        user.writes && (0..<user.copies).contains { user.fileNames(copy: $0).contains(name) }
      }
      try makeFile(name, job, isReadOnly: isReadOnly)
      var options = FileDevice.Options(isDirect: job.isDirect, isReadOnly: isReadOnly)
      options.signalsCompletions = !isPolled
      let device = try FileDevice(path: name, options: options)
      if job.isDirect { device.tellIfBuffered(control.logger) }
      return device
    case .memory: return MemoryDevice(geometry: geometry(name, job))
    case .null: return NullDevice(geometry: geometry(name, job))
    case .simulated:
      guard let reactor = reactor as? SimulatedReactor else { throw .closed }
      let device = SimulatedDevice(reactor: reactor, geometry: geometry(name, job), keepsDurable: false)
      device.latency = WorkloadRunner.simulatedLatency
      return device
    }
  }

  // MARK: The work

  private func work() async {
    for index in Set(members.map(\.jobIndex)).sorted() { mark("begin \(plan.jobs[index].name)") }
    await withTaskGroup(of: Void.self) { group in
      for index in copies.indices { group.addTask(name: copies[index].name) { await self.work(index) } }
      if control.isWatched && !isSimulated { group.addTask(name: "progress") { await self.showProgress() } }
    }
  }

  private func work(_ index: Int) async {
    let copy = copies[index], load = loads[index]
    let delay = copy.job.schedule.startDelayNanoseconds
    if delay > 0 { await control.sleep(until: reactor.now.advanced(byNanoseconds: delay), on: reactor, endWait) }
    let isPolled = isPolled
    if let verifier = verifiers[index], verifier.isOnly, copy.job.verify?.loadsState == false {
      var random = copy.generator(of: 0)
      verifier.expectOwnWork(&random, at: reactor.now)
    }
    await load.run(isPolled: isPolled)
    if copy.job.fsyncsAtEnd && !copy.hasFailed {
      copy.mark = .fsyncing
      await load.flushAll(isPolled: isPolled)
    }
    let end = reactor.now
    if let verifier = verifiers[index] {
      verifier.saveState()
      copy.mark = .verifying
      await load.verify(isPolled: isPolled)
    }
    // What it takes to verify says nothing about the job's load.
    copy.end(at: end)
    let schedule = copy.job.schedule
    if schedule.endsOthers || schedule.endsOthersOnError && copy.hasFailed {
      control.requestEnd()
      endWait.wakeAll()
    }
    if copies.allSatisfy({ $0.jobIndex != copy.jobIndex || $0.endedAt != nil }) { mark("end \(copy.job.name)") }
    if copies.allSatisfy({ $0.endedAt != nil }) { progressWait.wakeAll() }
  }

  /// Sets a mark in the write log, if there is one.
  private func mark(_ text: String) { _ = devices.first?.stack.mark(text) }

  // MARK: The progress

  private var isSimulated: Bool { plan.jobs[0].engine == .simulated }

  /// In simulation the operations tell of the progress, and no task of its own does: whether somebody looks must not change
  /// the run.
  private var isFollowed: Bool { isSimulated && control.isWatched || plan.seriesNanoseconds != nil }

  private func tick() {
    if let series = counterSeries, series.isDue(at: timeBefore + reactor.now.nanoseconds(since: startedAt)) {
      sampleCounters()
    }
    guard isSimulated, control.isWatched else { return }
    if let point = statusClock.takeDue(at: reactor.now) { noteStatus(point) }
    operationCount += 1
    if operationCount % 4096 == 0 { tellProgress() }
  }

  private func tellProgress() {
    board.note(number, copies.map { CopyProgress($0, at: reactor.now) }, at: reactor.now)
  }

  /// Notes what the copies have done.
  private func noteStatus(_ point: StatusPoint) {
    if !status.isWatched { return }
    let now = reactor.now
    status.note(
      number, at: point, copies.map { $0.figures(at: now) },
      elapsedNanoseconds: now.nanoseconds(since: startedAt))
  }

  private func showProgress() async {
    while copies.contains(where: { $0.endedAt == nil }) {
      tellProgress()
      if let point = statusClock.takeDue(at: reactor.now) { noteStatus(point) }
      let next = reactor.now.advanced(byNanoseconds: 500_000_000)
      _ = await progressWait.waitInterruptibly(until: statusClock.earliest(next))
    }
  }
}

extension DeviceFigures {
  mutating func add(_ other: DeviceFigures) {
    reads += other.reads
    writes += other.writes
    flushes += other.flushes
    discards += other.discards
    merges += other.merges
    admissionWaits += other.admissionWaits
    admissionWaitNanoseconds += other.admissionWaitNanoseconds
    systemCalls += other.systemCalls
    requeues += other.requeues
    readBytes += other.readBytes
    writeBytes += other.writeBytes
    spuriousCompletions += other.spuriousCompletions
  }
}
