import BlockDevice
import Ext2
import Ext2Format
import Ext2Tools
import Reactor
import Support
import Testing

@Suite(
  "A volume of as many blocks as there can be",
  .enabled(if: TemporaryFile.freeByteCount > 2 << 30, "1.1 GiB of room for temporary files are needed"))
struct LargestVolumeTests {
  /// A seed that has the first directory below the root put into the last group, which has as much room as others.
  private static func seed(groupCount: UInt32) -> UInt64 {
    (0..<UInt64.max).lazy.first { seed in
      var generator = SeededGenerator(seed: seed)
      return generator.next() % UInt64(groupCount) == UInt64(groupCount - 1)
    } ?? 0
  }

  @Test("is mounted, written in its last group, and clean, and little of it is in memory")
  func lastGroup() async throws {
    let blockCount = UInt64(UInt32.max), blockSize: UInt64 = 4096
    let path = try TemporaryFile.make([])
    defer { TemporaryFile.remove(path) }
    let uuid = try #require(VolumeUUID("4d2c2a1e-0000-4000-8000-000000000001"))
    var options = MakeOptions(byteCount: blockCount * blockSize, uuid: uuid, hashSeed: uuid, seconds: 1_767_225_600)
    (options.blockSize, options.inodeSize, options.inodeCount) = (Int(blockSize), 128, 1_000_000)
    do {
      let file = try FileBytes(path: path, isWritable: true)
      try file.grow(to: blockCount * blockSize)
      try VolumePlan(options).write(to: file, isZeroed: true)
    }
    let groupCount = UInt32((blockCount + 32767) / 32768)
    let reactor = ThreadReactor()
    let volume = try await Volume.mount(
      try FileDevice(path: path), on: reactor, options: .quiet.with { $0.seed = Self.seed(groupCount: groupCount) })
    let (superblock, layout) = try await volume.superblock()
    #expect(superblock.blockCount == UInt32.max && layout.groupCount == groupCount)
    let mounting = await volume.counters.device.reads
    #expect(mounting <= UInt64(layout.descriptorBlockCount) + 8)

    try await volume.makeDirectory("d")
    let file = try await volume.open("d/f", create: true)
    let bytes = stamped(5, count: 300_000)
    try await file.write(bytes, at: 0)
    try await file.synchronize()
    for extent in try await file.extents() {
      let group = layout.group(of: BlockNumber(rawValue: UInt32(extent.diskBlock)))
      #expect(group == layout.group(Int(groupCount) - 1))
    }
    let reads = await volume.counters.device.reads - mounting
    #expect(reads < 16)
    let held = await volume.metadataBlocksInMemory
    #expect(held <= layout.descriptorBlockCount + 32, "\(held) blocks")
    await file.close()
    try await volume.unmount()

    let again = try await Volume.mount(try FileDevice(path: path), on: reactor, options: .quiet)
    let found = try await again.open("d/f")
    #expect(try await found.read(at: 0, count: 400_000) == bytes)
    await found.close()
    try await again.unmount()
    let report = try VolumeChecker().check(try FileBytes(path: path))
    #expect(report.isClean, "\(report.findings)")
  }
}
