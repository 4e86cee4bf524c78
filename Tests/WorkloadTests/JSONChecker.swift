/// A strict reader of RFC 8259, for tests: what it accepts is one JSON document and nothing behind it.
///
/// It keeps objects as lists, so that the order of keys can be tested, and refuses a key that is given twice.
indirect enum JSONNode: Equatable {
  case object([Member])
  case array([JSONNode])
  case string(String)
  /// As written, so that a test sees that a figure is an integer.
  case number(String)
  case boolean(Bool)
  case null

  struct Member: Equatable {
    let key: String
    let value: JSONNode
  }

  var keys: [String] {
    if case .object(let members) = self { members.map(\.key) } else { [] }
  }
  subscript(key: String) -> JSONNode? {
    if case .object(let members) = self { members.first { $0.key == key }?.value } else { nil }
  }
}

struct JSONChecker {
  struct Failure: Error {
    let offset: Int
    let expected: String
  }

  private let bytes: [UInt8]
  private var position = 0

  static func parse(_ text: String) throws -> JSONNode {
    var checker = JSONChecker(bytes: Array(text.utf8))
    let node = try checker.value()
    checker.skipBlanks()
    guard checker.position == checker.bytes.count else { throw checker.failure("the end") }
    return node
  }

  private init(bytes: [UInt8]) { self.bytes = bytes }

  private func failure(_ expected: String) -> Failure { Failure(offset: position, expected: expected) }
  private var next: UInt8? { position < bytes.count ? bytes[position] : nil }
  private mutating func skipBlanks() {
    while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { position += 1 }
  }
  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }
  private mutating func take(word: String) -> Bool {
    guard bytes[position...].starts(with: word.utf8) else { return false }
    position += word.utf8.count
    return true
  }

  private mutating func value() throws -> JSONNode {
    skipBlanks()
    switch next {
    case UInt8(ascii: "{"): return try object()
    case UInt8(ascii: "["): return try array()
    case UInt8(ascii: "\""): return .string(try string())
    default:
      if take(word: "true") { return .boolean(true) }
      if take(word: "false") { return .boolean(false) }
      if take(word: "null") { return .null }
      return .number(try number())
    }
  }

  private mutating func object() throws -> JSONNode {
    _ = take("{")
    var members: [JSONNode.Member] = []
    skipBlanks()
    if take("}") { return .object([]) }
    repeat {
      skipBlanks()
      let key = try string()
      guard !members.contains(where: { $0.key == key }) else { throw failure("a new key, not \(key)") }
      skipBlanks()
      guard take(":") else { throw failure(":") }
      members.append(.init(key: key, value: try value()))
      skipBlanks()
    } while take(",")
    guard take("}") else { throw failure("}") }
    return .object(members)
  }

  private mutating func array() throws -> JSONNode {
    _ = take("[")
    var elements: [JSONNode] = []
    skipBlanks()
    if take("]") { return .array([]) }
    repeat {
      elements.append(try value())
      skipBlanks()
    } while take(",")
    guard take("]") else { throw failure("]") }
    return .array(elements)
  }

  private mutating func string() throws -> String {
    guard take("\"") else { throw failure("a string") }
    var text: [UInt8] = []
    while let byte = next {
      position += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let string = String(validating: text, as: UTF8.self) else { throw failure("UTF-8") }
        return string
      case UInt8(ascii: "\\"): text += try escape()
      case 0..<0x20: throw failure("no control character")
      default: text.append(byte)
      }
    }
    throw failure("a closing quotation mark")
  }

  private mutating func escape() throws -> [UInt8] {
    let plain: [(Unicode.Scalar, UInt8)] = [
      ("\"", 0x22), ("\\", 0x5C), ("/", 0x2F), ("b", 0x08), ("f", 0x0C), ("n", 0x0A), ("r", 0x0D), ("t", 0x09),
    ]
    for (letter, byte) in plain where take(letter) { return [byte] }
    guard take("u"), position + 4 <= bytes.count,
      let code = UInt32(String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16),
      let scalar = Unicode.Scalar(code)
    else { throw failure("an escape") }
    position += 4
    return Array(String(Character(scalar)).utf8)
  }

  private mutating func number() throws -> String {
    let start = position
    _ = take("-")
    let first = next
    let digits = takeDigits()
    guard digits > 0, digits == 1 || first != UInt8(ascii: "0") else { throw failure("a value") }
    if take("."), takeDigits() == 0 { throw failure("a digit") }
    if take("e") || take("E") {
      if !take("+") { _ = take("-") }
      guard takeDigits() > 0 else { throw failure("a digit") }
    }
    return String(decoding: bytes[start..<position], as: UTF8.self)
  }

  private mutating func takeDigits() -> Int {
    let start = position
    while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
    return position - start
  }
}
