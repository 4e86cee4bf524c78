internal import Ext2Format

/// The numbers of a superblock as a checker needs them: read where they lie and believed only as far as `init` checks,
/// which is as far as it takes to know where everything should be.
///
/// `VolumeLayout` is for volumes that are to be mounted and refuses what this one only reports.
struct CheckGeometry {
  /// Blocks of the volume, from block zero of the device.
  let blockCount: UInt32
  let inodeCount: UInt32
  let reservedBlockCount: UInt32
  let freeBlockCount: UInt32
  let freeInodeCount: UInt32
  let firstDataBlock: UInt32
  let blockSizeLog2: Int
  let blocksPerGroup: UInt32
  let inodesPerGroup: UInt32
  let inodeSize: Int
  let firstInode: UInt32
  let revision: UInt32
  let creatorSystem: UInt32
  let state: UInt16
  let compatible: CompatibleFeatures
  let incompatible: IncompatibleFeatures
  let readOnlyCompatible: ReadOnlyCompatibleFeatures
  let reservedDescriptorBlocks: UInt32
  let descriptorSize: UInt16
  let firstMetaGroup: UInt32
  let extraDirectoryBlocks: UInt32
  let minimumExtraSize: UInt16
  let wantedExtraSize: UInt16
  let hashSeed: SIMD4<UInt32>
  let countsBytesAsUnsigned: Bool
  let hasJournalIdentity: Bool
  let journalInode: UInt32
  let lastOrphan: UInt32
  /// Inodes that quotas and the orphan file of ext4 say they use: user, group, project, orphans.
  let extraSystemInodes: SIMD4<UInt32>
  /// Whether a deletion time below the number of inodes can only be a link of a list of orphans.
  let deletionTimesTellOrphans: Bool

  let groupCount: UInt32
  let inodeTableBlocks: UInt32
  let descriptorsPerBlock: UInt32
  let descriptorBlocks: UInt32

  var blockSize: Int { 1 << blockSizeLog2 }
  var hasMetaGroups: Bool { incompatible.contains(.metaBlockGroups) }
  var hasFileTypes: Bool { incompatible.contains(.fileType) }
  /// The Hurd (`EXT2_OS_HURD`) keeps other things in the words that Linux has to itself.
  var isHurd: Bool { creatorSystem == 1 }
  var isLinux: Bool { creatorSystem == 0 }
  /// The first block of group 0 as e2fsprogs counts for the place of its descriptors.
  var pointersPerBlock: Int { blockSize >> 2 }

  /// Why a superblock cannot be used.
  enum Refusal: Error {
    case magic(UInt16)
    case revision(UInt32)
    case features([String])
    case field(String, UInt64)
    case unreadable(VolumeBytesError)
  }

