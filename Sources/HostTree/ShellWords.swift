// Words as a shell reads and GNU ls prints them: names are any bytes but '/' and NUL, and what is printed can be read
// back, here and by bash.

/// Splitting and quoting.
package enum ShellWords {
  /// What is wrong with a line.
  package enum Problem: Error, Equatable, Sendable, CustomStringConvertible {
    case unclosedQuote(Character)
    case badEscape(String)
    case trailingBackslash
    case nul
    package var description: String {
      switch self {
      case .unclosedQuote(let quote): "a quotation mark \(quote) is not closed"
      case .badEscape(let text):
        "\\\(text) is no escape; there are \\n \\t \\r \\a \\b \\e \\f \\v \\\\ \\' \\\" \\NNN \\xNN"
      case .trailingBackslash: "a backslash at the end of the line"
      case .nul: "no word can have a NUL in it"
      }
    }
  }

  /// Splits a line into words: blanks part them; '…' takes everything as it is, "…" everything but \" \\ \$ \`, and $'…'
  /// knows C's escapes; outside of quotes a backslash takes the next byte as it is, but \xNN is a byte. A word that begins
  /// with # begins a comment.
  package static func split(_ line: [UInt8]) throws(Problem) -> [[UInt8]] {
    var reader = Reader(line)
    var words: [[UInt8]] = []
    while let word = try reader.nextWord() { words.append(word) }
    return words
  }

  /// A word for a shell: as it is when nothing in it means anything there, else in quotes, with $'…' around bytes that are
  /// no text or do not print (GNU ls's shell-escape).
  package static func quotedIfNeeded(_ word: [UInt8]) -> String {
    if !word.isEmpty, word.allSatisfy(isPlain), word[0] != UInt8(ascii: "~"), word[0] != UInt8(ascii: "#") {
      return String(decoding: word, as: UTF8.self)
    }
    if let text = String(validating: word, as: UTF8.self), text.unicodeScalars.allSatisfy(isPrintable) {
      return "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#) + "'"
    }
    return "$'" + escaped(word) + "'"
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: "/._-+,:=@%~#^".utf8.contains(byte)
    }
  }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned: false
    default: true
    }
  }

  private static func escaped(_ word: [UInt8]) -> String {
    word.map { byte in
      switch byte {
      case UInt8(ascii: "\n"): return "\\n"
      case UInt8(ascii: "\t"): return "\\t"
      case UInt8(ascii: "\r"): return "\\r"
      case UInt8(ascii: "'"), UInt8(ascii: "\\"): return "\\" + String(UnicodeScalar(byte))
      case 0x20..<0x7F: return String(UnicodeScalar(byte))
      default:
        // Octal has a fixed width: a digit that follows is not taken for one of its own.
        let digits = String(byte, radix: 8)
        return "\\" + String(repeating: "0", count: 3 - digits.count) + digits
      }
    }.joined()
  }

  private struct Reader {
    private let line: [UInt8]
    private var index = 0
    init(_ line: [UInt8]) { self.line = line }

    private mutating func next() -> UInt8? {
      guard index < line.count else { return nil }
      index += 1
      return line[index - 1]
    }

    mutating func nextWord() throws(Problem) -> [UInt8]? {
      while index < line.count, " \t\r\n".utf8.contains(line[index]) { index += 1 }
      guard index < line.count, line[index] != UInt8(ascii: "#") else { return nil }
      var word: [UInt8] = []
      while let byte = next() {
        switch byte {
        case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"): return word
        case UInt8(ascii: "'"): try readSingle(&word)
        case UInt8(ascii: "\""): try readDouble(&word)
        case UInt8(ascii: "$") where index < line.count && line[index] == UInt8(ascii: "'"):
          index += 1
          try readDollar(&word)
        case UInt8(ascii: "\\"):
          guard let escaped = next() else { throw .trailingBackslash }
          word.append(escaped == UInt8(ascii: "x") ? try readHexadecimal() : escaped)
        case 0: throw .nul
        default: word.append(byte)
        }
      }
      return word
    }

    private mutating func readSingle(_ word: inout [UInt8]) throws(Problem) {
      while let byte = next() {
        if byte == UInt8(ascii: "'") { return }
        if byte == 0 { throw .nul }
        word.append(byte)
      }
      throw .unclosedQuote("'")
    }

    private mutating func readDouble(_ word: inout [UInt8]) throws(Problem) {
      while let byte = next() {
        if byte == UInt8(ascii: "\"") { return }
        if byte == 0 { throw .nul }
        if byte == UInt8(ascii: "\\"), index < line.count, "\"\\$`".utf8.contains(line[index]) {
          word.append(line[index])
          index += 1
        } else {
          word.append(byte)
        }
      }
      throw .unclosedQuote("\"")
    }

    private mutating func readDollar(_ word: inout [UInt8]) throws(Problem) {
      while let byte = next() {
        switch byte {
        case UInt8(ascii: "'"): return
        case UInt8(ascii: "\\"): word.append(try readEscape())
        case 0: throw .nul
        default: word.append(byte)
        }
      }
      throw .unclosedQuote("'")
    }

    private mutating func readEscape() throws(Problem) -> UInt8 {
      guard let byte = next() else { throw .unclosedQuote("'") }
      switch byte {
      case UInt8(ascii: "n"): return 10
      case UInt8(ascii: "t"): return 9
      case UInt8(ascii: "r"): return 13
      case UInt8(ascii: "a"): return 7
      case UInt8(ascii: "b"): return 8
      case UInt8(ascii: "e"), UInt8(ascii: "E"): return 27
      case UInt8(ascii: "f"): return 12
      case UInt8(ascii: "v"): return 11
      case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""), UInt8(ascii: "?"): return byte
      case UInt8(ascii: "x"): return try readHexadecimal()
      case UInt8(ascii: "0")...UInt8(ascii: "7"):
        var value = Int(byte - UInt8(ascii: "0"))
        var count = 1
        while count < 3, index < line.count, (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(line[index]) {
          value = value * 8 + Int(line[index] - UInt8(ascii: "0"))
          index += 1
          count += 1
        }
        guard value > 0 else { throw .nul }
        guard value < 256 else { throw .badEscape(String(value, radix: 8)) }
        return UInt8(value)
      default: throw .badEscape(String(decoding: [byte], as: UTF8.self))
      }
    }

    private mutating func readHexadecimal() throws(Problem) -> UInt8 {
      var value = 0, count = 0
      while count < 2, index < line.count, let digit = Character(UnicodeScalar(line[index])).hexDigitValue,
        line[index] < 0x80
      {
        value = value * 16 + digit
        index += 1
        count += 1
      }
      guard count > 0 else { throw .badEscape("x") }
      guard value > 0 else { throw .nul }
      return UInt8(value)
    }
  }
}
