// Blocks that are in no tree any more and whose bit is not clear yet.
//
// A pending block's bit is cleared when no write or discard to it is queued or in flight; until then it cannot be
// allocated. So truncate waits for nobody, and no write ever lands in a block that has a new owner. With `ordered` frees
// a block also waits until the metadata that dropped it has been written and flushed: then no power cut can show it in
// two files.
internal import BlockDevice
internal import DequeModule
internal import Ext2Format
internal import PageCache
internal import Reactor

/// When a freed block may be used again.
public enum FreesName: String, Sendable, CaseIterable {
  /// When no write to it is outstanding.
  case plain
  /// When, besides, the change that freed it is durable.
  case ordered
}

final class PendingFrees {
  private final class Run {
    let first: BlockNumber
    let count: Int
    /// Counts runs: who waits for those of now need not wait for later ones.
    let number: UInt64
    /// The commit that has to be durable first.
    let commit: UInt64
    /// The device is to be told before it becomes free.
    let discards: Bool
    /// Its discard was queued.
    var isDiscarded = false
    /// When it was freed or discarded: what is outstanding was submitted before.
    var since: Instant
    init(_ first: BlockNumber, _ count: Int, number: UInt64, commit: UInt64, discards: Bool, since: Instant) {
      self.number = number
      self.discards = discards
      self.since = since
      self.first = first
      self.count = count
      self.commit = commit
    }
  }

  private let groups: GroupTable
  private let metadata: MetadataCache
  private let queue: RequestQueue
  private let isOrdered: Bool
  private let discards: Bool
  private let switchedOff: SwitchedOffRules
  private var runs = Deque<Run>()
  private let work: WaitQueue
  private let freed: WaitQueue
  private let ended: WaitQueue
  private var isStopping = false
  private var isRunning = false
  /// Commits are counted: a block freed now becomes free when the next one to begin is durable.
  private var begunCommits: UInt64 = 0
  private var durableCommits: UInt64 = 0
  private var nextCommit: UInt64 { begunCommits + 1 }
  /// Makes everything that was changed so far durable; set by the volume.
  var commit: (() async -> Ext2Error?)?
  /// Told of corruption found while freeing.
  var onCorruption: ((FormatError) -> Void)?

  init(
    groups: GroupTable, metadata: MetadataCache, frees: FreesName, discards: Bool, switchedOff: SwitchedOffRules
  ) {
    self.groups = groups
    self.metadata = metadata
    queue = metadata.queue
    isOrdered = frees == .ordered
    self.discards = discards
    self.switchedOff = switchedOff
    work = WaitQueue(queue.reactor, "blocks to free")
    freed = WaitQueue(queue.reactor, "pending blocks to become free")
    ended = WaitQueue(queue.reactor, "the end of freeing")
    // Weak: a write past its deadline may complete when the volume is no more.
    queue.onWriteCompleted = { [weak self] in
      if let self, !runs.isEmpty { work.wakeAll() }
    }
  }

  var isEmpty: Bool { runs.isEmpty && freeing == nil }
  private var freeing: Run?
  private var addedCount: UInt64 = 0

  /// Whether a block waits to be freed.
  func contains(_ block: BlockNumber) -> Bool {
    func covers(_ run: Run) -> Bool { block >= run.first && block < run.first.advanced(by: run.count) }
    return runs.contains(where: covers) || freeing.map(covers) ?? false
  }

  /// Adds blocks that no tree links any more, in the step that dropped them. A run does not cross a group.
  func add(_ first: BlockNumber, count: Int) {
    var first = first, count = count
    while count > 0 {
      let inGroup = groups.layout.blocks(of: groups.layout.group(of: first)).upperBound.rawValue - first.rawValue
      let part = min(count, Int(inGroup))
      addedCount += 1
      let run = Run(
        first, part, number: addedCount, commit: nextCommit, discards: discards, since: queue.reactor.now)
      if !clearNow(run) { runs.append(run) }
      count -= part
      first = first.advanced(by: part)
    }
    if !runs.isEmpty { work.wakeAll() }
  }

