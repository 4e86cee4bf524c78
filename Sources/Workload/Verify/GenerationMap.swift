// What each unit of an area may hold, while many operations on it are in flight.
//
// Nobody can tell in which order two operations take effect that are in flight together. So a unit has a set of values:
//
//   begun    g joins the operations in flight. What completed before is older than g.
//   done     g is there, or something that completed after g had begun, and nothing that completed before.
//   failed   g is there, or what was there before, or sectors of both.
//
// A read finds what its units held when it began, or something that began before its end. A unit that may hold several
// values may hold sectors of several of them.
//
// After a power cut each unit holds at least what was durable. A flush that succeeds covers what had completed before it began,
// nothing else; so does forced unit access for its own write. The durable value is a lower bound: whatever was written
// to the unit later may be there or not.
//
// Memory: 8 bytes a unit (0.2% of what is written in units of 4 KiB), some 100 more for each unit that has operations in
// flight or several values, and at most 16 MiB for what waits for a flush.

/// What verification takes care of, each of which a test switches off to see that somebody notices.
struct SwitchedOffCare: OptionSet {
  let rawValue: UInt8
  /// What completed beside an operation stays possible.
  static let keepsSets = Self(rawValue: 1 << 0)
  /// A failed write may be there, or not.
  static let failuresAreOpen = Self(rawValue: 1 << 1)
  /// A read may find what began while it was under way.
  static let readsSeeLaterWrites = Self(rawValue: 1 << 2)
  /// A flush covers what completed before it began.
  static let flushesCoverTheirPast = Self(rawValue: 1 << 3)
  /// What is zeroed or trimmed was durable, and is no more.
  static let zeroingEndsDurability = Self(rawValue: 1 << 4)
  /// What is trimmed may read as anything.
  static let trimsAreOpen = Self(rawValue: 1 << 5)
}

/// The values that the units of an area may have.
///
/// A value is a generation; `anything`, which is what nobody knows; or a generation with the highest bit, for zeroes that
/// this operation has put there.
final class GenerationMap {
  static let anything: UInt32 = 0
  private static let zeroBit: UInt32 = 1 << 31
  static func number(_ value: UInt32) -> UInt32 { value & ~zeroBit }
  static func isZeroed(_ value: UInt32) -> Bool { value & zeroBit != 0 }
  static func zeroes(by generation: UInt32) -> UInt32 { generation | zeroBit }

  /// What an operation leaves in its units.
  enum Effect { case blocks, zeroes, unknown }

  /// An operation in flight.
  struct Change {
    let units: Range<Int>
    let generation: UInt32
    fileprivate let value: UInt32
  }

  /// What a flush in flight covers.
  final class Flush {
    fileprivate var covered: [Covered] = []
    fileprivate var spoiled: [Int: UInt32] = [:]
    /// Nil: `covered` has everything. Else operations before that one had all ended.
    fileprivate var horizon: UInt32?
  }
  fileprivate struct Covered {
    let first: Int
    let count: Int32
    let value: UInt32
  }

  /// A read in flight.
  final class Observation {
    let units: Range<Int>
    fileprivate var plain: [UInt32]
    fileprivate var sets: [Int: [UInt32]] = [:]
    fileprivate var later: [(units: Range<Int>, value: UInt32)] = []
    fileprivate init(_ units: Range<Int>, _ plain: [UInt32]) {
      self.units = units
      self.plain = plain
    }
  }

  /// A unit with operations in flight, or several values.
  private struct Busy {
    /// What may be there, with the number of operations that had begun when it came.
    var settled: [(value: UInt32, since: UInt32)]
    var inFlight: [(value: UInt32, generation: UInt32)] = []
    var candidates: [UInt32] { settled.map(\.value) + inFlight.map(\.value) }
    /// What is there at least.
    var lowest: UInt32 { candidates.min { number($0) < number($1) } ?? anything }
  }

