import Ext2Format
import Glibc

/// A volume as bytes in memory, read and changed with nothing but this module.
struct Image {
  var bytes: [UInt8]
  var superblock: Superblock
  let layout: VolumeLayout
  let map: MetadataMap
  let descriptors: [GroupDescriptor]

  init(_ bytes: [UInt8]) throws(FormatError) {
    let superblock = try bytes.reading { (span) throws(FormatError) in
      try Superblock(decoding: span, at: Superblock.primaryByteOffset)
    }
    let layout = try superblock.validate(deviceByteCount: UInt64(bytes.count))
    var descriptors: [GroupDescriptor] = []
    for group in layout.groups {
      let (index, offset) = layout.descriptorPosition(of: group)
      let start = Int(layout.descriptorBlock(index).rawValue) << layout.blockSizeLog2
      descriptors.append(
        try bytes.reading { (span) throws(FormatError) in try GroupDescriptor(decoding: span, at: start + offset) })
    }
    map = try MetadataMap(layout: layout, descriptors: descriptors)
    (self.bytes, self.superblock, self.layout, self.descriptors) = (bytes, superblock, layout, descriptors)
  }

  /// Makes an image with mke2fs: `arguments` before, the size in KiB after the path.
  static func make(_ arguments: [String], kibibytes: Int, in directory: borrowing TemporaryDirectory) throws -> [UInt8]
  {
    let path = directory.path("image")
    try Tool.run([Tool.mke2fs, "-q", "-F", "-E", "nodiscard"] + arguments + [path, "\(kibibytes)"], in: directory)
    return try File.read(path)
  }

  func block(_ number: BlockNumber) -> [UInt8] {
    let start = Int(number.rawValue) << layout.blockSizeLog2
    return Array(bytes[start..<start + layout.blockSize])
  }

  mutating func store(_ block: [UInt8], at number: BlockNumber) {
    let start = Int(number.rawValue) << layout.blockSizeLog2
    bytes.replaceSubrange(start..<start + layout.blockSize, with: block)
  }

  private func position(of inode: InodeNumber) -> Int {
    let descriptor = descriptors[Int(layout.group(of: inode).rawValue)]
    let (block, offset) = layout.location(of: inode, descriptor: descriptor)
    return Int(block.rawValue) << layout.blockSizeLog2 + offset
  }

  func inode(_ number: InodeNumber) throws(FormatError) -> InodeRecord {
    let start = position(of: number)
    let size = layout.inodeSize
    let inode = try bytes.reading { (span) throws(FormatError) in
      try InodeRecord(decoding: span, at: start, inodeSize: size)
    }
    try inode.validate(number, layout: layout)
    return inode
  }

  mutating func store(_ inode: InodeRecord, as number: InodeNumber) {
    let start = position(of: number)
    let size = layout.inodeSize
    bytes.changing { inode.encode(into: &$0, at: start, inodeSize: size) }
  }

  mutating func storeSuperblock() {
    let superblock = superblock
    bytes.changing { superblock.encode(into: &$0, at: Superblock.primaryByteOffset) }
  }

  /// The block of a file block, or none in a hole.
  func map(_ inode: InodeRecord, _ number: InodeNumber, fileBlock: UInt64) throws(FormatError) -> BlockNumber {
    guard let path = BlockPath(fileBlock: fileBlock, blockSizeLog2: layout.blockSizeLog2) else { return .none }
    var pointer = BlockNumber(rawValue: inode.block[path.offsets[0]])
    for level in 1..<4 where level < path.depth && pointer != .none {
      try map.checkPointer(pointer, at: .inode(number), field: "i_block")
      let offset = Int(pointer.rawValue) << layout.blockSizeLog2 + 4 * path.offsets[level]
      pointer = BlockNumber(rawValue: bytes.reading { $0.integer(at: offset) })
    }
    try map.checkPointer(pointer, at: .inode(number), field: "i_block")
    return pointer
  }

  /// A file's contents; at most `limit` blocks of it.
  func contents(_ number: InodeNumber, limit: Int = 4096) throws(FormatError) -> [UInt8] {
    let inode = try inode(number)
    guard inode.hasBlockPointers(blockSize: layout.blockSize) else { return [] }
    let blocks = min(Int((inode.size + UInt64(layout.blockSize) - 1) >> UInt64(layout.blockSizeLog2)), limit)
    var result: [UInt8] = []
    for index in 0..<blocks {
      let block = try map(inode, number, fileBlock: UInt64(index))
      result += block == .none ? [UInt8](repeating: 0, count: layout.blockSize) : self.block(block)
    }
    return Array(result.prefix(Int(clamping: inode.size)))
  }

  /// The entries in use of a directory, in order, and the block each lies in.
  func list(
    _ directory: InodeNumber
  ) throws(FormatError) -> [(name: String, entry: DirectoryEntry, block: BlockNumber)] {
    let inode = try inode(directory)
    let format = DirectoryBlock(layout: layout)
    var found: [(name: String, entry: DirectoryEntry, block: BlockNumber)] = []
    let blocks = min(inode.size >> UInt64(layout.blockSizeLog2), 4096)
    for index in 0..<blocks {
      let place = try map(inode, directory, fileBlock: index)
      guard place != .none else { continue }
      try block(place).reading { (span) throws(FormatError) in
        try format.check(span, block: place)
        var offset = 0
        while let entry = try format.nextUsed(from: offset, in: span, block: place) {
          found.append((String(decoding: entry.name(in: span), as: UTF8.self), entry, place))
          offset = entry.offset + entry.recordLength
        }
      }
    }
    return found
  }
}
