import BlockDevice
import DeviceLayers
import Ext2
import Ext2Format
import PageCache
import Reactor
import Support
import Testing

/// What other implementations of ext2 got wrong in the open, and what would notice it here.
///
/// | bug | where it was told | here |
/// |---|---|---|
/// | bits counted from block 0 although the first block is 1 | go-diskfs 425 | `bitsCountFromFirstBlock` |
/// | the text of a short symbolic link freed as block numbers | e2tools 38, SerenityOS 1608 and 1647 | `shortLinkHasNoBlocks` |
/// | the padding of the last group's bitmap | tgoskits PR 408 | `lastGroupEnds` |
/// | a cached block that comes back after it was freed | tgoskits PR 1957 | `freedIsForgotten` |
/// | metadata lies where data is: "dirty metadata buffer" | go-diskfs 307 | `freedIsForgotten`, `pendingFrees` |
/// | garbage block numbers in the queue of writeback | Uros 384 | `pointersAreChecked`, `cookieComparison` |
/// | … tried again for ever | Uros 384, DragonOS 2047 | `failedPageWaits` |
/// | writeback after unlink meets a freed or reused inode | DragonOS 2047 and 2053 | `evictorFrees` |
/// | writes overtake what they depend on | lwext4 27 | `lateMetadataCopy`, `orderedFreesWait`, `ofDurability` |
/// | no sync at shutdown | axvisor PR 368 | `unmountWrites`, `syncFlushes` |
/// | a missing sync that only a caching device shows | littlefs 936 | `fsyncFlushes` |
/// | entries with the wrong type | SerenityOS PR 3348 | `entryHasType` |
/// | an index on the disk that changes leave behind | go-diskfs PR 309 | `changeEndsIndex` |
/// | O_TRUNC ignored | e2fsprogs 223 | `openTruncates` |
/// | a truncate that fails, or leaves old bytes | littlefs-fuse 2 | `tailIsZeroed` |
/// | a mount that failed and is there nevertheless | lwext4 51 | `failedMountLetsGo` |
/// | what was taken is not given back on an error | lwext4 93 (freed twice) | `failureGivesBack` |
/// | two mounts of one image | lkl PR 611 | `OpeningTests`, claims |
/// | crashes on damaged images | lwext4 89 to 93 | `BadImageTests`, `CheckCorpusTests`, `tools/fuzz` |
/// | a data cache without bound | tgoskits PR 408 | the arena of frames is made once: `ReadTests` of the page cache |
///
/// Without an equivalent here: a stale inode after a directory shrank (mystikos PR 516: directories do not shrink); a
/// superblock written in part (SerenityOS PR 1668: metadata is written by whole blocks); offsets inside extents
/// (containerization 441: ext2 has none).
struct HistoricalBug {
  static let mutants: [VolumeMutant] = [
    VolumeMutant(rule: .bitsCountFromFirstBlock, script: { try await $0.volume.unlink("a") }, isJudged: true),
    VolumeMutant(
      rule: .shortLinkHasNoBlocks,
      script: { rig in
        try await rig.volume.makeSymbolicLink("s", to: "text")
        try await rig.volume.unlink("s")
      }, isJudged: true),
    VolumeMutant(
      rule: .lastGroupEnds, script: fullVolume, options: .quiet.with { $0.allocation = .nextFit },
      image: { try withoutPadding(try VolumeMutant.cold()) }),
    VolumeMutant(
      rule: .pointersAreChecked,
      script: { rig in
        let file = try await rig.volume.open("a")
        let error = await errorOf { () async throws(Ext2Error) in try await file.read(at: 0, count: 1024) }
        try VolumeMutant.expect(error != nil, "a block of the volume's own was read as a file's")
      },
      image: {
        let image = try VolumeMutant.cold()
        return try Images.edited(image, ["sif a block[0] \(try bitmapBlock(of: image))"])
      }),
    VolumeMutant(
      rule: .changeEndsIndex,
      script: { rig in
        for index in 0..<8 { try await rig.volume.makeNode("new-\(index)", .fifo) }
      }, isJudged: true, image: { try HashIndexTests.indexed(blockSize: 1024) }),
    VolumeMutant(rule: .entryHasType, script: { try await $0.volume.makeDirectory("dir") }, isJudged: true),
    VolumeMutant(rule: .unmountWrites, script: { try await $0.volume.unlink("a") }, isJudged: true),
    VolumeMutant(
      rule: .openTruncates,
      script: { rig in
        let size = try await rig.volume.open("a", [.truncate]).status().byteCount
        try VolumeMutant.expect(size == 0, "the file has \(size) bytes")
      }),
  ]

  private static func bitmapBlock(of image: [UInt8]) throws -> Int {
    let text = try Images.output(of: "dumpe2fs", [], on: image)
    let words = text.split { !$0.isLetter && !$0.isNumber }
    let place = try #require(words.indices.first { words[$0] == "bitmap" && words[$0 + 1] == "at" })
    return try #require(Int(words[place + 2]))
  }

  /// The image with all bits clear that belong to no block.
  private static func withoutPadding(_ image: [UInt8]) throws -> [UInt8] {
    var image = image
    let start = try bitmapBlock(of: image) * 1024, blockCount = image.count / 1024 - 1
    image[start + blockCount / 8] &= UInt8(1 << (blockCount % 8) - 1)
    for byte in blockCount / 8 + 1..<1024 { image[start + byte] = 0 }
    return image
  }

  /// A volume is full up to its last block, and goes on from there.
  private static func fullVolume(_ rig: VolumeRig) async throws {
    let first = try await rig.volume.open("b", create: true), second = try await rig.volume.open("c", create: true)
    let third = try await rig.volume.open("d", create: true)
    _ = try await first.write(stamped(1, count: 200 * 1024), at: 0)
    _ = try await second.write(stamped(2, count: 1024 * 1024), at: 0)
    try await first.truncate(to: 0)
    try await rig.volume.synchronize()
    _ = try await third.write(stamped(3, count: 100 * 1024), at: 0)
    try await rig.volume.synchronize()
  }
}

@Suite("Bugs of others", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct HistoricalBugTests {
  /// Knows whether it was closed.
  private final class Closing: DeviceLayer, @unchecked Sendable {
    private let count: Tally
    init(_ inner: any BlockDevice, _ count: Tally) {
      self.count = count
      super.init(inner)
    }
    override func close() {
      count.count += 1
      super.close()
    }
  }

  private static func closings(switchedOff: SwitchedOffRules) throws -> Int {
    let closings = Tally(), reactor = SimulatedReactor(seed: 1)
    try reactor.run {
      let device = Closing(MemoryDevice(image: [UInt8](repeating: 0, count: 1 << 20)), closings)
      let options = VolumeOptions.quiet.with { $0.cache.switchedOff = switchedOff }
      await #expect(throws: Ext2Error.self) { try await Volume.mount(device, on: reactor, options: options) }
      await reactor.sleep(until: reactor.now.advanced(byNanoseconds: 1_000_000))
    }
    return closings.count
  }

  @Test("a mount that fails closes its device")
  func failedMount() throws {
    #expect(try Self.closings(switchedOff: []) == 1)
    let closings = try leaving("a device that nobody closes") {
      try Self.closings(switchedOff: .failedMountLetsGo)
    }
    #expect(closings == 0, "no test notices the mutant")
  }
}
