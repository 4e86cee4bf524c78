import BlockDevice
import DeviceLayers
import Reactor
import SystemPackage
import Testing

@Suite("A device in layers")
struct LayersTests {
  private static func range(_ first: UInt64, _ end: UInt64) -> Range<UInt64> { first * 512..<end * 512 }

  @Test("tells its stack from the top down")
  func stack() throws {
    try LayerRig.run({ StrictLayer(LatencyLayer(StatisticsLayer($0), LatencyModel())) }) {
      (rig: LayerRig) async throws in
      let lines = stackDescription(of: rig.queue.device).split(separator: "\n")
      #expect(lines.count == 4)
      #expect(lines.first == "strict: 0 violations" && lines.last == "MemoryDevice of 32768 bytes")
    }
  }

  @Test("reports overlapping writes and reads of what nobody has written")
  func strict() throws {
    try LayerRig.run({ StrictLayer(LatencyLayer($0, .slow), watchesUnwritten: true) }) { (rig: LayerRig) async throws in
      try await rig.write(4, count: 2, 1)
      _ = try await rig.read(4, count: 2)
      let strict = rig.layer(StrictLayer.self)
      #expect(strict.violationCount == 0)
      _ = try await rig.read(5, count: 2)
      #expect(strict.violations == [.neverWritten(Self.range(5, 7))])
      await withTaskGroup(of: Void.self) { group in
        for byte in [UInt8(1), 2] { group.addTask { try? await rig.write(8, byte) } }
      }
      #expect(strict.violations.last == .overlappingWrites(Self.range(8, 9), Self.range(8, 9)))
    }
  }

  @Test("keeps writes in a volatile cache until a flush; readers see them, and a power cut takes any of them")
  func cache() throws {
    try LayerRig.run({ VolatileCacheLayer($0, capacity: 1 << 20) }) { (rig: LayerRig) async throws in
      let cache = rig.layer(VolatileCacheLayer.self)
      try await rig.write(3, 200)
      try await rig.write(4, 201)
      #expect(rig.stored(3) == 3)
      let seen = try await rig.blocks(2, count: 4)
      #expect(seen == [2, 200, 201, 5])
      #expect(cache.unflushed.map(\.range) == [Self.range(3, 4), Self.range(4, 5)])
      try await rig.queue.flush()
      #expect(rig.stored(3) == 200 && rig.stored(4) == 201 && cache.unflushed.isEmpty)
      try await rig.write(5, 202, isFUA: true)
      #expect(rig.stored(5) == 202 && cache.unflushed.isEmpty)
      for block in 6...8 { try await rig.write(block, 210) }
      let second = cache.unflushed[1].number
      var image = rig.memory.image
      cache.powerCut(keeping: { $0 == second }, onto: &image)
      #expect([6, 7, 8].map { image[$0 * 512] } == [6, 210, 8])
    }
  }

  @Test("destages when its cache is full, the newest bytes of a block last", arguments: 1...20)
  func destaging(seed: UInt64) throws {
    try LayerRig.run({ VolatileCacheLayer($0, capacity: 2 * 512, seed: seed) }) { (rig: LayerRig) async throws in
      for byte in UInt8(100)..<130 { try await rig.write(Int(byte) % 4, byte) }
      let seen = try await rig.blocks(0, count: 4)
      #expect(seen == [128, 129, 126, 127])
      try await rig.queue.flush()
      #expect((0..<4).map(rig.stored) == [128, 129, 126, 127])
    }
  }

  @Test("keeps a forced write, and a zeroing, newer than what its cache had of their blocks", arguments: 1...20)
  func order(seed: UInt64) throws {
    try LayerRig.run(seed: seed, { VolatileCacheLayer(LatencyLayer($0, .uneven), capacity: 1 << 20, seed: seed) }) {
      (rig: LayerRig) async throws in
      try await rig.write(3, count: 3, 200)
      try await rig.write(4, 201, isFUA: true)
      #expect(rig.stored(4) == 201)
      var seen = try await rig.blocks(3, count: 3)
      #expect(seen == [200, 201, 200])
      try await rig.write(8, count: 4, 202)
      try await rig.queue.writeZeroes(at: 9 * 512, byteCount: 2 * 512)
      seen = try await rig.blocks(8, count: 4)
      #expect(seen == [202, 0, 0, 202])
      try await rig.queue.flush()
      #expect((3...5).map(rig.stored) == [200, 201, 200])
      #expect((8...11).map(rig.stored) == [202, 0, 0, 202])
    }
  }

  @Test("tells a flush of a write that the medium refused, keeps it, and stores it for the next")
  func refused() throws {
    let rule = try FaultRule("write@5:EIO,count=1")
    try LayerRig.run({ VolatileCacheLayer(FaultLayer($0, rules: [rule]), capacity: 1 << 20) }) {
      (rig: LayerRig) async throws in
      try await rig.write(5, 200)
      try await rig.write(6, 201)
      #expect(try await errno { () async throws(DeviceError) in try await rig.queue.flush() } == .ioError)
      #expect(rig.stored(5) == 5 && rig.layer(VolatileCacheLayer.self).unflushed.map(\.range) == [Self.range(5, 6)])
      try await rig.queue.flush()
      #expect(rig.stored(5) == 200 && rig.layer(VolatileCacheLayer.self).unflushed.isEmpty)
    }
  }

