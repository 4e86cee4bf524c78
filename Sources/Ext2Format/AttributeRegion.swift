/// A place that holds extended attributes: a block of its own, or what an inode has left behind its fields.
///
///     block                                           inode of more than 128 bytes
///          0    4 h_magic (0xEA020000)                     128 + i_extra_isize   4 h_magic (0xEA020000)
///          4    4 h_refcount: inodes that share it                          +4   n entries
///          8    4 h_blocks, always 1                                        ...  values, to the end of the inode
///         12    4 h_hash of all entries; 0: not to be shared
///         16   16 reserved (the first word a checksum in ext4)
///         32    n entries
///        ...      values, to the end of the block
///
/// Nothing here allocates memory but what says so, so that a checker can look at every inode of a volume. Whatever the
/// bytes are, reading them ends: every entry lies behind the one before it. Source: fs/ext2/xattr.c, fs/ext4/xattr.c.
package struct AttributeRegion: Equatable, Sendable {
  /// The magic number of both forms.
  package static let magicNumber: UInt32 = 0xEA02_0000
  /// Bytes before the first entry in a block.
  package static let blockHeaderByteCount = 32
  /// Inodes that may share a block (`EXT2_XATTR_REFCOUNT_MAX`).
  package static let maximumReferenceCount: UInt32 = 1024

  /// Where the header begins.
  package let start: Int
  /// Where the first entry begins.
  package let firstEntry: Int
  /// Where the last value ends.
  package let end: Int
  /// What `e_value_offs` counts from.
  private let valueBase: Int
  /// Whether it is the rest of an inode, not a block.
  package let isInInode: Bool

  /// A whole block, from byte 0.
  package init(blockSize: Int) {
    (start, firstEntry, end, valueBase, isInInode) = (0, Self.blockHeaderByteCount, blockSize, 0, false)
  }

  /// The rest of an inode; nil when there is none: a small inode, or one whose `i_extra_isize` is 0.
  ///
  /// - Parameters:
  ///   - inodeStart: where the inode begins in the bytes, a block of the inode table for example.
  ///   - inodeSize: the bytes an inode has on this volume.
  ///   - extraSize: bytes in use after byte 128 (`InodeRecord.extraSize`).
  package init?(inodeAt inodeStart: Int, inodeSize: Int, extraSize: Int) {
    let start = inodeStart + InodeRecord.minimumByteCount + extraSize
    let end = inodeStart + inodeSize
    // Magic number and end mark must fit (fs/ext4/xattr.c, check_xattrs).
    guard extraSize >= 4, extraSize % 4 == 0, end - start >= 8 else { return nil }
    (self.start, firstEntry, self.end, valueBase, isInInode) = (start, start + 4, end, start + 4, true)
  }

  /// Bytes for entries, their end mark and values.
  package var capacity: Int { end - firstEntry }

  /// Whether there are attributes: an inode need not have any. The bytes must reach to the end of the region.
  package func isPresent(in bytes: RawSpan) -> Bool {
    bytes.integer(at: start, as: UInt32.self) == Self.magicNumber
  }

  // MARK: Reading

  /// Looks at the entry at an offset, where one begins; nil at the end mark.
  ///
  /// Throws when it does not lie in the region. Its value is not looked at; see `check`.
  package func entry(at offset: Int, in bytes: RawSpan, _ location: FormatError.Location) throws(FormatError)
    -> AttributeEntry?
  {
    func refuse(_ field: String, _ value: UInt64, _ why: String) -> FormatError {
      .invalid(.attributes, at: location, field: field, value: value, why: why)
    }
    guard offset <= end - 4 else { throw refuse("entry", UInt64(offset - start), "no end mark before the end") }
    if bytes.integer(at: offset, as: UInt32.self) == 0 { return nil }
    let nameLength = Int(bytes.integer(at: offset, as: UInt8.self))
    // After the name there is at least the end mark.
    guard offset + AttributeEntry.neededLength(nameLength: nameLength) <= end - 4 else {
      throw refuse("e_name_len", UInt64(nameLength), "the entry at byte \(offset - start) runs out of its place")
    }
    let valueOffset = Int(bytes.integer(at: offset + 2, as: UInt16.self))
    return AttributeEntry(
      offset: offset, namespace: AttributeNamespace(rawValue: bytes.integer(at: offset + 1)), nameLength: nameLength,
      valueStart: valueBase + valueOffset, valueLength: Int(bytes.integer(at: offset + 8, as: UInt32.self)),
      storedHash: bytes.integer(at: offset + 12))
  }

  /// Checks the header alone: whether these are attributes at all, and whose (fs/ext2/xattr.c, ext2_xattr_delete_inode).
  package func checkHeader(_ bytes: RawSpan, at location: FormatError.Location) throws(FormatError) {
    func check(_ condition: Bool, _ field: String, _ value: UInt64, _ why: String) throws(FormatError) {
      guard condition else { throw .invalid(.attributes, at: location, field: field, value: value, why: why) }
    }
    guard bytes.byteCount >= end else {
      throw .truncated(.attributes, neededBytes: end, availableBytes: bytes.byteCount)
    }
    let magic: UInt32 = bytes.integer(at: start)
    try check(magic == Self.magicNumber, "h_magic", UInt64(magic), "not the magic number of attributes, 0xea020000")
    if !isInInode {
      let (count, blocks) = (referenceCount(in: bytes), bytes.integer(at: start + 8, as: UInt32.self))
      try check(count > 0, "h_refcount", UInt64(count), "the block belongs to no inode")
      try check(blocks == 1, "h_blocks", UInt64(blocks), "attributes have one block")
    }
  }

  /// Checks everything that reading relies on: header, entries, and that values lie behind the entries and not over each
  /// other (e2fsck/pass1.c, check_ext_attr and check_ea_in_inode; fs/ext4/xattr.c, check_xattrs). Not the hashes: no
  /// kernel looks at them before it reads. For a region in an inode `isPresent` comes first.
  ///
  /// - Parameter location: of the block or the inode, for the message.
  package func check(_ bytes: RawSpan, at location: FormatError.Location) throws(FormatError) {
    func check(_ condition: Bool, _ field: String, _ value: UInt64, _ why: String) throws(FormatError) {
      guard condition else { throw .invalid(.attributes, at: location, field: field, value: value, why: why) }
    }
    try checkHeader(bytes, at: location)
    var namesEnd = firstEntry
    while let entry = try entry(at: namesEnd, in: bytes, location) { namesEnd = entry.end }
    namesEnd += 4
    var offset = firstEntry
    // Where values have been found so far: one outside of that need not be compared with each of them.
    var found = end..<end
    while let entry = try entry(at: offset, in: bytes, location) {
      try check(
        entry.namespace.rawValue != 0 || isInInode && entry.nameLength > 0, "e_name_index", 0,
        "the entry at byte \(offset - start) has no kind of name")
      try check(
        !entry.nameRange.contains { bytes.integer(at: $0, as: UInt8.self) == 0 }, "e_name_len",
        UInt64(entry.nameLength), "the name at byte \(offset - start) has a NUL in it")
      let valueBlock: UInt32 = bytes.integer(at: offset + 4)
      try check(valueBlock == 0, "e_value_block", UInt64(valueBlock), "values outside the block are ext4's")
      if entry.valueLength > 0 {
        try check(
          entry.valueLength <= end - valueBase, "e_value_size", UInt64(entry.valueLength), "more than there is room for"
        )
        try check(
          entry.valueStart >= namesEnd && entry.paddedValueRange.upperBound <= end, "e_value_offs",
          UInt64(entry.valueStart - valueBase),
          "the value of the entry at byte \(offset - start) lies outside its place")
        let range = entry.paddedValueRange
        var other = range.overlaps(found) ? firstEntry : offset
        while other < offset, let earlier = try self.entry(at: other, in: bytes, location) {
          try check(
            !earlier.paddedValueRange.overlaps(range), "e_value_offs", UInt64(entry.valueStart - valueBase),
            "two values lie over each other")
          other = earlier.end
        }
        found = min(found.lowerBound, range.lowerBound)..<max(found.isEmpty ? 0 : found.upperBound, range.upperBound)
      } else {
        try check(
          isInInode || entry.valueStart <= end, "e_value_offs", UInt64(entry.valueStart - valueBase), "out of the block"
        )
      }
      offset = entry.end
    }
  }

  /// The entry of a name in a region that was checked; nil when there is none. Blocks are sorted, inodes are not
  /// (fs/ext4/xattr.c, xattr_find_entry), and nothing is lost by looking at all of either.
  package func find(_ name: AttributeName, in bytes: RawSpan, _ location: FormatError.Location) throws(FormatError)
    -> AttributeEntry?
  {
    var offset = firstEntry
    while let entry = try entry(at: offset, in: bytes, location) {
      if entry.hasName(name, in: bytes) { return entry }
      offset = entry.end
    }
    return nil
  }

  // MARK: The header of a block

  /// How many inodes share the block (`h_refcount`).
  package func referenceCount(in bytes: RawSpan) -> UInt32 { bytes.integer(at: start + 4) }
  /// Changes it.
  package func setReferenceCount(_ count: UInt32, in bytes: inout MutableRawSpan) {
    bytes.store(count, at: start + 4)
  }
  /// The hash of all entries that the disk holds (`h_hash`); 0: the block is not to be shared.
  package func storedHash(in bytes: RawSpan) -> UInt32 { bytes.integer(at: start + 12) }

  // MARK: Hashes

  /// The first entry of a checked region whose hash belongs to neither sign of `char`; nil when all are right
  /// (e2fsck/pass1.c). In an inode 0 is right as well.
  package func firstWrongHash(in bytes: RawSpan, _ location: FormatError.Location) throws(FormatError)
    -> AttributeEntry?
  {
    var offset = firstEntry
    while let entry = try entry(at: offset, in: bytes, location) {
      let isRight =
        isInInode && entry.storedHash == 0 || entry.storedHash == entry.hash(in: bytes)
        || entry.storedHash == entry.hash(in: bytes, sign: .signed)
      if !isRight { return entry }
      offset = entry.end
    }
    return nil
  }

  /// The hash that the block should have, from the hashes its entries hold (fs/ext2/xattr.c, ext2_xattr_rehash).
  package func hash(in bytes: RawSpan, _ location: FormatError.Location) throws(FormatError) -> UInt32 {
    var hash: UInt32 = 0
    var offset = firstEntry
    while let entry = try entry(at: offset, in: bytes, location) {
      // Such an entry forbids sharing.
      if entry.storedHash == 0 { return 0 }
      hash = hash << 16 ^ hash >> 16 ^ entry.storedHash
      offset = entry.end
    }
    return hash
  }
}