  /// Reads a superblock and checks what ext2fs_open2 (lib/ext2fs/openfs.c) checks.
  init(decoding bytes: RawSpan) throws(Refusal) {
    func word(_ offset: Int) -> UInt32 { bytes.integer(at: offset) }
    func half(_ offset: Int) -> UInt16 { bytes.integer(at: offset) }
    guard half(56) == Superblock.magicNumber else { throw .magic(half(56)) }
    revision = word(76)
    guard revision <= 1 else { throw .revision(revision) }
    compatible = CompatibleFeatures(rawValue: word(92))
    incompatible = IncompatibleFeatures(rawValue: word(96))
    readOnlyCompatible = ReadOnlyCompatibleFeatures(rawValue: word(100))
    guard incompatible.rawValue & ~0x12 == 0 else {
      throw .features(Self.unknownFeatures(compatible, incompatible, readOnlyCompatible))
    }

    let logBlockSize = word(24)
    guard logBlockSize <= 6 else { throw .field("s_log_block_size", UInt64(logBlockSize)) }
    guard word(28) == logBlockSize else { throw .field("s_log_frag_size", UInt64(word(28))) }
    guard bytes.integer(at: 372, as: UInt8.self) <= 31 else {
      throw .field("s_log_groups_per_flex", UInt64(bytes.integer(at: 372, as: UInt8.self)))
    }
    blockSizeLog2 = 10 + Int(logBlockSize)
    let blockSize = UInt32(1) << UInt32(blockSizeLog2)
    let inodeSize = revision == 0 ? 128 : UInt32(half(88))
    guard inodeSize >= 128, inodeSize <= blockSize, inodeSize.nonzeroBitCount == 1 else {
      throw .field("s_inode_size", UInt64(inodeSize))
    }
    self.inodeSize = Int(inodeSize)
    blocksPerGroup = word(32)
    guard word(36) == blocksPerGroup else { throw .field("s_frags_per_group", UInt64(word(36))) }
    guard blocksPerGroup >= 8, blocksPerGroup <= 65528 else {
      throw .field("s_blocks_per_group", UInt64(blocksPerGroup))
    }
    inodesPerGroup = word(40)
    let tableBlocks = (UInt64(inodesPerGroup) * UInt64(inodeSize) + UInt64(blockSize) - 1) / UInt64(blockSize)
    guard inodesPerGroup > 0, tableBlocks <= 65536 - UInt64(blockSize / inodeSize) else {
      throw .field("s_inodes_per_group", UInt64(inodesPerGroup))
    }
    inodeTableBlocks = UInt32(tableBlocks)

    blockCount = word(4)
    firstDataBlock = word(20)
    guard firstDataBlock == (logBlockSize == 0 ? 1 : 0) else {
      throw .field("s_first_data_block", UInt64(firstDataBlock))
    }
    guard blockCount > firstDataBlock else { throw .field("s_blocks_count", UInt64(blockCount)) }
    groupCount = (blockCount - firstDataBlock - 1) / blocksPerGroup + 1
    inodeCount = word(0)
    guard UInt64(groupCount) * UInt64(inodesPerGroup) == UInt64(inodeCount) else {
      throw .field("s_inodes_count", UInt64(inodeCount))
    }
    descriptorsPerBlock = blockSize / UInt32(GroupDescriptor.byteCount)
    descriptorBlocks = (groupCount - 1) / descriptorsPerBlock + 1
    firstMetaGroup = word(260)
    if incompatible.contains(.metaBlockGroups), firstMetaGroup > descriptorBlocks {
      throw .field("s_first_meta_bg", UInt64(firstMetaGroup))
    }
    reservedBlockCount = word(8)
    reservedDescriptorBlocks = UInt32(half(206))
    descriptorSize = half(254)
    firstInode = revision == 0 ? 11 : word(84)

    freeBlockCount = word(12)
    freeInodeCount = word(16)
    creatorSystem = word(72)
    state = half(58)
    extraDirectoryBlocks = UInt32(bytes.integer(at: 205, as: UInt8.self))
    minimumExtraSize = half(348)
    wantedExtraSize = half(350)
    hashSeed = [word(236), word(240), word(244), word(248)]
    countsBytesAsUnsigned = word(352) & 2 != 0
    hasJournalIdentity = word(208) | word(212) | word(216) | word(220) != 0
    journalInode = word(224)
    lastOrphan = word(232)
    extraSystemInodes = [word(576), word(580), word(620), word(640)]
    let inodes = inodeCount
    func isInode(_ value: UInt32) -> Bool { value != 0 && value < inodes }
    deletionTimesTellOrphans = !(isInode(word(48)) || isInode(word(44)) || isInode(word(264)))
  }

  /// The names of features that are not checked here. Looked at as numbers first: nearly always there is none.
  static func unknownFeatures(
    _ compatible: CompatibleFeatures, _ incompatible: IncompatibleFeatures, _ readOnly: ReadOnlyCompatibleFeatures
  ) -> [String] {
    let foreign = compatible.rawValue & ~0x3F | incompatible.rawValue & ~0x12 | readOnly.rawValue & ~0x3
    if foreign == 0 { return [] }
    return CompatibleFeatures(rawValue: compatible.rawValue & ~0x3F).featureNames
      + IncompatibleFeatures(rawValue: incompatible.rawValue & ~0x12).featureNames
      + ReadOnlyCompatibleFeatures(rawValue: readOnly.rawValue & ~0x3).featureNames
  }

