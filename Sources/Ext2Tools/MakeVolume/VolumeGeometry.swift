internal import Ext2Format

/// The counts of a new volume, worked out from its options: lib/ext2fs/initialize.c (ext2fs_initialize) of e2fsprogs.
///
/// Groups and inode tables depend on each other: a last group that cannot hold its own metadata and 50 blocks more is
/// left out, and where a group would get more inodes than its bitmap has bits, groups are made smaller. Each time all is
/// worked out again.
struct VolumeGeometry {
  let blockSize: Int
  let inodeSize: Int
  let firstDataBlock: UInt64
  private(set) var features: FeatureSet
  private(set) var blockCount: UInt64
  private(set) var reservedBlockCount: UInt64
  /// At most 65,528, because a descriptor counts with 16 bits (`EXT2_MAX_BLOCKS_PER_GROUP`).
  private(set) var blocksPerGroup: UInt64
  private(set) var groupCount: UInt64 = 0
  private(set) var inodesPerGroup: UInt64 = 0
  private(set) var inodeTableBlocks: UInt64 = 0
  private(set) var descriptorBlocks: UInt64 = 0
  /// Blocks kept after the descriptors for more of them.
  private(set) var reservedDescriptorBlocks: UInt64 = 0

  /// Works it out. The options were checked one by one; what does not fit together is thrown here.
  init(_ options: MakeOptions) throws(MakeError) {
    let usual = options.usual
    blockSize = options.blockSize ?? usual.blockSize
    inodeSize = options.revision == 0 ? 128 : options.inodeSize ?? 256
    firstDataBlock = blockSize == 1024 ? 1 : 0
    features = options.features ?? (options.revision == 0 ? FeatureSet() : .standard)
    blocksPerGroup = min(UInt64(8 * blockSize), 65528)

    let wholeBlocks = options.byteCount / UInt64(blockSize)
    guard wholeBlocks <= UInt64(UInt32.max) else {
      throw .invalid(
        option: "size",
        why: "\(wholeBlocks) blocks of \(blockSize) bytes: block numbers have 32 bits; use larger blocks")
    }
    blockCount = wholeBlocks
    reservedBlockCount = UInt64(options.reservedPercent * Double(wholeBlocks) / 100)

    let bytesPerInode = options.bytesPerInode ?? max(usual.bytesPerInode, UInt64(blockSize))
    let wholeBytes = wholeBlocks * UInt64(blockSize)
    let inodes = options.inodeCount ?? wholeBytes / bytesPerInode
    // With 256 bytes an inode in revision 0 too, as misc/mke2fs.c (PRS) counts.
    guard inodes <= UInt64(UInt32.max), inodes * UInt64(options.inodeSize ?? 256) < max(wholeBytes, 1) else {
      throw .invalid(
        option: options.inodeCount == nil ? "bytes-per-inode" : "inodes",
        why: "\(inodes) inodes of \(inodeSize) bytes are too many for \(wholeBytes) bytes")
    }
    try solve(wholeBlocks: wholeBlocks, inodes: inodes)
  }

  private mutating func solve(wholeBlocks: UInt64, inodes: UInt64) throws(MakeError) {
    let reservedPercent = 100 * Double(reservedBlockCount) / Double(max(wholeBlocks, 1))
    while true {
      guard blockCount > firstDataBlock else { throw tooSmall(wholeBlocks) }
      groupCount = Self.ceil(blockCount - firstDataBlock, blocksPerGroup)
      descriptorBlocks = Self.ceil(groupCount, descriptorsPerBlock)

      // Inodes 1 to 10 are reserved, and lost+found takes 11.
      let wanted = max(12, inodes > 0 ? inodes : blockCount / UInt64(max(1, 4096 / blockSize)))
      let wantedPerGroup = Self.ceil(wanted, groupCount)
      if wantedPerGroup > UInt64(8 * blockSize) {
        guard blocksPerGroup >= 256 else { throw tooManyInodes(wanted) }
        blocksPerGroup -= 8
        blockCount = wholeBlocks
        continue
      }
      setInodesPerGroup(wantedPerGroup)
      setReservedDescriptorBlocks()

      let isMetaGrouped = features.incompatible.contains(.metaBlockGroups)
      let largest = 3 + inodeTableBlocks + reservedDescriptorBlocks + (isMetaGrouped ? 1 : descriptorBlocks)
      guard largest <= blocksPerGroup else { throw tooManyInodes(wanted) }

      var lastNeeds = 2 + inodeTableBlocks
      if hasSuperblock(groupCount - 1) { lastNeeds += 1 + descriptorBlocks + reservedDescriptorBlocks }
      let rest = (blockCount - firstDataBlock) % blocksPerGroup
      guard groupCount > 1 || rest == 0 || rest >= lastNeeds else { throw tooSmall(wholeBlocks) }
      if rest == 0 || rest >= lastNeeds + 50 { return }
      blockCount -= rest
      reservedBlockCount = UInt64(reservedPercent * Double(blockCount) / 100)
    }
  }

  /// As many inodes as fill the table's blocks, and a multiple of 8, in at most 32 bits for the whole volume.
  private mutating func setInodesPerGroup(_ wanted: UInt64) {
    let inodesPerBlock = UInt64(blockSize / inodeSize)
    // `EXT2_MAX_INODES_PER_GROUP`: a descriptor counts with 16 bits.
    var wanted = min(wanted, 65536 - inodesPerBlock)
    repeat {
      let filled = Self.ceil(wanted, inodesPerBlock) * inodesPerBlock
      inodesPerGroup = max(8, filled) & ~7
      wanted -= 1
    } while inodesPerGroup * groupCount > UInt64(UInt32.max)
    inodeTableBlocks = Self.ceil(inodesPerGroup, inodesPerBlock)
  }

  /// Room for descriptors of 1,024 times the blocks, or of all that 32 bits can count (calc_reserved_gdt_blocks). Where
  /// descriptors would take three quarters of a group, they lie in their own groups instead.
  private mutating func setReservedDescriptorBlocks() {
    reservedDescriptorBlocks = 0
    if features.compatible.contains(.resizeInode) {
      let most = blockCount < UInt64(UInt32.max) / 1024 ? blockCount * 1024 : UInt64(UInt32.max)
      let groups = Self.ceil(most - firstDataBlock, blocksPerGroup)
      reservedDescriptorBlocks = min(
        Self.ceil(groups, descriptorsPerBlock) - descriptorBlocks, UInt64(blockSize / 4))
    }
    if reservedDescriptorBlocks + descriptorBlocks > blocksPerGroup * 3 / 4 {
      features.incompatible.insert(.metaBlockGroups)
      features.compatible.remove(.resizeInode)
      reservedDescriptorBlocks = 0
    }
  }

  private var descriptorsPerBlock: UInt64 { UInt64(blockSize / GroupDescriptor.byteCount) }

  private func hasSuperblock(_ group: UInt64) -> Bool {
    !features.readOnlyCompatible.contains(.sparseSuper)
      || VolumeLayout.isSparseBackup(GroupNumber(rawValue: UInt32(group)))
  }

  private static func ceil(_ dividend: UInt64, _ divisor: UInt64) -> UInt64 { (dividend + divisor - 1) / divisor }

  private func tooSmall(_ wholeBlocks: UInt64) -> MakeError {
    .tooSmall(byteCount: wholeBlocks * UInt64(blockSize), blockSize: blockSize)
  }

  private func tooManyInodes(_ count: UInt64) -> MakeError {
    .invalid(option: "inodes", why: "the tables of \(count) inodes do not fit into \(groupCount) groups of blocks")
  }
}
