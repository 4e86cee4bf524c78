import Ext2
import Ext2Tools
import Support
import Testing

@Suite("A directory with a hash index", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct HashIndexTests {
  static let names = (0..<240).map { "a-name-that-fills-the-directory-\($0)" }

  /// A volume whose root directory e2fsck has given a hash index.
  static func indexed(blockSize: Int) throws -> [UInt8] {
    let image = try Images.make(blockSize: blockSize, byteCount: 4 << 20) {
      ($0.inodeCount, $0.reservedPercent) = (512, 0)
    }
    let filled = try TemporaryFile.with(contents: Array("text".utf8)) { source in
      try Images.edited(image, names.map { "write \(source) \($0)" })
    }
    return try Images.rebuilt(filled)
  }

  @Test("every name is found, a change clears the index flag, and e2fsck is content", arguments: blockSizes)
  func lookUpAndChange(blockSize: Int) throws {
    let image = try Self.indexed(blockSize: blockSize)
    #expect(try Images.output(of: "debugfs", ["-R", "stat /"], on: image).contains("Flags: 0x1000"))
    let read = VolumeRig.run(image) { rig in
      #expect(Set(try await rig.volume.list()) == Set(Self.names + ["lost+found"]))
      for name in Self.names {
        let file = try await rig.volume.open(name)
        #expect(try await file.read(at: 0, count: 10) == Array("text".utf8))
        await file.close()
      }
      await #expect(throws: Ext2Error.self) { try await rig.volume.open("a-name-that-is-not-there") }
    }
    #expect(read.failures == [] && read.unmountError == nil)
    #expect(
      try Images.output(of: "debugfs", ["-R", "stat /"], on: read.image).contains("Flags: 0x1000"), "reading keeps it")
    #expect(try Images.check(read.image) == nil)
    for isCreate in [true, false] {
      let changed = VolumeRig.run(image) { rig in
        if isCreate {
          for number in 0..<40 { await (try rig.volume.open("new-\(number)", create: true)).close() }
        } else {
          for name in Self.names.prefix(100) { try await rig.volume.unlink(name) }
        }
        let count = try await rig.volume.list().count
        #expect(count == (isCreate ? 281 : 141))
      }
      #expect(changed.failures == [] && changed.unmountError == nil)
      #expect(try Images.output(of: "debugfs", ["-R", "stat /"], on: changed.image).contains("Flags: 0x0"))
      #expect(try Images.check(changed.image) == nil)
    }
  }
}