  @Test("takes the time that its model says")
  func latency() throws {
    var model = LatencyModel()
    model.read = .fixed(3_000_000)
    model.requestRate = 100
    model.burstNanoseconds = 0
    let chosen = model
    try LayerRig.run({ StatisticsLayer(LatencyLayer($0, chosen)) }) { (rig: LayerRig) async throws in
      let begun = rig.reactor.now
      for block in 0..<10 { try await rig.write(block, 1) }
      #expect(rig.reactor.now.nanoseconds(since: begun) >= 90_000_000)
      rig.layer(LatencyLayer.self).model.requestRate = nil
      let readBegun = rig.reactor.now
      _ = try await rig.read(0)
      #expect(rig.reactor.now.nanoseconds(since: readBegun) == 3_000_000)
      let lines = rig.layer(StatisticsLayer.self).statistics.lines
      #expect(lines[.write]?.requestCount == 10 && lines[.write]?.byteCount == 5120)
      #expect(lines[.read]?.longestNanoseconds == 3_000_000)
    }
  }

  /// A device that says of its first write that only one block was done.
  private final class Shortening: DeviceLayer {
    private var isFirst = true
    override func finished(_ request: Request, _ result: Int) {
      let isShort = isFirst && request.operation == .write
      if isShort { isFirst = false }
      super.finished(request, isShort ? 512 : result)
    }
  }

  @Test("a history has what a short write has done, and the rest as another write")
  func shortWrites() throws {
    try LayerRig.run({ HistoryLayer(Shortening($0)) }) { (rig: LayerRig) async throws in
      var image = rig.memory.image
      try await rig.write(3, count: 4, 200)
      let history = rig.layer(HistoryLayer.self).history
      #expect(history.writes.map(\.byteCount) == [2048, 512, 1536])
      #expect(history.writes.map(\.offset) == [1536, 1536, 2048])
      #expect(history.log().replay(onto: &image) == 2)
      #expect(image == rig.memory.image)
    }
  }

  @Test("records a history that replays as a log: to the same bytes, and up to each mark")
  func history() throws {
    try LayerRig.run({ HistoryLayer($0) }) { (rig: LayerRig) async throws in
      let before = rig.memory.image
      try await rig.write(3, count: 2, 200)
      rig.layer(HistoryLayer.self).mark("first")
      try await rig.queue.flush()
      try await rig.write(4, 201)
      let log = rig.layer(HistoryLayer.self).history.log()
      #expect(log.entries.map(\.flags) == [.metadata, .mark, .flush, .metadata])
      var image = before
      #expect(log.replay(onto: &image) == 4)
      #expect(image == rig.memory.image)
      image = before
      #expect(log.replay(onto: &image, until: .mark("first")) == 1)
      #expect(image[4 * 512] == 200)
      #expect(log.replay(onto: &image, until: .mark("second")) == nil)
    }
  }

  @Test("a log is read back from its bytes, and cut off anywhere up to there")
  func log() throws {
    var log = WriteLog()
    log.entries = [
      WriteLogEntry(.metadata, sector: 8, sectorCount: 2, data: [UInt8](repeating: 7, count: 1024)),
      WriteLogEntry(.mark, data: Array("here".utf8)), WriteLogEntry(.discard, sector: 1, sectorCount: 3),
      WriteLogEntry(.flush),
    ]
    let bytes = log.bytes
    // The super block, four entries, and two blocks of data.
    #expect(bytes.count == 3584)
    #expect(Array(bytes[0..<8]) == [0x72, 0x68, 0x73, 0x77, 0x66, 0x73, 0x6A, 0])
    #expect(try WriteLog(bytes: bytes) == log)
    for count in stride(from: 512, to: bytes.count, by: 100) {
      let part = try WriteLog(bytes: Array(bytes.prefix(count)))
      #expect(part.truncation?.expectedCount == 4)
      #expect(part.entries == Array(log.entries.prefix(part.entries.count)))
    }
    #expect(throws: WriteLogError.self) { try WriteLog(bytes: [UInt8](repeating: 0, count: 4096)) }
    var hostile = bytes
    for offset in 512 + 8..<512 + 16 { hostile[offset] = 255 }
    #expect(try WriteLog(bytes: hostile).entries.isEmpty)
  }

  @Test("a discard whose length in bytes does not fit clears the rest of the image")
  func longDiscard() {
    var log = WriteLog()
    log.entries = [WriteLogEntry(.discard, sector: 1, sectorCount: 1 << 55 | 1)]
    var image = [UInt8](repeating: 1, count: 2048)
    #expect(log.replay(onto: &image) == 1)
    #expect(image == [UInt8](repeating: 1, count: 512) + [UInt8](repeating: 0, count: 1536))
  }
}

extension LatencyModel {
  static var uneven: LatencyModel {
    var model = LatencyModel()
    model.write = .uniform(1000, 1_000_000)
    return model
  }
  static var slow: LatencyModel {
    var model = LatencyModel()
    model.write = .fixed(1_000_000)
    return model
  }
}
