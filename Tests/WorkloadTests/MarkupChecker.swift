/// A strict reader of XML without processing instructions and namespaces, for tests: one element, all of them closed in
/// order, attributes in double quotes and each once, no `<` or `&` that is not markup, no control bytes.
struct MarkupChecker {
  struct Failure: Error, CustomStringConvertible {
    let offset: Int
    let problem: String
    var description: String { "\(problem) at byte \(offset)" }
  }

  /// An element and what is in it.
  final class Element {
    let name: String
    let attributes: [String: String]
    fileprivate(set) var children: [Element] = []
    /// The characters between its children, as they are shown.
    fileprivate(set) var text = ""

    fileprivate init(_ name: String, _ attributes: [String: String]) {
      self.name = name
      self.attributes = attributes
    }

    /// It and all in it of a name.
    func all(_ wanted: String) -> [Element] {
      (name == wanted ? [self] : []) + children.flatMap { $0.all(wanted) }
    }
    /// All its characters.
    var content: String { text + children.map(\.content).joined() }
  }

  private let bytes: [UInt8]
  private var position = 0

  static func parse(_ text: String) throws -> Element {
    var checker = MarkupChecker(bytes: Array(text.utf8))
    for (index, scalar) in text.unicodeScalars.enumerated() {
      let isAllowed = scalar == "\n" || scalar == "\t" || scalar.value >= 0x20 && scalar.value & ~1 != 0xFFFE
      if !isAllowed { throw Failure(offset: index, problem: "no character of XML") }
    }
    if checker.take("<!DOCTYPE html>") { checker.skipBlanks() }
    let element = try checker.element()
    checker.skipBlanks()
    if checker.position != checker.bytes.count { throw checker.failure("something behind the element") }
    return element
  }

  private init(bytes: [UInt8]) { self.bytes = bytes }

  private func failure(_ problem: String) -> Failure { Failure(offset: position, problem: problem) }

  private mutating func take(_ text: String) -> Bool {
    let wanted = Array(text.utf8)
    guard bytes[position...].starts(with: wanted) else { return false }
    position += wanted.count
    return true
  }

  private mutating func skipBlanks() {
    while position < bytes.count, bytes[position] == 0x20 || bytes[position] == 0x0A { position += 1 }
  }

  private mutating func name() throws -> String {
    let start = position
    while position < bytes.count, Self.isNameByte(bytes[position]) { position += 1 }
    if start == position { throw failure("no name") }
    return String(decoding: bytes[start..<position], as: UTF8.self)
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    (0x61...0x7A).contains(byte) || (0x41...0x5A).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2D
  }

  /// Characters up to one of the given bytes.
  private mutating func characters(until ends: [UInt8]) throws -> String {
    var result: [UInt8] = []
    while position < bytes.count, !ends.contains(bytes[position]) {
      switch bytes[position] {
      case 0x3C: throw failure("a <")
      case 0x26:
        let names = ["&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": "\"", "&#39;": "'"]
        guard let (entity, meaning) = names.first(where: { bytes[position...].starts(with: $0.key.utf8) }) else {
          throw failure("an & that begins no reference")
        }
        result += meaning.utf8
        position += entity.utf8.count
      default:
        result.append(bytes[position])
        position += 1
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  private mutating func element() throws -> Element {
    guard take("<") else { throw failure("no element") }
    let name = try name()
    var attributes: [String: String] = [:]
    while true {
      let before = position
      skipBlanks()
      if take("/>") { return Element(name, attributes) }
      if take(">") { break }
      if before == position { throw failure("no blank before an attribute") }
      let key = try self.name()
      guard take("=\"") else { throw failure("no value") }
      if attributes[key] != nil { throw failure("\(key) twice") }
      attributes[key] = try characters(until: [0x22])
      guard take("\"") else { throw failure("no end of a value") }
    }
    let element = Element(name, attributes)
    while true {
      element.text += try characters(until: [0x3C])
      if take("</") {
        let end = try self.name()
        guard end == name, take(">") else { throw failure("</\(end)> ends <\(name)>") }
        return element
      }
      element.children.append(try self.element())
    }
  }
}