  /// What check_hasCopyblock (e2fsck/super.c) refuses to go on with, in a superblock that could be opened. No copy is tried
  /// in its place.
  func checkValues() throws(Refusal) {
    let blockSize = UInt32(self.blockSize)
    let inodesPerBlock = blockSize / UInt32(inodeSize)
    guard blocksPerGroup <= 8 * blockSize else { throw .field("s_blocks_per_group", UInt64(blocksPerGroup)) }
    // EXT2_MAX_INODES_PER_GROUP, or what a group has room for.
    guard inodesPerGroup >= inodesPerBlock, inodesPerGroup <= min(65536 - inodesPerBlock, 8 * blockSize),
      UInt64(inodesPerGroup) <= UInt64(inodesPerBlock) * UInt64(blocksPerGroup - 4)
    else { throw .field("s_inodes_per_group", UInt64(inodesPerGroup)) }
    guard reservedBlockCount <= blockCount / 2 else { throw .field("s_r_blocks_count", UInt64(reservedBlockCount)) }
    guard reservedDescriptorBlocks <= blockSize / 4 else {
      throw .field("s_reserved_gdt_blocks", UInt64(reservedDescriptorBlocks))
    }
    guard descriptorSize <= 1024, descriptorSize.nonzeroBitCount <= 1 else {
      throw .field("s_desc_size", UInt64(descriptorSize))
    }
    guard firstInode >= 11, firstInode <= inodeCount else { throw .field("s_first_ino", UInt64(firstInode)) }
  }

  // MARK: Where things are

  /// The first block of a group.
  @inline(__always)
  func firstBlock(of group: UInt32) -> UInt32 { firstDataBlock + group * blocksPerGroup }

  /// Blocks of a group; the last one may be short.
  @inline(__always)
  func blockCount(of group: UInt32) -> UInt32 { min(blocksPerGroup, blockCount - firstBlock(of: group)) }

  /// Whether a pointer may hold this number.
  @inline(__always)
  func contains(_ block: UInt32) -> Bool { block >= firstDataBlock && block < blockCount }

  /// Whether a group begins with a superblock (ext2fs_bg_has_super).
  func hasSuperblock(_ group: UInt32) -> Bool {
    guard group > 1, readOnlyCompatible.contains(.sparseSuper) else { return true }
    return group & 1 == 1
      && (Self.isPower(group, of: 3) || Self.isPower(group, of: 5) || Self.isPower(group, of: 7))
  }

  private static func isPower(_ number: UInt32, of base: UInt32) -> Bool {
    var rest = number
    while rest % base == 0 { rest /= base }
    return rest == 1
  }

  /// Blocks at the start of a group that belong to the superblock and to descriptors, present and to come
  /// (ext2fs_hasCopyand_bgd_loc2, which counts reserved ones with the feature or without).
  func leadingBlocks(of group: UInt32) -> UInt64 {
    let hasCopy = hasSuperblock(group)
    guard hasMetaGroups else { return hasCopy ? 1 + UInt64(descriptorBlocks) + UInt64(reservedDescriptorBlocks) : 0 }
    guard group / descriptorsPerBlock >= firstMetaGroup else { return hasCopy ? 1 + UInt64(firstMetaGroup) : 0 }
    let position = group % descriptorsPerBlock
    let holds = position <= 1 || position == descriptorsPerBlock - 1
    return (hasCopy ? 1 : 0) + (holds ? 1 : 0)
  }

  /// The block that holds a block of descriptors (ext2fs_descriptor_block_loc2).
  ///
  /// - Parameter superblock: the block of the superblock that is used; the copies of the descriptors follow it.
  func descriptorBlock(_ index: UInt32, superblock: UInt32) -> UInt64 {
    let first = hasMetaGroups ? firstMetaGroup : descriptorBlocks
    guard index >= first else { return UInt64(superblock) + 1 + UInt64(index) }
    var group = index * descriptorsPerBlock
    var block = UInt64(firstBlock(of: group))
    let lead: UInt64 = hasSuperblock(group) ? 1 : 0
    if superblock != firstDataBlock, block + lead + UInt64(blocksPerGroup) < UInt64(blockCount) {
      block += UInt64(blocksPerGroup)
      group += 1
    }
    return block + (hasSuperblock(group) ? 1 : 0)
  }
}
