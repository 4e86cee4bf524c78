// The checks of a mount: fs/ext2/super.c, ext2_fill_super and ext2_setup_super; what the kernel takes for granted (the
// first data block, the place of the descriptors) is checked as well, as lib/ext2fs/openfs.c does.

extension Superblock {
  /// Throws `unsupportedIncompatible` when the volume uses something without which it cannot be understood.
  ///
  /// Feature words count in revision 0 too: early kernels set bits without raising the revision.
  package func checkMountable() throws(FormatError) {
    let unknown = incompatible.subtracting(.supported)
    guard unknown.isEmpty else { throw .unsupportedIncompatible(unknown) }
  }

  /// Whether the volume may be read but not changed: it has a feature that writers must know and we do not, or a
  /// revision later than 1.
  package var mustBeReadOnly: Bool { !readOnlyCompatible.isSubset(of: .supported) || revision > 1 }

  /// Checks every field that the layout depends on and returns the layout.
  ///
  /// - Parameter deviceByteCount: the size of the device, in bytes; the volume must fit.
  /// - Throws: `invalid` with the first field that does not fit, or `unsupportedIncompatible`, because with unknown
  ///   features the fields may mean something else.
  @discardableResult
  package func validate(deviceByteCount: UInt64) throws(FormatError) -> VolumeLayout {
    try checkMountable()
    try checkSizes()
    let layout = VolumeLayout(unchecked: self)
    try checkCounts(layout, deviceByteCount: deviceByteCount)
    return layout
  }

  private func check(
    _ condition: Bool, _ field: String, _ offset: Int, _ value: some BinaryInteger, _ why: String
  ) throws(FormatError) {
    guard condition else {
      throw .invalid(.superblock, at: .byte(offset), field: field, value: UInt64(value), why: why)
    }
  }

  /// The fields others are divided by or shifted with: after this no arithmetic on the layout can fail.
  private func checkSizes() throws(FormatError) {
    try check(logBlockSize <= 6, "s_log_block_size", 24, logBlockSize, "blocks have 1 to 64 KiB (0 to 6)")
    try check(
      logFragmentSize == logBlockSize, "s_log_frag_size", 28, logFragmentSize, "fragments must be as large as blocks")
    let blockSize = UInt32(1024) << logBlockSize
    let bits = 8 * blockSize

    let size = UInt32(inodeSize)
    try check(
      size >= 128 && size.nonzeroBitCount == 1 && size <= blockSize, "s_inode_size", 88, size,
      "must be a power of two from 128 to the block size")
    let inodesPerBlock = blockSize / size
    try check(inodesPerGroup > 0, "s_inodes_per_group", 40, inodesPerGroup, "a group without inodes")
    try check(
      inodesPerGroup >= inodesPerBlock && inodesPerGroup <= bits && inodesPerGroup <= UInt32(UInt16.max),
      "s_inodes_per_group", 40, inodesPerGroup, "must fill a block and fit one bitmap block and a 16-bit count")

    let first = firstDataBlock.rawValue
    try check(
      first == (logBlockSize == 0 ? 1 : 0), "s_first_data_block", 20, first, "must be 1 for blocks of 1 KiB, else 0")
    let tableBlocks = (inodesPerGroup + inodesPerBlock - 1) / inodesPerBlock
    try check(
      blocksPerGroup <= bits && blocksPerGroup <= UInt32(UInt16.max), "s_blocks_per_group", 32, blocksPerGroup,
      "must fit one bitmap block and a 16-bit count")
    try check(
      blocksPerGroup > tableBlocks + 3, "s_blocks_per_group", 32, blocksPerGroup,
      "a group must hold its inode table, its bitmaps and a superblock")
    try check(blockCount > first, "s_blocks_count", 4, blockCount, "a volume without data blocks")
  }

  private func checkCounts(_ layout: VolumeLayout, deviceByteCount: UInt64) throws(FormatError) {
    try check(
      UInt64(blockCount) <= deviceByteCount >> UInt64(layout.blockSizeLog2), "s_blocks_count", 4, blockCount,
      "the device is smaller than the volume")
    try check(
      UInt64(layout.groupCount) * UInt64(inodesPerGroup) == UInt64(inodeCount), "s_inodes_count", 0, inodeCount,
      "is not groups times inodes per group")
    try check(
      firstInode >= .firstInRevisionZero && firstInode.rawValue <= inodeCount, "s_first_ino", 84,
      firstInode.rawValue, "must be at least 11 and an inode of the volume")
    try check(
      reservedBlockCount <= blockCount, "s_r_blocks_count", 8, reservedBlockCount, "more than the volume has")

    // The sums of the descriptors replace these two, but a number above the total was never right.
    try check(freeBlockCount <= blockCount, "s_free_blocks_count", 12, freeBlockCount, "more than the volume has")
    try check(freeInodeCount <= inodeCount, "s_free_inodes_count", 16, freeInodeCount, "more than the volume has")

    if incompatible.contains(.metaBlockGroups) {
      try check(
        firstMetaBlockGroup <= layout.descriptorBlockCount, "s_first_meta_bg", 260, firstMetaBlockGroup,
        "more than there are descriptor blocks")
    }
    if compatible.contains(.resizeInode) {
      try check(
        Int(reservedDescriptorBlocks) <= layout.blockSize / 4, "s_reserved_gdt_blocks", 206,
        reservedDescriptorBlocks, "more than one indirect block can list")
    }
    // Group 0 has the most metadata, the last group the fewest blocks. Where they hold what they must, no descriptor
    // block or backup lies outside the volume.
    func holdsItsMetadata(_ group: GroupNumber) -> Bool {
      layout.leadingMetadataCount(of: group) + 2 + layout.inodeTableBlocksPerGroup <= layout.blockCount(of: group)
    }
    try check(
      holdsItsMetadata(layout.group(0)), "s_blocks_per_group", 32, blocksPerGroup,
      "group 0 does not hold its own metadata")
    try check(
      holdsItsMetadata(layout.group(Int(layout.groupCount) - 1)), "s_blocks_count", 4, blockCount,
      "the last group does not hold its own metadata")
  }
}
