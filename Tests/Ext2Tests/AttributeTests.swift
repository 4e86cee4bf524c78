import BlockDevice
import Ext2
import Ext2Format
import Support
import SystemPackage
import Testing

/// What tests of attributes share.
enum Attributes {
  /// An empty volume whose inodes have a size: with 128 bytes every attribute lies in a block.
  static func image(_ inodeSize: Int, blockSize: Int = 1024, blockCount: Int? = nil, options: [String] = []) throws
    -> [UInt8]
  {
    try Images.empty(blockSize: blockSize, blockCount: blockCount, options: ["-I", "\(inodeSize)"] + options)
  }

  /// The record of an inode in an image.
  static func record(_ file: Made, of image: [UInt8]) throws -> InodeRecord {
    let size = Int(try Superblocks.decoded(image).inodeSize)
    return try unsafe InodeRecord(
      decoding: image.span.bytes, at: try position(of: file, in: image), inodeSize: size)
  }

  /// Where an inode begins in an image.
  static func position(of file: Made, in image: [UInt8]) throws -> Int {
    let superblock = try Superblocks.decoded(image)
    let layout = try superblock.validate(deviceByteCount: UInt64(image.count))
    let inode = InodeNumber(rawValue: file.inode), group = layout.group(of: inode)
    let (block, offset) = layout.descriptorPosition(of: group)
    let descriptor = try unsafe GroupDescriptor(
      decoding: image.span.bytes, at: Int(layout.descriptorBlock(block).rawValue) * layout.blockSize + offset)
    let (table, place) = layout.location(of: inode, descriptor: descriptor)
    return Int(table.rawValue) * layout.blockSize + place
  }

  /// How many inodes share the attribute block of an inode.
  static func referenceCount(_ file: Made, of image: [UInt8], blockSize: Int = 1024) throws -> UInt32 {
    let block = try record(file, of: image).attributeBlock
    return unsafe AttributeRegion(blockSize: blockSize).referenceCount(
      in: image.span.bytes.extracting(Int(block.rawValue) * blockSize..<(Int(block.rawValue) + 1) * blockSize))
  }

  /// The ACL of a text, as a system call takes it.
  static func transferred(_ text: String) throws -> [UInt8] { try AccessControlList(text: text).transferBytes }
}

/// A file of a test: its path, and its inode for looking at the image.
struct Made: Sendable {
  let path: String
  let inode: UInt32

  static let root = Made(path: "/", inode: 2)
}

extension VolumeRig {
  /// The file of a name, made if need be.
  func create(_ name: String) async throws -> Made {
    await (try volume.open(name, create: true)).close()
    return Made(path: name, inode: try await volume.status(of: name).inode)
  }

  /// All attributes of a file.
  func attributes(_ file: Made) async throws -> [String: [UInt8]] {
    var found: [String: [UInt8]] = [:]
    for name in try await volume.attributeNames(of: file.path, followsLink: false) {
      found[String(decoding: name, as: UTF8.self)] = try await volume.attribute(
        name, of: file.path, followsLink: false)
    }
    return found
  }

  /// One attribute; nil when it cannot be had.
  func attribute(_ name: String, _ file: Made) async -> [UInt8]? {
    try? await volume.attribute(name, of: file.path, followsLink: false)
  }

  func set(_ name: String, _ value: [UInt8], _ file: Made, if condition: AttributeCondition = .none) async
    -> Ext2Error?
  {
    await errorOf { () async throws(Ext2Error) in
      try await volume.setAttribute(name, to: value, if: condition, of: file.path, followsLink: false)
    }
  }
  func remove(_ name: String, _ file: Made) async -> Ext2Error? {
    await errorOf { () async throws(Ext2Error) in
      try await volume.removeAttribute(name, of: file.path, followsLink: false)
    }
  }
  /// Sets an attribute that there is room for.
  func mustSet(_ name: String, _ value: [UInt8], _ file: Made) async throws {
    if let error = await set(name, value, file) { throw error }
  }
}

