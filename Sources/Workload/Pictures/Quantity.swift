internal import Glibc

/// What an axis or a cell of a table counts, and how its values are written: SI prefixes, three digits that say something.
enum Quantity: Sendable {
  case bytesPerSecond, perSecond, count
  /// Nanoseconds that something took.
  case latency
  /// Nanoseconds since the begin of a run.
  case time
  /// Bytes of memory and places on a device, which powers of two divide.
  case bytes
  /// `1 / (1 - p)` of a percentile: 1 is p0, 10 is p90.
  case percentile

  func text(_ value: Double) -> String {
    guard value.isFinite else { return "–" }
    switch self {
    case .bytesPerSecond: return Self.scaled(value, Self.decimal, "B/s")
    case .perSecond: return Self.scaled(value, Self.decimal, "/s")
    case .count: return Self.scaled(value, Self.decimal, "")
    case .bytes: return Self.scaled(value, Self.binary, "B")
    case .latency, .time: return Self.duration(value)
    case .percentile: return Self.percentile(value)
    }
  }
  func text(_ value: UInt64) -> String { text(Double(value)) }

  private static let decimal: [(scale: Double, prefix: String)] = [
    (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""),
  ]
  private static let binary: [(scale: Double, prefix: String)] = [
    (0x1p50, "Pi"), (0x1p40, "Ti"), (0x1p30, "Gi"), (0x1p20, "Mi"), (0x1p10, "Ki"), (1, ""),
  ]

  private static func scaled(_ value: Double, _ scales: [(scale: Double, prefix: String)], _ unit: String) -> String {
    // 999.9 thousand is a million when three digits are written.
    let scale = scales.first { value >= $0.scale * 0.9995 } ?? (1, "")
    let gap = unit.contains("B") ? " " : ""
    return digits(value / scale.scale) + gap + scale.prefix + unit
  }

  /// `3.2 µs`, `1 min`, `2 h 30 min`.
  private static func duration(_ nanoseconds: Double) -> String {
    let seconds = nanoseconds / 1e9
    if seconds >= 120 || seconds == 60 {
      let whole = Int(min(1e12, seconds).rounded())
      let parts = [(whole / 3600, "h"), (whole / 60 % 60, "min"), (whole % 60, "s")].filter { $0.0 > 0 }
      return parts.map { "\($0.0) \($0.1)" }.joined(separator: " ")
    }
    if nanoseconds == 0 { return "0" }
    let units: [(scale: Double, name: String)] = [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns")]
    let unit = units.first { nanoseconds >= $0.scale * 0.9995 } ?? (1, "ns")
    return "\(digits(nanoseconds / unit.scale)) \(unit.name)"
  }

  private static func percentile(_ tail: Double) -> String {
    let percent = 100 - 100 / max(1, tail)
    // As many nines as there are.
    let decimals = max(0, min(9, Int((log10(max(1, tail)) - 1e-9).rounded(.up)) - 2))
    return "p" + fixed(percent, decimals)
  }

  /// Three significant digits, whole numbers above a hundred, without zeroes at the end.
  static func digits(_ value: Double) -> String {
    let size = abs(value)
    return fixed(value, size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.9995 || size == 0 ? 2 : 3)
  }

  private static func fixed(_ value: Double, _ decimals: Int) -> String {
    let scale = pow(10, Double(decimals))
    let scaled = (abs(value) * scale).rounded()
    guard scaled < 1e18 else { return "\(value)" }
    let number = UInt64(scaled), divisor = UInt64(scale)
    var fraction = ReportNumber.padded(number % divisor, decimals)
    while fraction.hasSuffix("0") { fraction.removeLast() }
    if decimals == 0 { fraction = "" }
    return (value < 0 && number > 0 ? "−" : "") + "\(number / divisor)" + (fraction.isEmpty ? "" : ".\(fraction)")
  }
}
