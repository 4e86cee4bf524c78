import BlockDevice
import DeviceLayers
import Reactor
import SystemPackage
import Testing

@Suite("A device with faults")
struct FaultLayerTests {
  static func run<T: Sendable>(
    _ rules: [String], seed: UInt64 = 1, timeoutNanoseconds: UInt64? = nil,
    _ body: @Sendable @escaping (LayerRig) async throws -> T
  ) throws -> T {
    let parsed = try rules.map { text throws(FaultRuleError) in try FaultRule(text) }
    return try LayerRig.run(
      seed: seed, timeoutNanoseconds: timeoutNanoseconds, { FaultLayer($0, rules: parsed, seed: seed) }, body)
  }

  @Test("fails the n-th matching request, and no other")
  func nth() throws {
    let errnos = try Self.run(["write@8-15:EIO,nth=2"]) { (rig: LayerRig) async throws in
      var errnos: [Errno?] = []
      for block in [3, 8, 9, 10, 30] {
        errnos.append(try await errno { () async throws(DeviceError) in try await rig.write(block, 200) })
      }
      #expect(rig.layer(FaultLayer.self).reports.map(\.fireCount) == [1])
      #expect(rig.layer(FaultLayer.self).reports.map(\.matchCount) == [3])
      return errnos
    }
    #expect(errnos == [nil, nil, .ioError, nil, nil])
  }

  @Test(
    "fires as often as its triggers say",
    arguments: [
      ("write:EIO", [1, 2, 3, 4, 5, 6]), ("write:EIO,count=2", [1, 2]), ("write:EIO,every=3", [3, 6]),
      ("write:EIO,nth=2,every=2", [2, 4, 6]), ("write:EIO,nth=4,count=2", [4, 5]), ("write:EIO,p=0", []),
      ("write:EIO,p=1", [1, 2, 3, 4, 5, 6]), ("write:EIO,after=1h", []), ("read:EIO", []),
      ("write:EIO,state=armed", []),
    ] as [(String, [Int])])
  func triggers(text: String, expected: [Int]) throws {
    let text = text.replacing("1h", with: "60m")
    let fired = try Self.run([text]) { (rig: LayerRig) async throws in
      var fired: [Int] = []
      for number in 1...6 {
        if try await errno({ () async throws(DeviceError) in try await rig.write(number, 9) }) != nil {
          fired.append(number)
        }
      }
      return fired
    }
    #expect(fired == expected)
  }

  @Test("goes from state to state")
  func states() throws {
    let errnos = try Self.run(["flush:lie,count=1,set=armed", "write:ENOSPC,state=armed,count=1,set=over"]) {
      (rig: LayerRig) async throws in
      var errnos: [Errno?] = []
      errnos.append(try await errno { () async throws(DeviceError) in try await rig.write(1, 9) })
      try await rig.queue.flush()
      errnos.append(try await errno { () async throws(DeviceError) in try await rig.write(2, 9) })
      errnos.append(try await errno { () async throws(DeviceError) in try await rig.write(3, 9) })
      return errnos
    }
    #expect(errnos == [nil, .noSpace, nil])
  }

  @Test(
    "stores only a part of a torn write, and says that it stored all",
    arguments: [
      ("write:torn=prefix:2,count=1", [200, 200, 10, 11]), ("write:torn=suffix:1,count=1", [8, 9, 10, 200]),
      ("write:torn=mask:5,count=1", [200, 9, 200, 11]), ("write:phantom,count=1", [8, 9, 10, 11]),
    ] as [(String, [UInt8?])])
  func torn(text: String, expected: [UInt8?]) throws {
    let (found, mended, rewritten) = try Self.run([text]) { (rig: LayerRig) async throws in
      try await rig.write(8, count: 4, 200)
      let found = try await rig.blocks(8, count: 4)
      // The bytes below are whole.
      #expect(rig.stored(8) == 200 && rig.stored(11) == 200)
      rig.layer(FaultLayer.self).isEnabled = false
      let mended = try await rig.blocks(8, count: 4)
      rig.layer(FaultLayer.self).isEnabled = true
      try await rig.write(8, count: 4, 201)
      return (found, mended, try await rig.blocks(8, count: 4))
    }
    #expect(found == expected)
    #expect(mended == [200, 200, 200, 200])
    #expect(rewritten == [201, 201, 201, 201])
  }

