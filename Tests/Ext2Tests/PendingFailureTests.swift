import BlockDevice
import Ext2
import Ext2Format
import Support
import Testing

@Suite("Pending frees that cannot end", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct PendingFailureTests {
  static let size = 1024

  @Test(
    "blocks that cannot be freed, because their bitmap cannot be read, keep nobody waiting",
    arguments: FreesName.allCases)
  func unreadableBitmap(frees: FreesName) throws {
    let image = try FreedBlocksTests.cold()
    let bitmap = try unsafe GroupDescriptor(decoding: image.span.bytes, at: 2048).blockBitmap
    let offset = bitmap.byteOffset(blockSizeLog2: 10)
    for seed in UInt64(0)..<8 {
      let outcome = VolumeRig.run(image, seed: seed, options: .quiet.with { $0.frees = frees }) { rig in
        await rig.fail { $0.operation == .read && $0.offset == offset }
        let file = try await rig.volume.open("a")
        try await file.truncate(to: 0)
        await #expect(throws: Ext2Error.self) { try await rig.volume.synchronize() }
        await rig.serve()
        try await rig.until("they are free") {
          await errorOf { () async throws(Ext2Error) in try await rig.volume.synchronize() } == nil
        }
      }
      #expect(outcome.failures == [], "seed \(seed)")
      #expect(outcome.unmountError == nil, "seed \(seed)")
      #expect(try Images.check(outcome.image) == nil, "seed \(seed)")
    }
  }

  @Test("sync ends beside somebody who never stops truncating", arguments: FreesName.allCases)
  func syncBesideTruncates(frees: FreesName) throws {
    try script(try Images.empty(blockSize: Self.size), .quiet.with { $0.frees = frees }) { rig in
      let file = try await rig.volume.open("a", create: true)
      let ends = Tally(), rounds = Tally()
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
          while ends.count == 0 && rounds.count < 500 {
            rounds.count += 1
            try await file.write(stamped(1, count: 3 * Self.size), at: 0)
            try await file.truncate(to: 0)
            await rig.pause(30_000)
          }
        }
        group.addTask {
          await rig.pause(200_000)
          try await rig.volume.synchronize()
          ends.count += 1
        }
        try await group.waitForAll()
      }
      #expect(rounds.count < 500, "sync waited for the end of the truncates")
    }
  }
}
