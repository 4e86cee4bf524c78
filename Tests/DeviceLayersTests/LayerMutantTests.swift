import BlockDevice
import DeviceLayers
import Reactor
import Support
import SystemPackage
import Testing

/// One promise of a layer, and the script that notices when it is not kept.
struct LayerMutant: Sendable, CustomTestStringConvertible {
  let promise: SwitchedOffPromises
  let stack: @Sendable (any BlockDevice) -> any BlockDevice
  let script: @Sendable (LayerRig) async throws -> Void
  var testDescription: String { SwitchedOffPromises.all.first { $0.promise == promise }?.name ?? "?" }

  struct Broken: Error {}

  static func expect(_ condition: Bool) throws(Broken) {
    if !condition { throw Broken() }
  }

  /// What the script finds out with a promise switched off, or with none.
  func isNoticed(without promise: SwitchedOffPromises) throws -> Bool {
    let (stack, script) = (stack, script)
    do {
      try LayerRig.run({ device in
        let whole = stack(device)
        var layer = whole as? DeviceLayer
        while let current = layer {
          current.switchedOff = promise
          layer = current.inner as? DeviceLayer
        }
        return whole
      }) { (rig: LayerRig) async throws in
        try await script(rig)
      }
      return false
    } catch is Broken { return true }
  }

  /// Strict finds something, and first of all this.
  private static func strict(
    _ promise: SwitchedOffPromises, _ violation: StrictViolation,
    _ below: @Sendable @escaping (any BlockDevice) -> any BlockDevice,
    _ script: @Sendable @escaping (LayerRig) async throws -> Void
  ) -> LayerMutant {
    LayerMutant(promise: promise, stack: below) { rig in
      try await script(rig)
      try expect(rig.layer(StrictLayer.self).violations == [violation])
    }
  }

  private static func cache(
    _ promise: SwitchedOffPromises, capacity: Int = 1 << 20, rule: String? = nil,
    _ script: @Sendable @escaping (LayerRig, VolatileCacheLayer) async throws -> Void
  ) -> LayerMutant {
    LayerMutant(
      promise: promise,
      stack: { device in
        let rules = rule.flatMap { try? FaultRule($0) }.map { [$0] } ?? []
        return VolatileCacheLayer(
          StatisticsLayer(LatencyLayer(FaultLayer(device, rules: rules), .uneven)), capacity: capacity)
      },
      script: { rig in try await script(rig, rig.layer(VolatileCacheLayer.self)) })
  }

  private static func bytes(_ first: UInt64, _ end: UInt64) -> Range<UInt64> { first * 512..<end * 512 }

