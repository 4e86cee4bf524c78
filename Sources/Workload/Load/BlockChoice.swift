internal import Glibc
internal import Reactor

/// Which of so many blocks a random pattern accesses next.
struct BlockChoice {
  private enum Law {
    /// All alike, with repetitions.
    case uniform
    /// Each once a pass, every pass in another order.
    case passes
    /// The wanted ones lie anywhere.
    case zipf(ZipfRanks, OffsetPermutation)
    case pareto(exponent: Double, OffsetPermutation)
    case normal(deviation: Double, OffsetPermutation)
    /// Ends of the zones, in blocks, and of their shares, from 0 to 1.
    case zones([(end: UInt64, share: Double)])
  }
  private let count: UInt64
  private var law: Law
  private var pass: OffsetPermutation?
  private var position: UInt64 = 0

  /// - Parameters:
  ///   - count: how many blocks there are, above 0.
  ///   - align: bytes from one block to the next.
  init(
    _ distribution: OffsetDistribution, count: UInt64, align: Int, mayRepeat: Bool, _ generator: inout SeededGenerator
  ) {
    self.count = count
    let blocks = Double(count)
    func zones(_ zones: [OffsetDistribution.Zone], blocksOf: (Double) -> Double) -> Law {
      var ends: [(end: UInt64, share: Double)] = []
      var end = 0.0, share = 0.0
      for zone in zones {
        end += blocksOf(zone.size)
        share += zone.access / 100
        ends.append((UInt64(min(blocks, max(1, end.rounded()))), share))
      }
      return .zones(ends)
    }
    switch distribution {
    case .random: law = mayRepeat ? .uniform : .passes
    case .zipf(let theta):
      law = .zipf(ZipfRanks(count: count, theta: theta), OffsetPermutation(count: count, generator: &generator))
    case .pareto(let power):
      law = .pareto(
        exponent: log(power) / log(1 - power), OffsetPermutation(count: count, generator: &generator))
    case .normal(let deviation):
      law = .normal(
        deviation: deviation / 100 * blocks, OffsetPermutation(count: count, generator: &generator))
    case .zoned(let list): law = zones(list) { $0 / 100 * blocks }
    case .absoluteZones(let list): law = zones(list) { $0 / Double(align) }
    case .hotspot(let access, let size):
      law = zones([.init(access: access, size: size), .init(access: 100 - access, size: 100 - size)]) {
        $0 / 100 * blocks
      }
    }
  }

  /// The next block. `generator` orders passes; `random` draws.
  mutating func next(_ random: inout SeededGenerator, _ generator: inout SeededGenerator) -> UInt64 {
    switch law {
    case .uniform: return random.next().multipliedFullWidth(by: count).high
    case .passes:
      if position == 0 || pass == nil { pass = OffsetPermutation(count: count, generator: &generator) }
      let block = pass?(position) ?? position
      position = position + 1 == count ? 0 : position + 1
      return block
    case .zipf(let ranks, let places): return places(ranks.draw(&random))
    case .pareto(let exponent, let places):
      return places(min(count - 1, UInt64(Double(count) * pow(random.unit(), exponent))))
    case .normal(let deviation, let places):
      // What falls outside is drawn anew; of a deviation far larger than the file that is nearly all.
      for _ in 0..<32 {
        let angle = 2 * Double.pi * random.unit()
        let place = Double(count) / 2 + deviation * (2 * random.exponential()).squareRoot() * cos(angle)
        if place >= 0 && place < Double(count) { return places(UInt64(place)) }
      }
      return random.next().multipliedFullWidth(by: count).high
    case .zones(let ends):
      let point = random.unit()
      let index = ends.firstIndex { point < $0.share } ?? ends.count - 1
      let start = index == 0 ? 0 : min(ends[index - 1].end, count - 1)
      let end = max(start + 1, min(ends[index].end, count))
      return start + random.next().multipliedFullWidth(by: end - start).high
    }
  }
}
