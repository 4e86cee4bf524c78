// Which superblock to believe: the primary one, the one that was asked for, or, as e2fsck does where the primary one
// makes no sense, the first copy that is found (e2fsck/unix.c, main; e2fsck/util.c, get_backup_sb).
internal import Ext2Format
internal import SystemPackage

extension CheckRun {
  /// Finds the superblock and reads the descriptors that go with it.
  mutating func openVolume(_ options: VolumeChecker.Options) throws(CheckFailure) {
    guard reader.byteCount >= 2048 else { throw .tooSmall(byteCount: reader.byteCount) }
    if let block = options.superblock {
      try openCopy(block, options.blockSize)
    } else {
      try openPrimaryOrCopy()
    }
    let unknown = CheckGeometry.unknownFeatures(
      geometry.compatible, geometry.incompatible, geometry.readOnlyCompatible)
    guard unknown.isEmpty else { throw .unsupportedFeatures(unknown) }
    do { try geometry.checkValues() } catch { throw error.failure }
  }

  private mutating func openCopy(_ block: UInt32, _ blockSize: Int?) throws(CheckFailure) {
    var last = CheckFailure.beyondEnd(block: block)
    for log2 in 10...16 where blockSize == nil || blockSize == 1 << log2 {
      let offset = UInt64(block) << UInt64(log2)
      guard offset + UInt64(Superblock.byteCount) <= reader.byteCount else { break }
      do {
        let found = try read(at: offset)
        guard found.blockSizeLog2 == log2 else { continue }
        use(found)
        _ = readDescriptors(superblock: block)
        return
      } catch { last = error.failure }
    }
    throw last
  }

  private mutating func openPrimaryOrCopy() throws(CheckFailure) {
    let refusal: CheckGeometry.Refusal
    do {
      let primary = try read(at: UInt64(Superblock.primaryByteOffset))
      use(primary)
      if readDescriptors(superblock: primary.firstDataBlock) || primary.groupCount == 1 { return }
      // The superblock is good, its descriptors are not.
      if let copy = findCopy(of: primary), let found = try? read(at: copy.byteOffset) {
        use(found)
        _ = readDescriptors(superblock: copy.block)
        add(CheckFinding(.descriptorsReplaced, block: copy.block))
        return
      }
      use(primary)
      _ = readDescriptors(superblock: primary.firstDataBlock)
      return
    } catch { refusal = error }
    switch refusal {
    case .features, .revision: throw refusal.failure
    case .magic, .field, .unreadable: break
    }
    guard let copy = findCopy(of: nil), let found = try? read(at: copy.byteOffset) else { throw refusal.failure }
    use(found)
    _ = readDescriptors(superblock: copy.block)
    add(CheckFinding(.superblockReplaced, block: copy.block))
  }

  private mutating func use(_ found: CheckGeometry) {
    geometry = found
    reader.blockSizeLog2 = found.blockSizeLog2
  }

  private func read(at offset: UInt64) throws(CheckGeometry.Refusal) -> CheckGeometry {
    var result: Result<CheckGeometry, CheckGeometry.Refusal>?
    let isRead = reader.bytes(at: offset, count: Superblock.byteCount, .table) { bytes in
      result = Result { () throws(CheckGeometry.Refusal) in try CheckGeometry(decoding: bytes) }
    }
    guard isRead, let result else {
      throw .unreadable(
        reader.failure(at: offset, count: Superblock.byteCount)
          ?? VolumeBytesError(step: "read", offset: offset, byteCount: Superblock.byteCount, errno: .ioError))
    }
    return try result.get()
  }

