import BlockDevice
import Ext2
import Ext2Format
import Ext2Tools
import PageCache
import Reactor
import Support
import SystemPackage
import Testing

@Suite("Promises beside each other", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct PromiseTests {
  static func isSaidClean(_ image: [UInt8]) throws -> Bool {
    try Superblocks.isClean(image) == true && Images.check(image) == nil
  }

  @Test("a file whose last name went a moment ago keeps no volume from being remounted for reading, or frozen clean")
  func justRemoved() throws {
    try script(try Images.empty(blockSize: 1024), seeds: 0..<12) { rig in
      let volume = rig.volume
      for name in ["a", "b", "c", "d"] {
        let file = try await volume.open(name, create: true)
        try await file.append(stamped(1, count: 30_000))
        await file.close()
      }
      for name in ["a", "b"] { try await volume.unlink(name) }
      let error = await errorOf { () async throws(Ext2Error) in try await volume.remount(isReadOnly: true) }
      #expect(error == nil)
      #expect(try Self.isSaidClean(await rig.disk { $0.durableImage }))
      if error == nil { try await volume.remount(isReadOnly: false) }
      for name in ["c", "d"] { try await volume.unlink(name) }
      try await volume.freeze()
      #expect(try Self.isSaidClean(await rig.disk { $0.durableImage }))
      try await volume.thaw()
    }
  }

  @Test("with the sync flag or option what truncate and fallocate change is durable when they return")
  func synchronousTruncate() throws {
    for isMountOption in [true, false] {
      let options = VolumeOptions.quiet.with { $0.isSynchronous = isMountOption }
      try script(try Images.empty(blockSize: 1024), options, seeds: 0..<4) { rig in
        let file = try await rig.volume.open("a", create: true)
        try await file.append(stamped(1, count: 30_000))
        if !isMountOption { try await file.change(StatusChanges(flags: [.synchronous])) }
        try await rig.volume.synchronize()
        func durable() async throws -> [UInt8] { try Images.dump("a", of: await rig.disk { $0.durableImage }) }
        try await file.truncate(to: 20_500)
        #expect(try await durable() == stamped(1, count: 20_500))
        try await file.truncate(to: 20_600)
        #expect(try await durable() == stamped(1, count: 20_500) + [UInt8](repeating: 0, count: 100))
        try await file.punch(500..<20_600)
        #expect(try await durable() == stamped(1, count: 500) + [UInt8](repeating: 0, count: 20_100))
        await (try rig.volume.open("a", .truncate)).close()
        #expect(try await durable() == [])
      }
    }
  }

  @Test("with dirsync a directory that moved knows its new parent when rename returns")
  func synchronousParent() throws {
    try script(try Images.empty(blockSize: 1024), .quiet.with { $0.isDirectorySynchronous = true }, seeds: 0..<16) {
      rig in
      let volume = rig.volume
      for path in ["from", "to", "from/d"] { try await volume.makeDirectory(path) }
      try await volume.synchronize()
      try await volume.rename("from/d", to: "to/d")
      let parent = try await volume.status(of: "to").inode
      let listing = try Images.output(of: "debugfs", ["-R", "ls -p to/d"], on: await rig.disk { $0.durableImage })
      #expect(listing.contains("/\(parent)/040755/0/0/..//"), "\(listing)")
    }
  }

  @Test("who keeps the size keeps it, also beside a truncate")
  func keptSize() throws {
    for mode in [FallocateMode.keepSize, [.zeroRange, .keepSize]] {
      try script(try Images.empty(blockSize: 1024), .quiet.with { $0.cache.cacheByteCount = 64 << 10 }, seeds: 0..<24) {
        rig in
        let file = try await rig.volume.open("a", create: true)
        try await file.truncate(to: 300 << 10)
        await withTaskGroup(of: Void.self) { group in
          group.addTask { _ = try? await file.fallocate(mode, 0..<300 << 10) }
          group.addTask {
            await rig.pause(50_000)
            try? await file.truncate(to: 5000)
          }
        }
        #expect(try await file.status().byteCount == 5000, "mode \(mode.rawValue)")
      }
    }
  }

  @Test("whose link is followed is read: its access time moves", arguments: [10, 200])
  func followedLink(targetLength: Int) throws {
    try script(try Images.empty(blockSize: 1024), .quiet.with { $0.accessTimes = .strict }, seeds: 0..<3) { rig in
      let volume = rig.volume, target = String(repeating: "./", count: targetLength / 2 - 1) + "d"
      try await volume.makeDirectory("d")
      await (try volume.open("d/f", create: true)).close()
      try await volume.makeSymbolicLink("l", to: target)
      func time() async throws -> Int64 { try await volume.status(of: "l", followsLink: false).accessTime.seconds }
      let before = try await time()
      await rig.pause(60 * 1_000_000_000)
      _ = try await volume.status(of: "l/f")
      #expect(try await time() >= before + 60)
      await rig.pause(60 * 1_000_000_000)
      await (try volume.open("l/new", create: true)).close()
      #expect(try await time() >= before + 120)
    }
  }

  @Test("a block that was freed before its turn to be read as one to share came is nobody's metadata")
  func freedBeforeRead() throws {
    let prepared = try Images.prepared(
      try Images.empty(blockSize: 1024, blockCount: 400) { ($0.inodeSize, $0.inodeCount) = (128, 96) }
    ) {
      rig in
      for index in 0..<56 { try await rig.mustSet("user.x", [UInt8(index)], try await rig.create("\(index)")) }
      try await (try rig.volume.open("data", create: true)).append(stamped(1, count: 100_000))
    }
    // So few slots that the first block has left the cache, and is still known, when all others were looked at; and so
    // few places in the queue that both who want to read it wait for one.
    let options = VolumeOptions.quiet.with {
      $0.metadataSlotCount = 48
      ($0.queue.placeCount, $0.queue.writebackReserve) = (3, 1)
    }
    try script(prepared, options, seeds: 0..<40) { rig in
      let volume = rig.volume, owner = try await rig.create("0"), other = try await rig.create("new")
      let data = try await volume.open("data")
      let start = try #require(try await data.extents().first).diskBlock * 1024
      #expect(try await rig.attributes(owner) == ["user.x": [0]])
      for index in 1..<56 { _ = try await rig.attributes(try await rig.create("\(index)")) }
      let time = CalendarTime(seconds: 1, nanoseconds: 0)
      for name in ["0", "new"] { try await volume.change(name, StatusChanges(accessTime: time)) }
      await rig.hold { $0.operation == .read && $0.isFileData }
      async let first = data.read(at: 0, count: 100)
      async let second = data.read(at: 50 << 10, count: 100)
      try await rig.untilHeld(2)
      async let removing = rig.remove("user.x", owner)
      await rig.settle()
      async let sharing = rig.set("user.x", [0], other)
      await rig.settle()
      // One of the two places is free again.
      await rig.disk { disk in disk.release { $0.offset == start } }
      await rig.settle()
      await rig.serve()
      let errors = await [removing, sharing]
      #expect(errors.allSatisfy { $0 == nil })
      #expect(try await first.count + second.count == 200)
      // Whoever takes all blocks takes that one.
      while let count = try? await data.append(stamped(1, count: 4096)), count > 0 {}
      #expect(await volume.statistics.freeBlockCount == 0)
      try await volume.synchronize()
      #expect(try Superblocks.decoded(await rig.disk { $0.image }).state.contains(.error) == false)
    }
  }
}
