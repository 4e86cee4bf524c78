import Ext2Format

/// The generator of the tests: SplitMix64, seeded, the same numbers every run.
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

extension [UInt8] {
  /// Lends the bytes to a decoder.
  func reading<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
    try body(unsafe span.bytes)
  }

  /// Lends the bytes to an encoder.
  mutating func changing<R, E: Error>(_ body: (inout MutableRawSpan) throws(E) -> R) throws(E) -> R {
    var elements = mutableSpan
    var bytes = unsafe elements.mutableBytes
    return try body(&bytes)
  }

  /// The inode that fills these bytes.
  func inode() throws(FormatError) -> InodeRecord {
    try reading { (bytes) throws(FormatError) in try InodeRecord(decoding: bytes, inodeSize: bytes.byteCount) }
  }

  /// Writes an inode over these bytes, which it fills.
  mutating func store(_ inode: InodeRecord, isNew: Bool = false) {
    changing { inode.encode(into: &$0, inodeSize: $0.byteCount, isNew: isNew) }
  }
}

/// Volumes written by hand.
enum Sample {
  /// The superblock of a small volume that passes every check: `groups` groups, the last one 1000 blocks short.
  static func superblock(
    blockSizeLog2: Int = 12, groups: UInt32 = 3, inodeSize: UInt16 = 256, revision: UInt32 = 1
  ) -> Superblock {
    let blockSize = UInt32(1) << UInt32(blockSizeLog2)
    var superblock = Superblock()
    superblock.logBlockSize = UInt32(blockSizeLog2 - 10)
    superblock.logFragmentSize = superblock.logBlockSize
    superblock.firstDataBlock = BlockNumber(rawValue: blockSizeLog2 == 10 ? 1 : 0)
    superblock.blocksPerGroup = min(8 * blockSize, 65528)
    superblock.fragmentsPerGroup = superblock.blocksPerGroup
    superblock.inodesPerGroup = 2048
    superblock.inodeCount = 2048 * groups
    superblock.blockCount = superblock.firstDataBlock.rawValue + groups * superblock.blocksPerGroup - 1000
    superblock.revision = revision
    if revision > 0 {
      superblock.firstInode = .firstInRevisionZero
      superblock.inodeSize = inodeSize
      superblock.incompatible = .fileType
      superblock.readOnlyCompatible = [.sparseSuper, .largeFile]
    }
    superblock.state = .valid
    superblock.errorBehaviour = .continue
    return superblock
  }

  /// The layout of a superblock on a device that is just large enough.
  static func layout(_ superblock: Superblock) throws(FormatError) -> VolumeLayout {
    try superblock.validate(deviceByteCount: UInt64(superblock.blockCount) << UInt64(10 + superblock.logBlockSize))
  }

  /// Descriptors as mke2fs lays them out: bitmaps and inode table right after what leads the group.
  static func descriptors(_ layout: VolumeLayout) -> [GroupDescriptor] {
    layout.groups.map { group in
      let lead = layout.leadingMetadataCount(of: group)
      let first = layout.firstBlock(of: group).advanced(by: lead)
      let used = lead + 2 + layout.inodeTableBlocksPerGroup
      return GroupDescriptor(
        blockBitmap: first, inodeBitmap: first.advanced(by: 1), inodeTable: first.advanced(by: 2),
        freeBlockCount: UInt16(layout.blockCount(of: group) - used), freeInodeCount: UInt16(layout.inodesPerGroup),
        usedDirectoryCount: 0)
    }
  }
}