  /// Adds blocks that were free and were taken for nothing but to tell the device of them.
  func addDiscard(_ first: BlockNumber, count: Int) {
    addedCount += 1
    runs.append(Run(first, count, number: addedCount, commit: 0, discards: true, since: queue.reactor.now))
    work.wakeAll()
  }

  /// Waits until some pending block has become free. Returns false when nothing is pending. Throws when what is pending
  /// cannot be made durable, has a bitmap that cannot be read, or waits for writes that are past their deadline.
  func waitForSome() async throws(Ext2Error) -> Bool {
    guard !isEmpty else { return false }
    if let hung { throw hung }
    work.wakeAll()
    isPressed = true
    let failuresBefore = failureCount
    await freed.wait()
    if let error = failure(after: failuresBefore) ?? hung { throw error }
    return true
  }
  /// Somebody waits for blocks: with ordered frees a commit is worth its price.
  private var isPressed = false
  /// Why blocks that are ready could not be freed when that last failed, and how often it has: whoever waits is told of a
  /// failure since, and not of one before.
  private var lastFailure: Ext2Error?
  private var failureCount: UInt64 = 0
  private func failure(after count: UInt64) -> Ext2Error? { failureCount == count ? nil : lastFailure }
  /// Counts frees that have come to their end.
  private(set) var clearCount: UInt64 = 0

  /// Waits until nothing is pending that was so at the call. Returns why something still is.
  func drain() async -> Ext2Error? {
    let last = addedCount
    var isWaitedFor: Bool { freeing.map { $0.number <= last } ?? false || runs.contains { $0.number <= last } }
    let failuresBefore = failureCount
    while isWaitedFor && isRunning && failureCount == failuresBefore && hung == nil {
      isPressed = true
      work.wakeAll()
      await freed.wait()
    }
    return isWaitedFor ? failure(after: failuresBefore) ?? hung : nil
  }

  private func deadline(of run: Run) -> Instant? {
    queue.configuration.timeoutNanoseconds.map { run.since.advanced(byNanoseconds: $0) }
  }

  /// The error when all that is pending waits for writes past their deadline: nobody knows whether they ever end.
  private var hung: Ext2Error? {
    guard freeing == nil, let first = runs.first,
      runs.allSatisfy({ run in deadline(of: run).map { $0 <= queue.reactor.now } ?? false && isWriteOutstanding(run) })
    else { return nil }
    return .device(.timedOut(.write, offset: UInt64(first.first.rawValue) * UInt64(metadata.blockSize)))
  }

  /// A pointer named a block that no file may own: it is not freed.
  func reportUnownable(_ block: BlockNumber, _ inode: InodeNumber) {
    onCorruption?(
      .invalid(
        .pointer, at: .inode(inode), field: "block pointer", value: UInt64(block.rawValue),
        why: "names a block that no file may own; it was not freed"))
  }

  // MARK: When a run may become free

  private func isReady(_ run: Run) -> Bool {
    if isOrdered && run.commit > durableCommits && !switchedOff.contains(.orderedFreesWait) { return false }
    if switchedOff.contains(.lateWritesCount), let deadline = deadline(of: run), deadline <= queue.reactor.now {
      return true
    }
    return switchedOff.contains(.pendingFrees) || !isWriteOutstanding(run)
  }

  private func isWriteOutstanding(_ run: Run) -> Bool {
    let size = UInt64(metadata.blockSize)
    let start = UInt64(run.first.rawValue) * size
    return queue.hasOutstandingWrite(overlapping: start..<start + UInt64(run.count) * size)
  }

  /// Clears the bits at once where that needs neither a wait nor a slot.
  private func clearNow(_ run: Run) -> Bool {
    guard !run.discards, isReady(run),
      let bitmap = metadata.cached(groups[groups.layout.group(of: run.first)].blockBitmap),
      bitmap.isCountedUnevictable || metadata.hasSpareSlot
    else { return false }
    clear(run, bitmap)
    return true
  }

