// Extended attributes, in the inode and in blocks that inodes may share (e2fsck/pass1.c, check_inode_extra_space,
// check_ea_in_inode and check_ext_attr). An entry is 16 bytes and a name:
//
//     offset size field                 offset size field
//          0    1 e_name_len                 8    4 e_value_size
//          1    1 e_name_index              12    4 e_hash
//          2    2 e_value_offs              16    n the name, padded to four bytes
//          4    4 e_value_inum (zero in ext2)
internal import Ext2Format

extension CheckRun {
  /// The first thing that is wrong with attributes.
  typealias WrongAttribute = (kind: CheckFinding.Kind, field: String, value: UInt64)

  /// What attributes begin with (`EXT2_EXT_ATTR_MAGIC`).
  private static var magic: UInt32 { 0xEA02_0000 }
  private static var blockHeader: Int { 32 }

  // MARK: In the inode

  /// Whether the part of the inode behind its fields begins with attributes.
  func hasAttributesInside(_ inode: InodeView, _ table: RawSpan, _ geometry: CheckGeometry) -> Bool {
    guard geometry.inodeSize > 128 else { return false }
    let start = 128 + Int(table.integer(at: inode.start + 128, as: UInt16.self))
    return start + 4 <= geometry.inodeSize && table.integer(at: inode.start + start) == Self.magic
  }

  /// Checks how much of the inode its fields use, and the attributes behind them.
  mutating func checkExtraSpace(_ inode: InodeView, _ table: RawSpan, _ geometry: CheckGeometry) {
    let limit = geometry.inodeSize - 128
    let extra = Int(table.integer(at: inode.start + 128, as: UInt16.self))
    if extra != 0 && (extra < 4 || extra > limit || extra & 3 != 0) {
      add(CheckFinding(.extraSize, inode: inode.number, field: "i_extra_isize", found: UInt64(extra)))
      return
    }
    let begin = inode.start + 128 + extra
    if extra >= limit - 4 || table.integer(at: begin) != Self.magic { return }
    let attributes = table.extracting(begin..<inode.start + geometry.inodeSize)
    if let (kind, field, value) = firstWrongInside(attributes) {
      add(CheckFinding(kind, inode: inode.number, field: field, found: value))
    }
  }

  /// The first field that is wrong. A hash of zero is none: older kernels wrote none.
  private mutating func firstWrongInside(_ bytes: RawSpan) -> WrongAttribute? {
    regions.reset(byteCount: bytes.byteCount)
    _ = regions.claim(0, 4)
    var left = bytes.byteCount - 4
    var offset = 4
    while left >= 16, bytes.integer(at: offset, as: UInt32.self) != 0 {
      let nameLength = Int(bytes.integer(at: offset, as: UInt8.self))
      let length = (16 + nameLength + 3) & ~3
      guard regions.claim(offset, length) else { return (.attributesOverlap, "e_name_len", UInt64(nameLength)) }
      guard length <= left else { return (.attributesInInode, "e_name_len", UInt64(nameLength)) }
      left -= length
      let inode = bytes.integer(at: offset + 4, as: UInt32.self)
      guard inode == 0 else { return (.attributesOverlap, "e_value_inum", UInt64(inode)) }
      // Values count from the first entry.
      let valueOffset = 4 + Int(bytes.integer(at: offset + 2, as: UInt16.self))
      let valueSize = Int(bytes.integer(at: offset + 8, as: UInt32.self))
      guard valueSize <= left else { return (.attributesInInode, "e_value_size", UInt64(valueSize)) }
      guard valueSize == 0 || regions.claim(valueOffset, (valueSize + 3) & ~3) else {
        return (.attributesOverlap, "e_value_offs", UInt64(valueOffset - 4))
      }
      let hash = bytes.integer(at: offset + 12, as: UInt32.self)
      guard hash == 0 || Self.isHash(hash, bytes, offset, nameLength, valueOffset, valueSize) else {
        return (.attributesInInode, "e_hash", UInt64(hash))
      }
      left -= valueSize
      offset += length
    }
    return regions.claim(offset, 4) ? nil : (.attributesOverlap, "e_name_len", 0)
  }

  // MARK: In a block

  /// Checks the attribute block of an inode, once for all that share it. Returns whether it counts among the inode's
  /// blocks.
  mutating func checkAttributeBlock(_ inode: InodeView, _ geometry: CheckGeometry) -> Bool {
    let block = inode.attributeBlock
    // That the inode is wrong then was said with its other fields.
    guard geometry.compatible.contains(.extendedAttributes), geometry.contains(block) else { return false }
    let number = inode.number
    if let left = attributeBlocks[block] {
      attributeBlocks[block] = left - 1
      if let wrong = wrongAttributeBlocks[block] {
        add(CheckFinding(wrong.kind, inode: number, block: block, field: wrong.field, found: wrong.value))
      }
      return true
    }
    var references: Int64 = 1
    var wrong: WrongAttribute?
    let isRead = reader.blocks(block, .attributes) { bytes in
      references = Int64(bytes.integer(at: 4, as: UInt32.self))
      wrong = firstWrong(in: bytes)
    }
    if !isRead {
      add(CheckFinding(.blockUnreadable, inode: number, block: block))
    } else if let wrong {
      add(CheckFinding(wrong.kind, inode: number, block: block, field: wrong.field, found: wrong.value))
      wrongAttributeBlocks[block] = wrong
    }
    attributeBlocks[block] = references - 1
    if blocks.claim(block, geometry, layout) { add(CheckFinding(.blockShared, inode: number, block: block)) }
    return true
  }

