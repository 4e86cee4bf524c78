package import Ext2Format

/// A new volume, worked out and not yet written: where everything will lie, and what it will hold.
///
/// Geometry and contents are those of `mke2fs -t ext2` for the same options, to the byte. A volume that is full of
/// inode tables may have no room for its first directories; that is found out here too.
public struct VolumePlan: Sendable {
  /// The primary superblock.
  package let superblock: Superblock
  /// Where everything lies.
  package let layout: VolumeLayout
  /// The options it was made from.
  public let options: MakeOptions
  /// What the volume holds before anybody writes to it.
  let contents: InitialContents

  /// Works it out. Throws `invalid`, `unknownFeature` or `tooSmall`.
  public init(_ options: MakeOptions) throws(MakeError) {
    try options.check()
    let geometry = try VolumeGeometry(options)
    var superblock = Self.superblock(options, geometry)
    let usedInodes = InitialContents.lostAndFound.rawValue
    guard superblock.inodeCount >= usedInodes else {
      let why = "\(superblock.inodeCount) are too few: \(usedInodes) are in use from the beginning"
      throw .invalid(option: "inodes", why: why)
    }
    do {
      layout = try superblock.validate(deviceByteCount: options.byteCount)
    } catch {
      // Nothing that mke2fs makes is known to come here.
      throw .invalid(option: "size", why: "\(error)")
    }
    guard let contents = InitialContents(layout, hasResizeInode: superblock.compatible.contains(.resizeInode)) else {
      throw .invalid(option: "inodes", why: "inode tables leave no room for the root directory and lost+found")
    }
    self.contents = contents
    self.options = options

    var overhead = UInt64(layout.firstDataBlock.rawValue)
    for group in layout.groups { overhead += UInt64(InitialContents.metadataBlockCount(of: group, layout)) }
    superblock.storedOverheadBlockCount = UInt32(overhead)
    superblock.freeBlockCount = UInt32(UInt64(layout.blockCount) - overhead - UInt64(contents.blockCount))
    superblock.freeInodeCount = layout.inodeCount - InitialContents.lostAndFound.rawValue
    if superblock.compatible.contains(.resizeInode), InitialContents.resizeInodeSize(layout) > UInt64(UInt32.max) {
      superblock.readOnlyCompatible.insert(.largeFile)
    }
    self.superblock = superblock
  }

  /// The fields that do not depend on what the volume holds (lib/ext2fs/initialize.c and misc/mke2fs.c, main).
  private static func superblock(_ options: MakeOptions, _ geometry: VolumeGeometry) -> Superblock {
    let seconds = UInt32(options.seconds)
    var superblock = Superblock()
    superblock.blockCount = UInt32(geometry.blockCount)
    superblock.reservedBlockCount = UInt32(geometry.reservedBlockCount)
    superblock.firstDataBlock = BlockNumber(rawValue: UInt32(geometry.firstDataBlock))
    superblock.logBlockSize = UInt32(geometry.blockSize.trailingZeroBitCount - 10)
    superblock.logFragmentSize = superblock.logBlockSize
    superblock.blocksPerGroup = UInt32(geometry.blocksPerGroup)
    superblock.fragmentsPerGroup = superblock.blocksPerGroup
    superblock.inodesPerGroup = UInt32(geometry.inodesPerGroup)
    superblock.inodeCount = UInt32(geometry.inodesPerGroup * geometry.groupCount)
    superblock.writeTime = seconds
    superblock.lastCheckTime = seconds
    superblock.makeTime = seconds
    // Never because of the number of mounts.
    superblock.maxMountCount = -1
    superblock.state = .valid
    superblock.errorBehaviour = .continue
    superblock.revision = options.revision
    superblock.uuid = options.uuid.bytes
    superblock.label = Array(options.label.utf8)
    let seed = options.hashSeed.bytes
    func word(_ index: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(seed[4 * index + $1]) << UInt32(8 * $1) } }
    superblock.hashSeed = [word(0), word(1), word(2), word(3)]
    // Half MD4 of signed bytes, whatever the machine: mke2fs takes what `char` is there.
    superblock.hashVersion = 1
    superblock.flags = 1
    superblock.compatible = geometry.features.compatible
    superblock.incompatible = geometry.features.incompatible
    superblock.readOnlyCompatible = geometry.features.readOnlyCompatible
    superblock.reservedDescriptorBlocks = UInt16(geometry.reservedDescriptorBlocks)
    // Revision 0 means these two without saying them; mke2fs says them too.
    superblock.firstInode = .firstInRevisionZero
    superblock.inodeSize = UInt16(geometry.inodeSize)
    guard options.revision > 0 else { return superblock }
    // user_xattr and acl.
    superblock.defaultMountOptions = 12
    if geometry.inodeSize >= 256 {
      superblock.minimumExtraInodeSize = InitialContents.extraInodeSize
      superblock.wantedExtraInodeSize = InitialContents.extraInodeSize
    }
    return superblock
  }

  /// Bytes of a block.
  public var blockSize: Int { layout.blockSize }
  /// Blocks of the volume.
  public var blockCount: UInt32 { layout.blockCount }
  /// Inodes of the volume.
  public var inodeCount: UInt32 { layout.inodeCount }
  /// Groups of blocks.
  public var groupCount: UInt32 { layout.groupCount }
  /// The blocks with copies of the superblock, in ascending order, without the first.
  public var superblockBackups: [UInt32] { layout.backupGroups.map { layout.firstBlock(of: $0).rawValue } }

  /// The descriptor of a group.
  package func descriptor(of group: GroupNumber) -> GroupDescriptor {
    let first = layout.firstBlock(of: group).advanced(by: layout.leadingMetadataCount(of: group))
    return GroupDescriptor(
      blockBitmap: first, inodeBitmap: first.advanced(by: 1), inodeTable: first.advanced(by: 2),
      freeBlockCount: UInt16(layout.blockCount(of: group) - usedBlockCount(of: group)),
      freeInodeCount: UInt16(Int(layout.inodesPerGroup) - contents.inodeCount(in: group, layout)),
      usedDirectoryCount: UInt16(contents.directoryCount(in: group, layout)))
  }

  /// Blocks in use in a group, all at its beginning: its metadata, and what the volume holds.
  func usedBlockCount(of group: GroupNumber) -> Int {
    InitialContents.metadataBlockCount(of: group, layout) + (contents.blocksByGroup[group] ?? 0)
  }
}
