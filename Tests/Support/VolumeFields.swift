internal import Ext2Format
package import Ext2Tools

/// One change to a volume: some bytes at one place.
package struct Mutation: Sendable, Equatable, CustomStringConvertible {
  package let offset: Int
  package let width: Int
  package let value: UInt64
  /// What was changed, for people.
  package let what: String
  package var description: String { "\(offset):\(width):\(value)  (\(what))" }

  package init(offset: Int, width: Int, value: UInt64, what: String) {
    self.offset = offset
    self.width = width
    self.value = value
    self.what = what
  }

  /// What is written; what does not fit is cut.
  package var bytes: [UInt8] { (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) } }

  package func apply(to image: MemoryBytes) throws { try image.write(unsafe bytes.span.bytes, at: UInt64(offset)) }

  /// Puts back what was there.
  package func undo(in image: MemoryBytes, _ original: [UInt8]) throws {
    let before = Array(original[offset..<offset + width])
    try image.write(unsafe before.span.bytes, at: UInt64(offset))
  }
}

/// A field of a structure, somewhere on a volume.
package struct Field: Sendable {
  package let offset: Int
  package let width: Int
  package let what: String
  package init(offset: Int, width: Int, what: String) {
    self.offset = offset
    self.width = width
    self.what = what
  }
}