@Suite("Extended attributes of a volume", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct AttributeTests {
  static let values: [String: [UInt8]] = [
    "user.a": [], "user.comment": Array("hello".utf8), "trusted.t": [0, 1, 2], "security.selinux": Array(0..<40),
    "user.large": [UInt8](repeating: 7, count: 300),
  ]

  @Test(
    "attributes are listed in order, read back, survive a remount, and debugfs reads them", arguments: [128, 256],
    [1024, 4096])
  func roundTrip(inodeSize: Int, blockSize: Int) throws {
    let image = try Attributes.image(inodeSize, blockSize: blockSize)
    let prepared = try Images.prepared(image) { rig in
      let inode = try await rig.create("f")
      for (name, value) in Self.values.sorted(by: { $0.key < $1.key }) {
        #expect(await rig.set(name, value, inode) == nil)
      }
      #expect(try await rig.attributes(inode) == Self.values)
      #expect(
        try await rig.volume.attributeNames(of: inode.path).map { String(decoding: $0, as: UTF8.self) } == [
          "user.a", "user.large", "user.comment", "trusted.t", "security.selinux",
        ])
    }
    #expect(try Images.check(prepared) == nil)
    let listed = try Images.output(of: "debugfs", ["-R", "ea_list /f"], on: prepared)
    for (name, value) in Self.values { #expect(listed.contains("\(name) (\(value.count))"), "\(listed)") }
    try script(prepared, seeds: 0..<1) { rig in
      let inode = try await rig.create("f")
      #expect(try await rig.attributes(inode) == Self.values)
      for name in Self.values.keys.sorted() { #expect(await rig.remove(name, inode) == nil) }
      #expect(try await rig.attributes(inode) == [:])
    }
  }

  @Test("a small attribute lies in the inode, a large one in the block, and each moves when it changes its size")
  func places() throws {
    let image = try Attributes.image(256)
    for (sizes, hasBlock) in [([10], false), ([300], true), ([10, 300], true), ([300, 10], false)] {
      let tally = Tally()
      let outcome = VolumeRig.run(image) { rig in
        let inode = try await rig.create("f")
        tally.count = Int(inode.inode)
        for size in sizes { #expect(await rig.set("user.a", [UInt8](repeating: 1, count: size), inode) == nil) }
        #expect(try await rig.attributes(inode) == ["user.a": [UInt8](repeating: 1, count: sizes.last!)])
      }
      #expect(outcome.failures == [])
      #expect(try Images.check(outcome.image) == nil)
      let record = try Attributes.record(Made(path: "f", inode: UInt32(tally.count)), of: outcome.image)
      #expect((record.attributeBlock != .none) == hasBlock)
      #expect(record.sectorCount == (hasBlock ? 2 : 0))
    }
  }

  @Test("an attribute is made or replaced only, where that is asked", arguments: [128, 256])
  func conditions(inodeSize: Int) throws {
    try script(try Attributes.image(inodeSize), seeds: 0..<1) { rig in
      let inode = try await rig.create("f")
      guard case .noAttribute = await rig.set("user.a", [1], inode, if: .mustExist) else { throw Unexpected() }
      #expect(await rig.set("user.a", [1], inode, if: .mustBeNew) == nil)
      guard case .exists = await rig.set("user.a", [2], inode, if: .mustBeNew) else { throw Unexpected() }
      #expect(await rig.attribute("user.a", inode) == [1])
      #expect(await rig.set("user.a", [2], inode, if: .mustExist) == nil)
      #expect(try await rig.attributes(inode) == ["user.a": [2]])
      #expect(await rig.remove("user.a", inode) == nil)
      guard case .noAttribute = await rig.remove("user.a", inode) else { throw Unexpected() }
    }
  }

  struct Unexpected: Error {}

  @Test("names and values that cannot be are refused with the error of the system call")
  func refusals() throws {
    try script(try Attributes.image(128), seeds: 0..<1) { rig in
      let inode = try await rig.create("f")
      for name in ["", String(repeating: "u", count: 256)] {
        guard case .attributeOutOfRange = await rig.set(name, [], inode) else { throw Unexpected() }
      }
      guard case .attributeOutOfRange = await rig.set("user.a", stamped(1, count: 1025), inode) else {
        throw Unexpected()
      }
      guard case .noSpace = await rig.set("user.a", stamped(1, count: 1024), inode) else { throw Unexpected() }
      for name in ["user.", "user.a\0"] {
        guard case .invalidAttribute = await rig.set(name, [], inode) else { throw Unexpected() }
      }
      for name in ["system.data", "a", "btrfs.x"] {
        guard case .unsupportedAttribute = await rig.set(name, [], inode) else { throw Unexpected() }
        guard case .unsupportedAttribute = await rig.remove(name, inode) else { throw Unexpected() }
      }
      #expect(try await rig.attributes(inode) == [:])
    }
  }

  @Test("attributes of users are for files and directories, others for everything; immutable files take none")
  func types() throws {
    let image = try Images.edited(
      try Attributes.image(128),
      [
        "symlink link target", "mknod pipe p", "write /dev/null fixed", "set_inode_field fixed flags 0x10",
        "mkdir folder",
      ])
    let link = Made(path: "link", inode: 0), pipe = Made(path: "pipe", inode: 0)
    let fixed = Made(path: "fixed", inode: 0), folder = Made(path: "folder", inode: 0)
    try script(image, seeds: 0..<1) { rig in
      for inode in [link, pipe] {
        guard case .notPermitted = await rig.set("user.a", [1], inode),
          case .noAttribute = await errorOf({ () async throws(Ext2Error) in
            try await rig.volume.attribute("user.a", of: inode.path, followsLink: false)
          })
        else { throw Unexpected() }
        #expect(await rig.set("trusted.a", [1], inode) == nil)
        #expect(try await rig.attributes(inode) == ["trusted.a": [1]])
      }
      for name in ["user.a", "trusted.a", "security.a"] {
        guard case .notPermitted = await rig.set(name, [1], fixed) else { throw Unexpected() }
      }
      #expect(await rig.set("user.a", [1], folder) == nil)
      guard
        case .unsupportedAttribute = await rig.set(
          "system.posix_acl_access", try Attributes.transferred("u::7,g::7,o::7"), link)
      else { throw Unexpected() }
    }
  }

  @Test("what does not fit leaves everything as it was", arguments: [128, 256])
  func full(inodeSize: Int) throws {
    try script(try Attributes.image(inodeSize), seeds: 0..<2) { rig in
      let inode = try await rig.create("f")
      var expected: [String: [UInt8]] = [:]
      for index in 0... {
        let name = "user.\(index)", value = stamped(UInt8(index), count: 90)
        let error = await rig.set(name, value, inode)
        if error == nil {
          expected[name] = value
          continue
        }
        guard case .noSpace = error else { throw Unexpected() }
        break
      }
      #expect(expected.count >= 8)
      #expect(try await rig.attributes(inode) == expected)
      // A larger value for one that is there does not fit either, and the old one stays.
      guard case .noSpace = await rig.set("user.1", stamped(9, count: 400), inode) else { throw Unexpected() }
      #expect(try await rig.attributes(inode) == expected)
      #expect(await rig.remove("user.0", inode) == nil)
      #expect(await rig.set("user.x", stamped(9, count: 90), inode) == nil)
    }
  }

  @Test("a volume without the feature gets it with its first attribute, and one of revision 0 the revision too")
  func feature() throws {
    for options in [["-O", "^ext_attr"], ["-r", "0", "-O", "none"]] {
      let image = try Attributes.image(128, options: options)
      #expect(!(try Superblocks.decoded(image).compatible.contains(.extendedAttributes)))
      let prepared = try Images.prepared(image) { rig in
        let inode = try await rig.create("f")
        #expect(await rig.set("user.a", [1], inode) == nil)
      }
      #expect(try Images.check(prepared) == nil)
      let superblock = try Superblocks.decoded(prepared)
      #expect(superblock.compatible.contains(.extendedAttributes))
      #expect(superblock.revision == 1 && superblock.inodeSize == 128 && superblock.firstInode.rawValue == 11)
    }
  }

  @Test("fsync makes an attribute durable, in the inode and in a block that others share", arguments: [128, 256])
  func fsync(inodeSize: Int) throws {
    let image = try Attributes.image(inodeSize, options: ["-O", "^ext_attr"])
    try script(image, seeds: 0..<6) { rig in
      let file = try await rig.volume.open("f", create: true)
      let inode = Made(path: "f", inode: try await file.status().inode)
      let other = try await rig.create("g")
      // The name is durable before.
      try await rig.volume.synchronize()
      let values: [String: [UInt8]] = ["user.a": [1, 2, 3], "user.b": stamped(4, count: 200)]
      for target in [other, inode] {
        for (name, value) in values.sorted(by: { $0.key < $1.key }) {
          try await rig.mustSet(name, value, target)
        }
      }
      try await file.synchronize()
      let cut = await rig.disk { $0.durableImage }
      #expect(try Superblocks.decoded(cut).compatible.contains(.extendedAttributes))
      let listed = try Images.output(of: "debugfs", ["-R", "ea_list /f"], on: cut)
      #expect(listed.contains("user.a (3) = 01 02 03") && listed.contains("user.b (200)"))
    }
  }

  @Test("an attribute block that cannot be read or written is told, and nothing is lost when the device recovers")
  func failingDevice() throws {
    let prepared = try Images.prepared(try Attributes.image(128)) { rig in
      let inode = try await rig.create("f")
      try await rig.mustSet("user.a", [1], inode)
    }
    try script(prepared, seeds: 0..<4) { rig in
      let file = try await rig.volume.open("f")
      let inode = Made(path: "f", inode: try await file.status().inode)
      await rig.fail { $0.operation == .read && !$0.isFileData }
      guard case .device = await rig.set("user.b", [2], inode) else { throw Unexpected() }
      await rig.serve()
      #expect(try await rig.attributes(inode) == ["user.a": [1]])
      #expect(await rig.set("user.b", [2], inode) == nil)
      await rig.fail { $0.isMetadataWrite }
      #expect(await errorOf { () async throws(Ext2Error) in try await file.synchronize() } != nil)
      await rig.serve()
      try await file.synchronize()
      #expect(try await rig.attributes(inode) == ["user.a": [1], "user.b": [2]])
      await file.close()
    }
  }
}
