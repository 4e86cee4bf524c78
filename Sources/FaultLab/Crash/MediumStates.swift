// What a power cut may leave on a medium, enumerated from what a device was asked for.
//
// A write is pending from the moment the device has it until it is durable: because it completed before the submission
// of a flush that succeeded, or by forced unit access. A cut keeps any subset of the pending writes, and any sectors of
// each. The set grows with each write and shrinks with each flush, so that every cut between two flushes leaves a state
// that the cut just before the second may leave as well: it is enough to look there, and wherever what a judge expects
// changes, which marks say (compare CrashMonkey: Mohan et al., "Finding Crash-Consistency Bugs with Bounded Black-Box
// Crash Testing", OSDI 2018, which samples within such an epoch, and does not count).
internal import BlockDevice
public import DeviceLayers
public import Ext2Tools
internal import Reactor

/// Which subsets of the pending writes are looked at.
public enum SubsetRule: Sendable, Equatable {
  /// All while there are at most twelve; beyond that none, all, prefixes, each one missing, each one alone, pairs, and
  /// seeded samples.
  case automatic
  /// All, however many.
  case exhaustive
  /// None, all, and that many seeded ones.
  case sample(Int)
}

/// One state of a medium, while it is looked at.
public struct MediumState: Sendable {
  /// A hash of how the medium differs from what it held at first: states with equal hashes are equal, but for one chance
  /// in 2^64 a pair.
  public let hash: UInt64
  /// The position in the history's events of the cut.
  public let event: Int
  /// The pending writes, as indices into the history's writes.
  public let pending: [Int]
  /// Which of them are there.
  public let kept: [Bool]
  /// The write of which only some sectors are there, and these, counted from its start.
  public let torn: (write: Int, sectors: Range<Int>)?
}

/// Walks through all states. A judge sees each on the same image, changed in place.
public struct MediumStates {
  /// Bytes that reach the medium together or not at all.
  public let sectorByteCount: Int
  /// Pending writes of which all subsets are tried by `automatic`.
  public static let exhaustiveLimit = 12
  private let rule: SubsetRule
  private var random: SeededGenerator

  /// Whether all subsets were tried at every cut so far.
  public private(set) var isExhaustive = true
  /// Cuts that were looked at.
  public private(set) var cutCount = 0

  /// Told of the sectors that change in the image.
  package var changes: SectorSet?

  private let history: DeviceHistory
  private let zeroes: [UInt8]
  private let base: [UInt8]
  private var durableHash: UInt64 = 0
  /// The newest write that is durable in each sector, plus one; 0: it is as it was at first.
  private var durableWrite: [Int32]
  private var pending: [Int] = []
  private var completed: Set<Int> = []
  /// What each flush that is out covers.
  private var covered: [Int: [Int]] = [:]

  /// The states that follow from a history on a medium that held `base`. `seed` draws the samples.
  public init(
    of history: DeviceHistory, on base: [UInt8], rule: SubsetRule = .automatic, sectorByteCount: Int = 512,
    seed: UInt64 = 1
  ) {
    self.history = history
    self.rule = rule
    self.sectorByteCount = sectorByteCount
    zeroes = [UInt8](repeating: 0, count: sectorByteCount)
    self.base = base
    durableWrite = [Int32](repeating: 0, count: base.count / sectorByteCount)
    random = SeededGenerator(seed: seed)
  }

