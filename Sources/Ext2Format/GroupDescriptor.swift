/// What a block group knows about itself: where its bitmaps and inode table lie and what is free.
///
///     offset size field
///          0    4 bg_block_bitmap
///          4    4 bg_inode_bitmap
///          8    4 bg_inode_table
///         12    2 bg_free_blocks_count
///         14    2 bg_free_inodes_count
///         16    2 bg_used_dirs_count
///         18   14 padding (flags and checksums in ext4)
///
/// Encoding writes the fields above the padding and leaves the padding in place. Source: fs/ext2/ext2.h.
package struct GroupDescriptor: Equatable, Sendable {
  /// Bytes of a descriptor; the 64-byte ones of ext4 come with a feature that is refused.
  package static let byteCount = 32

  /// The block of the block bitmap.
  package var blockBitmap: BlockNumber
  /// The block of the inode bitmap.
  package var inodeBitmap: BlockNumber
  /// The first block of the inode table.
  package var inodeTable: BlockNumber
  /// Clear bits of the block bitmap.
  package var freeBlockCount: UInt16
  /// Clear bits of the inode bitmap.
  package var freeInodeCount: UInt16
  /// Directories among the group's inodes.
  package var usedDirectoryCount: UInt16

  /// A descriptor for a new group.
  package init(
    blockBitmap: BlockNumber, inodeBitmap: BlockNumber, inodeTable: BlockNumber, freeBlockCount: UInt16,
    freeInodeCount: UInt16, usedDirectoryCount: UInt16
  ) {
    self.blockBitmap = blockBitmap
    self.inodeBitmap = inodeBitmap
    self.inodeTable = inodeTable
    self.freeBlockCount = freeBlockCount
    self.freeInodeCount = freeInodeCount
    self.usedDirectoryCount = usedDirectoryCount
  }

  /// Takes the descriptor at a byte offset of a descriptor block. Throws `truncated`; see `validate` for the rest.
  package init(decoding source: RawSpan, at offset: Int = 0) throws(FormatError) {
    guard offset >= 0, offset <= source.byteCount - Self.byteCount else {
      throw .truncated(
        .groupDescriptor, neededBytes: Self.byteCount, availableBytes: max(0, source.byteCount - max(0, offset)))
    }
    blockBitmap = BlockNumber(rawValue: source.integer(at: offset))
    inodeBitmap = BlockNumber(rawValue: source.integer(at: offset + 4))
    inodeTable = BlockNumber(rawValue: source.integer(at: offset + 8))
    freeBlockCount = source.integer(at: offset + 12)
    freeInodeCount = source.integer(at: offset + 14)
    usedDirectoryCount = source.integer(at: offset + 16)
  }

  /// Writes the known fields at a byte offset of a descriptor block; the other bytes stay as they are.
  package func encode(into destination: inout MutableRawSpan, at offset: Int = 0) {
    destination.store(blockBitmap.rawValue, at: offset)
    destination.store(inodeBitmap.rawValue, at: offset + 4)
    destination.store(inodeTable.rawValue, at: offset + 8)
    destination.store(freeBlockCount, at: offset + 12)
    destination.store(freeInodeCount, at: offset + 14)
    destination.store(usedDirectoryCount, at: offset + 16)
  }

  /// Checks that the group's metadata lies inside the group (fs/ext2/super.c, ext2_check_descriptors), that its parts
  /// do not overlap each other or the superblock and descriptors, and that no count exceeds what the group has.
  package func validate(group: GroupNumber, layout: VolumeLayout) throws(FormatError) {
    func check(
      _ condition: Bool, _ field: String, _ value: some BinaryInteger, _ why: String
    ) throws(FormatError) {
      guard condition else {
        throw .invalid(.groupDescriptor, at: .group(group), field: field, value: UInt64(value), why: why)
      }
    }
    let outside = "outside the group, or on its superblock and descriptors"
    let begin = Int(layout.firstBlock(of: group).rawValue)
    let end = begin + layout.blockCount(of: group)
    let free = begin + layout.leadingMetadataCount(of: group)
    let table = Int(inodeTable.rawValue)
    let tableEnd = table + layout.inodeTableBlocksPerGroup
    let blocks = Int(blockBitmap.rawValue)
    let inodes = Int(inodeBitmap.rawValue)

    try check(blocks >= free && blocks < end, "bg_block_bitmap", blocks, outside)
    try check(inodes >= free && inodes < end, "bg_inode_bitmap", inodes, outside)
    try check(table >= free && tableEnd <= end, "bg_inode_table", table, outside)
    try check(blocks != inodes, "bg_inode_bitmap", inodes, "is the block bitmap too")
    try check(blocks < table || blocks >= tableEnd, "bg_block_bitmap", blocks, "inside the inode table")
    try check(inodes < table || inodes >= tableEnd, "bg_inode_bitmap", inodes, "inside the inode table")
    try check(
      Int(freeBlockCount) <= end - begin, "bg_free_blocks_count", freeBlockCount, "more than the group has")
    try check(
      UInt32(freeInodeCount) <= layout.inodesPerGroup, "bg_free_inodes_count", freeInodeCount,
      "more than the group has")
    try check(
      UInt32(usedDirectoryCount) <= layout.inodesPerGroup, "bg_used_dirs_count", usedDirectoryCount,
      "more than the group has inodes")
  }
}
