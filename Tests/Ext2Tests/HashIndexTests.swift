import BlockDevice
import Ext2
import Ext2Format
import Ext2Tools
import Support
import SystemPackage
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

  @Test("a name in a directory that nobody has read is found by its index, in a few reads", arguments: blockSizes)
  func fewReads(blockSize: Int) throws {
    let image = try Self.indexed(blockSize: blockSize)
    let blockCount = Self.names.reduce(0) { $0 + ($1.utf8.count + 11) / 4 * 4 } / blockSize
    let reads = Tally()
    for name in [
      "a-name-that-fills-the-directory-7", "a-name-that-fills-the-directory-200", "a-name-that-is-not-there",
    ] {
      let outcome = VolumeRig.run(image) { rig in
        let before = await rig.volume.counters.device.reads
        let error = await errorOf { () async throws(Ext2Error) in try await rig.volume.status(of: name) }
        #expect((error == nil) == !name.hasSuffix("there"))
        // The root of the index, an inner block, a block with the name, and the inode.
        let count = await rig.volume.counters.device.reads - before
        #expect(count <= 5 && Int(count) < max(6, blockCount), "\(name): \(count) reads, \(blockCount) blocks")
        reads.count += Int(count)
      }
      #expect(outcome.failures == [])
    }
    #expect(reads.count > 0)
  }

  @Test("an index that is not as it should be is not believed", arguments: [28, 29, 30, 31, 34, 36, 44])
  func damagedIndex(byte: Int) throws {
    var image = try Self.indexed(blockSize: 1024)
    let text = try Images.output(of: "debugfs", ["-R", "bmap <2> 0"], on: image)
    let block = try #require(text.split(whereSeparator: \.isWhitespace).last.flatMap { Int($0) })
    image[block * 1024 + byte] ^= 0xF7
    let outcome = VolumeRig.run(image) { rig in
      // What is not found by a damaged index must not be made a second time.
      for name in Self.names.prefix(30) {
        let error = await errorOf { () async throws(Ext2Error) in try await rig.volume.makeNode(name, .fifo) }
        #expect(error?.errno == .fileExists, "\(name)")
      }
      for name in Self.names { _ = try? await rig.volume.status(of: name) }
    }
    #expect(outcome.failures == [])
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
