import Reactor
import Testing

@testable import Workload

/// A device of a few units, each of which has one value, with a cache that a power cut takes: what a `GenerationMap` says
/// of it has to be true in every order of events.
private struct TinyDevice {
  struct Operation {
    let change: GenerationMap.Change
    let effect: GenerationMap.Effect
    var isApplied = false
  }
  struct Read {
    let observation: GenerationMap.Observation
    var found: [UInt32?]
  }

  var random: SeededGenerator
  let map: GenerationMap
  /// The value of each unit, and all that a power cut may leave instead. What a trim leaves is nobody's value: nil.
  private var now: [UInt32?]
  private var history: [[UInt32?]]
  /// How many values of each unit's history are gone for good, and which of all is the last that has completed.
  private var dropped = [Int](repeating: 0, count: 6)
  private var completed: [Int]
  private var operations: [Operation] = []
  private var reads: [Read] = []
  private var flushes: [(flush: GenerationMap.Flush, lengths: [Int])] = []
  private(set) var alarms: [String] = []

  init(seed: UInt64, switchedOff: SwitchedOffCare, coverLimit: Int) {
    random = SeededGenerator(seed: seed)
    map = GenerationMap(4096..<4096 + 6 * 512, unit: 512, coverLimit: coverLimit, switchedOff: switchedOff)
    now = [UInt32?](repeating: nil, count: 6)
    history = now.map { [$0] }
    completed = [Int](repeating: 0, count: 6)
  }

  private mutating func apply(_ index: Int, isWhole: Bool = true) {
    operations[index].isApplied = true
    let operation = operations[index]
    for unit in operation.change.units where isWhole || random.oneIn(2) {
      let value: UInt32? =
        switch operation.effect {
        case .blocks: operation.change.generation
        case .zeroes: GenerationMap.zeroes(by: operation.change.generation)
        case .unknown: nil
        }
      now[unit] = value
      history[unit].append(value)
    }
  }

  mutating func step() {
    switch random.below(12) {
    case 0..<3 where operations.count < 4:
      let first = random.below(6)
      let units = first..<first + 1 + random.below(6 - first)
      let effect: GenerationMap.Effect = random.oneIn(10) ? .zeroes : random.oneIn(12) ? .unknown : .blocks
      if let change = map.begin(units, effect) { operations.append(Operation(change: change, effect: effect)) }
    case 3..<5 where !operations.isEmpty:
      let index = random.below(operations.count)
      if !operations[index].isApplied { apply(index) }
    case 5..<8 where !operations.isEmpty: end(random.below(operations.count))
    case 8 where reads.count < 2:
      let first = random.below(6)
      let units = first..<first + 1 + random.below(6 - first)
      // What it finds it may find at once, or later.
      let found = units.map { random.oneIn(2) ? now[$0] : .some(.max) }
      reads.append(Read(observation: map.observe(units), found: found))
    case 9 where !reads.isEmpty: endRead(random.below(reads.count))
    case 10 where flushes.count < 2:
      flushes.append((map.beginFlush(), completed))
    case 11 where !flushes.isEmpty: endFlush(random.below(flushes.count))
    default: break
    }
    checkCut()
  }

  private mutating func end(_ index: Int) {
    let isDone = !random.oneIn(6)
    if isDone {
      if !operations[index].isApplied { apply(index) }
    } else if !operations[index].isApplied && random.oneIn(2) {
      apply(index, isWhole: false)
    }
    let operation = operations.remove(at: index)
    map.end(operation.change, isDone: isDone)
    // What was applied before something that has completed cannot come back once that is durable.
    if isDone {
      for unit in operation.change.units {
        let value: UInt32? =
          operation.effect == .blocks
          ? operation.change.generation
          : operation.effect == .zeroes ? GenerationMap.zeroes(by: operation.change.generation) : nil
        if let place = history[unit].lastIndex(of: value) {
          completed[unit] = max(completed[unit], dropped[unit] + place)
        }
      }
    }
    if operations.isEmpty && reads.isEmpty {
      for unit in 0..<map.unitCount where map.isKnown(unit) {
        expect(map.candidates(of: unit).contains(now[unit] ?? .max), "unit \(unit) holds \(text(now[unit]))")
      }
    }
  }

  private mutating func endRead(_ index: Int) {
    let read = reads.remove(at: index)
    for (position, unit) in read.observation.units.enumerated() {
      let found = read.found[position] == .max ? now[unit] : read.found[position]
      if case .oneOf(let values) = map.expectation(of: unit, read.observation) {
        expect(values.contains(found ?? .max), "a read of unit \(unit) found \(text(found)), not of \(values)")
      }
    }
    map.end(read.observation)
  }

