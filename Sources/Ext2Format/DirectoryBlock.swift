/// How this volume lays out one block of a directory, and how to read it.
///
/// The entries of a block follow each other without gaps and never cross its end; deleted ones are merged into the one
/// before. Each step through a block is checked, so a caller may read bytes that `check` has not seen: what is wrong
/// is thrown, and every step moves forward by at least twelve bytes.
///
/// Blocks of a hash index (`InodeFlags.index`) need no care when reading: the root of the index hides behind the entry
/// "..", which reaches to the end of the block, and the inner blocks look like one unused entry.
///
/// In a volume without the `filetype` feature the byte after `name_len` is the upper half of a 16-bit length. No name
/// is longer than 255, so it is written as zero; it is ignored on reading, because volumes that once had the feature
/// keep types there (fs/ext2/dir.c reads eight bits in either case).
///
/// Source: fs/ext2/dir.c (ext2_check_folio, ext2_find_entry).
package struct DirectoryBlock: Sendable {
  /// Bytes of a block; spans given to this type must have as many.
  package let blockSize: Int
  /// Whether entries tell types.
  package let hasFileTypes: Bool
  /// The largest inode number an entry may hold.
  package let inodeCount: UInt32

  /// The directory format of a volume.
  package init(layout: VolumeLayout) {
    self.init(blockSize: layout.blockSize, hasFileTypes: layout.hasFileTypes, inodeCount: layout.inodeCount)
  }

  /// A directory format from its parts. The block size must be a power of two from 1 to 64 KiB.
  package init(blockSize: Int, hasFileTypes: Bool, inodeCount: UInt32) {
    precondition(blockSize.nonzeroBitCount == 1 && (1024...65536).contains(blockSize), "not a block size")
    self.blockSize = blockSize
    self.hasFileTypes = hasFileTypes
    self.inodeCount = inodeCount
  }

  // MARK: Steps

  /// The checked entry at an offset where one begins: 0, or where the one before ends.
  ///
  /// - Throws: `invalid`, naming `block`, the offset and the field.
  @inline(__always)
  package func entry(
    at offset: Int, in bytes: RawSpan, block: BlockNumber
  ) throws(FormatError) -> DirectoryEntry {
    guard offset >= 0, offset <= blockSize - DirectoryEntry.minimumRecordLength, blockSize == bytes.byteCount else {
      throw misplaced(offset, bytes, block)
    }
    let recordLength = decodeRecordLength(bytes.integer(at: offset + 4))
    let nameLength = Int(bytes.integer(at: offset + 6, as: UInt8.self))
    let inode = bytes.integer(at: offset, as: UInt32.self)
    guard
      recordLength & 3 == 0, recordLength >= DirectoryEntry.minimumRecordLength,
      recordLength <= blockSize - offset, DirectoryEntry.neededLength(nameLength: nameLength) <= recordLength,
      inode <= inodeCount
    else {
      throw malformed(offset, recordLength, nameLength, inode, block)
    }
    return DirectoryEntry(
      offset: offset, recordLength: recordLength, inode: InodeNumber(rawValue: inode), nameLength: nameLength,
      type: hasFileTypes ? InodeType(directoryCode: bytes.integer(at: offset + 7)) : nil)
  }

  /// The first used entry at or after an offset where an entry begins, or nil at the end of the block.
  ///
  /// To visit all: start at 0 and go on at `entry.offset + entry.recordLength`.
  package func nextUsed(
    from offset: Int, in bytes: RawSpan, block: BlockNumber
  ) throws(FormatError) -> DirectoryEntry? {
    var offset = offset
    while offset < blockSize {
      let found = try entry(at: offset, in: bytes, block: block)
      if found.isUsed { return found }
      offset += found.recordLength
    }
    return nil
  }

  /// Where the first entry begins that is not before `offset`; the block size when there is none.
  ///
  /// For a reader that comes back to a block which changed meanwhile (fs/ext2/dir.c, ext2_validate_entry).
  package func boundary(
    atOrAfter offset: Int, in bytes: RawSpan, block: BlockNumber
  ) throws(FormatError) -> Int {
    var position = 0
    while position < min(offset, blockSize) {
      position += try entry(at: position, in: bytes, block: block).recordLength
    }
    return position
  }

  /// Checks the whole block: all steps, and that what is in use has names. What is in these is for `checkNames`: one that
  /// a power cut has torn keeps nobody from the others.
  package func check(_ bytes: RawSpan, block: BlockNumber) throws(FormatError) {
    var offset = 0
    while offset < blockSize {
      let found = try entry(at: offset, in: bytes, block: block)
      if found.isUsed {
        guard found.nameLength > 0 else {
          throw invalid(block, offset, "name_len", 0, "an entry in use without a name")
        }
      }
      offset += found.recordLength
    }
  }

  /// Checks that the names in use are names.
  package func checkNames(_ bytes: RawSpan, block: BlockNumber) throws(FormatError) {
    var offset = 0
    while let entry = try nextUsed(from: offset, in: bytes, block: block) {
      try checkName(of: entry, in: bytes, block: block)
      offset = entry.offset + entry.recordLength
    }
  }

  /// Checks that the name of an entry is one, for whoever is going to show it (fs/readdir.c, verify_dirent_name).
  package func checkName(of entry: DirectoryEntry, in bytes: RawSpan, block: BlockNumber) throws(FormatError) {
    for position in entry.nameRange {
      let byte = bytes.integer(at: position, as: UInt8.self)
      guard byte != 0, byte != UInt8(ascii: "/") else {
        throw invalid(block, entry.offset, "name", UInt64(byte), "a name with a slash or a NUL")
      }
    }
  }

  // MARK: Searching

  /// The entry with a name, or nil.
  package func find(
    _ name: Span<UInt8>, in bytes: RawSpan, block: BlockNumber
  ) throws(FormatError) -> DirectoryEntry? {
    let wanted = unsafe name.bytes
    let length = wanted.byteCount
    guard length > 0, length <= DirectoryEntry.maximumNameLength else { return nil }
    var offset = 0
    while offset < blockSize {
      let found = try entry(at: offset, in: bytes, block: block)
      if found.nameLength == length, found.isUsed, Self.equal(wanted, bytes, at: offset + 8) { return found }
      offset += found.recordLength
    }
    return nil
  }

  /// The entry at an offset, if one in use begins there that has this name; nil otherwise.
  package func entry(
    named name: Span<UInt8>, at offset: Int, in bytes: RawSpan, block: BlockNumber
  ) throws(FormatError) -> DirectoryEntry? {
    let found = try entry(at: offset, in: bytes, block: block)
    let wanted = unsafe name.bytes
    return found.nameLength == wanted.byteCount && found.isUsed && Self.equal(wanted, bytes, at: offset + 8)
      ? found : nil
  }

  /// Whether the block holds nothing but "." (naming `directory`) and "..", or nothing (fs/ext2/dir.c,
  /// ext2_empty_dir). A directory is empty when all its blocks are.
  package func holdsOnlyDots(
    _ bytes: RawSpan, of directory: InodeNumber, block: BlockNumber
  ) throws(FormatError) -> Bool {
    var offset = 0
    while let found = try nextUsed(from: offset, in: bytes, block: block) {
      let dot = UInt8(ascii: ".")
      let isDot = found.nameLength == 1 && bytes.integer(at: offsetOfName(found)) == dot && found.inode == directory
      let isDotDot =
        found.nameLength == 2 && bytes.integer(at: offsetOfName(found)) == UInt16(dot) << 8 | UInt16(dot)
      guard isDot || isDotDot else { return false }
      offset = found.offset + found.recordLength
    }
    return true
  }

  private func offsetOfName(_ entry: DirectoryEntry) -> Int { entry.nameRange.lowerBound }

  /// Compares eight bytes at a time; the name in the block was checked to lie inside it.
  @inline(__always)
  private static func equal(_ name: RawSpan, _ bytes: RawSpan, at offset: Int) -> Bool {
    var index = 0
    while index + 8 <= name.byteCount {
      guard name.integer(at: index, as: UInt64.self) == bytes.integer(at: offset + index) else { return false }
      index += 8
    }
    while index < name.byteCount {
      guard name.integer(at: index, as: UInt8.self) == bytes.integer(at: offset + index) else { return false }
      index += 1
    }
    return true
  }

  // MARK: Record lengths

  /// A block of 64 KiB has one length that 16 bits cannot hold: it is written as 0xFFFF, and some wrote 0
  /// (fs/ext2/dir.c, ext2_rec_len_from_disk; lib/ext2fs/dirblock.c).
  @inline(__always)
  func decodeRecordLength(_ raw: UInt16) -> Int {
    blockSize == 65536 && (raw == 0xFFFF || raw == 0) ? blockSize : Int(raw)
  }

  /// The other way; see `decodeRecordLength`.
  func encodeRecordLength(_ length: Int) -> UInt16 { length == 65536 ? 0xFFFF : UInt16(length) }

  // MARK: Errors, kept out of the way of the checks

  private func invalid(
    _ block: BlockNumber, _ offset: Int, _ field: String, _ value: UInt64, _ why: String
  ) -> FormatError {
    .invalid(.directoryBlock, at: .blockByte(block, offset: offset), field: field, value: value, why: why)
  }

  @inline(never)
  private func misplaced(_ offset: Int, _ bytes: RawSpan, _ block: BlockNumber) -> FormatError {
    guard bytes.byteCount == blockSize else {
      return .truncated(.directoryBlock, neededBytes: blockSize, availableBytes: bytes.byteCount)
    }
    precondition(offset >= 0 && offset <= blockSize, "an offset outside the block")
    return invalid(block, offset, "rec_len", UInt64(offset), "the entry before leaves no room for this one")
  }

  @inline(never)
  private func malformed(
    _ offset: Int, _ recordLength: Int, _ nameLength: Int, _ inode: UInt32, _ block: BlockNumber
  ) -> FormatError {
    let length = UInt64(recordLength)
    if recordLength < DirectoryEntry.minimumRecordLength {
      return invalid(block, offset, "rec_len", length, "smaller than the smallest entry")
    }
    if recordLength & 3 != 0 { return invalid(block, offset, "rec_len", length, "not a multiple of four") }
    if recordLength > blockSize - offset {
      return invalid(block, offset, "rec_len", length, "reaches over the end of the block")
    }
    if DirectoryEntry.neededLength(nameLength: nameLength) > recordLength {
      return invalid(block, offset, "name_len", UInt64(nameLength), "the name does not fit into the entry")
    }
    return invalid(block, offset, "inode", UInt64(inode), "the volume has no such inode")
  }
}
