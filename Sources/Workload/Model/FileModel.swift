// What a file should hold, kept exactly while many tasks work on it.
//
// Operations that change a file take their effect somewhere between call and return, and no caller can tell in which
// order two of them did. So those on ONE file take turns (`changes`): writers, appenders and truncators of a file wait for
// each other here, where they would wait for the inode's lock otherwise, and the model is exact. Everything else runs
// beside them: reads, fsync, other files, and background writeback, which is the other side of every race this program
// is about. A read that runs beside a change may find the file as it was before the change or as it was after it; it
// notes all that it may find (`Observation`) and is compared with that.
internal import Reactor

/// The expected contents of one file. Confined to the run's reactor.
final class FileModel {
  /// What is about to happen to a file.
  enum Change: Equatable {
    case write(Range<UInt64>, generation: UInt32)
    case resize(UInt64)
  }

  /// A read that is under way: what it may find.
  final class Observation {
    let units: Range<Int>
    /// For each unit, the states it has had since the read began.
    fileprivate(set) var candidates: [[UnitState]]
    fileprivate(set) var smallestByteCount: UInt64
    fileprivate(set) var largestByteCount: UInt64

    fileprivate init(_ units: Range<Int>, _ candidates: [[UnitState]], byteCount: UInt64) {
      self.units = units
      self.candidates = candidates
      smallestByteCount = byteCount
      largestByteCount = byteCount
    }
    fileprivate func add(_ state: UnitState, of unit: Int) {
      let index = unit - units.lowerBound
      if candidates[index].last != state { candidates[index].append(state) }
    }
    fileprivate func add(byteCount: UInt64) {
      smallestByteCount = min(smallestByteCount, byteCount)
      largestByteCount = max(largestByteCount, byteCount)
    }
  }

  /// The file's number in its contents.
  let id: UInt32
  /// Where the file is in the root directory, or was; rename changes it.
  var name: String
  /// Whether the root directory has it.
  var isPresent = true
  /// False after a failed change of names: nobody knows whether it is there.
  var isNameCertain = true
  /// An operation on its name is under way: no other begins.
  var changesName = false
  /// Operations that use it. They may outlive its name.
  var userCount = 0
  /// Bytes of a unit: what one entry of the model stands for.
  let unitSize: Int
  /// Held around each change, from before its call to after its return.
  let changes: AsyncLock
  /// The size in bytes, but for a change under way.
  private(set) var byteCount: UInt64 = 0
  /// False after an operation whose effect is not known, because it failed halfway: the file is not compared any more.
  private(set) var isExact = true
  /// Whether the file was there before the run: what it held then is not known.
  private let isForeign: Bool

  /// One generation a unit, or `mixed`.
  private var generations: [UInt32] = []
  private var mixedUnits: [Int: UnitState] = [:]
  private static let mixed = UInt32.max - 1
  private var lastGeneration: UInt32 = 0
  private var pending: Change?
  private var observations: [Observation] = []

  /// The model of a file that has `byteCount` unknown bytes, or none.
  init(_ reactor: Reactor, id: UInt32, name: String, unitSize: Int, byteCount: UInt64 = 0) {
    self.id = id
    self.name = name
    self.unitSize = unitSize
    changes = AsyncLock(reactor, "the changes of \(name)")
    isForeign = byteCount > 0
    resize(to: byteCount)
    if isForeign { for unit in generations.indices { generations[unit] = UnitState.unknown } }
  }

  // MARK: States

  /// What the unit should hold now; zeroes past the end.
  func state(of unit: Int) -> UnitState {
    guard unit < generations.count else { return UnitState(ContentStamp.zeroes) }
    let generation = generations[unit]
    if generation == Self.mixed, let state = mixedUnits[unit] { return state }
    return UnitState(generation)
  }

  private func set(_ state: UnitState, of unit: Int) {
    if let generation = state.uniform {
      if generations[unit] == Self.mixed { mixedUnits[unit] = nil }
      generations[unit] = generation
    } else {
      generations[unit] = Self.mixed
      mixedUnits[unit] = state
    }
  }

