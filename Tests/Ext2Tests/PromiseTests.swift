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
}
