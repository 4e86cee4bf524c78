import BlockDevice
import Ext2
import Ext2Format
import Ext2Tools
import Support
import SystemPackage
import Testing

@Suite("Inodes in memory", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct InodesInMemoryTests {
  /// Those that stay however long nobody has used them, and those that the last releases have not looked at.
  private static let most = 1024 + 64

  private static func manyFiles() throws -> [UInt8] {
    try Images.prepared(
      try Images.make(blockSize: 1024, byteCount: 4 << 20) { ($0.inodeSize, $0.inodeCount) = (128, 4096) }
    ) { rig in
      for index in 0..<3000 { try await rig.volume.makeNode("\(index)", .regular) }
    }
  }

  @Test("files that nobody uses leave memory, although what they changed is not written")
  func bounded() throws {
    let image = try Images.make(blockSize: 1024, byteCount: 4 << 20) { ($0.inodeSize, $0.inodeCount) = (128, 4096) }
    try script(image, seeds: 0..<1) { rig in
      for index in 0..<3000 {
        try await rig.volume.makeNode("\(index)", .regular)
        let count = await rig.volume.inodesInMemory.count
        guard count < Self.most else {
          Issue.record("\(count) inodes in memory after \(index) files")
          return
        }
      }
      #expect(await rig.volume.inodesInMemory.count > 1000)
    }
  }

  @Test("of a directory that left memory no index of names is left")
  func indexes() throws {
    let image = try Images.prepared(try Self.manyFiles()) { try await $0.volume.makeLongDirectory("d", blockCount: 3) }
    try script(image, seeds: 0..<1) { rig in
      let volume = rig.volume
      await (try volume.open("0")).close()
      let ofRoot = await volume.nameIndexByteCount
      let error = await errorOf { () async throws(Ext2Error) in try await volume.unlink("d/none") }
      #expect(error?.errno == .noSuchFileOrDirectory)
      let number = try await volume.status(of: "d").inode
      let ofBoth = await volume.nameIndexByteCount
      #expect(ofRoot > 0 && ofBoth > ofRoot)
      for index in 1..<2500 { await (try volume.open("\(index)")).close() }
      let isInMemory = await volume.inodesInMemory.contains { $0.rawValue == number }
      let left = await volume.nameIndexByteCount
      #expect(!isInMemory && left == ofRoot)
    }
  }

  @Test("fdatasync of a file that left memory waits for what it had changed before")
  func dataOnly() throws {
    let image = try Self.manyFiles()
    try script(image, seeds: 0..<4) { rig in
      let volume = rig.volume
      let file = try await volume.open("0")
      let number = try await file.status().inode
      try await file.truncate(to: 5000)
      await file.close()
      for index in 1..<3000 where index % 2 == 0 { await (try volume.open("\(index)")).close() }
      #expect(await !volume.inodesInMemory.map(\.rawValue).contains(number))
      let before = try Images.dump("0", of: await rig.disk { $0.durableImage })
      #expect(before == [], "it was written meanwhile: this test shows nothing")
      let again = try await volume.open("0")
      try await again.synchronizeData()
      await again.close()
      #expect(try Images.dump("0", of: await rig.disk { $0.durableImage }) == [UInt8](repeating: 0, count: 5000))
    }
  }
}
