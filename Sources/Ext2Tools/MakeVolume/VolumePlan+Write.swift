internal import Ext2Format

// Writing a new volume: first what was there goes, then groups, then files, and the primary superblock last, so that a
// volume that was not finished is not taken for one.
//
// Memory: one copy of the descriptor table without `meta_bg` (at most 6 MiB), two blocks, and pieces of 1 MiB of zeros.
extension VolumePlan {
  /// Writes the volume.
  ///
  /// - Parameters:
  ///   - bytes: at least as many as the volume has; beyond its end only what is given back whole is touched.
  ///   - isZeroed: all bytes are known to be zero, as in a new file: nothing needs to be wiped.
  ///   - writesTables: zeros are written to inode tables, so that they take their room now; else they stay sparse where
  ///     that is possible.
  ///   - progress: called before each group with how many are done; false stops with `stopped`.
  /// - Throws: `bytes` or `stopped`.
  public func write(
    to bytes: some VolumeBytes, isZeroed: Bool = false, writesTables: Bool = false,
    progress: (_ groupsDone: UInt32) -> Bool = { _ in true }
  ) throws(MakeError) {
    var isZeroed = isZeroed
    if !isZeroed { isZeroed = try transfer { () throws(VolumeBytesError) in try bytes.discardAll() } }
    if !isZeroed { try wipe(bytes) }
    let table = firstMetaGroup == 0 ? [] : descriptors(layout.group(0), count: Int(layout.groupCount))
    for group in layout.groups {
      guard progress(group.rawValue) else { throw .stopped }
      try writeGroup(group, table, bytes)
      let start = descriptor(of: group).inodeTable.byteOffset(blockSizeLog2: layout.blockSizeLog2)
      let count = UInt64(layout.inodeTableBlocksPerGroup) << UInt64(layout.blockSizeLog2)
      if writesTables {
        try transfer { () throws(VolumeBytesError) in try bytes.writeZeros(at: start, byteCount: count) }
      } else if !isZeroed {
        try transfer { () throws(VolumeBytesError) in try bytes.zero(at: start, byteCount: count) }
      }
    }
    try writeContents(bytes)
    try write(superblock(in: layout.group(0)), at: UInt64(Superblock.primaryByteOffset), bytes)
  }

  /// Descriptor blocks from this one on lie in their own groups: none, or with `meta_bg` all.
  private var firstMetaGroup: Int { layout.firstMetaBlockGroup }

  /// Clears what would be taken for another file system: the first and the last 64 KiB (misc/mke2fs.c, main).
  private func wipe(_ bytes: some VolumeBytes) throws(MakeError) {
    let count = min(65536, layout.byteCount)
    try transfer { () throws(VolumeBytesError) in
      try bytes.zero(at: 0, byteCount: count)
      try bytes.zero(at: layout.byteCount - count, byteCount: count)
    }
  }

  /// Writes the superblock's copy, the descriptors and the bitmaps of a group, all but the primary superblock.
  private func writeGroup(
    _ group: GroupNumber, _ table: [UInt8], _ bytes: some VolumeBytes
  ) throws(MakeError) {
    if layout.hasSuperblockBackup(group), let offset = layout.superblockByteOffset(group) {
      try write(superblock(in: group), at: offset, bytes)
    }
    let held = layout.descriptorBlocks(in: group)
    if !held.isEmpty {
      var descriptors = table
      if firstMetaGroup == 0 {
        let first = layout.group(layout.descriptorPosition(of: group).index * layout.descriptorsPerBlock)
        descriptors = self.descriptors(first, count: layout.descriptorsPerBlock)
      }
      try write(descriptors, at: held.lowerBound.byteOffset(blockSizeLog2: layout.blockSizeLog2), bytes)
    }
    // The bitmaps are neighbours.
    let bitmaps = descriptor(of: group).blockBitmap.byteOffset(blockSizeLog2: layout.blockSizeLog2)
    try write(self.bitmaps(of: group), at: bitmaps, bytes)
  }

  /// Superblock copies tell their group, and are not clean: who repairs from one should look at the volume
  /// (lib/ext2fs/closefs.c, write_backup_super and ext2fs_flush2).
  private func superblock(in group: GroupNumber) -> [UInt8] {
    guard group.rawValue > 0 else { return superblock.bytes }
    var copy = superblock
    copy.blockGroup = UInt16(clamping: group.rawValue)
    copy.state.remove(.valid)
    return copy.bytes
  }

  /// The descriptors of `count` groups from `first` on, or of as many as there are, in whole blocks.
  private func descriptors(_ first: GroupNumber, count: Int) -> [UInt8] {
    let count = min(count, Int(layout.groupCount - first.rawValue))
    let blocks = (count + layout.descriptorsPerBlock - 1) / layout.descriptorsPerBlock
    var table = [UInt8](repeating: 0, count: blocks * layout.blockSize)
    table.change { table in
      for index in 0..<count {
        let offset = index * GroupDescriptor.byteCount
        descriptor(of: layout.group(Int(first.rawValue) + index)).encode(into: &table, at: offset)
        // bg_flags of ext4, EXT2_BG_INODE_ZEROED: mke2fs says so too where it could give the old bytes back, though only
        // ext4 with checksums looks.
        table.store(UInt16(4), at: offset + 18)
      }
    }
    return table
  }

  /// The block bitmap and the inode bitmap of a group. Bits of no block and no inode are set.
  private func bitmaps(of group: GroupNumber) -> [UInt8] {
    let bits = 8 * layout.blockSize
    var bitmaps = [UInt8](repeating: 0, count: 2 * layout.blockSize)
    bitmaps.change { bitmaps in
      Bitmap.set(0..<usedBlockCount(of: group), in: &bitmaps)
      Bitmap.set(layout.blockCount(of: group)..<bits, in: &bitmaps)
      Bitmap.set(bits..<bits + contents.inodeCount(in: group, layout), in: &bitmaps)
      Bitmap.set(bits + Int(layout.inodesPerGroup)..<2 * bits, in: &bitmaps)
    }
    return bitmaps
  }

  func write(_ source: [UInt8], at offset: UInt64, _ bytes: some VolumeBytes) throws(MakeError) {
    try transfer { () throws(VolumeBytesError) in try bytes.write(unsafe source.span.bytes, at: offset) }
  }

  private func transfer<R>(_ body: () throws(VolumeBytesError) -> R) throws(MakeError) -> R {
    do { return try body() } catch { throw .bytes(error) }
  }
}

extension [UInt8] {
  /// Lends the bytes to who stores into them.
  mutating func change(_ body: (inout MutableRawSpan) -> Void) {
    var elements = mutableSpan
    var bytes = unsafe elements.mutableBytes
    body(&bytes)
  }
}