  @Test("does not discard, or zero, and says that it did", arguments: ["discard", "zeroes"])
  func phantomZeroes(_ operation: String) throws {
    let (found, later) = try Self.run(["\(operation):phantom,count=1"]) { (rig: LayerRig) async throws in
      func empty() async throws {
        let size = rig.queue.geometry.logicalBlockSize
        if operation == "discard" {
          try await rig.queue.discard(at: UInt64(8 * size), byteCount: 2 * size)
        } else {
          try await rig.queue.writeZeroes(at: UInt64(8 * size), byteCount: 2 * size)
        }
      }
      try await empty()
      let found = try await rig.blocks(8, count: 3)
      try await empty()
      return (found, try await rig.blocks(8, count: 3))
    }
    #expect(found == [8, 9, 10] && later == [0, 0, 10])
  }

  @Test("stores a misdirected write elsewhere")
  func misdirected() throws {
    let (home, elsewhere) = try Self.run(["write:misdirect=+16,count=1"]) { (rig: LayerRig) async throws in
      try await rig.write(8, count: 2, 200)
      return (try await rig.blocks(8, count: 2), try await rig.blocks(24, count: 2))
    }
    #expect(home == [8, 9])
    #expect(elsewhere == [200, 200])
  }

  @Test("turns bits over in what is read, and keeps them so until they are written")
  func rot() throws {
    let counts = try Self.run(["read@5:rot=3,count=1"]) { (rig: LayerRig) async throws in
      func wrongBits(_ bytes: [UInt8], _ byte: UInt8) -> Int { bytes.reduce(0) { $0 + ($1 ^ byte).nonzeroBitCount } }
      let first = try await rig.read(5), second = try await rig.read(5)
      #expect(first == second)
      try await rig.write(5, 77)
      return [wrongBits(first, 5), wrongBits(try await rig.read(5), 77), wrongBits(try await rig.read(6), 6)]
    }
    #expect((1...3).contains(counts[0]) && counts[1] == 0 && counts[2] == 0)
  }

  @Test("has stuck bits in the same places whatever is written")
  func stuck() throws {
    let (first, second) = try Self.run(["read@5:stuck=2"]) { (rig: LayerRig) async throws in
      try await rig.write(5, 0)
      let first = try await rig.read(5)
      try await rig.write(5, 0)
      return (first, try await rig.read(5))
    }
    #expect(first == second)
    #expect((1...2).contains(first.reduce(0) { $0 + $1.nonzeroBitCount }))
  }

  @Test("reads what was there before the last write")
  func stale() throws {
    let found = try Self.run(["read@5:stale,nth=2"]) { (rig: LayerRig) async throws in
      try await rig.write(5, 77)
      return [try await rig.blocks(5, count: 1), try await rig.blocks(5, count: 1), try await rig.blocks(5, count: 1)]
    }
    #expect(found == [[77], [5], [77]])
  }

  @Test("stores a write that it reports as failed, when the fault comes at its end")
  func storedAndFailed() throws {
    let errnos = try Self.run(["write!complete:EIO,count=1"]) { (rig: LayerRig) async throws in
      let error = try await errno { () async throws(DeviceError) in try await rig.write(5, 77) }
      #expect(rig.stored(5) == 77)
      return error
    }
    #expect(errnos == .ioError)
  }

  @Test("has a bad block that a write heals, and one that heals after some failures")
  func healing() throws {
    try Self.run(["read@5:EIO,heal=write", "read@6:EIO,heal=2"]) { (rig: LayerRig) async throws in
      func fails(_ block: Int) async throws -> Bool {
        try await errno { () async throws(DeviceError) in _ = try await rig.read(block) } != nil
      }
      #expect(try await fails(5))
      #expect(try await fails(5))
      try await rig.write(5, 1)
      #expect(try await !fails(5))
      #expect(try await fails(6))
      #expect(try await fails(6))
      #expect(try await !fails(6))
    }
  }

  @Test("transfers a part, and the queue goes on from there")
  func short() throws {
    let found = try Self.run(["write:short=700,count=1"]) { (rig: LayerRig) async throws in
      try await rig.write(8, count: 4, 200)
      return try await rig.blocks(8, count: 4)
    }
    #expect(found == [200, 200, 200, 200])
  }

