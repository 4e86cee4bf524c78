/// Which offsets a random pattern prefers (`random_distribution`).
package enum OffsetDistribution: Sendable, Equatable {
  /// All alike.
  case random
  /// The n-th most wanted block is wanted 1/n^theta as often as the first.
  case zipf(theta: Double)
  /// A share of `1 - power` of the accesses goes to a share of `power` of the blocks.
  case pareto(power: Double)
  /// Around the middle of the file; the deviation in percent of the file.
  case normal(deviation: Double)
  /// Parts of the file, one behind the other: how many percent of the accesses each gets, and of the file each has.
  case zoned([Zone])
  /// The same with bytes for the sizes; what lies behind them is not accessed.
  case absoluteZones([Zone])
  /// So many percent of the accesses go to that first part of the file, in percent, and the rest to the rest. Ours.
  case hotspot(access: Double, size: Double)

  /// One part.
  package struct Zone: Sendable, Equatable {
    /// Percent of all accesses.
    package let access: Double
    /// Percent of the file, or bytes.
    package let size: Double
  }
}

extension OffsetDistribution {
  /// As `random_distribution` takes it.
  package var text: String {
    switch self {
    case .random: "random"
    case .zipf(let theta): "zipf:\(theta)"
    case .pareto(let power): "pareto:\(power)"
    case .normal(let deviation): "normal:\(deviation)"
    case .zoned(let zones): "zoned:" + zones.map { "\($0.access)/\($0.size)" }.joined(separator: ":")
    case .absoluteZones(let zones):
      "zoned_abs:" + zones.map { "\($0.access)/\(UInt64($0.size))" }.joined(separator: ":")
    case .hotspot(let access, let size): "hotspot:\(access)/\(size)"
    }
  }

  /// Reads it.
  package init(text: String) throws(ValueProblem) {
    let colon = text.firstIndex(of: ":")
    let name = String(text[..<(colon ?? text.endIndex)])
    let rest = colon.map { String(text[text.index(after: $0)...]) }
    func number(_ range: ClosedRange<Double>, default usual: Double? = nil) throws(ValueProblem) -> Double {
      guard let rest else {
        if let usual { return usual }
        throw .malformedDistribution(text)
      }
      guard let number = Double(rest), number.isFinite else { throw .notANumber }
      guard range.contains(number) else { throw .outOfRealRange(range) }
      return number
    }
    switch name {
    case "random" where rest == nil: self = .random
    case "zipf":
      // As in fio: at 1 itself its formula has no value.
      let theta = try number(0.01...10, default: 1.1)
      guard theta != 1 else { throw .malformedDistribution(text) }
      self = .zipf(theta: theta)
    case "pareto": self = .pareto(power: try number(0.000_001...0.999_999, default: 0.2))
    case "normal":
      // fio draws the mean of twelve numbers, and widens that by what is given.
      let deviation = try number(0...100, default: 0)
      guard deviation == 0 || deviation >= 0.000_001 else { throw .outOfRealRange(0.000_001...100) }
      self = .normal(deviation: deviation == 0 ? 8.333 : deviation)
    case "zoned", "zoned_abs", "hotspot":
      var zones: [Zone] = []
      for part in (rest ?? "").split(separator: ":", omittingEmptySubsequences: false) {
        zones.append(try Self.zone(String(part), isAbsolute: name == "zoned_abs", in: text))
      }
      let access = zones.reduce(0) { $0 + $1.access }, size = zones.reduce(0) { $0 + $1.size }
      if name == "hotspot" {
        guard zones.count == 1, access < 100, size < 100 else { throw .malformedDistribution(text) }
        self = .hotspot(access: access, size: size)
      } else {
        guard zones.count <= 256, abs(access - 100) < 0.001, name == "zoned_abs" || abs(size - 100) < 0.001 else {
          throw .malformedDistribution(text)
        }
        self = name == "zoned" ? .zoned(zones) : .absoluteZones(zones)
      }
    default: throw .malformedDistribution(text)
    }
  }

  private static func zone(_ part: String, isAbsolute: Bool, in text: String) throws(ValueProblem) -> Zone {
    let numbers = part.split(separator: "/", omittingEmptySubsequences: false)
    guard numbers.count == 2, let access = Double(numbers[0]), access > 0, access <= 100 else {
      throw .malformedDistribution(text)
    }
    if isAbsolute {
      let size = try parseBytes(String(numbers[1]))
      guard size > 0 else { throw .malformedDistribution(text) }
      return Zone(access: access, size: Double(size))
    }
    guard let size = Double(numbers[1]), size > 0, size <= 100 else { throw .malformedDistribution(text) }
    return Zone(access: access, size: size)
  }
}
