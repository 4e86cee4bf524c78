internal import BlockDevice
internal import Reactor
internal import Testing

@Suite("Plugging and merging")
struct MergingTests {
  /// One request of a case, in blocks of 512 bytes.
  struct Asked: Sendable {
    var operation = Operation.write
    var block: UInt64
    var count = 1
    var isFUA = false
    var owner: UInt64 = 0
  }
  struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let asked: [Asked]
    /// What reaches the device, as block ranges.
    let dispatched: [Range<UInt64>]
    var order = RequestQueue.Order.ascending
  }

  static let cases: [Case] = [
    Case(
      testDescription: "ascending neighbours", asked: [.init(block: 1), .init(block: 2), .init(block: 3)],
      dispatched: [1..<4]),
    Case(
      testDescription: "descending neighbours", asked: [.init(block: 3), .init(block: 2), .init(block: 1)],
      dispatched: [1..<4]),
    Case(
      testDescription: "descending neighbours in order of arrival", asked: [.init(block: 3), .init(block: 2)],
      dispatched: [3..<4, 2..<3], order: .arrival),
    Case(
      testDescription: "neighbours of different owners", asked: [.init(block: 1, owner: 7), .init(block: 2, owner: 8)],
      dispatched: [1..<3]),
    Case(testDescription: "a gap", asked: [.init(block: 1), .init(block: 3)], dispatched: [1..<2, 3..<4]),
    Case(
      testDescription: "an overlap", asked: [.init(block: 1, count: 2), .init(block: 2)], dispatched: [1..<3, 2..<3]),
    Case(
      testDescription: "the same block twice", asked: [.init(block: 5), .init(block: 5)], dispatched: [5..<6, 5..<6]),
    Case(
      testDescription: "reads", asked: [.init(operation: .read, block: 2), .init(operation: .read, block: 1)],
      dispatched: [1..<3]),
    Case(
      testDescription: "a read and a write", asked: [.init(operation: .read, block: 1), .init(block: 2)],
      dispatched: [1..<2, 2..<3]),
    Case(
      testDescription: "forced unit access and not", asked: [.init(block: 1), .init(block: 2, isFUA: true)],
      dispatched: [1..<2, 2..<3]),
    Case(
      testDescription: "forced unit access both", asked: [.init(block: 1, isFUA: true), .init(block: 2, isFUA: true)],
      dispatched: [1..<3]),
    Case(
      testDescription: "flushes", asked: [.init(operation: .flush, block: 0), .init(operation: .flush, block: 0)],
      dispatched: [0..<0, 0..<0]),
    Case(
      testDescription: "writes around a flush",
      asked: [.init(block: 2), .init(operation: .flush, block: 0), .init(block: 1)], dispatched: [2..<3, 0..<0, 1..<2]),
    Case(
      testDescription: "discards", asked: [.init(operation: .discard, block: 1), .init(operation: .discard, block: 2)],
      dispatched: [1..<2, 2..<3]),
    Case(
      testDescription: "up to the largest transfer",
      asked: (0..<20).map { .init(block: $0) }, dispatched: [0..<8, 8..<16, 16..<20]),
    Case(
      testDescription: "a large and a small one beyond the largest transfer",
      asked: [.init(block: 0, count: 7), .init(block: 7, count: 2)], dispatched: [0..<7, 7..<9]),
  ]

  @Test("what merges and what does not", arguments: cases)
  func merge(_ example: Case) throws {
    try simulate(
      geometry: Geometry(byteCount: 1 << 20, maximumTransfer: 4096),
      configuration: .sized(tags: 16, places: 64, order: example.order)
    ) { stage in
      let log = stage.logDispatches()
      let completions = CompletionLog()
      for asked in example.asked {
        let hasMemory = asked.operation == .read || asked.operation == .write
        stage.submit(
          asked.operation, at: asked.block * 512, hasMemory ? Buffer(byteCount: asked.count * 512) : nil,
          byteCount: asked.operation == .flush ? 0 : asked.count * 512, isFUA: asked.isFUA, handler: completions)
      }
      await stage.drain()
      #expect(log.entries.map { $0.range.lowerBound / 512..<$0.range.upperBound / 512 } == example.dispatched)
      #expect(completions.entries.count == example.asked.count)
      #expect(completions.entries.allSatisfy { $0.error == nil })
      let counters = stage.queue.counters
      #expect(
        counters.reads + counters.writes + counters.flushes + counters.discards == UInt64(example.dispatched.count))
    }
  }

  @Test("segments are counted after neighbours in memory were joined")
  func segments() throws {
    try simulate(geometry: Geometry(byteCount: 1 << 20, maximumSegments: 3)) { stage in
      let log = stage.logDispatches()
      let arena = Buffer(byteCount: 16 * 512)
      // Eight blocks whose memory lies side by side: one segment. Then eight in every second place: three a request.
      for block in 0..<8 { Self.submitPiece(stage, arena, piece: block, block: UInt64(block)) }
      for block in 0..<8 { Self.submitPiece(stage, arena, piece: block * 2, block: 100 + UInt64(block)) }
      await stage.drain()
      #expect(log.entries.map(\.segmentCount) == [1, 3, 3, 2])
      #expect(log.entries.map { $0.range.lowerBound / 512 } == [0, 100, 103, 106])
    }
  }

  @Test("a request that already has segments joins at the seam")
  func seam() throws {
    try simulate(geometry: Geometry(byteCount: 1 << 20, maximumSegments: 3)) { stage in
      let log = stage.logDispatches()
      let arena = Buffer(byteCount: 16 * 512)
      for (block, pieces) in [(0, [0, 2]), (2, [3, 5])] {
        guard let request = stage.queue.admitNow() else { return }
        request.prepare(.write, at: UInt64(block) * 512)
        request.context = arena
        for piece in pieces {
          let segment = unsafe Segment(base: arena.segment.base + piece * 512, byteCount: 512)
          #expect(unsafe request.append(segment))
        }
        stage.queue.submit(request, handler: nil)
      }
      await stage.drain()
      #expect(log.entries == [Dispatched(operation: .write, range: 0..<2048, segmentCount: 3)])
    }
  }

  private static func submitPiece(_ stage: isolated Stage, _ arena: Buffer, piece: Int, block: UInt64) {
    guard let request = stage.queue.admitNow() else { preconditionFailure("no place") }
    request.prepare(.write, at: block * 512)
    request.context = arena
    _ = unsafe request.append(Segment(base: arena.segment.base + piece * 512, byteCount: 512))
    stage.queue.submit(request, handler: nil)
  }

  @Test("a request takes no more segments than it has room for")
  func capacity() throws {
    try simulate(geometry: Geometry(byteCount: 1 << 20, maximumSegments: 2)) { stage in
      let arena = Buffer(byteCount: 8 * 512)
      let request = try #require(stage.queue.admitNow())
      request.prepare(.write, at: 0)
      var accepted: [Bool] = []
      for piece in [0, 2, 4, 3] {
        let segment = unsafe Segment(base: arena.segment.base + piece * 512, byteCount: 512)
        accepted.append(unsafe request.append(segment))
      }
      // The last joins the second.
      #expect(accepted == [true, true, false, true])
      #expect(request.byteCount == 1536)
      stage.queue.giveBack(request)
    }
  }

  @Test("merged requests complete each for itself, with the bytes of each", arguments: 0..<20 as Range<UInt64>)
  func bytes(seed: UInt64) throws {
    try simulate(seed: seed, policy: nil) { stage in
      let log = stage.logDispatches()
      try await stage.concurrently(32) { stage, index in
        try await stage.queue.write(Buffer([UInt8](repeating: UInt8(index), count: 512)), at: UInt64(index) * 512)
      }
      try await stage.concurrently(32) { stage, index in
        let buffer = Buffer(byteCount: 512)
        try await stage.queue.read(buffer, at: UInt64(index) * 512)
        #expect(buffer.bytes == [UInt8](repeating: UInt8(index), count: 512))
      }
      #expect(log.entries.count < 64)
    }
  }

  @Test("never more requests are at the device than there are tags", arguments: [1, 2, 7])
  func tags(tagCount: Int) throws {
    try simulate(policy: nil, configuration: .sized(tags: tagCount, places: 64)) { stage in
      let gauge = Gauge()
      stage.disk.script = { _ in
        gauge.inFlight += 1
        gauge.highest = max(gauge.highest, gauge.inFlight)
        return .proceed
      }
      // One completion a dispatched request: nothing here can merge.
      stage.disk.observer = { if $1 == .completed, $0.tag != nil { gauge.inFlight -= 1 } }
      try await stage.concurrently(60) { stage, index in
        try await stage.queue.read(Buffer(byteCount: 512), at: UInt64(index) * 1024)
      }
      #expect(gauge.highest == tagCount)
      #expect(gauge.inFlight == 0)
    }
  }
  private final class Gauge {
    var inFlight = 0
    var highest = 0
  }
}