  private func range(of unit: Int) -> Range<UInt64> {
    UInt64(unit) * UInt64(unitSize)..<(UInt64(unit) + 1) * UInt64(unitSize)
  }

  /// What the unit should hold after a change.
  private func state(of unit: Int, after change: Change) -> UnitState {
    var state = state(of: unit)
    let unitRange = range(of: unit)
    switch change {
    case .write(let range, let generation):
      let part = range.clamped(to: unitRange)
      if !part.isEmpty { state.overlay(inUnit(part, unitRange), generation, unitSize: unitSize) }
    case .resize(let size):
      if size < unitRange.upperBound && size < byteCount {
        let part = max(size, unitRange.lowerBound)..<unitRange.upperBound
        state.overlay(inUnit(part, unitRange), ContentStamp.zeroes, unitSize: unitSize)
      }
    }
    return state
  }

  private func inUnit(_ range: Range<UInt64>, _ unit: Range<UInt64>) -> Range<Int> {
    Int(range.lowerBound - unit.lowerBound)..<Int(range.upperBound - unit.lowerBound)
  }

  // MARK: Changes, by the holder of `changes`

  /// The generation for the next write.
  func nextGeneration() -> UInt32 {
    lastGeneration += 1
    return lastGeneration
  }

  /// Announces a change: from here on reads may find it.
  func begin(_ change: Change) {
    precondition(changes.isLocked && pending == nil, "changes of one file take turns")
    pending = change
    for observation in observations { note(change, for: observation) }
  }

  /// Ends the announced change. `done`: what became of it, which may be less; nil when that is not known.
  func end(_ done: Change?) {
    pending = nil
    guard let done else {
      isExact = false
      return
    }
    switch done {
    case .write(let range, _):
      if range.upperBound > byteCount { resize(to: range.upperBound) }
      for unit in units(of: range) { set(state(of: unit, after: done), of: unit) }
    case .resize(let size):
      let tail = Int(size / UInt64(unitSize))
      if size < byteCount, size % UInt64(unitSize) != 0 { set(state(of: tail, after: done), of: tail) }
      resize(to: size)
    }
    for observation in observations {
      observation.add(byteCount: byteCount)
      for unit in observation.units { observation.add(state(of: unit), of: unit) }
    }
  }

  /// The announced change did not happen.
  func cancel() { pending = nil }

  private func resize(to size: UInt64) {
    let count = Int((size + UInt64(unitSize) - 1) / UInt64(unitSize))
    if count < generations.count {
      for unit in count..<generations.count where generations[unit] == Self.mixed { mixedUnits[unit] = nil }
      generations.removeLast(generations.count - count)
    } else {
      generations.append(contentsOf: repeatElement(ContentStamp.zeroes, count: count - generations.count))
    }
    byteCount = size
  }

  private func units(of range: Range<UInt64>) -> Range<Int> {
    if range.isEmpty { return 0..<0 }
    let size = UInt64(unitSize)
    return Int(range.lowerBound / size)..<Int((range.upperBound - 1) / size) + 1
  }

  // MARK: Reads

  /// Begins to note what a read of that range may find; to be ended with `end`.
  func observe(_ range: Range<UInt64>) -> Observation {
    let units = units(of: range)
    let observation = Observation(units, units.map { [state(of: $0)] }, byteCount: byteCount)
    if let pending { note(pending, for: observation) }
    observations.append(observation)
    return observation
  }

  func end(_ observation: Observation) { observations.removeAll { $0 === observation } }

  private func note(_ change: Change, for observation: Observation) {
    switch change {
    case .write(let range, _): observation.add(byteCount: max(byteCount, range.upperBound))
    case .resize(let size): observation.add(byteCount: size)
    }
    for unit in observation.units { observation.add(state(of: unit, after: change), of: unit) }
  }
}
