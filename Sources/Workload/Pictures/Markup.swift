/// Text of a page that is HTML and well-formed XML at once.
///
/// What somebody else has chosen (names of jobs, paths, commands) goes through `escaped`, and cannot end an element or an
/// attribute.
enum Markup {
  /// The text as content of an element or of an attribute in double quotes. Control bytes, which XML has no place for,
  /// become their pictures (U+2400 on); what turns the direction of writing, and could make a line read otherwise than it
  /// is, becomes U+FFFD.
  static func escaped(_ text: String) -> String {
    var result = ""
    result.reserveCapacity(text.utf8.count)
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x26: result += "&amp;"
      case 0x3C: result += "&lt;"
      case 0x3E: result += "&gt;"
      case 0x22: result += "&quot;"
      case 0x27: result += "&#39;"
      case 0x0A: result += "\n"
      case 0x00...0x1F: result.unicodeScalars.append(picture(0x2400 + scalar.value))
      case 0x7F: result.unicodeScalars.append(picture(0x2421))
      case 0x80...0x9F, 0x202A...0x202E, 0x2066...0x2069, 0xFFFE, 0xFFFF: result += "\u{FFFD}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  private static func picture(_ value: UInt32) -> Unicode.Scalar { Unicode.Scalar(value) ?? "\u{FFFD}" }

  /// At most so many characters; of a longer text the begin and the end.
  static func shortened(_ text: String, to limit: Int = 40) -> String {
    guard text.count > limit else { return text }
    return "\(text.prefix(limit * 2 / 3))…\(text.suffix(limit - limit * 2 / 3 - 1))"
  }

  /// A coordinate, to a tenth: no plot has more pixels than that tells apart.
  static func coordinate(_ value: Double) -> String {
    guard value.isFinite else { return "0" }
    let tenths = Int((max(-1e6, min(1e6, value)) * 10).rounded())
    let whole = abs(tenths) / 10, rest = abs(tenths) % 10
    return (tenths < 0 ? "-" : "") + "\(whole)" + (rest == 0 ? "" : ".\(rest)")
  }
}