  /// Visits every state at every cut that matters.
  ///
  /// - Parameters:
  ///   - image: holds the base at first and again at the end, and each state in between.
  ///   - mark: told of each mark, after the states before it. Returns whether a judge expects something else from here on
  ///     than before, so that a cut right before the next such mark has to be looked at.
  ///   - visit: looks at a state. Returns false to stop.
  public mutating func forEach(
    on image: MemoryBytes, mark: (String) -> Bool = { _ in false }, visit: (MediumState) -> Bool
  ) {
    defer {
      for sector in durableWrite.indices where durableWrite[sector] > 0 {
        store(base[sector * sectorByteCount..<(sector + 1) * sectorByteCount], in: sector, image)
      }
    }
    var isWorthACut = true
    for (index, event) in history.events.enumerated() {
      switch event {
      case .started(let write):
        pending.append(write)
        isWorthACut = true
      case .completed(let write, let isDone):
        guard isDone else { continue }
        if history.writes[write].isFUA {
          if !cut(index, image, visit) { return }
          makeDurable([write], image)
        } else {
          completed.insert(write)
        }
      case .flushStarted(let number): covered[number] = pending.filter(completed.contains)
      case .flushCompleted(let number, let isDone):
        guard isDone, let writes = covered.removeValue(forKey: number), !writes.isEmpty else { continue }
        if isWorthACut && !cut(index, image, visit) { return }
        makeDurable(writes, image)
      case .mark(let text):
        // Before it what is expected was what it was.
        if isWorthACut && !cut(index, image, visit) { return }
        isWorthACut = mark(text)
      }
    }
    if isWorthACut { _ = cut(history.events.count, image, visit) }
  }

  // MARK: What is durable

  private mutating func makeDurable(_ writes: [Int], _ image: MemoryBytes) {
    let gone = Set(writes)
    pending.removeAll(where: gone.contains)
    completed.subtract(gone)
    for index in writes {
      let write = history.writes[index]
      for sector in sectors(of: write) where durableWrite[sector] <= index {
        durableHash ^= hash(sector, durable(sector))
        durableWrite[sector] = Int32(index + 1)
        let bytes = contents(sector, of: write)
        durableHash ^= hash(sector, bytes)
        store(bytes, in: sector, image)
      }
    }
  }

  /// The bytes that a write puts into a sector.
  private func contents(_ sector: Int, of write: RecordedWrite) -> ArraySlice<UInt8> {
    if write.bytes.isEmpty { return zeroes[...] }
    let from = sector * sectorByteCount - Int(write.offset)
    return write.bytes[from..<from + sectorByteCount]
  }

  /// The bytes that a sector has durably.
  private func durable(_ sector: Int) -> ArraySlice<UInt8> {
    let write = Int(durableWrite[sector]) - 1
    if write >= 0 { return contents(sector, of: history.writes[write]) }
    return base[sector * sectorByteCount..<(sector + 1) * sectorByteCount]
  }

  private func store(_ bytes: ArraySlice<UInt8>, in sector: Int, _ image: MemoryBytes) {
    image.store(bytes, at: sector * sectorByteCount)
    changes?.insert(bytes: sector * sectorByteCount..<(sector + 1) * sectorByteCount)
  }

  private func sectors(of write: RecordedWrite) -> Range<Int> {
    Int(write.range.lowerBound) / sectorByteCount..<Int(write.range.upperBound) / sectorByteCount
  }

  private func hash(_ sector: Int, _ bytes: ArraySlice<UInt8>) -> UInt64 {
    var hash = StableHash(UInt64(truncatingIfNeeded: sector) &* 0x9E37_79B9_7F4A_7C15)
    hash.add(bytes)
    return hash.value
  }

  // MARK: One cut

  /// A sector that pending writes change, and the place in `cut`'s list of writers from which its writers stand.
  private struct TouchedSector {
    let sector: Int
    var writers: [(write: Int, hash: UInt64)]
    /// The place among its writers of the one whose bytes the image holds; -1: the durable ones.
    var current = -1
  }

  private mutating func cut(_ event: Int, _ image: MemoryBytes, _ visit: (MediumState) -> Bool) -> Bool {
    cutCount += 1
    var touched = touchedSectors()
    defer { for index in touched.indices { put(-1, &touched[index], image) } }
    var goesOn = true
    func look(_ kept: [Bool], torn: (write: Int, sectors: Range<Int>)? = nil) -> Bool {
      guard goesOn else { return false }
      var hash = durableHash
      for index in touched.indices {
        let sector = touched[index].sector
        var winner = touched[index].writers.count - 1
        while winner >= 0 {
          let write = touched[index].writers[winner].write
          if kept[write], torn?.write != write || isInTorn(torn, sector, of: write) { break }
          winner -= 1
        }
        if winner != touched[index].current { put(winner, &touched[index], image) }
        if winner >= 0 { hash ^= touched[index].writers[winner].hash }
      }
      let named = torn.map { (write: pending[$0.write], sectors: $0.sectors) }
      goesOn = visit(MediumState(hash: hash, event: event, pending: pending, kept: kept, torn: named))
      return goesOn
    }
    var random = random
    let isComplete = forEachSubset(&random) { look($0) }
    self.random = random
    if !isComplete { isExhaustive = false }
    // A write that was cut in the middle: its first sectors, or its last, with all others there or none.
    for (index, write) in pending.enumerated() {
      let count = sectors(of: history.writes[write]).count
      guard count > 1 else { continue }
      let step = max(1, count / 8)
      for others in [false, true] {
        var kept = [Bool](repeating: others, count: pending.count)
        kept[index] = true
        for split in stride(from: step, to: count, by: step) {
          guard look(kept, torn: (index, 0..<split)), look(kept, torn: (index, split..<count)) else { return false }
        }
      }
    }
    return goesOn
  }

