/// One inode, as a value.
///
///     offset size field                       offset size field
///          0    2 i_mode                         100    4 i_generation
///          2    2 i_uid (low)                    104    4 i_file_acl
///          4    4 i_size (low)                   108    4 i_size_high, of regular files (else i_dir_acl)
///          8    4 i_atime                        112    4 i_faddr
///         12    4 i_ctime                        116    2 fragment, never used
///         16    4 i_mtime                        120    2 i_uid_high
///         20    4 i_dtime                        122    2 i_gid_high
///         24    2 i_gid (low)                    124    4 reserved (checksum in ext4)
///         26    2 i_links_count                  ----- inodes larger than 128 bytes (ext4's fields):
///         28    4 i_blocks (512 bytes each)      128    2 i_extra_isize: bytes used after byte 128
///         32    4 i_flags                        132    4 i_ctime_extra
///         36    4 i_osd1                         136    4 i_mtime_extra
///         40   60 i_block: 12 direct pointers,   140    4 i_atime_extra
///                 indirect, double, triple       144    4 i_crtime
///                                                148    4 i_crtime_extra
///
/// Encoding writes these fields and leaves all other bytes of the inode in place (attributes in the inode, fields of
/// other systems), so an inode is always encoded over the bytes it was decoded from, or over zeros.
/// Source: fs/ext2/ext2.h, fs/ext4/ext4.h.
package struct InodeRecord: Equatable, Sendable {
  /// Bytes that every inode has.
  package static let minimumByteCount = 128
  /// Direct pointers in `block`.
  package static let directBlockCount = 12

  /// Type and permissions.
  package var mode: FileMode
  /// The owner, 32 bits.
  package var userID: UInt32
  /// The owner's group, 32 bits.
  package var groupID: UInt32
  /// The size in bytes. Only regular files have more than 32 bits.
  package var size: UInt64
  /// Directory entries that name this inode.
  package var linkCount: UInt16
  /// Units of 512 bytes the inode owns: data, pointer blocks and attribute block (`i_blocks`).
  package var sectorCount: UInt32
  /// Flags.
  package var flags: InodeFlags
  /// Pointers, or the target of a short symbolic link, or the number of a device.
  package var block: [15 of UInt32]
  /// Tells apart the files that had this inode, for network file systems.
  package var generation: UInt32
  /// The block of extended attributes, or none.
  package var attributeBlock: BlockNumber
  /// When the contents were last read.
  package var accessTime: Timestamp
  /// When the inode last changed.
  package var changeTime: Timestamp
  /// When the contents last changed.
  package var modificationTime: Timestamp
  /// When the file was created, where the inode has room for it.
  package var creationTime: Timestamp?
  /// When the inode was freed, in seconds since 1970; zero: it was not. Ext4 keeps its list of orphans here.
  package var deletionTime: UInt32
  /// Bytes in use after byte 128 (`i_extra_isize`); 0 in an inode of 128 bytes.
  ///
  /// A number on the disk that cannot be right reads as 0: the inode is then treated as a small one, and encoding
  /// leaves what follows byte 128 untouched.
  package private(set) var extraSize: Int

  /// A new inode: no links, no blocks, all times alike.
  ///
  /// - Parameter extraSize: bytes to use after byte 128; 0 for inodes of 128 bytes, else a multiple of four, such as
  ///   `Superblock.wantedExtraInodeSize`.
  package init(mode: FileMode, time: Timestamp, extraSize: Int) {
    precondition(extraSize >= 0 && extraSize % 4 == 0, "a size no inode has")
    self.mode = mode
    self.extraSize = extraSize
    (userID, groupID, size, linkCount, sectorCount, generation, deletionTime) = (0, 0, 0, 0, 0, 0, 0)
    flags = []
    block = .init(repeating: 0)
    attributeBlock = .none
    (accessTime, changeTime, modificationTime) = (time, time, time)
    creationTime = Self.fits(152, extraSize) ? time : nil
  }

  /// Takes an inode from a block of the inode table.
  ///
  /// - Parameters:
  ///   - start: where the inode begins in the bytes.
  ///   - inodeSize: the bytes an inode has on this volume, at least 128.
  /// - Throws: `truncated` when the bytes end before the inode does; see `validate` for the rest.
  package init(decoding source: RawSpan, at start: Int = 0, inodeSize: Int) throws(FormatError) {
    precondition(inodeSize >= Self.minimumByteCount && start >= 0, "not a place or size of an inode")
    guard source.byteCount - start >= inodeSize else {
      throw .truncated(.inode, neededBytes: inodeSize, availableBytes: max(0, source.byteCount - start))
    }
    func word(_ offset: Int) -> UInt32 { source.integer(at: start + offset) }
    func half(_ offset: Int) -> UInt32 { UInt32(source.integer(at: start + offset, as: UInt16.self)) }

    mode = FileMode(rawValue: UInt16(half(0)))
    userID = half(2) | half(120) << 16
    groupID = half(24) | half(122) << 16
    size = UInt64(word(4)) | (mode.type == .regular ? UInt64(word(108)) << 32 : 0)
    linkCount = UInt16(half(26))
    sectorCount = word(28)
    flags = InodeFlags(rawValue: word(32))
    block = .init { word(40 + 4 * $0) }
    generation = word(100)
    attributeBlock = BlockNumber(rawValue: word(104))
    deletionTime = word(20)

    let stated = inodeSize >= 132 ? Int(half(128)) : 0
    let extraSize = stated % 4 == 0 && stated <= inodeSize - Self.minimumByteCount ? stated : 0
    self.extraSize = extraSize
    func time(_ offset: Int, _ extraOffset: Int) -> Timestamp {
      Timestamp(word: word(offset), extra: Self.fits(extraOffset + 4, extraSize) ? word(extraOffset) : nil)
    }
    accessTime = time(8, 140)
    changeTime = time(12, 132)
    modificationTime = time(16, 136)
    creationTime = Self.fits(152, extraSize) ? time(144, 148) : nil
  }

  /// Writes the known fields over the inode's bytes in a block of the inode table; what is not known stays.
  ///
  /// - Parameters:
  ///   - start: where the inode begins in the bytes.
  ///   - inodeSize: the bytes an inode has on this volume.
  ///   - isNew: the bytes held another file's inode, or none: they are zeroed first.
  package func encode(
    into destination: inout MutableRawSpan, at start: Int = 0, inodeSize: Int, isNew: Bool = false
  ) {
    precondition(inodeSize >= Self.minimumByteCount + extraSize, "the inode is smaller than its extra size")
    precondition(mode.type == .regular || size <= UInt64(UInt32.max), "only regular files exceed 4 GiB")
    if isNew { destination.zero(at: start, count: inodeSize) }
    destination.store(mode.rawValue, at: start)
    destination.store(UInt16(truncatingIfNeeded: userID), at: start + 2)
    destination.store(UInt16(truncatingIfNeeded: userID >> 16), at: start + 120)
    destination.store(UInt16(truncatingIfNeeded: groupID), at: start + 24)
    destination.store(UInt16(truncatingIfNeeded: groupID >> 16), at: start + 122)
    destination.store(UInt32(truncatingIfNeeded: size), at: start + 4)
    if mode.type == .regular { destination.store(UInt32(truncatingIfNeeded: size >> 32), at: start + 108) }
    destination.store(linkCount, at: start + 26)
    destination.store(sectorCount, at: start + 28)
    destination.store(flags.rawValue, at: start + 32)
    for index in block.indices { destination.store(block[index], at: start + 40 + 4 * index) }
    destination.store(generation, at: start + 100)
    destination.store(attributeBlock.rawValue, at: start + 104)
    destination.store(deletionTime, at: start + 20)
    if isNew && extraSize > 0 { destination.store(UInt16(extraSize), at: start + 128) }
    store(accessTime, start, 8, 140, &destination)
    store(changeTime, start, 12, 132, &destination)
    store(modificationTime, start, 16, 136, &destination)
    if let creationTime, Self.fits(152, extraSize) { store(creationTime, start, 144, 148, &destination) }
  }

  private func store(
    _ time: Timestamp, _ start: Int, _ offset: Int, _ extraOffset: Int, _ destination: inout MutableRawSpan
  ) {
    let hasExtra = Self.fits(extraOffset + 4, extraSize)
    let (word, extra) = time.encoded(hasExtra: hasExtra)
    destination.store(word, at: start + offset)
    if hasExtra { destination.store(extra, at: start + extraOffset) }
  }

  /// Whether the times have nanoseconds and reach beyond 2038 (`EXT4_FITS_IN_INODE` of the last of the three).
  package var hasExtraTimes: Bool { Self.fits(144, extraSize) }

  /// Whether a field that ends at a byte offset lies within the part of the inode that is in use.
  private static func fits(_ end: Int, _ extraSize: Int) -> Bool { end <= minimumByteCount + extraSize }

  package static func == (lhs: Self, rhs: Self) -> Bool {
    lhs.mode == rhs.mode && lhs.userID == rhs.userID && lhs.groupID == rhs.groupID && lhs.size == rhs.size
      && lhs.linkCount == rhs.linkCount && lhs.sectorCount == rhs.sectorCount && lhs.flags == rhs.flags
      && lhs.block.indices.allSatisfy { lhs.block[$0] == rhs.block[$0] } && lhs.generation == rhs.generation
      && lhs.attributeBlock == rhs.attributeBlock && lhs.accessTime == rhs.accessTime
      && lhs.changeTime == rhs.changeTime && lhs.modificationTime == rhs.modificationTime
      && lhs.creationTime == rhs.creationTime && lhs.deletionTime == rhs.deletionTime
      && lhs.extraSize == rhs.extraSize
  }
}
