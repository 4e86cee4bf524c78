/// Numbers as fio prints them.
package enum ReportNumber {
  /// What a prefix multiplies by.
  package enum Base: UInt64 {
    case decimal = 1000
    case binary = 1024

    fileprivate var prefixes: [String] {
      self == .decimal ? ["", "k", "M", "G", "T", "P"] : ["", "Ki", "Mi", "Gi", "Ti", "Pi"]
    }
  }

  /// At most so many digits and a prefix, as fio's `num2str` has it: 9999, 12.3k, 133k, 7133Mi.
  package static func short(_ number: UInt64, _ base: Base = .decimal, digits: Int = 4) -> String {
    let step = base.rawValue
    var whole = number
    var rest: UInt64?
    var prefix = 0
    while "\(whole)".utf8.count > digits, prefix + 1 < base.prefixes.count {
      rest = whole % step
      whole /= step
      prefix += 1
    }
    let unit = base.prefixes[prefix]
    guard let rest else { return "\(whole)\(unit)" }
    return fractional(whole, rest, step, digits) + unit
  }

  /// `whole` and `rest` of a `step`, rounded to as many decimals as the digits leave room for.
  private static func fractional(_ whole: UInt64, _ rest: UInt64, _ step: UInt64, _ digits: Int) -> String {
    // The point takes a place too, so three digits leave no room for a fraction.
    let room = digits - "\(whole)".utf8.count - 1
    if room <= 0 { return "\(rest >= step / 2 ? whole + 1 : whole)" }
    let scale: UInt64 = (0..<room).reduce(1) { power, _ in power * 10 }
    let fraction = (rest * scale + step / 2) / step
    // 12.96 becomes 13.0, and 99.96, which has no room any more, 100.
    if fraction == scale { return fractional(whole + 1, 0, step, digits) }
    return "\(whole).\(padded(fraction, room))"
  }

  /// `number / unit` with two decimals, rounded down.
  package static func hundredths(_ number: UInt64, per unit: UInt64) -> String {
    "\(number / unit).\(padded(scaled(number % unit, 100, over: unit), 2))"
  }

  /// `number / 10^scale` with at least so many decimals, and with more only where they are not 0; what does not fit into
  /// them is never cut off.
  package static func fixed(_ number: UInt64, scale: Int, places: Int) -> String {
    var digits = padded(number, scale + 1)
    var fraction = String(digits.suffix(scale))
    digits.removeLast(scale)
    while fraction.utf8.count > places, fraction.last == "0" { fraction.removeLast() }
    if fraction.utf8.count < places { fraction += String(repeating: "0", count: places - fraction.utf8.count) }
    return fraction.isEmpty ? digits : "\(digits).\(fraction)"
  }

  /// A part of a whole in millionths of a percent, at least `least` where there is any.
  static func percentage(_ part: UInt64, of whole: UInt64, least: UInt64 = 0) -> UInt64 {
    part == 0 ? 0 : max(least, scaled(part, Percentiles.whole, over: whole))
  }

  /// Millionths of a percent, rounded to so many decimals (at most 5).
  static func percentText(_ millionths: UInt64, places: Int) -> String {
    let unit = (places..<6).reduce(1 as UInt64) { power, _ in power * 10 }
    return fixed((millionths + unit / 2) / unit, scale: places, places: places)
  }

  /// A number with six digits behind the point.
  package static func sixDigits(_ number: Double) -> String {
    let millionths = UInt64(min(number * 1e6, 1e18).rounded())
    return "\(millionths / 1_000_000).\(padded(millionths % 1_000_000, 6))"
  }

  /// How many a second; 0 when no time has passed.
  package static func perSecond(_ count: UInt64, nanoseconds: UInt64) -> UInt64 {
    scaled(count, 1_000_000_000, over: nanoseconds)
  }

  /// `number * factor / divisor` without an overflow between; `.max` when the result has no place, 0 when divided by 0.
  static func scaled(_ number: UInt64, _ factor: UInt64, over divisor: UInt64) -> UInt64 {
    if divisor == 0 { return 0 }
    let product = number.multipliedFullWidth(by: factor)
    return product.high < divisor ? divisor.dividingFullWidth(product).quotient : .max
  }

  /// With zeroes in front.
  static func padded(_ number: UInt64, _ width: Int) -> String {
    let text = "\(number)"
    return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
  }

  /// With blanks in front.
  static func aligned(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }
}