  private mutating func firstWrong(in bytes: RawSpan) -> WrongAttribute? {
    let magic = bytes.integer(at: 0, as: UInt32.self)
    guard magic == Self.magic else { return (.attributeBlock, "h_magic", UInt64(magic)) }
    let count = bytes.integer(at: 8, as: UInt32.self)
    guard count == 1 else { return (.attributeBlock, "h_blocks", UInt64(count)) }
    regions.reset(byteCount: bytes.byteCount)
    _ = regions.claim(0, Self.blockHeader)
    var offset = Self.blockHeader
    while offset < bytes.byteCount, bytes.integer(at: offset, as: UInt32.self) != 0 {
      let nameLength = Int(bytes.integer(at: offset, as: UInt8.self))
      let length = (16 + nameLength + 3) & ~3
      guard regions.claim(offset, length) else { return (.attributeBlock, "e_name_len", UInt64(nameLength)) }
      guard bytes.integer(at: offset + 1, as: UInt8.self) != 0 else { return (.attributeBlock, "e_name_index", 0) }
      let inode = bytes.integer(at: offset + 4, as: UInt32.self)
      guard inode == 0 else { return (.attributeFeature, "e_value_inum", UInt64(inode)) }
      let valueOffset = Int(bytes.integer(at: offset + 2, as: UInt16.self))
      let valueSize = Int(bytes.integer(at: offset + 8, as: UInt32.self))
      guard valueSize <= 1 << 24, valueOffset + valueSize <= bytes.byteCount else {
        return (.attributeBlock, "e_value_size", UInt64(valueSize))
      }
      guard valueSize == 0 || regions.claim(valueOffset, (valueSize + 3) & ~3) else {
        return (.attributeBlock, "e_value_offs", UInt64(valueOffset))
      }
      let hash = bytes.integer(at: offset + 12, as: UInt32.self)
      guard Self.isHash(hash, bytes, offset, nameLength, valueOffset, valueSize) else {
        return (.attributeHash, "e_hash", UInt64(hash))
      }
      offset += length
    }
    guard regions.claim(offset, 4) else { return (.attributeBlock, "e_name_len", 0) }
    return nil
  }

  /// Whether a hash is that of an entry, with the bytes of its name as signed or unsigned numbers.
  private static func isHash(
    _ hash: UInt32, _ bytes: RawSpan, _ entry: Int, _ nameLength: Int, _ value: Int, _ valueSize: Int
  ) -> Bool {
    let name = entry + 16..<entry + 16 + nameLength
    let value = valueSize == 0 ? 0..<0 : value..<value + (valueSize + 3) & ~3
    return hash == AttributeEntry.hash(name: name, paddedValue: value, in: bytes, sign: .unsigned)
      || hash == AttributeEntry.hash(name: name, paddedValue: value, in: bytes, sign: .signed)
  }

  /// Whether each attribute block is shared by as many inodes as it says.
  mutating func checkAttributeReferences() {
    if attributeBlocks.isEmpty { return }
    for (block, left) in attributeBlocks.filter({ $0.value != 0 }).sorted(by: { $0.key < $1.key })
    where wrongAttributeBlocks[block] == nil {
      var stated: UInt32 = 0
      _ = reader.blocks(block, .attributes) { stated = $0.integer(at: 4) }
      add(
        CheckFinding(
          .attributeReferences, block: block, field: "h_refcount", found: UInt64(stated),
          expected: UInt64(clamping: Int64(stated) - left)))
    }
  }
}

/// Which bytes of a block or an inode something uses; nothing may be used twice.
struct ByteRegions {
  private var words: [UInt64] = []
  private var byteCount = 0

  mutating func reset(byteCount: Int) {
    let count = (byteCount + 63) / 64
    for index in 0..<min(count, words.count) { words[index] = 0 }
    while words.count < count { words.append(0) }
    self.byteCount = byteCount
  }

  /// Uses `count` bytes. Returns false when one of them is in use or outside.
  mutating func claim(_ start: Int, _ count: Int) -> Bool {
    guard start >= 0, count > 0, start <= byteCount, count <= byteCount - start else { return false }
    var isFree = true
    for pass in 0..<2 {
      var position = start
      while position < start + count {
        let end = min(start + count, (position | 63) + 1)
        let mask = (~0 as UInt64) << UInt64(position & 63) & (~0 as UInt64) >> UInt64(63 - (end - 1) & 63)
        if pass == 0 {
          isFree = isFree && words[position >> 6] & mask == 0
        } else {
          words[position >> 6] |= mask
        }
        position = end
      }
      if !isFree { return false }
    }
    return true
  }
}
