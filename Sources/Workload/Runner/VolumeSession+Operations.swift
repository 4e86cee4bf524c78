// What the tasks of a run on a volume do.
internal import Ext2
internal import Reactor

extension VolumeSession {
  /// One task: an operation after the other, until the time or the size is done, somebody stops the run, or one fails.
  func work(_ index: Int, _ task: Int) async {
    let copy = copies[index]
    var random = copy.generator(ofTask: task)
    while mayGoOn(copy) {
      if let mix = copy.job.mix {
        await mixed(mix, copy, openings[index], &random)
      } else {
        await patterned(copy, openings[index], &random)
      }
      operationCount += 1
      if isSimulated { if operationCount % 4096 == 0 { tellProgress() } } else { await reactor.pass() }
    }
    await endTask(index)
  }

  /// A drawn operation on a drawn file.
  private func mixed(
    _ mix: OperationMix, _ copy: JobCopy, _ own: [Opening], _ random: inout SeededGenerator
  ) async {
    let operation = mix.operation(at: UInt64(random.below(Int(mix.total))))
    let opening = own[random.below(own.count)]
    do throws(Ext2Error) {
      switch operation {
      case .write: try await overwrite(opening, copy, &random)
      case .append: try await append(opening, copy, &random)
      case .truncate: try await truncate(opening, copy, &random)
      case .read: try await readSomewhere(opening, copy, &random)
      case .fsync: try await synchronize(opening, copy)
      }
    } catch { fail(copy, error, operation.rawValue, opening) }
  }

  /// The next read or write of the job's pattern.
  private func patterned(_ copy: JobCopy, _ own: [Opening], _ random: inout SeededGenerator) async {
    let step = copy.nextStep(&random)
    let opening = own[step.file]
    let start = step.block * UInt64(copy.job.blockSize)
    let range = start..<start + UInt64(copy.job.blockSize)
    do throws(Ext2Error) {
      if step.isWrite {
        try await change(opening, copy) { () async throws(Ext2Error) in try await write(range, opening) }
      } else {
        try await read(range, opening, copy)
      }
    } catch { fail(copy, error, step.isWrite ? "write" : "read", opening) }
  }

  // MARK: Operations

  /// Runs a write with the file's changes held; the wait for them is part of its latency, as the wait for the inode's
  /// lock would be. Syncs afterwards where that is due.
  private func change(
    _ opening: Opening, _ copy: JobCopy, _ body: () async throws(Ext2Error) -> Int
  ) async throws(Ext2Error) {
    let start = reactor.now
    await spendProcessorTime()
    let model = models[opening.model]
    await model.changes.lock()
    let done: Int
    do throws(Ext2Error) {
      done = try await body()
      model.changes.unlock()
    } catch {
      model.changes.unlock()
      throw error
    }
    copy.recorder.record(.write, bytes: done, nanoseconds: reactor.now.nanoseconds(since: start))
    let due = copy.syncDueAfterWrite()
    if due.isDue { try await synchronize(opening, copy, isDataOnly: due.isDataOnly) }
  }

  /// Overwrites a block inside the file; the first one when the file is shorter than a block.
  private func overwrite(_ opening: Opening, _ copy: JobCopy, _ random: inout SeededGenerator) async throws(Ext2Error) {
    let choice = random.next()
    try await change(opening, copy) { () async throws(Ext2Error) in
      try await write(block(choice, opening, copy), opening)
    }
  }

  /// Writes a block at the end; where the file has its share already, overwrites one.
  private func append(_ opening: Opening, _ copy: JobCopy, _ random: inout SeededGenerator) async throws(Ext2Error) {
    let choice = random.next()
    try await change(opening, copy) { () async throws(Ext2Error) in
      let end = models[opening.model].byteCount
      let size = UInt64(copy.job.blockSize)
      if let share = copy.job.bytesPerFile, end + size > share {
        return try await write(block(choice, opening, copy), opening)
      }
      return try await write(end..<end + size, opening, isAppend: true)
    }
  }

  /// A block inside the file as it is now, by a drawn number.
  private func block(_ choice: UInt64, _ opening: Opening, _ copy: JobCopy) -> Range<UInt64> {
    let size = UInt64(copy.job.blockSize)
    let count = models[opening.model].byteCount / size
    let start = count == 0 ? 0 : choice.multipliedFullWidth(by: count).high * size
    return start..<start + size
  }

  private func truncate(_ opening: Opening, _ copy: JobCopy, _ random: inout SeededGenerator) async throws(Ext2Error) {
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
    copy.recorder.record(.truncate, bytes: 0, nanoseconds: reactor.now.nanoseconds(since: start))
  }

  private func readSomewhere(
    _ opening: Opening, _ copy: JobCopy, _ random: inout SeededGenerator
  ) async throws(Ext2Error) {
    try await read(block(random.next(), opening, copy), opening, copy)
  }

  /// Reads a range and compares it with what it may hold.
  private func read(_ range: Range<UInt64>, _ opening: Opening, _ copy: JobCopy) async throws(Ext2Error) {
    let start = reactor.now
    await spendProcessorTime()
    let model = models[opening.model]
    let observation = model.observe(range)
    defer { model.end(observation) }
    let bytes = try await opening.file.read(at: range.lowerBound, count: range.count)
    copy.recorder.record(.read, bytes: bytes.count, nanoseconds: reactor.now.nanoseconds(since: start))
    guard model.isExact else { return }
    await judge(bytes, range, opening, observation)
  }

  func synchronize(_ opening: Opening, _ copy: JobCopy, isDataOnly: Bool = false) async throws(Ext2Error) {
    let start = reactor.now
    await spendProcessorTime()
    if isDataOnly { try await opening.file.synchronizeData() } else { try await opening.file.synchronize() }
    copy.recorder.record(.fsync, bytes: 0, nanoseconds: reactor.now.nanoseconds(since: start))
  }

  // MARK: The simulated processor

  /// What an operation costs beside its device requests, in nanoseconds of virtual time. All tasks share one processor,
  /// as they share one thread in a real run; without a cost, virtual time would stand still while pages are cached.
  private static let processorNanoseconds: ClosedRange<UInt64> = 20_000...60_000

  private func spendProcessorTime() async {
    guard isSimulated else { return }
    let range = Self.processorNanoseconds
    // Spread evenly by counting, so that no generator of the load is touched.
    let cost = range.lowerBound + operationCount &* 7919 % (range.upperBound - range.lowerBound + 1)
    processorIsFreeAt = max(processorIsFreeAt, reactor.now).advanced(byNanoseconds: cost)
    await reactor.sleep(until: processorIsFreeAt)
  }
}
