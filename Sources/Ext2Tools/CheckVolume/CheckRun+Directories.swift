// The second pass: the blocks of every directory, entry by entry (e2fsck/pass2.c, check_dir_block).
internal import Ext2Format

extension CheckRun {
  /// Goes over all directories, in the order of their inodes.
  mutating func checkDirectories() {
    let geometry = self.geometry!
    for position in directories.indices {
      let directory = directories[position]
      if directory.inode == InodeNumber.root.rawValue { directories[position].parent = directory.inode }
      checkDirectory(position, directory, geometry)
      if position & 1023 == 1023 { show(0.7, 0.2, UInt32(position), of: UInt32(directories.count)) }
    }
    if hasLargeFile && !geometry.readOnlyCompatible.contains(.largeFile) {
      add(CheckFinding(.largeFileFeature, field: "s_feature_ro_compat"))
    }
  }

  private mutating func checkDirectory(_ position: Int, _ directory: DirectoryRecord, _ geometry: CheckGeometry) {
    let reader = self.reader
    let group = (directory.inode - 1) / geometry.inodesPerGroup
    let isIndexed = inodes.index(of: directory.inode, group: group).map { inodes.entries[$0].flags.contains(.index) }
    // With a hole, which was told of, most of the index may be missing.
    let isWhole = directory.fileBlockCount == Int64(directory.blockCount)
    if isIndexed == true && isWhole { index.begin(blockCount: directory.blockCount) } else { index.end() }
    for number in directory.firstBlock..<directory.firstBlock + directory.blockCount {
      let record = directoryBlocks[number]
      let isRead = reader.blocks(record.block, .indirect) { bytes in
        checkBlock(bytes, record, position, directory.inode, geometry)
      }
      if !isRead {
        add(
          CheckFinding(
            .blockUnreadable, inode: directory.inode, block: record.block, fileBlock: Int64(record.fileBlock)))
      }
    }
    if index.isActive, let wrong = index.finish() {
      add(CheckFinding(.indexTree, inode: directory.inode, fileBlock: wrong.block, field: wrong.what))
    }
  }

  /// The length of an entry as the disk tells it. In a block of 64 KiB the lowest two bits stand for more than 16
  /// (ext2fs_get_rec_len).
  @inline(__always)
  private func recordLength(_ raw: UInt16, _ blockSize: Int) -> Int {
    if blockSize < 65536 { return Int(raw) }
    return raw == 0xFFFF || raw == 0 ? 65536 : Int(raw & 0xFFFC) | Int(raw & 3) << 16
  }

  private mutating func checkBlock(
    _ bytes: RawSpan, _ record: DirectoryBlockRecord, _ position: Int, _ inode: UInt32, _ geometry: CheckGeometry
  ) {
    let blockSize = geometry.blockSize
    names.beginBlock()
    if index.isActive {
      if let wrong = index.enter(bytes, record.fileBlock, geometry) {
        add(
          CheckFinding(.indexRoot, inode: inode, block: record.block, fileBlock: Int64(record.fileBlock), field: wrong))
      }
    }
    var offset = 0
    // 0: "." has to come, 1: "..", 2: anything.
    var expected = record.fileBlock == 0 ? 0 : 2
    while offset < blockSize {
      let length =
        blockSize - offset < 12 ? 12 : recordLength(bytes.integer(at: offset + 4), blockSize)
      let nameLength =
        blockSize - offset < 12 ? 0 : Int(bytes.integer(at: offset + 6, as: UInt8.self))
      if length > blockSize - offset || length < 12 || length & 3 != 0
        || DirectoryEntry.neededLength(nameLength: nameLength) > length
      {
        add(
          CheckFinding(
            .directoryEntry, inode: inode, block: record.block, fileBlock: Int64(record.fileBlock), offset: offset,
            field: "rec_len", found: UInt64(length)))
        return
      }
      let entry = EntryView(
        inode: bytes.integer(at: offset), offset: offset, length: length, nameLength: nameLength,
        type: bytes.integer(at: offset + 7))
      checkEntry(entry, expected, bytes, record, position, inode, geometry)
      offset += length
      if expected < 2 { expected += 1 }
    }
    if index.isActive, let wrong = index.leave(bytes, record.fileBlock) {
      // What a wrong block number leaves of the index nobody can say.
      add(
        CheckFinding(
          wrong.what == "block" ? .indexTree : .indexNode, inode: inode, block: record.block,
          fileBlock: Int64(record.fileBlock), field: wrong.what,
          found: wrong.value))
    }
  }

  /// An entry whose length and name lie in its block.
  private struct EntryView {
    let inode: UInt32
    let offset: Int
    let length: Int
    let nameLength: Int
    let type: UInt8

