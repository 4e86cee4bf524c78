internal import Reactor

// Moments as text, always UTC: the same image prints the same on every machine.

/// A day and a time of day, in the Gregorian calendar.
struct CivilTime: Equatable {
  var year: Int64, month: Int, day: Int, hour: Int, minute: Int, second: Int

  /// The civil time of seconds since 1970 (after the algorithm "civil from days": eras of 400 years of 146,097 days, years
  /// that begin in March).
  init(secondsSince1970 seconds: Int64) {
    let days = Self.floored(seconds, 86_400), rest = Int(seconds - days * 86_400)
    let shifted = days + 719_468, era = Self.floored(shifted, 146_097), dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let march = (5 * dayOfYear + 2) / 153
    day = Int(dayOfYear - (153 * march + 2) / 5 + 1)
    month = Int(march < 10 ? march + 3 : march - 9)
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60)
  }

  /// Nil for what is no day or time.
  init?(year: Int64, month: Int, day: Int, hour: Int, minute: Int, second: Int) {
    (self.year, self.month, self.day) = (year, month, day)
    (self.hour, self.minute, self.second) = (hour, minute, second)
    // There is no 31 February: what is not a day comes back as another one.
    guard (0...9999).contains(year), (1...12).contains(month), (1...31).contains(day), (0...23).contains(hour),
      (0...59).contains(minute), (0...60).contains(second), Self(secondsSince1970: secondsSince1970).day == day
    else { return nil }
  }

  /// Seconds since 1970.
  var secondsSince1970: Int64 {
    let year = month <= 2 ? self.year - 1 : self.year
    let era = Self.floored(year, 400), yearOfEra = year - era * 400
    let dayOfYear = Int64((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1)
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    let days = era * 146_097 + dayOfEra - 719_468
    return days * 86_400 + Int64(hour * 3600 + minute * 60 + second)
  }

  private static func floored(_ number: Int64, _ divisor: Int64) -> Int64 {
    number >= 0 ? number / divisor : (number - divisor + 1) / divisor
  }

  /// 0 for Sunday.
  var dayOfWeek: Int { Int((Self.floored(secondsSince1970, 86_400) % 7 + 11) % 7) }
}

/// A number with at least so many digits.
func padded(_ number: some BinaryInteger, _ width: Int) -> String {
  let digits = "\(number)"
  return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
}

extension CalendarTime {
  private var civil: CivilTime { CivilTime(secondsSince1970: seconds) }

  /// "2026-11-25".
  private var date: String { "\(padded(civil.year, 4))-\(padded(civil.month, 2))-\(padded(civil.day, 2))" }

  /// As ls prints it with --time-style=long-iso: "2026-11-25 00:45".
  var minuteText: String { "\(date) \(padded(civil.hour, 2)):\(padded(civil.minute, 2))" }

  /// As stat and ls --full-time print it: "2026-11-25 00:45:29.123456789 +0000".
  var fullText: String { "\(minuteText):\(padded(civil.second, 2)).\(padded(nanoseconds, 9)) +0000" }

  /// As RFC 3339 has it: "2026-11-25T00:45:29.123456789Z".
  var isoText: String {
    let time = "\(padded(civil.hour, 2)):\(padded(civil.minute, 2)):\(padded(civil.second, 2))"
    return "\(date)T\(time).\(padded(nanoseconds, 9))Z"
  }

  /// As ctime(3) has it: "Wed Nov 25 00:45:29 2026".
  var ctimeText: String {
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let day = civil.day < 10 ? " \(civil.day)" : "\(civil.day)"
    let time = "\(padded(civil.hour, 2)):\(padded(civil.minute, 2)):\(padded(civil.second, 2))"
    return "\(days[civil.dayOfWeek]) \(months[civil.month - 1]) \(day) \(time) \(civil.year)"
  }

