import BlockDevice
import Ext2
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
  static func run(_ operations: [TreeOperation], _ image: [UInt8], blockSize: Int, seed: UInt64) -> String? {
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
        try await TreeRun(
          blockSize: blockSize, reactor: reactor, options: options, 
          device: { SimulatedDevice(reactor: reactor, image: disk.image) },
          judge: { volume, _ in
            disk.image = await volume.withDevice { ($0 as? SimulatedDevice)?.durableImage ?? [] }
            if let complaint = try Images.check(disk.image) { throw TreeDifference(description: "e2fsck: \(complaint)") }
          }
        ).run(operations)
      }
      return nil
    } catch { return "\(error)" }
  }

  @Test(
    "a volume and a model agree after every operation, on every block size, and e2fsck has nothing to say",
    arguments: [1024, 2048, 4096, 8192, 16384, 32768, 65536])
  func simulated(blockSize: Int) throws {
    let count = blockSize <= 4096 ? 1200 : 500
    let image = try Images.make(
      blockSize: blockSize, byteCount: max(8 << 20, 512 * blockSize), options: ["-N", "2048", "-m", "0"])
    for seed in 0..<(blockSize <= 4096 ? 4 : 2) as Range<UInt64> {
      let operations = TreeGenerator.operations(seed: seed, blockSize: blockSize, count: count)
      guard let failure = Self.run(operations, image, blockSize: blockSize, seed: seed) else { continue }
      let shortest = shrink(operations) { Self.run($0, image, blockSize: blockSize, seed: seed) != nil }
      let why = Self.run(shortest, image, blockSize: blockSize, seed: seed) ?? failure
      let script = shortest.map(\.description).joined(separator: "\n")
      Issue.record("block size \(blockSize), seed \(seed): \(why)\nblkdev-run fs IMAGE - <<'END'\n\(script)\nEND")
    }
  }
}
