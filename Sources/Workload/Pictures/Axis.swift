internal import Glibc

/// Maps values to a stretch of a picture, and names round ones.
struct Axis: Sendable, Equatable {
  /// A value at which the axis has a mark.
  struct Tick: Sendable, Equatable {
    var value: Double
    var label: String
  }

  let lower: Double
  let upper: Double
  let isLogarithmic: Bool
  let ticks: [Tick]

  private init(_ lower: Double, _ upper: Double, isLogarithmic: Bool, ticks: [Tick]) {
    self.lower = lower
    self.upper = upper
    self.isLogarithmic = isLogarithmic
    self.ticks = ticks
  }

  /// Where a value lies between the ends, which are 0 and 1; values beyond lie at the ends.
  func position(_ value: Double) -> Double {
    let clamped = value.isNaN ? lower : min(upper, max(lower, value))
    if isLogarithmic { return log(clamped / lower) / log(upper / lower) }
    return (clamped - lower) / (upper - lower)
  }

  /// From 0 to a round value not below the largest.
  static func linear(to largest: Double, _ quantity: Quantity, parts: Int = 5) -> Axis {
    let largest = largest.isFinite && largest > 1e-9 ? largest : 1
    var step = quantity == .bytes ? binaryStep(largest / Double(parts)) : roundStep(largest / Double(parts))
    if quantity == .count { step = max(1, step) }
    let count = max(1, Int((largest / step * (1 - 1e-9)).rounded(.up)))
    return Axis(0, step * Double(count), isLogarithmic: false, ticks: ticks(0...count, step, quantity))
  }

  /// From 0 to exactly this value, which need not have a tick: time, and places on a device.
  static func exact(to end: Double, _ quantity: Quantity, parts: Int = 8) -> Axis {
    let end = end.isFinite && end > 1e-9 ? end : 1
    let rough = end / Double(parts)
    let step =
      switch quantity {
      case .time: timeStep(rough)
      case .bytes: binaryStep(rough)
      default: roundStep(rough)
      }
    return Axis(0, end, isLogarithmic: false, ticks: ticks(0...max(0, Int(end / step * (1 + 1e-9))), step, quantity))
  }

  /// From 0 to a value, without ticks.
  static func plain(to end: Double) -> Axis { Axis(0, max(1, end), isLogarithmic: false, ticks: []) }

  /// From a round value not above the smallest to one not below the largest.
  static func logarithmic(from smallest: Double, to largest: Double, _ quantity: Quantity) -> Axis {
    let smallest = max(1e-3, smallest.isFinite ? smallest : 1)
    let largest = max(smallest, largest.isFinite ? largest : smallest)
    let lowest = floor(log10(smallest) + 1e-9), highest = max(lowest + 1, ceil(log10(largest) - 1e-9))
    // Within few decades ones, twos and fives; over many, every second or third decade.
    let mantissas = highest - lowest > 2.5 ? [1.0] : [1.0, 2.0, 5.0]
    let stride = max(1, Int(((highest - lowest) / 7).rounded(.up)))
    var values: [Double] = []
    for exponent in Swift.stride(from: Int(lowest), through: Int(highest), by: stride) {
      values += mantissas.map { $0 * pow(10, Double(exponent)) }
    }
    // The ends are the ticks next to the values, or decades where there is no such tick.
    let first = values.last { $0 <= smallest * (1 + 1e-9) } ?? pow(10, lowest)
    let last = values.first { $0 >= largest * (1 - 1e-9) && $0 > first } ?? pow(10, highest)
    let ticks = values.filter { $0 >= first && $0 <= last * (1 + 1e-9) }
    return Axis(
      first, max(last, first * 2), isLogarithmic: true,
      ticks: ticks.map { Tick(value: $0, label: quantity.text($0)) })
  }

  private static func ticks(_ steps: ClosedRange<Int>, _ step: Double, _ quantity: Quantity) -> [Tick] {
    steps.map { Tick(value: Double($0) * step, label: $0 == 0 ? "0" : quantity.text(Double($0) * step)) }
  }

  /// 1, 2 or 5 times a power of ten, not below the given.
  static func roundStep(_ rough: Double) -> Double {
    let decade = pow(10, floor(log10(rough)))
    return [1.0, 2.0, 5.0].map { $0 * decade }.first { $0 >= rough * (1 - 1e-9) } ?? decade * 10
  }

  private static func binaryStep(_ rough: Double) -> Double { max(1, exp2(ceil(log2(rough) - 1e-9))) }

  /// Round in seconds, and above them in minutes, hours and days.
  private static func timeStep(_ rough: Double) -> Double {
    let second = 1e9
    let steps = [10.0, 15, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200].map { $0 * second }
    if rough <= steps[0] { return roundStep(rough) }
    return steps.first { $0 >= rough * (1 - 1e-9) } ?? roundStep(rough / (86400 * second)) * 86400 * second
  }
}
