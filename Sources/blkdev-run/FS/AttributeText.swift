/// Names and values of attributes as getfattr prints and setfattr takes them (attr's tools, libmisc/quote.c and
/// getfattr/getfattr.c).
enum AttributeText {
  /// A name or a path: bytes that would break a line, and backslash, as three octal digits behind a backslash.
  static func name(_ name: [UInt8]) -> String { escaped(name, octal: "\\=\n\r", plain: "") }

  /// A value: as text in quotation marks where it is some, else in base64 behind 0s; or as told.
  static func encoded(_ value: [UInt8], as encoding: String?) -> String {
    switch encoding {
    case "hex": return "0x" + value.map(padded16).joined()
    case "base64": return "0s" + base64(value)
    case nil where !isText(value): return "0s" + base64(value)
    default: return "\"" + escaped(value, octal: "\n\r", plain: "\\\"") + "\""
    }
  }

  /// What a value on the command line means; nil when it is no such text.
  static func decoded(_ text: [UInt8]) -> [UInt8]? {
    let prefix = String(decoding: text.prefix(2), as: UTF8.self).lowercased()
    if prefix == "0x" || prefix == "0s" {
      let blanks: [UInt8] = [0x20, 0x09, 0x0A, 0x0D]
      let rest = text.dropFirst(2).filter { !blanks.contains($0) }
      return prefix == "0s" ? fromBase64(rest[...]) : fromHexadecimal(rest)
    }
    var rest = text[...]
    if rest.count >= 2, rest.first == UInt8(ascii: "\""), rest.last == UInt8(ascii: "\"") {
      rest = rest.dropFirst().dropLast()
    }
    var value: [UInt8] = []
    while let byte = rest.popFirst() {
      let digits = rest.prefix(3)
      if byte != UInt8(ascii: "\\") {
        value.append(byte)
      } else if digits.count == 3, let octal = UInt8(String(decoding: digits, as: UTF8.self), radix: 8) {
        value.append(octal)
        rest = rest.dropFirst(3)
      } else if let next = rest.first, next == byte || next == UInt8(ascii: "\"") {
        value.append(next)
        rest = rest.dropFirst()
      } else {
        // As setfattr has it: a backslash before anything else is one.
        value.append(byte)
      }
    }
    return value
  }

  private static func fromHexadecimal(_ text: [UInt8]) -> [UInt8]? {
    let digits = text.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
    guard digits.count == text.count, digits.count % 2 == 0 else { return nil }
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
  }

  /// As getfattr decides it: not more than an eighth of it is no letter of ASCII. But what ends with a NUL is none, because
  /// as text it would lose it.
  private static func isText(_ value: [UInt8]) -> Bool {
    let others = value.count { !(32...126).contains($0) }
    return String(validating: value, as: UTF8.self) != nil && others * 8 <= value.count && value.last != 0
  }

  /// Bytes that would break a line, that steer a terminal, or that are no text, in octal; some more so, too, and others with
  /// a backslash before.
  private static func escaped(_ bytes: [UInt8], octal: String, plain: String) -> String {
    var result: [UInt8] = []
    let isText = String(validating: bytes, as: UTF8.self) != nil
    for byte in bytes {
      if octal.utf8.contains(byte) || byte < 32 || byte == 127 || (byte > 127 && !isText) {
        let digits = String(byte, radix: 8)
        result += ("\\" + String(repeating: "0", count: 3 - digits.utf8.count) + digits).utf8
      } else {
        if plain.utf8.contains(byte) { result.append(UInt8(ascii: "\\")) }
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
