/// Why a text is no JSON.
package struct JSONProblem: Error, CustomStringConvertible, Sendable, Equatable {
  package let byteOffset: Int
  package let expected: String

  package var description: String { "at byte \(byteOffset): no JSON: expected \(expected)" }
}

extension JSONValue {
  /// Reads a text of documents with blanks between, as `--status-interval` writes them. Numbers stay as they are written.
  package static func documents(in text: String) throws(JSONProblem) -> [JSONValue] {
    var reader = JSONReader(bytes: Array(text.utf8))
    var documents: [JSONValue] = []
    while reader.hasMore { documents.append(try reader.value(depth: 0)) }
    return documents
  }

  /// The value of a member, the last of that name; nil where this is no object or has none.
  package subscript(key: String) -> JSONValue? {
    if case .object(let members) = self { members.last { $0.key == key }?.value } else { nil }
  }
  var members: [(key: String, value: JSONValue)] { if case .object(let members) = self { members } else { [] } }
  package var elements: [JSONValue] {
    switch self {
    case .array(let elements): elements
    case .row(let numbers): numbers.map(JSONValue.unsigned)
    default: []
    }
  }
  package var string: String? { if case .string(let string) = self { string } else { nil } }
  /// Nil where it is no number, or none that is finite.
  var double: Double? {
    let number: Double? =
      switch self {
      case .number(let text): Double(text)
      case .unsigned(let number): Double(number)
      case .signed(let number): Double(number)
      default: nil
      }
    return number.flatMap { $0.isFinite ? $0 : nil }
  }
}

/// RFC 8259. Reports come from files: what they hold is checked, and nesting is bounded.
private struct JSONReader {
  private let bytes: [UInt8]
  private var position = 0
  private static let depthLimit = 64

  init(bytes: [UInt8]) { self.bytes = bytes }

  var hasMore: Bool {
    mutating get {
      skipBlanks()
      return position < bytes.count
    }
  }

  private var current: UInt8? { position < bytes.count ? bytes[position] : nil }
  private func problem(_ expected: String) -> JSONProblem { JSONProblem(byteOffset: position, expected: expected) }

  private mutating func skipBlanks() {
    while let byte = current, byte == 0x20 || (0x09...0x0D).contains(byte) { position += 1 }
  }
  private mutating func skip(_ character: Character) -> Bool {
    skipBlanks()
    guard let byte = current, byte == character.asciiValue else { return false }
    position += 1
    return true
  }
  private mutating func expect(_ character: Character) throws(JSONProblem) {
    if !skip(character) { throw problem("'\(character)'") }
  }

  mutating func value(depth: Int) throws(JSONProblem) -> JSONValue {
    guard depth < Self.depthLimit else { throw problem("at most \(Self.depthLimit) levels") }
    skipBlanks()
    switch current {
    case UInt8(ascii: "{"):
      position += 1
      var members: [(key: String, value: JSONValue)] = []
      if skip("}") { return .object([]) }
      repeat {
        skipBlanks()
        let key = try string()
        try expect(":")
        members.append((key, try value(depth: depth + 1)))
      } while skip(",")
      try expect("}")
      return .object(members)
    case UInt8(ascii: "["):
      position += 1
      var elements: [JSONValue] = []
      if skip("]") { return .array([]) }
      repeat { elements.append(try value(depth: depth + 1)) } while skip(",")
      try expect("]")
      return .array(elements)
    case UInt8(ascii: "\""): return .string(try string())
    default: return try word()
    }
  }

  /// A number, a truth value or null, which is an empty object here.
  private mutating func word() throws(JSONProblem) -> JSONValue {
    let start = position
    while let byte = current, byte > 0x20, !",:]}\"{[".utf8.contains(byte) { position += 1 }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    switch text {
    case "true": return .boolean(true)
    case "false": return .boolean(false)
    case "null": return .object([])
    default:
      // `Double` takes names and hexadecimal numbers too.
      guard text.utf8.allSatisfy({ "0123456789+-.eE".utf8.contains($0) }), Double(text) != nil else {
        position = start
        throw problem("a value")
      }
      return .number(text)
    }
  }

  private mutating func string() throws(JSONProblem) -> String {
    guard current == UInt8(ascii: "\"") else { throw problem("a string") }
    position += 1
    var text: [UInt8] = []
    while let byte = current {
      position += 1
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
      case UInt8(ascii: "\\"): text += try escaped()
      case 0..<0x20: throw problem("no control character")
      default: text.append(byte)
      }
    }
    throw problem("a quotation mark")
  }

  private mutating func escaped() throws(JSONProblem) -> [UInt8] {
    guard let byte = current else { throw problem("an escape") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "f"): return [0x0C]
    case UInt8(ascii: "n"): return [0x0A]
    case UInt8(ascii: "r"): return [0x0D]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "u"):
      var code = try codeUnit()
      if (0xD800..<0xDC00).contains(code), bytes[position...].starts(with: [0x5C, 0x75]) {
        position += 2
        let low = try codeUnit()
        guard (0xDC00..<0xE000).contains(low) else { throw problem("the second half of a pair") }
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw problem("a character") }
      return Array(String(scalar).utf8)
    default: throw problem("an escape")
    }
  }

  private mutating func codeUnit() throws(JSONProblem) -> UInt32 {
    guard position + 4 <= bytes.count else { throw problem("four hexadecimal digits") }
    let digits = String(decoding: bytes[position..<position + 4], as: UTF8.self)
    guard digits.allSatisfy(\.isHexDigit), let code = UInt32(digits, radix: 16) else {
      throw problem("four hexadecimal digits")
    }
    position += 4
    return code
  }
}
