internal import Glibc
// How long something takes: a time, or a law from which times are drawn.
public import Reactor

/// A law of times, in nanoseconds. Text: `5ms`, or a name and its times with colons.
public enum TimeDistribution: Equatable, Sendable {
  /// `T`: always the same.
  case fixed(UInt64)
  /// `uniform:LOW:HIGH`: all in between alike.
  case uniform(UInt64, UInt64)
  /// `exponential:MEAN`.
  case exponential(mean: UInt64)
  /// `normal:MEAN:DEVIATION`, cut at zero.
  case normal(mean: UInt64, deviation: UInt64)
  /// `lognormal:MEDIAN:SIGMA`: sigma is of the logarithm, without a unit.
  case lognormal(median: UInt64, sigma: Double)
  /// `pareto:LEAST:SHAPE`: a long tail, the longer the smaller the shape.
  case pareto(least: UInt64, shape: Double)
  /// `bimodal:USUAL:SELDOM:SHARE`: as of a disk that collects garbage at times.
  case bimodal(usual: UInt64, seldom: UInt64, share: Double)

  /// One time. No time is longer than an hour.
  public func draw(_ random: inout SeededGenerator) -> UInt64 {
    switch self {
    case .fixed(let time): return time
    case .uniform(let low, let high): return low + UInt64(random.below(Int(high - low) + 1))
    case .exponential(let mean): return Self.clamped(-log(random.unit()) * Double(mean))
    case .normal(let mean, let deviation):
      return Self.clamped(Double(mean) + Double(deviation) * random.standardNormal())
    case .lognormal(let median, let sigma):
      return Self.clamped(Double(median) * exp(sigma * random.standardNormal()))
    case .pareto(let least, let shape): return Self.clamped(Double(least) / pow(random.unit(), 1 / shape))
    case .bimodal(let usual, let seldom, let share): return random.unit() <= share ? seldom : usual
    }
  }

  static let longest: UInt64 = 3_600_000_000_000
  private static func clamped(_ time: Double) -> UInt64 { UInt64(max(0, min(time, Double(longest)))) }
}

extension SeededGenerator {
  /// A number above zero and at most one.
  mutating func unit() -> Double { Double((next() >> 11) + 1) / Double(1 << 53) }
  /// A number of the standard normal distribution (Box and Muller).
  mutating func standardNormal() -> Double { sqrt(-2 * log(unit())) * cos(2 * .pi * unit()) }
}

extension TimeDistribution: CustomStringConvertible {
  /// As it is written.
  public var description: String {
    switch self {
    case .fixed(let time): timeText(time)
    case .uniform(let low, let high): "uniform:\(timeText(low)):\(timeText(high))"
    case .exponential(let mean): "exponential:\(timeText(mean))"
    case .normal(let mean, let deviation): "normal:\(timeText(mean)):\(timeText(deviation))"
    case .lognormal(let median, let sigma): "lognormal:\(timeText(median)):\(sigma)"
    case .pareto(let least, let shape): "pareto:\(timeText(least)):\(shape)"
    case .bimodal(let usual, let seldom, let share): "bimodal:\(timeText(usual)):\(timeText(seldom)):\(share)"
    }
  }
}

/// A time with the largest unit that loses nothing.
func timeText(_ nanoseconds: UInt64) -> String {
  for (unit, name) in [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")] as [(UInt64, String)]
  where nanoseconds >= unit && nanoseconds % unit == 0 { return "\(nanoseconds / unit)\(name)" }
  return "\(nanoseconds)ns"
}

/// A size with the largest unit that loses nothing.
func sizeText(_ byteCount: UInt64) -> String {
  for (shift, name) in [(40, "t"), (30, "g"), (20, "m"), (10, "k")] as [(UInt64, String)]
  where byteCount > 0 && byteCount % (1 << shift) == 0 { return "\(byteCount >> shift)\(name)" }
  return "\(byteCount)"
}