  private func isInTorn(_ torn: (write: Int, sectors: Range<Int>)?, _ sector: Int, of write: Int) -> Bool {
    guard let torn else { return true }
    return torn.sectors.contains(sector - sectors(of: history.writes[pending[write]]).lowerBound)
  }

  private func touchedSectors() -> [TouchedSector] {
    var places: [Int: Int] = [:]
    var touched: [TouchedSector] = []
    for (place, index) in pending.enumerated() {
      let write = history.writes[index]
      for sector in sectors(of: write) where durableWrite[sector] <= index {
        let change = hash(sector, contents(sector, of: write)) ^ hash(sector, durable(sector))
        if let known = places[sector] {
          touched[known].writers.append((place, change))
        } else {
          places[sector] = touched.count
          touched.append(TouchedSector(sector: sector, writers: [(place, change)]))
        }
      }
    }
    return touched
  }

  private func put(_ winner: Int, _ touched: inout TouchedSector, _ image: MemoryBytes) {
    guard winner != touched.current else { return }
    touched.current = winner
    let bytes =
      winner < 0
      ? durable(touched.sector)
      : contents(touched.sector, of: history.writes[pending[touched.writers[winner].write]])
    store(bytes, in: touched.sector, image)
  }

  // MARK: Subsets

  /// Ends when `body` returns false: there may be more of them than anybody waits for. Returns whether it takes all.
  private func forEachSubset(_ random: inout SeededGenerator, _ body: ([Bool]) -> Bool) -> Bool {
    let count = pending.count
    var kept = [Bool](repeating: false, count: count)
    if rule == .exhaustive || rule == .automatic && count <= Self.exhaustiveLimit {
      // In Gray's order one write changes from a state to the next, and the first of the list most often: the bytes of
      // files, since few judges have to look again for their sake.
      let order = pending.indices.filter(isFileData) + pending.indices.filter { !isFileData($0) }
      guard body(kept) else { return true }
      var number: UInt64 = 0
      while true {
        number += 1
        let index = number.trailingZeroBitCount
        guard index < count else { return true }
        kept[order[index]].toggle()
        guard body(kept) else { return true }
      }
    }
    var samples = 2 * count
    guard body(kept) else { return false }
    if case .sample(let wanted) = rule {
      samples = wanted
    } else {
      for index in 0..<count {
        kept[index] = true
        guard body(kept) else { return false }
      }
      for index in 0..<count {
        kept[index] = false
        guard body(kept) else { return false }
        kept[index] = true
      }
      kept = [Bool](repeating: false, count: count)
      for index in 0..<count {
        kept[index] = true
        guard body(kept) else { return false }
        // Pairs of neighbours in time and of whatever comes later, of very many only the nearer ones.
        for other in index + 1..<min(count, index + 1 + max(1, 2048 / count)) {
          kept[other] = true
          guard body(kept) else { return false }
          kept[other] = false
        }
        kept[index] = false
      }
    }
    for _ in 0..<samples {
      for index in kept.indices { kept[index] = random.oneIn(2) }
      guard body(kept) else { return false }
    }
    _ = body([Bool](repeating: true, count: count))
    return false
  }

  private func isFileData(_ place: Int) -> Bool { history.writes[pending[place]].isFileData }
}