  /// The last step of a free: the bits are clear, the blocks may be allocated.
  private func clear(_ run: Run, _ bitmap: MetadataBlock) {
    let group = groups.layout.group(of: run.first)
    var start = groups.layout.bitIndex(of: run.first)
    if switchedOff.contains(.bitsCountFromFirstBlock) { start += Int(groups.layout.firstDataBlock.rawValue) }
    var cleared = 0
    for bit in start..<start + run.count {
      let wasSet = bitmap.withMutableBytes { bytes in Bitmap.clear(bit, in: &bytes) }
      if wasSet {
        cleared += 1
      } else {
        onCorruption?(
          .invalid(
            .bitmap, at: .block(bitmap.number), field: "bit \(bit)", value: 0,
            why: "was clear before its block was freed"))
      }
    }
    metadata.markDirty(bitmap)
    groups.changeFreeBlocks(of: group, by: cleared)
    clearCount += 1
    freed.wakeAll()
  }

  // MARK: The task

  /// Frees pending blocks as they become ready, until `stop`.
  func run() async {
    isRunning = true
    while !isStopping {
      let hasFreed = await freeReady()
      if hasFreed || isStopping { continue }
      if isOrdered && !runs.isEmpty && isPressed && runs.contains(where: { $0.commit > durableCommits }) {
        isPressed = false
        await commitNow()
      } else {
        if hung != nil { freed.wakeAll() }
        if let next = runs.compactMap(deadline).filter({ $0 > queue.reactor.now }).min() {
          _ = await work.waitInterruptibly(until: next)
        } else {
          await work.wait()
        }
      }
    }
    isRunning = false
    freed.wakeAll()
    ended.wakeAll()
  }

  private func freeReady() async -> Bool {
    var hasFreed = false
    for _ in 0..<runs.count {
      guard let run = runs.popFirst() else { break }
      freeing = run
      if await free(run) { hasFreed = true } else { runs.append(run) }
      freeing = nil
      if hasFreed { freed.wakeAll() }
    }
    return hasFreed
  }

  private func free(_ run: Run) async -> Bool {
    guard isReady(run) else { return false }
    if run.discards && !run.isDiscarded { return await discard(run) }
    let group = groups.layout.group(of: run.first)
    do throws(Ext2Error) {
      let ticket = try await metadata.ticket(1, isSystem: true)
      defer { ticket.end() }
      guard let bitmap = try await metadata.load(groups[group].blockBitmap, owner: .none, ticket), isReady(run) else {
        return false
      }
      clear(run, bitmap)
      return true
    } catch {
      fail(error)
      return false
    }
  }

  /// Ready blocks could not be freed: whoever waits for them is told. It is tried again when the next one waits.
  private func fail(_ error: Ext2Error) {
    lastFailure = error
    failureCount += 1
    freed.wakeAll()
  }

  /// Queues the discard; it is a write to the block, so the run is not ready again until it is complete.
  private func discard(_ run: Run) async -> Bool {
    let request: Request
    do { request = try await queue.admit(.writeback) } catch {
      fail(.device(error))
      return false
    }
    guard isReady(run) else {
      queue.giveBack(request)
      return false
    }
    run.isDiscarded = true
    run.since = queue.reactor.now
    request.prepare(
      .discard, at: UInt64(run.first.rawValue) * UInt64(metadata.blockSize), byteCount: run.count * metadata.blockSize)
    // Nobody waits for it: the end of a write makes the task look again.
    queue.submit(request, handler: nil)
    guard switchedOff.contains(.discardCountsAsWrite),
      let bitmap = metadata.cached(groups[groups.layout.group(of: run.first)].blockBitmap)
    else { return false }
    clear(run, bitmap)
    return true
  }

  // MARK: Commits

  /// A commit begins: what is pending now becomes free when it is durable.
  func beginCommit() -> UInt64 {
    begunCommits += 1
    return begunCommits
  }
  func endCommit(_ number: UInt64) {
    durableCommits = max(durableCommits, number)
    if !runs.isEmpty { work.wakeAll() }
  }
  private func commitNow() async {
    // When the volume cannot be made durable, whoever waits for space gets none.
    if let error = await commit?() { fail(error) }
  }

  func stop() async {
    isStopping = true
    work.wakeAll()
    while isRunning { await ended.wait() }
  }
}
