// The parts of a mounted volume, wired together. Confined to the volume's reactor.
internal import BlockDevice
internal import DequeModule
internal import Ext2Format
internal import Logging
internal import PageCache
internal import Reactor

final class VolumeCore {
  let reactor: Reactor
  let queue: RequestQueue
  let options: VolumeOptions
  let groups: GroupTable
  let metadata: MetadataCache
  let pendingFrees: PendingFrees
  let allocator: BlockAllocator
  let cache: PageCache
  let inodes: InodeTable
  let attributes: AttributeStore
  let gate: Gate
  /// Every call on the volume is inside, readers too; unmount closes it for good.
  let calls: Gate
  let flushes: FlushGroup
  let evictor: Evictor
  let accessTimes: AccessTimes
  /// One rename at a time.
  let renames: AsyncLock
  /// Errors of what files share, and failed flushes: every fsync consults it.
  var errors = ErrorSequence()
  var isReadOnly: Bool
  /// What made it read-only while it was mounted for writing: metadata is not written any more.
  var corruption: Ext2Error? { metadata.refusal }
  /// Who may take reserved blocks, besides the superuser.
  let reservedUser: UInt32
  let reservedGroup: UInt32
  /// With errors=abort, after corruption: every call fails.
  private(set) var isAborted = false
  /// What happens on corruption.
  var errorPolicy: ErrorPolicy {
    if let policy = options.onErrors { return policy }
    switch groups.superblock.errorBehaviour {
    case .continue: return .continue
    case .remountReadOnly: return .remountReadOnly
    case .panic: return .abort
    }
  }
  /// Whether the superblock on the disk may say *clean*: then nothing may change.
  var mayBeMarkedClean = false
  /// Whether the volume was clean and without errors when it was mounted.
  let wasClean: Bool
  private(set) var generations: SeededGenerator

  init(
    queue: RequestQueue, options: VolumeOptions, superblock: Superblock, layout: VolumeLayout,
    descriptors: [GroupDescriptor], metadata: MetadataCache, isReadOnly: Bool
  ) throws(Ext2Error) {
    reactor = queue.reactor
    self.queue = queue
    self.options = options
    self.metadata = metadata
    self.isReadOnly = isReadOnly
    do {
      groups = try GroupTable(
        superblock: superblock, layout: layout, descriptors: descriptors,
        superblockByteOffset: options.superblockLocation * 1024)
    } catch { throw Ext2Error(error) }
    reservedUser = options.reservedUser ?? UInt32(superblock.reservedUser)
    reservedGroup = options.reservedGroup ?? UInt32(superblock.reservedGroup)
    let switchedOff = options.cache.switchedOff
    pendingFrees = PendingFrees(
      groups: groups, metadata: metadata, frees: options.frees, discards: options.discards, switchedOff: switchedOff)
    allocator = BlockAllocator(
      groups: groups, metadata: metadata, pendingFrees: pendingFrees, policy: options.allocation,
      usesWindows: options.usesReservationWindows)
    cache = PageCache(
      reactor: reactor, queue: queue, pageByteCount: layout.blockSize, configuration: options.cache)
    inodes = InodeTable(
      reactor: reactor, groups: groups, metadata: metadata, allocator: allocator, cache: cache, options: options)
    attributes = AttributeStore(inodes, options)
    gate = Gate(reactor, switchedOff: switchedOff)
    // Unmount waits for calls whatever freeze does.
    calls = Gate(reactor, switchedOff: [])
    flushes = FlushGroup(queue, cache.durability, switchedOff: switchedOff)
    evictor = Evictor(inodes, attributes, gate)
    accessTimes = AccessTimes(inodes, gate, options.accessTimes, options.logger)
    renames = AsyncLock(reactor, "another rename")
    wasClean = superblock.state.contains(.valid) && !superblock.state.contains(.error)
    generations = SeededGenerator(seed: options.seed)
    wire()
  }

  private func wire() {
    metadata.kindOfShared = { [unowned self] in groups.kind(of: $0) }
    // Weak: a write past its deadline may fail when the volume is no more.
    metadata.onError = { [weak self] owner, error in
      guard let self else { return }
      if owner != .none, let inode = inodes.cached(owner) {
        inode.space.errors.record(error.forPageCache)
      } else {
        errors.record(error.forPageCache)
      }
    }
    flushes.onError = { [unowned self] error in errors.record(.device(error)) }
    pendingFrees.onCorruption = { [unowned self] error in noteCorruption(error) }
    pendingFrees.commit = { [unowned self] in await commit() }
    let switchedOff = options.cache.switchedOff
    inodes.onLostBlocks = { [unowned self] error in
      options.logger.error("blocks are lost until a check: \(error)")
      groups.superblock.state.insert(.error)
    }
    inodes.onUnreferenced = { [unowned self] inode in
      if isReadOnly { return }
      evictor.add(inode)
      if switchedOff.contains(.evictorFrees) { evictor.evictInline() }
    }
  }