  private mutating func endFlush(_ index: Int) {
    let (flush, lengths) = flushes.remove(at: index)
    let isDone = !random.oneIn(5)
    if isDone {
      for unit in history.indices {
        // The last of what had completed is durable, or something later.
        let gone = lengths[unit] - dropped[unit]
        if gone > 0 {
          history[unit].removeFirst(gone)
          dropped[unit] += gone
        }
      }
    }
    map.end(flush, isDone: isDone)
  }

  /// After a cut now each unit holds any value since the last durable one.
  private mutating func checkCut() {
    for unit in history.indices {
      let least = map.durableValue(of: unit)
      if least == GenerationMap.anything { continue }
      let lost = history[unit].first { $0.map { GenerationMap.number($0) < GenerationMap.number(least) } ?? true }
      if let lost { expect(false, "after a cut unit \(unit) holds \(text(lost)), durable was \(least)") }
    }
  }

  private mutating func expect(_ holds: Bool, _ what: String) {
    if !holds { alarms.append(what) }
  }
  private func text(_ value: UInt32?) -> String { value.map { "\($0)" } ?? "anything" }
}

@Suite("What a block may hold")
struct GenerationMapTests {
  private static func alarms(seeds: Range<UInt64>, _ switchedOff: SwitchedOffCare = [], coverLimit: Int = 1 << 20)
    -> [String]
  {
    for seed in seeds {
      var device = TinyDevice(seed: seed, switchedOff: switchedOff, coverLimit: coverLimit)
      for _ in 0..<200 { device.step() }
      if let first = device.alarms.first { return ["seed \(seed): \(first)"] }
    }
    return []
  }

  @Test("is never less than what it does, in any order of events", arguments: [1 << 20, 3])
  func noFalseAlarm(coverLimit: Int) {
    #expect(Self.alarms(seeds: 0..<2000, coverLimit: coverLimit) == [])
  }

  @Test(
    "is missed where a rule is left out",
    arguments: [
      ("a set keeps only the last generation", SwitchedOffCare.keepsSets),
      ("failed writes are not there", .failuresAreOpen),
      ("reads do not see later writes", .readsSeeLaterWrites),
      ("flushes cover what ends during them", .flushesCoverTheirPast),
      ("zeroing leaves what was durable", .zeroingEndsDurability), ("trims leave zeroes", .trimsAreOpen),
    ])
  func mutants(name: String, rule: SwitchedOffCare) {
    #expect(Self.alarms(seeds: 0..<2000, rule) != [], "\(name)")
  }

  @Test("is one generation again when a later write has ended")
  func settles() throws {
    let map = GenerationMap(0..<4096, unit: 512)
    let first = try #require(map.begin(0..<4, .blocks)), second = try #require(map.begin(2..<6, .blocks))
    map.end(second, isDone: true)
    map.end(first, isDone: true)
    #expect((0..<8).map { map.candidates(of: $0).sorted() } == [[1], [1], [1, 2], [1, 2], [2], [2], [0], [0]])
    let third = try #require(map.begin(1..<4, .blocks))
    #expect(map.candidates(of: 2).sorted() == [1, 2, 3])
    map.end(third, isDone: true)
    #expect(map.candidates(of: 2) == [3] && map.candidates(of: 0) == [1])
  }

  @Test("is what was there before, or the new block, after a write that failed")
  func failure() throws {
    let map = GenerationMap(0..<512, unit: 512)
    map.end(try #require(map.begin(0..<1, .blocks)), isDone: true)
    map.end(try #require(map.begin(0..<1, .blocks)), isDone: false)
    #expect(map.candidates(of: 0) == [1, 2])
    // One that fails again and again makes it unknown, in bounded memory.
    for _ in 0..<100 { map.end(try #require(map.begin(0..<1, .blocks)), isDone: false) }
    #expect(!map.isKnown(0) && map.candidates(of: 0).count <= 64)
    map.end(try #require(map.begin(0..<1, .blocks)), isDone: true)
    #expect(map.candidates(of: 0) == [103])
  }

  @Test("is durable when a flush ends well that began after the write's end, or by forced unit access")
  func durability() throws {
    let map = GenerationMap(0..<2048, unit: 512)
    let slow = try #require(map.begin(0..<1, .blocks)), quick = try #require(map.begin(1..<2, .blocks))
    map.end(quick, isDone: true)
    let flush = map.beginFlush()
    map.end(slow, isDone: true)
    map.end(flush, isDone: true)
    #expect((0..<2).map { map.durableValue(of: $0) } == [0, 2])
    let failing = map.beginFlush()
    map.end(failing, isDone: false)
    // What a failed flush was to cover is not covered by the next.
    map.end(map.beginFlush(), isDone: true)
    #expect(map.durableValue(of: 0) == 0)
    map.end(try #require(map.begin(0..<1, .blocks)), isDone: true, isDurable: true)
    #expect(map.durableValue(of: 0) == 3)
  }
}