  /// The first block that holds a copy of a superblock: with what the primary one says of sizes, or with every block
  /// size in turn.
  private func findCopy(of primary: CheckGeometry?) -> (block: UInt32, byteOffset: UInt64)? {
    let sizes = primary.map { $0.blockSizeLog2...$0.blockSizeLog2 } ?? 10...16
    for log2 in sizes {
      let blocksPerGroup = primary.map { UInt64($0.blocksPerGroup) } ?? 8 << UInt64(log2)
      let limit = (primary.map { UInt64($0.blockCount) } ?? reader.byteCount >> UInt64(log2)) / blocksPerGroup
      var group = BackupGroups()
      while let next = group.next(), next <= limit {
        let block = next * blocksPerGroup + (log2 == 10 ? 1 : 0)
        guard block <= UInt64(UInt32.max) else { break }
        let offset = block << UInt64(log2)
        var isCopy = false
        let isRead = reader.bytes(at: offset, count: Superblock.byteCount, .table) { bytes in
          isCopy =
            bytes.integer(at: 56, as: UInt16.self) == Superblock.magicNumber
            && bytes.integer(at: 24, as: UInt32.self) == UInt32(log2 - 10)
        }
        if isRead && isCopy { return (UInt32(block), offset) }
      }
    }
    return nil
  }

  /// Reads the descriptors that belong to a superblock. Returns whether all of them make sense: each group's bitmaps and
  /// inode table lie in it, apart from each other and from the descriptors (lib/ext2fs/check_desc.c).
  private mutating func readDescriptors(superblock: UInt32) -> Bool {
    layout.places.removeAll(keepingCapacity: true)
    let perBlock = geometry.descriptorsPerBlock
    for index in 0..<geometry.descriptorBlocks {
      let count = Int(min(perBlock, geometry.groupCount - index * perBlock))
      let offset = geometry.descriptorBlock(index, superblock: superblock) << UInt64(geometry.blockSizeLog2)
      let isRead = reader.bytes(at: offset, count: geometry.blockSize, .table) { bytes in
        for position in 0..<count {
          let start = position * GroupDescriptor.byteCount
          layout.places.append(
            GroupLayout.Place(
              blockBitmap: bytes.integer(at: start), inodeBitmap: bytes.integer(at: start + 4),
              inodeTable: bytes.integer(at: start + 8), freeBlocks: bytes.integer(at: start + 12),
              freeInodes: bytes.integer(at: start + 14), directories: bytes.integer(at: start + 16),
              flags: bytes.integer(at: start + 18), unusedInodes: bytes.integer(at: start + 28)))
        }
      }
      // A volume that claims more groups than its device can hold is not worth the memory for the rest.
      if !isRead { return false }
    }
    for group in 0..<geometry.groupCount where misplaced(group) != nil { return false }
    return true
  }

  /// The field of a group's descriptor that makes no sense, or nil.
  func misplaced(_ group: UInt32) -> (field: String, value: UInt32)? {
    let place = layout.places[Int(group)]
    let begin = UInt64(geometry.firstBlock(of: group))
    let end = begin + UInt64(geometry.blockCount(of: group))
    let free = begin + geometry.leadingBlocks(of: group)
    let blocks = UInt64(place.blockBitmap)
    let inodes = UInt64(place.inodeBitmap)
    let table = UInt64(place.inodeTable)
    let tableEnd = table + UInt64(geometry.inodeTableBlocks)
    guard blocks >= free && blocks < end else { return ("bg_block_bitmap", place.blockBitmap) }
    guard inodes >= free && inodes < end && inodes != blocks else { return ("bg_inode_bitmap", place.inodeBitmap) }
    guard table >= free && tableEnd <= end && !(table..<tableEnd).contains(blocks),
      !(table..<tableEnd).contains(inodes)
    else { return ("bg_inode_table", place.inodeTable) }
    return nil
  }
}

/// The groups that hold copies of the superblock with `sparse_super`: 1, 3, 5, 7, 9, 25, 27 and so on
/// (ext2fs_list_backups).
private struct BackupGroups {
  private var three: UInt64 = 1
  private var five: UInt64 = 5
  private var seven: UInt64 = 7

  mutating func next() -> UInt64? {
    let least = min(three, five, seven)
    guard least < 1 << 40 else { return nil }
    if three == least { three *= 3 }
    if five == least { five *= 5 }
    if seven == least { seven *= 7 }
    return least
  }
}

extension CheckGeometry.Refusal {
  /// The same, as the caller gets it.
  var failure: CheckFailure {
    switch self {
    case .magic(let magic): .notExt2(magic: magic)
    case .revision(let revision): .revision(revision)
    case .features(let names): .unsupportedFeatures(names)
    case .field(let name, let value): .superblock(field: name, value: value)
    case .unreadable(let error): .unreadable(error)
    }
  }
}
