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
  /// Starts the generator of inode generations, so that the same run makes the same image.
  public var seed: UInt64 = 1
  /// Where the volume says what nobody asked for: an unclean mount, corruption.
  public var logger = Logger(label: "ext2")
  /// The defaults.
  public init() {}
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
}

/// Sizes and counts of a volume, as statfs reports them, in blocks and inodes.
public struct VolumeStatistics: Equatable, Sendable {
  /// Bytes of a block.
  public var blockSize: Int
  /// Blocks for files and directories, without the volume's own.
  public var blockCount: UInt64
  /// Free ones.
  public var freeBlockCount: UInt64
  /// Inodes.
  public var inodeCount: UInt64
  /// Free ones.
  public var freeInodeCount: UInt64
}

/// What is known of a file.
public struct FileStatus: Equatable, Sendable {
  /// The inode's number.
  public var inode: UInt32
  /// The size in bytes.
  public var byteCount: UInt64
  /// What its blocks take, pointer blocks included, in units of 512 bytes.
  public var sectorCount: UInt32
  /// How many names it has.
  public var linkCount: UInt16
  /// When its contents last changed: seconds since 1970.
  public var modificationSeconds: Int64
  /// When its contents were last read, as far as the mount keeps it: seconds since 1970.
  public var accessSeconds: Int64
}
