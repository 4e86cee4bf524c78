import BlockDevice
import Ext2
import Ext2Format
import PageCache
import Reactor
import Support
import Testing

@Suite("Mounts", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct MountTests {
  @Test("a volume is not clean on the disk while it is mounted, and clean afterwards", arguments: blockSizes)
  func stateFlags(blockSize: Int) throws {
    let image = try Images.empty(blockSize: blockSize)
    let before = try Superblocks.decoded(image)
    let outcome = VolumeRig.run(image) { rig in
      let mounted = try Superblocks.decoded(await rig.disk { $0.durableImage })
      #expect(!mounted.state.contains(.valid), "durably, before the first change")
      #expect(mounted.mountCount == before.mountCount + 1)
      #expect(mounted.mountTime == 1_767_225_600, "the virtual calendar")
      _ = try await rig.volume.open("a", create: true)
    }
    #expect(outcome.failures == [])
    #expect(Superblocks.isClean(outcome.image) == true)
    #expect(try Images.check(outcome.image) == nil)
    let listing = try Images.output(of: "dumpe2fs", ["-h"], on: outcome.image)
    #expect(listing.contains("Filesystem state:         clean\n"))
    #expect(listing.contains("Mount count:              \(before.mountCount + 1)\n"))
  }

  @Test("a volume that was not clean stays so")
  func notCleanStays() throws {
    let image = try Images.edited(try Images.empty(blockSize: 1024), ["set_super_value state 0"])
    let outcome = VolumeRig.run(image) { rig in _ = try await rig.volume.open("a", create: true) }
    #expect(outcome.failures == [] && outcome.unmountError == nil)
    #expect(Superblocks.isClean(outcome.image) == false)
  }

  @Test("thirty mounts in a row find what the ones before have left", arguments: blockSizes)
  func manyMounts(blockSize: Int) throws {
    var image = try Images.empty(blockSize: blockSize)
    for round in 0..<30 {
      let outcome = VolumeRig.run(image, seed: UInt64(round)) { rig in
        let file = try await rig.volume.open("a", create: true)
        let size = Int(try await file.status().byteCount)
        #expect(size == round * 700)
        for earlier in 0..<round {
          #expect(try await file.read(at: UInt64(earlier * 700), count: 700) == stamped(UInt8(earlier), count: 700))
        }
        try await file.append(stamped(UInt8(round), count: 700))
      }
      #expect(outcome.failures == [] && outcome.unmountError == nil)
      image = outcome.image
    }
    #expect(try Superblocks.decoded(image).mountCount == 30)
    #expect(try Images.check(image) == nil)
  }

  @Test("a read-only mount writes nothing, whatever it reads", arguments: blockSizes)
  func readOnly(blockSize: Int) throws {
    // One of the names belongs to an inode without links, which a mount for writing would evict.
    let made = try Images.prepared(try Images.empty(blockSize: blockSize)) { rig in
      let file = try await rig.volume.open("a", create: true)
      try await file.write(stamped(1, count: 30 * blockSize), at: 0)
      _ = try await rig.volume.open("orphan", create: true)
    }
    let image = try Images.edited(made, ["sif orphan links_count 0"])
    let writes = Tally()
    let outcome = VolumeRig.run(image, options: .quiet.with { $0.isReadOnly = true }) { rig in
      await rig.treat { request in
        if request.operation.isWrite { writes.count += 1 }
        return .proceed
      }
      let file = try await rig.volume.open("a")
      #expect(try await file.read(at: 0, count: 30 * blockSize) == stamped(1, count: 30 * blockSize))
      await (try rig.volume.open("orphan")).close()
      let errors = [
        await errorOf { () async throws(Ext2Error) in try await file.write([1], at: 0) },
        await errorOf { () async throws(Ext2Error) in try await file.truncate(to: 0) },
        await errorOf { () async throws(Ext2Error) in try await file.punch(0..<1) },
        await errorOf { () async throws(Ext2Error) in try await rig.volume.unlink("a") },
        await errorOf { () async throws(Ext2Error) in try await rig.volume.open("b", create: true) },
      ]
      for error in errors {
        guard case .readOnly = error else {
          Issue.record("not read-only: \(String(describing: error))")
          return
        }
      }
      try await file.synchronize()
      try await rig.volume.synchronize()
      await rig.pause(100_000_000_000)
    }
    #expect(outcome.failures == [] && outcome.unmountError == nil)
    #expect(outcome.image == image && writes.count == 0)
  }

  @Test("writing moves the modification time, reading does not, and the disk has it")
  func timestamps() throws {
    let outcome = VolumeRig.run(try Images.empty(blockSize: 1024)) { rig in
      let file = try await rig.volume.open("a", create: true)
      let made = try await file.status().modificationTime.seconds
      await rig.pause(5_000_000_000)
      try await file.write([1, 2, 3], at: 0)
      let written = try await file.status().modificationTime.seconds
      #expect(written >= made + 5)
      await rig.pause(5_000_000_000)
      _ = try await file.read(at: 0, count: 3)
      try await file.synchronize()
      #expect(try await file.status().modificationTime.seconds == written)
      try await file.truncate(to: 1)
      #expect(try await file.status().modificationTime.seconds >= written + 5)
    }
    #expect(outcome.failures == [])
    let listing = try Images.output(of: "debugfs", ["-R", "stat a"], on: outcome.image)
    #expect(listing.contains("mtime: 0x") && listing.contains("2026"))
  }

  @Test("deletion leaves an inode as the kernel does: a time, no links, no size")
  func deletion() throws {
    let outcome = VolumeRig.run(try Images.empty(blockSize: 1024)) { rig in
      let file = try await rig.volume.open("a", create: true)
      try await file.write(stamped(1, count: 30 * 1024), at: 0)
      try await rig.volume.unlink("a")
      await file.close()
    }
    #expect(outcome.failures == [])
    #expect(try Images.check(outcome.image) == nil)
    let listing = try Images.output(of: "debugfs", ["-R", "stat <12>"], on: outcome.image)
    #expect(listing.contains("dtime: 0x") && listing.contains("Links: 0"))
  }

  @Test("a metadata cache too small for the reserve and two operations is refused, and nothing is written")
  func tooSmallCache() throws {
    let attempt = try BadImageTests.mount(
      try Images.empty(blockSize: 1024), .quiet.with { $0.metadataSlotCount = 8 })
    #expect(attempt.error != nil && attempt.writes == 0)
  }
}
