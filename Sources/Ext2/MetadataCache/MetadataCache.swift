// The one home of every disk block that is not regular-file data: directories, pointer blocks, inode tables, bitmaps,
// descriptors, by block number.
//
// Limits: `slotCount` blocks. An operation reserves the slots of its worst case first (a ticket); `walkerReserve` slots
// are left for walks of the block tree by readers and writeback, which hold one only while a read is out. What is not
// pinned, dirty or being transferred may leave, oldest first with a second chance for what was used.
internal import BlockDevice
internal import DequeModule
internal import Ext2Format
internal import PageCache
internal import Reactor

final class MetadataCache {
  /// Slots that one operation reserves: two paths of three pointer blocks, an inode-table block, a directory block, and
  /// bitmaps.
  static let slotsPerOperation = 20
  static let walkerReserve = 8
  /// Slots below which a mount is refused: the reserve and two operations.
  static let minimumSlotCount = walkerReserve + 2 * slotsPerOperation

  let reactor: Reactor
  let queue: RequestQueue
  let blockSize: Int
  let slotCount: Int
  let switchedOff: SwitchedOffRules
  /// Told once of each failing block: the owner (`.none`: shared) and the error.
  var onError: ((InodeNumber, Ext2Error) -> Void)?
  /// What a block without an owner is. Set by the volume.
  var kindOfShared: (BlockNumber) -> WritableKeyPath<WrittenBytes, UInt64> = { _ in \.superblock }
  /// What was written, but for data.
  private(set) var written = WrittenBytes()
  /// Blocks that were wanted.
  private(set) var counters = CacheCounters()

  private(set) var blocks: [BlockNumber: MetadataBlock] = [:]
  private var clock = Deque<MetadataBlock>()
  private var residentCount = 0
  private(set) var unevictableCount = 0
  var reservedCount = 0
  private(set) var dirtyCount = 0
  /// Blocks that are dirty or under writeback.
  private(set) var unwrittenCount = 0
  /// Those of them whose last write failed or hangs.
  private var stuckCount = 0
  /// Why nothing is written any more, if so.
  private(set) var refusal: Ext2Error?
  private var ticketWaiters = Deque<(count: Int, isSystem: Bool, resumption: Resumption)>()
  private var walkersInside = 0
  private let walkerQueue: WaitQueue
  var flushCalls: UInt64 = 0
  var activeCalls: [MetadataFlushCall] = []
  var copyBuffers: [Buffer] = []
  let writer: MetadataWriter

  init(reactor: Reactor, queue: RequestQueue, blockSize: Int, slotCount: Int, switchedOff: SwitchedOffRules) {
    self.reactor = reactor
    self.queue = queue
    self.blockSize = blockSize
    self.slotCount = slotCount
    self.switchedOff = switchedOff
    walkerQueue = WaitQueue(reactor, "a metadata slot for a walk")
    writer = MetadataWriter(reactor)
    writer.cache = self
  }

  // MARK: Slots

  private func canGrant(_ count: Int, isSystem: Bool) -> Bool {
    let reserve = isSystem ? Self.walkerReserve / 2 : Self.walkerReserve
    return slotCount - reserve - unevictableCount - reservedCount >= count
  }

  /// Whether a clean block may become dirty without a ticket.
  var hasSpareSlot: Bool { canGrant(1, isSystem: false) }

  /// Waits for the right to pin `count` blocks. `isSystem`: work that others wait for, which may use half of the reserve.
  func ticket(_ count: Int = slotsPerOperation, isSystem: Bool = false) async throws(Ext2Error) -> MetadataTicket {
    if let ticket = ticketNow(count, isSystem: isSystem) { return ticket }
    if isStuck { throw stuckError }
    let record = reactor.willWait("\(count) metadata slots")
    let outcome = await suspend {
      ticketWaiters.append((count, isSystem, $0))
      writer.kick()
    }
    reactor.didWait(record)
    if outcome != 0 { throw stuckError }
    return MetadataTicket(self, count)
  }

  /// As `ticket`, without suspending; nil where that would have to wait.
  func ticketNow(_ count: Int = slotsPerOperation, isSystem: Bool = false) -> MetadataTicket? {
    guard (ticketWaiters.isEmpty || isSystem) && canGrant(count, isSystem: isSystem) else { return nil }
    reservedCount += count
    return MetadataTicket(self, count)
  }

  private var isStuck: Bool {
    unwrittenCount > 0 && (stuckCount >= unwrittenCount || refusal != nil) && reservedCount == 0
  }
  private var stuckError: Ext2Error { refusal == nil ? .stuck(owner: 0, page: 0) : .readOnly }

