// Inodes in memory, and their table on the disk.
//
// An inode stays in memory while it is referenced, has dirty pages, a write in flight, an access time that is not written,
// or an error nobody has seen; besides, the `VolumeOptions.idleInodeLimit` that were used last stay.
internal import BlockDevice
internal import DequeModule
internal import Ext2Format
internal import PageCache
internal import Reactor

final class InodeTable {
  let reactor: Reactor
  let groups: GroupTable
  let metadata: MetadataCache
  let allocator: BlockAllocator
  let inodeAllocator: InodeAllocator
  let cache: PageCache
  let switchedOff: SwitchedOffRules
  let nameIndexes: NameIndexPool
  private let idleLimit: Int
  private var inodes: [InodeNumber: Inode] = [:]
  private var idle = Deque<Inode>()
  /// Releases until the list is looked at again.
  private var trimPause = 0
  private static let trimPauseCount = 32
  /// Takes unlinked inodes that nobody references any more; set by the volume.
  var onUnreferenced: ((Inode) -> Void)?
  /// Told of each subtree that could not be read while it was freed; set by the volume.
  var onLostBlocks: ((Ext2Error) -> Void)?

  init(
    reactor: Reactor, groups: GroupTable, metadata: MetadataCache, allocator: BlockAllocator, cache: PageCache,
    options: VolumeOptions
  ) {
    self.reactor = reactor
    self.groups = groups
    self.metadata = metadata
    self.allocator = allocator
    self.cache = cache
    switchedOff = options.cache.switchedOff
    idleLimit = options.idleInodeLimit
    nameIndexes = NameIndexPool(byteLimit: options.nameIndexByteLimit, seed: options.seed)
    inodeAllocator = InodeAllocator(groups: groups, metadata: metadata, seed: options.seed)
  }

  /// The time for the disk.
  var now: Timestamp {
    let time = reactor.calendarTime
    return Timestamp(seconds: time.seconds, nanoseconds: time.nanoseconds)
  }

  /// Inodes in memory, by number.
  var all: [Inode] { inodes.values.sorted { $0.number < $1.number } }
  func cached(_ number: InodeNumber) -> Inode? { inodes[number] }

  /// Whether a file without a name is still open, or being freed.
  var hasOrphans: Bool { inodes.values.contains { $0.record.linkCount == 0 && $0.isLive } }

  // MARK: References

  /// The inode, if it or its place in the table is in memory, with a reference for the caller; nil otherwise, and where
  /// something is wrong with it.
  func acquireNow(_ number: InodeNumber) -> Inode? {
    if let inode = inodes[number] { return reference(inode) }
    guard groups.layout.contains(number), number == .root || number >= groups.layout.firstInode else { return nil }
    let (block, offset) = location(of: number)
    guard let table = metadata.cached(block), let inode = try? decode(number, from: table, at: offset) else {
      return nil
    }
    inodes[number] = inode
    return reference(inode)
  }

  /// The inode, read if need be, with a reference for the caller.
  func acquire(_ number: InodeNumber, _ ticket: MetadataTicket) async throws(Ext2Error) -> Inode {
    try await acquireWithTable(number, ticket).inode
  }

  /// As `acquire`; also the block of the table that was pinned for it, if one was.
  func acquireWithTable(
    _ number: InodeNumber, _ ticket: MetadataTicket
  ) async throws(Ext2Error) -> (inode: Inode, table: MetadataBlock?) {
    if let inode = inodes[number] { return (reference(inode), nil) }
    guard groups.layout.contains(number), number == .root || number >= groups.layout.firstInode else {
      throw Ext2Error(
        FormatError.invalid(
          .inode, at: .inode(number), field: "number", value: UInt64(number.rawValue), why: "no inode of a file"))
    }
    let (block, offset) = location(of: number)
    guard let table = try await metadata.load(block, owner: .none, ticket) else { throw .closed }
    // Somebody else may have read it meanwhile.
    if let inode = inodes[number] { return (reference(inode), table) }
    let inode = try decode(number, from: table, at: offset)
    inodes[number] = inode
    return (reference(inode), table)
  }

  private func decode(_ number: InodeNumber, from table: MetadataBlock, at offset: Int) throws(Ext2Error) -> Inode {
    do throws(FormatError) {
      let record = try table.withBytes { bytes throws(FormatError) in
        try InodeRecord(decoding: bytes, at: offset, inodeSize: groups.layout.inodeSize)
      }
      guard !record.isUnused else {
        throw FormatError.invalid(
          .inode, at: .inode(number), field: "i_links_count", value: UInt64(record.linkCount),
          why: "the inode is not in use, but something refers to it")
      }
      try record.validate(number, layout: groups.layout)
      // A directory has no holes, so one larger than the volume would only be walked in circles.
      guard
        record.mode.type != .directory || record.size >> UInt64(groups.layout.blockSizeLog2) <= groups.layout.blockCount
      else {
        throw FormatError.invalid(
          .inode, at: .inode(number), field: "i_size", value: record.size, why: "a directory larger than the volume")
      }
      let inode = Inode(number, record, self)
      // It may have left memory with changes that are not on the disk yet, and its next fdatasync has to wait for them.
      if metadata.unwrittenCount > 0 && !switchedOff.contains(.readAgainIsUnsynced) { inode.noteShapeChange() }
      return inode
    } catch { throw Ext2Error(error) }
  }

