internal import BlockDevice
internal import Reactor
internal import Testing

@Suite("Admission to the queue")
struct AdmissionTests {
  @Test("admission costs a turn, however many places are free")
  func suspends() throws {
    let reactor = SimulatedReactor(seed: 1, policy: .uniform)
    try reactor.run {
      let stage = try Stage(reactor, SimulatedDevice(reactor: reactor, geometry: Geometry(byteCount: 1 << 20)))
      try await stage.play { stage in
        defer { stage.queue.close() }
        var steps = reactor.steps
        stage.queue.giveBack(try await stage.queue.admit())
        #expect(reactor.steps > steps)
        steps = reactor.steps
        if let request = await stage.queue.admitIfFree(.readAhead) { stage.queue.giveBack(request) }
        #expect(reactor.steps > steps)
      }
    }
  }

  @Test("places are bounded; the reserve is for writeback and the last quarter not for read-ahead")
  func classes() throws {
    try simulate(configuration: .sized(tags: 2, places: 16, reserve: 3)) { stage in
      let queue = stage.queue
      var taken: [Request] = []
      while let request = queue.admitNow(.readAhead) { taken.append(request) }
      #expect(taken.count == 12)
      while let request = queue.admitNow(.ordinary) { taken.append(request) }
      #expect(taken.count == 13)
      #expect(await queue.admitIfFree(.ordinary) == nil)
      while let request = queue.admitNow(.writeback) { taken.append(request) }
      #expect(taken.count == 16)
      for request in taken { queue.giveBack(request) }
      #expect(queue.admitNow(.readAhead) != nil)
    }
  }

  @Test(
    "those who wait are admitted in the order in which they asked, whatever the schedule",
    arguments: 0..<50 as Range<UInt64>)
  func fairness(seed: UInt64) throws {
    try simulate(seed: seed, policy: nil, configuration: .sized(tags: 1, places: 4, reserve: 1)) { stage in
      let queue = stage.queue
      let holders = (0..<3).compactMap { _ in queue.admitNow() }
      #expect(holders.count == 3)
      let order = Order()
      async let everybody: Void = stage.concurrently(10) { stage, index in
        await stage.reactor.pass()
        order.asked.append(index)
        let request = try await stage.queue.admit()
        order.admitted.append(index)
        await stage.reactor.pass()
        stage.queue.giveBack(request)
      }
      while order.asked.count < 10 { await stage.reactor.pass() }
      for holder in holders { queue.giveBack(holder) }
      try await everybody
      // Resumed in order; which of the resumed runs first is the scheduler's choice among at most three.
      for (position, index) in order.admitted.enumerated() {
        let asked = try #require(order.asked.firstIndex(of: index))
        #expect(asked <= position + 2)
      }
    }
  }

  /// Confined to the simulation's thread.
  private final class Order: @unchecked Sendable {
    var asked: [Int] = []
    var admitted: [Int] = []
  }

  @Test("a writeback waiter overtakes ordinary ones when only the reserve is free")
  func reserve() throws {
    try simulate(configuration: .sized(tags: 1, places: 4, reserve: 1)) { stage in
      let queue = stage.queue
      let holders = (0..<3).compactMap { _ in queue.admitNow() }
      let reserved = try #require(queue.admitNow(.writeback))
      let order = Order()
      async let ordinary: Void = stage.concurrently(1) { stage, _ in
        let request = try await stage.queue.admit()
        order.admitted.append(0)
        stage.queue.giveBack(request)
      }
      async let writeback: Void = stage.concurrently(1) { stage, _ in
        while stage.queue.admitNow() != nil {}
        let request = try await stage.queue.admit(.writeback)
        order.admitted.append(1)
        stage.queue.giveBack(request)
      }
      for _ in 0..<20 { await stage.reactor.pass() }
      queue.giveBack(reserved)
      for _ in 0..<20 { await stage.reactor.pass() }
      #expect(order.admitted == [1])
      for holder in holders { queue.giveBack(holder) }
      try await ordinary
      try await writeback
      #expect(order.admitted == [1, 0])
    }
  }

  @Test("a reader gets his place in his turn, however much there is to write")
  func readerBesideWriteback() throws {
    try simulate(configuration: .sized(tags: 1, places: 8, reserve: 4)) { stage in
      let order = Order()
      async let writeback: Void = stage.concurrently(1) { stage, _ in
        for index in 0..<100 {
          let request = try await stage.queue.admit(.writeback)
          let buffer = Buffer(byteCount: 512)
          request.prepare(.write, at: UInt64(index) * 1024)
          request.context = buffer
          _ = unsafe request.append(buffer.segment)
          stage.queue.submit(request, handler: nil)
          order.asked.append(index)
        }
      }
      while order.asked.count < 8 { await stage.reactor.pass() }
      try await stage.queue.read(Buffer(byteCount: 512), at: 0)
      #expect(order.asked.count < 30, "what was queued before goes first, and not all of the rest")
      try await writeback
      await stage.drain()
    }
  }

  @Test("when every place belongs to a request past its deadline, whoever waits for one or comes is told")
  func hung() throws {
    try simulate(configuration: .sized(tags: 1, places: 4, timeoutNanoseconds: 1_000_000)) { stage in
      stage.disk.script = { _ in .hold }
      for place in 0..<3 { stage.submit(.write, at: UInt64(place) * 1024, Buffer(byteCount: 512)) }
      // The reserve is free, and readers may not have it.
      await #expect(throws: DeviceError.timedOut(.write, offset: 0)) {
        try await stage.queue.read(Buffer(byteCount: 512), at: 0)
      }
      await #expect(throws: DeviceError.timedOut(.write, offset: 0)) { _ = try await stage.queue.admit() }
      stage.queue.giveBack(try await stage.queue.admit(.writeback))
      stage.disk.script = nil
      stage.disk.release()
      await stage.drain()
      try await stage.queue.read(Buffer(byteCount: 512), at: 0)
    }
  }

  @Test("thousands of requests pass through few places")
  func throughput() throws {
    try simulate(policy: nil, configuration: .sized(tags: 2, places: 4)) { stage in
      try await stage.concurrently(50) { stage, index in
        for _ in 0..<20 { try await stage.queue.read(Buffer(byteCount: 512), at: UInt64(index) * 512) }
      }
      #expect(stage.queue.counters.readBytes == 50 * 20 * 512)
    }
  }
}
