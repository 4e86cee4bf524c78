import BlockDevice
import Ext2
import Ext2Format
import FaultLab
import Reactor
import Support
import Testing
import Workload

#if canImport(Glibc)
  import Glibc
#endif

@Suite("Random operations on a tree", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct TreeRunTests {
  /// What the disk of a run holds: what one mount left is what the next one finds.
  private final class Disk {
    var image: [UInt8]
    init(_ image: [UInt8]) { self.image = image }
  }

  /// Runs operations on a simulated volume. Returns what went wrong.
  static func run(
    _ operations: [TreeOperation], _ image: [UInt8], blockSize: Int, seed: UInt64, judges: Bool = true
  ) -> String? {
    let reactor = SimulatedReactor(seed: seed)
    reactor.stepLimit = 20_000_000
    do {
      try reactor.run {
        let disk = Disk(image)
        var options = VolumeOptions.quiet
        options.metadataSlotCount = seed % 2 == 0 ? 64 : 2048
        options.frees = seed % 3 == 0 ? .ordered : .plain
        options.discards = seed % 5 == 0
        // Now and then an index that has no room, and one that is dropped again and again.
        options.nameIndexByteLimit = [64 << 20, 0, 2048][Int(seed % 3)]
        options.idleInodeLimit = [1024, 0, 3][Int(seed / 3 % 3)]
        try await TreeRun(
          blockSize: blockSize, reactor: reactor, options: options,
          device: { SimulatedDevice(reactor: reactor, image: disk.image) },
          judge: { volume, model in
            disk.image = await volume.withDevice { ($0 as? SimulatedDevice)?.durableImage ?? [] }
            if judges { try Self.judge(disk.image, model) }
          }
        ).run(operations)
      }
      return nil
    } catch { return "\(error)" }
  }

  /// e2fsck, debugfs and, where it can mount such blocks, the kernel.
  static func judge(_ image: [UInt8], _ model: TreeModel) throws {
    if let complaint = try Images.check(image) { throw TreeDifference(description: "e2fsck: \(complaint)") }
    let comparison = HostTreeComparison(model: model, hasNanoseconds: image[1024 + 88] != 128)
    try comparison.compareWithDebugfs(image)
    if model.blockSize <= 4096 && Kernel.obstacle == nil {
      try Kernel.mounted(image, options: "loop,ro") { try comparison.compare(mountedAt: $0) }
    }
  }

  @Test(
    "a volume and a model agree after every operation, on every block size, and so do e2fsck, debugfs and the kernel",
    arguments: [1024, 2048, 4096, 8192, 16384, 32768, 65536])
  func simulated(blockSize: Int) throws {
    let count = blockSize <= 4096 ? 600 : 300
    for seed in 0..<(blockSize <= 4096 ? 4 : 2) as Range<UInt64> {
      let image = try Images.make(
        blockSize: blockSize, byteCount: max(8 << 20, 512 * blockSize),
        options: ["-N", "2048", "-m", "0"] + Self.shapes[(Int(seed) + blockSize.trailingZeroBitCount) % 4])
      check(blockSize, count, image, seed: seed)
    }
  }

  /// Options of mke2fs: a volume of each kind. Of the larger block sizes, each takes two of them, and all together all.
  private static let shapes = [
    [], ["-I", "128"], ["-r", "0"], ["-I", "512", "-O", "^filetype,^sparse_super,^resize_inode"],
  ]

  /// Options of mke2fs that make groups of 256 blocks of 1 KiB: 41 of them, of which the last is shorter. Two blocks hold
  /// their descriptors: beside each other, or with meta_bg in groups of their own.
  private static let manyGroups = [
    ["-O", "^resize_inode"], ["-O", "meta_bg,^resize_inode"], ["-O", "meta_bg,^resize_inode,^sparse_super"],
    ["-r", "0"],
  ]

  @Test("so they do on a volume of many groups, the last one shorter, with and without meta_bg", arguments: manyGroups)
  func shortLastGroup(options: [String]) throws {
    let image = try Images.make(
      blockSize: 1024, byteCount: (40 * 256 + 152) * 1024, options: ["-g", "256", "-N", "2048", "-m", "0"] + options)
    let superblock = try Superblock(decoding: unsafe image.span.bytes, at: 1024)
    let layout = try superblock.validate(deviceByteCount: UInt64(image.count))
    #expect(layout.groupCount == 41 && layout.descriptorBlockCount == 2)
    #expect(layout.blockCount(of: layout.group(40)) == 151 && layout.firstDataBlock == BlockNumber(rawValue: 1))
    #expect(superblock.incompatible.contains(.metaBlockGroups) == options.contains { $0.contains("meta_bg") })
    #expect(superblock.revision == (options.contains("-r") ? 0 : 1))
    for seed in 200..<202 as Range<UInt64> { check(1024, 600, image, seed: seed) }
  }

  @Test("so they do on a volume that is full again and again", arguments: [1024, 4096, 65536])
  func nearlyFull(blockSize: Int) throws {
    for seed in 100..<103 as Range<UInt64> {
      let image = try Images.make(
        blockSize: blockSize, byteCount: (blockSize == 1024 ? 400 : 100) * blockSize, options: ["-N", "64", "-m", "0"])
      check(blockSize, 400, image, seed: seed)
    }
  }

  /// Records the shortest failing script of a run that fails.
  private func check(_ blockSize: Int, _ count: Int, _ image: [UInt8], seed: UInt64) {
    let operations = TreeGenerator.operations(seed: seed, blockSize: blockSize, count: count)
    guard let failure = Self.run(operations, image, blockSize: blockSize, seed: seed) else { return }
    let shortest = shrink(operations) { Self.run($0, image, blockSize: blockSize, seed: seed) != nil }
    let why = Self.run(shortest, image, blockSize: blockSize, seed: seed) ?? failure
    let script = shortest.map(\.description).joined(separator: "\n")
    Issue.record("block size \(blockSize), seed \(seed): \(why)\nblkdev-run fs IMAGE - <<'END'\n\(script)\nEND")
  }

  @Test(
    "the kernel is one of the judges, and notices a file that should be there",
    .enabled(if: Kernel.obstacle == nil, "\(Kernel.obstacle ?? "")"))
  func kernelJudges() throws {
    let model = TreeModel(blockSize: 1024), image = try Images.empty(blockSize: 1024)
    try Self.judge(image, model)
    try model.apply(.makeFile(Array("/f".utf8), permissions: 0o644))
    let comparison = HostTreeComparison(model: model, hasNanoseconds: true)
    #expect(throws: TreeDifference.self) {
      try Kernel.mounted(image, options: "loop,ro") { try comparison.compare(mountedAt: $0) }
    }
  }

  @Test("so they do on a real device and thread", arguments: [1024, 4096, 16384])
  func realDevice(blockSize: Int) async throws {
    let image = try Images.make(
      blockSize: blockSize, byteCount: max(8 << 20, 512 * blockSize), options: ["-N", "2048", "-m", "0"])
    let operations = TreeGenerator.operations(seed: 7, blockSize: blockSize, count: 1000)
    let path = try TemporaryFile.make(image)
    defer { TemporaryFile.remove(path) }
    let options = VolumeOptions.quiet
    try await TreeRun(
      blockSize: blockSize, reactor: ThreadReactor(), options: options, device: { try FileDevice(path: path) },
      judge: { _, model in try Self.judge(try TemporaryFile.read(path), model) }
    ).run(operations)
  }
}
