import BlockDevice
import Ext2
import Ext2Format
import Support
import SystemPackage
import Testing

@Suite("Shared attribute blocks", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct AttributeSharingTests {
  @Test("inodes with equal attributes share one block; it is copied when one of them changes, and freed with the last")
  func sharing() throws {
    try script(try Attributes.image(128), seeds: 0..<4) { rig in
      var inodes: [Made] = []
      for name in ["a", "b", "c"] { inodes.append(try await rig.create(name)) }
      try await rig.volume.synchronize()
      let before = await rig.volume.statistics.freeBlockCount
      for inode in inodes {
        for name in ["user.x", "user.y"] { #expect(await rig.set(name, Array(name.utf8), inode) == nil) }
      }
      #expect(try await Self.used(rig, since: before) == 1)
      let image = await rig.disk { $0.image }
      #expect(Set(try inodes.map { try Attributes.record($0, of: image).attributeBlock }).count == 1)
      #expect(try Attributes.referenceCount(inodes[0], of: image) == 3)
      for inode in inodes { #expect(try Attributes.record(inode, of: image).sectorCount == 2) }

      #expect(await rig.set("user.x", [1], inodes[1]) == nil)
      #expect(try await rig.attributes(inodes[0]) == ["user.x": Array("user.x".utf8), "user.y": Array("user.y".utf8)])
      #expect(try await rig.attributes(inodes[1]) == ["user.x": [1], "user.y": Array("user.y".utf8)])
      #expect(try await Self.used(rig, since: before) == 2)
      #expect(try Attributes.referenceCount(inodes[2], of: await rig.disk { $0.image }) == 2)

      // Equal again, so shared again.
      #expect(await rig.set("user.x", Array("user.x".utf8), inodes[1]) == nil)
      #expect(try await Self.used(rig, since: before) == 1)
      #expect(try Attributes.referenceCount(inodes[1], of: await rig.disk { $0.image }) == 3)

      try await rig.volume.unlink("a")
      await rig.settle()
      #expect(try await Self.used(rig, since: before) == 1)
      #expect(try Attributes.referenceCount(inodes[1], of: await rig.disk { $0.image }) == 2)
      for name in ["user.x", "user.y"] { #expect(await rig.remove(name, inodes[1]) == nil) }
      try await rig.volume.unlink("c")
      await rig.settle()
      #expect(try await Self.used(rig, since: before) == 0)
    }
  }

  /// How many blocks are in use more than before, when nothing waits any more.
  private static func used(_ rig: VolumeRig, since before: UInt64) async throws -> Int {
    try await rig.volume.synchronize()
    return Int(before) - Int(await rig.volume.statistics.freeBlockCount)
  }

  @Test("a block is shared with inodes that were written before the mount, once it has been seen")
  func remount() throws {
    let prepared = try Images.prepared(try Attributes.image(128)) { rig in
      let inode = try await rig.create("a")
      try await rig.mustSet("user.x", [1], inode)
    }
    try script(prepared, seeds: 0..<1) { rig in
      let first = try await rig.create("a"), second = try await rig.create("b")
      #expect(try await rig.attributes(first) == ["user.x": [1]])
      #expect(await rig.set("user.x", [1], second) == nil)
      try await rig.volume.synchronize()
      #expect(try Attributes.referenceCount(second, of: await rig.disk { $0.image }) == 2)
    }
  }

  @Test("more inodes than may share a block have two") func referenceLimit() throws {
    let image = try Images.make(blockSize: 1024, byteCount: 2 << 20, options: ["-I", "128", "-N", "1100", "-m", "0"])
    let tally = Tally()
    let outcome = VolumeRig.run(image, stepLimit: 50_000_000) { rig in
      for index in 0..<1030 {
        let inode = try await rig.create("\(index)")
        try await rig.mustSet("user.x", [1], inode)
        tally.notes.append("\(inode.inode)")
      }
      // One less, and it has room again.
      let first = try await rig.create("0")
      #expect(await rig.remove("user.x", first) == nil)
      try await rig.mustSet("user.x", [1], first)
    }
    #expect(outcome.failures == [] && outcome.unmountError == nil)
    #expect(try Images.check(outcome.image) == nil)
    let counts = Set(
      try tally.notes.map {
        try Attributes.referenceCount(Made(path: "", inode: UInt32($0)!), of: outcome.image)
      })
    #expect(counts.max() == 1024 && counts.count == 2)
  }

  @Test("a full volume refuses to copy a shared block, and nothing changes") func noBlock() throws {
    try script(try Attributes.image(128, blockCount: 512), seeds: 0..<3) { rig in
      let first = try await rig.create("a"), second = try await rig.create("b"), third = try await rig.create("c")
      for inode in [first, second] { #expect(await rig.set("user.x", [1], inode) == nil) }
      let filler = try await rig.volume.open("filler", create: true)
      while let count = try? await filler.append(stamped(1, count: 4096)), count > 0 {}
      guard case .noSpace = await rig.set("user.x", [2], first) else { throw AttributeTests.Unexpected() }
      guard case .noSpace = await rig.set("user.y", [2], third) else { throw AttributeTests.Unexpected() }
      for inode in [first, second] { #expect(try await rig.attributes(inode) == ["user.x": [1]]) }
      #expect(try await rig.attributes(third) == [:])
      // Sharing needs no block.
      #expect(await rig.set("user.x", [1], third) == nil)
      try await rig.volume.synchronize()
      #expect(try Attributes.referenceCount(third, of: await rig.disk { $0.image }) == 3)
    }
  }

  @Test("chmod of an immutable file with a shared ACL is refused, and gives the block back that it had for a copy")
  func refusedCopy() throws {
    try script(try Attributes.image(128), seeds: 0..<3) { rig in
      let volume = rig.volume
      let list = try AccessControlList(text: "u::rwx,u:1:r-x,g::r-x,m::rwx,o::---")
      for name in ["a", "b"] {
        _ = try await rig.create(name)
        try await volume.setAccessControlList(list, of: name)
      }
      try await volume.change("a", StatusChanges(flags: .immutable))
      let before = try await volume.status(of: "a")
      let error = await errorOf { () async throws(Ext2Error) in
        try await volume.change("a", StatusChanges(permissions: 0o600))
      }
      #expect(error?.errno == .notPermitted)
      let after = try await volume.status(of: "a")
      #expect(after == before)
      await rig.settle()
      // Anybody can have it.
      let file = try await volume.open("filler", create: true)
      try await file.append(stamped(1, count: 20_000))
      let state = try await volume.superblock().0.state
      #expect(!state.contains(.error))
    }
  }

  @Test("while one inode's own block is about to change nobody begins to share it") func changeInPlace() throws {
    let prepared = try Images.prepared(try Attributes.image(128)) { rig in
      for name in ["a", "b", "c"] { _ = try await rig.create(name) }
      let inode = try await rig.create("a")
      try await rig.mustSet("user.x", [1], inode)
    }
    try script(prepared, seeds: 0..<40) { rig in
      let first = try await rig.create("a"), second = try await rig.create("b"), third = try await rig.create("c")
      #expect(try await rig.attributes(first) == ["user.x": [1]])
      async let one = rig.set("user.x", [2], first)
      async let two = rig.set("user.x", [1], second)
      async let three = rig.set("user.x", [2], third)
      let errors = await [one, two, three]
      #expect(errors.allSatisfy { $0 == nil })
      #expect(try await rig.attributes(first) == ["user.x": [2]])
      #expect(try await rig.attributes(second) == ["user.x": [1]])
      #expect(try await rig.attributes(third) == ["user.x": [2]])
    }
  }

  @Test("a block that is freed while it is read to be shared is not shared") func freedWhileRead() throws {
    let prepared = try Images.prepared(try Attributes.image(128, options: ["-N", "96"])) { rig in
      for index in 0..<56 {
        let inode = try await rig.create("\(index)")
        try await rig.mustSet("user.x", [UInt8(index)], inode)
      }
    }
    // So few slots that the first block has left the cache, and is still known, when all others were looked at.
    try script(prepared, .quiet.with { $0.metadataSlotCount = 48 }, seeds: 0..<24) { rig in
      let owner = try await rig.create("0"), other = try await rig.create("new")
      try await rig.volume.synchronize()
      #expect(try await rig.attributes(owner) == ["user.x": [0]])
      for index in 1..<56 { _ = try await rig.attributes(try await rig.create("\(index)")) }
      let block = try Attributes.record(owner, of: await rig.disk { $0.image }).attributeBlock
      let offset = UInt64(block.rawValue) * 1024
      await rig.hold { $0.operation == .read && $0.offset == offset }
      async let sharing = rig.set("user.x", [0], other)
      async let removing = rig.remove("user.x", owner)
      try await rig.untilHeld()
      await rig.settle()
      await rig.serve()
      let errors = await [sharing, removing]
      #expect(errors.allSatisfy { $0 == nil })
      #expect(try await rig.attributes(other) == ["user.x": [0]])
      #expect(try await rig.attributes(owner) == [:])
    }
  }

  @Test(
    "many tasks that set, remove and unlink leave what the last of each said, and right reference counts",
    arguments: [128, 256])
  func storm(inodeSize: Int) throws {
    let image = try Attributes.image(inodeSize)
    for seed in UInt64(0)..<60 {
      let options = VolumeOptions.quiet.with { $0.metadataSlotCount = seed % 3 == 0 ? 48 : 2048 }
      try script(image, options, seeds: seed..<seed + 1) { rig in
        try await Self.run(rig, seed)
      }
    }
  }

  private static func run(_ rig: VolumeRig, _ seed: UInt64) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for task in 0..<5 {
        group.addTask {
          var generator = SeededNumbers(seed: seed &* 31 &+ UInt64(task))
          var expected: [String: [UInt8]] = [:]
          var name = "file-\(task)", round = 0
          var inode = try await rig.create(name)
          for _ in 0..<25 {
            let attribute = "user.\(["x", "y", "z"][generator.below(3)])"
            switch generator.below(12) {
            case 0:
              try await rig.volume.unlink(name)
              round += 1
              name = "file-\(task)-\(round)"
              inode = try await rig.create(name)
              expected = [:]
            case 1...3:
              if await rig.remove(attribute, inode) == nil { expected[attribute] = nil }
            case 4: try await rig.volume.synchronize()
            default:
              // Few values, so that many inodes have the same.
              let value = stamped(UInt8(generator.below(2)), count: [3, 200][generator.below(2)])
              guard await rig.set(attribute, value, inode) == nil else { throw AttributeTests.Unexpected() }
              expected[attribute] = value
            }
            guard try await rig.attributes(inode) == expected else { throw Lost(task: task, seed: seed) }
          }
        }
      }
      try await group.waitForAll()
    }
  }

  struct Lost: Error {
    let task: Int
    let seed: UInt64
  }

  @Test("whichever read fails, an operation is done whole or not at all", arguments: [128, 256])
  func failingReads(inodeSize: Int) throws {
    let prepared = try Images.prepared(try Attributes.image(inodeSize)) { rig in
      for (name, value) in [("a", 1), ("b", 1), ("c", 2)] {
        try await rig.mustSet("user.x", stamped(UInt8(value), count: 200), try await rig.create(name))
      }
    }
    let first = Made(path: "a", inode: 0), third = Made(path: "c", inode: 0)
    var failures = 0
    for failing in 0..<12 {
      for what in 0..<4 {
        let reads = Tally(), errors = Tally()
        try script(prepared, seeds: 0..<1) { rig in
          // The other's block is known, so that it may be shared.
          if failing % 2 == 0 { _ = try await rig.attributes(third) }
          await rig.treat { request in
            guard request.operation == .read else { return .proceed }
            reads.count += 1
            return reads.count - 1 == failing / 2 ? .fail(.ioError) : .proceed
          }
          let before = ["user.x": stamped(1, count: 200)]
          var after = before
          let error: Ext2Error?
          switch what {
          case 0:
            after["user.x"] = stamped(2, count: 200)
            error = await rig.set("user.x", stamped(2, count: 200), first)
          case 1:
            after["user.y"] = [1]
            error = await rig.set("user.y", [1], first)
          case 2:
            after = [:]
            error = await rig.remove("user.x", first)
          default:
            after["user.y"] = stamped(3, count: 400)
            error = await rig.set("user.y", stamped(3, count: 400), first)
          }
          await rig.serve()
          if error != nil { errors.count += 1 }
          #expect(try await rig.attributes(first) == (error == nil ? after : before))
        }
        failures += errors.count
      }
    }
    #expect(failures > 8)
  }

  @Test("attributes on a hostile disk end with an error or a value, never with a trap", arguments: [128, 256])
  func hostile(inodeSize: Int) throws {
    let tally = Tally()
    let prepared = try Images.prepared(try Attributes.image(inodeSize)) { rig in
      for name in ["a", "b"] {
        let inode = try await rig.create(name)
        tally.notes.append("\(inode.inode)")
        for index in 0..<3 {
          try await rig.mustSet("user.\(index)", stamped(UInt8(index), count: 60), inode)
        }
      }
    }
    let inodes = zip(["a", "b"], tally.notes).map { Made(path: $0, inode: UInt32($1)!) }
    let block = Int(try Attributes.record(inodes[0], of: prepared).attributeBlock.rawValue) * 1024
    var (errors, values) = (0, 0)
    let fields = try Attributes.position(of: inodes[0], in: prepared)
    for seed in UInt64(0)..<200 {
      var generator = SeededNumbers(seed: seed)
      var image = prepared
      for _ in 0..<2 {
        // In the entries or the values of the block, or behind the fields of the first inode.
        let places = [block + generator.below(130), block + 1024 - 1 - generator.below(200)]
        let place = inodeSize > 128 && seed % 2 == 0 ? fields + 128 + generator.below(128) : places[generator.below(2)]
        image[place] = [0, 0xFF, image[place] ^ 1, image[place] &+ 4][generator.below(4)]
      }
      let found = Tally(), refused = Tally()
      let outcome = VolumeRig.run(image, seed: seed) { rig in
        for inode in inodes {
          if let all = try? await rig.attributes(inode) { found.count += all.count } else { refused.count += 1 }
          _ = await rig.set("user.1", [1], inode)
          _ = await rig.set("user.new", stamped(3, count: 300), inode)
          _ = await rig.remove("user.2", inode)
        }
        for name in ["a", "b"] { try await rig.volume.unlink(name) }
        await rig.settle()
      }
      // Which blocks the volume frees is what its counts say; but it runs to its end.
      #expect(!outcome.failures.contains { $0.contains("ended") }, "seed \(seed): \(outcome.failures)")
      errors += refused.count
      values += found.count
    }
    #expect(errors > 20 && values > 100)
  }
}

/// Seeded numbers for choices of a test.
struct SeededNumbers {
  private var state: UInt64
  init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }
  mutating func below(_ limit: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int((state >> 33) % UInt64(limit))
  }
}
