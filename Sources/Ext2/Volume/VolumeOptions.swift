public import BlockDevice
public import Logging
public import PageCache

/// How a volume is mounted.
public struct VolumeOptions: Sendable {
  /// The page cache: size, limits, writeback policy.
  public var cache = PageCacheConfiguration()
  /// The device's queue: tags, places, deadlines.
  public var queue = RequestQueue.Configuration(tagCount: 32)
  /// Blocks that the metadata cache holds.
  public var metadataSlotCount = 2048
  /// When a freed block may be used again.
  public var frees = FreesName.plain
  /// Where new blocks are looked for.
  public var allocation = AllocationPolicyName.firstFit
  /// Tell the device of freed blocks.
  public var discards = false
  /// When a read moves a file's access time.
  public var accessTimes = AccessTimePolicy.relative
  /// Mount for reading; nothing is written.
  public var isReadOnly = false
  /// What happens on corruption; nil: what the superblock says (errors=).
  public var onErrors: ErrorPolicy?
  /// Where the superblock is read from and written to: the number of a 1 KiB block, as the kernel's option sb= counts;
  /// 1 is the primary one. Copies are where mke2fs and dumpe2fs say, times the block size in KiB.
  public var superblockLocation: UInt64 = 1
  /// Who may take reserved blocks; nil: what the superblock says (resuid=, resgid=).
  public var reservedUser: UInt32?
  public var reservedGroup: UInt32?
  /// Count the volume's own metadata as part of its size (minixdf).
  public var countsOverhead = false
  /// New files get the group of their directory (grpid), as in directories with the set-group-id bit.
  public var takesGroupOfDirectory = false
  /// Every change is durable before the call returns (sync).
  public var isSynchronous = false
  /// Every change of names is durable before the call returns (dirsync).
  public var isDirectorySynchronous = false
  /// Files that grow keep blocks after their last one to themselves, in memory (reservation).
  public var usesReservationWindows = true
  /// Attributes of users can be read and set (user_xattr).
  public var allowsUserAttributes = true
  /// POSIX ACLs are kept (acl).
  public var allowsAccessControlLists = true
  /// What the indexes of large directories may take in memory, in bytes.
  public var nameIndexByteLimit = 64 << 20
  /// Inodes that stay in memory although nobody uses them.
  public var idleInodeLimit = 1024
  /// Starts the generators of inode generations and of where directories are put, so that the same run makes the same image.
  public var seed: UInt64 = 1
  /// Where the volume says what nobody asked for: an unclean mount, corruption.
  public var logger = Logger(label: "ext2")
  /// The defaults.
  public init() {}
}

/// What a volume does when it finds corruption, in the words of mount(8).
public enum ErrorPolicy: String, CaseIterable, Sendable {
  /// Mark it in the superblock and go on (errors=continue).
  case `continue`
  /// Mark it, and change nothing any more (errors=remount-ro).
  case remountReadOnly = "remount-ro"
  /// As `remountReadOnly`, and every further call fails (errors=panic, without the panic).
  case abort
}

/// When reading a file moves its access time, in the words of mount(8).
///
/// A new time is noted in memory, and written within some seconds, by the next sync, or by fsync of the file.
public enum AccessTimePolicy: String, CaseIterable, Sendable {
  /// When the file has changed since its last access, or that is a day ago (relatime, the kernel's default).
  case relative
  /// Always (strictatime).
  case strict
  /// Never (noatime).
  case none
}

/// What a mounted volume has done so far.
public struct VolumeCounters: Equatable, Sendable {
  /// Nothing yet.
  public init() {}
  /// Writeback: batches, stale batches by cause, lookups.
  public var writeback = WritebackCounters()
  /// The device: requests dispatched after merging.
  public var device = DeviceCounters()
  /// Pages of files: those that were wanted.
  public var pages = CacheCounters()
  /// Blocks of metadata that were wanted.
  public var metadata = CacheCounters()
  /// How long pages were dirty before they were durable.
  public var dirtyTime = DirtyTime()
  /// What was written of each kind of block.
  public var written = WrittenBytes()
}

/// Bytes of writes that were queued, by what they were.
public struct WrittenBytes: Equatable, Sendable {
  /// Nothing yet.
  public init() {}
  /// Data of files.
  public var data: UInt64 = 0
  /// Indirect blocks, directories, attributes and long links.
  public var tree: UInt64 = 0
  /// Inode tables.
  public var inodes: UInt64 = 0
  /// Bitmaps of blocks and inodes.
  public var bitmaps: UInt64 = 0
  /// The superblock and the group descriptors.
  public var superblock: UInt64 = 0

  /// All together.
  public var total: UInt64 { data + tree + inodes + bitmaps + superblock }
}

/// Sizes and counts of a volume, as statfs reports them, in blocks and inodes.
public struct VolumeStatistics: Equatable, Sendable {
  /// Bytes of a block.
  public var blockSize: Int
  /// Blocks for files and directories, without the volume's own; with `countsOverhead` (minixdf) all.
  public var blockCount: UInt64
  /// Free ones.
  public var freeBlockCount: UInt64
  /// Free ones for those who may not take the reserved ones.
  public var availableBlockCount: UInt64
  /// Inodes.
  public var inodeCount: UInt64
  /// Free ones.
  public var freeInodeCount: UInt64
  /// The label.
  public var label: String
  /// The 16 bytes that identify the volume.
  public var uuid: [UInt8]
}
