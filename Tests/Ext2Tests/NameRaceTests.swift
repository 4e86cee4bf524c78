import BlockDevice
import Ext2
import Ext2Format
import Ext2Tools
import PageCache
import Reactor
import Support
import SystemPackage
import Testing

/// Two operations that would each be right alone, on the same few directories.
@Suite("Names, two at once", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct NameRaceTests {
  /// Directories d0 … d3 with a file each, and an empty one; so few slots that little of it stays in memory.
  private static func image() throws -> [UInt8] {
    try Images.prepared(try Images.empty(blockSize: 1024)) { rig in
      for index in 0..<4 {
        try await rig.volume.makeDirectory("d\(index)")
        try await rig.volume.makeDirectory("d\(index)/empty")
      }
    }
  }

  /// Runs both at once, each a little later by seed.
  private static func race(
    _ rig: VolumeRig, _ first: @escaping @Sendable (Volume) async throws -> Void,
    _ second: @escaping @Sendable (Volume) async throws -> Void
  ) async -> [Bool] {
    let volume = rig.volume
    let delays = (0..<2).map { _ in UInt64(rig.reactor.random.below(8) * 20_000) }
    async let one = {
      await rig.pause(delays[0])
      return (try? await first(volume)) != nil
    }()
    async let two = {
      await rig.pause(delays[1])
      return (try? await second(volume)) != nil
    }()
    return await [one, two]
  }

  @Test("of two renames that would put each of two directories into the other one fails")
  func loop() throws {
    try script(try Self.image(), seeds: 0..<60) { rig in
      let done = await Self.race(
        rig, { try await $0.rename("d0", to: "d1/d0") }, { try await $0.rename("d1", to: "d0/d1") })
      #expect(done[0] != done[1])
      let names = try await rig.volume.list()
      #expect(names.count == 4)
    }
  }

  @Test(
    "two renames that would put two directories below each other, however deep, make no circle",
    arguments: [("d0/empty/d1", "d1/empty/d0"), ("d0/d1", "d1/empty/d0"), ("d0/empty/d1", "d1/d0")])
  func deepLoop(first: String, second: String) throws {
    try script(try Self.image(), .quiet.with { $0.metadataSlotCount = 72 }, seeds: 0..<30) { rig in
      let done = await Self.race(
        rig, { try await $0.rename("d1", to: first) }, { try await $0.rename("d0", to: second) })
      #expect(done[0] != done[1])
      // All are still reached from the root.
      for path in done[0] ? ["d0", first] : ["d1", second] { _ = try await rig.volume.entries(of: path) }
    }
  }

  @Test("renames of directories across each other, beside whoever else wants the same locks, end without a deadlock")
  func across() throws {
    let image = try Images.prepared(try Self.image()) { rig in
      for path in ["d0/x", "d1/z", "d0/empty/in"] { try await rig.volume.makeDirectory(path) }
    }
    let counts = Tally()
    try script(image, .quiet.with { $0.metadataSlotCount = 96 }, seeds: 0..<150) { rig in
      let volume = rig.volume
      let operations: [@Sendable () async throws -> Void] = [
        { try await volume.rename("d0/x", to: "d1/y") }, { try await volume.rename("d1/z", to: "d0/w") },
        // Between a directory and one below it, in both directions, while that one is looked at from above.
        { try await volume.rename("d0/empty/in", to: "d0/out") },
        { try await volume.rename("d1/empty", to: "d0/empty/new") },
        { try await volume.removeDirectory("d0/empty") }, { try await volume.removeDirectory("d1/y") },
        { try await volume.removeDirectory("d0") },
      ]
      await withTaskGroup(of: Bool.self) { group in
        for operation in operations {
          let delay = UInt64(rig.reactor.random.below(6) * 20_000)
          group.addTask {
            await rig.pause(delay)
            return (try? await operation()) != nil
          }
        }
        for await isDone in group where isDone { counts.count += 1 }
      }
      let names = try await volume.list("d0")
      #expect(names.contains("w") && !names.contains("x"))
    }
    #expect(counts.count > 150 * 3)
  }

  @Test(
    "rename takes the locks of a directory and of one below it from above, as rmdir does", arguments: [true, false])
  func lockOrder(isOutOfIt: Bool) throws {
    let image = try Images.prepared(try Images.empty(blockSize: 1024)) { rig in
      let volume = rig.volume
      // The lower one has the lower number.
      try await volume.makeLongDirectory("c", blockCount: 3)
      try await volume.makeDirectory("g")
      try await volume.makeDirectory("g/p")
      for name in ["q", "r"] { try await volume.makeLongDirectory("g/\(name)", blockCount: 2) }
      try await volume.rename("c", to: "g/p/c")
    }
    try script(image, seeds: 0..<4) { rig in
      let volume = rig.volume
      func number(_ path: String) async throws -> UInt64 { UInt64(try await volume.status(of: path).inode) }
      let q = try await number("g/q"), r = try await number("g/r"), c = try await number("g/p/c")
      _ = try await volume.status(of: "g/p/c/..")
      func hold(_ owners: [UInt64]) async { await rig.hold { $0.operation == .read && owners.contains($0.owner) } }
      // The walks from both of rename's directories to the root wait for the lock of "g": who has it reads a directory.
      await hold([q, r, c])
      async let first = errorOf { () async throws(Ext2Error) in try await volume.removeDirectory("g/q") }
      try await rig.untilHeld()
      async let renamed = errorOf { () async throws(Ext2Error) in
        let inner = "g/p/c/none", outer = "g/p/none"
        try await volume.rename(isOutOfIt ? inner : outer, to: isOutOfIt ? outer : inner)
      }
      await rig.settle()
      async let second = errorOf { () async throws(Ext2Error) in try await volume.removeDirectory("g/r") }
      await rig.settle()
      await hold([r, c])
      await rig.disk { $0.release() }
      await rig.settle()
      // The lower directory is read under the lock of the upper one, while rename's last walk ends.
      async let removed = errorOf { () async throws(Ext2Error) in try await volume.removeDirectory("g/p/c") }
      try await rig.untilHeld(2)
      await hold([c])
      await rig.disk { $0.release() }
      try await rig.untilHeld()
      await rig.settle()
      await rig.serve()
      let errors = await [first, second, removed]
      #expect(errors.allSatisfy { $0 == nil })
      #expect(await renamed?.errno == .noSuchFileOrDirectory)
    }
  }

  @Test("a directory that gets a name while it is removed stays, or the name is refused", arguments: [true, false])
  func removedWhileFilled(isReplaced: Bool) throws {
    let counts = Tally()
    try script(try Self.image(), seeds: 0..<80) { rig in
      let done = await Self.race(
        rig, { await (try $0.open("d0/empty/new", create: true)).close() },
        { volume in
          if isReplaced {
            try await volume.rename("d1/empty", to: "d0/empty")
          } else {
            try await volume.removeDirectory("d0/empty")
          }
        })
      // Made in the directory that has taken the place, both are.
      #expect(done[0] != done[1] || isReplaced && done[0])
      if done[0] { _ = try await rig.volume.status(of: "d0/empty/new") }
      counts.count += done[0] ? 1 : 0
    }
    #expect(counts.count > 0 && (isReplaced || counts.count < 80))
  }

  @Test("nothing is made in, moved into or linked into a directory that goes meanwhile")
  func intoRemoved() throws {
    try script(try Self.image(), seeds: 0..<120) { rig in
      await (try rig.volume.open("d1/file", create: true)).close()
      let what = rig.reactor.random.below(4)
      let done = await Self.race(
        rig, { try await $0.removeDirectory("d0/empty") },
        {
          switch what {
          case 0: try await $0.rename("d1/file", to: "d0/empty/file")
          case 1: try await $0.link("d1/file", to: "d0/empty/file")
          case 2: try await $0.makeDirectory("d0/empty/file")
          default: try await $0.rename("d1/empty", to: "d0/empty/file")
          }
        })
      #expect(done[0] != done[1], "operation \(what)")
    }
  }

  @Test("a file whose last name goes while it gets another keeps one, or is gone")
  func linkedWhileRemoved() throws {
    try script(try Self.image(), seeds: 0..<60) { rig in
      await (try rig.volume.open("d1/file", create: true)).close()
      let done = await Self.race(
        rig, { try await $0.link("d1/file", to: "d2/file") }, { try await $0.unlink("d1/file") })
      #expect(done[1])
      guard done[0] else { return }
      let linkCount = try await rig.volume.status(of: "d2/file").linkCount
      #expect(linkCount == 1)
    }
  }

  @Test("a link to a file whose last name goes while the new directory is read is refused")
  func linkToRemoved() throws {
    let image = try Images.prepared(try Images.empty(blockSize: 1024)) { rig in
      try await rig.volume.makeLongDirectory("d", blockCount: 2)
      try await rig.volume.makeNode("file", .fifo)
    }
    try script(image, seeds: 0..<4) { rig in
      let volume = rig.volume
      let number = UInt64(try await volume.status(of: "d").inode)
      await rig.hold { $0.operation == .read && $0.owner == number }
      async let linking = errorOf { () async throws(Ext2Error) in try await volume.link("file", to: "d/file") }
      try await rig.untilHeld()
      try await volume.unlink("file")
      await rig.serve()
      #expect(await linking?.errno == .noSuchFileOrDirectory)
      let names = try await volume.list("d")
      #expect(names == [])
    }
  }

  @Test("the indexes of many directories that grow take together no more than they may")
  func indexMemory() throws {
    let image = try Images.make(blockSize: 1024, byteCount: 8 << 20) { ($0.inodeCount, $0.reservedPercent) = (256, 0) }
    let limit = 20_000
    try script(image, .quiet.with { $0.nameIndexByteLimit = limit }, seeds: 0..<1) { rig in
      let volume = rig.volume
      await (try volume.open("file", create: true)).close()
      for index in 0..<12 { try await volume.makeDirectory("d\(index)") }
      var largest = 0
      for name in 0..<400 {
        for index in 0..<12 { try await volume.link("file", to: "d\(index)/a name of some length \(name)") }
        largest = max(largest, await volume.nameIndexByteCount)
      }
      #expect(largest > limit / 4 && largest <= limit, "\(largest) bytes")
      for index in 0..<12 {
        let count = try await volume.list("d\(index)").count
        #expect(count == 400)
      }
    }
  }

  @Test("of a name that comes and goes the index keeps nothing")
  func indexOfRemoved() throws {
    try script(try Images.empty(blockSize: 1024), seeds: 0..<1) { rig in
      let volume = rig.volume
      await (try volume.open("file", create: true)).close()
      for name in 0..<100 { try await volume.link("file", to: "d0 a name of some length \(name)") }
      let before = await volume.nameIndexByteCount
      for _ in 0..<500 {
        try await volume.link("file", to: "comes and goes")
        try await volume.unlink("comes and goes")
      }
      let after = await volume.nameIndexByteCount
      #expect(before > 0 && after == before)
    }
  }

  @Test("who waits for a directory's lock while it is removed is told that it is gone")
  func waitingForRemoved() throws {
    let prepared = try Images.prepared(try Self.image()) { rig in
      try await rig.volume.setAttribute("user.long", to: stamped(1, count: 500), of: "d0/empty")
    }
    try script(prepared, seeds: 0..<10) { rig in
      let volume = rig.volume
      _ = try await volume.list("d0/empty")
      await rig.hold { $0.operation == .read }
      // It holds the lock while the block of attributes is read.
      async let names = volume.attributeNames(of: "d0/empty")
      try await rig.untilHeld()
      async let removing = errorOf { () async throws(Ext2Error) in try await volume.removeDirectory("d0/empty") }
      await rig.settle()
      async let making = errorOf { () async throws(Ext2Error) in try await volume.makeDirectory("d0/empty/new") }
      await rig.settle()
      await rig.serve()
      #expect(try await names.count == 1)
      let errors = await (removing, making)
      #expect(errors.0 == nil)
      #expect(errors.1?.errno == .noSuchFileOrDirectory)
    }
  }
}
