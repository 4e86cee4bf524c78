import BlockDevice
import Ext2
import Ext2Format
import Ext2Tools
import Support
import SystemPackage
import Testing

/// A block that is found under one directory's lock may change under another's where the tree is corrupt.
@Suite("Directories that share a block", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct SharedDirectoryBlockTests {
  static let long = String(repeating: "l", count: 240)

  /// The blocks of a file, as debugfs lists them.
  private static func blocks(of path: String, _ image: [UInt8]) throws -> [Int] {
    let output = try Images.output(of: "debugfs", ["-R", "blocks \(path)"], on: image)
    return try #require(output.split(separator: "\n").last).split(separator: " ").compactMap { Int($0) }
  }

  /// Ways to enter a name.
  static let insertions: [(String, @Sendable (Volume, String) async throws(Ext2Error) -> Void)] = [
    ("mknod", { volume, path async throws(Ext2Error) in try await volume.makeNode(path, .fifo) }),
    ("link", { volume, path async throws(Ext2Error) in try await volume.link("file", to: path) }),
    ("rename", { volume, path async throws(Ext2Error) in try await volume.rename("file", to: path) }),
  ]

  @Test(
    "who has found room that another takes first gets an error, and nothing is half done",
    arguments: 0..<insertions.count)
  func roomIsGone(kind: Int) throws {
    let image = try Images.prepared(try Images.empty(blockSize: 1024)) { rig in
      for name in ["d", "e"] { try await rig.volume.makeLongDirectory(name, blockCount: 2, keptCount: 4) }
      // Room for one name is left in the second block.
      for index in 0..<3 { try await rig.volume.makeNode("d/\(index)\(Self.long)", .fifo) }
      try await rig.volume.makeNode("file", .fifo)
    }
    let shared = try Self.blocks(of: "d", image)[1]
    let bent = try Images.edited(image, ["sif e block[1] \(shared)"])
    let (name, insert) = Self.insertions[kind]
    let failures = Tally()
    for seed in UInt64(0)..<24 {
      let outcome = VolumeRig.run(bent, seed: seed) { rig in
        let volume = rig.volume
        async let one = errorOf { () async throws(Ext2Error) in try await insert(volume, "d/\(Self.long)") }
        async let two = errorOf { () async throws(Ext2Error) in try await volume.makeNode("e/-\(Self.long)", .fifo) }
        let errors = await [one, two]
        #expect(errors[0] == nil || errors[1] == nil, "\(name)")
        for case .corrupt? in errors { failures.count += 1 }
        if name == "rename", errors[0] != nil { _ = try await volume.status(of: "file") }
      }
      #expect(outcome.failures == [], "seed \(seed)")
    }
    #expect(failures.count > 0)
  }

  @Test("who has found room in a block that goes with the other directory gets an error")
  func blockIsGone() throws {
    let image = try Images.prepared(
      try Images.empty(blockSize: 1024) { $0.inodeSize = 128 }
    ) { rig in
      try await rig.volume.makeLongDirectory("d", blockCount: 2, keptCount: 4)
      try await rig.volume.makeLongDirectory("e", blockCount: 2)
      await rig.settle()
      for index in 0..<9 { try await rig.volume.makeNode("file\(index)", .fifo) }
    }
    let shared = try Self.blocks(of: "d", image)[1]
    let bent = try Images.edited(image, ["sif e block[1] \(shared)"])
    let outcome = VolumeRig.run(bent) { rig in
      let volume = rig.volume
      // The first free inode: those beside it in the table are in use, so that their block is read.
      let (_, layout) = try await volume.superblock()
      let group = try await volume.inspect(layout.group(0))
      let free = InodeNumber(rawValue: group.freeInodes[0].lowerBound)
      let table = layout.location(of: free, descriptor: group.descriptor).block
      await rig.hold { $0.operation == .read && $0.offset == UInt64(table.rawValue) * 1024 }
      async let made = errorOf { () async throws(Ext2Error) in try await volume.makeNode("d/\(Self.long)", .fifo) }
      try await rig.untilHeld()
      try await volume.removeDirectory("e")
      await rig.settle()
      await rig.serve()
      let error = await made
      guard case .corrupt? = error else {
        Issue.record("\(error.map { "\($0)" } ?? "no error")")
        return
      }
    }
    #expect(outcome.failures == [])
  }

  @Test("a rename whose name another removes meanwhile has entered no new one")
  func nameIsGone() throws {
    let image = try Images.prepared(try Images.empty(blockSize: 1024)) { rig in
      for name in ["d", "e"] { try await rig.volume.makeDirectory(name) }
      try await rig.volume.makeNode("d/x", .fifo)
      try await rig.volume.makeLongDirectory("g", blockCount: 2)
    }
    let bent = try Images.edited(image, ["sif e block[0] \(try Self.blocks(of: "d", image)[0])"])
    let outcome = VolumeRig.run(bent) { rig in
      let volume = rig.volume
      // Its first block is in memory then, the second one not.
      _ = try await volume.status(of: "g/..")
      let target = UInt64(try await volume.status(of: "g").inode)
      await rig.hold { $0.operation == .read && $0.owner == target }
      async let renamed = errorOf { () async throws(Ext2Error) in try await volume.rename("d/x", to: "g/new") }
      try await rig.untilHeld()
      try await volume.unlink("e/x")
      await rig.serve()
      guard case .corrupt? = await renamed else {
        Issue.record("no error")
        return
      }
      let names = try await volume.list("g")
      #expect(names == [])
    }
    #expect(outcome.failures == [])
  }
}
