internal import BlockDevice
internal import Reactor
internal import SystemPackage
internal import Testing

@Suite("The simulated disk, and memory as a device")
struct SimulatedDeviceTests {
  @Test("a flush makes durable what completed before it was submitted, and nothing else")
  func epochs() throws {
    try simulate { stage in
      let queue = stage.queue
      let ones = [UInt8](repeating: 1, count: 512), twos = [UInt8](repeating: 2, count: 512)
      try await queue.write(Buffer(ones), at: 0)
      #expect(stage.disk.durableBytes(in: 0..<512) != ones)
      stage.disk.script = { $0.operation == .flush ? .hold : .proceed }
      stage.submit(.flush, at: 0)
      while stage.disk.heldCount == 0 {
        await stage.reactor.sleep(until: stage.reactor.now.advanced(byNanoseconds: 100))
      }
      try await queue.write(Buffer(twos), at: 512)
      stage.disk.release()
      await stage.drain()
      #expect(stage.disk.durableBytes(in: 0..<512) == ones)
      #expect(stage.disk.durableBytes(in: 512..<1024) == [UInt8](repeating: 0, count: 512))
      #expect(stage.disk.bytes(in: 512..<1024) == twos)
      stage.disk.script = nil
      try await queue.flush()
      #expect(stage.disk.durableImage == stage.disk.image)
    }
  }

  @Test("a flush that fails makes nothing durable")
  func failedFlush() throws {
    try simulate { stage in
      try await stage.queue.write(Buffer([UInt8](repeating: 1, count: 512)), at: 0)
      stage.disk.script = { _ in .fail(.ioError) }
      await #expect(throws: DeviceError.io(.flush, offset: 0, .ioError)) { try await stage.queue.flush() }
      #expect(stage.disk.durableBytes(in: 0..<512) == [UInt8](repeating: 0, count: 512))
    }
  }

  @Test("forced unit access is durable at completion, and an older write flushed later does not undo it")
  func forcedUnitAccess() throws {
    try simulate { stage in
      let queue = stage.queue
      let ones = [UInt8](repeating: 1, count: 512), twos = [UInt8](repeating: 2, count: 512)
      try await queue.write(Buffer(ones), at: 0)
      try await queue.write(Buffer(twos), at: 0, isFUA: true)
      #expect(stage.disk.durableBytes(in: 0..<512) == twos)
      try await queue.flush()
      #expect(stage.disk.durableBytes(in: 0..<512) == twos)
    }
  }

  /// Tasks that read and write blocks of their own, which lie side by side with those of the others, checked against
  /// what each wrote; transfers are short at times.
  private func randomRun(seed: UInt64) throws -> UInt64 {
    let tasks = 6, rounds = 24, blocks = 96
    let reactor = SimulatedReactor(seed: seed)
    try reactor.run {
      let device = SimulatedDevice(
        reactor: reactor, geometry: Geometry(byteCount: UInt64(blocks) * 512, maximumTransfer: 4096))
      device.script = { request in
        guard request.operation == .read || request.operation == .write, reactor.random.oneIn(6) else {
          return .proceed
        }
        return .short(512 + reactor.random.below(2048))
      }
      let stage = try Stage(reactor, device, .sized(tags: 3, places: 8))
      let model = Model(blocks)
      try await stage.concurrently(tasks) { stage, task in
        var random = SeededGenerator(seed: seed).split(UInt64(task))
        for _ in 0..<rounds {
          let block = random.below(blocks / tasks) * tasks + task
          let offset = UInt64(block) * 512
          switch random.below(8) {
          case 0..<4:
            let value = UInt8(truncatingIfNeeded: random.next())
            try await stage.queue.write(Buffer([UInt8](repeating: value, count: 512)), at: offset)
            model.values[block] = value
          case 4:
            try await stage.queue.discard(at: offset, byteCount: 512)
            model.values[block] = 0
          case 5: try await stage.queue.flush()
          default:
            let buffer = Buffer(byteCount: 512)
            try await stage.queue.read(buffer, at: offset)
            #expect(buffer.bytes == [UInt8](repeating: model.values[block], count: 512), "seed \(seed)")
          }
        }
      }
      try await stage.play { stage in
        try await stage.queue.flush()
        let image = model.values.flatMap { [UInt8](repeating: $0, count: 512) }
        #expect(stage.disk.image == image, "seed \(seed)")
        #expect(stage.disk.durableImage == image, "seed \(seed)")
        #expect(stage.queue.outstandingCount == 0)
        stage.queue.close()
      }
    }
    return reactor.trace
  }
  /// Confined to the simulation's thread.
  private final class Model: @unchecked Sendable {
    var values: [UInt8]
    init(_ count: Int) { values = Array(repeating: 0, count: count) }
  }

  @Test("by 500 seeds, tasks read what they wrote, and the disk ends as the model does")
  func random() throws {
    var hash: UInt64 = 0
    for seed in 0..<500 as Range<UInt64> { hash = (hash ^ (try randomRun(seed: seed))) &* 0x100_0000_01B3 }
    print("trace hash of 500 seeds on the simulated disk: \(String(hash, radix: 16))")
    #expect(try randomRun(seed: 11) == randomRun(seed: 11))
  }

  @Test("memory as a device serves every operation")
  func memory() throws {
    let reactor = SimulatedReactor(seed: 1)
    try reactor.run {
      let bytes = pattern(1 << 16, seed: 1)
      let stage = try Stage(reactor, MemoryDevice(image: bytes))
      try await stage.play { stage in
        let back = Buffer(byteCount: 1 << 16)
        try await stage.queue.read(back, at: 0)
        #expect(back.bytes == bytes)
        try await stage.queue.write(Buffer([UInt8](repeating: 7, count: 512)), at: 1024, isFUA: true)
        try await stage.queue.discard(at: 2048, byteCount: 512)
        try await stage.queue.writeZeroes(at: 3072, byteCount: 512)
        try await stage.queue.flush()
        var expected = bytes
        for index in 0..<512 {
          expected[1024 + index] = 7
          expected[2048 + index] = 0
          expected[3072 + index] = 0
        }
        #expect((stage.queue.device as? MemoryDevice)?.image == expected)
        stage.queue.close()
      }
    }
  }
}
