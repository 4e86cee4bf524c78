import BlockDevice
import Ext2
import Ext2Format
import PageCache
import Reactor
import Support
import Testing

@Suite("Images that are wrong", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct BadImageTests {
  /// What became of an attempt to mount.
  struct Attempt: Sendable {
    var error: String?
    var writes = 0
  }

  /// Mounts an image and unmounts it again. `unreadable`: reads from there on fail, in bytes.
  static func mount(
    _ image: [UInt8], _ options: Ext2.VolumeOptions = .quiet, unreadableFrom unreadable: UInt64 = .max
  ) throws -> Attempt {
    let reactor = SimulatedReactor(seed: 1)
    reactor.stepLimit = 100_000
    let tally = Tally()
    return try reactor.run {
      let device = SimulatedDevice(reactor: reactor, image: image)
      device.script = { request in
        if request.operation.isWrite { tally.count += 1 }
        return request.operation == .read && request.offset > unreadable ? .failWithIOError : .proceed
      }
      do {
        let volume = try await Volume.mount(device, on: reactor, options: options)
        try await volume.unmount()
        return Attempt(error: nil, writes: tally.count)
      } catch {
        return Attempt(error: "\(error)", writes: tally.count)
      }
    }
  }

  /// Bytes to put into a good image, and words that the error must have.
  static let unmountable: [(what: String, offset: Int, bytes: [UInt8], words: [String])] = [
    ("no magic number", 1080, [0, 0], ["not an ext2 volume"]),
    ("all of the superblock is zero", 1024, [UInt8](repeating: 0, count: 1024), ["not an ext2 volume"]),
    ("all of it is ones", 1024, [UInt8](repeating: 0xFF, count: 56), ["superblock", "s_"]),
    ("a journal that needs recovery", 1120, [0x06], ["needs_recovery"]),
    ("extents", 1120, [0x42], ["not supported"]),
    ("an unknown feature", 1123, [0x80], ["not supported"]),
    ("block size", 1048, [9], ["superblock", "s_log_block_size"]),
    ("blocks", 1028, [0xFF, 0xFF, 0xFF, 0x7F], ["superblock", "s_blocks_count"]),
    ("no blocks", 1028, [0, 0, 0, 0], ["superblock", "s_blocks_count"]),
    ("blocks of a group", 1056, [0, 0, 0, 0], ["superblock", "s_blocks_per_group"]),
    ("inodes of a group", 1064, [0, 0, 0, 0], ["superblock", "s_inodes_per_group"]),
    ("inodes", 1024, [1, 0, 0, 0], ["superblock", "s_inodes_count"]),
    ("inode size", 1112, [3, 0], ["superblock", "s_inode_size"]),
    ("first inode", 1108, [0xFF, 0xFF, 0, 0], ["superblock", "s_first_ino"]),
    ("first data block", 1044, [7, 0, 0, 0], ["superblock", "s_first_data_block"]),
    ("free blocks", 1036, [0xFF, 0xFF, 0xFF, 0x7F], ["superblock", "s_free_blocks_count"]),
    (
      "block bitmap out of the volume", 2048, [0xFF, 0xFF, 0xFF, 0], ["group descriptor", "group 0", "bg_block_bitmap"]
    ),
    ("inode bitmap in the superblock", 2052, [1, 0, 0, 0], ["group descriptor", "group 0", "bg_inode_bitmap"]),
    ("inode table at the end", 2056, [0xFF, 3, 0, 0], ["group descriptor", "group 0", "bg_inode_table"]),
  ]

  @Test(
    "an image that is no sound ext2 is refused with structure and field, and not written",
    arguments: unmountable.indices)
  func refused(index: Int) throws {
    let wrong = Self.unmountable[index]
    var image = try Images.empty(blockSize: 1024)
    image.replaceSubrange(wrong.offset..<wrong.offset + wrong.bytes.count, with: wrong.bytes)
    let attempt = try Self.mount(image)
    #expect(attempt.writes == 0, "\(wrong.what)")
    let error = attempt.error ?? "mounted"
    for word in wrong.words { #expect(error.contains(word), "\(wrong.what): \(error)") }
  }

  @Test("images too small for anything are refused", arguments: [512, 1024, 1536, 2048, 4096])
  func truncated(byteCount: Int) throws {
    let image = Array(try Images.empty(blockSize: 1024).prefix(byteCount))
    let attempt = try Self.mount(image)
    #expect(attempt.error != nil && attempt.writes == 0)
  }

  @Test(
    "a root that is no directory, or cannot be read, is refused before anything is written",
    arguments: [
      "sif <2> mode 0100644", "sif <2> links_count 0", "sif <2> size 0", "sif <2> size 100", "sif <2> flags 0x80000",
      "clri <2>",
    ])
  func badRoot(command: String) throws {
    let image = try Images.edited(try Images.empty(blockSize: 1024), [command])
    let attempt = try Self.mount(image)
    #expect(attempt.writes == 0)
    #expect(attempt.error?.contains("inode 2") == true, "\(attempt.error ?? "mounted")")
  }

  @Test("a root whose table cannot be read is refused before anything is written")
  func unreadableRoot() throws {
    let attempt = try Self.mount(try Images.empty(blockSize: 1024), unreadableFrom: 4096)
    #expect(attempt.error != nil && attempt.writes == 0)
  }

  /// A volume with a file "a" whose tree has all three levels, and a directory "d" with a file in it.
  static func tree() throws -> [UInt8] {
    let image = try Images.edited(try Images.empty(blockSize: 1024), ["mkdir d"])
    return try Images.prepared(image) { rig in
      let file = try await rig.volume.open("a", create: true)
      for block in [0, 12, 13, 300, 301, 12 + 256 + 65536 + 5] {
        try await file.write(stamped(1, count: 1024), at: UInt64(block * 1024))
      }
      try await (try await rig.volume.open("d/inner", create: true)).write(stamped(2, count: 5000), at: 0)
      try await (try await rig.volume.open("b", create: true)).write(stamped(3, count: 30_000), at: 0)
    }
  }

  static let badTrees: [(commands: [String], words: [String])] = [
    (["sif a block[0] 0xFFFFFF"], ["pointer", "i_block[0]", "out of the volume"]),
    (["sif a block[0] 1"], ["pointer", "i_block[0]", "metadata"]),
    (["sif a block[IND] 0xFFFFFF"], ["pointer", "i_block[12]", "out of the volume"]),
    (["sif a block[IND] 5"], ["pointer", "i_block[12]", "metadata"]),
    (["sif a block[DIND] 3"], ["pointer", "i_block[13]", "metadata"]),
    (["sif a block[TIND] 4000000000"], ["pointer", "i_block[14]", "out of the volume"]),
  ]

  @Test(
    "a pointer that leads where no file may go is an error that names it, for reading, writing and truncate",
    arguments: badTrees.indices)
  func badPointers(index: Int) throws {
    let wrong = Self.badTrees[index]
    let image = try Images.edited(try Self.tree(), wrong.commands)
    for seed in UInt64(0)..<4 {
      let outcome = VolumeRig.run(image, seed: seed) { rig in
        let file = try await rig.volume.open("a")
        var errors: [String] = []
        for block in [0, 12, 300, 12 + 256 + 65536 + 5] {
          if let error = await errorOf({ () async throws(Ext2Error) in
            try await file.read(at: UInt64(block * 1024), count: 10)
          }) {
            errors.append("\(error)")
          }
          _ = await errorOf { () async throws(Ext2Error) in
            try await file.write(stamped(7, count: 1024), at: UInt64(block * 1024))
          }
        }
        #expect(errors.contains { error in wrong.words.allSatisfy { error.contains($0) } }, "\(errors)")
        _ = await errorOf { () async throws(Ext2Error) in try await file.synchronize() }
        _ = await errorOf { () async throws(Ext2Error) in try await file.truncate(to: 0) }
        let other = try await rig.volume.open("b")
        #expect(try await other.read(at: 0, count: 30_000) == stamped(3, count: 30_000), "other files are whole")
      }
      #expect(outcome.failures == [], "seed \(seed)")
    }
  }

  @Test("trees that bite their own tail, or share blocks with others, are freed without harm", arguments: 0..<6)
  func cycles(kind: Int) throws {
    // The pointer block of a level, and what its pointers are made to be.
    let image = try Self.tree()
    let blocks = try Self.pointers(of: "a", image)
    let other = try Self.pointers(of: "b", image)
    var bent = image
    func set(_ block: UInt32, _ index: Int, _ value: UInt32) {
      for byte in 0..<4 {
        bent[Int(block) * 1024 + index * 4 + byte] = UInt8(truncatingIfNeeded: value >> UInt32(8 * byte))
      }
    }
    switch kind {
    case 0: set(blocks[12], 3, blocks[12])
    case 1: set(blocks[13], 0, blocks[13])
    case 2: for index in 0..<256 { set(blocks[14], index, blocks[14]) }
    case 3: set(blocks[14], 0, blocks[12])
    case 4: set(blocks[13], 1, other[12])
    default: set(blocks[12], 0, other[12])
    }
    let start = bent
    for seed in UInt64(0)..<6 {
      let outcome = VolumeRig.run(start, seed: seed) { rig in
        let file = try await rig.volume.open("a"), other = try await rig.volume.open("b")
        await withTaskGroup(of: Void.self) { group in
          group.addTask {
            _ = try? await file.read(at: 0, count: 400 * 1024)
            _ = try? await file.read(at: UInt64(12 + 256 + 65536) * 1024, count: 400 * 1024)
            for block in [12, 15, 300, 600, 12 + 256 + 65536 + 9] {
              _ = try? await file.write(stamped(7, count: 2000), at: UInt64(block * 1024))
            }
            _ = try? await file.truncate(to: seed % 2 == 0 ? 0 : 20_000)
            try? await rig.volume.unlink("a")
            await file.close()
          }
          group.addTask {
            for _ in 0..<4 { _ = try? await other.append(stamped(8, count: 9000)) }
            _ = try? await other.truncate(to: 3000)
            _ = try? await other.append(stamped(8, count: 60_000))
            await (try? rig.volume.open("c", create: true))?.close()
          }
        }
        _ = try? await rig.volume.synchronize()
      }
      // Blocks with two owners make the oracle speak; what must not happen is a trap, a deadlock or an endless loop.
      #expect(
        !outcome.failures.contains { $0.contains("deadlock") || $0.contains("no end") },
        "seed \(seed): \(outcome.failures)")
    }
  }

  @Test("a tree that names one subtree everywhere is freed in as many steps as it has blocks")
  func sharedSubtrees() throws {
    let image = try Self.tree()
    let top = try Self.pointers(of: "a", image)[14]
    func pointer(_ block: UInt32, in image: [UInt8]) -> UInt32 {
      unsafe image.span.bytes.integer(at: Int(block) * 1024, as: UInt32.self)
    }
    let middle = pointer(top, in: image), leaf = pointer(middle, in: image)
    var bent = image
    for index in 0..<256 {
      for byte in 0..<4 {
        bent[Int(top) * 1024 + index * 4 + byte] = UInt8(truncatingIfNeeded: middle >> UInt32(8 * byte))
        bent[Int(middle) * 1024 + index * 4 + byte] = UInt8(truncatingIfNeeded: leaf >> UInt32(8 * byte))
      }
    }
    let outcome = VolumeRig.run(bent, seed: 0, stepLimit: 20_000) { rig in
      let file = try await rig.volume.open("a")
      #expect(await errorOf { () async throws(Ext2Error) in try await file.truncate(to: 0) } != nil)
    }
    #expect(!outcome.failures.contains { $0.contains("no end") }, "\(outcome.failures)")
  }

  @Test("a block that a directory has beyond its size is an error when the directory is to grow", arguments: [12, 2])
  func blockBeyondDirectory(owner: Int) throws {
    let image = try Self.tree()
    // Its own block, or the root's: both are in memory as what they are.
    let block = try Self.pointers(of: owner == 2 ? "/" : "d", image)[0]
    let bent = try Images.edited(image, ["sif d block[1] \(block)"])
    for seed in UInt64(0)..<4 {
      let outcome = VolumeRig.run(bent, seed: seed) { rig in
        var error: Ext2Error?
        for number in 0..<9 where error == nil {
          let name = "d/" + String(repeating: "n", count: 200) + "\(number)"
          error = await errorOf { () async throws(Ext2Error) in
            await (try rig.volume.open(name, create: true)).close()
          }
        }
        let text = error.map { "\($0)" } ?? "no error"
        #expect(text.contains("directory block 1"), "\(text)")
        let names = try await rig.volume.list()
        #expect(names.contains("d"), "the root is whole")
      }
      #expect(outcome.failures == [], "seed \(seed)")
    }
  }

  @Test("two directories that share a block may lose one entry twice")
  func sharedDirectoryBlock() throws {
    let image = try Self.tree()
    let bent = try Images.edited(image, ["mkdir e", "sif e block[0] \(try Self.pointers(of: "d", image)[0])"])
    for seed in UInt64(0)..<24 {
      let outcome = VolumeRig.run(bent, seed: seed) { rig in
        async let one = errorOf { () async throws(Ext2Error) in try await rig.volume.unlink("d/inner") }
        async let two = errorOf { () async throws(Ext2Error) in try await rig.volume.unlink("e/inner") }
        let errors = await [one, two]
        #expect(errors.contains { $0 != nil } && errors.contains { $0 == nil })
      }
      #expect(outcome.failures == [], "seed \(seed)")
    }
  }

  @Test("a directory takes the place of another where the directory above has all the links that its field can count")
  func mostLinks() throws {
    let image = try Images.edited(
      try Images.empty(blockSize: 1024), ["mkdir d", "mkdir d/x", "mkdir x", "sif d links_count 65535"])
    let outcome = VolumeRig.run(image) { rig in
      try await rig.volume.rename("x", to: "d/x")
      #expect(try await rig.volume.status(of: "d").linkCount == 65535)
    }
    #expect(outcome.failures == [] && outcome.unmountError == nil)
  }

  @Test("a bitmap that calls a pointer block in use free is reported, and the block is left alone")
  func pointerBlockMarkedFree() throws {
    let image = try Self.tree()
    let block = try Self.pointers(of: "b", image)[12]
    // The count of free blocks counts it too, or the group is not searched for it.
    let bent = try Images.edited(
      image, ["set_super_value errors 2", "freeb \(block)", "set_bg 0 free_blocks_count 1000"])
    let outcome = VolumeRig.run(bent) { rig in
      let file = try await rig.volume.open("b")
      _ = try await file.read(at: 20_000, count: 1)
      let other = try await rig.volume.open("new", create: true)
      _ = try? await other.write(stamped(9, count: 1 << 20), at: 0)
      let extents = try await other.extents()
      #expect(!extents.contains { $0.contains(diskBlock: UInt64(block)) })
      guard case .readOnly = await errorOf({ () async throws(Ext2Error) in try await other.append([1]) }) else {
        Issue.record("nobody was told")
        return
      }
    }
    #expect(outcome.unmountError?.contains("bit") == true, "\(outcome.unmountError ?? "no error")")
  }

  @Test(
    "a bitmap that calls the volume's own blocks free is an error, and nothing is allocated by it", arguments: 0..<5)
  func ownBlockMarkedFree(which: Int) throws {
    let image = try Self.tree()
    let layout = try Superblocks.decoded(image).validate(deviceByteCount: UInt64(image.count))
    let group = try unsafe GroupDescriptor(decoding: image.span.bytes, at: 2048)
    let table = group.inodeTable.rawValue
    // The descriptors, the bitmaps, and both ends of the inode table.
    let block = [
      2, group.blockBitmap.rawValue, group.inodeBitmap.rawValue, table,
      table + UInt32(layout.inodeTableBlocksPerGroup) - 1,
    ][which]
    let bent = try Images.edited(image, ["freeb \(block)"])
    let outcome = VolumeRig.run(bent) { rig in
      let file = try await rig.volume.open("new", create: true)
      let error = await errorOf { () async throws(Ext2Error) in try await file.write([1], at: 0) }
      let text = error.map { "\($0)" } ?? "no error"
      #expect(text.contains("bitmap") && text.contains("own metadata as free"), "\(text)")
      let extents = try await file.extents()
      #expect(extents.isEmpty)
    }
    // Whoever watches the writes takes the bitmap's word for whose the blocks are.
    #expect(!outcome.failures.contains { $0.contains("ended") }, "\(outcome.failures)")
  }

  @Test("a directory whose parents lead back to it is an error for a rename, not a walk without an end")
  func circleOfParents() throws {
    let image = try Images.prepared(try Self.tree()) { rig in
      try await rig.volume.makeDirectory("d/sub")
      try await rig.volume.makeNode("d/sub/x", .fifo)
    }
    // The second entry of "d" is "..", 12 bytes behind the first one.
    let parent = Int(try Self.pointers(of: "d", image)[0]) * 1024 + 12
    #expect(image[parent] == 2)
    let number = Tally()
    _ = VolumeRig.run(image) { number.count = Int(try await $0.volume.status(of: "d/sub").inode) }
    var bent = image
    bent[parent] = UInt8(number.count)
    let outcome = VolumeRig.run(bent) { rig in
      let error = await errorOf { () async throws(Ext2Error) in try await rig.volume.rename("d/sub/x", to: "y") }
      let text = error.map { "\($0)" } ?? "no error"
      #expect(text.contains("a directory above itself"), "\(text)")
      let names = try await rig.volume.list("d/sub")
      #expect(names == ["x"])
    }
    #expect(outcome.failures == [])
  }

  @Test("trim leaves a pointer block alone that a bitmap calls free")
  func trimOfPointerBlock() throws {
    let image = try Self.tree()
    let block = UInt64(try Self.pointers(of: "b", image)[12])
    let bent = try Images.edited(image, ["freeb \(block)", "set_bg 0 free_blocks_count 1000"])
    let counts = Tally()
    let outcome = VolumeRig.run(bent) { rig in
      let file = try await rig.volume.open("b")
      _ = try await file.read(at: 20_000, count: 1)
      await rig.treat { request in
        guard request.operation == .discard else { return .proceed }
        counts.count += 1
        let blocks = request.offset / 1024..<(request.offset + UInt64(request.byteCount)) / 1024
        if blocks.contains(block) { counts.notes.append("\(blocks)") }
        return .proceed
      }
      _ = try await rig.volume.trim()
      await rig.settle()
    }
    #expect(outcome.failures == [] && counts.count > 0 && counts.notes == [])
  }

  @Test("an inode bitmap that calls inodes of the volume free does not give them to files")
  func reservedInodesMarkedFree() throws {
    let bent = try Images.edited(try Self.tree(), (3...10).filter { $0 != 7 }.map { "freei <\($0)>" })
    let outcome = VolumeRig.run(bent) { rig in
      for name in 0..<6 {
        let file = try await rig.volume.open("new\(name)", create: true)
        let number = try await file.status().inode
        #expect(number > 11)
      }
    }
    #expect(outcome.failures == [])
  }

  @Test("a file that two names have, though it has one link, takes no change once it is being freed")
  func openedWhileFreed() throws {
    let image = try Images.edited(try Self.tree(), ["link b second"])
    let changes: [@Sendable (File) async throws -> Void] = [
      { file in try await file.write(stamped(1, count: 5000), at: 0) },
      { file in try await file.truncate(to: 5000) },
      { file in try await file.punch(0..<5000) },
    ]
    for change in changes {
      let outcome = VolumeRig.run(image) { rig in
        let volume = rig.volume
        let number = UInt64(try await volume.status(of: "second").inode)
        // Its pointer block, which is read when it is freed.
        await rig.hold { $0.operation == .read && $0.owner == number }
        try await volume.unlink("b")
        try await rig.untilHeld()
        let file = try await volume.open("second")
        async let changing: Void = change(file)
        await rig.settle()
        await rig.serve()
        do {
          try await changing
          Issue.record("it was changed")
        } catch Ext2Error.closed {}
        await file.close()
      }
      #expect(outcome.failures == [])
    }
  }

  @Test("a directory with a second name below another one is moved from and removed without a deadlock")
  func removedBySecondName() throws {
    let sound = try Images.prepared(try Images.empty(blockSize: 1024)) { rig in
      try await rig.volume.makeDirectory("above")
      try await rig.volume.makeDirectory("above/b")
      try await rig.volume.makeLongDirectory("a", blockCount: 3)
      try await rig.volume.makeLongDirectory("above/b/empty", blockCount: 3)
    }
    // Its ".." does not tell that it is below "b".
    let image = try Images.edited(sound, ["link a above/b/second"])
    let outcome = VolumeRig.run(image) { rig in
      let volume = rig.volume
      _ = try await volume.status(of: "a/..")
      let number = UInt64(try await volume.status(of: "a").inode)
      let empty = UInt64(try await volume.status(of: "above/b/empty").inode)
      // Holds the lock of "b"; the rename waits for it on its way up, and the next removal after it.
      await rig.hold { $0.operation == .read && $0.owner == empty }
      async let first: Void = volume.removeDirectory("above/b/empty")
      try await rig.untilHeld()
      async let moved = errorOf { () async throws(Ext2Error) in try await volume.rename("a/none", to: "above/b/name") }
      await rig.settle()
      async let second: Void? = try? volume.removeDirectory("above/b/second")
      await rig.settle()
      await rig.hold { $0.operation == .read && $0.owner == number }
      await rig.disk { $0.release() }
      await rig.settle()
      // The rename has the lock of "a", the removal that of "b".
      await rig.serve()
      try await first
      #expect(await moved != nil)
      _ = await second
    }
    #expect(outcome.failures == [])
  }

  /// The inodes of the volume that `tree` makes.
  static let inodes: [String: UInt32] = ["/": 2, "d": 12, "a": 13, "b": 15]

  /// The block pointers of a file of such a volume.
  static func pointers(of name: String, _ image: [UInt8]) throws -> [UInt32] {
    let layout = try Superblocks.decoded(image).validate(deviceByteCount: UInt64(image.count))
    let bytes = unsafe image.span.bytes
    let descriptor = try GroupDescriptor(decoding: bytes, at: 2048)
    let (block, offset) = layout.location(
      of: InodeNumber(rawValue: try #require(inodes[name])), descriptor: descriptor)
    let record = try InodeRecord(decoding: bytes, at: Int(block.rawValue) * 1024 + offset, inodeSize: layout.inodeSize)
    return record.block.indices.map { record.block[$0] }
  }

  @Test(
    "a directory with a broken entry is an error that names block and field; the others are whole", arguments: 0..<5)
  func badDirectory(kind: Int) throws {
    let image = try Self.tree()
    let block = try Self.pointers(of: "d", image)[0]
    let first = Int(block) * 1024
    var bent = image
    switch kind {
    case 0: bent.replaceSubrange(first + 4..<first + 6, with: [0, 0])
    case 1: bent.replaceSubrange(first + 4..<first + 6, with: [13, 0])
    case 2: bent.replaceSubrange(first + 4..<first + 6, with: [0, 8])
    case 3: bent[first + 24 + 6] = 0xFF
    default: bent.replaceSubrange(first + 24..<first + 28, with: [0xFF, 0xFF, 0, 0])
    }
    let start = bent
    let outcome = VolumeRig.run(start) { rig in
      let errors = [
        await errorOf { () async throws(Ext2Error) in try await rig.volume.list("d") },
        await errorOf { () async throws(Ext2Error) in try await rig.volume.open("d/inner") },
        await errorOf { () async throws(Ext2Error) in try await rig.volume.open("d/new", create: true) },
        await errorOf { () async throws(Ext2Error) in try await rig.volume.unlink("d/inner") },
      ]
      for error in errors {
        let text = error.map { "\($0)" } ?? "no error"
        #expect(text.contains("directory block at block \(block) byte") && text.contains(" is "), "\(text)")
      }
      let whole = try await rig.volume.open("b")
      #expect(try await whole.read(at: 0, count: 30_000) == stamped(3, count: 30_000))
    }
    #expect(outcome.failures == [])
  }

  @Test(
    "names that lead to inodes of the volume, to free ones or to nowhere are errors",
    arguments: [1, 3, 7, 8, 10, 40, 64])
  func badInodeNumbers(number: Int) throws {
    let image = try Images.edited(try Self.tree(), ["link <\(number)> bad"])
    let outcome = VolumeRig.run(image) { rig in
      let error = await errorOf { () async throws(Ext2Error) in try await rig.volume.open("bad") }
      let text = error.map { "\($0)" } ?? "no error"
      #expect(text.contains("inode \(number)"), "\(text)")
      _ = await errorOf { () async throws(Ext2Error) in try await rig.volume.unlink("bad") }
    }
    #expect(outcome.failures == [])
  }

  @Test("an inode bitmap that calls an inode in use free does not give it away twice")
  func wrongInodeBitmap() throws {
    let image = try Images.edited(try Self.tree(), ["freei a"])
    let outcome = VolumeRig.run(image) { rig in
      let file = try await rig.volume.open("a")
      let number = try await file.status().inode
      for name in 0..<6 {
        guard let new = try? await rig.volume.open("new\(name)", create: true) else { continue }
        #expect(try await new.status().inode != number)
        try await new.write([1, 2, 3], at: 0)
      }
      #expect(try await file.read(at: 0, count: 1024) == stamped(1, count: 1024))
    }
    #expect(outcome.failures == [])
  }

  @Test(
    "with errors=remount-ro corruption ends all changes: writers get EROFS, unmount says so, the volume is not clean")
  func remountReadOnly() throws {
    let image = try Images.edited(
      try Self.tree(), ["set_super_value errors 2", "freeb \(try Self.pointers(of: "b", try Self.tree())[0])"])
    for seed in UInt64(0)..<6 {
      let outcome = VolumeRig.run(image, seed: seed) { rig in
        let file = try await rig.volume.open("b"), other = try await rig.volume.open("d/inner")
        try await other.write(stamped(9, count: 3000), at: 0)
        // It frees a block whose bit is clear.
        _ = await errorOf { () async throws(Ext2Error) in try await file.truncate(to: 0) }
        await rig.settle()
        guard case .readOnly = await errorOf({ () async throws(Ext2Error) in try await other.write([1], at: 0) }) else {
          Issue.record("the volume is still written")
          return
        }
        #expect(
          await errorOf { () async throws(Ext2Error) in try await other.synchronize() } != nil, "nothing is durable")
        let writes = Tally()
        await rig.treat { request in
          if request.isMetadataWrite { writes.count += 1 }
          return .proceed
        }
        await rig.pause(100_000_000_000)
        let error = await errorOf { () async throws(Ext2Error) in try await rig.volume.unmount() }
        guard case .dropped(let changes) = error else {
          Issue.record("unmount says \(String(describing: error))")
          return
        }
        #expect(changes.metadataBlocks.count > 0 && changes.pages.isEmpty, "data went to blocks of its own")
        #expect("\(changes)".contains("\(changes.metadataBlocks.count) metadata blocks ("))
        #expect(writes.count == 0, "metadata is not written any more")
      }
      #expect(outcome.failures == [], "seed \(seed)")
      #expect(Superblocks.isClean(outcome.image) == false)
    }
  }
}