  /// Reads ISO 8601 ("2026-11-25", "2026-11-25T00:45", "2026-11-25 00:45:29.123456789+01:00"; UTC unless told otherwise) or
  /// "@SECONDS" since 1970, with a fraction. Nil for anything else.
  init?(text: String) {
    if text.hasPrefix("@") {
      self.init(fractionalSeconds: text.dropFirst())
      return
    }
    var rest = text[...]
    func number(_ count: Int) -> Int? {
      let digits = rest.prefix(count)
      guard digits.utf8.count == count, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
      rest = rest.dropFirst(count)
      return Int(digits)
    }
    func take(_ characters: String) -> Bool {
      guard let first = rest.first, characters.contains(first) else { return false }
      rest = rest.dropFirst()
      return true
    }
    guard let year = number(4), take("-"), let month = number(2), take("-"), let day = number(2) else { return nil }
    var hour = 0, minute = 0, second = 0, nanoseconds: UInt32 = 0, offset: Int64 = 0
    if take("T ") {
      guard let hours = number(2), take(":"), let minutes = number(2) else { return nil }
      (hour, minute) = (hours, minutes)
      if take(":") {
        guard let seconds = number(2) else { return nil }
        second = seconds
        if take(".,") {
          let digits = rest.prefix { $0.isASCII && $0.isNumber }
          rest = rest.dropFirst(digits.count)
          guard let fraction = Self.nanoseconds(digits) else { return nil }
          nanoseconds = fraction
        }
      }
      _ = take(" ")
      if !take("Z"), let sign = rest.first, sign == "+" || sign == "-" {
        rest = rest.dropFirst()
        guard let hours = number(2) else { return nil }
        _ = take(":")
        guard let minutes = rest.isEmpty ? 0 : number(2) else { return nil }
        offset = Int64(hours * 3600 + minutes * 60) * (sign == "-" ? -1 : 1)
      }
    }
    guard rest.isEmpty,
      let civil = CivilTime(
        year: Int64(year), month: month, day: day, hour: hour, minute: minute, second: second)
    else { return nil }
    self.init(seconds: civil.secondsSince1970 - offset, nanoseconds: nanoseconds)
  }

  private init?(fractionalSeconds text: Substring) {
    let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard let seconds = Int64(parts[0]), let fraction = parts.count == 2 ? Self.nanoseconds(parts[1]) : 0 else {
      return nil
    }
    // A fraction goes away from zero; nanoseconds count forward.
    if parts[0].hasPrefix("-") && fraction > 0 {
      guard seconds > Int64.min else { return nil }
      self.init(seconds: seconds - 1, nanoseconds: 1_000_000_000 - fraction)
    } else {
      self.init(seconds: seconds, nanoseconds: fraction)
    }
  }

  /// As touch -t has it: [[CC]YY]MMDDhhmm[.ss]; `now` gives what is left out.
  init?(touchStamp text: String, now: CalendarTime) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count <= 2, parts.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
      [8, 10, 12].contains(parts[0].utf8.count), parts.count == 1 || parts[1].utf8.count == 2
    else { return nil }
    let digits = Array(parts[0].utf8).map { Int($0) - 0x30 }
    func pair(fromEnd index: Int) -> Int { digits[digits.count - index] * 10 + digits[digits.count - index + 1] }
    var year = now.civil.year
    // POSIX, touch: 69 to 99 are of the last century.
    if digits.count >= 10 { year = Int64(pair(fromEnd: 10)) + (pair(fromEnd: 10) >= 69 ? 1900 : 2000) }
    if digits.count == 12 { year = Int64(pair(fromEnd: 12) * 100 + pair(fromEnd: 10)) }
    guard
      let civil = CivilTime(
        year: year, month: pair(fromEnd: 8), day: pair(fromEnd: 6), hour: pair(fromEnd: 4), minute: pair(fromEnd: 2),
        second: parts.count == 2 ? Int(parts[1]) ?? 0 : 0)
    else { return nil }
    self.init(seconds: civil.secondsSince1970, nanoseconds: 0)
  }

  private static func nanoseconds(_ digits: Substring) -> UInt32? {
    guard (1...9).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
      return nil
    }
    return UInt32(digits + String(repeating: "0", count: 9 - digits.utf8.count))
  }
}