  /// The bytes of the device that it is about, whole units.
  let range: Range<UInt64>
  let unit: Int
  private let switchedOff: SwitchedOffCare
  private var values: [UInt32]
  private var durable: [UInt32]
  private var busy: [Int: Busy] = [:]
  private var generation: UInt32 = 0
  private var begun: [UInt32] = []
  private var observations: [Observation] = []
  /// What completed since the last flush began.
  private var next = Flush()
  private var flushes: [Flush] = []
  /// Operations before that one are no more covered by flushes: one has failed since.
  private var creditable: UInt32 = 1
  private let coverLimit: Int
  private static let setLimit = 64
  /// More operations than these have no number.
  static let generationLimit = zeroBit - 2

  static func memory(byteCount: UInt64, unit: Int) -> UInt64 { byteCount / UInt64(unit) * 8 }

  init(
    _ range: Range<UInt64>, unit: Int, coverLimit: Int = 1 << 20, switchedOff: SwitchedOffCare = []
  ) {
    self.range = range
    self.unit = unit
    self.coverLimit = coverLimit
    self.switchedOff = switchedOff
    let count = range.count / unit
    values = [UInt32](repeating: Self.anything, count: count)
    durable = values
  }

  var unitCount: Int { values.count }
  /// How many operations have begun.
  var operationCount: UInt32 { generation }
  /// The units of a range that lies inside, whole where `range` covers them.
  func units(_ part: Range<UInt64>) -> Range<Int> {
    let size = UInt64(unit)
    let end = min(UInt64(values.count), (part.upperBound - range.lowerBound + size - 1) / size)
    return Int((part.lowerBound - range.lowerBound) / size)..<Int(end)
  }
  func offset(of unit: Int) -> UInt64 { range.lowerBound + UInt64(unit) * UInt64(self.unit) }

  // MARK: Changes

  /// An operation begins; nil when there is no number left for it.
  func begin(_ units: Range<Int>, _ effect: Effect) -> Change? {
    guard generation < Self.generationLimit else { return nil }
    generation += 1
    let value =
      switch effect {
      case .blocks: generation
      case .zeroes: Self.zeroes(by: generation)
      case .unknown: Self.anything
      }
    begun.append(generation)
    for unit in units {
      var entry = busy.removeValue(forKey: unit) ?? Busy(settled: [(values[unit], 0)])
      entry.inFlight.append((value, generation))
      busy[unit] = entry
    }
    if effect != .blocks && !switchedOff.contains(.zeroingEndsDurability) {
      for unit in units {
        durable[unit] = Self.anything
        next.spoiled[unit] = generation
        for flush in flushes { flush.spoiled[unit] = generation }
      }
    }
    if !switchedOff.contains(.readsSeeLaterWrites) {
      for observation in observations where observation.units.overlaps(units) {
        observation.later.append((units, value))
      }
    }
    return Change(units: units, generation: generation, value: value)
  }

  /// An operation has ended. `isDurable`: by forced unit access.
  func end(_ change: Change, isDone: Bool, isDurable: Bool = false) {
    if let index = begun.firstIndex(of: change.generation) { begun.remove(at: index) }
    var bounds: [Covered] = []
    for unit in change.units {
      guard var entry = busy.removeValue(forKey: unit) else { continue }
      entry.inFlight.removeAll { $0.generation == change.generation }
      if isDone {
        entry.settled.removeAll { $0.since < change.generation || switchedOff.contains(.keepsSets) }
      }
      if isDone || !switchedOff.contains(.failuresAreOpen) {
        entry.settled.append((change.value, generation))
        if change.value == Self.anything && switchedOff.contains(.trimsAreOpen) {
          entry.settled[entry.settled.count - 1].value = Self.zeroes(by: change.generation)
        }
      }
      // Something fails here again and again: nobody has to know what is there.
      if entry.settled.count > Self.setLimit { entry.settled = [(Self.anything, generation)] }
      let lowest = entry.lowest
      if isDone && lowest != Self.anything {
        if isDurable { raise(unit, to: lowest) }
        if let last = bounds.last, last.value == lowest, last.first + Int(last.count) == unit {
          bounds[bounds.count - 1] = Covered(first: last.first, count: last.count + 1, value: lowest)
        } else {
          bounds.append(Covered(first: unit, count: 1, value: lowest))
        }
      }
      if entry.inFlight.isEmpty && entry.settled.count == 1 {
        values[unit] = entry.settled[0].value
      } else {
        busy[unit] = entry
      }
    }
    let noted = switchedOff.contains(.flushesCoverTheirPast) ? flushes.last ?? next : next
    if isDurable { return }
    if noted.covered.count + bounds.count <= coverLimit {
      noted.covered += bounds
    } else {
      noted.horizon = 0
    }
  }