/// Every field of every structure of a volume, found by this project's own decoding.
package struct VolumeFields {
  private let image: [UInt8]
  private let layout: VolumeLayout
  private let descriptors: [GroupDescriptor]
  package private(set) var fields: [Field] = []
  /// Where the bitmaps lie, and what they are.
  package private(set) var bitmaps: [(start: Int, what: String)] = []

  package init(_ image: [UInt8]) throws {
    self.image = image
    let superblock = try Superblock(decoding: unsafe image.span.bytes, at: 1024)
    layout = try superblock.validate(deviceByteCount: UInt64(image.count))
    var descriptors: [GroupDescriptor] = []
    for group in layout.groups {
      let place = layout.descriptorPosition(of: group)
      let block = layout.descriptorBlock(place.index)
      let offset = Int(block.rawValue) * layout.blockSize + place.byteOffset
      descriptors.append(try GroupDescriptor(decoding: unsafe image.span.bytes, at: offset))
    }
    self.descriptors = descriptors
    collect()
  }

  private func word(_ offset: Int) -> UInt32 { unsafe image.span.bytes.integer(at: offset) }
  private func half(_ offset: Int) -> UInt16 { unsafe image.span.bytes.integer(at: offset) }

  private mutating func add(_ offset: Int, _ width: Int, _ what: String) {
    if offset + width <= image.count { fields.append(Field(offset: offset, width: width, what: what)) }
  }

  private mutating func collect() {
    addSuperblock(at: 1024, "superblock")
    for group in layout.backupGroups.prefix(2) {
      addSuperblock(at: Int(layout.firstBlock(of: group).rawValue) * layout.blockSize, "copy of the superblock")
    }
    for group in layout.groups { addGroup(group) }
    for number in 1...layout.inodeCount { addInode(InodeNumber(rawValue: number)) }
  }

  private mutating func addSuperblock(at start: Int, _ what: String) {
    for (offset, width) in superblockFields { add(start + offset, width, "\(what) +\(offset)") }
  }

  private var superblockFields: [(Int, Int)] {
    var fields = stride(from: 0, to: 52, by: 4).map { ($0, 4) } + stride(from: 52, to: 64, by: 2).map { ($0, 2) }
    fields += [64, 68, 72, 76, 84, 92, 96, 100, 104, 120, 200].map { ($0, 4) }
    fields += [80, 82, 88, 90, 206, 254, 348, 350].map { ($0, 2) } + [204, 205, 252, 253, 372, 373].map { ($0, 1) }
    fields += [208, 224, 228, 232, 236, 240, 244, 248, 256, 260, 264, 268, 336, 340, 352, 356].map { ($0, 4) }
    return fields + [576, 580, 620, 624, 640, 1020].map { ($0, 4) }
  }

  private mutating func addGroup(_ group: GroupNumber) {
    let place = layout.descriptorPosition(of: group)
    let start = Int(layout.descriptorBlock(place.index).rawValue) * layout.blockSize + place.byteOffset
    for (offset, width) in [(0, 4), (4, 4), (8, 4), (12, 2), (14, 2), (16, 2), (18, 2), (20, 4), (28, 2), (30, 2)] {
      add(start + offset, width, "descriptor of group \(group) +\(offset)")
    }
    let descriptor = descriptors[Int(group.rawValue)]
    for (block, name) in [(descriptor.blockBitmap, "block"), (descriptor.inodeBitmap, "inode")] {
      let start = Int(block.rawValue) * layout.blockSize
      bitmaps.append((start, "\(name) bitmap of group \(group)"))
    }
  }

  private mutating func addInode(_ inode: InodeNumber) {
    let descriptor = descriptors[Int(layout.group(of: inode).rawValue)]
    let location = layout.location(of: inode, descriptor: descriptor)
    let start = Int(location.block.rawValue) * layout.blockSize + location.byteOffset
    let mode = half(start)
    let isUsed = half(start + 26) != 0 || inode < InodeNumber(rawValue: 12)
    // Of those not in use a few.
    guard isUsed || inode.rawValue % 16 == 5 else { return }
    let name = "inode \(inode)"
    for offset in stride(from: 0, to: 128, by: 2) where [0, 2, 24, 26].contains(offset) || offset >= 116 {
      add(start + offset, 2, "\(name) +\(offset)")
    }
    for offset in [4, 8, 12, 16, 20, 28, 32, 36] + Array(stride(from: 40, to: 116, by: 4)) {
      add(start + offset, 4, "\(name) +\(offset)")
    }
    if layout.inodeSize > 128 {
      add(start + 128, 2, "\(name) i_extra_isize")
      for offset in stride(from: 130, to: layout.inodeSize, by: 2) where half(start + offset) != 0 {
        add(start + offset, 2, "\(name) +\(offset)")
      }
    }
    guard isUsed else { return }
    let attributes = Int(word(start + 104))
    if attributes != 0 { addAttributes(attributes, name) }
    switch mode >> 12 {
    case 4, 8: addTree(start, name, isDirectory: mode >> 12 == 4)
    case 10 where word(start + 4) >= 60:
      let text = Int(word(start + 40)) * layout.blockSize
      for offset in [0, 1, Int(word(start + 4)) - 1, Int(word(start + 4))] { add(text + offset, 1, "\(name) target") }
    default: break
    }
  }

  private mutating func addAttributes(_ block: Int, _ name: String) {
    let start = block * layout.blockSize
    for offset in stride(from: 0, to: 32, by: 4) { add(start + offset, 4, "\(name) attribute block +\(offset)") }
    var offset = 32
    while offset < layout.blockSize - 16, word(start + offset) != 0 {
      for (field, width) in [(0, 1), (1, 1), (2, 2), (4, 4), (8, 4), (12, 4), (16, 1)] {
        add(start + offset + field, width, "\(name) attribute at \(offset) +\(field)")
      }
      add(start + Int(half(start + offset + 2)), 1, "\(name) attribute at \(offset) value")
      offset += (16 + Int(image[start + offset]) + 3) & ~3
    }
    add(start + offset, 4, "\(name) end of attributes")
  }

  private mutating func addTree(_ inode: Int, _ name: String, isDirectory: Bool) {
    let isIndexed = word(inode + 32) & 0x1000 != 0
    for index in 0..<12 where isDirectory && word(inode + 40 + 4 * index) != 0 {
      addDirectoryBlock(Int(word(inode + 40 + 4 * index)), index, name, isIndexed)
    }
    for depth in 1...3 {
      let block = Int(word(inode + 40 + 4 * (11 + depth)))
      if block != 0 { addPointers(block, depth, name, isDirectory, isIndexed) }
    }
  }

  private mutating func addPointers(
    _ block: Int, _ depth: Int, _ name: String, _ isDirectory: Bool, _ isIndexed: Bool
  ) {
    let start = block * layout.blockSize
    let count = layout.blockSize / 4
    var interesting = Set([0, 1, 2, count / 2, count - 1])
    for index in 0..<count where word(start + 4 * index) != 0 && interesting.count < 12 { interesting.insert(index) }
    for index in interesting.sorted() {
      add(start + 4 * index, 4, "\(name) pointer block \(block), depth \(depth), [\(index)]")
    }
    for index in 0..<count where word(start + 4 * index) != 0 {
      let next = Int(word(start + 4 * index))
      if depth > 1 { addPointers(next, depth - 1, name, isDirectory, isIndexed) }
      if depth == 1 && isDirectory && index < 6 { addDirectoryBlock(next, 12 + index, name, isIndexed) }
    }
  }

  private mutating func addDirectoryBlock(_ block: Int, _ fileBlock: Int, _ name: String, _ isIndexed: Bool) {
    let start = block * layout.blockSize
    let size = layout.blockSize
    func length(_ offset: Int) -> Int {
      let raw = Int(half(start + offset + 4))
      return size == 65536 && (raw == 0xFFFF || raw == 0) ? size : raw
    }
    var offset = 0
    var count = 0
    while offset < size, length(offset) >= 12 {
      if count < 8 || offset + length(offset) == size {
        let what = "\(name) directory block \(fileBlock) entry at \(offset)"
        for (field, width) in [(0, 4), (4, 2), (6, 1), (7, 1), (8, 1), (9, 1), (10, 1)] {
          add(start + offset + field, width, "\(what) +\(field)")
        }
      }
      count += 1
      offset += length(offset)
    }
    let isInner = word(start) == 0 && length(0) == size
    guard isIndexed, fileBlock == 0 || isInner else { return }
    let entries = fileBlock == 0 ? 32 : 8
    if fileBlock == 0 {
      for (field, width) in [(24, 4), (28, 1), (29, 1), (30, 1), (31, 1)] {
        add(start + field, width, "\(name) index root +\(field)")
      }
    }
    add(start + entries, 2, "\(name) index block \(fileBlock) limit")
    add(start + entries + 2, 2, "\(name) index block \(fileBlock) count")
    let used = Int(half(start + entries + 2))
    for index in Set([0, 1, 2, used / 2, max(0, used - 1), used]).sorted() {
      if index > 0 { add(start + entries + 8 * index, 4, "\(name) index block \(fileBlock) hash \(index)") }
      add(start + entries + 8 * index + 4, 4, "\(name) index block \(fileBlock) block \(index)")
    }
  }

  // MARK: Values

  /// Values for a field: the ends of its range, what is next to what it holds, one bit changed, and random ones.
  package func mutations(of field: Field, using generator: inout some RandomNumberGenerator) -> [Mutation] {
    var old: UInt64 = 0
    for index in 0..<field.width { old |= UInt64(image[field.offset + index]) << UInt64(8 * index) }
    let greatest: UInt64 = field.width == 8 ? .max : 1 << UInt64(8 * field.width) - 1
    let small = UInt64.random(in: 0..<64, using: &generator)
    let near = UInt64(layout.blockCount) &- UInt64.random(in: 0..<8, using: &generator)
    let values = [
      0, 1, 2, old &+ 1, old &- 1, old ^ (1 << UInt64.random(in: 0..<UInt64(8 * field.width), using: &generator)),
      greatest, greatest >> 1, small, near, UInt64.random(in: 0..<UInt64(layout.blockCount), using: &generator),
      UInt64.random(in: 0...greatest, using: &generator),
    ]
    var seen = Set([old])
    return values.compactMap { value in
      let value = value & greatest
      guard seen.insert(value).inserted else { return nil }
      return Mutation(offset: field.offset, width: field.width, value: value, what: "\(field.what), was \(old)")
    }
  }

  /// Bits of bitmaps the other way round: most where inodes and blocks are in use, some in the padding.
  package func flips(_ count: Int, using generator: inout some RandomNumberGenerator) -> [Mutation] {
    (0..<count).map { _ in
      let bitmap = bitmaps[Int.random(in: 0..<bitmaps.count, using: &generator)]
      let limit = Bool.random(using: &generator) ? 32 : layout.blockSize
      let byte = Int.random(in: 0..<limit, using: &generator)
      let old = UInt64(image[bitmap.start + byte])
      return Mutation(
        offset: bitmap.start + byte, width: 1, value: old ^ (1 << UInt64.random(in: 0..<8, using: &generator)),
        what: "\(bitmap.what), byte \(byte), was \(old)")
    }
  }
}
