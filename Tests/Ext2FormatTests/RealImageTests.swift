import Ext2Format
import Glibc
import Testing

@Suite("Images made by mke2fs", .enabled(if: Tool.areInstalled), .serialized)
struct RealImageTests {
  struct Shape: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let arguments: [String]
    let kibibytes: Int
    init(_ name: String, _ arguments: String, kibibytes: Int = 4096) {
      testDescription = name
      self.arguments = arguments.split(separator: " ").map(String.init)
      self.kibibytes = kibibytes
    }
  }

  static let shapes = [
    Shape("1 KiB blocks", "-t ext2 -b 1024 -I 128"),
    Shape("2 KiB blocks", "-t ext2 -b 2048 -I 256"),
    Shape("4 KiB blocks", "-t ext2 -b 4096 -I 256"),
    Shape("4 KiB blocks, inodes of 1 KiB", "-t ext2 -b 4096 -I 1024"),
    Shape("64 KiB blocks", "-t ext2 -b 65536 -I 256", kibibytes: 16384),
    Shape("revision 0", "-t ext2 -r 0 -b 1024 -O none"),
    Shape("many groups", "-t ext2 -b 1024 -g 256 -N 1024 -I 128"),
    Shape("many groups, dense copies", "-t ext2 -b 1024 -g 512 -N 1024 -I 128 -O ^sparse_super,^resize_inode"),
    Shape("meta_bg", "-t ext2 -b 1024 -g 256 -N 2048 -I 128 -O meta_bg,^resize_inode"),
  ]

  /// The number after `name` in the output of dumpe2fs.
  static func number(_ name: String, _ output: String) -> UInt64? {
    for line in output.split(separator: "\n") where line.hasPrefix(name + ":") {
      return UInt64(line.dropFirst(name.count + 1).split { $0.isWhitespace }.first ?? "")
    }
    return nil
  }

  @Test("superblock, features, layout and descriptors agree with dumpe2fs", arguments: shapes)
  func dump(_ shape: Shape) throws {
    let directory = try TemporaryDirectory()
    let image = try Image(try Image.make(shape.arguments, kibibytes: shape.kibibytes, in: directory))
    let output = try Tool.run([Tool.dumpe2fs, directory.path("image")], in: directory)
    let (superblock, layout) = (image.superblock, image.layout)

    let numbers: [(String, UInt64)] = [
      ("Inode count", UInt64(layout.inodeCount)), ("Block count", UInt64(layout.blockCount)),
      ("Reserved block count", UInt64(superblock.reservedBlockCount)),
      ("Free blocks", UInt64(superblock.freeBlockCount)), ("Free inodes", UInt64(superblock.freeInodeCount)),
      ("First block", UInt64(layout.firstDataBlock.rawValue)), ("Block size", UInt64(layout.blockSize)),
      ("Blocks per group", UInt64(layout.blocksPerGroup)), ("Inodes per group", UInt64(layout.inodesPerGroup)),
      ("Inode blocks per group", UInt64(layout.inodeTableBlocksPerGroup)),
      ("Mount count", UInt64(superblock.mountCount)), ("Filesystem revision #", UInt64(superblock.revision)),
    ]
    for (name, value) in numbers { #expect(Self.number(name, output) == value, "\(name)") }
    if superblock.revision > 0 {
      #expect(Self.number("Inode size", output) == UInt64(layout.inodeSize))
      #expect(Self.number("First inode", output) == UInt64(layout.firstInode.rawValue))
      #expect(output.contains("Filesystem state:         clean") == (superblock.state == .valid))
    }
    let names =
      superblock.compatible.featureNames + superblock.incompatible.featureNames
      + superblock.readOnlyCompatible.featureNames
    let features = output.split(separator: "\n").first { $0.hasPrefix("Filesystem features:") } ?? ""
    #expect(features.split(separator: " ").dropFirst(2).map(String.init) == (names.isEmpty ? ["(none)"] : names))

    let sections = output.split(separator: "\nGroup ").dropFirst()
    try #require(sections.count == Int(layout.groupCount))
    for (index, section) in sections.enumerated() {
      compare(String(section), layout.group(index), image)
    }
    #expect(
      descriptorSum(image) == (UInt64(superblock.freeBlockCount), UInt64(superblock.freeInodeCount)))
  }

  private func descriptorSum(_ image: Image) -> (UInt64, UInt64) {
    image.descriptors.reduce(into: (0, 0)) { sum, descriptor in
      sum.0 += UInt64(descriptor.freeBlockCount)
      sum.1 += UInt64(descriptor.freeInodeCount)
    }
  }

  private func compare(_ text: String, _ group: GroupNumber, _ image: Image) {
    /// The blocks after `name at`: one number or two.
    func range(_ names: String...) -> Range<BlockNumber>? {
      for name in names {
        guard let found = text.split(separator: name + " at ").dropFirst().first else { continue }
        let numbers = found.prefix { $0.isNumber || $0 == "-" }.split(separator: "-").compactMap { UInt32($0) }
        guard let first = numbers.first else { continue }
        return BlockNumber(rawValue: first)..<BlockNumber(rawValue: (numbers.dropFirst().first ?? first) + 1)
      }
      return nil
    }
    let layout = image.layout
    let descriptor = image.descriptors[Int(group.rawValue)]
    let blocks = layout.blocks(of: group)
    #expect(text.contains("(Blocks \(blocks.lowerBound)-\(blocks.upperBound.advanced(by: -1)))"))
    let copy = range("rimary superblock", "ackup superblock")
    #expect((copy != nil) == layout.hasSuperblock(group), "group \(group)")
    if let copy { #expect(copy.lowerBound == layout.firstBlock(of: group)) }
    let held = range("roup descriptors", "roup descriptor")
    #expect(held ?? layout.descriptorBlocks(in: group) == layout.descriptorBlocks(in: group), "group \(group)")
    #expect((held == nil) == layout.descriptorBlocks(in: group).isEmpty, "group \(group)")
    let reserved = range("Reserved GDT blocks")?.count ?? 0
    let lead = (copy?.count ?? 0) + (held?.count ?? 0) + reserved
    #expect(layout.leadingMetadataCount(of: group) == lead, "group \(group)")
    #expect(range("Block bitmap")?.lowerBound == descriptor.blockBitmap)
    #expect(range("Inode bitmap")?.lowerBound == descriptor.inodeBitmap)
    #expect(range("Inode table")?.lowerBound == descriptor.inodeTable)
    #expect(range("Inode table")?.count == layout.inodeTableBlocksPerGroup)
    #expect(text.contains("\(descriptor.freeBlockCount) free blocks, \(descriptor.freeInodeCount) free inodes, "))

    let used = image.block(descriptor.blockBitmap)
    let free = used.reading { Bitmap.zeroCount(in: 0..<layout.blockCount(of: group), of: $0) }
    #expect(free == Int(descriptor.freeBlockCount))
    let inodes = image.block(descriptor.inodeBitmap)
    let freeInodes = inodes.reading { Bitmap.zeroCount(in: 0..<Int(layout.inodesPerGroup), of: $0) }
    #expect(freeInodes == Int(descriptor.freeInodeCount))
    let freeButFixed = used.reading { bits in
      blocks.filter { image.map.fixedUse(of: $0) != nil && !Bitmap.isSet(layout.bitIndex(of: $0), in: bits) }
    }
    #expect(freeButFixed.isEmpty)
  }

  @Test("copies of superblock and descriptors lie where the layout says", arguments: shapes)
  func backups(_ shape: Shape) throws {
    let directory = try TemporaryDirectory()
    let image = try Image(try Image.make(shape.arguments, kibibytes: shape.kibibytes, in: directory))
    for group in image.layout.backupGroups {
      let offset = Int(try #require(image.layout.superblockByteOffset(group)))
      let copy = try image.bytes.reading { (span) throws(FormatError) in try Superblock(decoding: span, at: offset) }
      #expect(copy.blockGroup == UInt16(group.rawValue) || copy.revision == 0)
      #expect(copy.uuid == image.superblock.uuid)
    }
    for index in 0..<image.layout.descriptorBlockCount {
      let primary = image.block(image.layout.descriptorBlock(index))
      for copy in image.layout.descriptorBackups(index) {
        // The copies carry counts of when they were written; the places are the same.
        let first = try primary.reading { (span) throws(FormatError) in try GroupDescriptor(decoding: span) }
        let second = try image.block(copy).reading { (span) throws(FormatError) in
          try GroupDescriptor(decoding: span)
        }
        #expect(first.blockBitmap == second.blockBitmap)
        #expect(first.inodeTable == second.inodeTable)
      }
    }
  }

  @Test("root and lost+found agree with debugfs", arguments: shapes)
  func root(_ shape: Shape) throws {
    let directory = try TemporaryDirectory()
    let image = try Image(try Image.make(shape.arguments, kibibytes: shape.kibibytes, in: directory))
    let root = try image.inode(.root)
    let output = try Tool.run([Tool.debugfs, "-R", "stat <2>", directory.path("image")], in: directory)
    #expect(output.contains("Type: directory    Mode:  0755"))
    #expect(root.mode == FileMode(.directory, permissions: 0o755))
    #expect(output.contains("Size: \(root.size)\n"))
    #expect(output.contains("Links: \(root.linkCount)   Blockcount: \(root.sectorCount)\n"))
    #expect(output.contains("mtime: 0x" + hex(UInt32(root.modificationTime.seconds))))
    if root.hasExtraTimes { #expect(output.contains(":" + hex(root.modificationTime.nanoseconds << 2) + " --")) }
    if root.creationTime != nil { #expect(output.contains("crtime: 0x")) }

    let listing = try Tool.run([Tool.debugfs, "-R", "ls -p /", directory.path("image")], in: directory)
    let expected = listing.split(separator: "\n").filter { $0.hasPrefix("/") }
      .map { $0.split(separator: "/", omittingEmptySubsequences: false) }.map { "\($0[1]) \($0[5])" }
    let entries = try image.list(.root)
    #expect(entries.map { "\($0.entry.inode) \($0.name)" } == expected)
    #expect(entries.map(\.name) == [".", "..", "lost+found"])
    #expect(entries.allSatisfy { $0.entry.type == (image.layout.hasFileTypes ? .directory : nil) })
  }

  private func hex(_ number: UInt32) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }

  @Test(
    "files, links and an indexed directory read back; names changed by us pass e2fsck",
    arguments: ["-b 1024 -I 128", "-b 4096 -I 256", "-b 1024 -I 256 -O ^filetype"])
  func contents(_ options: String) throws {
    let directory = try TemporaryDirectory()
    try #require(unsafe mkdir(directory.path("source"), 0o755) == 0)
    try #require(unsafe mkdir(directory.path("source/many"), 0o755) == 0)
    var generator = SplitMix64(seed: 5)
    let large = (0..<700_001).map { _ in UInt8.random(in: 0...255, using: &generator) }
    try File.write(large, to: directory.path("source/large"))
    try #require(unsafe symlink("large", directory.path("source/short")) == 0)
    try #require(unsafe symlink(String(repeating: "x", count: 200), directory.path("source/long")) == 0)
    let names = (0..<300).map { "a-file-with-a-name-of-some-length-\($0)" }
    for name in names { try File.write([], to: directory.path("source/many/\(name)")) }

    let arguments = ["-t", "ext2", "-d", directory.path("source")] + options.split(separator: " ").map(String.init)
    _ = try Image.make(arguments, kibibytes: 8192, in: directory)
    // Builds the hash index. Some versions exit with 1, because they changed something.
    try Tool.run([Tool.e2fsck, "-fyD", directory.path("image")], in: directory, expecting: 0...1)
    var image = try Image(try File.read(directory.path("image")))
    let root = Dictionary(try image.list(.root).map { ($0.name, $0.entry.inode) }) { first, _ in first }

    let file = try #require(root["large"])
    #expect(try image.contents(file) == large)
    let short = try image.inode(try #require(root["short"]))
    #expect(short.isFastSymlink(blockSize: image.layout.blockSize))
    #expect(short.fastSymlinkTarget == Array("large".utf8))
    let long = try #require(root["long"])
    #expect(try !image.inode(long).isFastSymlink(blockSize: image.layout.blockSize))
    #expect(try image.contents(long) == [UInt8](repeating: 120, count: 200))

    let many = try #require(root["many"])
    var inode = try image.inode(many)
    #expect(inode.flags.contains(.index))
    let listed = try image.list(many)
    #expect(Set(listed.map(\.name)) == Set(names + [".", ".."]))
    #expect(listed.count == names.count + 2)

    // Rename some files in their blocks, and one into the first block, over the hidden index.
    let format = DirectoryBlock(layout: image.layout)
    inode.flags.remove(.index)
    image.store(inode, as: many)
    let first = try image.map(inode, many, fileBlock: 0)
    for (number, found) in listed.enumerated() where number >= 2 && number % 7 == 0 {
      var block = image.block(found.block)
      try block.changing { (span) throws(FormatError) in
        _ = try format.remove(name: Array(found.name.utf8).span, from: &span, block: found.block)
      }
      image.store(block, at: found.block)
      let target = number == 7 ? first : found.block
      block = image.block(target)
      let done = try block.changing { (span) throws(FormatError) in
        try format.insert(
          Array("renamed-\(number)".utf8).span, inode: found.entry.inode, type: .regular, into: &span, block: target)
      }
      #expect(done != nil)
      image.store(block, at: target)
    }
    image.superblock.label = Array("renamed".utf8)
    image.storeSuperblock()
    try File.write(image.bytes, to: directory.path("image"))
    let verdict = try Tool.run([Tool.e2fsck, "-fn", directory.path("image")], in: directory)
    #expect(verdict.contains("renamed:"))
    #expect(try image.list(many).count == names.count + 2)
  }
}
