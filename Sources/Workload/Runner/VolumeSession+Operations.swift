// What the tasks of a run on a volume do.
internal import BlockDevice
internal import Ext2
internal import Reactor
internal import SystemPackage

extension VolumeSession {
  /// One task: an operation after the other, until the time or the size is done, somebody stops the run, or one fails.
  func work(_ index: Int, _ task: Int) async {
    let copy = copies[index]
    var random = copy.generator(of: task)
    if copy.job.schedule.startDelayNanoseconds > 0 {
      await control.sleep(
        until: reactor.now.advanced(byNanoseconds: copy.job.schedule.startDelayNanoseconds), on: reactor, endWait)
    }
    if copy.startedAt == Instant(nanoseconds: 0) { copy.begin(at: reactor.now) }
    while mayGoOn(copy) {
      if let mix = copy.job.mix {
        guard await mixed(mix, copy, index, &random) else {
          // It counts as no operation; the next draw finds one, or nothing is left to do.
          copy.returnTurn()
          if endsWithoutWork(mix, copy, index) { break }
          if !isSimulated { await reactor.pass() }
          continue
        }
      } else {
        await patterned(copy, openings[index], &random)
      }
      operationCount += 1
      copy.noteForPause(at: reactor.now)
      while let pauseEnd = copy.pauseEnd(at: reactor.now), mayWait(copy, until: pauseEnd) {
        await control.sleep(until: pauseEnd, on: reactor, endWait)
      }
      if isSimulated {
        noteStatusIfDue()
        if operationCount % 4096 == 0 { tellProgress() }
      } else {
        await reactor.pass()
      }
    }
    await endTask(index)
  }

  /// A drawn operation on a drawn file. Returns whether there was a file for it, or the run ended meanwhile.
  private func mixed(
    _ mix: OperationMix, _ copy: JobCopy, _ index: Int, _ random: inout SeededGenerator
  ) async -> Bool {
    let operation = copy.nextOperation(of: mix, &random, at: reactor.now)
    let drawn = random.below(openings[index].count)
    guard isPossible(operation, index) else {
      // By its rate the other direction is next: it may have work. Where that cost nothing, virtual time would stand still.
      _ = copy.nextDue(operation, &random)
      await spendProcessorTime()
      return false
    }
    var lateness: UInt64?
    if let due = copy.nextDue(operation, &random) {
      lateness = await waitForTurn(copy, due)
      if lateness == nil { return true }
    }
    if operation.changesNames { return await changeNames(operation, copy, index, from: drawn, lateness) }
    guard let opening = firstFile(of: index, from: drawn, where: \.isPresent).map({ openings[index][$0] }) else {
      await spendProcessorTime()
      return false
    }
    beginUse(opening)
    do throws(Ext2Error) {
      switch operation {
      case .create, .unlink, .rename: break
      case .write: try await overwrite(opening, copy, &random, lateness)
      case .append: try await append(opening, copy, &random, lateness)
      case .truncate: try await truncate(opening, copy, &random, lateness)
      case .read: try await readSomewhere(opening, copy, &random, lateness)
      case .fsync: try await synchronize(opening, copy)
      }
    } catch { fail(copy, error, operation.rawValue, opening) }
    await endUse(opening)
    return true
  }

  /// The next read or write of the job's pattern, at its time.
  private func patterned(_ copy: JobCopy, _ own: [Opening], _ random: inout SeededGenerator) async {
    let step = copy.nextStep(&random, at: reactor.now)
    let opening = own[step.file]
    var lateness: UInt64?
    if let due = step.due {
      lateness = await waitForTurn(copy, due)
      if lateness == nil { return }
    }
    do throws(Ext2Error) {
      switch step.operation {
      case .flush: try await synchronize(opening, copy)
      case .write:
        try await change(opening, copy, lateness) { () async throws(Ext2Error) in
          try await write(step.range, opening)
        }
      default: try await read(step.range, opening, copy, lateness)
      }
    } catch { fail(copy, error, step.isWrite ? "write" : "read", opening) }
  }

  /// Waits until an operation is meant to begin. Returns how late it begins; nil: the copy's time, or the run, has ended
  /// before.
  private func waitForTurn(_ copy: JobCopy, _ due: UInt64) async -> UInt64? {
    let meant = copy.startedAt.advanced(byNanoseconds: due)
    let end = copy.timeEnd.map { min($0, meant) } ?? meant
    if mayWait(copy, until: end) { await control.sleep(until: end, on: reactor, endWait) }
    if let end = copy.timeEnd, meant >= end { return nil }
    return reactor.now < meant ? nil : reactor.now.nanoseconds(since: meant)
  }

  /// Whether there is something to wait for: nobody has ended the run, and virtual time goes that far.
  private func mayWait(_ copy: JobCopy, until instant: Instant) -> Bool {
    if control.isEndRequested || copy.hasFailed { return false }
    guard let finding = RunControl.clockFinding(instant, copy, on: reactor) else { return true }
    end(copy, finding, errorNumber: .overflow)
    return false
  }

  // MARK: Operations

  /// Runs a write with the file's changes held; the wait for them is part of its latency, as the wait for the inode's
  /// lock would be. Syncs afterwards where that is due.
  private func change(
    _ opening: Opening, _ copy: JobCopy, _ lateness: UInt64? = nil, _ body: () async throws(Ext2Error) -> Range<UInt64>
  ) async throws(Ext2Error) {
    let start = reactor.now
    await spendProcessorTime()
    let model = models[opening.model]
    await model.changes.lock()
    let done: Range<UInt64>
    do throws(Ext2Error) {
      done = try await body()
      model.changes.unlock()
    } catch {
      model.changes.unlock()
      throw error
    }
    record(.write, copy, done, since: start, lateness)
    let due = copy.syncDueAfterWrite()
    if due.isDue { try await synchronize(opening, copy, isDataOnly: due.isDataOnly) }
  }