  @Test("hangs until it is let go, past the deadline of the queue")
  func hang() throws {
    try Self.run(["write:hang,count=1"], timeoutNanoseconds: 1_000_000) { (rig: LayerRig) async throws in
      await #expect(throws: DeviceError.timedOut(.write, offset: 8 * 512)) { try await rig.write(8, 200) }
      #expect(rig.stored(8) == 8)
      #expect(rig.layer(FaultLayer.self).heldCount == 1)
      rig.layer(FaultLayer.self).releaseHeld()
      await rig.reactor.sleep(until: rig.reactor.now.advanced(byNanoseconds: 1_000_000))
      #expect(rig.stored(8) == 200)
      #expect(rig.queue.outstandingCount == 0)
    }
  }

  @Test("serves late, or tells late what it served in time")
  func delay() throws {
    for (rule, storedEarly) in [("write:delay=5ms", false), ("write!complete:delay=5ms", true)] {
      try Self.run([rule]) { (rig: LayerRig) async throws in
        let begun = rig.reactor.now
        await withTaskGroup(of: Void.self) { group in
          group.addTask { try? await rig.write(8, 200) }
          group.addTask {
            await rig.reactor.sleep(until: begun.advanced(byNanoseconds: 2_000_000))
            #expect((rig.stored(8) == 200) == storedEarly, "\(rule)")
          }
        }
        #expect(rig.reactor.now.nanoseconds(since: begun) >= 5_000_000)
        #expect(rig.stored(8) == 200)
      }
    }
  }

  @Test("is asked again after EAGAIN")
  func again() throws {
    try Self.run(["write:eagain,count=3"]) { (rig: LayerRig) async throws in
      try await rig.write(8, 200)
      #expect(rig.stored(8) == 200)
      #expect(rig.layer(FaultLayer.self).reports[0].fireCount == 3)
    }
  }

  @Test("becomes read-only, is unplugged and comes back, and is thin")
  func wholeDevice() throws {
    try Self.run(["write:readonly,nth=2"]) { (rig: LayerRig) async throws in
      var errnos: [Errno?] = []
      for _ in 0..<3 { errnos.append(try await errno { () async throws(DeviceError) in try await rig.write(8, 200) }) }
      #expect(errnos == [nil, .readOnlyFileSystem, .readOnlyFileSystem])
      #expect(try await rig.blocks(8, count: 1) == [200])
    }
    try Self.run(["any:unplug=1ms,nth=1"]) { (rig: LayerRig) async throws in
      for _ in 0..<2 {
        #expect(try await errno { () async throws(DeviceError) in _ = try await rig.read(1) } == Errno(rawValue: 19))
      }
      await rig.reactor.sleep(until: rig.reactor.now.advanced(byNanoseconds: 1_000_000))
      #expect(try await rig.blocks(1, count: 1) == [1])
    }
    try Self.run(["write:thin=1k"]) { (rig: LayerRig) async throws in
      var errnos: [Errno?] = []
      for block in [1, 1, 2, 3, 2] {
        errnos.append(try await errno { () async throws(DeviceError) in try await rig.write(block, 9) })
      }
      #expect(errnos == [nil, nil, nil, .noSpace, nil])
    }
  }

  @Test("has a list of bad blocks, all of which are good while faults are switched off")
  func badBlocks() throws {
    try Self.run(["read+write@3,8-9,20:EIO"]) { (rig: LayerRig) async throws in
      func bad() async throws -> [Int] {
        var bad: [Int] = []
        for block in 0..<24 {
          if try await errno({ () async throws(DeviceError) in _ = try await rig.read(block) }) != nil {
            bad.append(block)
          }
        }
        return bad
      }
      let before = try await bad()
      rig.layer(FaultLayer.self).isEnabled = false
      let during = try await bad()
      rig.layer(FaultLayer.self).isEnabled = true
      let after = try await bad()
      #expect(before == [3, 8, 9, 20] && during == [] && after == before)
    }
  }

