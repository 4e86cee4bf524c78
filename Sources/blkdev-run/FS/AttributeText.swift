/// Names and values of attributes as getfattr prints and setfattr takes them (attr's tools, libmisc/quote.c and
/// getfattr/getfattr.c).
enum AttributeText {
  /// A name or a path: bytes that would break a line, and backslash, as three octal digits behind a backslash.
  static func name(_ name: [UInt8]) -> String { escaped(name, "\\=\n\r") }

  /// A value: as text in quotation marks where it is some, else in base64 behind 0s; or as told.
  static func encoded(_ value: [UInt8], as encoding: String?) -> String {
    if value.isEmpty { return "" }
    switch encoding {
    case "hex": return "0x" + value.map(padded16).joined()
    case "base64": return "0s" + base64(value)
    case nil where !isText(value): return "0s" + base64(value)
    default: return "\"" + escaped(value, "\\\"\n\r") + "\""
    }
  }

  /// What a value on the command line means; nil when it is no such text.
  static func decoded(_ text: [UInt8]) -> [UInt8]? {
    let prefix = String(decoding: text.prefix(2), as: UTF8.self).lowercased()
    if prefix == "0x" {
      let digits = text.dropFirst(2).compactMap { Character(UnicodeScalar($0)).hexDigitValue }
      guard digits.count == text.count - 2, digits.count % 2 == 0 else { return nil }
      return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
    }
    if prefix == "0s" { return fromBase64(text.dropFirst(2)) }
    var rest = text[...]
    if rest.count >= 2, rest.first == UInt8(ascii: "\""), rest.last == UInt8(ascii: "\"") {
      rest = rest.dropFirst().dropLast()
    }
    var value: [UInt8] = []
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "\\") else {
        value.append(byte)
        continue
      }
      let digits = rest.prefix(3)
      if digits.count == 3, let octal = UInt8(String(decoding: digits, as: UTF8.self), radix: 8) {
        value.append(octal)
        rest = rest.dropFirst(3)
      } else if let next = rest.popFirst() {
        value.append(next)
      } else {
        return nil
      }
    }
    return value
  }

  /// As getfattr decides it: nothing in it that a line cannot show.
  private static func isText(_ value: [UInt8]) -> Bool {
    let controls = value.dropLast(value.last == 0 ? 1 : 0).count { $0 < 32 || $0 == 127 }
    return String(validating: value, as: UTF8.self) != nil && controls == 0 && value.last != 0
  }

  private static func escaped(_ bytes: [UInt8], _ special: String) -> String {
    var result: [UInt8] = []
    for byte in bytes {
      if special.utf8.contains(byte) || byte < 32 || byte == 127 {
        let digits = String(byte, radix: 8)
        result += ("\\" + String(repeating: "0", count: 3 - digits.utf8.count) + digits).utf8
      } else {
        result.append(byte)
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  // MARK: Base64 (RFC 4648)

  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  private static func base64(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let part = bytes[start..<min(start + 3, bytes.count)]
      let word = part.reduce(0) { $0 << 8 | UInt32($1) } << (8 * UInt32(3 - part.count))
      for index in 0..<4 {
        text.append(index <= part.count ? alphabet[Int(word >> (18 - 6 * UInt32(index)) & 63)] : UInt8(ascii: "="))
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  private static func fromBase64(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    let digits = text.prefix { $0 != UInt8(ascii: "=") }.compactMap(alphabet.firstIndex)
    let padding = text.count { $0 == UInt8(ascii: "=") }
    guard digits.count + padding == text.count, text.count % 4 == 0, padding <= 2 else { return nil }
    var bytes: [UInt8] = []
    var word: UInt32 = 0, bits = 0
    for digit in digits {
      word = word << 6 | UInt32(digit)
      bits += 6
      if bits >= 8 {
        bits -= 8
        bytes.append(UInt8(truncatingIfNeeded: word >> UInt32(bits)))
      }
    }
    return bytes
  }
}
