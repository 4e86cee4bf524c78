// Changing a directory block: fs/ext2/dir.c (ext2_add_link, ext2_delete_entry, ext2_set_link, ext2_make_empty).
//
// Each of these is one step over bytes in memory. In a directory with a hash index the caller clears
// `InodeFlags.index` before the first of them: the space behind ".." in which the index hides counts as free here.

extension DirectoryBlock {
  /// The offset of the first entry with room for a name behind its own, or nil.
  ///
  /// - Throws: `invalid` for a malformed entry before the room.
  package func room(
    forNameLength nameLength: Int, in bytes: RawSpan, block: BlockNumber
  ) throws(FormatError) -> Int? {
    let needed = DirectoryEntry.neededLength(nameLength: nameLength)
    var offset = 0
    while offset < blockSize {
      let found = try entry(at: offset, in: bytes, block: block)
      if found.spareLength >= needed { return offset }
      offset += found.recordLength
    }
    return nil
  }

  /// The most bytes that a new entry may have in this block; zero when there is no room at all.
  package func largestRoom(in bytes: RawSpan, block: BlockNumber) throws(FormatError) -> Int {
    var largest = 0
    var offset = 0
    while offset < blockSize {
      let found = try entry(at: offset, in: bytes, block: block)
      largest = max(largest, found.spareLength)
      offset += found.recordLength
    }
    return largest
  }

  /// Adds an entry where there is room: in an unused entry, or behind the name of one that is longer than it needs.
  ///
  /// The caller has made sure that the directory does not have the name yet. Bytes that pad the name are zeroed.
  ///
  /// - Parameter type: stored when the volume has the `filetype` feature.
  /// - Returns: where the entry begins; nil when no entry has room, and nothing has changed then.
  /// - Throws: `invalid` for a malformed entry before the room; nothing has changed then.
  @discardableResult
  package func insert(
    _ name: Span<UInt8>, inode: InodeNumber, type: InodeType, into bytes: inout MutableRawSpan, block: BlockNumber
  ) throws(FormatError) -> Int? {
    guard let offset = try room(forNameLength: name.count, in: bytes.bytes, block: block) else { return nil }
    return try insert(name, inode: inode, type: type, at: offset, into: &bytes, block: block)
  }

  /// As `insert`, behind the entry at an offset that `room` has told; nil when that has no room any more.
  package func insert(
    _ name: Span<UInt8>, inode: InodeNumber, type: InodeType, at offset: Int, into bytes: inout MutableRawSpan,
    block: BlockNumber
  ) throws(FormatError) -> Int? {
    precondition(name.count >= 1 && name.count <= DirectoryEntry.maximumNameLength, "not the length of a name")
    precondition(inode != .none && inode.rawValue <= inodeCount, "the volume has no such inode")
    let found = try entry(at: offset, in: bytes.bytes, block: block)
    guard found.spareLength >= DirectoryEntry.neededLength(nameLength: name.count) else { return nil }
    let used = found.recordLength - found.spareLength
    if used > 0 { bytes.store(encodeRecordLength(used), at: offset + 4) }
    store(name, inode, type, at: offset + used, recordLength: found.spareLength, &bytes)
    return offset + used
  }

  /// Removes an entry of this block: the one before takes its space; the first of a block becomes unused.
  ///
  /// - Returns: the bytes that a new entry may have there now.
  /// - Throws: `invalid` for a malformed entry on the way, or when the entry is not there any more: a block that two
  ///   directories share may change under the lock of one. Nothing has changed then.
  @discardableResult
  package func remove(
    _ victim: DirectoryEntry, from bytes: inout MutableRawSpan, block: BlockNumber
  ) throws(FormatError) -> Int {
    var previous: DirectoryEntry?
    var offset = 0
    while offset < victim.offset {
      let found = try entry(at: offset, in: bytes.bytes, block: block)
      previous = found
      offset += found.recordLength
    }
    guard offset == victim.offset, case let found = try entry(at: offset, in: bytes.bytes, block: block),
      found.inode == victim.inode, found.nameLength == victim.nameLength
    else {
      throw .invalid(
        .directoryBlock, at: .blockByte(block, offset: victim.offset), field: "inode",
        value: UInt64(victim.inode.rawValue), why: "its entry was removed under the directory's lock")
    }
    if let previous {
      bytes.store(encodeRecordLength(previous.recordLength + found.recordLength), at: previous.offset + 4)
    }
    bytes.store(UInt32(0), at: offset)
    return (previous?.spareLength ?? 0) + found.recordLength
  }

  /// Removes the entry with a name. Returns it, or nil when the block does not have it.
  @discardableResult
  package func remove(
    name: Span<UInt8>, from bytes: inout MutableRawSpan, block: BlockNumber
  ) throws(FormatError) -> DirectoryEntry? {
    guard let found = try find(name, in: bytes.bytes, block: block) else { return nil }
    try remove(found, from: &bytes, block: block)
    return found
  }

  /// Lets an entry of this block name another inode, as rename does with the target and with "..".
  package func setTarget(
    of entry: DirectoryEntry, inode: InodeNumber, type: InodeType, in bytes: inout MutableRawSpan
  ) {
    precondition(bytes.byteCount == blockSize, "not a block")
    precondition(inode != .none && inode.rawValue <= inodeCount, "the volume has no such inode")
    bytes.store(inode.rawValue, at: entry.offset)
    bytes.store(hasFileTypes ? type.directoryCode : 0, at: entry.offset + 7)
  }

  /// Makes a block without entries in use: one unused entry that spans it.
  package func initializeEmpty(_ bytes: inout MutableRawSpan) {
    precondition(bytes.byteCount == blockSize, "not a block")
    bytes.zero(at: 0, count: blockSize)
    bytes.store(encodeRecordLength(blockSize), at: 4)
  }

  /// Makes the first block of a directory: "." and "..".
  package func initializeDots(_ bytes: inout MutableRawSpan, directory: InodeNumber, parent: InodeNumber) {
    precondition(bytes.byteCount == blockSize, "not a block")
    bytes.zero(at: 0, count: blockSize)
    let dots: [2 of UInt8] = [UInt8(ascii: "."), UInt8(ascii: ".")]
    store(dots.span.extracting(first: 1), directory, .directory, at: 0, recordLength: 12, &bytes)
    store(dots.span, parent, .directory, at: 12, recordLength: blockSize - 12, &bytes)
  }

  private func store(
    _ name: Span<UInt8>, _ inode: InodeNumber, _ type: InodeType, at offset: Int, recordLength: Int,
    _ bytes: inout MutableRawSpan
  ) {
    bytes.store(inode.rawValue, at: offset)
    bytes.store(encodeRecordLength(recordLength), at: offset + 4)
    bytes.store(UInt8(name.count), at: offset + 6)
    bytes.store(hasFileTypes ? type.directoryCode : 0, at: offset + 7)
    bytes.store(name, at: offset + DirectoryEntry.headerByteCount)
    let end = DirectoryEntry.headerByteCount + name.count
    bytes.zero(at: offset + end, count: DirectoryEntry.neededLength(nameLength: name.count) - end)
  }
}
