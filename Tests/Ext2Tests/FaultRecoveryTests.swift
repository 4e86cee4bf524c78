import BlockDevice
import Ext2
import Ext2Format
import Support
import SystemPackage
import Testing

/// What a fault leaves behind when it is gone. Found by `blkdev-run sweep`.
@Suite("After a fault", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct FaultRecoveryTests {
  private static func image() throws -> [UInt8] {
    try Images.prepared(try Images.empty(blockSize: 1024, blockCount: 1024)) { rig in
      let file = try await rig.volume.open("file", create: true)
      try await file.append(stamped(1, count: 30_000))
      await file.close()
    }
  }

  /// s_state of the superblock.
  private static func isMarkedClean(_ rig: VolumeRig) async -> Bool {
    await rig.disk { $0.bytes(in: 1082..<1084) } == [1, 0]
  }

  @Test("a read of a device that fails every read ends, also where the pointer blocks cannot be read either")
  func deadDevice() throws {
    try script(try Self.image(), seeds: 0..<2) { rig in
      let file = try await rig.volume.open("file")
      // The read of the first blocks fails while that of the pointer block is out.
      await rig.disk { $0.latency = 5_000...5_000 }
      await rig.fail { $0.operation == .read }
      await #expect(throws: Ext2Error.self) { _ = try await file.read(at: 0, count: 30_000) }
      await rig.serve()
      #expect(try await file.read(at: 0, count: 30_000) == stamped(1, count: 30_000))
    }
  }

  @Test("after a freeze or remount that failed nothing changes before the volume is marked not clean again")
  func failedFreeze() throws {
    for isFreeze in [true, false] {
      try script(try Self.image(), seeds: 0..<4) { rig in
        try await rig.volume.makeDirectory("new")
        let flushes = Tally()
        await rig.treat { request in
          guard request.operation == .flush else { return .proceed }
          flushes.count += 1
          return flushes.count == 2 ? .fail(.ioError) : .proceed
        }
        await #expect(throws: Ext2Error.self) {
          if isFreeze { try await rig.volume.freeze() } else { try await rig.volume.remount(isReadOnly: true) }
        }
        await rig.serve()
        let file = try await rig.volume.open("file")
        try await file.append([1])
        #expect(await !Self.isMarkedClean(rig))
        await file.close()
        try await rig.volume.unmount()
        #expect(await Self.isMarkedClean(rig))
      }
    }
  }

  @Test("after a thaw that failed nothing changes before the volume is marked not clean")
  func failedThaw() throws {
    try script(try Self.image(), seeds: 0..<4) { rig in
      try await rig.volume.freeze()
      #expect(await Self.isMarkedClean(rig))
      await rig.fail { $0.operation == .write }
      await #expect(throws: Ext2Error.self) { try await rig.volume.thaw() }
      await #expect(throws: Ext2Error.self) { try await rig.volume.makeDirectory("new") }
      await rig.serve()
      try await rig.volume.makeDirectory("new")
      #expect(await !Self.isMarkedClean(rig))
    }
  }

  @Test("sync reports a flush that failed, also the first of the two that it needs with frees=ordered")
  func failedCommit() throws {
    try script(try Self.image(), .quiet.with { $0.frees = .ordered }, seeds: 0..<4) { rig in
      let file = try await rig.volume.open("file")
      try await file.truncate(to: 1000)
      let flushes = Tally()
      await rig.treat { request in
        guard request.operation == .flush else { return .proceed }
        flushes.count += 1
        return flushes.count == 1 ? .fail(.ioError) : .proceed
      }
      await #expect(throws: Ext2Error.self) { try await rig.volume.synchronize() }
      await rig.serve()
      await file.close()
    }
  }

  @Test("a removed file that could not be freed is freed by unmount when its inode can be read again")
  func failedEviction() throws {
    try script(try Self.image(), seeds: 0..<10) { rig in
      let free = await rig.volume.statistics.freeInodeCount
      try await rig.volume.unlink("file")
      await rig.fail { $0.operation == .read }
      await rig.settle()
      await rig.serve()
      try await rig.volume.unmount()
      #expect(await Self.isMarkedClean(rig))
      #expect(await rig.volume.statistics.freeInodeCount == free + 1)
    }
  }
}
