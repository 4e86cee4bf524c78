// The block tree of one inode: 12 direct pointers, then trees of one, two and three levels of pointer blocks.
//
//   i_block:  0 … 11 direct │ 12 indirect │ 13 double indirect │ 14 triple indirect
//
// It changes under the inode's write lock, in steps that move the block sequence. Readers and writeback walk it without
// the lock.
internal import BlockDevice
internal import Ext2Format
internal import PageCache
internal import Reactor

final class BlockTree: BlockMapper {
  let inode: InodeNumber
  /// Its data has its home in the metadata cache: a directory's, or a symbolic link's.
  let holdsMetadata: Bool
  let groups: GroupTable
  let metadata: MetadataCache
  let allocator: BlockAllocator
  /// The inode's own pointers.
  var pointers: [15 of UInt32]
  /// What the inode's blocks take, in units of 512 bytes: `i_blocks`.
  var sectorCount: UInt32
  private(set) var blockSequence: UInt64 = 0
  private(set) var freeSequence: UInt64 = 0
  /// Where the file last grew: the next block is wanted right after it.
  var lastLinked: (index: UInt64, block: BlockNumber)?

  init(
    inode: InodeNumber, holdsMetadata: Bool, pointers: [15 of UInt32], sectorCount: UInt32, groups: GroupTable,
    metadata: MetadataCache, allocator: BlockAllocator
  ) {
    self.inode = inode
    self.holdsMetadata = holdsMetadata
    self.pointers = pointers
    self.sectorCount = sectorCount
    self.groups = groups
    self.metadata = metadata
    self.allocator = allocator
  }

  /// Whose window new blocks come from: only regular files have one (fs/ext2/balloc.c).
  var windowOwner: InodeNumber { holdsMetadata ? .none : inode }
  var blockSizeLog2: Int { groups.layout.blockSizeLog2 }
  var pointersPerBlock: Int { groups.layout.blockSize / 4 }
  var sectorsPerBlock: UInt32 { UInt32(groups.layout.blockSize / 512) }

  /// A block of the tree was linked, in this step.
  func noteAllocation() { blockSequence &+= 1 }
  /// A block of the tree was freed, in this step.
  func noteFree() {
    blockSequence &+= 1
    freeSequence &+= 1
  }

  // MARK: BlockMapper

  func lookUp(_ index: PageIndex, limit: Int) async throws(PageCacheError) -> Mapping {
    guard let path = BlockPath(fileBlock: index.rawValue, blockSizeLog2: blockSizeLog2) else { return .hole(count: 1) }
    do {
      let end = try await walk(path, nil)
      return try mapping(at: end, path, limit: limit)
    } catch {
      throw error.forPageCache
    }
  }

  func lookUpCached(_ index: PageIndex, limit: Int) -> Mapping? {
    guard let path = BlockPath(fileBlock: index.rawValue, blockSizeLog2: blockSizeLog2) else { return .hole(count: 1) }
    var level = 1
    var slot = Slot.inode(path.offsets[0])
    while level < path.depth {
      let block = pointer(in: slot)
      if block == .none { return hole(path, missingLevel: level, limit: limit) }
      guard let next = metadata.cached(block) else { return nil }
      slot = .block(next, path.offsets[level])
      level += 1
    }
    return try? mapping(at: WalkEnd(slot: slot, missingLevel: nil), path, limit: limit)
  }

  /// What the pointers from the end of a walk on say, in one step.
  private func mapping(at end: WalkEnd, _ path: BlockPath, limit: Int) throws(Ext2Error) -> Mapping {
    if let level = end.missingLevel { return hole(path, missingLevel: level, limit: limit) }
    let limit = min(limit, path.countToLeafEnd)
    let first = pointer(in: end.slot)
    if !metadata.switchedOff.contains(.pointersAreChecked) { try check(first, in: end.slot) }
    var count = runLength(from: end.slot, limit: limit)
    if first == .none { return .hole(count: count) }
    if count > 1, !groups.map.isOwnable(first, count: count) { count = 1 }
    return .mapped(DiskBlock(UInt64(first.rawValue)), count: count)
  }

  /// What hangs on an empty slot is a hole, however large.
  private func hole(_ path: BlockPath, missingLevel: Int, limit: Int) -> Mapping {
    let count = path.countBelow(level: missingLevel, blockSizeLog2: blockSizeLog2)
    return .hole(count: min(limit, Int(clamping: count)))
  }

  // MARK: Pointers

  /// Where a pointer lies: in the inode, or in a pointer block.
  enum Slot {
    case inode(Int)
    case block(MetadataBlock, Int)

    func advanced(by count: Int) -> Slot {
      switch self {
      case .inode(let index): .inode(index + count)
      case .block(let block, let index): .block(block, index + count)
      }
    }
  }

  func pointer(in slot: Slot) -> BlockNumber {
    switch slot {
    case .inode(let index): BlockNumber(rawValue: pointers[index])
    case .block(let block, let index): block.pointer(index)
    }
  }

  /// How many slots from `slot` on are as the first: empty, or naming contiguous blocks. At least 1, at most `limit`.
  func runLength(from slot: Slot, limit: Int) -> Int {
    let first = pointer(in: slot).rawValue
    func isNext(_ target: UInt32, _ count: Int) -> Bool { target == (first == 0 ? 0 : first &+ UInt32(count)) }
    var count = 1
    switch slot {
    case .inode(let index): while count < limit, isNext(pointers[index + count], count) { count += 1 }
    case .block(let block, let index):
      block.withBytes { bytes in
        while count < limit, isNext(bytes.integer(at: (index + count) * 4, as: UInt32.self), count) { count += 1 }
      }
    }
    return count
  }

  /// Changes a pointer and marks its block dirty. The inode's own pointers are written by whoever encodes the inode in
  /// this same step.
  func setPointer(in slot: Slot, to target: BlockNumber) { setPointers(from: slot, to: target, count: 1) }

  /// As `setPointer`, for contiguous slots that come to name contiguous blocks, or, with `.none`, one empty slot.
  func setPointers(from slot: Slot, to target: BlockNumber, count: Int) {
    switch slot {
    case .inode(let index):
      for step in 0..<count { pointers[index + step] = target.rawValue + UInt32(step) }
    case .block(let block, let index):
      block.withMutableBytes { bytes in
        for step in 0..<count { bytes.store(target.rawValue + UInt32(step), at: (index + step) * 4) }
      }
      metadata.markDirty(block)
    }
  }

  /// A pointer may be zero or name a block that files may own.
  func check(_ target: BlockNumber, in slot: Slot) throws(Ext2Error) {
    do throws(FormatError) {
      switch slot {
      case .inode(let index):
        try groups.map.checkPointer(target, at: .inode(inode), field: "i_block[\(index)]")
      case .block(let block, let index):
        try groups.map.checkPointer(
          target, at: .blockByte(block.number, offset: index * 4), field: "pointer \(index) of inode \(inode)")
      }
    } catch { throw Ext2Error(error) }
  }
}