  func nextGeneration() -> UInt32 { UInt32(truncatingIfNeeded: generations.next()) }

  /// Corruption found while running: it is marked in the superblock, and with errors=remount-ro nothing changes any more
  /// (fs/ext2/super.c, ext2_error).
  func noteCorruption(_ error: FormatError) {
    options.logger.error("\(error)")
    if isReadOnly {
      if errorPolicy == .abort { isAborted = true }
      return
    }
    groups.superblock.state.insert(.error)
    guard errorPolicy != .continue else { return }
    isReadOnly = true
    isAborted = errorPolicy == .abort
    if options.cache.switchedOff.contains(.corruptionStopsWrites) { return }
    metadata.refuseWrites(because: Ext2Error(error))
  }

  /// What stays unwritten for good because of corruption; nil when nothing does.
  var dropped: DroppedChanges? {
    guard case .corrupt(let corruption) = corruption else { return nil }
    let blocks = metadata.unwritten { $0.isDirty }.map { UInt64($0.number.rawValue) }
    let pages = inodes.all.filter { $0.space.dirtyCount > 0 }.map {
      (inode: $0.number.rawValue, count: $0.space.dirtyCount)
    }
    if blocks.isEmpty && pages.isEmpty { return nil }
    return DroppedChanges(metadataBlocks: blocks, pages: pages, corruption: corruption)
  }

  // MARK: Making things durable

  /// Writes all metadata and flushes the device, after `writeData` has written all data. Goes on past errors and returns
  /// the first.
  func sync(afterData writeData: () async -> Ext2Error?) async -> Ext2Error? {
    let shapes = inodes.all.map { (inode: $0, changes: $0.shapeChanges) }
    var firstError = await writeData()
    // Where its flush fails, what was written before it may be lost, whatever a later one says.
    if options.frees == .ordered && !pendingFrees.isEmpty, let error = await commit() {
      firstError = firstError ?? error
    }
    if let error = await pendingFrees.drain() { firstError = firstError ?? error }
    groups.encode(into: metadata)
    if let error = await metadata.writeAll() { firstError = firstError ?? error }
    if !options.cache.switchedOff.contains(.syncFlushes) {
      do { try await flushes.flush() } catch { firstError = firstError ?? error }
    }
    if firstError == nil {
      let isCountedNow = options.cache.switchedOff.contains(.syncCountsFirst)
      for shape in shapes {
        shape.inode.noteDurableShape(isCountedNow ? shape.inode.shapeChanges : shape.changes)
      }
    }
    return firstError
  }

  /// Makes the metadata durable as it is now: blocks that were freed before may be used again then.
  private func commit() async -> Ext2Error? {
    let number = pendingFrees.beginCommit()
    groups.encode(into: metadata)
    if let error = await metadata.writeAll() { return error }
    do { try await flushes.flush() } catch { return error }
    pendingFrees.endCommit(number)
    return nil
  }

  /// Makes one file durable: its pages, its pointer blocks, its attributes, its place in the inode table, then a flush. With `dataOnly`
  /// the inode is left out unless its size or its blocks changed.
  func synchronise(_ inode: Inode, dataOnly: Bool) async -> Ext2Error? {
    var firstError: Ext2Error?
    let shape = inode.shapeChanges
    if let error = await cache.writeback.writeAll(of: inode.space) { firstError = Ext2Error(error) }
    let number = inode.number
    let table = inodes.location(of: number).block, superblock = groups.superblockBlock
    // It belongs to nobody in particular, because inodes share it.
    let attributes = inode.record.attributeBlock
    let switchedOff = options.cache.switchedOff
    let needsInode = !dataOnly || inode.hasUnsyncedShape && !switchedOff.contains(.fdatasyncWritesShape)
    if needsInode {
      if let error = await metadata.writeAll(where: {
        $0.owner == number && !switchedOff.contains(.fsyncWritesOwnBlocks)
          || $0.number == table && !switchedOff.contains(.fsyncWritesInode) || $0.number == superblock
          || $0.number == attributes && !switchedOff.contains(.fsyncWritesAttributes)
      }) {
        firstError = firstError ?? error
      }
    }
    if !switchedOff.contains(.fsyncFlushes) {
      do { try await flushes.flush() } catch { firstError = firstError ?? error }
    }
    if firstError == nil && needsInode {
      inode.noteDurableShape(switchedOff.contains(.fsyncCountsFirst) ? inode.shapeChanges : shape)
    }
    return firstError
  }
}
