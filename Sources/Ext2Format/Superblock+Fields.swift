/// The state of a volume (`s_state`).
package struct VolumeState: OptionSet, Sendable {
  package let rawValue: UInt16
  package init(rawValue: UInt16) { self.rawValue = rawValue }
  /// Unmounted cleanly.
  package static let valid = Self(rawValue: 1)
  /// Errors were found that e2fsck should look at.
  package static let error = Self(rawValue: 2)
  /// Orphans are being recovered (ext3).
  package static let orphans = Self(rawValue: 4)
}

/// What a driver does on finding corruption (`s_errors`).
package enum ErrorBehaviour: UInt16, Sendable {
  case `continue` = 1
  case remountReadOnly = 2
  case panic = 3
}

/// The typed fields. Times are seconds since 1970 as the disk stores them; counts of blocks are file-system blocks.
extension Superblock {
  /// Inodes of the volume, used or not.
  package var inodeCount: UInt32 {
    get { load(0) }
    set { store(newValue, at: 0) }
  }
  /// Blocks of the volume, from block zero of the device.
  package var blockCount: UInt32 {
    get { load(4) }
    set { store(newValue, at: 4) }
  }
  /// Blocks that only the reserved user and group may take.
  package var reservedBlockCount: UInt32 {
    get { load(8) }
    set { store(newValue, at: 8) }
  }
  /// Free blocks; the descriptors know better, this is their sum when the volume was last written.
  package var freeBlockCount: UInt32 {
    get { load(12) }
    set { store(newValue, at: 12) }
  }
  /// Free inodes; see `freeBlockCount`.
  package var freeInodeCount: UInt32 {
    get { load(16) }
    set { store(newValue, at: 16) }
  }
  /// The first block of group 0: 1 with blocks of 1 KiB, else 0.
  package var firstDataBlock: BlockNumber {
    get { BlockNumber(rawValue: load(20)) }
    set { store(newValue.rawValue, at: 20) }
  }
  /// Log2 of the block size in KiB, unchecked: see `validate(deviceByteCount:)`.
  package var logBlockSize: UInt32 {
    get { load(24) }
    set { store(newValue, at: 24) }
  }
  /// Log2 of the fragment size in KiB; equals `logBlockSize`, fragments were never made.
  package var logFragmentSize: UInt32 {
    get { load(28) }
    set { store(newValue, at: 28) }
  }
  /// Blocks of every group but the last.
  package var blocksPerGroup: UInt32 {
    get { load(32) }
    set { store(newValue, at: 32) }
  }
  /// Equals `blocksPerGroup`.
  package var fragmentsPerGroup: UInt32 {
    get { load(36) }
    set { store(newValue, at: 36) }
  }
  /// Inodes of every group.
  package var inodesPerGroup: UInt32 {
    get { load(40) }
    set { store(newValue, at: 40) }
  }
  /// When the volume was last mounted.
  package var mountTime: UInt32 {
    get { load(44) }
    set { store(newValue, at: 44) }
  }
  /// When the superblock was last written.
  package var writeTime: UInt32 {
    get { load(48) }
    set { store(newValue, at: 48) }
  }
  /// Mounts since the last check.
  package var mountCount: UInt16 {
    get { load(52) }
    set { store(newValue, at: 52) }
  }
  /// Mounts after which a check is due; zero or negative: never.
  package var maxMountCount: Int16 {
    get { load(54) }
    set { store(newValue, at: 54) }
  }
  /// The magic number, 0xEF53.
  package var magic: UInt16 { load(56) }
  /// Clean or not.
  package var state: VolumeState {
    get { VolumeState(rawValue: load(58)) }
    set { store(newValue.rawValue, at: 58) }
  }
  /// What to do on corruption. A value that is none of the three reads as remount-ro, like the kernel's default.
  package var errorBehaviour: ErrorBehaviour {
    get { ErrorBehaviour(rawValue: load(60)) ?? .remountReadOnly }
    set { store(newValue.rawValue, at: 60) }
  }
  /// The minor revision, without meaning.
  package var minorRevision: UInt16 {
    get { load(62) }
    set { store(newValue, at: 62) }
  }
  /// When e2fsck last looked at the volume.
  package var lastCheckTime: UInt32 {
    get { load(64) }
    set { store(newValue, at: 64) }
  }
  /// Seconds after which a check is due; zero: never.
  package var checkInterval: UInt32 {
    get { load(68) }
    set { store(newValue, at: 68) }
  }
  /// 0 Linux, 1 Hurd, 2 Masix, 3 FreeBSD, 4 Lites.
  package var creatorSystem: UInt32 {
    get { load(72) }
    set { store(newValue, at: 72) }
  }
  /// 0 ("good old": fixed inode size, no features) or 1.
  package var revision: UInt32 {
    get { load(76) }
    set { store(newValue, at: 76) }
  }
  /// The user that may take reserved blocks.
  package var reservedUser: UInt16 {
    get { load(80) }
    set { store(newValue, at: 80) }
  }
  /// The group that may take reserved blocks.
  package var reservedGroup: UInt16 {
    get { load(82) }
    set { store(newValue, at: 82) }
  }

