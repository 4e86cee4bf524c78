import BlockDevice
import Ext2
import Ext2Format
import PageCache
import Reactor
import Support
import Testing

/// Changes a few fields of an image's metadata, by seed.
struct ImageMutation {
  /// Where metadata lies: ranges of bytes.
  let targets: [Range<Int>]
  let blockCount: UInt32

  /// The metadata of the volume that `BadImageTests.tree` makes.
  init(_ image: [UInt8]) throws {
    let layout = try Superblocks.decoded(image).validate(deviceByteCount: UInt64(image.count))
    let descriptor = try unsafe GroupDescriptor(decoding: image.span.bytes, at: 2048)
    func block(_ number: UInt32) -> Range<Int> { Int(number) * 1024..<Int(number) * 1024 + 1024 }
    func inode(_ number: UInt32) -> Range<Int> {
      let (block, offset) = layout.location(of: InodeNumber(rawValue: number), descriptor: descriptor)
      let start = Int(block.rawValue) * 1024 + offset
      return start..<start + 128
    }
    var targets = [1024..<1400, 1024..<1130, 2048..<2080, inode(2), inode(12), inode(13), inode(13), inode(15)]
    targets += [block(descriptor.blockBitmap.rawValue), block(descriptor.inodeBitmap.rawValue)]
    for name in ["a", "b"] {
      for pointer in try BadImageTests.pointers(of: name, image).suffix(3) where pointer != 0 {
        targets.append(block(pointer))
        targets.append(block(pointer).prefix(32).startIndex..<block(pointer).lowerBound + 32)
      }
    }
    targets.append(
      block(try BadImageTests.pointers(of: "d", image)[0]).lowerBound..<block(
        try BadImageTests.pointers(of: "d", image)[0]
      ).lowerBound + 64)
    self.targets = targets
    blockCount = layout.blockCount
  }

  func apply(to image: [UInt8], seed: UInt64) -> [UInt8] {
    var random = SeededGenerator(seed: seed), image = image
    for _ in 0..<1 + random.below(3) {
      let target = targets[random.below(targets.count)]
      let width = [1, 2, 4, 4, 4][random.below(5)]
      let offset = (target.lowerBound + random.below(target.count)) / width * width
      let value: UInt64 =
        switch random.below(6) {
        case 0: 0
        case 1: .max
        case 2: UInt64(random.below(Int(blockCount)))
        case 3: UInt64(random.below(20))
        case 4: 1 << UInt64(random.below(32))
        default: random.next()
        }
      for byte in 0..<width where offset + byte < image.count {
        image[offset + byte] = UInt8(truncatingIfNeeded: value >> UInt64(8 * byte))
      }
    }
    return image
  }
}

@Suite("Seeded mutations of an image", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct MutationTests {
  struct Outcome: Sendable {
    var isMounted = false
    var writes = 0
    var failure: String?
  }

  static func run(_ image: [UInt8], seed: UInt64) -> Outcome {
    let reactor = SimulatedReactor(seed: seed)
    reactor.stepLimit = 200_000
    let tally = Tally()
    do {
      return try reactor.run {
        let device = SimulatedDevice(reactor: reactor, image: image, keepsDurable: false)
        device.script = { request in
          if request.operation.isWrite { tally.count += 1 }
          return .proceed
        }
        let volume: Volume
        do { volume = try await Volume.mount(device, on: reactor, options: .quiet) } catch {
          return Outcome(writes: tally.count)
        }
        await use(volume)
        try? await volume.unmount()
        return Outcome(isMounted: true, writes: tally.count)
      }
    } catch { return Outcome(isMounted: true, failure: "\(error)") }
  }

  /// All kinds of operations, some at once, whatever they say.
  static func use(_ volume: Volume) async {
    _ = try? await volume.list()
    _ = try? await volume.list("d")
    await withTaskGroup(of: Void.self) { group in
      for name in ["a", "b", "d/inner", "d/new", "new"] {
        group.addTask {
          guard let file = try? await volume.open(name, create: name.hasSuffix("new")) else { return }
          for block in [0, 12, 300, 12 + 256 + 65536 + 5] {
            _ = try? await file.read(at: UInt64(block * 1024), count: 9000)
            _ = try? await file.write(stamped(7, count: 1500), at: UInt64(block * 1024 + 100))
          }
          _ = try? await file.append(stamped(8, count: 20_000))
          _ = try? await file.extents()
          try? await file.synchronize()
          try? await file.punch(5000..<400_000)
          try? await file.truncate(to: 14_000)
          _ = try? await file.append(stamped(9, count: 5000))
          try? await volume.unlink(name)
          await file.close()
        }
      }
    }
    try? await volume.synchronize()
  }

  @Test(
    "mutated images are refused unwritten, or give errors: never a trap, a hang, or an endless loop", arguments: 0..<8)
  func mutated(part: Int) throws {
    let image = try BadImageTests.tree()
    let mutation = try ImageMutation(image)
    var mounted = 0
    for seed in UInt64(part * 60)..<UInt64(part * 60 + 60) {
      let outcome = Self.run(mutation.apply(to: image, seed: seed), seed: seed)
      #expect(outcome.failure == nil, "seed \(seed)")
      #expect(outcome.isMounted || outcome.writes == 0, "seed \(seed): refused, but written")
      mounted += outcome.isMounted ? 1 : 0
    }
    #expect(mounted > 10, "most mutations leave an image that can be mounted")
  }
}
