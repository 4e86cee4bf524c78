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
}