  @Test("has the room of a thin device back from what is discarded")
  func thinDiscard() throws {
    try Self.run(["write:thin=1k"]) { (rig: LayerRig) async throws in
      func write(_ block: Int) async throws -> Errno? {
        try await errno { () async throws(DeviceError) in try await rig.write(block, 9) }
      }
      #expect(try await write(1) == nil)
      #expect(try await write(2) == nil)
      #expect(try await write(3) == .noSpace)
      try await rig.queue.discard(at: 512, byteCount: 512)
      #expect(try await write(3) == nil)
      #expect(try await write(1) == .noSpace)
    }
  }

  @Test("lies about a flush: nothing below is flushed")
  func lie() throws {
    try LayerRig.run({ FaultLayer(StatisticsLayer($0), rules: [.lyingFlush]) }) { (rig: LayerRig) async throws in
      try await rig.queue.flush()
      try await rig.queue.flush()
      #expect(rig.layer(StatisticsLayer.self).statistics.lines[.flush]?.requestCount == 1)
    }
  }

  @Test("fires by names of ranges")
  func regions() throws {
    try Self.run(["write@bitmap:EIO"]) { (rig: LayerRig) async throws in
      rig.layer(FaultLayer.self).regions = [NamedRegion("bitmap", 1024..<2048)]
      #expect(try await errno { () async throws(DeviceError) in try await rig.write(1, 9) } == nil)
      #expect(try await errno { () async throws(DeviceError) in try await rig.write(2, 9) } == .ioError)
    }
  }

  @Test("does the same again from the same seed")
  func repeats() throws {
    func pattern(_ seed: UInt64) throws -> [Bool] {
      try Self.run(["write:EIO,p=0.3"], seed: seed) { (rig: LayerRig) async throws in
        var failed: [Bool] = []
        for block in 0..<40 {
          failed.append(try await errno { () async throws(DeviceError) in try await rig.write(block, 9) } != nil)
        }
        return failed
      }
    }
    #expect(try pattern(5) == pattern(5))
    #expect(try pattern(5) != pattern(6))
    #expect(try (4...22).contains(pattern(5).filter { $0 }.count))
  }

  @Test("that tells an end twice is caught by the strict layer, and does no harm")
  func duplicate() throws {
    try LayerRig.run({ StrictLayer(FaultLayer($0, rules: [.duplicate])) }) { (rig: LayerRig) async throws in
      try await rig.write(8, 200)
      #expect(
        rig.layer(StrictLayer.self).violations.map(\.description).first == "write of bytes 4096 to 4608 completed twice"
      )
      #expect(rig.queue.outstandingCount == 0 && rig.queue.counters.spuriousCompletions == 0)
    }
  }

  @Test(
    "that tells an end twice is caught by the queue, which counts it, and goes on with the same tags",
    arguments: ["any:duplicate", "any!complete:duplicate"])
  func duplicateAtQueue(rule: String) throws {
    try Self.run([rule]) { (rig: LayerRig) async throws in
      for round in 0..<20 {
        let byte = UInt8(100 + round)
        await withTaskGroup(of: Void.self) { group in
          for block in 0..<12 { group.addTask { try? await rig.write(2 * block, byte) } }
        }
        let found = try await rig.blocks(4, count: 1)
        #expect(found == [byte])
      }
      try await rig.queue.flush()
      let reports = rig.layer(FaultLayer.self).reports
      #expect(rig.queue.counters.spuriousCompletions == UInt64(reports[0].fireCount) && reports[0].fireCount > 20)
      #expect(rig.queue.outstandingCount == 0)
    }
  }

  @Test("that tells a short transfer twice does not make the queue leave bytes out")
  func duplicateOfShort() throws {
    let found = try Self.run(["write:short=512,count=1", "write!complete:duplicate,count=1"]) {
      (rig: LayerRig) async throws in
      try await rig.write(8, count: 4, 200)
      #expect(rig.queue.counters.spuriousCompletions == 1)
      return try await rig.blocks(8, count: 4)
    }
    #expect(found == [200, 200, 200, 200])
  }
}

extension FaultRule {
  static var lyingFlush: FaultRule {
    var rule = FaultRule(.lie)
    rule.operations = [.flush]
    rule.count = 1
    return rule
  }
  static var duplicate: FaultRule {
    var rule = FaultRule(.duplicate)
    rule.count = 1
    return rule
  }
}
