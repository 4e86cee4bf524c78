import Ext2
import Ext2Format
import FaultLab
import Reactor
import Support
import Testing

@Suite("Names, many tasks at once", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct NameStormTests {
  /// Directories two deep, and files in all of them: few names, so that the tasks meet.
  private static func path(_ random: inout SeededGenerator) -> String {
    let names = ["a", "b", "c"]
    let depth = 1 + random.below(3)
    return (0..<depth).map { _ in "/" + names[random.below(3)] }.joined()
  }

  private static func act(_ volume: Volume, _ random: inout SeededGenerator) async throws {
    let first = path(&random), second = path(&random)
    switch random.below(12) {
    case 0, 1: try await volume.makeDirectory(first)
    case 2, 3:
      let file = try await volume.open(first, create: true)
      try await file.append(stamped(3, count: 1 + random.below(3000)))
      await file.close()
    case 4: try await volume.link(first, to: second)
    case 5: try await volume.unlink(first)
    case 6: try await volume.removeDirectory(first)
    case 7, 8, 9: try await volume.rename(first, to: second, random.oneIn(4) ? .noReplace : [])
    case 10: try await volume.makeSymbolicLink(first, to: random.oneIn(2) ? second : String(repeating: "/a", count: 40))
    default: _ = try await volume.entries(of: first)
    }
  }

  @Test("renames, links, removals and creations on few names end without a deadlock, and e2fsck is content")
  func storm() throws {
    let image = try Images.empty(blockSize: 1024)
    try script(image, .quiet.with { $0.metadataSlotCount = 96 }, seeds: 0..<60) { rig in
      let seed = rig.reactor.random.next()
      await withTaskGroup(of: Void.self) { group in
        for task in 0..<6 {
          group.addTask {
            var random = SeededGenerator(seed: seed).split(UInt64(task))
            for _ in 0..<25 {
              do { try await Self.act(rig.volume, &random) } catch let error as Ext2Error {
                if case .corrupt = error { Issue.record("\(error)") }
              } catch {}
            }
          }
        }
      }
      // Whoever is there can be reached, and ".." leads back.
      func visit(_ path: String, _ parent: UInt32) async throws {
        let entries = try await rig.volume.entries(of: path)
        let own = try await rig.volume.status(of: path).inode
        #expect(entries.first { $0.text == "." }?.inode == own)
        #expect(entries.first { $0.text == ".." }?.inode == parent, "\(path)")
        for entry in entries where entry.type == .directory && entry.text != "." && entry.text != ".." {
          try await visit((path == "/" ? "" : path) + "/" + entry.text, own)
        }
      }
      try await visit("/", 2)
    }
  }
}