  static let all: [LayerMutant] = [
    strict(.reportsMisplaced, .misplaced(.write, bytes(100, 101)), { Straying(StrictLayer(Idle($0)), by: 98) }) {
      try await $0.write(2, 1)
    },
    strict(
      .reportsOverlaps, .overlappingWrites(bytes(3, 4), bytes(2, 4)), { StrictLayer(LatencyLayer($0, .slow)) }
    ) { rig in
      async let first: Void = rig.write(2, count: 2, 1)
      await rig.reactor.pass()
      async let second: Void = rig.write(3, 2)
      _ = try await (first, second)
    },
    LayerMutant(promise: .poisonsReads, stack: { StrictLayer(Idle($0)) }) { rig in
      let seen = try await rig.blocks(2, count: 2)
      try expect(seen == [StrictLayer.poison, StrictLayer.poison])
    },
    strict(.reportsUnwritten, .neverWritten(bytes(2, 3)), { StrictLayer($0, watchesUnwritten: true) }) {
      _ = try await $0.read(2)
    },
    strict(.reportsSecondEnds, .completedTwice(.write, bytes(2, 3)), { StrictLayer(Twice($0)) }) {
      try await $0.write(2, 1)
    },
    strict(.reportsOverdone, .overdone(.read, bytes(2, 3), result: 513), { StrictLayer(Idle($0, extra: 1)) }) {
      _ = try await $0.read(2)
    },
    cache(.readersSeeCache) { rig, _ in
      try await rig.write(3, 200)
      let seen = try await rig.blocks(3, count: 1)
      try expect(seen == [200])
    },
    cache(.flushWaitsForWrites) { rig, _ in
      for block in 0..<8 { try await rig.write(block, 200) }
      try await rig.queue.flush()
      try expect((0..<8).allSatisfy { rig.stored($0) == 200 })
    },
    cache(.flushGoesOn) { rig, _ in
      try await rig.queue.flush()
      try expect(rig.layer(StatisticsLayer.self).statistics.lines[.flush]?.requestCount == 1)
    },
    cache(.forcedWritesAreStored) { rig, _ in
      try await rig.write(3, 200, isFUA: true)
      try expect(rig.stored(3) == 200)
    },
    cache(.cacheIsBounded, capacity: 4 * 512) { rig, cache in
      for block in 0..<8 { try await rig.write(block, 200) }
      await rig.reactor.sleep(until: rig.reactor.now.advanced(byNanoseconds: 10_000_000))
      try expect(cache.unflushed.count == 4)
    },
    cache(.overlapsKeepOrder) { rig, _ in
      for byte in UInt8(100)..<108 {
        for block in 0..<8 { try await rig.write(block, byte) }
      }
      try await rig.queue.flush()
      try expect((0..<8).allSatisfy { rig.stored($0) == 107 })
    },
    cache(.cutTakesCache) { rig, cache in
      try await rig.write(3, 200)
      var image = rig.memory.image
      cache.powerCut(keeping: { _ in false }, onto: &image)
      try expect(image[3 * 512] == 3)
    },
    cache(.refusalIsTold, rule: "write:EIO,count=1") { rig, _ in
      try await rig.write(3, 200)
      let told = try await errno { () async throws(DeviceError) in try await rig.queue.flush() }
      try expect(told == .ioError)
    },
    LayerMutant(promise: .timesHold, stack: { LatencyLayer($0, .slow) }) { rig in
      let begun = rig.reactor.now
      try await rig.write(3, 200)
      try expect(rig.reactor.now.nanoseconds(since: begun) >= 1_000_000)
    },
    LayerMutant(
      promise: .ratesHold,
      stack: { device in
        var model = LatencyModel()
        model.byteRate = 512_000
        model.burstNanoseconds = 0
        return LatencyLayer(device, model)
      }
    ) { rig in
      let begun = rig.reactor.now
      for block in 0..<10 { try await rig.write(block, 200) }
      try expect(rig.reactor.now.nanoseconds(since: begun) >= 9_000_000)
    },
    LayerMutant(
      promise: .distanceCosts,
      stack: { device in
        var model = LatencyModel()
        model.seekNanosecondsPerMebibyte = 1_048_576_000
        return LatencyLayer(device, model)
      }
    ) { rig in
      _ = try await rig.read(0)
      let begun = rig.reactor.now
      _ = try await rig.read(11)
      // Ten blocks further on than the head.
      try expect(rig.reactor.now.nanoseconds(since: begun) >= 5_120_000)
    },
    LayerMutant(
      promise: .workersAreBusy,
      stack: { device in
        var model = LatencyModel()
        model.write = .fixed(1_000_000)
        model.parallel = 2
        return LatencyLayer(device, model)
      }
    ) { rig in
      let begun = rig.reactor.now
      await withTaskGroup(of: Void.self) { group in
        for block in 0..<6 { group.addTask { try? await rig.write(block * 2, 200) } }
      }
      // Three after each other, for each of two.
      try expect(rig.reactor.now.nanoseconds(since: begun) >= 3_000_000)
    },
    LayerMutant(
      promise: .failuresAreCounted,
      stack: { StatisticsLayer(FaultLayer($0, rules: (try? FaultRule("write:EIO")).map { [$0] } ?? [])) }
    ) { rig in
      _ = try await errno { () async throws(DeviceError) in try await rig.write(3, 200) }
      try expect(rig.layer(StatisticsLayer.self).statistics.lines[.write]?.failureCount == 1)
    },
    LayerMutant(promise: .depthIsCounted, stack: { StatisticsLayer(LatencyLayer($0, .slow)) }) { rig in
      async let first: Void = rig.write(2, 1)
      async let second: Void = rig.write(4, 1)
      _ = try await (first, second)
      try expect(rig.layer(StatisticsLayer.self).statistics.deepest == 2)
    },
    LayerMutant(
      promise: .failuresAreRecorded,
      stack: { HistoryLayer(FaultLayer($0, rules: (try? FaultRule("write:EIO")).map { [$0] } ?? [])) }
    ) { rig in
      _ = try await errno { () async throws(DeviceError) in try await rig.write(3, 200) }
      try expect(rig.layer(HistoryLayer.self).history.events.last == .completed(0, isDone: false))
    },
  ]
}