  /// Enters an inode that was just made, with a reference for the caller.
  func enter(_ inode: Inode) -> Inode {
    inodes[inode.number] = inode
    return reference(inode)
  }

  func reference(_ inode: Inode) -> Inode {
    inode.referenceCount += 1
    return inode
  }

  /// Gives a reference back. An inode without links is handed to the evictor, by nobody else.
  func release(_ inode: Inode) {
    inode.referenceCount -= 1
    guard inode.referenceCount == 0 else { return }
    if inode.record.linkCount == 0 && inode.isLive, let onUnreferenced {
      onUnreferenced(inode)
    } else {
      appendIdle(inode)
      trimIdle()
    }
  }

  /// It may be there since an earlier time: a file that is opened again and again must not fill the list.
  private func appendIdle(_ inode: Inode) {
    if inode.isListedIdle {
      inode.isUsedAgain = true
      return
    }
    inode.isListedIdle = true
    inode.isUsedAgain = false
    idle.append(inode)
  }

  private func trimIdle() {
    // Where nobody could leave, as while thousands of files are dirty, it looks again only some time later.
    if trimPause > 0 {
      trimPause -= 1
      return
    }
    var visits = min(4, idle.count - idleLimit)
    var removed = false
    while visits > 0, let inode = idle.popFirst() {
      visits -= 1
      inode.isListedIdle = false
      guard inodes[inode.number] === inode, inode.referenceCount == 0 else { continue }
      // The evictor has it.
      if inode.record.linkCount == 0 && inode.isLive { continue }
      if inode.isUsedAgain || inode.space.isBusy || inode.space.errors.hasUnseen || inode.hasUnwrittenAccessTime {
        appendIdle(inode)
      } else {
        remove(inode)
        removed = true
      }
      if visits == 0 && !removed { trimPause = Self.trimPauseCount }
    }
  }

  /// Takes an inode out of memory.
  func remove(_ inode: Inode) {
    if inodes[inode.number] === inode { inodes[inode.number] = nil }
    nameIndexes.drop(inode)
    allocator.dropWindow(of: inode.number)
  }

  // MARK: The table

  func location(of number: InodeNumber) -> (block: BlockNumber, byteOffset: Int) {
    groups.layout.location(of: number, descriptor: groups[groups.layout.group(of: number)])
  }

  /// The block of the table that holds an inode, pinned: before the step that encodes it.
  func pinTable(of number: InodeNumber, _ ticket: MetadataTicket) async throws(Ext2Error) -> MetadataBlock {
    if let block = metadata.pinNow(location(of: number).block, ticket) { return block }
    guard let block = try await metadata.load(location(of: number).block, owner: .none, ticket) else { throw .closed }
    return block
  }

  /// As `pinTable`, for an inode whose bit was just taken: when no other inode of the block is in use, nothing in it is
  /// worth reading (fs/ext4/inode.c, __ext4_get_inode_loc).
  func pinTableOfNew(_ number: InodeNumber, _ ticket: MetadataTicket) async throws(Ext2Error) -> MetadataBlock {
    let block = location(of: number).block
    let group = groups.layout.group(of: number)
    guard !metadata.holds(block), let bitmap = metadata.cached(groups[group].inodeBitmap) else {
      return try await pinTable(of: number, ticket)
    }
    let count = groups.layout.inodesPerBlock
    let index = groups.layout.indexInGroup(of: number)
    let first = index / count * count
    let isAlone = bitmap.withBytes { bytes in
      (first..<min(first + count, Int(groups.layout.inodesPerGroup))).allSatisfy {
        $0 == index || !Bitmap.isSet($0, in: bytes)
      }
    }
    guard isAlone else { return try await pinTable(of: number, ticket) }
    return metadata.makeFresh(block, owner: .none, ticket)
  }

  /// Writes the inode's record into its place, in one step that checks that it is live.
  func encode(_ inode: Inode, into table: MetadataBlock, isNew: Bool = false) {
    guard inode.isLive || switchedOff.contains(.encodingChecksLife) else { return }
    let (block, offset) = location(of: inode.number)
    precondition(table.number == block, "another inode's table block")
    var record = inode.record
    record.block = inode.tree.pointers
    record.sectorCount = inode.tree.sectorCount
    if record.mode.type == .regular { record.size = inode.space.fileByteCount }
    inode.record = record
    let inodeSize = groups.layout.inodeSize
    table.withMutableBytes { bytes in
      record.encode(
        into: &bytes, at: offset, inodeSize: inodeSize,
        isNew: isNew && !switchedOff.contains(.newInodeIsCleared))
    }
    metadata.markDirty(table)
    inode.hasUnwrittenAccessTime = false
  }
}
