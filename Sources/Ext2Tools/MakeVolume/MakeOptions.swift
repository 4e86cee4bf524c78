internal import Ext2Format

/// What a new volume is to be. What is nil is chosen by the volume's size as `mke2fs -t ext2` chooses it.
///
/// The choice is that of e2fsprogs' built-in profile; /etc/mke2fs.conf is not read:
///
///     size            usage type  block size  bytes per inode
///     below 3 MiB     floppy            1024             8192
///     below 512 MiB   small             1024             4096
///     below 4 TiB     default           4096            16384
///     below 16 TiB    big               4096            32768
///     the rest        huge              4096            65536
///
/// Source: misc/mke2fs.c (parse_fs_type, PRS) and misc/mke2fs.conf.in of e2fsprogs 1.47.
public struct MakeOptions: Sendable {
  /// Bytes that the volume may take. What is no whole number of blocks at its end stays unused.
  public var byteCount: UInt64
  /// Bytes of a block: a power of two from 1,024 to 65,536.
  public var blockSize: Int?
  /// The least that the device transfers, in bytes: blocks are not smaller.
  public var deviceBlockSize = 512
  /// Bytes of an inode: a power of two from 128 to the block size, and at most 32,768, which is what 16 bits can say;
  /// 256 unless told. Revision 0 always has 128.
  public var inodeSize: Int?
  /// How many inodes there are to be, at least; the groups' inode tables are filled up.
  public var inodeCount: UInt64?
  /// One inode for so many bytes, 1 KiB to 64 MiB, where `inodeCount` is nil.
  public var bytesPerInode: UInt64?
  /// Blocks that only root may take, in percent of all: 0 to 50.
  public var reservedPercent = 5.0
  /// The volume's label, at most 16 bytes of UTF-8.
  public var label = ""
  /// What identifies the volume.
  public var uuid: VolumeUUID
  /// What directories hash names with.
  public var hashSeed: VolumeUUID
  /// 0 or 1.
  public var revision: UInt32 = 1
  /// The features; nil: the usual ones of the revision.
  public var features: FeatureSet?
  /// The owner of the root directory.
  public var rootUser: UInt32 = 0
  /// The owner's group of the root directory.
  public var rootGroup: UInt32 = 0
  /// When the volume is made, in seconds since 1970.
  public var seconds: Int64

  /// A volume with everything as usual. The same values make the same bytes.
  public init(byteCount: UInt64, uuid: VolumeUUID, hashSeed: VolumeUUID, seconds: Int64) {
    self.byteCount = byteCount
    self.uuid = uuid
    self.hashSeed = hashSeed
    self.seconds = seconds
  }

  /// What the size suggests.
  var usual: (blockSize: Int, bytesPerInode: UInt64) {
    switch byteCount {
    case ..<(3 << 20): (max(1024, deviceBlockSize), 8192)
    case ..<(512 << 20): (max(1024, deviceBlockSize), 4096)
    case ..<(4 << 40): (max(4096, deviceBlockSize), 16384)
    case ..<(16 << 40): (max(4096, deviceBlockSize), 32768)
    default: (max(4096, deviceBlockSize), 65536)
    }
  }

  /// Checks every option by itself.
  func check() throws(MakeError) {
    func check(_ condition: Bool, _ option: String, _ why: @autoclosure () -> String) throws(MakeError) {
      guard condition else { throw .invalid(option: option, why: why()) }
    }
    let blockSize = self.blockSize ?? usual.blockSize
    try check(
      (1024...65536).contains(blockSize) && blockSize.nonzeroBitCount == 1, "block-size",
      "\(blockSize): must be a power of two from 1024 to 65536")
    try check(
      blockSize >= deviceBlockSize, "block-size",
      "\(blockSize): the device transfers no less than \(deviceBlockSize) bytes")
    try check(revision <= 1, "revision", "\(revision): must be 0 or 1")
    let inodeSize = self.inodeSize ?? 256
    try check(
      (128...min(blockSize, 32768)).contains(inodeSize) && inodeSize.nonzeroBitCount == 1, "inode-size",
      "\(inodeSize): must be a power of two from 128 to \(min(blockSize, 32768)), with blocks of \(blockSize) bytes")
    try check(
      revision > 0 || self.inodeSize == nil || inodeSize == 128, "inode-size",
      "\(inodeSize): revision 0 has inodes of 128 bytes")
    try check(
      (1024...(64 << 20)).contains(bytesPerInode ?? 1024), "bytes-per-inode",
      "\(bytesPerInode ?? 0): must be 1024 to 67108864")
    try check(
      (1...UInt64(UInt32.max)).contains(inodeCount ?? 1), "inodes", "\(inodeCount ?? 0): must be 1 to 4294967295")
    try check(reservedPercent >= 0 && reservedPercent <= 50, "reserved-percent", "\(reservedPercent): must be 0 to 50")
    try check(label.utf8.count <= 16, "label", "'\(label)': \(label.utf8.count) bytes, and there is room for 16")
    try check(!label.utf8.contains(0), "label", "contains a NUL")
    try check(
      (0...Int64(UInt32.max)).contains(seconds), "time", "\(seconds): must be 0 to 4294967295 seconds since 1970")

    let features = self.features ?? FeatureSet()
    try check(revision > 0 || features.isEmpty, "features", "revision 0 has none")
    let isResizable = features.compatible.contains(.resizeInode)
    try check(
      !isResizable || !features.incompatible.contains(.metaBlockGroups), "features",
      "resize_inode and meta_bg exclude each other")
    try check(
      !isResizable || features.readOnlyCompatible.contains(.sparseSuper), "features",
      "resize_inode needs sparse_super")
  }
}