  /// Corruption was found: what is dirty stays in memory.
  func refuseWrites(because error: Ext2Error) {
    refusal = refusal ?? error
    grantTickets()
  }

  func grantTickets() {
    while let index = ticketWaiters.firstIndex(where: { canGrant($0.count, isSystem: $0.isSystem) }),
      index == 0 || ticketWaiters[index].isSystem
    {
      let waiter = ticketWaiters.remove(at: index)
      reservedCount += waiter.count
      reactor.resume(waiter.resumption)
    }
    if isStuck { while let waiter = ticketWaiters.popFirst() { reactor.resume(waiter.resumption, returning: 1) } }
    if !ticketWaiters.isEmpty { writer.kick() }
  }

  /// Counts the block anew after a change of its state.
  func recount(_ block: MetadataBlock) {
    let isUnevictable = block.isLive && !block.isResident && !block.isEvictable
    if isUnevictable != block.isCountedUnevictable {
      block.isCountedUnevictable = isUnevictable
      unevictableCount += isUnevictable ? 1 : -1
    }
    let isUnwritten = block.isLive && (block.isDirty || block.isUnderWriteback)
    if isUnwritten != block.isCountedUnwritten {
      block.isCountedUnwritten = isUnwritten
      unwrittenCount += isUnwritten ? 1 : -1
    }
    let isStuck = isUnwritten && (block.isFailed || block.isTimedOut)
    if isStuck != block.isCountedStuck {
      block.isCountedStuck = isStuck
      stuckCount += isStuck ? 1 : -1
      if isStuck { grantTickets() }
    }
    if block.isLive && block.isEvictable {
      if !block.isQueued {
        block.isQueued = true
        // Forgotten blocks stay behind in the clock, with their memory, until it is looked through.
        if clock.count > 2 * slotCount + residentCount { clock.removeAll { !$0.isLive } }
        clock.append(block)
      }
      grantTickets()
    }
  }

  /// Makes room for one more block. There is always one that may leave, because slots were reserved.
  private func makeRoom() {
    while blocks.count - residentCount >= slotCount, let candidate = clock.popFirst() {
      candidate.isQueued = false
      guard candidate.isLive && candidate.isEvictable else { continue }
      if candidate.isReferenced {
        candidate.isReferenced = false
        candidate.isQueued = true
        clock.append(candidate)
      } else {
        candidate.isLive = false
        blocks[candidate.number] = nil
      }
    }
  }

  private func enter(_ number: BlockNumber, owner: InodeNumber) -> MetadataBlock {
    makeRoom()
    let block = MetadataBlock(
      number: number, owner: owner,
      buffer: Buffer(byteCount: blockSize, alignment: queue.geometry.memoryAlignment))
    blocks[number] = block
    recount(block)
    return block
  }

  /// Counts a block that is being written.
  func countWrite(_ block: MetadataBlock) {
    written[keyPath: block.owner == .none ? kindOfShared(block.number) : \.tree] += UInt64(blockSize)
  }

  // MARK: Finding and reading

  /// The block, if it is in memory and valid.
  func cached(_ number: BlockNumber) -> MetadataBlock? {
    guard let block = blocks[number], block.isValid else { return nil }
    block.isReferenced = true
    counters.hits += 1
    return block
  }

  /// The block, if it is in memory and valid, pinned by the ticket.
  func pinNow(_ number: BlockNumber, _ ticket: MetadataTicket) -> MetadataBlock? {
    guard let block = cached(number) else { return nil }
    ticket.pin(block)
    return block
  }

  /// Whether the block has its home here now, valid or not.
  func holds(_ number: BlockNumber) -> Bool { blocks[number] != nil }

  /// The block, read if need be; pinned when there is a ticket, else true only until the next suspension.
  ///
  /// After every suspension `isStillWanted` is asked, before the block is entered, its read queued, or an error
  /// reported; when it says no the result is nil. Slot and admission are obtained before the block is entered.
  func load(
    _ number: BlockNumber, owner: InodeNumber, _ ticket: MetadataTicket?, isStillWanted: () -> Bool = { true }
  ) async throws(Ext2Error) -> MetadataBlock? {
    while true {
      if let block = blocks[number] {
        if block.isValid {
          block.isReferenced = true
          ticket?.pin(block)
          counters.hits += 1
          return block
        }
        await block.waitForChange(reactor)
        guard isStillWanted() else { return nil }
        if let error = block.readError { throw error }
        continue
      }
      if ticket == nil { await enterWalk() }
      let request: Request
      do { request = try await queue.admit(ticket == nil ? .writeback : .ordinary) } catch {
        if ticket == nil { leaveWalk() }
        guard isStillWanted() else { return nil }
        throw .device(error)
      }
      guard isStillWanted(), blocks[number] == nil else {
        queue.giveBack(request)
        if ticket == nil { leaveWalk() }
        if !isStillWanted() { return nil }
        continue
      }
      startReading(number, owner: owner, request, isWalk: ticket == nil)
    }
  }

