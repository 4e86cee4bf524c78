// Superblock copies and group descriptors: fs/ext2/balloc.c (ext2_bg_has_super, ext2_bg_num_gdb), fs/ext2/super.c
// (descriptor_loc) and, for meta_bg, lib/ext2fs/closefs.c (ext2fs_super_and_bgd_loc2).
//
//     group with a copy:     | superblock | descriptors … | reserved … | bitmaps, inode table, data …
//     meta_bg, first, second and last group of a meta group:
//                            | (superblock) | the one descriptor block of these groups | …

extension VolumeLayout {
  /// Whether a group begins with a superblock: every group, or with `sparse_super` 0, 1 and the powers of 3, 5, 7.
  package func hasSuperblock(_ group: GroupNumber) -> Bool {
    !isSparse || Self.isSparseBackup(group)
  }

  /// Whether a group begins with a superblock where only some do.
  package static func isSparseBackup(_ group: GroupNumber) -> Bool {
    group.rawValue <= 1 || isPower(group.rawValue, of: 3) || isPower(group.rawValue, of: 5)
      || isPower(group.rawValue, of: 7)
  }

  /// Whether a group holds a copy of the superblock that is not the primary one.
  package func hasSuperblockBackup(_ group: GroupNumber) -> Bool { group.rawValue != 0 && hasSuperblock(group) }

  /// The groups that hold copies of the superblock, without group 0, in ascending order.
  package var backupGroups: [GroupNumber] {
    guard isSparse else { return (1..<max(groupCount, 1)).map { GroupNumber(rawValue: $0) } }
    var found: [UInt32] = groupCount > 1 ? [1] : []
    for base in [UInt64(3), 5, 7] {
      var power = base
      while power < UInt64(groupCount) {
        found.append(UInt32(power))
        power *= base
      }
    }
    return found.sorted().map { GroupNumber(rawValue: $0) }
  }

  /// Where a group's copy of the superblock lies, or nil.
  ///
  /// - Returns: the byte offset on the device. In group 0 that is byte 1024 with any block size; in the others it is
  ///   the first byte of the group.
  package func superblockByteOffset(_ group: GroupNumber) -> UInt64? {
    guard hasSuperblock(group) else { return nil }
    return group.rawValue == 0
      ? UInt64(Superblock.primaryByteOffset) : firstBlock(of: group).byteOffset(blockSizeLog2: blockSizeLog2)
  }

  /// The descriptor block that holds a group's descriptor, and the byte offset of the descriptor in it.
  package func descriptorPosition(of group: GroupNumber) -> (index: Int, byteOffset: Int) {
    let group = Int(group.rawValue)
    return (group / descriptorsPerBlock, group % descriptorsPerBlock * GroupDescriptor.byteCount)
  }

  /// Where the primary copy of a descriptor block lies.
  package func descriptorBlock(_ index: Int) -> BlockNumber {
    precondition(index >= 0 && index < descriptorBlockCount, "the volume has no such descriptor block")
    guard index >= firstMetaBlockGroup else { return firstDataBlock.advanced(by: 1 + index) }
    let first = group(index * descriptorsPerBlock)
    return firstBlock(of: first).advanced(by: hasSuperblock(first) ? 1 : 0)
  }

  /// Where a descriptor block lies for who uses the superblock at a byte offset: after it, but for those of `meta_bg`
  /// (fs/ext2/super.c, descriptor_loc).
  package func descriptorBlock(_ index: Int, superblockByteOffset: UInt64) -> BlockNumber {
    guard index < firstMetaBlockGroup, superblockByteOffset != UInt64(Superblock.primaryByteOffset) else {
      return descriptorBlock(index)
    }
    return BlockNumber(rawValue: UInt32(superblockByteOffset >> UInt64(blockSizeLog2))).advanced(by: 1 + index)
  }

  /// The copies of a descriptor block other than the primary one, in ascending order.
  package func descriptorBackups(_ index: Int) -> [BlockNumber] {
    precondition(index >= 0 && index < descriptorBlockCount, "the volume has no such descriptor block")
    if index < firstMetaBlockGroup {
      return backupGroups.filter { metaGroup(of: $0) < firstMetaBlockGroup }
        .map { firstBlock(of: $0).advanced(by: 1 + index) }
    }
    let first = index * descriptorsPerBlock
    return Set([first + 1, first + descriptorsPerBlock - 1]).sorted()
      .filter { $0 < Int(groupCount) }
      .map { firstBlock(of: group($0)).advanced(by: hasSuperblock(group($0)) ? 1 : 0) }
  }

  /// Which blocks of descriptors, primary or copy, a group holds; empty for most groups.
  package func descriptorBlocks(in group: GroupNumber) -> Range<BlockNumber> {
    let begin = firstBlock(of: group).advanced(by: hasSuperblock(group) ? 1 : 0)
    return begin..<begin.advanced(by: heldDescriptorBlockCount(of: group))
  }

  /// Blocks at the start of a group that belong to the superblock, descriptors and descriptors to come.
  package func leadingMetadataCount(of group: GroupNumber) -> Int {
    guard metaGroup(of: group) < firstMetaBlockGroup else {
      return (hasSuperblock(group) ? 1 : 0) + heldDescriptorBlockCount(of: group)
    }
    return hasSuperblock(group) ? 1 + heldDescriptorBlockCount(of: group) + reservedDescriptorBlockCount : 0
  }

  /// Blocks that are not counted as the volume's size by statfs with `bsddf`: superblocks, descriptors, bitmaps and
  /// inode tables (fs/ext2/super.c, ext2_statfs). Blocks reserved for descriptors to come are not among them.
  ///
  /// Complexity: O(log groups) with `sparse_super` and without `meta_bg`, else O(groups).
  package var overheadBlockCount: UInt64 {
    let groups = UInt64(groupCount)
    var overhead = UInt64(firstDataBlock.rawValue) + groups * UInt64(2 + inodeTableBlocksPerGroup)
    let copies = isSparse ? UInt64(backupGroups.count) + 1 : groups
    if firstMetaBlockGroup >= descriptorBlockCount {
      overhead += copies * UInt64(1 + descriptorBlockCount)
    } else {
      for group in self.groups {
        overhead += (hasSuperblock(group) ? 1 : 0) + UInt64(heldDescriptorBlockCount(of: group))
      }
    }
    return overhead
  }

  /// The index of the descriptor block that describes a group.
  private func metaGroup(of group: GroupNumber) -> Int { Int(group.rawValue) / descriptorsPerBlock }

  private func heldDescriptorBlockCount(of group: GroupNumber) -> Int {
    if metaGroup(of: group) < firstMetaBlockGroup { return hasSuperblock(group) ? firstMetaBlockGroup : 0 }
    let position = Int(group.rawValue) % descriptorsPerBlock
    return position <= 1 || position == descriptorsPerBlock - 1 ? 1 : 0
  }

  private static func isPower(_ number: UInt32, of base: UInt32) -> Bool {
    var rest = number
    while rest % base == 0 { rest /= base }
    return rest == 1
  }
}
