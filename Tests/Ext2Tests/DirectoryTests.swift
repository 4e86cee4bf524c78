import BlockDevice
import Ext2
import Ext2Format
import FaultLab
import Reactor
import Support
import SystemPackage
import Testing

@Suite("Large directories", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct DirectoryTests {
  @Test(
    "an index of names gives the same answers whether it has room, none, or is dropped again and again",
    arguments: [64 << 20, 0, 40_000])
  func indexes(byteLimit: Int) throws {
    let image = try Images.make(blockSize: 1024, byteCount: 8 << 20, options: ["-N", "4096", "-m", "0"])
    let options = VolumeOptions.quiet.with { $0.nameIndexByteLimit = byteLimit }
    try script(image, options, seeds: 0..<1) { rig in
      var random = SeededGenerator(seed: 5)
      var expected: [String: Set<String>] = ["a": [], "b": []]
      for folder in ["a", "b"] { try await rig.volume.makeDirectory(folder) }
      for step in 0..<3000 {
        let folder = random.oneIn(2) ? "a" : "b"
        // Names of all lengths, so that room of all sizes comes and goes.
        let name = String(repeating: "x", count: random.below(60)) + "\(random.below(700))"
        let path = "\(folder)/\(name)"
        let exists = expected[folder]?.contains(name) ?? false
        if random.oneIn(3) {
          let error = await errorOf { () async throws(Ext2Error) in try await rig.volume.unlink(path) }
          #expect((error == nil) == exists, "step \(step)")
          expected[folder]?.remove(name)
        } else {
          let error = await errorOf { () async throws(Ext2Error) in try await rig.volume.makeNode(path, .fifo) }
          #expect((error == nil) == !exists, "step \(step)")
          expected[folder]?.insert(name)
        }
      }
      for folder in ["a", "b"] {
        let names = try await rig.volume.list(folder)
        #expect(names.count == expected[folder]?.count)
        #expect(Set(names) == expected[folder])
      }
    }
  }

  @Test(
    "room that removals leave is used again, so that a directory does not grow for ever",
    arguments: [1024, 4096, 65536])
  func room(blockSize: Int) throws {
    let image = try Images.make(
      blockSize: blockSize, byteCount: max(4 << 20, 256 * blockSize), options: ["-N", "2048", "-m", "0"])
    try script(image, seeds: 0..<1) { rig in
      try await rig.volume.makeDirectory("d")
      for round in 0..<4 {
        for index in 0..<300 { try await rig.volume.makeNode("d/round-\(round)-name-\(index)", .fifo) }
        let size = try await rig.volume.status(of: "d").byteCount
        if round > 0 { #expect(size <= UInt64(300 * 24 / blockSize + 2) * UInt64(blockSize), "round \(round)") }
        for index in 0..<300 { try await rig.volume.unlink("d/round-\(round)-name-\(index)") }
      }
      try await rig.volume.removeDirectory("d")
    }
  }

  @Test("who reads a directory in pieces sees each name once that is there all the time", arguments: blockSizes)
  func positions(blockSize: Int) throws {
    let image = try Images.make(blockSize: blockSize, byteCount: 4 << 20, options: ["-N", "1024", "-m", "0"])
    try script(image, seeds: 0..<6) { rig in
      try await rig.volume.makeDirectory("d")
      for index in 0..<200 { try await rig.volume.makeNode("d/stays-\(index)", .fifo) }
      var random = rig.reactor.random.split(9)
      var seen: [String] = []
      var position: UInt64 = 0
      while true {
        let piece = try await rig.volume.entries(of: "d", from: position, limit: 1 + random.below(9))
        guard let last = piece.last else { break }
        seen += piece.map(\.text).filter { $0.hasPrefix("stays") }
        position = last.nextPosition
        // Neighbours come and go meanwhile.
        let name = "d/comes-\(random.below(30))"
        if (try? await rig.volume.makeNode(name, .fifo)) == nil { try? await rig.volume.unlink(name) }
        if random.oneIn(8) { try? await rig.volume.unlink(name) }
      }
      #expect(seen.count == 200 && Set(seen).count == 200)
      // A position that is none, or lies past the end, is no error.
      _ = try await rig.volume.entries(of: "d", from: 13, limit: 5)
      #expect(try await rig.volume.entries(of: "d", from: .max / 2).isEmpty)
    }
  }

  @Test("an inode has at most 32,000 links: names of a file, directories in a directory")
  func linkLimit() throws {
    var image = try Images.prepared(try Images.empty(blockSize: 1024)) { rig in
      for folder in ["d", "d/a", "e", "e/moved"] { try await rig.volume.makeDirectory(folder) }
      try await rig.volume.makeNode("file", .regular)
    }
    image = try Images.edited(image, ["sif d links_count 31999", "sif file links_count 31999"])
    let outcome = VolumeRig.run(image) { rig in
      let volume = rig.volume
      func expect(_ body: () async throws(Ext2Error) -> Void) async {
        let error = await errorOf(body)
        #expect(error?.errno == .tooManyLinks)
      }
      try await volume.makeDirectory("d/b")
      await expect { () async throws(Ext2Error) in try await volume.makeDirectory("d/c") }
      await expect { () async throws(Ext2Error) in try await volume.rename("e/moved", to: "d/moved") }
      // One directory takes the place of another; files are no links.
      try await volume.rename("e/moved", to: "d/b")
      try await volume.makeNode("d/file", .fifo)
      try await volume.removeDirectory("d/b")
      try await volume.makeDirectory("d/c")
      try await volume.link("file", to: "d/last")
      await expect { () async throws(Ext2Error) in try await volume.link("file", to: "d/more") }
      #expect(try await volume.status(of: "file").linkCount == 32000)
    }
    #expect(outcome.failures == [] && outcome.unmountError == nil)
  }
}