  /// Overwrites a block inside the file; the first one when the file is shorter than a block.
  private func overwrite(
    _ opening: Opening, _ copy: JobCopy, _ random: inout SeededGenerator, _ lateness: UInt64?
  ) async throws(Ext2Error) {
    let choice = random.next()
    try await change(opening, copy, lateness) { () async throws(Ext2Error) in
      try await write(block(choice, opening, copy), opening)
    }
  }

  /// Notes an operation that has ended well; one that took too long ends its copy.
  func record(
    _ operation: ReportedOperation, _ copy: JobCopy, _ done: Range<UInt64> = 0..<0, since start: Instant,
    _ lateness: UInt64? = nil
  ) {
    let now = reactor.now
    let time = now.nanoseconds(since: start)
    copy.record(
      operation, bytes: done.count, offset: done.lowerBound, nanoseconds: time, lateness: lateness, at: now)
    sampleCountersIfDue()
    if let limit = copy.job.maximumLatency, time > limit {
      copy.fail(isWrite: operation != .read, errorNumber: Errno.timedOut.rawValue)
      add(
        Finding(
          .ioError, context: "max_latency of \(copy.name)", found: "\(operation.rawValue) took \(time) ns"))
    }
  }

  /// Writes a block at the end; where the file has its share already, overwrites one.
  private func append(
    _ opening: Opening, _ copy: JobCopy, _ random: inout SeededGenerator, _ lateness: UInt64?
  ) async throws(Ext2Error) {
    let choice = random.next()
    try await change(opening, copy, lateness) { () async throws(Ext2Error) in
      let end = models[opening.model].byteCount
      let size = UInt64(copy.job.smallestBlock)
      if let share = copy.job.bytesPerFile, end + size > share {
        return try await write(block(choice, opening, copy), opening)
      }
      return try await write(end..<end + size, opening, isAppend: true)
    }
  }

  /// A block inside the file as it is now, by a drawn number.
  private func block(_ choice: UInt64, _ opening: Opening, _ copy: JobCopy) -> Range<UInt64> {
    let size = UInt64(copy.job.smallestBlock)
    let count = models[opening.model].byteCount / size
    let start = count == 0 ? 0 : choice.multipliedFullWidth(by: count).high * size
    return start..<start + size
  }

  private func truncate(
    _ opening: Opening, _ copy: JobCopy, _ random: inout SeededGenerator, _ lateness: UInt64?
  ) async throws(Ext2Error) {
    let start = reactor.now
    let model = models[opening.model]
    let share = copy.job.bytesPerFile ?? model.byteCount
    let size = UInt64(random.below(Int(share) + 1))
    await spendProcessorTime()
    await model.changes.lock()
    defer { model.changes.unlock() }
    let before = model.byteCount
    model.begin(.resize(size))
    do throws(Ext2Error) {
      try await opening.file.truncate(to: size)
      model.end(.resize(size))
    } catch {
      // What fails first changes nothing. What fails after the size has changed may have left anything behind.
      let now = try? await opening.file.status().byteCount
      if now == before { model.cancel() } else { model.end(nil) }
      throw error
    }
    record(.truncate, copy, since: start, lateness)
  }

  private func readSomewhere(
    _ opening: Opening, _ copy: JobCopy, _ random: inout SeededGenerator, _ lateness: UInt64?
  ) async throws(Ext2Error) {
    try await read(block(random.next(), opening, copy), opening, copy, lateness)
  }

  /// Reads a range and compares it with what it may hold.
  private func read(
    _ range: Range<UInt64>, _ opening: Opening, _ copy: JobCopy, _ lateness: UInt64? = nil
  ) async throws(Ext2Error) {
    let start = reactor.now
    await spendProcessorTime()
    let model = models[opening.model]
    let observation = model.observe(range)
    defer { model.end(observation) }
    let bytes = try await opening.file.read(at: range.lowerBound, count: range.count)
    let done = range.lowerBound..<range.lowerBound + UInt64(bytes.count)
    record(.read, copy, done, since: start, lateness)
    guard model.isExact else { return }
    await judge(bytes, range, opening, observation)
  }

  func synchronize(_ opening: Opening, _ copy: JobCopy, isDataOnly: Bool = false) async throws(Ext2Error) {
    let start = reactor.now
    await spendProcessorTime()
    if isDataOnly { try await opening.file.synchronizeData() } else { try await opening.file.synchronize() }
    record(.fsync, copy, since: start)
  }

  // MARK: The simulated processor

  /// What an operation costs beside its device requests, in nanoseconds of virtual time. All tasks share one processor,
  /// as they share one thread in a real run; without a cost, virtual time would stand still while pages are cached.
  private static let processorNanoseconds: ClosedRange<UInt64> = 20_000...60_000

  func spendProcessorTime() async {
    guard isSimulated else { return }
    let range = Self.processorNanoseconds
    // Spread evenly by counting, so that no generator of the load is touched.
    let cost = range.lowerBound + operationCount &* 7919 % (range.upperBound - range.lowerBound + 1)
    processorIsFreeAt = max(processorIsFreeAt, reactor.now).advanced(byNanoseconds: cost)
    await reactor.sleep(until: processorIsFreeAt)
  }
}
