// The end of inodes without links.
//
// Whoever drops the last reference only queues the inode: one task enters the gate holding nothing, detaches its pages,
// frees its blocks, writes the deletion time and clears the inode's bit last. Nobody inside the gate waits for it.
internal import DequeModule
internal import Ext2Format
internal import PageCache
internal import Reactor

final class Evictor {
  private let inodes: InodeTable
  private let attributes: AttributeStore
  private let gate: Gate
  private var queue = Deque<Inode>()
  private let work: WaitQueue
  private let ended: WaitQueue
  private var isBusy = false
  private var isStopping = false
  private var isRunning = false
  /// Inodes that could not be freed.
  private var failed: [Inode] = []
  /// Why an inode could not be freed: it stays on the disk, in use and without a name, until a check.
  private(set) var firstError: Ext2Error?

  init(_ inodes: InodeTable, _ attributes: AttributeStore, _ gate: Gate) {
    self.inodes = inodes
    self.attributes = attributes
    self.gate = gate
    work = WaitQueue(inodes.reactor, "an inode to evict")
    ended = WaitQueue(inodes.reactor, "the end of evictions")
  }

  func add(_ inode: Inode) {
    queue.append(inode)
    work.wakeAll()
  }

  /// Evicts queued inodes until `stop`.
  func run() async {
    isRunning = true
    while true {
      if !queue.isEmpty {
        isBusy = true
        await gate.enter()
        await evictNext()
        gate.leave()
        isBusy = false
        if queue.isEmpty { ended.wakeAll() }
      } else if isStopping {
        break
      } else {
        await work.wait()
      }
    }
    isRunning = false
    ended.wakeAll()
  }

  private func evictNext() async {
    guard let inode = queue.popFirst() else { return }
    do throws(Ext2Error) { try await evict(inode) } catch {
      firstError = firstError ?? error
      failed.append(inode)
    }
  }

  /// Evicts all that is queued, for whoever has closed the gate: what nobody has open any more is gone when it is frozen.
  func evictAll() async { while !queue.isEmpty { await evictNext() } }

  /// Tries once more what could not be freed: for unmount, after which only a check could.
  func retryFailed() {
    firstError = nil
    let inodes = failed
    failed = []
    for inode in inodes { add(inode) }
  }

  /// Waits until nothing is queued. Not to be called inside the gate.
  func drain() async {
    while isRunning && (isBusy || !queue.isEmpty) { await ended.wait() }
  }

  func stop() async {
    isStopping = true
    work.wakeAll()
    while isRunning { await ended.wait() }
  }

  private func evict(_ inode: Inode) async throws(Ext2Error) {
    guard inode.isLive, inode.referenceCount == 0, inode.record.linkCount == 0 else { return }
    let ticket = try await inodes.metadata.ticket()
    defer { ticket.end() }
    await inode.lock.lock()
    defer { inode.lock.unlock() }
    let table = try await inodes.pinTable(of: inode.number, ticket)
    let bitmap = try await inodes.inodeAllocator.pinBitmap(of: inode.number, ticket)
    if let refusal = inodes.metadata.refusal { throw refusal }
    inode.space.fileByteCount = 0
    let isDirectory = inode.type == .directory
    let isShortLinkFreed = inode.type == .symbolicLink && inodes.switchedOff.contains(.shortLinkHasNoBlocks)
    if inode.record.hasBlockPointers(blockSize: inode.blockSize) || isShortLinkFreed {
      // A subtree that cannot be read is lost until a check; the inode goes all the same.
      try? await inode.free(0..<UInt64.max, table, ticket)
    }
    inode.space.detach(PageIndex(0)..<PageIndex(UInt64.max))
    // A block of attributes that cannot be made out is lost until a check, too.
    do throws(Ext2Error) { try await attributes.releaseAll(of: inode, ticket) } catch { inodes.onLostBlocks?(error) }
    // The last step: the deletion time, then the bit; from then on the number is anybody's.
    inode.record.deletionTime = UInt32(clamping: inodes.now.seconds)
    inode.record.size = 0
    inodes.encode(inode, into: table)
    inode.isLive = false
    inodes.remove(inode)
    _ = inodes.inodeAllocator.free(inode.number, isDirectory: isDirectory, bitmap)
  }

  /// What the mutant does that lets whoever drops the last reference free the inode: in the middle of whatever step that
  /// was, the number becomes free while the inode's pages may still be written.
  func evictInline() {
    guard let inode = queue.popLast(), let table = inodes.metadata.cached(inodes.location(of: inode.number).block),
      let bitmap = inodes.metadata.cached(inodes.groups[inodes.groups.layout.group(of: inode.number)].inodeBitmap)
    else { return }
    inode.record.deletionTime = UInt32(clamping: inodes.now.seconds)
    inodes.encode(inode, into: table)
    inodes.remove(inode)
    _ = inodes.inodeAllocator.free(inode.number, isDirectory: inode.type == .directory, bitmap)
    queue.append(inode)
  }
}
