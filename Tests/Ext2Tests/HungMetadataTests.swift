import BlockDevice
import Ext2
import Ext2Tools
import PageCache
import Support
import Testing

@Suite("Metadata that hangs", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct HungMetadataTests {
  static let size = 1024

  @Test("reads of pointer blocks that hang take no slot from later walks")
  func hungWalks() throws {
    let image = try Images.prepared(try Images.empty(blockSize: Self.size)) { rig in
      for number in 0..<8 {
        let file = try await rig.volume.open("f\(number)", create: true)
        try await file.write(stamped(UInt8(number), count: 14 * Self.size), at: 0)
      }
    }
    let options = VolumeOptions.quiet.with { $0.queue.timeoutNanoseconds = 2_000_000 }
    for seed in UInt64(0)..<4 {
      let outcome = VolumeRig.run(image, seed: seed, options: options) { rig in
        var files: [File] = []
        for number in 0..<8 { files.append(try await rig.volume.open("f\(number)")) }
        await rig.hold { $0.operation == .read && !$0.isFileData && $0.owner != 0 }
        for file in files.prefix(7) {
          let error = await errorOf { () async throws(Ext2Error) in
            try await file.read(at: UInt64(13 * Self.size), count: 1)
          }
          guard case .device(.timedOut) = error else {
            Issue.record("the reader is told \(String(describing: error))")
            return
          }
        }
        await rig.treat { _ in .proceed }
        #expect(try await files[7].read(at: UInt64(13 * Self.size), count: 1).count == 1)
        await rig.serve()
        await rig.settle()
      }
      #expect(outcome.failures == [], "seed \(seed)")
    }
  }

  @Test("when every unwritten block hangs, whoever waits for a slot is told")
  func hungSlots() throws {
    let options = VolumeOptions.quiet.with {
      $0.metadataSlotCount = 48
      $0.queue.timeoutNanoseconds = 2_000_000
    }
    let image = try Images.empty(blockSize: Self.size)
    for seed in UInt64(0)..<4 {
      let outcome = VolumeRig.run(image, seed: seed, options: options) { rig in
        await rig.hold(\.isMetadataWrite)
        var error: Ext2Error?
        for number in 0..<45 where error == nil {
          error = await errorOf { () async throws(Ext2Error) in
            let file = try await rig.volume.open("f\(number)", create: true)
            try await file.write(stamped(1, count: 13 * Self.size), at: 0)
          }
        }
        #expect(error != nil, "there was room for all")
        await rig.serve()
        try await rig.until("there is room again") {
          await errorOf { () async throws(Ext2Error) in try await rig.volume.open("last", create: true) } == nil
        }
      }
      #expect(outcome.failures == [], "seed \(seed)")
    }
  }

  @Test("fdatasync of a file that left memory waits for its inode's write in flight")
  func inodeLeavesMemory() throws {
    let image = try Images.prepared(
      try Images.make(blockSize: Self.size, byteCount: 2048 * Self.size) {
        ($0.inodeCount, $0.reservedPercent) = (1200, 0)
      }
    ) { rig in
      for number in 0..<1100 { await (try rig.volume.open("f\(number)", create: true)).close() }
    }
    let options = VolumeOptions.quiet.with { $0.cache.backgroundByteCount = 0 }
    // One seed that holds no task back: the clock must not pass the time at which metadata is written anyway.
    try script(image, options, seeds: 0..<1) { rig in
      let file = try await rig.volume.open("f0")
      let number = try await file.status().inode
      try await file.write(stamped(1, count: 3 * Self.size), at: 0)
      await file.close()
      await rig.settle()
      // Inode tables are the volume's own; nothing else of that kind is dirty but bitmaps and descriptors.
      await rig.hold { $0.isMetadataWrite && $0.owner == 0 }
      async let sync: Void = rig.volume.synchronize()
      await rig.settle()
      #expect(await rig.heldCount > 0)
      for other in 1..<1100 { await (try rig.volume.open("f\(other)")).close() }
      let again = try await rig.volume.open("f0")
      #expect(try await again.status().inode == number)
      let ends = Tally()
      async let data: Void = {
        try await again.synchronizeData()
        ends.count += 1
      }()
      await rig.settle()
      #expect(ends.count == 0, "its inode is not on the disk yet")
      await rig.serve()
      try await data
      try await sync
    }
  }
}