/// Answers what it is asked, and does nothing.
private final class Idle: DeviceLayer {
  private let extra: Int
  init(_ inner: any BlockDevice, extra: Int = 0) {
    self.extra = extra
    super.init(inner)
  }
  override func start(_ request: Request) { answer(request, request.remainingByteCount + extra) }
}

/// Tells each end twice.
private final class Twice: DeviceLayer {
  override func finished(_ request: Request, _ result: Int) {
    tell(request, result)
    tell(request, result)
  }
}

/// Changes the memory of a write that it has taken.
private final class Scribbling: DeviceLayer {
  override func start(_ request: Request) {
    request.scatter([UInt8](repeating: 7, count: request.remainingByteCount).span, at: 0)
    inner.start(request)
  }
}

/// Sends writes elsewhere, by a request of its own.
private final class Straying: DeviceLayer {
  private let distance: UInt64
  private var own: Request?
  private var waiting: Request?
  init(_ inner: any BlockDevice, by blocks: UInt64) {
    distance = blocks * 512
    super.init(inner)
  }
  override func ownRequestCount(tagCount: Int) -> Int { 1 }
  override func start(_ request: Request) {
    let own = Request(ownTag: 8, segmentCapacity: 1)
    own.prepareOwn(.write, at: request.offset + distance)
    _ = unsafe own.append(request.segment(0))
    (self.own, waiting) = (own, request)
    inner.start(own)
  }
  override func finished(_ request: Request, _ result: Int) {
    if let waiting { tell(waiting, result) }
  }
}

@Suite("Mutants of the layers")
struct LayerMutantTests {
  @Test(
    "a script notices when a layer does not keep its promise, and is content when it does", arguments: LayerMutant.all)
  func isKilled(_ mutant: LayerMutant) throws {
    #expect(try !mutant.isNoticed(without: []))
    let isNoticed = try leaving("requests that a layer has lost") { try mutant.isNoticed(without: mutant.promise) }
    #expect(isNoticed)
  }

  @Test("every promise has its script")
  func all() {
    #expect(Set(LayerMutant.all.map(\.promise.rawValue)) == Set(SwitchedOffPromises.all.map(\.promise.rawValue)))
  }

  @Test("a log has writes as they ended, flushes where they began, and nothing that failed")
  func log() {
    var history = DeviceHistory()
    func write(_ block: UInt64, _ operation: Operation = .write, isFUA: Bool = false, isFileData: Bool = true) -> Int {
      history.start(
        RecordedWrite(
          operation: operation, offset: block * 512, byteCount: 512,
          bytes: operation == .write ? [UInt8](repeating: UInt8(block), count: 512) : [], isFUA: isFUA,
          isFileData: isFileData))
    }
    let first = write(1), second = write(2, isFUA: true), third = write(3), fourth = write(4, .discard)
    history.complete(second, isDone: true)
    let flush = history.startFlush()
    history.complete(first, isDone: true)
    history.mark("here")
    history.complete(third, isDone: false)
    history.completeFlush(flush, isDone: true)
    let failed = history.startFlush()
    history.completeFlush(failed, isDone: false)
    history.complete(fourth, isDone: true)
    let fifth = write(5, isFileData: false)
    history.complete(fifth, isDone: true)
    _ = write(6)
    func entry(_ flags: WriteLogEntry.Flags, _ block: UInt64, hasData: Bool = true) -> WriteLogEntry {
      WriteLogEntry(
        flags, sector: block, sectorCount: 1, data: hasData ? [UInt8](repeating: UInt8(block), count: 512) : [])
    }
    #expect(
      history.log().entries == [
        entry(.forcedUnitAccess, 2), WriteLogEntry(.flush), entry([], 1),
        WriteLogEntry(.mark, data: Array("here".utf8)),
        entry(.discard, 4, hasData: false), entry(.metadata, 5),
      ])
  }

  @Test("a history has the bytes of a write as the device took them")
  func bytesAsTaken() throws {
    try LayerRig.run({ HistoryLayer(Scribbling($0)) }) { (rig: LayerRig) async throws in
      try await rig.write(3, 200)
      #expect(rig.stored(3) == 7)
      #expect(rig.layer(HistoryLayer.self).history.writes.map(\.bytes) == [[UInt8](repeating: 200, count: 512)])
    }
  }
}
