import BlockDevice
import Ext2
import PageCache
import Support
import SystemPackage
import Testing

@Suite("A device that fails", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct FailureTests {
  static let size = 1024

  @Test("a flush that fails once is reported once to every opener with writes, and a good one follows")
  func flushFailsOnce() throws {
    try script(try Images.empty(blockSize: Self.size)) { rig in
      let first = try await rig.volume.open("a", create: true), second = try await rig.volume.open("a")
      let other = try await rig.volume.open("b", create: true)
      try await first.write(stamped(1, count: 3000), at: 0)
      try await second.write(stamped(2, count: 3000), at: 5000)
      try await other.write(stamped(3, count: 3000), at: 0)
      await rig.fail { $0.operation == .flush }
      #expect(
        await errorOf { () async throws(Ext2Error) in try await first.synchronize() } != nil, "its own flush failed")
      await rig.serve()
      #expect(await errorOf { () async throws(Ext2Error) in try await first.synchronize() } == nil, "it was told once")
      for file in [second, other] {
        #expect(
          await errorOf { () async throws(Ext2Error) in try await file.synchronize() } != nil,
          "told of the failed flush")
        #expect(await errorOf { () async throws(Ext2Error) in try await file.synchronize() } == nil, "once")
      }
      let late = try await rig.volume.open("b")
      #expect(
        await errorOf { () async throws(Ext2Error) in try await late.synchronize() } == nil, "it was opened after")
    }
  }

  @Test("two fsync that share a failed flush both fail")
  func sharedFlushFails() throws {
    try script(try Images.empty(blockSize: Self.size), seeds: 0..<16) { rig in
      let first = try await rig.volume.open("a", create: true), second = try await rig.volume.open("b", create: true)
      try await first.write(stamped(1, count: 3000), at: 0)
      try await second.write(stamped(2, count: 3000), at: 0)
      await rig.fail { $0.operation == .flush }
      async let one = errorOf { () async throws(Ext2Error) in try await first.synchronize() }
      async let two = errorOf { () async throws(Ext2Error) in try await second.synchronize() }
      let errors = await [one, two]
      #expect(errors[0] != nil && errors[1] != nil)
      await rig.serve()
      // Where each had a flush of its own, each hears of the other's once more.
      _ = await errorOf { () async throws(Ext2Error) in try await first.synchronize() }
      _ = await errorOf { () async throws(Ext2Error) in try await second.synchronize() }
      #expect(await errorOf { () async throws(Ext2Error) in try await first.synchronize() } == nil)
      #expect(await errorOf { () async throws(Ext2Error) in try await second.synchronize() } == nil)
    }
  }

  @Test("a failed batch of an unlinked file is told to its openers and keeps nothing alive")
  func failedBatchOfUnlinkedFile() throws {
    try script(try Images.empty(blockSize: Self.size)) { rig in
      let free = await rig.volume.statistics
      let file = try await rig.volume.open("a", create: true)
      try await file.write(stamped(1, count: 20 * Self.size), at: 0)
      try await rig.volume.unlink("a")
      await rig.fail(\.isDataWrite)
      #expect(await errorOf { () async throws(Ext2Error) in try await file.synchronize() } != nil)
      await file.close()
      try await rig.until("the inode is gone") { await rig.volume.statistics == free }
      await rig.serve()
      try await rig.volume.synchronize()
    }
  }

  @Test("a pointer block that cannot be written is told to each opener of its file once, and is tried again")
  func pointerBlockFails() throws {
    try script(try Images.empty(blockSize: Self.size)) { rig in
      let file = try await rig.volume.open("a", create: true), again = try await rig.volume.open("a")
      let other = try await rig.volume.open("b", create: true)
      let number = UInt64(try await file.status().inode)
      try await file.write(stamped(1, count: 40 * Self.size), at: 0)
      try await other.write(stamped(2, count: 4 * Self.size), at: 0)
      await rig.fail { $0.isMetadataWrite && $0.owner == number }
      #expect(await errorOf { () async throws(Ext2Error) in try await file.synchronize() } != nil)
      #expect(
        await errorOf { () async throws(Ext2Error) in try await file.synchronize() } != nil,
        "tried again by a call that waits for it")
      await rig.serve()
      try await Self.untilWritten(rig) { () async throws(Ext2Error) in try await file.synchronize() }
      #expect(await errorOf { () async throws(Ext2Error) in try await again.synchronize() } != nil, "told once")
      #expect(await errorOf { () async throws(Ext2Error) in try await again.synchronize() } == nil)
      #expect(await errorOf { () async throws(Ext2Error) in try await other.synchronize() } == nil, "not its file")
    }
  }

  @Test("a shared block that cannot be written is told to every opener once")
  func sharedBlockFails() throws {
    try script(try Images.empty(blockSize: Self.size)) { rig in
      let file = try await rig.volume.open("a", create: true), other = try await rig.volume.open("b", create: true)
      try await file.write(stamped(1, count: 4 * Self.size), at: 0)
      await rig.fail { $0.isMetadataWrite && $0.owner == 0 }
      await #expect(throws: Ext2Error.self) { try await rig.volume.synchronize() }
      await rig.serve()
      try await Self.untilWritten(rig) { () async throws(Ext2Error) in try await rig.volume.synchronize() }
      for file in [file, other] {
        #expect(await errorOf { () async throws(Ext2Error) in try await file.synchronize() } != nil)
        #expect(await errorOf { () async throws(Ext2Error) in try await file.synchronize() } == nil)
      }
    }
  }

  /// An attempt that was under way when the device recovered may still fail, the next ones do not.
  private static func untilWritten(_ rig: VolumeRig, _ body: @Sendable () async throws(Ext2Error) -> Void) async throws
  {
    try await rig.until("it is written") { await errorOf(body) == nil }
  }

  @Test(
    "on a device that fails every write everybody ends, with the error", arguments: FreesName.allCases, [false, true])
  func deadDevice(frees: FreesName, hasDeadFlush: Bool) throws {
    let options = VolumeOptions.quiet.with {
      $0.frees = frees
      $0.cache.cacheByteCount = 40 * Self.size
      $0.metadataSlotCount = 64
    }
    let image = try Images.empty(blockSize: Self.size, blockCount: 512)
    for seed in UInt64(0)..<8 {
      let outcome = VolumeRig.run(image, seed: seed, options: options) { rig in
        let big = try await rig.volume.open("big", create: true)
        let free = Int(await rig.volume.statistics.freeBlockCount)
        try await big.write(stamped(1, count: (free - 60) * Self.size), at: 0)
        try await rig.volume.synchronize()
        await rig.fail { $0.operation.isWrite || (hasDeadFlush && $0.operation == .flush) }
        try await big.truncate(to: UInt64((free - 100) * Self.size))
        await withTaskGroup(of: Void.self) { group in
          for number in 0..<4 {
            group.addTask {
              guard let file = try? await rig.volume.open("f\(number)", create: true) else { return }
              for _ in 0..<200 {
                if await errorOf({ () async throws(Ext2Error) in try await file.append(stamped(9, count: 5000)) })
                  != nil
                {
                  break
                }
              }
              #expect(await errorOf { () async throws(Ext2Error) in try await file.synchronize() } != nil)
              _ = try? await file.truncate(to: 0)
              _ = try? await rig.volume.unlink("f\(number)")
              await file.close()
            }
          }
        }
        await #expect(throws: Ext2Error.self) { try await rig.volume.synchronize() }
        await #expect(throws: Ext2Error.self) { try await rig.volume.unmount() }
      }
      #expect(outcome.failures == [], "seed \(seed)")
    }
  }

  @Test(
    "a device that takes writes and never completes them keeps nobody waiting past the deadline",
    arguments: FreesName.allCases)
  func hungDevice(frees: FreesName) throws {
    let options = VolumeOptions.quiet.with {
      $0.frees = frees
      $0.cache.cacheByteCount = 40 * Self.size
      $0.metadataSlotCount = 64
      $0.queue.timeoutNanoseconds = 2_000_000
    }
    let image = try Images.empty(blockSize: Self.size)
    for seed in UInt64(0)..<12 {
      let outcome = leaving("requests past their deadline, which keep their memory") {
        VolumeRig.run(image, seed: seed, options: options) { rig in
          let file = try await rig.volume.open("a", create: true)
          try await file.write(stamped(1, count: 30 * Self.size), at: 0)
          await rig.hold { $0.operation.isWrite || $0.operation == .flush }
          #expect(await errorOf { () async throws(Ext2Error) in try await file.synchronize() } != nil)
          await #expect(throws: Ext2Error.self) { try await rig.volume.unmount() }
        }
      }
      #expect(outcome.failures == [], "seed \(seed)")
    }
  }

  @Test("what cannot be found for reading ahead fails nobody who does not want it")
  func unreadableAhead() throws {
    let image = try FreedBlocksTests.cold()
    let failures = Tally()
    for seed in UInt64(0)..<8 {
      let outcome = VolumeRig.run(image, seed: seed) { rig in
        let file = try await rig.volume.open("a")
        await rig.treat { request in
          guard request.operation == .read && !request.isFileData && request.owner != 0 else { return .proceed }
          failures.count += 1
          return .fail(.ioError)
        }
        for page in 0..<12 {
          let bytes = try await file.read(at: UInt64(page * Self.size), count: Self.size)
          #expect(bytes == Array(stamped(1, count: 40 * Self.size)[page * Self.size..<(page + 1) * Self.size]))
        }
      }
      #expect(outcome.failures == [], "seed \(seed)")
    }
    #expect(failures.count > 0, "the pointer block was never read ahead of its time")
  }

  @Test(
    "nobody waits past the deadline for a place in a queue full of requests that hang",
    arguments: [true, false])
  func hungQueue(hangsFlush: Bool) throws {
    let options = VolumeOptions.quiet.with {
      $0.queue = RequestQueue.Configuration(tagCount: 2)
      $0.queue.timeoutNanoseconds = 2_000_000
      $0.cache.cacheByteCount = 200 * Self.size
    }
    let image = try Images.empty(blockSize: Self.size)
    for seed in UInt64(0)..<8 {
      let outcome = leaving("requests past their deadline, which keep their memory") {
        VolumeRig.run(image, seed: seed, options: options) { rig in
          let file = try await rig.volume.open("a", create: true)
          await rig.hold { $0.operation.isWrite || (hangsFlush && $0.operation == .flush) }
          // No two pages are neighbours: each takes a place of its own.
          for page in 0..<200 {
            let error = await errorOf { () async throws(Ext2Error) in
              try await file.write(stamped(1, count: Self.size), at: UInt64(2 * page * Self.size))
            }
            if error != nil { break }
          }
          #expect(await errorOf { () async throws(Ext2Error) in try await file.synchronize() } != nil)
          #expect(await errorOf { () async throws(Ext2Error) in try await file.read(at: 1 << 20, count: 1) } == nil)
          await #expect(throws: Ext2Error.self) { try await rig.volume.unmount() }
        }
      }
      #expect(outcome.failures == [], "seed \(seed)")
    }
  }

  @Test("nobody waits past the deadline for memory that writes or reads keep which hang", arguments: [true, false])
  func hungFrames(areReads: Bool) throws {
    let options = VolumeOptions.quiet.with {
      $0.queue.timeoutNanoseconds = 2_000_000
      $0.cache.cacheByteCount = 24 * Self.size
      $0.cache.dirtyLimitByteCount = 12 * Self.size
    }
    let image = try FreedBlocksTests.cold()
    for seed in UInt64(0)..<8 {
      let outcome = VolumeRig.run(image, seed: seed, options: options) { rig in
        let file = try await rig.volume.open("a"), other = try await rig.volume.open("b", create: true)
        await rig.hold { $0.isFileData && ($0.operation == .read) == areReads }
        var error: Ext2Error?
        for round in 0..<40 where error == nil {
          if areReads {
            _ = await errorOf { () async throws(Ext2Error) in try await file.read(at: UInt64(round * 1024), count: 1) }
            error = await errorOf { () async throws(Ext2Error) in
              try await other.write(stamped(1, count: Self.size), at: UInt64(round * Self.size))
            }
          } else {
            error = await errorOf { () async throws(Ext2Error) in
              try await other.write(stamped(1, count: 6 * Self.size), at: 0)
            }
            _ = await errorOf { () async throws(Ext2Error) in try await other.synchronize() }
            _ = await errorOf { () async throws(Ext2Error) in try await other.truncate(to: 0) }
          }
        }
        guard case .device(.timedOut) = error else {
          Issue.record("the writer is told \(String(describing: error))")
          return
        }
        await rig.serve()
        try await rig.until("there is memory again") {
          await errorOf { () async throws(Ext2Error) in try await other.append([1]) } == nil
        }
      }
      #expect(outcome.failures == [], "seed \(seed)")
    }
  }

  @Test("a write that is late: fsync and unmount say so, the volume stays not clean, its block has no new owner")
  func deadlinePasses() throws {
    let options = VolumeOptions.quiet.with { $0.queue.timeoutNanoseconds = 5_000_000 }
    let image = try Images.empty(blockSize: Self.size, blockCount: 256)
    for seed in UInt64(0)..<12 {
      let outcome = leaving("requests past their deadline, which keep their memory") {
        VolumeRig.run(image, seed: seed, options: options) { rig in
          let file = try await rig.volume.open("a", create: true), other = try await rig.volume.open("b", create: true)
          try await file.write(stamped(1, count: 4 * Self.size), at: 0)
          let late = try await file.extents()
          await rig.hold { $0.isDataWrite && $0.owner == 12 }
          let error = await errorOf { () async throws(Ext2Error) in try await file.synchronize() }
          guard case .device(.timedOut(.write, _)) = error else {
            Issue.record("fsync says \(String(describing: error))")
            return
          }
          try await file.truncate(to: 0)
          // Everything else there is: the late block is not among it, and whoever wants more is told in the end.
          _ = try await other.write(stamped(2, count: 256 * Self.size), at: 0)
          for extent in try await other.extents() {
            for block in extent.diskBlock..<extent.diskBlock + UInt64(extent.count) {
              #expect(!late.contains { $0.contains(diskBlock: block) }, "block \(block) was given away under a write")
            }
          }
          let unmountError = await errorOf { () async throws(Ext2Error) in try await rig.volume.unmount() }
          guard case .device(.timedOut) = unmountError else {
            Issue.record("unmount says \(String(describing: unmountError))")
            return
          }
          await rig.serve()
          await rig.pause(1_000_000_000)
        }
      }
      #expect(outcome.failures == [], "seed \(seed)")
      #expect(Superblocks.isClean(outcome.image) == false, "seed \(seed)")
    }
  }

  @Test("a block whose late write lands after all is free again")
  func lateWriteLands() throws {
    let options = VolumeOptions.quiet.with { $0.queue.timeoutNanoseconds = 5_000_000 }
    try script(try Images.empty(blockSize: Self.size), options) { rig in
      let file = try await rig.volume.open("a", create: true)
      try await rig.volume.synchronize()
      let free = await rig.volume.statistics.freeBlockCount
      try await file.write(stamped(1, count: 4 * Self.size), at: 0)
      await rig.hold(\.isDataWrite)
      #expect(await errorOf { () async throws(Ext2Error) in try await file.synchronize() } != nil)
      try await file.truncate(to: 0)
      #expect(await rig.volume.statistics.freeBlockCount < free)
      await rig.serve()
      try await rig.until("the blocks are free") { await rig.volume.statistics.freeBlockCount == free }
      try await file.write(stamped(2, count: 4 * Self.size), at: 0)
      try await file.synchronize()
      #expect(try await file.read(at: 0, count: 5 * Self.size) == stamped(2, count: 4 * Self.size))
    }
  }
}