    /// Whether the name is "." or, with `count` 2, "..".
    func isDots(_ count: Int, _ bytes: RawSpan) -> Bool {
      let dot = UInt8(ascii: ".")
      return nameLength == count && bytes.integer(at: offset + 8) == dot
        && (count == 1 || bytes.integer(at: offset + 9) == dot)
    }
  }

  @inline(__always)
  private mutating func checkEntry(
    _ entry: EntryView, _ expected: Int, _ bytes: RawSpan, _ record: DirectoryBlockRecord, _ position: Int,
    _ directory: UInt32, _ geometry: CheckGeometry
  ) {
    func tell(
      _ run: inout CheckRun, _ kind: CheckFinding.Kind, _ field: String? = nil, _ found: UInt64? = nil,
      _ expected: UInt64? = nil
    ) {
      run.add(
        CheckFinding(
          kind, inode: directory, otherInode: entry.inode, block: record.block, fileBlock: Int64(record.fileBlock),
          offset: entry.offset, field: field, found: found, expected: expected,
          name: bytes.copy(at: entry.offset + DirectoryEntry.headerByteCount, count: entry.nameLength)))
    }
    if expected < 2 {
      // "." and "..", which also end in a NUL; where ".." points is for the next pass.
      if entry.inode == 0 {
        tell(&self, .dotMissing)
      } else if !entry.isDots(expected + 1, bytes)
        || bytes.integer(at: entry.offset + 9 + expected, as: UInt8.self) != 0
      {
        tell(&self, .dotWrong, "name")
      } else if expected == 1 {
        directories[position].dotDot = entry.inode
      }
      if expected == 0 {
        if entry.inode != directory && entry.inode != 0 {
          tell(&self, .dotWrong, "inode", UInt64(entry.inode), UInt64(directory))
        }
        if entry.length > 24 { tell(&self, .dotLong, "rec_len", UInt64(entry.length), 12) }
      }
    } else if entry.inode == directory {
      tell(&self, .entryToItself)
    }
    if entry.inode == 0 { return }

    let system = geometry.extraSystemInodes
    if entry.inode != InodeNumber.root.rawValue && entry.inode < geometry.firstInode
      || entry.inode > geometry.inodeCount || entry.inode == system[0] || entry.inode == system[1]
      || entry.inode == system[2] || entry.inode == system[3]
    {
      tell(&self, .entryInode, "inode", UInt64(entry.inode))
      return
    }
    if expected == 2 {
      if entry.isDots(1, bytes) || entry.isDots(2, bytes) {
        tell(&self, .entryDot)
      } else if entry.inode == InodeNumber.root.rawValue {
        tell(&self, .entryToRoot)
      } else if entry.nameLength == 0 {
        tell(&self, .entryNameEmpty)
      }
    }
    let group = (entry.inode - 1) / geometry.inodesPerGroup
    let place = layout.places[Int(group)]
    // As e2fsck counts, in 32 bits: more unused inodes than there are tell nothing.
    let firstUnused = (group &+ 1) &* geometry.inodesPerGroup &+ 1 &- UInt32(place.unusedInodes)
    if place.flags & 1 != 0 || entry.inode >= firstUnused {
      tell(&self, .entryInUnusedPart, "inode", UInt64(entry.inode))
    }
    let target = inodes.index(of: entry.inode, group: group)
    if let target {
      checkType(entry, inodes.entries[target].typeCode, geometry) { tell(&self, $0, "file_type", $1, $2) }
      inodes.count(target)
      let subdirectory = inodes.entries[target].directory
      if expected == 2 && subdirectory != UsedInodes.none {
        if directories[Int(subdirectory)].parent != 0 {
          tell(&self, .entryToDirectory)
        } else {
          directories[Int(subdirectory)].parent = directory
        }
      }
    } else {
      tell(&self, .entryUnusedInode, "inode", UInt64(entry.inode))
    }
    for byte in entry.offset + 8..<entry.offset + 8 + entry.nameLength {
      let character = bytes.integer(at: byte, as: UInt8.self)
      if character == 0 || character == UInt8(ascii: "/") {
        tell(&self, .entryName, "name", UInt64(character))
        break
      }
    }
    if index.isActive { index.count(bytes, entry.offset + 8, entry.nameLength) }
    if names.insert(entryAt: entry.offset, length: entry.nameLength, in: bytes) { tell(&self, .duplicateName) }
  }

  /// The type that an entry tells, where the volume has the feature; nothing where it does not.
  @inline(__always)
  private func checkType(
    _ entry: EntryView, _ type: UInt8, _ geometry: CheckGeometry,
    _ tell: (CheckFinding.Kind, UInt64, UInt64) -> Void
  ) {
    let expected = geometry.hasFileTypes ? type : 0
    if entry.type == expected { return }
    if !geometry.hasFileTypes { return tell(.entryTypeUnexpected, UInt64(entry.type), 0) }
    tell(entry.type == 0 ? .entryTypeMissing : .entryType, UInt64(entry.type), UInt64(expected))
  }
}
