import BlockDevice
import Ext2
import Ext2Tools
import Reactor
import Support
import Testing

@Suite("Access times", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct AccessTimeTests {
  static let size = 1024
  static let second: UInt64 = 1_000_000_000
  static let day: UInt64 = 86_400 * second

  static func options(_ policy: AccessTimePolicy) -> VolumeOptions { .quiet.with { $0.accessTimes = policy } }

  /// A volume with a file "a" that was changed a minute before the volume was unmounted.
  static func image(inodeSize: Int = 256) throws -> [UInt8] {
    try Images.prepared(try Images.empty(blockSize: size) { $0.inodeSize = inodeSize }) { rig in
      let file = try await rig.volume.open("a", create: true)
      try await file.write(stamped(1, count: 3 * size), at: 0)
    }
  }

  /// When a file was last read, as debugfs finds it on an image: seconds since 1970.
  static func onDisk(_ name: String, _ image: [UInt8]) throws -> Int64? {
    let listing = try Images.output(of: "debugfs", ["-R", "stat \(name)"], on: image)
    guard let line = listing.split(separator: "\n").first(where: { $0.contains("atime: 0x") }),
      let word = line.split(separator: "x").dropFirst().first
    else { return nil }
    return Int64(word.prefix { $0.isHexDigit }, radix: 16)
  }

  @Test("a read moves the time as the policy says, and sync and unmount write it", arguments: [128, 256])
  func policies(inodeSize: Int) throws {
    let image = try Self.image(inodeSize: inodeSize)
    let before = try #require(try Self.onDisk("a", image))
    for policy in AccessTimePolicy.allCases {
      try script(image, Self.options(policy), seeds: 0..<3) { rig in
        let file = try await rig.volume.open("a")
        #expect(try await file.status().accessTime.seconds == before, "\(policy)")
        await rig.pause(60 * Self.second)
        _ = try await file.read(at: 0, count: 10)
        let first = try await file.status().accessTime.seconds
        #expect(first >= before + 60 || policy == .none, "\(policy)")
        await rig.pause(60 * Self.second)
        // Past the end, which reads nothing but is a read.
        _ = try await file.read(at: 1 << 20, count: 10)
        let second = try await file.status().accessTime.seconds
        #expect(policy == .strict ? second >= first + 60 : second == first, "\(policy)")
        try await rig.volume.synchronize()
        let durable = await rig.disk { $0.durableImage }
        #expect(try Self.onDisk("a", durable) == second, "\(policy)")
        await rig.pause(Self.day)
        _ = try await file.read(at: 0, count: 10)
        let third = try await file.status().accessTime.seconds
        #expect(policy == .none ? third == before : third >= second + 86_400, "\(policy)")
      }
      let last = Tally()
      let outcome = VolumeRig.run(image, options: Self.options(policy)) { rig in
        await rig.pause(60 * Self.second)
        let file = try await rig.volume.open("a")
        _ = try await file.read(at: 0, count: 10)
        last.count = Int(try await file.status().accessTime.seconds)
        await file.close()
      }
      #expect(outcome.failures == [] && outcome.unmountError == nil)
      #expect(try Self.onDisk("a", outcome.image) == Int64(last.count), "\(policy), after unmount")
    }
  }

  @Test("with the relative policy a read after a change moves the time, and none after that")
  func afterChange() throws {
    try script(try Self.image(), seeds: 0..<3) { rig in
      let file = try await rig.volume.open("a")
      for _ in 0..<3 {
        await rig.pause(60 * Self.second)
        try await file.write([1], at: 7)
        let written = try await file.status()
        #expect(written.accessTime.seconds < written.modificationTime.seconds)
        await rig.pause(60 * Self.second)
        _ = try await file.read(at: 0, count: 10)
        let read = try await file.status().accessTime.seconds
        #expect(read >= written.modificationTime.seconds + 60)
        await rig.pause(60 * Self.second)
        _ = try await file.read(at: 0, count: 10)
        #expect(try await file.status().accessTime.seconds == read)
      }
    }
  }

  @Test("fsync writes the time, fdatasync does not, and without either it is written before long")
  func whenWritten() throws {
    try script(try Self.image(), Self.options(.strict), seeds: 0..<4) { rig in
      let file = try await rig.volume.open("a")
      let old = try await file.status().accessTime.seconds
      @Sendable func durable() async throws -> Int64? {
        let image = await rig.disk { $0.durableImage }
        return try Self.onDisk("a", image)
      }
      await rig.pause(60 * Self.second)
      _ = try await file.read(at: 0, count: 10)
      try await file.synchronizeData()
      #expect(try await durable() == old)
      try await file.synchronize()
      let first = try await file.status().accessTime.seconds
      #expect(try await durable() == first && first > old)
      await rig.pause(60 * Self.second)
      _ = try await file.read(at: 0, count: 10)
      // The inode table, then its block; fdatasync adds the flush and nothing else.
      await rig.pause(40 * Self.second)
      try await file.synchronizeData()
      let second = try await file.status().accessTime.seconds
      #expect(try await durable() == second && second > first)
    }
  }

  @Test("what nobody wants to know is not written: no read, a file that asks for none, a mount for reading")
  func notWritten() throws {
    let plain = try Self.image()
    let flagged = try Images.edited(plain, ["sif a flags 0x80"])
    let mounts = [
      (flagged, Self.options(.strict)), (plain, Self.options(.none)),
      (plain, Self.options(.strict).with { $0.isReadOnly = true }),
    ]
    for (image, options) in mounts {
      let outcome = VolumeRig.run(image, options: options) { rig in
        let file = try await rig.volume.open("a")
        try await rig.volume.synchronize()
        let writes = Tally()
        await rig.treat { request in
          if request.operation.isWrite { writes.count += 1 }
          return .proceed
        }
        let before = try await file.status().accessTime.seconds
        await rig.pause(60 * Self.second)
        _ = try await file.read(at: 0, count: 10)
        await rig.pause(100 * Self.second)
        #expect(try await file.status().accessTime.seconds == before)
        #expect(writes.count == 0)
      }
      #expect(outcome.failures == [] && outcome.unmountError == nil)
    }
    try script(try Self.image(), Self.options(.strict), seeds: 0..<2) { rig in
      let file = try await rig.volume.open("a")
      let before = try await file.status().accessTime.seconds
      await rig.pause(60 * Self.second)
      _ = try await file.read(at: 0, count: 0)
      #expect(try await file.status().accessTime.seconds == before, "nothing was asked for")
    }
  }

  @Test("the time of a removed file goes with it, and is not the next one's that has its number")
  func removed() throws {
    try script(try Self.image(), Self.options(.strict)) { rig in
      let old = try await rig.volume.open("a")
      let number = try await old.status().inode
      await rig.pause(60 * Self.second)
      _ = try await old.read(at: 0, count: 10)
      try await rig.volume.unlink("a")
      _ = try await old.read(at: 0, count: 10)
      let before = await rig.volume.statistics.freeInodeCount
      await old.close()
      try await rig.until("it is evicted") { await rig.volume.statistics.freeInodeCount > before }
      let new = try await rig.volume.open("b", create: true)
      let status = try await new.status()
      #expect(status.inode == number)
      await rig.pause(60 * Self.second)
      try await rig.volume.synchronize()
      #expect(try await new.status() == status)
      let durable = await rig.disk { $0.durableImage }
      #expect(try Self.onDisk("b", durable) == status.accessTime.seconds)
    }
  }

  @Test("of more inodes than idle ones stay in memory, each has its time, also when a freeze was in between")
  func manyInodes() throws {
    let count = 1200
    let empty = try Images.make(blockSize: Self.size, byteCount: 4 << 20) {
      ($0.inodeCount, $0.reservedPercent) = (2048, 0)
    }
    let image = try Images.prepared(empty) { rig in
      for number in 0..<count { await (try rig.volume.open("f\(number)", create: true)).close() }
    }
    for isFrozen in [false, true] {
      let started = Tally()
      let outcome = VolumeRig.run(image, options: Self.options(.strict), stepLimit: 20_000_000) { rig in
        await rig.pause(3600 * Self.second)
        started.count = Int(rig.reactor.calendarTime.seconds)
        if isFrozen { try await rig.volume.freeze() }
        for number in 0..<count {
          let file = try await rig.volume.open("f\(number)")
          _ = try await file.read(at: 0, count: 1)
          await file.close()
        }
        if isFrozen { try await rig.volume.thaw() }
      }
      #expect(outcome.failures == [] && outcome.unmountError == nil)
      #expect(try Images.check(outcome.image) == nil)
      let cold = VolumeRig.run(outcome.image, options: .quiet.with { $0.isReadOnly = true }, stepLimit: 20_000_000) {
        rig in
        for number in 0..<count {
          let status = try await (try await rig.volume.open("f\(number)")).status()
          #expect(status.accessTime.seconds >= Int64(started.count), "f\(number), frozen: \(isFrozen)")
        }
      }
      #expect(cold.failures == [])
    }
  }

  @Test("times that cannot be written are dropped after one deadline, and neither sync nor unmount fails for them")
  func tableCannotBeRead() throws {
    // Five blocks of the table, and more pointer blocks than the metadata cache has places.
    let count = 20, span = 256 * Self.size
    let image = try Images.prepared(try Images.empty(blockSize: Self.size)) { rig in
      for number in 0..<count { await (try rig.volume.open("f\(number)", create: true)).close() }
      let wide = try await rig.volume.open("wide", create: true)
      for index in 1...150 { try await wide.write([1], at: UInt64(index * span)) }
    }
    let options = Self.options(.strict).with {
      $0.metadataSlotCount = 64
      $0.queue.timeoutNanoseconds = 30 * Self.second
    }
    try script(image, options, seeds: 0..<4) { rig in
      var files: [File] = []
      for number in 0..<count { files.append(try await rig.volume.open("f\(number)")) }
      let wide = try await rig.volume.open("wide")
      for index in 1...150 { _ = try await wide.read(at: UInt64(index * span), count: 1) }
      await rig.hold { $0.operation == .read }
      // They are empty, so that this reads nothing from the disk.
      for file in files { _ = try await file.read(at: 0, count: 1) }
      let start = rig.reactor.now
      async let syncing: Void = rig.volume.synchronize()
      try await rig.untilHeld()
      try await syncing
      #expect(rig.reactor.now.nanoseconds(since: start) < 2 * 30 * Self.second)
      await rig.serve()
      await rig.pause(Self.second)
      // What is noted from now on is written again.
      _ = try await wide.read(at: 0, count: 1)
      try await wide.synchronize()
      let durable = await rig.disk { $0.durableImage }
      let last = try await wide.status().accessTime.seconds
      #expect(try Self.onDisk("wide", durable) == last)
    }
  }

  @Test(
    "the kernel sees the time we write, and we the kernel's",
    .enabled(if: Kernel.obstacle == nil, "\(Kernel.obstacle ?? "")"))
  func kernel() throws {
    let noted = Tally()
    let outcome = VolumeRig.run(try Self.image()) { rig in
      await rig.pause(3600 * Self.second)
      let file = try await rig.volume.open("a")
      _ = try await file.read(at: 0, count: 10)
      noted.count = Int(try await file.status().accessTime.seconds)
    }
    #expect(outcome.failures == [] && outcome.unmountError == nil)
    let image = try Kernel.mounted(outcome.image) { folder in
      #expect(try Kernel.run("stat", ["-c", "%X", "\(folder)/a"]) == "\(noted.count)\n")
      try Kernel.run("touch", ["-a", "-d", "@1234567890", "\(folder)/a"])
    }
    try script(image, seeds: 0..<1) { rig in
      let file = try await rig.volume.open("a")
      #expect(try await file.status().accessTime.seconds == 1_234_567_890)
    }
  }
}