  private func raise(_ unit: Int, to value: UInt32) {
    if Self.number(value) > Self.number(durable[unit]) { durable[unit] = value }
  }

  // MARK: Flushes

  /// A flush goes to the device.
  func beginFlush() -> Flush {
    let flush = next
    if flush.horizon != nil { flush.horizon = begun.min() ?? generation + 1 }
    next = Flush()
    flushes.append(flush)
    return flush
  }

  /// A flush has ended.
  func end(_ flush: Flush, isDone: Bool) {
    flushes.removeAll { $0 === flush }
    guard isDone else {
      // What it was to cover may never become durable, whatever a later flush says: the kernel marks what it could not
      // write as clean (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020).
      next.covered = []
      next.horizon = nil
      creditable = generation + 1
      return
    }
    for entry in flush.covered {
      for unit in entry.first..<entry.first + Int(entry.count) {
        if let spoiler = flush.spoiled[unit], Self.number(entry.value) < spoiler { continue }
        raise(unit, to: entry.value)
      }
    }
    guard let horizon = flush.horizon else { return }
    for unit in values.indices where busy[unit] == nil {
      let number = Self.number(values[unit])
      if number < horizon && number >= creditable { raise(unit, to: values[unit]) }
    }
  }

  // MARK: Reads

  /// A read begins.
  func observe(_ units: Range<Int>) -> Observation {
    let observation = Observation(units, Array(values[units]))
    if !busy.isEmpty { for unit in units { observation.sets[unit] = busy[unit]?.candidates } }
    observations.append(observation)
    return observation
  }

  /// A read has ended.
  func end(_ observation: Observation) { observations.removeAll { $0 === observation } }

  // MARK: What is expected

  /// What a read may have found.
  func expectation(of unit: Int, _ observation: Observation) -> BlockExpectation {
    var candidates = observation.sets[unit] ?? [observation.plain[unit - observation.units.lowerBound]]
    for later in observation.later where later.units.contains(unit) { candidates.append(later.value) }
    return candidates.contains(Self.anything) ? .anything : .oneOf(candidates)
  }

  /// What may be there now, without a power cut.
  func candidates(of unit: Int) -> [UInt32] { busy[unit]?.candidates ?? [values[unit]] }
  /// What is there at least, also after a power cut.
  func durableValue(of unit: Int) -> UInt32 { durable[unit] }
  /// Whether something is known about the unit.
  func isKnown(_ unit: Int) -> Bool {
    if let entry = busy[unit] { return !entry.candidates.contains(Self.anything) }
    return values[unit] != Self.anything
  }
  /// Whether operations on it are in flight.
  var isBusy: Bool { !begun.isEmpty }

  /// Takes over what an earlier run has left.
  func restore(_ unit: Int, candidates: [UInt32], durable: UInt32) {
    self.durable[unit] = durable
    values[unit] = candidates.count == 1 ? candidates[0] : Self.anything
    busy[unit] = candidates.count == 1 ? nil : Busy(settled: candidates.map { ($0, 0) })
  }
}
