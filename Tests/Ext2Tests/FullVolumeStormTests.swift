import BlockDevice
import Ext2
import Ext2Format
import Ext2Tools
import PageCache
import Reactor
import Support
import Testing

/// Everything at once on a volume that is nearly always full: names, data, attributes and ACLs, beside an administrator
/// who freezes, remounts, trims and renames the volume.
@Suite("A full volume, everything at once", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct FullVolumeStormTests {
  private static let names = ["a", "b", "c", String(repeating: "n", count: 250)]

  private static func path(_ random: inout SeededGenerator) -> String {
    (0...random.below(2)).map { _ in "/" + names[random.below(names.count)] }.joined()
  }

  private static func useFile(_ volume: Volume, _ path: String, _ random: inout SeededGenerator) async throws {
    let file = try await volume.open(path, random.oneIn(2) ? [.create] : [.create, .truncate])
    let start = UInt64(random.below(400_000)), count = UInt64(1 + random.below(40_000))
    do {
      switch random.below(7) {
      case 0, 1: try await file.append(stamped(1, count: Int(count)))
      case 2: try await file.write(stamped(2, count: Int(count)), at: start)
      case 3: try await file.truncate(to: start)
      case 4: try await file.punch(start..<start + count)
      case 5: try await file.fallocate(random.oneIn(2) ? [] : .zeroRange, start..<start + count)
      default: try await file.synchronize()
      }
      _ = try await file.read(at: start / 2, count: Int(count))
    } catch {
      await file.close()
      throw error
    }
    await file.close()
  }

  private static func act(_ volume: Volume, _ random: inout SeededGenerator) async throws {
    let first = path(&random), second = path(&random)
    switch random.below(16) {
    case 0, 1: try await volume.makeDirectory(first)
    case 2: try await volume.makeSymbolicLink(first, to: random.oneIn(2) ? second : String(repeating: "/a", count: 40))
    case 3: try await volume.link(first, to: second)
    case 4, 5: try await volume.unlink(first)
    case 6: try await volume.removeDirectory(first)
    case 7, 8: try await volume.rename(first, to: second)
    case 9:
      let value = [UInt8](repeating: UInt8(random.below(3)), count: [1, 60, 300][random.below(3)])
      try await volume.setAttribute("user.\(random.below(3))", to: value, of: first)
    case 10: try await volume.removeAttribute("user.\(random.below(3))", of: first)
    case 11:
      let text = "u::rwx,u:\(random.below(2)):r-x,g::r-x,m::rwx,o::---"
      try await volume.setAccessControlList(AccessControlList(text: text), of: first, isDefault: random.oneIn(2))
    case 12: try await volume.change(first, StatusChanges(permissions: UInt16(random.below(0o1000))))
    case 13: _ = try await volume.entries(of: first)
    default: try await useFile(volume, first, &random)
    }
  }

  private static func administer(_ volume: Volume, _ random: inout SeededGenerator) async throws {
    switch random.below(5) {
    case 0:
      try await volume.freeze()
      try await volume.thaw()
    case 1:
      try await volume.remount(isReadOnly: true)
      try await volume.remount(isReadOnly: false)
    case 2: _ = try await volume.trim()
    case 3: try await volume.setLabel("label \(random.below(10))")
    default: try await volume.synchronize()
    }
  }

  private static func clear(_ path: String, _ volume: Volume) async throws {
    for entry in try await volume.entries(of: path + "/") where names.contains(entry.text) {
      let inner = path + "/" + entry.text
      if entry.type == .directory {
        try await clear(inner, volume)
        try await volume.removeDirectory(inner)
      } else {
        try await volume.unlink(inner)
      }
    }
  }

  @Test("whatever meets, nobody finds corruption, e2fsck is content, and all space is there again", arguments: 0..<4)
  func storm(variant: Int) throws {
    let options = VolumeOptions.quiet.with {
      $0.metadataSlotCount = variant % 2 == 0 ? 64 : 2048
      $0.frees = variant == 1 ? .ordered : .plain
      $0.discards = variant >= 2
      $0.cache.cacheByteCount = 64 << 10
      $0.accessTimes = .strict
      $0.onErrors = .remountReadOnly
    }
    let image = try Images.empty(blockSize: 1024, blockCount: 300) {
      ($0.inodeCount, $0.inodeSize) = (32, variant == 3 ? 256 : 128)
    }
    try script(image, options, seeds: 0..<15) { rig in
      let volume = rig.volume, before = await volume.statistics
      let seed = rig.reactor.random.next()
      await withTaskGroup(of: Void.self) { group in
        for task in 0..<6 {
          group.addTask {
            var random = SeededGenerator(seed: seed).split(UInt64(task))
            for _ in 0..<(task == 0 ? 8 : 30) {
              do {
                if task == 0 {
                  try await Self.administer(volume, &random)
                } else {
                  try await Self.act(volume, &random)
                }
              } catch let error as Ext2Error {
                if case .corrupt = error { Issue.record("\(error)") }
              } catch {}
            }
          }
        }
      }
      #expect(await !volume.isReadOnly)
      try await Self.clear("", volume)
      await rig.settle()
      try await volume.synchronize()
      #expect(try await volume.list() == ["lost+found"])
      let after = await volume.statistics
      #expect(after.freeInodeCount == before.freeInodeCount)
      // The root directory may have grown.
      #expect(after.freeBlockCount + 8 >= before.freeBlockCount)
    }
  }
}
