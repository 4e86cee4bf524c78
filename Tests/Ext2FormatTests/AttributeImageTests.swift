import Ext2Format
import Testing

/// Attributes against images that debugfs and e2fsck know.
@Suite("Extended attributes of real images", .enabled(if: Tool.areInstalled))
struct AttributeImageTests {
  /// Sets attributes of the root with debugfs. Values go through files, because debugfs takes text apart.
  static func image(
    _ options: [String], _ attributes: [(name: String, value: [UInt8])], in directory: borrowing TemporaryDirectory
  ) throws -> Image {
    _ = try Image.make(["-t", "ext2", "-N", "64"] + options, kibibytes: 512, in: directory)
    for (name, value) in attributes {
      try File.write(value, to: directory.path("value"))
      try Tool.run(
        [Tool.debugfs, "-w", "-R", "ea_set -f \(directory.path("value")) / \(name)", directory.path("image")],
        in: directory)
    }
    return try Image(try File.read(directory.path("image")))
  }

  static let attributes: [(name: String, value: [UInt8])] = [
    ("user.comment", Array("a comment".utf8)), ("user.empty", []), ("trusted.t", [0, 1, 2, 3]),
    ("security.capability", Array(repeating: 0xFE, count: 20)),
  ]

  @Test("attributes that debugfs has set read back, and we would write the same block", arguments: [1024, 4096])
  func block(blockSize: Int) throws {
    let directory = try TemporaryDirectory()
    let image = try Self.image(["-b", "\(blockSize)", "-I", "128"], Self.attributes, in: directory)
    let root = try image.inode(.root)
    let region = AttributeRegion(blockSize: blockSize)
    let bytes = image.block(root.attributeBlock)
    #expect(try bytes.wrongHash(region) == nil)
    let set = try bytes.attributes(region)
    #expect(set == (try AttributeTests.set(Self.attributes.map { ($0.name, $0.value) })))
    var ours = [UInt8](repeating: 0, count: blockSize)
    ours.changing { set.encode(into: &$0, region) }
    // debugfs keeps the order in which they were set, and no hash of the block: what is left is each entry.
    let readByDebugfs = try AttributeImageTests.listed(ours, root, image, in: directory)
    for (name, value) in Self.attributes { #expect(readByDebugfs.contains("\(name) (\(value.count))")) }
  }

  /// What debugfs lists when the root's attribute block has other bytes; e2fsck must like them too.
  static func listed(
    _ block: [UInt8], _ root: InodeRecord, _ image: Image, in directory: borrowing TemporaryDirectory
  ) throws -> String {
    var image = image
    image.store(block, at: root.attributeBlock)
    try File.write(image.bytes, to: directory.path("image"))
    try Tool.run([Tool.e2fsck, "-fn", directory.path("image")], in: directory)
    return try Tool.run([Tool.debugfs, "-R", "ea_list /", directory.path("image")], in: directory)
  }

  @Test("one attribute of debugfs is the block we write, byte for byte but the hash of the block")
  func sameBytes() throws {
    let directory = try TemporaryDirectory()
    let image = try Self.image(["-b", "1024", "-I", "128"], [Self.attributes[0]], in: directory)
    let region = AttributeRegion(blockSize: 1024)
    var theirs = image.block(try image.inode(.root).attributeBlock)
    let ours = AttributeTests.encoded(
      try AttributeTests.set([(Self.attributes[0].name, Self.attributes[0].value)]), region)
    theirs.replaceSubrange(12..<16, with: ours[12..<16])
    #expect(ours == theirs)
  }

  @Test("attributes in the inode read back, and e2fsck and debugfs read ours", arguments: [1024, 4096])
  func inode(blockSize: Int) throws {
    let directory = try TemporaryDirectory()
    var image = try Self.image(["-b", "\(blockSize)", "-I", "256"], Array(Self.attributes.prefix(2)), in: directory)
    let root = try image.inode(.root)
    #expect(root.attributeBlock == .none)
    let (block, offset) = image.layout.location(
      of: .root, descriptor: image.descriptors[Int(image.layout.group(of: .root).rawValue)])
    let region = try #require(AttributeRegion(inodeAt: offset, inodeSize: 256, extraSize: root.extraSize))
    var bytes = image.block(block)
    #expect(bytes.hasAttributes(region))
    #expect(try bytes.wrongHash(region) == nil)
    var set = try bytes.attributes(region)
    #expect(set == (try AttributeTests.set(Self.attributes.prefix(2).map { ($0.name, $0.value) })))
    set[try AttributeTests.name("user.empty")] = nil
    set[try AttributeTests.name("user.x")] = [1, 2, 3]
    bytes.changing { set.encode(into: &$0, region) }
    image.store(bytes, at: block)
    try File.write(image.bytes, to: directory.path("image"))
    try Tool.run([Tool.e2fsck, "-fn", directory.path("image")], in: directory)
    let listed = try Tool.run([Tool.debugfs, "-R", "ea_list /", directory.path("image")], in: directory)
    #expect(listed.contains("user.x (3) = 01 02 03") && listed.contains("user.comment (9)"))
    #expect(!listed.contains("user.empty"))
  }

  @Test("what our check refuses in a block e2fsck complains about, and what it accepts e2fsck accepts")
  func judged() throws {
    let directory = try TemporaryDirectory()
    let good = try Self.image(["-b", "1024", "-I", "128"], Self.attributes, in: directory)
    let root = try good.inode(.root)
    let region = AttributeRegion(blockSize: 1024)
    var generator = SplitMix64(seed: 8)
    var (accepted, refused) = (0, 0)
    for round in 0..<120 {
      var block = good.block(root.attributeBlock)
      FuzzTests.damage(&block, round % 2 == 0 ? 0..<200 : 900..<1024, &generator)
      // Not ours to judge: a count of inodes other than one, and names with a NUL, which e2fsck lets pass.
      block.replaceSubrange(4..<8, with: [1, 0, 0, 0])
      var verdict: String?
      let place = FormatError.Location.block(root.attributeBlock)
      block.reading { span in
        do throws(FormatError) {
          try region.check(span, at: place)
          if let wrong = try region.firstWrongHash(in: span, place) { verdict = "hash at \(wrong.offset)" }
        } catch { verdict = error.description }
      }
      if verdict?.contains("NUL") == true { continue }
      var image = good
      image.store(block, at: root.attributeBlock)
      try File.write(image.bytes, to: directory.path("image"))
      let theirs = try Tool.run([Tool.e2fsck, "-fn", directory.path("image")], in: directory, expecting: 0...15)
      let isClean = !theirs.contains("? no") && !theirs.contains("Clear")
      #expect(isClean == (verdict == nil), "round \(round): ours \(verdict ?? "nothing"), theirs \(theirs)")
      if isClean { accepted += 1 } else { refused += 1 }
    }
    #expect(accepted > 5 && refused > 20)
  }
}