  private func startReading(_ number: BlockNumber, owner: InodeNumber, _ request: Request, isWalk: Bool) {
    counters.misses += 1
    let block = enter(number, owner: owner)
    request.prepare(.read, at: UInt64(number.rawValue) &* UInt64(blockSize))
    _ = unsafe request.append(block.segment)
    request.owner = UInt64(owner.rawValue)
    let read = MetadataRead(self, block, isWalk: isWalk)
    request.context = read
    queue.submit(request, handler: read)
  }

  private func enterWalk() async {
    if walkersInside < Self.walkerReserve / 2 { walkersInside += 1 } else { await walkerQueue.wait() }
  }
  fileprivate func leaveWalk() {
    if !walkerQueue.wakeOne() { walkersInside -= 1 }
  }

  fileprivate func readEnded(_ block: MetadataBlock, error: DeviceError?, isWalk: Bool) {
    if isWalk { leaveWalk() }
    // Forgotten meanwhile: the read is disowned, its bytes go nowhere.
    guard block.isLive else { return }
    if let error {
      block.readError = .device(error)
      remove(block)
    } else {
      block.isValid = true
      recount(block)
    }
    block.wakeWaiters()
  }

  // MARK: New, dirty and freed blocks

  /// Enters a zeroed block that no tree links yet, pinned.
  func makeFresh(_ number: BlockNumber, owner: InodeNumber, _ ticket: MetadataTicket) -> MetadataBlock {
    precondition(blocks[number] == nil, "a block that is somebody's home was allocated")
    let block = enter(number, owner: owner)
    // Entered unevictable; the pin takes the slot over.
    block.isValid = true
    recount(block)
    ticket.pin(block)
    return block
  }

  /// Marks a block dirty, in the step that changed it. One that was forgotten stays so: that happens to a pinned block
  /// only where a corrupt tree names it twice, and it was freed by its other name.
  func markDirty(_ block: MetadataBlock) {
    guard block.isLive, !block.isDirty else { return }
    precondition(block.isValid, "a block that was not read cannot become dirty")
    block.isDirty = true
    block.dirtiedAt = flushCalls
    dirtyCount += 1
    recount(block)
    writer.noteDirty()
  }

  func clearDirty(_ block: MetadataBlock) {
    guard block.isDirty else { return }
    block.isFailed = false
    block.isDirty = false
    dirtyCount -= 1
  }

  /// Ends the life of a block in the step that frees it: no longer dirty, no longer found.
  func forget(_ number: BlockNumber) {
    guard let block = blocks[number], !switchedOff.contains(.freedIsForgotten) else { return }
    clearDirty(block)
    remove(block)
    block.wakeWaiters()
  }

  private func remove(_ block: MetadataBlock) {
    block.isLive = false
    blocks[block.number] = nil
    recount(block)
    // A pinned block's slot goes back to its ticket.
    if block.pinCount == 0 { grantTickets() }
  }

  /// Keeps a block in memory for good, outside the slots.
  func makeResident(_ block: MetadataBlock) {
    block.isResident = true
    residentCount += 1
    recount(block)
  }

  /// Blocks that are dirty or under writeback and match, in ascending order.
  func unwritten(where matches: (MetadataBlock) -> Bool) -> [MetadataBlock] {
    blocks.values.filter { ($0.isDirty || $0.isUnderWriteback) && matches($0) }.sorted { $0.number < $1.number }
  }
}

/// The read of one block, until the device lets go of its memory.
private final class MetadataRead: RequestHandler {
  private let cache: MetadataCache
  private let block: MetadataBlock
  /// Whether it has one of the slots for walks.
  private var isWalk: Bool
  init(_ cache: MetadataCache, _ block: MetadataBlock, isWalk: Bool) {
    self.cache = cache
    self.block = block
    self.isWalk = isWalk
  }
  func requestCompleted(_ request: Request) { cache.readEnded(block, error: request.error, isWalk: isWalk) }
  func requestTimedOut(_ request: Request) {
    // The block is given up, with its slot: whoever waits fails, and whoever wants it next reads it anew.
    cache.readEnded(block, error: .timedOut(.read, offset: request.offset), isWalk: isWalk)
    isWalk = false
  }
}
