/// Where everything of a volume lies: computed once from a superblock that passed its checks, and never changed.
///
/// The only way to get one is `Superblock.validate(deviceByteCount:)`, so no operation here can divide by zero or
/// leave its range for a block, group or inode that the volume has.
package struct VolumeLayout: Equatable, Sendable {
  /// Log2 of the block size: 10 to 16.
  package let blockSizeLog2: Int
  /// Blocks of the volume, counted from block zero of the device.
  package let blockCount: UInt32
  /// The first block of group 0.
  package let firstDataBlock: BlockNumber
  /// Blocks of every group but the last.
  package let blocksPerGroup: UInt32
  /// Groups of the volume; at least 1.
  package let groupCount: UInt32
  /// Inodes of every group.
  package let inodesPerGroup: UInt32
  /// Inodes of the volume.
  package let inodeCount: UInt32
  /// Bytes of an inode: a power of two from 128 to the block size.
  package let inodeSize: Int
  /// Blocks of a group's inode table.
  package let inodeTableBlocksPerGroup: Int
  /// The first inode that is not reserved.
  package let firstInode: InodeNumber
  /// Blocks that hold the group descriptors of the whole volume.
  package let descriptorBlockCount: Int
  /// Whether only some groups hold copies of superblock and descriptors.
  package let isSparse: Bool
  /// Descriptor blocks below this one follow the superblock; the others lie in their own groups (`meta_bg`).
  package let firstMetaBlockGroup: Int
  /// Blocks after the descriptors kept for more of them (`resize_inode`); zero with `meta_bg` alone.
  package let reservedDescriptorBlockCount: Int
  /// Whether directory entries tell types.
  package let hasFileTypes: Bool

  /// Bytes of a block: 1024 to 65536.
  package var blockSize: Int { 1 << blockSizeLog2 }
  /// Inodes in one block of an inode table.
  package var inodesPerBlock: Int { blockSize / inodeSize }
  /// Group descriptors in one block.
  package var descriptorsPerBlock: Int { blockSize / GroupDescriptor.byteCount }
  /// The part of the device that the volume covers, in bytes.
  package var byteCount: UInt64 { UInt64(blockCount) << UInt64(blockSizeLog2) }
  /// All groups of the volume, in order.
  package var groups: some RandomAccessCollection<GroupNumber> {
    (0..<groupCount).lazy.map { GroupNumber(rawValue: $0) }
  }

  /// Computes the layout of a superblock whose sizes were checked.
  init(unchecked superblock: Superblock) {
    blockSizeLog2 = 10 + Int(superblock.logBlockSize)
    blockCount = superblock.blockCount
    firstDataBlock = superblock.firstDataBlock
    blocksPerGroup = superblock.blocksPerGroup
    groupCount = (blockCount - firstDataBlock.rawValue - 1) / blocksPerGroup + 1
    inodesPerGroup = superblock.inodesPerGroup
    inodeCount = superblock.inodeCount
    inodeSize = Int(superblock.inodeSize)
    firstInode = superblock.firstInode
    isSparse = superblock.readOnlyCompatible.contains(.sparseSuper)
    hasFileTypes = superblock.incompatible.contains(.fileType)

    let inodesPerBlock = (1 << blockSizeLog2) / inodeSize
    inodeTableBlocksPerGroup = (Int(inodesPerGroup) + inodesPerBlock - 1) / inodesPerBlock
    let descriptorsPerBlock = (1 << blockSizeLog2) / GroupDescriptor.byteCount
    descriptorBlockCount = (Int(groupCount) + descriptorsPerBlock - 1) / descriptorsPerBlock
    let hasMetaGroups = superblock.incompatible.contains(.metaBlockGroups)
    firstMetaBlockGroup = hasMetaGroups ? Int(superblock.firstMetaBlockGroup) : descriptorBlockCount
    // lib/ext2fs/closefs.c, ext2fs_super_and_bgd_loc2: with meta_bg nothing is reserved for growth.
    reservedDescriptorBlockCount =
      superblock.compatible.contains(.resizeInode) && !hasMetaGroups ? Int(superblock.reservedDescriptorBlocks) : 0
  }

  // MARK: Blocks and groups

  /// The group with an index, which the volume must have.
  package func group(_ index: Int) -> GroupNumber {
    precondition(index >= 0 && index < Int(groupCount), "the volume has no such group")
    return GroupNumber(rawValue: UInt32(index))
  }

  /// Whether a block belongs to some group of the volume. Block 0 of a volume with 1 KiB blocks does not.
  @inline(__always)
  package func contains(_ block: BlockNumber) -> Bool { block >= firstDataBlock && block.rawValue < blockCount }

  /// Whether `count` blocks from `first` on belong to groups of the volume. Cannot overflow.
  package func contains(_ first: BlockNumber, count: Int) -> Bool {
    contains(first) && count >= 1 && count <= Int(blockCount - first.rawValue)
  }

  /// The group of a block, which the volume must contain.
  @inline(__always)
  package func group(of block: BlockNumber) -> GroupNumber {
    GroupNumber(rawValue: (block.rawValue - firstDataBlock.rawValue) / blocksPerGroup)
  }

  /// The bit of a block in the block bitmap of its group.
  @inline(__always)
  package func bitIndex(of block: BlockNumber) -> Int {
    Int((block.rawValue - firstDataBlock.rawValue) % blocksPerGroup)
  }

  /// The first block of a group.
  package func firstBlock(of group: GroupNumber) -> BlockNumber {
    BlockNumber(rawValue: firstDataBlock.rawValue + group.rawValue * blocksPerGroup)
  }

  /// Blocks of a group; the last one may be short.
  package func blockCount(of group: GroupNumber) -> Int {
    min(Int(blocksPerGroup), Int(blockCount - firstBlock(of: group).rawValue))
  }

  /// All blocks of a group.
  package func blocks(of group: GroupNumber) -> Range<BlockNumber> {
    let first = firstBlock(of: group)
    return first..<first.advanced(by: blockCount(of: group))
  }

  /// The block behind a bit of a group's block bitmap.
  package func block(in group: GroupNumber, bit: Int) -> BlockNumber {
    precondition(bit >= 0 && bit < blockCount(of: group), "the group has no such block")
    return firstBlock(of: group).advanced(by: bit)
  }

  // MARK: Inodes

  /// Whether the volume has an inode with this number.
  @inline(__always)
  package func contains(_ inode: InodeNumber) -> Bool { inode.rawValue >= 1 && inode.rawValue <= inodeCount }

  /// The group of an inode, which the volume must contain.
  package func group(of inode: InodeNumber) -> GroupNumber {
    GroupNumber(rawValue: (inode.rawValue - 1) / inodesPerGroup)
  }

  /// The bit of an inode in the inode bitmap of its group, which is its index in the table as well.
  package func indexInGroup(of inode: InodeNumber) -> Int { Int((inode.rawValue - 1) % inodesPerGroup) }

  /// The inode behind a bit of a group's inode bitmap.
  package func inode(in group: GroupNumber, bit: Int) -> InodeNumber {
    precondition(group.rawValue < groupCount && bit >= 0 && bit < Int(inodesPerGroup), "the group has no such inode")
    return InodeNumber(rawValue: group.rawValue * inodesPerGroup + UInt32(bit) + 1)
  }

  /// Where an inode lies, given the descriptor of its group.
  ///
  /// - Returns: the block of the inode table and the byte offset of the inode in that block.
  package func location(
    of inode: InodeNumber, descriptor: GroupDescriptor
  ) -> (block: BlockNumber, byteOffset: Int) {
    precondition(contains(inode), "the volume has no such inode")
    let byteOffset = indexInGroup(of: inode) * inodeSize
    return (descriptor.inodeTable.advanced(by: byteOffset >> blockSizeLog2), byteOffset & (blockSize - 1))
  }
}
