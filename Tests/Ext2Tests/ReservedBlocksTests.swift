import Ext2
import Ext2Format
import Support
import SystemPackage
import Testing

/// Blocks that only some may take (fs/ext2/balloc.c, ext2_has_free_blocks).
@Suite("Reserved blocks", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct ReservedBlocksTests {
  static let other = Credentials(user: 5, group: 5)

  /// Somebody who asks, and what the superblock and the mount say of whom.
  struct Case: Sendable, CustomTestStringConvertible {
    let who: Credentials
    var superblock: (user: UInt32, group: UInt32) = (0, 0)
    var mount: (user: UInt32?, group: UInt32?) = (nil, nil)
    let isAllowed: Bool
    var testDescription: String { "\(who.user):\(who.group), \(superblock), \(mount)" }
  }

  static let cases: [Case] = [
    Case(who: .root, isAllowed: true),
    Case(who: other, isAllowed: false),
    // Group 0 is not meant where no group is named.
    Case(who: Credentials(user: 5, group: 0), isAllowed: false),
    Case(who: Credentials(user: 77, group: 5), superblock: (77, 88), isAllowed: true),
    Case(who: Credentials(user: 5, group: 88), superblock: (77, 88), isAllowed: true),
    Case(who: Credentials(user: 88, group: 77), superblock: (77, 88), isAllowed: false),
    Case(who: .root, superblock: (77, 88), isAllowed: true),
    Case(who: Credentials(user: 70_000, group: 5), mount: (70_000, nil), isAllowed: true),
    Case(who: Credentials(user: 5, group: 80_000), mount: (nil, 80_000), isAllowed: true),
    Case(who: Credentials(user: 77, group: 5), superblock: (77, 88), mount: (78, nil), isAllowed: false),
    Case(who: Credentials(user: 5, group: 88), superblock: (77, 88), mount: (78, nil), isAllowed: true),
    Case(who: Credentials(user: 5, group: 88), superblock: (77, 88), mount: (nil, 89), isAllowed: false),
    Case(who: Credentials(user: 5, group: 0), superblock: (77, 88), mount: (nil, 0), isAllowed: false),
  ]

  /// 400 of 2,048 blocks are reserved.
  static func image(_ user: UInt32 = 0, _ group: UInt32 = 0) throws -> [UInt8] {
    let image = try Images.empty(blockSize: 1024, blockCount: 2048)
    return try Images.edited(image, ["ssv r_blocks_count 400", "ssv def_resuid \(user)", "ssv def_resgid \(group)"])
  }

  /// Appends until nothing more is taken, and says why.
  static func fill(_ volume: Volume, _ path: String, _ who: Credentials, piece: Int) async throws -> Ext2Error? {
    let file = try await volume.open(path, .create, as: who)
    let bytes = [UInt8](repeating: 7, count: piece)
    var error: Ext2Error?
    while error == nil {
      error = await errorOf { () async throws(Ext2Error) in try await file.append(bytes) }
    }
    await file.close()
    return error
  }

  @Test("are for the superuser, and for whom the superblock or the mount names: to the last block, and for nobody else")
  func who() throws {
    for example in Self.cases {
      let options = VolumeOptions.quiet.with {
        ($0.reservedUser, $0.reservedGroup) = example.mount
      }
      let image = try Self.image(example.superblock.user, example.superblock.group)
      // In small pieces, and in pieces of more than there are.
      for piece in [1024, 5000, 1 << 20] {
        try script(image, options, seeds: 0..<1) { rig in
          let volume = rig.volume
          #expect(try await Self.fill(volume, "other", Self.other, piece: piece)?.errno == .noSpace)
          let left = await volume.statistics
          // A block and the pointer blocks that it would need are taken together, or none of them.
          #expect((400...402).contains(left.freeBlockCount), "\(left.freeBlockCount) left, \(piece) bytes at once")
          #expect(left.availableBlockCount == max(left.freeBlockCount, 400) - 400)
          let error = try await Self.fill(volume, "reserved", example.who, piece: piece)
          #expect(error?.errno == .noSpace)
          let free = await volume.statistics.freeBlockCount
          #expect(example.isAllowed ? free <= 2 : (400...402).contains(free), "\(example), \(free) left")
        }
      }
    }
  }

  @Test("two who write at once get no more together than one alone", arguments: [1024, 1 << 20])
  func together(piece: Int) throws {
    try script(try Self.image(), .quiet.with { $0.metadataSlotCount = 64 }, seeds: 0..<12) { rig in
      await withTaskGroup(of: Void.self) { group in
        for name in ["a", "b", "c"] {
          group.addTask { _ = try? await Self.fill(rig.volume, name, Self.other, piece: piece) }
        }
      }
      let left = await rig.volume.statistics.freeBlockCount
      #expect((400...402).contains(left), "\(left) left")
    }
  }

  /// What needs a block, done by somebody who may have none.
  static let operations: [(name: String, run: @Sendable (Volume) async throws -> Void)] = [
    ("mkdir", { try await $0.makeDirectory("d/new", as: other) }),
    ("create in a full block", { _ = try await $0.open("full/\(FailingRequestTests.long)", .create, as: other) }),
    ("mknod in a full block", { try await $0.makeNode("full/\(FailingRequestTests.long)", .fifo, as: other) }),
    ("slow symlink", { try await $0.makeSymbolicLink("d/new", to: String(repeating: "t", count: 300), as: other) }),
    ("append", { try await $0.open("d/a", [], as: other).append(stamped(1, count: 5000)) }),
    ("write into a hole", { try await $0.open("d/hole", [], as: other).write([1], at: 50_000) }),
    ("write far out", { try await $0.open("d/hole", [], as: other).write([1], at: 70_000_000) }),
    ("allocate", { try await $0.open("d/hole", [], as: other).fallocate([], 0..<50_000) }),
    ("zero", { try await $0.open("d/hole", [], as: other).fallocate(.zeroRange, 0..<50_000) }),
  ]

  @Test("without a block for it an operation of others fails with ENOSPC and has changed nothing")
  func nothingHalfDone() throws {
    let image = try Images.prepared(try Self.image()) { rig in
      let volume = rig.volume
      for path in ["d", "full"] { try await volume.makeDirectory(path) }
      for index in 0..<3 { await (try volume.open("full/\(index)\(FailingRequestTests.long)", create: true)).close() }
      try await volume.open("d/a", create: true).append(stamped(1, count: 1024 * 13))
      try await volume.open("d/hole", create: true).truncate(to: 100_000)
      #expect(try await Self.fill(volume, "filler", Self.other, piece: 1024)?.errno == .noSpace)
      // To the last block that is not reserved.
      let rest = await volume.statistics.availableBlockCount
      let last = try await volume.open("last", create: true)
      for _ in 0..<rest { try await last.append(stamped(2, count: 1024)) }
      let available = await volume.statistics.availableBlockCount
      #expect(available == 0)
    }
    for operation in Self.operations {
      try script(image, seeds: 0..<1) { rig in
        let before = try await FailingRequestTests.tree(rig.volume), free = await rig.volume.statistics
        #expect(free.freeBlockCount == 400)
        do {
          try await operation.run(rig.volume)
          Issue.record("\(operation.name) was done")
        } catch let error as Ext2Error { #expect(error.errno == .noSpace, "\(operation.name): \(error)") }
        await rig.settle()
        #expect(try await FailingRequestTests.tree(rig.volume) == before, "\(operation.name)")
        #expect(await rig.volume.statistics == free, "\(operation.name)")
        // What needs none is done.
        try await rig.volume.makeNode("d/fifo", .fifo, as: Self.other)
        try await rig.volume.open("d/a").write([9], at: 0)
      }
    }
  }
}