  /// The first inode that is not reserved: 11 in revision 0.
  package var firstInode: InodeNumber {
    get { revision == 0 ? .firstInRevisionZero : InodeNumber(rawValue: load(84)) }
    set { store(newValue.rawValue, at: 84) }
  }
  /// Bytes of an inode: 128 in revision 0.
  package var inodeSize: UInt16 {
    get { revision == 0 ? 128 : load(88) }
    set { store(newValue, at: 88) }
  }
  /// The group in which this copy of the superblock lies.
  package var blockGroup: UInt16 {
    get { load(90) }
    set { store(newValue, at: 90) }
  }
  /// Features that may be ignored. Honoured in revision 0 too, as the kernel does.
  package var compatible: CompatibleFeatures {
    get { CompatibleFeatures(rawValue: load(92)) }
    set { store(newValue.rawValue, at: 92) }
  }
  /// Features that must be known to mount.
  package var incompatible: IncompatibleFeatures {
    get { IncompatibleFeatures(rawValue: load(96)) }
    set { store(newValue.rawValue, at: 96) }
  }
  /// Features that must be known to write.
  package var readOnlyCompatible: ReadOnlyCompatibleFeatures {
    get { ReadOnlyCompatibleFeatures(rawValue: load(100)) }
    set { store(newValue.rawValue, at: 100) }
  }
  /// The 16 bytes that identify the volume.
  package var uuid: [UInt8] {
    get { Array(bytes[104..<120]) }
    set { setText(newValue, 104, 16) }
  }
  /// The label, without its NULs; at most 16 bytes.
  package var label: [UInt8] {
    get { text(120, 16) }
    set { setText(newValue, 120, 16) }
  }
  /// Where the volume was last mounted, without NULs; at most 64 bytes.
  package var lastMounted: [UInt8] {
    get { text(136, 64) }
    set { setText(newValue, 136, 64) }
  }
  /// Blocks reserved after the descriptors of each copy, for growing (`resize_inode`).
  package var reservedDescriptorBlocks: UInt16 {
    get { load(206) }
    set { store(newValue, at: 206) }
  }
  /// The inode of the journal, when there is one.
  package var journalInode: InodeNumber { InodeNumber(rawValue: load(224)) }
  /// Head of the list of orphans of ext3; ext2 has none.
  package var lastOrphan: InodeNumber { InodeNumber(rawValue: load(232)) }
  /// The seed of directory hashes, four words.
  package var hashSeed: [4 of UInt32] {
    get { [load(236), load(240), load(244), load(248)] }
    set { for index in newValue.indices { store(newValue[index], at: 236 + 4 * index) } }
  }
  /// How directories hash: 0 legacy, 1 half MD4, 2 TEA.
  package var hashVersion: UInt8 {
    get { load(252) }
    set { store(newValue, at: 252) }
  }
  /// Mount options when none are given: 4 user_xattr, 8 acl (`EXT2_DEFM_*`).
  package var defaultMountOptions: UInt32 {
    get { load(256) }
    set { store(newValue, at: 256) }
  }
  /// The first descriptor block that lies in its own groups (`meta_bg`).
  package var firstMetaBlockGroup: UInt32 {
    get { load(260) }
    set { store(newValue, at: 260) }
  }
  /// When the volume was made.
  package var makeTime: UInt32 {
    get { load(264) }
    set { store(newValue, at: 264) }
  }
  /// Bytes that every inode must have beyond the first 128, when the inode size has room.
  package var minimumExtraInodeSize: UInt16 {
    get { load(348) }
    set { store(newValue, at: 348) }
  }
  /// Bytes that new inodes should have beyond the first 128, when the inode size has room.
  package var wantedExtraInodeSize: UInt16 {
    get { load(350) }
    set { store(newValue, at: 350) }
  }
  /// 1: directory hashes take bytes as signed; 2: as unsigned.
  package var flags: UInt32 {
    get { load(352) }
    set { store(newValue, at: 352) }
  }
  /// Blocks that no file may take, for statfs: a sum that mke2fs stores and that ext4 reads; zero: not stored.
  package var storedOverheadBlockCount: UInt32 {
    get { load(584) }
    set { store(newValue, at: 584) }
  }
}
