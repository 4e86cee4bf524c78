import BlockDevice
import Ext2
import PageCache
import Support
import Testing

@Suite("Blocks freed under somebody's feet", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct FreedBlocksTests {
  static let size = 1024

  /// A volume with a file "a" of 40 blocks, so that it has an indirect block, all of it on the disk and none in memory.
  static func cold() throws -> [UInt8] {
    try Images.prepared(try Images.empty(blockSize: size)) { rig in
      let file = try await rig.volume.open("a", create: true)
      try await file.write(stamped(1, count: 40 * size), at: 0)
    }
  }

  @Test(
    "a walk whose pointer block is freed and reused under it sees the file as it is then", arguments: [false, true])
  func pointerBlockReused(isPunched: Bool) throws {
    let image = try Self.cold()
    try script(image, seeds: 0..<48) { rig in
      let file = try await rig.volume.open("a"), other = try await rig.volume.open("b", create: true)
      let number = UInt64(try await file.status().inode)
      await rig.hold { $0.operation == .read && !$0.isFileData && $0.owner == number }
      async let read = file.read(at: UInt64(20 * Self.size), count: Self.size)
      try await rig.untilHeld()
      async let shrink: Void = isPunched ? file.punch(0..<UInt64(40 * Self.size)) : file.truncate(to: 0)
      await rig.settle()
      async let release: Void = rig.serve()
      try await shrink
      try await other.write(stamped(2, count: 60 * Self.size), at: 0)
      await release
      let found = try await read
      let old = Array(stamped(1, count: 40 * Self.size)[20 * Self.size..<21 * Self.size])
      #expect(found == old || found.allSatisfy { $0 == 0 }, "the old bytes, a hole, or the end of the file")
      #expect(try await other.read(at: 0, count: 60 * Self.size) == stamped(2, count: 60 * Self.size))
    }
  }

  @Test("a walk that waits for its turn while its pointer block becomes somebody's data begins again")
  func walkWaits() throws { try script(try VolumeMutant.cold(), .quiet, VolumeMutant.walk) }

  @Test(
    "a pointer block whose write is in flight becomes nobody's data before it has landed", arguments: FreesName.allCases
  )
  func pointerBlockInFlight(frees: FreesName) throws {
    try script(try Images.empty(blockSize: Self.size, blockCount: 256), .quiet.with { $0.frees = frees }) { rig in
      let file = try await rig.volume.open("a", create: true), other = try await rig.volume.open("b", create: true)
      let number = UInt64(try await file.status().inode), held = Tally()
      try await file.write(stamped(1, count: 14 * Self.size), at: 0)
      await rig.treat { request in
        guard request.isMetadataWrite && request.owner == number else { return .proceed }
        held.count = Int(request.offset) / Self.size
        return .hold
      }
      async let sync: Void = file.synchronize()
      try await rig.untilHeld()
      try await file.truncate(to: 0)
      async let written = other.write(stamped(2, count: 256 * Self.size), at: 0)
      await rig.settle()
      #expect(held.count > 0)
      for extent in try await other.extents() {
        #expect(!extent.contains(diskBlock: UInt64(held.count)), "it was given away under its write")
      }
      await rig.serve()
      try await sync
      let count = try await written
      try await rig.volume.synchronize()
      #expect(try await other.read(at: 0, count: count) == Array(stamped(2, count: 256 * Self.size).prefix(count)))
      let extents = try await other.extents()
      #expect(extents.contains { $0.contains(diskBlock: UInt64(held.count)) }, "then it is somebody's data")
    }
  }

  @Test("metadata that waits for admission is not written once its block is freed")
  func metadataAwaitingAdmission() throws {
    try script(try VolumeMutant.cold(), VolumeMutant.narrowQueue, seeds: 0..<16, VolumeMutant.waitingMetadata)
  }

  @Test(
    "a fill in flight brings nothing back into a file that was cut",
    arguments: [(false, 1), (true, 1), (false, 8), (true, 8)])
  func fillAgainstTruncate(isPunched: Bool, pages: Int) throws {
    let image = try Self.cold()
    try script(image) { rig in
      let file = try await rig.volume.open("a")
      await rig.hold { $0.operation == .read && $0.isFileData }
      // With more than one page asked for, the rest of the range and the read-ahead window are on their way too.
      async let read = file.read(at: 0, count: pages * Self.size)
      try await rig.untilHeld()
      if isPunched { try await file.punch(0..<UInt64(40 * Self.size)) } else { try await file.truncate(to: 0) }
      let other = try await rig.volume.open("b", create: true)
      try await other.write(stamped(2, count: 50 * Self.size), at: 0)
      try await file.write(stamped(3, count: 6 * Self.size), at: UInt64(2 * Self.size))
      await rig.serve()
      let found = try await read
      for page in 0..<found.count / Self.size {
        let bytes = Array(found[page * Self.size..<(page + 1) * Self.size])
        let new =
          page < 2
          ? [] : Array(stamped(3, count: 6 * Self.size)[max(0, page - 2) * Self.size..<max(1, page - 1) * Self.size])
        #expect(bytes.allSatisfy { $0 == 0 } || bytes == new, "page \(page) has bytes that were cut off")
      }
      try await rig.volume.synchronize()
      let expected = [UInt8](repeating: 0, count: 2 * Self.size) + stamped(3, count: 6 * Self.size)
      #expect(try await file.read(at: 0, count: 8 * Self.size) == expected)
      #expect(try await other.read(at: 0, count: 50 * Self.size) == stamped(2, count: 50 * Self.size))
    }
  }

  @Test("read-ahead in flight harms nobody when the file is cut and its blocks are taken")
  func readAheadAgainstTruncate() throws {
    let image = try Self.cold()
    try script(image) { rig in
      let file = try await rig.volume.open("a")
      #expect(try await file.read(at: 0, count: Self.size) == Array(stamped(1, count: Self.size)))
      // Its pointer block is in memory: the truncate reads nothing.
      #expect(
        try await file.read(at: UInt64(39 * Self.size), count: 1) == [stamped(1, count: 40 * Self.size)[39 * Self.size]]
      )
      await rig.hold { $0.operation == .read && $0.isFileData }
      async let ahead = file.read(at: UInt64(Self.size), count: 20 * Self.size)
      await rig.settle()
      try await file.truncate(to: UInt64(4 * Self.size))
      let other = try await rig.volume.open("b", create: true)
      try await other.write(stamped(2, count: 50 * Self.size), at: 0)
      await rig.serve()
      let found = try await ahead
      #expect(found == Array(stamped(1, count: 40 * Self.size)[Self.size..<Self.size + found.count]))
      try await file.truncate(to: UInt64(40 * Self.size))
      let tail = try await file.read(at: UInt64(4 * Self.size), count: 36 * Self.size)
      #expect(tail.count == 36 * Self.size && tail.allSatisfy { $0 == 0 }, "what was cut off reads as zeroes")
    }
  }

  @Test("nothing is linked while a page waits for budget")
  func nothingLinkedBeforeBudget() throws {
    let options = VolumeOptions.quiet.with {
      $0.cache.cacheByteCount = 24 * Self.size
      $0.cache.dirtyLimitByteCount = 8 * Self.size
    }
    try script(try Images.empty(blockSize: Self.size), options) { rig in
      let crowd = try await rig.volume.open("crowd", create: true), file = try await rig.volume.open("a", create: true)
      await rig.hold { $0.isDataWrite }
      async let fills = crowd.write(stamped(1, count: 30 * Self.size), at: 0)
      try await rig.untilHeld()
      await rig.settle()
      let free = await rig.volume.statistics.freeBlockCount
      async let written = file.write(stamped(2, count: 5 * Self.size), at: 0)
      await rig.settle()
      #expect(try await file.status().sectorCount == 0, "the file has no block while its pages wait")
      #expect(await rig.volume.statistics.freeBlockCount == free, "nor was one taken")
      await rig.serve()
      #expect(try await written == 5 * Self.size)
      _ = try await fills
      #expect(try await file.read(at: 0, count: 5 * Self.size) == stamped(2, count: 5 * Self.size))
    }
  }

  @Test("a block whose discard is in flight has no new owner", arguments: FreesName.allCases)
  func discardAgainstReallocation(frees: FreesName) throws {
    let options = VolumeOptions.quiet.with {
      $0.discards = true
      $0.frees = frees
    }
    try script(try Images.empty(blockSize: Self.size, blockCount: 256), options) { rig in
      let file = try await rig.volume.open("a", create: true), other = try await rig.volume.open("b", create: true)
      try await file.write(stamped(1, count: 100 * Self.size), at: 0)
      try await rig.volume.synchronize()
      let freed = try await file.extents()
      await rig.hold { $0.operation == .discard }
      try await file.truncate(to: 0)
      if frees == .ordered {
        // Somebody who needs the space makes the truncate durable.
        async let written = other.write(stamped(2, count: 200 * Self.size), at: 0)
        try await rig.untilHeld()
        await rig.settle()
        try await check(other, has: freed)
        await rig.serve()
        _ = try await written
      } else {
        try await rig.untilHeld()
        async let written = other.write(stamped(2, count: 200 * Self.size), at: 0)
        await rig.settle()
        try await check(other, has: freed)
        await rig.serve()
        _ = try await written
      }
      let count = Int(try await other.status().byteCount)
      #expect(count > 100 * Self.size)
      try await rig.volume.synchronize()
      #expect(try await other.read(at: 0, count: count) == Array(stamped(2, count: 200 * Self.size).prefix(count)))
    }
  }

  /// None of the freed blocks belongs to the file.
  private func check(_ file: File, has freed: [FileExtent]) async throws {
    for extent in try await file.extents() {
      for block in extent.diskBlock..<extent.diskBlock + UInt64(extent.count) {
        #expect(!freed.contains { $0.contains(diskBlock: block) }, "block \(block) has a new owner under its discard")
      }
    }
  }

  @Test("an inode's number is nobody else's while an fsync of the removed file runs")
  func numberReusedDuringFsync() throws {
    try script(try Images.empty(blockSize: Self.size), seeds: 0..<16) { rig in
      let file = try await rig.volume.open("a", create: true)
      let number = try await file.status().inode
      try await file.write(stamped(1, count: 5 * Self.size), at: 0)
      await rig.hold { $0.isDataWrite }
      async let sync: Void = file.synchronize()
      try await rig.untilHeld()
      try await rig.volume.unlink("a")
      await file.close()
      let next = try await rig.volume.open("a", create: true)
      #expect(try await next.status().inode != number, "the old inode is referenced by fsync")
      try await next.write(stamped(2, count: 5 * Self.size), at: 0)
      await rig.serve()
      try await sync
      await rig.settle()
      let last = try await rig.volume.open("c", create: true)
      #expect(try await last.status().inode == number, "now it is free")
      try await last.write(stamped(3, count: 3 * Self.size), at: 0)
      try await rig.volume.synchronize()
      #expect(try await next.read(at: 0, count: 5 * Self.size) == stamped(2, count: 5 * Self.size))
      #expect(try await last.read(at: 0, count: 9 * Self.size) == stamped(3, count: 3 * Self.size))
    }
  }
}
