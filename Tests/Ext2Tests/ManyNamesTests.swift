import Ext2
import Ext2Tools
import Support
import Testing

@Suite("Directories of very many names", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct ManyNamesTests {
  /// Links that one file may have.
  private static let linksOfOne = 31_000

  private static func name(_ index: Int) -> String { "name-\(index)" }

  private static func fill(_ volume: Volume, _ folder: String, _ count: Int) async throws {
    try await volume.makeDirectory(folder)
    for index in 0..<count {
      let target = "/\(folder)-\(index / linksOfOne)"
      if index % linksOfOne == 0 { await (try volume.open(target, create: true)).close() }
      try await volume.link(target, to: "\(folder)/\(name(index))")
    }
  }

  /// Two directories whose indexes do not fit together: each drops the other's, and makes its own anew.
  static func twoFolders(_ large: Int, _ small: Int, byteLimit: Int) throws {
    let image = try Images.make(blockSize: 4096, byteCount: 32 << 20 + large * 48) { options in
      options.inodeCount = 1024
      options.reservedPercent = 0
    }
    let options = VolumeOptions.quiet.with { $0.nameIndexByteLimit = byteLimit }
    let outcome = VolumeRig.run(image, options: options, stepLimit: .max) { rig in
      let volume = rig.volume
      try await fill(volume, "large", large)
      let alone = await volume.nameIndexByteCount
      try await fill(volume, "small", small)
      #expect(alone > byteLimit / 2 && alone <= byteLimit)
      // Back and forth.
      for round in 0..<3 {
        for (folder, count) in [("large", large), ("small", small)] {
          for index in stride(from: round, to: count, by: 997) {
            let status = try await volume.status(of: "\(folder)/\(name(index))")
            #expect(status.linkCount > 1)
          }
          let none = await errorOf { () async throws(Ext2Error) in try await volume.status(of: "\(folder)/none") }
          guard case .notFound = none else {
            Issue.record("found a name that is not there")
            return
          }
          let bytes = await volume.nameIndexByteCount
          #expect(bytes > 0 && bytes <= byteLimit)
        }
      }
      #expect(try await volume.list("large").count == large)
      await (try volume.open("again", create: true)).close()
      // Removed and made again: the directory does not grow for it.
      let size = try await volume.status(of: "large").byteCount
      for index in stride(from: 0, to: large, by: 7) { try await volume.unlink("large/\(name(index))") }
      for index in stride(from: 0, to: large, by: 14) { try await volume.link("/again", to: "large/\(name(index))") }
      #expect(try await volume.status(of: "large").byteCount == size)
      #expect(await volume.nameIndexByteCount <= byteLimit)
      var expected = Set((0..<large).map(name))
      for index in stride(from: 7, to: large, by: 14) { expected.remove(name(index)) }
      #expect(Set(try await volume.list("large")) == expected)
    }
    #expect(outcome.failures == [])
    #expect(outcome.unmountError == nil)
    #expect(try Images.check(outcome.image) == nil)
  }

  /// A million take a minute in a debug build; `tools/bench files` has a million.
  @Test("are made, looked up, listed and thinned out with indexes that have no room together")
  func manyNames() throws { try Self.twoFolders(60_000, 30_000, byteLimit: 5 << 18) }
}
