/// The superblock: 1024 bytes at byte 1024 of the device, and its copies.
///
/// The value keeps all 1024 bytes as they were read, and each property is a view of a few of them: what this module
/// does not know survives a read and a write. Decoding checks the magic number and the length only;
/// `validate(deviceByteCount:)` checks the rest and is the only way to a `VolumeLayout`.
///
///     offset size field                      offset size field
///          0    4 s_inodes_count                 80    2 s_def_resuid
///          4    4 s_blocks_count                 82    2 s_def_resgid
///          8    4 s_r_blocks_count               84    4 s_first_ino          (from here on revision 1)
///         12    4 s_free_blocks_count            88    2 s_inode_size
///         16    4 s_free_inodes_count            90    2 s_block_group_nr     (group of this copy)
///         20    4 s_first_data_block             92    4 s_feature_compat
///         24    4 s_log_block_size (KiB, log2)   96    4 s_feature_incompat
///         28    4 s_log_frag_size               100    4 s_feature_ro_compat
///         32    4 s_blocks_per_group            104   16 s_uuid
///         36    4 s_frags_per_group             120   16 s_volume_name
///         40    4 s_inodes_per_group            136   64 s_last_mounted
///         44    4 s_mtime                       200    4 s_algorithm_usage_bitmap
///         48    4 s_wtime                       204    1 s_prealloc_blocks
///         52    2 s_mnt_count                   205    1 s_prealloc_dir_blocks
///         54    2 s_max_mnt_count (signed)      206    2 s_reserved_gdt_blocks
///         56    2 s_magic (0xEF53)              208   16 s_journal_uuid
///         58    2 s_state                       224    4 s_journal_inum
///         60    2 s_errors                      228    4 s_journal_dev
///         62    2 s_minor_rev_level             232    4 s_last_orphan
///         64    4 s_lastcheck                   236   16 s_hash_seed (four words)
///         68    4 s_checkinterval               252    1 s_def_hash_version
///         72    4 s_creator_os                  256    4 s_default_mount_opts
///         76    4 s_rev_level                   260    4 s_first_meta_bg
///                                               264    4 s_mkfs_time
///                                               348    2 s_min_extra_isize
///                                               350    2 s_want_extra_isize
///                                               352    4 s_flags
///                                               584    4 s_overhead_clusters
///
/// Source: fs/ext2/ext2.h and lib/ext2fs/ext2_fs.h of e2fsprogs.
package struct Superblock: Equatable, Sendable {
  /// Bytes a superblock has.
  package static let byteCount = 1024
  /// Where the primary superblock lies on the device, in bytes, whatever the block size.
  package static let primaryByteOffset = 1024
  /// The magic number of ext2, ext3 and ext4.
  package static let magicNumber: UInt16 = 0xEF53

  /// The structure as it lies on the disk.
  package private(set) var bytes: [UInt8]

  /// An empty superblock that has nothing but its magic number, for making a volume.
  package init() {
    bytes = [UInt8](repeating: 0, count: Self.byteCount)
    store(Self.magicNumber, at: 56)
  }

  /// Takes the 1024 bytes of a superblock at a byte offset, such as 1024 in block 0 of a volume with large blocks.
  /// Throws `truncated` or `notExt2`.
  package init(decoding source: RawSpan, at offset: Int = 0) throws(FormatError) {
    precondition(offset >= 0, "a negative offset")
    guard source.byteCount - offset >= Self.byteCount else {
      throw .truncated(
        .superblock, neededBytes: Self.byteCount, availableBytes: max(0, source.byteCount - offset))
    }
    let magic = source.integer(at: offset + 56, as: UInt16.self)
    guard magic == Self.magicNumber else { throw .notExt2(magic: magic) }
    bytes = source.copy(at: offset, count: Self.byteCount)
  }

  /// Writes all 1024 bytes at a byte offset.
  package func encode(into destination: inout MutableRawSpan, at offset: Int = 0) {
    destination.store(bytes.span, at: offset)
  }

  /// The field at an offset.
  func load<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int) -> T {
    unsafe bytes.span.bytes.integer(at: offset)
  }

  /// Changes the field at an offset.
  mutating func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
    var target = bytes.mutableSpan
    var raw = unsafe target.mutableBytes
    raw.store(value, at: offset)
  }

  /// Bytes of a field up to its first NUL.
  func text(_ offset: Int, _ count: Int) -> [UInt8] { Array(bytes[offset..<offset + count].prefix { $0 != 0 }) }

  /// Fills a field with text and NULs; what does not fit is cut.
  mutating func setText(_ text: [UInt8], _ offset: Int, _ count: Int) {
    for index in 0..<count { bytes[offset + index] = index < text.count ? text[index] : 0 }
  }
}
