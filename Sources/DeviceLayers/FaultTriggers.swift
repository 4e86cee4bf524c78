// When rules fire: counts, probabilities, times, states, and what has healed.
internal import BlockDevice
internal import Reactor

/// What became of a rule.
public struct FaultReport: Equatable, Sendable {
  public let rule: FaultRule
  /// Requests that it was about.
  public internal(set) var matchCount = 0
  /// Requests that it did something to.
  public internal(set) var fireCount = 0

  /// Adds what became of the same rule elsewhere.
  public mutating func add(_ other: FaultReport) {
    matchCount += other.matchCount
    fireCount += other.fireCount
  }
}

/// A name of a range of bytes of the device, for rules about `super`, `bitmap` or `itable`.
public struct NamedRegion: Sendable {
  public let name: String
  public let bytes: Range<UInt64>
  public init(_ name: String, _ bytes: Range<UInt64>) {
    self.name = name
    self.bytes = bytes
  }
}

/// The rules of a layer and how often each has fired.
struct FaultTriggers {
  private(set) var reports: [FaultReport] = []
  private var firstFirings: [Instant?] = []
  /// Logical blocks that a rule does not concern any more, and failures of those that heal after some, by rule.
  private var healed: [Set<UInt64>] = []
  private var failures: [[UInt64: Int]] = []
  private var state = "start"
  var regions: [NamedRegion] = []
  private let sectorByteCount: UInt64
  private var allocatedSectors: Set<UInt64> = []

  init(sectorByteCount: Int) { self.sectorByteCount = UInt64(sectorByteCount) }

  var isEmpty: Bool { reports.isEmpty }

  mutating func add(_ rule: FaultRule) {
    reports.append(FaultReport(rule: rule))
    firstFirings.append(nil)
    healed.append([])
    failures.append([:])
  }

  /// The first rule that fires at this event, by index.
  mutating func fire(
    _ request: Request, _ event: FaultRule.Event, _ now: Instant, opened: Instant, _ random: inout SeededGenerator
  ) -> Int? {
    for index in reports.indices where reports[index].rule.event == event {
      let rule = reports[index].rule
      guard rule.concerns(request.operation), rule.state == nil || rule.state == state,
        rule.after.map({ now.nanoseconds(since: opened) >= $0 }) ?? true,
        let sectors = touched(by: request, rule.place, index)
      else { continue }
      if case .thin(let limit) = rule.action, takeRoom(for: request, limit) { continue }
      reports[index].matchCount += 1
      guard isDue(index, rule, now, &random) else { continue }
      reports[index].fireCount += 1
      firstFirings[index] = firstFirings[index] ?? now
      if let next = rule.nextState { state = next }
      if case .after(let limit) = rule.healing {
        for sector in sectors {
          failures[index][sector, default: 0] += 1
          if failures[index][sector] ?? 0 >= limit { healed[index].insert(sector) }
        }
      }
      return index
    }
    return nil
  }

  private func isDue(_ index: Int, _ rule: FaultRule, _ now: Instant, _ random: inout SeededGenerator) -> Bool {
    let report = reports[index]
    if let duration = rule.duration, let first = firstFirings[index], now.nanoseconds(since: first) > duration {
      return false
    }
    if let count = rule.count, report.fireCount >= count { return false }
    let first = rule.nth ?? rule.every ?? 1
    if report.matchCount < first { return false }
    if let every = rule.every, (report.matchCount - first) % every != 0 { return false }
    // Alone, the n-th is one request.
    if rule.nth != nil, rule.every == nil, rule.count == nil, rule.duration == nil, report.matchCount > first {
      return false
    }
    return rule.probability.map { random.unit() <= $0 } ?? true
  }

  // MARK: Places

  /// The logical blocks of a request that a rule is about, without those that have healed; nil for none. A flush has no blocks
  /// and is about the whole device.
  private func touched(by request: Request, _ place: FaultRule.Place, _ index: Int) -> Range<UInt64>? {
    let range = request.remainingRange
    let parts: [Range<UInt64>]
    switch place {
    case .anywhere: parts = [range]
    case .bytes(let ranges): parts = ranges
    case .blocks(let ranges):
      parts = ranges.map {
        sectorByteCount.multipliedFull($0.lowerBound)..<sectorByteCount.multipliedFull($0.upperBound)
      }
    case .data: parts = request.isFileData ? [range] : []
    case .metadata: parts = request.isFileData || request.operation == .flush ? [] : [range]
    case .inode(let number):
      var isConcerned = false
      request.forEachMerged { if $0.owner == number { isConcerned = true } }
      parts = isConcerned ? [range] : []
    case .named(let name): parts = regions.filter { $0.name == name }.map(\.bytes)
    }
    if request.operation == .flush { return parts.isEmpty ? nil : 0..<0 }
    for part in parts {
      let common = part.clamped(to: range)
      if common.isEmpty { continue }
      let sectors = common.lowerBound / sectorByteCount..<(common.upperBound + sectorByteCount - 1) / sectorByteCount
      if healed[index].isEmpty || sectors.contains(where: { !healed[index].contains($0) }) { return sectors }
    }
    return nil
  }

  // MARK: What writes do

  /// A write has been stored: bad blocks that heal by it are good.
  mutating func noteStored(_ range: Range<UInt64>) {
    let sectors = range.lowerBound / sectorByteCount..<range.upperBound / sectorByteCount
    for index in reports.indices where reports[index].rule.healing == .onWrite { healed[index].formUnion(sectors) }
  }

  /// Whether a write fits a thin device of that many bytes; its blocks are taken then.
  private mutating func takeRoom(for request: Request, _ limit: UInt64) -> Bool {
    let range = request.remainingRange
    let sectors = range.lowerBound / sectorByteCount..<range.upperBound / sectorByteCount
    let new = sectors.filter { !allocatedSectors.contains($0) }
    guard UInt64(allocatedSectors.count + new.count) * sectorByteCount <= limit else { return false }
    allocatedSectors.formUnion(new)
    return true
  }
  mutating func noteDiscarded(_ range: Range<UInt64>) {
    let gone = range.lowerBound / sectorByteCount..<range.upperBound / sectorByteCount
    allocatedSectors = allocatedSectors.filter { !gone.contains($0) }
  }
}

extension UInt64 {
  /// The product, or the largest number where it does not fit.
  fileprivate func multipliedFull(_ other: UInt64) -> UInt64 {
    let (product, overflow) = multipliedReportingOverflow(by: other)
    return overflow ? .max : product
  }
}
