import BlockDevice
import Ext2
import Ext2Format
import Support
import Testing

@Suite("ACLs of a volume", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct AccessControlTests {
  static let access = "system.posix_acl_access", byDefault = "system.posix_acl_default"
  static let root = Made.root

  static func mode(_ file: Made, _ rig: VolumeRig) async throws -> UInt16 {
    try await rig.volume.status(of: file.path).permissions
  }

  static func text(_ name: String, _ file: Made, _ rig: VolumeRig) async throws -> String? {
    guard let bytes = await rig.attribute(name, file) else { return nil }
    return try AccessControlList.decode(transferBytes: bytes)?.description
  }

  @Test(
    "an access ACL sets the mode, chmod sets its mask, and one that the mode says as well is not kept",
    arguments: [128, 256])
  func access(inodeSize: Int) throws {
    try script(try Attributes.image(inodeSize), seeds: 0..<2) { rig in
      let inode = try await rig.create("f")
      #expect(await rig.set(Self.access, try Attributes.transferred("u::7,u:1000:6,g::4,m::6,o::0"), inode) == nil)
      #expect(try await Self.mode(inode, rig) == 0o760)
      #expect(
        try await Self.text(Self.access, inode, rig)
          == "user::rwx\nuser:1000:rw-\ngroup::r--\nmask::rw-\nother::---\n")
      try await rig.volume.change(inode.path, StatusChanges(permissions: 0o4715))
      #expect(try await Self.mode(inode, rig) == 0o4715)
      #expect(
        try await Self.text(Self.access, inode, rig)
          == "user::rwx\nuser:1000:rw-\ngroup::r--\nmask::--x\nother::r-x\n")
      #expect(await rig.set(Self.access, try Attributes.transferred("u::6,g::4,o::0"), inode) == nil)
      #expect(try await Self.mode(inode, rig) == 0o4640)
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
      #expect(try await Self.mode(inode, rig) == 0o730)
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
      #expect(try await Self.mode(inode, rig) == 0o644)
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
      #expect(try await Self.mode(Self.root, rig) == 0o755)
      for name in ["a", "b", "c"] {
        let inode = try await rig.create(name)
        #expect(try await Self.mode(inode, rig) == 0o640)
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
      try await rig.mustSet("user.mine", [1], Made(path: "filler", inode: 0))
      while let count = try? await filler.append(stamped(1, count: 4096)), count > 0 {}
      let free = await rig.volume.statistics
      guard
        case .noSpace = await errorOf({ () async throws(Ext2Error) in try await rig.volume.open("f", create: true) })
      else { throw AttributeTests.Unexpected() }
      #expect(!(try await rig.volume.list().contains("f")))
      #expect(await rig.volume.statistics == free)
    }
  }

  /// A volume with a default ACL on its root, a file "bad" whose ACL is none, and a file "good" with an attribute.
  private static func damaged() throws -> [UInt8] {
    let tally = Tally()
    var image = try Images.prepared(try Attributes.image(128)) { rig in
      let bad = try await rig.create("bad")
      tally.count = Int(bad.inode)
      try await rig.mustSet(access, try Attributes.transferred("u::7,u:9:7,g::7,m::7,o::0"), bad)
      try await rig.mustSet("user.a", [1], try await rig.create("good"))
      try await rig.mustSet(byDefault, try Attributes.transferred("u::7,u:5:7,g::7,m::7,o::0"), root)
    }
    let block = try Attributes.record(Made(path: "bad", inode: UInt32(tally.count)), of: image).attributeBlock
    // The value lies at the end: its version, then the tag of its first entry.
    image[Int(block.rawValue) * 1024 + 1024 - 28 + 4] = 0x55
    return image
  }

  /// Reads the ACL that is none, by the number of its inode: the root may be locked.
  private static func meetCorruption(_ inode: UInt32, _ rig: VolumeRig) async throws -> Corruption {
    let error = await errorOf { () async throws(Ext2Error) in try await rig.volume.attribute(access, ofInode: inode) }
    guard case .corrupt(let corruption) = error else { throw AttributeTests.Unexpected() }
    return corruption
  }

  @Test("a file that is not made after all gives the block of its ACL back") func abandoned() throws {
    let image = try Self.damaged()
    let words = try Images.output(of: "dumpe2fs", [], on: image).split { $0 == " " || $0 == "\n" || $0 == "," }
    let place = words.indices.first { words[$0...].starts(with: ["Block", "bitmap", "at"]) }
    let bitmap = try #require(place.flatMap { UInt64(words[$0 + 3]) })
    let outcome = VolumeRig.run(image, options: .quiet.with { $0.onErrors = .remountReadOnly }) { rig in
      let free = await rig.volume.statistics.freeBlockCount
      let bad = try await rig.volume.status(of: "bad").inode
      await rig.hold { $0.operation == .read && $0.offset == bitmap * 1024 }
      async let making = errorOf { () async throws(Ext2Error) in try await rig.volume.open("f", create: true) }
      try await rig.untilHeld()
      // Meanwhile corruption makes the volume read-only.
      _ = try await Self.meetCorruption(bad, rig)
      await rig.serve()
      guard case .readOnly = await making else { throw AttributeTests.Unexpected() }
      await rig.settle()
      #expect(await rig.volume.statistics.freeBlockCount == free)
      #expect(!(try await rig.volume.list().contains("f")))
    }
    #expect(outcome.failures == [])
  }

  @Test("a change that finds the volume read-only in the end is not made") func lateRefusal() throws {
    let outcome = VolumeRig.run(try Self.damaged(), options: .quiet.with { $0.onErrors = .remountReadOnly }) { rig in
      let bad = try await rig.volume.status(of: "bad").inode
      let good = Made(path: "good", inode: 0)
      let inode = try await rig.volume.status(of: "good").inode
      let block = try Attributes.record(Made(path: "good", inode: inode), of: await rig.disk { $0.image })
        .attributeBlock
      let offset = UInt64(block.rawValue) * 1024
      await rig.hold { $0.operation == .read && $0.offset == offset }
      async let setting = rig.set("user.a", [2], good)
      try await rig.untilHeld()
      _ = try await Self.meetCorruption(bad, rig)
      await rig.serve()
      guard case .readOnly = await setting else { throw AttributeTests.Unexpected() }
      #expect(try await rig.attributes(good) == ["user.a": [1]])
    }
    #expect(outcome.failures == [])
  }

  @Test("an ACL on the disk that is none is corruption, named") func corrupt() throws {
    let outcome = VolumeRig.run(try Self.damaged()) { rig in
      let corruption = try await Self.meetCorruption(try await rig.volume.status(of: "bad").inode, rig)
      #expect("\(corruption)".contains("access control list") && "\(corruption)".contains("e_tag"))
      guard
        case .corrupt = await errorOf({ () async throws(Ext2Error) in
          try await rig.volume.change("bad", StatusChanges(permissions: 0o600))
        })
      else { throw AttributeTests.Unexpected() }
    }
    #expect(outcome.failures == [])
  }

  @Test("a mount without ACLs or attributes of users has none, and files that are made get what umask leaves")
  func options() throws {
    let prepared = try Images.prepared(try Attributes.image(128)) { rig in
      let file = try await rig.create("f")
      for name in ["user.a", "trusted.a"] { try await rig.mustSet(name, [1], file) }
      try await rig.mustSet(Self.access, try Attributes.transferred("u::7,u:5:7,g::5,m::7,o::0"), file)
      try await rig.mustSet(Self.byDefault, try Attributes.transferred("u::7,u:5:7,g::7,m::7,o::0"), Self.root)
    }
    let options = VolumeOptions.quiet.with {
      $0.allowsUserAttributes = false
      $0.allowsAccessControlLists = false
    }
    try script(prepared, options, seeds: 0..<1) { rig in
      let file = try await rig.create("f")
      #expect(try await rig.attributes(file) == ["trusted.a": [1]])
      for name in ["user.a", Self.access] {
        guard case .unsupportedAttribute = await rig.set(name, [], file),
          case .unsupportedAttribute = await rig.remove(name, file)
        else { throw AttributeTests.Unexpected() }
      }
      let maker = Credentials(user: 5, group: 5, umask: 0o027)
      await (try rig.volume.open("g", .create, permissions: 0o666, as: maker)).close()
      #expect(try await rig.volume.status(of: "g").permissions == 0o640)
      try await rig.volume.makeDirectory("d", permissions: 0o777, as: maker)
      #expect(try await rig.volume.status(of: "d").permissions == 0o750)
      try await rig.volume.makeSymbolicLink("l", to: "d", as: maker)
      #expect(try await rig.volume.status(of: "l", followsLink: false).permissions == 0o777)
    }
  }

  @Test("directories hand the default ACL on, links inherit nothing, and umask does not count") func descent() throws {
    try script(try Attributes.image(128), seeds: 0..<2) { rig in
      let text = "user::rwx\nuser:5:rwx\ngroup::rwx\nmask::rwx\nother::---\n"
      #expect(await rig.set(Self.byDefault, try Attributes.transferred(text), Self.root) == nil)
      let maker = Credentials(user: 5, group: 5, umask: 0o077)
      try await rig.volume.makeDirectory("d", permissions: 0o775, as: maker)
      try await rig.volume.makeDirectory("d/e", permissions: 0o700, as: maker)
      try await rig.volume.makeNode("d/e/pipe", .fifo, permissions: 0o666, as: maker)
      try await rig.volume.makeSymbolicLink("d/l", to: "e", as: maker)
      for (path, permissions) in [("d", UInt16(0o770)), ("d/e", 0o700), ("d/e/pipe", 0o660), ("d/l", 0o777)] {
        #expect(try await rig.volume.status(of: path, followsLink: false).permissions == permissions, "\(path)")
      }
      for path in ["d", "d/e"] {
        #expect(try await Self.text(Self.byDefault, Made(path: path, inode: 0), rig) == text)
      }
      #expect(
        try await Self.text(Self.access, Made(path: "d/e/pipe", inode: 0), rig)
          == "user::rw-\nuser:5:rwx\ngroup::rwx\nmask::rw-\nother::---\n")
      #expect(try await rig.attributes(Made(path: "d/l", inode: 0)) == [:])
    }
  }
}
