import BlockDevice
import Ext2
import Reactor
import Support
import Testing

@Suite("A volume of mke2fs", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct RoundTripTests {
  @Test(
    "what is written is read back, before and after a cold mount, and e2fsck is content", arguments: [1024, 2048, 4096])
  func roundTrip(blockSize: Int) throws {
    let image = try Images.make(blockSize: blockSize, byteCount: 16 << 20, options: [])
    let contents = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    let written = try SimulatedReactor.run(seed: 1) { reactor in
      let device = SimulatedDevice(reactor: reactor, image: image)
      let volume = try await Volume.mount(device, on: reactor)
      let file = try await volume.open("file", create: true)
      #expect(try await file.write(contents, at: 0) == contents.count)
      #expect(try await file.read(at: 0, count: contents.count) == contents)
      let other = try await volume.open("other", create: true)
      try await other.write([1, 2, 3], at: 5_000_000)
      try await other.truncate(to: 4_999_999)
      try await other.append([9])
      try await file.synchronize()
      #expect(try await volume.list().sorted() == ["file", "lost+found", "other"])
      try await volume.unmount()
      return await volume.withDevice { ($0 as? SimulatedDevice)?.durableImage ?? [] }
    }
    #expect(try Images.check(written) == nil)
    #expect(try Images.dump("file", of: written) == contents)
    try SimulatedReactor.run(seed: 2) { reactor in
      let volume = try await Volume.mount(SimulatedDevice(reactor: reactor, image: written), on: reactor)
      let file = try await volume.open("file")
      #expect(try await file.read(at: 0, count: contents.count + 10) == contents)
      let other = try await volume.open("other")
      #expect(try await other.read(at: 4_999_990, count: 100) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 9])
      try await volume.unlink("file")
      await file.close()
      try await volume.unmount()
    }
  }

  @Test("what a disk holds past the end of a file shows in no way when the file grows")
  func bytesPastEnd() throws {
    let image = try Images.prepared(try Images.empty(blockSize: 1024)) { rig in
      let names = ["up", "far", "near", "allocated"]
      for name in names {
        let file = try await rig.volume.open(name, create: true)
        try await file.write([UInt8](repeating: 7, count: 100), at: 0)
        try await file.synchronize()
        // A power cut leaves it there between the write of a page and that of its inode.
        let start = Int(try await file.extents()[0].diskBlock) * 1024
        await rig.disk { $0.corrupt([UInt8](repeating: 0xAA, count: 924), at: start + 100) }
      }
    }
    let outcome = VolumeRig.run(image) { rig in
      let up = try await rig.volume.open("up"), far = try await rig.volume.open("far")
      let near = try await rig.volume.open("near"), allocated = try await rig.volume.open("allocated")
      try await up.truncate(to: 600)
      try await far.write([9], at: 5_000)
      try await near.write([9], at: 600)
      try await allocated.fallocate([], 4_096..<8_192)
      for (file, count) in [(up, 500), (far, 4_900), (near, 500), (allocated, 8_092)] {
        let found = try await file.read(at: 100, count: count)
        #expect(found.count == count && found.allSatisfy { $0 == 0 })
      }
    }
    #expect(outcome.failures == [] && outcome.unmountError == nil)
    try SimulatedReactor.run(seed: 2) { reactor in
      let volume = try await Volume.mount(SimulatedDevice(reactor: reactor, image: outcome.image), on: reactor)
      for (name, count) in [("up", 500), ("far", 4_900), ("near", 500), ("allocated", 8_092)] {
        let file = try await volume.open(name)
        #expect(try await file.read(at: 100, count: count).allSatisfy { $0 == 0 })
        await file.close()
      }
      try await volume.unmount()
    }
  }
}
