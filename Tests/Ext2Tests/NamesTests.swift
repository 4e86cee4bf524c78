import BlockDevice
import Ext2
import Ext2Format
import Ext2Tools
import PageCache
import Support
import Testing

@Suite("Names", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct NamesTests {
  @Test("many who create one name at once get one file", arguments: blockSizes)
  func concurrentCreates(blockSize: Int) throws {
    try script(try Images.empty(blockSize: blockSize)) { rig in
      let before = await rig.volume.statistics
      let numbers = try await withThrowingTaskGroup(of: UInt32.self) { group in
        for index in 0..<8 {
          group.addTask {
            let file = try await rig.volume.open("same", create: true)
            try await file.write([UInt8(index + 1)], at: UInt64(index))
            let number = try await file.status().inode
            await file.close()
            return number
          }
        }
        return try await group.reduce(into: Set<UInt32>()) { $0.insert($1) }
      }
      #expect(numbers.count == 1)
      #expect(await rig.volume.statistics.freeInodeCount == before.freeInodeCount - 1)
      let same = try await rig.volume.open("same")
      #expect(try await same.read(at: 0, count: 10) == [1, 2, 3, 4, 5, 6, 7, 8])
      let names = try await rig.volume.list()
      #expect(names.filter { $0 == "same" }.count == 1)
    }
  }

  @Test("creates and removals of one name at once leave one file or none")
  func createsAgainstUnlinks() throws {
    try script(try Images.empty(blockSize: 1024), seeds: 0..<24) { rig in
      await withTaskGroup(of: Void.self) { group in
        for index in 0..<4 {
          group.addTask {
            for _ in 0..<6 {
              guard let file = try? await rig.volume.open("same", create: true) else { continue }
              _ = try? await file.append(stamped(UInt8(index), count: 3000))
              await file.close()
            }
          }
          group.addTask { for _ in 0..<6 { try? await rig.volume.unlink("same") } }
        }
      }
      let names = try await rig.volume.list()
      #expect(names.filter { $0 == "same" }.count <= 1)
    }
  }

  @Test("a file that was removed while open and dirty is there for its openers, and its space comes back at the end")
  func unlinkedWhileOpen() throws {
    try script(try Images.empty(blockSize: 1024)) { rig in
      let before = await rig.volume.statistics
      let file = try await rig.volume.open("a", create: true), again = try await rig.volume.open("a")
      try await file.write(stamped(1, count: 40_000), at: 0)
      try await rig.volume.unlink("a")
      await #expect(throws: Ext2Error.self) { try await rig.volume.open("a") }
      try await file.append(stamped(2, count: 1000))
      try await again.synchronize()
      #expect(try await again.read(at: 0, count: 50_000) == stamped(1, count: 40_000) + stamped(2, count: 1000))
      await file.close()
      #expect(try await again.read(at: 0, count: 10).count == 10)
      await again.close()
      try await rig.until("its space is free") { await rig.volume.statistics == before }
    }
  }

  @Test("a directory grows by blocks and keeps every name", arguments: blockSizes)
  func growingDirectory(blockSize: Int) throws {
    let image = try Images.make(blockSize: blockSize, byteCount: 4 << 20) {
      ($0.inodeCount, $0.reservedPercent) = (512, 0)
    }
    try script(image, seeds: 0..<2) { rig in
      let names = (0..<400).map { "file-with-a-rather-long-name-\($0)" }
      for name in names { await (try rig.volume.open(name, create: true)).close() }
      #expect(Set(try await rig.volume.list()) == Set(names + ["lost+found"]))
      for name in names where name.hasSuffix("3") { try await rig.volume.unlink(name) }
      for name in names {
        let error = await errorOf { () async throws(Ext2Error) in await (try rig.volume.open(name)).close() }
        #expect((error != nil) == name.hasSuffix("3"), "\(name)")
      }
    }
  }

  @Test(
    "names that are none are refused",
    arguments: ["", "/", ".", "..", "a/..", "nul\0", String(repeating: "x", count: 256)])
  func badNames(name: String) throws {
    try script(try Images.empty(blockSize: 1024), seeds: 0..<1) { rig in
      await #expect(throws: Ext2Error.self) { try await rig.volume.open(name, create: true) }
    }
  }

  @Test("attributes in a block go with their file, and stay with whoever shares them", arguments: [false, true])
  func attributes(isShared: Bool) throws {
    let image = try Images.prepared(try Images.empty(blockSize: 1024)) { rig in
      for name in ["a", "b"] { try await (try rig.volume.open(name, create: true)).write([1], at: 0) }
    }
    var marked = try Images.edited(image, ["ea_set a user.long \(String(repeating: "x", count: 600))"])
    if isShared {
      let place = try Images.output(of: "debugfs", ["-R", "stat a"], on: marked).split(separator: "ACL: ").last
      let block = try #require(place?.prefix { $0.isNumber }.description)
      // A second inode of the same attributes, counted in the block and in its size.
      marked = try Images.edited(marked, ["sif b file_acl \(block)", "sif b blocks 4"])
      marked[try #require(Int(block)) * 1024 + 4] = 2
    }
    #expect(try Images.check(marked) == nil)
    try script(marked) { rig in try await rig.volume.unlink("a") }
    if isShared { try script(marked) { rig in for name in ["b", "a"] { try await rig.volume.unlink(name) } } }
  }

  @Test("a path may be deeper than an operation may pin blocks")
  func deepPath() throws {
    let paths = (1...30).map { String(repeating: "/d", count: $0) }, path = paths[29]
    let commands = paths.map { "mkdir \($0)" }
    let image = try Images.edited(try Images.empty(blockSize: 1024), commands)
    try script(image, .quiet.with { $0.metadataSlotCount = 48 }, seeds: 0..<2) { rig in
      let file = try await rig.volume.open(path + "/file", create: true)
      try await file.write([1, 2, 3], at: 0)
      #expect(try await rig.volume.list(path) == ["file"])
      await #expect(throws: Ext2Error.self) { try await rig.volume.open(path + "/file/x") }
      await #expect(throws: Ext2Error.self) { try await rig.volume.unlink("d") }
    }
  }

  @Test("a new inode leaves those beside it in its block of the table as they were", arguments: 17...24)
  func besideOthers(number: UInt32) throws {
    // Eight inodes lie in a block of the table: 17 to 24 in one, of which one is free.
    let image = try Images.prepared(try Images.empty(blockSize: 1024) { $0.inodeSize = 128 }) { rig in
      for other in 12...24 { try await rig.volume.makeNode("\(other)", .fifo) }
      try await rig.volume.unlink("\(number)")
    }
    try script(image, seeds: 0..<1) { rig in
      try await rig.volume.makeNode("new", .socket)
      #expect(try await rig.volume.status(of: "new").inode == number)
      for other in 12...24 where other != number {
        let status = try await rig.volume.status(of: "\(other)")
        #expect(status.inode == other && status.type == .fifo)
      }
    }
  }
}
