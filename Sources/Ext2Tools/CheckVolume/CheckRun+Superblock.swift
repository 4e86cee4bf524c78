// What comes before the first pass: the superblock, the descriptors, and what the volume keeps for growing (e2fsck/super.c,
// check_super_block and check_resize_inode).
internal import Ext2Format

extension CheckRun {
  /// Checks the superblock against the device and the descriptors. Returns whether the passes can go on: not where it is
  /// unknown where bitmaps and inodes are.
  mutating func checkSuperblock() -> Bool {
    let deviceBlocks = reader.byteCount >> UInt64(geometry.blockSizeLog2)
    if deviceBlocks < UInt64(geometry.blockCount) {
      add(
        CheckFinding(
          .volumeExceedsDevice, field: "s_blocks_count", found: UInt64(geometry.blockCount), expected: deviceBlocks))
    }
    guard layout.places.count == Int(geometry.groupCount) else {
      add(CheckFinding(.metadataUnreadable, group: UInt32(layout.places.count), field: "group descriptors"))
      return false
    }
    var canGoOn = true
    for group in 0..<geometry.groupCount {
      let place = layout.places[Int(group)]
      if let (field, value) = misplaced(group) {
        add(CheckFinding(.metadataMisplaced, group: group, block: value, field: field))
        canGoOn = false
      }
      if place.flags & 3 != 0 || place.unusedInodes != 0 {
        let isFlag = place.flags & 3 != 0
        add(
          CheckFinding(
            .groupFlags, group: group, field: isFlag ? "bg_flags" : "bg_itable_unused",
            found: UInt64(isFlag ? place.flags : place.unusedInodes), expected: 0))
      }
    }
    guard canGoOn else { return false }
    checkExtraSizes()
    checkSystemInodes()
    checkResizeInode()
    checkJournal()
    if geometry.lastOrphan != 0 { add(CheckFinding(.orphanList, inode: geometry.lastOrphan)) }
    return true
  }

  private mutating func checkExtraSizes() {
    guard geometry.inodeSize > 128 else { return }
    let limit = geometry.inodeSize - 128
    for (field, size) in [
      ("s_min_extra_isize", geometry.minimumExtraSize), ("s_want_extra_isize", geometry.wantedExtraSize),
    ] where size != 0 && (size < 4 || size > limit || size & 3 != 0) {
      add(CheckFinding(.superblockValue, field: field, found: UInt64(size)))
    }
  }

  /// Inodes that features of ext4 would use, which this volume does not have (e2fsck_validate_quota_inodes).
  private mutating func checkSystemInodes() {
    let fields = ["s_usr_quota_inum", "s_grp_quota_inum", "s_prj_quota_inum"]
    for index in 0..<3 {
      let inode = geometry.extraSystemInodes[index]
      if inode != 0 && (inode <= 2 || (5...10).contains(inode) || inode > geometry.inodeCount) {
        add(CheckFinding(.superblockValue, inode: inode, field: fields[index], found: UInt64(inode), expected: 0))
      }
    }
  }

  /// Calls `body` with the bytes of an inode. Returns false when they cannot be read.
  func withInode(_ number: UInt32, _ body: (RawSpan) -> Void) -> Bool {
    let group = (number - 1) / geometry.inodesPerGroup
    let offset = Int((number - 1) % geometry.inodesPerGroup) * geometry.inodeSize
    let start = UInt64(layout.places[Int(group)].inodeTable) << UInt64(geometry.blockSizeLog2)
    return reader.bytes(at: start + UInt64(offset), count: geometry.inodeSize, .table, body)
  }

  /// The inode of blocks kept for more descriptors: a file of nothing but a double-indirect block, which points to the
  /// kept blocks of group 0, each of which points to its copies in the groups with superblocks.
  private mutating func checkResizeInode() {
    let hasFeature = geometry.compatible.contains(.resizeInode)
    if hasFeature && geometry.hasMetaGroups {
      add(CheckFinding(.resizeInode, field: "s_feature_compat"))
    }
    if !hasFeature && geometry.reservedDescriptorBlocks != 0 {
      add(
        CheckFinding(
          .superblockValue, field: "s_reserved_gdt_blocks", found: UInt64(geometry.reservedDescriptorBlocks),
          expected: 0))
    }
    var doubleIndirect: UInt32 = 0
    var hasOthers = false
    var isFile = false
    let isRead = withInode(InodeNumber.resize.rawValue) { inode in
      doubleIndirect = inode.integer(at: 40 + 4 * 13)
      for index in 0..<15 where index != 13 && inode.integer(at: 40 + 4 * index, as: UInt32.self) != 0 {
        hasOthers = true
      }
      // e2fsck tests the bit of S_IFREG alone, which other types have too.
      isFile = inode.integer(at: 26, as: UInt16.self) != 0 && inode.integer(at: 0, as: UInt16.self) & 0x8000 != 0
    }
    // The pass over the inodes says it where this one cannot be read.
    guard isRead else { return }
    guard hasFeature else {
      if hasOthers || doubleIndirect != 0 {
        add(CheckFinding(.resizeInode, inode: InodeNumber.resize.rawValue, field: "i_block"))
      }
      return
    }
    guard !hasOthers, isFile, geometry.contains(doubleIndirect) else {
      add(CheckFinding(.resizeInode, inode: InodeNumber.resize.rawValue, field: "i_block"))
      return
    }
    if let wrong = firstWrongReservation(doubleIndirect) {
      add(CheckFinding(.resizeInode, inode: InodeNumber.resize.rawValue, block: wrong))
    }
  }

  /// The first pointer block of the resize inode that is wrong. Like e2fsck this looks at a quarter of them.
  private func firstWrongReservation(_ doubleIndirect: UInt32) -> UInt32? {
    var wrong: UInt32?
    let geometry = self.geometry!
    let pointers = UInt32(geometry.pointersPerBlock)
    let isRead = reader.blocks(doubleIndirect, .doubleIndirect) { list in
      for index in 0..<geometry.reservedDescriptorBlocks / 4 where wrong == nil {
        let slot = (geometry.descriptorBlocks + index) % pointers
        let kept = geometry.firstDataBlock + 1 + geometry.descriptorBlocks + index
        guard list.integer(at: Int(slot) * 4, as: UInt32.self) == kept else {
          wrong = doubleIndirect
          return
        }
        let isRead = reader.blocks(kept, .indirect) { copies in
          var position = 0
          for group in 1..<max(1, geometry.groupCount) where geometry.hasSuperblock(group) {
            guard position < copies.byteCount,
              copies.integer(at: position, as: UInt32.self) == kept &+ group &* geometry.blocksPerGroup
            else {
              wrong = kept
              return
            }
            position += 4
          }
        }
        if !isRead { wrong = kept }
      }
    }
    return isRead ? wrong : doubleIndirect
  }
}
