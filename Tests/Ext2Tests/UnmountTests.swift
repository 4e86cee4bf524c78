import BlockDevice
import Ext2
import PageCache
import Reactor
import Support
import SystemPackage
import Testing

@Suite("Freeze and unmount", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct UnmountTests {
  static let size = 1024

  @Test(
    "freeze lets writers who wait for budget through, holds back the evictor, and nothing is written until the thaw")
  func freeze() throws {
    let options = VolumeOptions.quiet.with {
      $0.cache.cacheByteCount = 24 * Self.size
      $0.cache.dirtyLimitByteCount = 8 * Self.size
    }
    try script(try Images.empty(blockSize: Self.size), options) { rig in
      let crowd = try await rig.volume.open("crowd", create: true),
        gone = try await rig.volume.open("gone", create: true)
      try await gone.write(stamped(1, count: 3 * Self.size), at: 0)
      async let written = crowd.write(stamped(2, count: 60 * Self.size), at: 0)
      try await rig.until("the writer has begun") { (try? await crowd.status().byteCount) ?? 0 > 0 }
      try await rig.volume.freeze()
      #expect(try await written == 60 * Self.size, "it was inside the gate")
      let writes = Tally()
      await rig.treat { request in
        if request.operation.isWrite { writes.count += 1 }
        return .proceed
      }
      let free = await rig.volume.statistics.freeBlockCount
      async let late = crowd.append(stamped(3, count: Self.size))
      async let removal: Void = rig.volume.unlink("gone")
      await gone.close()
      #expect(try await crowd.read(at: 0, count: 60 * Self.size) == stamped(2, count: 60 * Self.size), "readers go on")
      await rig.pause(100_000_000_000)
      #expect(writes.count == 0, "a frozen volume is not written")
      #expect(await rig.volume.statistics.freeBlockCount == free)
      #expect(try Images.check(await rig.disk { $0.durableImage }) == nil)
      try await rig.volume.thaw()
      #expect(try await late == Self.size)
      try await removal
      try await rig.until("the file is evicted") { await rig.volume.statistics.freeBlockCount > free }
    }
  }

  @Test(
    "freeze waits for a writer who waits for budget, and does the work of the evictor and of access times, who wait for it"
  )
  func freezeAgainstAll() throws {
    let options = VolumeOptions.quiet.with {
      $0.cache.cacheByteCount = 24 * Self.size
      $0.cache.dirtyLimitByteCount = 8 * Self.size
      $0.accessTimes = .strict
    }
    let image = try Images.prepared(try Images.empty(blockSize: Self.size)) { rig in
      for name in ["gone", "before", "between", "late"] {
        let file = try await rig.volume.open(name, create: true)
        try await file.write(stamped(1, count: 3 * Self.size), at: 0)
      }
    }
    try script(image, options) { rig in
      let volume = rig.volume
      let gone = try await volume.open("gone"), crowd = try await volume.open("crowd", create: true)
      try await volume.unlink("gone")
      @Sendable func read(_ name: String) async throws -> Int64 {
        await rig.pause(60_000_000_000)
        let file = try await volume.open(name)
        _ = try await file.read(at: 0, count: 10)
        return try await file.status().accessTime.seconds
      }
      @Sendable func durable(_ name: String) async throws -> Int64? {
        let image = await rig.disk { $0.durableImage }
        return try AccessTimeTests.onDisk(name, image)
      }
      let writes = Tally(), frozen = Tally(), inodes = await volume.statistics.freeInodeCount
      await rig.hold { $0.isDataWrite }
      async let written = crowd.write(stamped(2, count: 60 * Self.size), at: 0)
      try await rig.untilHeld()
      let before = try await read("before")
      async let freezing: Void = {
        try await volume.freeze()
        frozen.count = 1
      }()
      // The evictor and the writer of access times come to the gate while the freeze waits.
      await gone.close()
      let between = try await read("between")
      await rig.pause(20_000_000_000)
      #expect(frozen.count == 0, "a writer is inside the gate")
      await rig.serve()
      try await freezing
      #expect(try await written == 60 * Self.size)
      #expect(try await durable("before") == before)
      #expect(try await durable("between") == between)
      let statistics = await volume.statistics
      #expect(statistics.freeInodeCount == inodes + 1, "the removed file is gone")
      await rig.treat { request in
        if request.operation.isWrite { writes.count += 1 }
        return .proceed
      }
      let late = try await read("late")
      let again = try await read("before")
      try await volume.synchronize()
      await rig.pause(100_000_000_000)
      #expect(writes.count == 0, "a frozen volume is not written")
      #expect(await volume.statistics == statistics)
      try await volume.thaw()
      try await volume.synchronize()
      #expect(try await durable("late") == late)
      #expect(try await durable("before") == again && again > before)
    }
  }

  @Test("an inode that waits for the evictor is evicted after the thaw")
  func evictorAndFreeze() throws {
    try script(try Images.empty(blockSize: Self.size)) { rig in
      let before = await rig.volume.statistics
      let file = try await rig.volume.open("a", create: true)
      try await file.write(stamped(1, count: 30 * Self.size), at: 0)
      try await rig.volume.unlink("a")
      try await rig.volume.freeze()
      await file.close()
      await rig.settle()
      #expect(await rig.volume.statistics.freeInodeCount == before.freeInodeCount - 1)
      try await rig.volume.thaw()
      try await rig.until("it is evicted") { await rig.volume.statistics == before }
    }
  }

  @Test("unmount of a frozen volume ends, and whoever waited for the thaw is told")
  func unmountFrozen() throws {
    try script(try Images.empty(blockSize: Self.size), seeds: 0..<16) { rig in
      let file = try await rig.volume.open("a", create: true)
      try await file.write(stamped(1, count: 3 * Self.size), at: 0)
      try await rig.volume.unlink("a")
      try await rig.volume.freeze()
      async let late = errorOf { () async throws(Ext2Error) in try await file.append([1]) }
      await rig.settle()
      await file.close()
      try await rig.volume.unmount()
      guard case .closed = await late else {
        Issue.record("a writer who waits is told that the volume is closed")
        return
      }
    }
  }

  @Test("unmount beside running calls ends, leaves a clean volume and closes the device")
  func unmountBesideCalls() throws {
    let image = try Images.prepared(try Images.empty(blockSize: Self.size)) { rig in
      for number in 0..<6 {
        let file = try await rig.volume.open("f\(number)", create: true)
        try await file.write(stamped(UInt8(number), count: 40 * Self.size), at: 0)
      }
    }
    try script(image, seeds: 0..<48) { rig in
      await withTaskGroup(of: Void.self) { group in
        for number in 0..<6 {
          group.addTask {
            guard let file = try? await rig.volume.open("f\(number)") else { return }
            await rig.pause(UInt64(number) * 7_000)
            switch number {
            case 0: _ = try? await file.read(at: 0, count: 40 * Self.size)
            case 1: _ = try? await file.append(stamped(9, count: 20 * Self.size))
            case 2: _ = try? await file.truncate(to: 0)
            case 3:
              try? await rig.volume.unlink("f3")
              _ = try? await file.read(at: 0, count: 40 * Self.size)
              await file.close()
            case 4: _ = try? await file.synchronize()
            default: _ = try? await rig.volume.freeze()
            }
          }
        }
        group.addTask {
          await rig.pause(UInt64(rig.reactor.steps % 60) * 1_000)
          await #expect(throws: Never.self) { try await rig.volume.unmount() }
        }
      }
      #expect(await rig.disk { $0.sink == nil }, "the queue let go of the device")
    }
  }

  @Test("unmount waits for reads ahead")
  func unmountWithReadsAhead() throws {
    let image = try Images.prepared(try Images.empty(blockSize: Self.size)) { rig in
      let file = try await rig.volume.open("a", create: true)
      try await file.write(stamped(1, count: 200 * Self.size), at: 0)
    }
    try script(image) { rig in
      let file = try await rig.volume.open("a")
      await rig.treat {
        $0.operation == .read && $0.isFileData && $0.byteRange.count > 20 * Self.size ? .delay(30_000_000) : .proceed
      }
      for page in 0..<12 { _ = try await file.read(at: UInt64(page * Self.size), count: Self.size) }
      try await rig.volume.unmount()
      #expect(await rig.disk { $0.sink == nil }, "the queue let go of the device")
    }
  }

  @Test("a write that ends long after unmount, when the volume is no more, harms nobody", arguments: [true, false])
  func lateEnd(isFailure: Bool) throws {
    let image = try Images.empty(blockSize: Self.size)
    let reactor = SimulatedReactor(seed: 1)
    let options = VolumeOptions.quiet.with { $0.queue.timeoutNanoseconds = 2_000_000 }
    try reactor.run {
      try await Self.leaveWritesBehind(image, reactor, options, isFailure: isFailure)
      await reactor.sleep(until: reactor.now.advanced(byNanoseconds: 1_000_000_000))
    }
  }

  private static func leaveWritesBehind(
    _ image: [UInt8], _ reactor: SimulatedReactor, _ options: VolumeOptions, isFailure: Bool
  ) async throws {
    let volume = try await Volume.mount(SimulatedDevice(reactor: reactor, image: image), on: reactor, options: options)
    let file = try await volume.open("a", create: true)
    try await file.write(stamped(1, count: 20 * Self.size), at: 0)
    await volume.withDevice { device in
      guard let disk = device as? SimulatedDevice else { return }
      disk.latency = 50_000_000...60_000_000
      disk.script = { _ in isFailure ? .fail(.ioError) : .proceed }
    }
    await #expect(throws: Ext2Error.self) { try await volume.unmount() }
  }

  @Test("after unmount every call says that the volume is closed")
  func closed() throws {
    try script(try Images.empty(blockSize: Self.size), seeds: 0..<2) { rig in
      let file = try await rig.volume.open("a", create: true)
      try await rig.volume.unmount()
      await #expect(throws: Ext2Error.self) { try await rig.volume.unmount() }
      await #expect(throws: Ext2Error.self) { try await rig.volume.open("a") }
      await #expect(throws: Ext2Error.self) { try await rig.volume.synchronize() }
      await #expect(throws: Ext2Error.self) { try await file.read(at: 0, count: 1) }
      await #expect(throws: Ext2Error.self) { try await file.write([1], at: 0) }
      await file.close()
    }
  }
}
