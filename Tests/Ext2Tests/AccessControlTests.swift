import Ext2
import Ext2Format
import Support
import Testing

@Suite("ACLs of a volume", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct AccessControlTests {
  static let access = "system.posix_acl_access", byDefault = "system.posix_acl_default"
  static let root: UInt32 = 2

  static func text(_ name: String, _ inode: UInt32, _ rig: VolumeRig) async throws -> String? {
    guard let bytes = try? await rig.volume.attribute(name, ofInode: inode) else { return nil }
    return try AccessControlList.decode(transferBytes: bytes)?.description
  }

  @Test(
    "an access ACL sets the mode, chmod sets its mask, and one that the mode says as well is not kept",
    arguments: [128, 256])
  func access(inodeSize: Int) throws {
    try script(try Attributes.image(inodeSize), seeds: 0..<2) { rig in
      let inode = try await rig.create("f")
      #expect(await rig.set(Self.access, try Attributes.transferred("u::7,u:1000:6,g::4,m::6,o::0"), inode) == nil)
      #expect(try await rig.volume.mode(ofInode: inode) == 0o100760)
      #expect(
        try await Self.text(Self.access, inode, rig)
          == "user::rwx\nuser:1000:rw-\ngroup::r--\nmask::rw-\nother::---\n")
      try await rig.volume.changePermissions(to: 0o4715, ofInode: inode)
      #expect(try await rig.volume.mode(ofInode: inode) == 0o104715)
      #expect(
        try await Self.text(Self.access, inode, rig)
          == "user::rwx\nuser:1000:rw-\ngroup::r--\nmask::--x\nother::r-x\n")
      #expect(await rig.set(Self.access, try Attributes.transferred("u::6,g::4,o::0"), inode) == nil)
      #expect(try await rig.volume.mode(ofInode: inode) == 0o104640)
      #expect(try await rig.attributes(inode) == [:])
    }
  }

  @Test("removing the access ACL leaves the mode, with its mask as group bits; removing none is no error")
  func removal() throws {
    try script(try Attributes.image(128), seeds: 0..<1) { rig in
      let inode = try await rig.create("f")
      #expect(await rig.remove(Self.access, inode) == nil)
      #expect(await rig.set(Self.access, try Attributes.transferred("u::7,u:9:6,g::4,m::3,o::0"), inode) == nil)
      #expect(await rig.remove(Self.access, inode) == nil)
      #expect(try await rig.volume.mode(ofInode: inode) == 0o100730)
      #expect(await rig.set(Self.access, try Attributes.transferred("u::7,u:9:6,g::4,m::3,o::0"), inode) == nil)
      #expect(await rig.set(Self.access, [2, 0, 0, 0], inode) == nil)
      #expect(try await rig.attributes(inode) == [:])
    }
  }

  @Test("what is no ACL is refused, and a default ACL on anything but a directory")
  func refusals() throws {
    try script(try Attributes.image(128), seeds: 0..<1) { rig in
      let inode = try await rig.create("f")
      guard case .invalidAttribute = await rig.set(Self.access, [1], inode),
        case .unsupportedAttribute = await rig.set(Self.access, [1, 0, 0, 0], inode),
        case .notADirectoryForDefaultACL = await rig.set(
          Self.byDefault, try Attributes.transferred("u::7,g::7,o::7"), inode)
      else { throw AttributeTests.Unexpected() }
      #expect(try await rig.volume.mode(ofInode: inode) == 0o100644)
    }
  }

  @Test("a new file inherits its directory's default ACL in the step that makes it", arguments: [128, 256])
  func inheritance(inodeSize: Int) throws {
    // With as few slots of the metadata cache as a mount takes.
    try script(try Attributes.image(inodeSize), .quiet.with { $0.metadataSlotCount = 48 }, seeds: 0..<4) { rig in
      let free = await rig.volume.statistics
      let before = try await rig.create("before")
      #expect(
        await rig.set(Self.byDefault, try Attributes.transferred("u::7,u:5:7,g::7,m::7,o::0"), Self.root) == nil)
      #expect(try await rig.volume.mode(ofInode: Self.root) == 0o040755)
      for name in ["a", "b", "c"] {
        let inode = try await rig.create(name)
        #expect(try await rig.volume.mode(ofInode: inode) == 0o100640)
        #expect(
          try await Self.text(Self.access, inode, rig)
            == "user::rw-\nuser:5:rwx\ngroup::rwx\nmask::r--\nother::---\n")
        #expect(try await Self.text(Self.byDefault, inode, rig) == nil)
      }
      #expect(try await rig.attributes(before) == [:])
      #expect(await rig.remove(Self.byDefault, Self.root) == nil)
      for name in ["a", "b", "c", "before"] { try await rig.volume.unlink(name) }
      await rig.settle()
      try await rig.volume.synchronize()
      #expect(await rig.volume.statistics == free)
    }
  }

  @Test("a file that cannot have the ACL it should inherit is not made, and costs nothing")
  func noRoomToInherit() throws {
    try script(try Attributes.image(128, blockCount: 512), seeds: 0..<3) { rig in
      #expect(await rig.set(Self.byDefault, try Attributes.transferred("u::7,u:5:7,g::7,m::7,o::0"), Self.root) == nil)
      let filler = try await rig.volume.open("filler", create: true)
      try await rig.volume.setAttribute("user.mine", to: [1], ofInode: try await filler.status().inode)
      while let count = try? await filler.append(stamped(1, count: 4096)), count > 0 {}
      let free = await rig.volume.statistics
      guard
        case .noSpace = await errorOf({ () async throws(Ext2Error) in try await rig.volume.open("f", create: true) })
      else { throw AttributeTests.Unexpected() }
      #expect(!(try await rig.volume.list().contains("f")))
      #expect(await rig.volume.statistics == free)
    }
  }

  @Test("a file that is not made after all gives the block of its ACL back") func abandoned() throws {
    // The bitmap says that the inode of a file is free.
    let prepared = try Images.prepared(try Attributes.image(128)) { rig in
      _ = try await rig.create("victim")
      try await rig.volume.setAttribute(
        Self.byDefault, to: try Attributes.transferred("u::7,u:5:7,g::7,m::7,o::0"), ofInode: Self.root)
    }
    let image = try Images.edited(prepared, ["freei victim"])
    let outcome = VolumeRig.run(image) { rig in
      let victim = try await rig.volume.open("victim")
      let free = await rig.volume.statistics.freeBlockCount
      guard
        case .corrupt = await errorOf({ () async throws(Ext2Error) in try await rig.volume.open("f", create: true) })
      else { throw AttributeTests.Unexpected() }
      await rig.settle()
      #expect(await rig.volume.statistics.freeBlockCount == free)
      await victim.close()
    }
    #expect(outcome.failures == [])
  }

  @Test("an ACL on the disk that is none is corruption, named") func corrupt() throws {
    let tally = Tally()
    let prepared = try Images.prepared(try Attributes.image(128)) { rig in
      let inode = try await rig.create("f")
      tally.count = Int(inode)
      try await rig.volume.setAttribute(
        Self.access, to: try Attributes.transferred("u::7,u:5:7,g::7,m::7,o::0"), ofInode: inode)
    }
    let inode = UInt32(tally.count)
    var image = prepared
    let block = Int(try Attributes.record(inode, of: prepared).attributeBlock.rawValue) * 1024
    // The value lies at the end: its version, then the tag of its first entry.
    image[block + 1024 - 28 + 4] = 0x55
    let outcome = VolumeRig.run(image) { rig in
      let error = await errorOf { () async throws(Ext2Error) in
        try await rig.volume.attribute(Self.access, ofInode: inode)
      }
      guard case .corrupt(let corruption) = error else { throw AttributeTests.Unexpected() }
      #expect("\(corruption)".contains("access control list") && "\(corruption)".contains("e_tag"))
      guard
        case .corrupt = await errorOf({ () async throws(Ext2Error) in
          try await rig.volume.changePermissions(to: 0o600, ofInode: inode)
        })
      else { throw AttributeTests.Unexpected() }
    }
    #expect(outcome.failures == [])
  }
}
