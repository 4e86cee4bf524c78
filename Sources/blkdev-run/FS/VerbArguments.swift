/// An option of a verb.
struct VerbOption {
  /// Its letters and its long names: any of them means it; the first is how the program asks for it.
  let names: [String]
  let takesValue: Bool

  static func flag(_ names: String...) -> VerbOption { VerbOption(names: names, takesValue: false) }
  static func value(_ names: String...) -> VerbOption { VerbOption(names: names, takesValue: true) }
}

/// The words behind a verb, read as getopt_long(3) reads them: letters may stand together, values behind them or apart,
/// options anywhere before "--".
struct VerbArguments {
  private(set) var operands: [[UInt8]] = []
  private var values: [String: [[UInt8]]] = [:]
  /// The first names of the options, in their order.
  private var given: [String] = []

  /// - Parameter isOperand: of a word that begins with a dash: whether it is no option, as "-x" is of chmod.
  /// - Throws: `usage`, without the verb's name.
  init(_ words: [[UInt8]], _ options: [VerbOption], isOperand: (String) -> Bool) throws(FSError) {
    var rest = words[...]
    while let word = rest.popFirst() {
      let text = String(decoding: word, as: UTF8.self)
      if text == "--" {
        operands += rest
        return
      }
      if text.hasPrefix("--") {
        try readLong(word, text, &rest, options)
      } else if text.hasPrefix("-"), text.count > 1, !isOperand(text) {
        try readLetters(word, text, &rest, options)
      } else {
        operands.append(word)
      }
    }
  }

  private mutating func readLong(
    _ word: [UInt8], _ text: String, _ rest: inout ArraySlice<[UInt8]>, _ options: [VerbOption]
  ) throws(FSError) {
    let end = word.firstIndex(of: UInt8(ascii: "="))
    let name = String(decoding: word[2..<(end ?? word.count)], as: UTF8.self)
    guard let option = options.first(where: { $0.names.contains(name) && name.count > 1 }) else {
      let known = options.flatMap(\.names).filter { $0.count > 1 }.map { "--\($0)" }
      throw .usage("unknown option --\(name)" + FSOptions.hint("--\(name)", known))
    }
    if let end {
      guard option.takesValue else { throw .usage("--\(name) takes no value") }
      note(option, Array(word[(end + 1)...]))
    } else {
      try readValue(of: option, "--\(name)", &rest)
    }
  }

  private mutating func readLetters(
    _ word: [UInt8], _ text: String, _ rest: inout ArraySlice<[UInt8]>, _ options: [VerbOption]
  ) throws(FSError) {
    var index = 1
    while index < word.count {
      let letter = String(UnicodeScalar(word[index]))
      guard let option = options.first(where: { $0.names.contains(letter) }) else {
        let known = options.flatMap(\.names).map { $0.count > 1 ? "--\($0)" : "-\($0)" }
        throw .usage("unknown option -\(letter)" + (known.isEmpty ? "" : "; there are \(known.joined(separator: " "))"))
      }
      index += 1
      if option.takesValue && index < word.count {
        note(option, Array(word[index...]))
        return
      }
      try readValue(of: option, "-\(letter)", &rest)
    }
  }

  private mutating func readValue(
    of option: VerbOption, _ name: String, _ rest: inout ArraySlice<[UInt8]>
  ) throws(FSError) {
    guard option.takesValue else { return note(option, []) }
    guard let value = rest.popFirst() else { throw .usage("\(name) needs a value") }
    note(option, value)
  }

  private mutating func note(_ option: VerbOption, _ value: [UInt8]) {
    values[option.names[0], default: []].append(value)
    given.append(option.names[0])
  }

  /// Whether the option with this first name was given.
  func has(_ name: String) -> Bool { values[name] != nil }
  /// Which of these, by their first names, was given last.
  func last(of names: Set<String>) -> String? { given.last(where: names.contains) }
  /// The last value of an option.
  func bytes(_ name: String) -> [UInt8]? { values[name]?.last }
  /// The same as text.
  func text(_ name: String) -> String? { bytes(name).map { String(decoding: $0, as: UTF8.self) } }
  /// An operand as text.
  func text(_ index: Int) -> String { String(decoding: operands[index], as: UTF8.self) }

  /// A number of bytes that must be given, in GNU's units.
  ///
  /// - Throws: `usage`.
  func byteCount(_ name: String) throws(FSError) -> UInt64? {
    guard let text = text(name) else { return nil }
    guard let count = parseByteCount(text) else {
      throw .usage("-\(name) \(text): a number of bytes is wanted, such as 4096, 64K, 1M or 2G")
    }
    return count
  }

  /// A number that an operand must be.
  ///
  /// - Throws: `usage`.
  func number<T: FixedWidthInteger>(_ index: Int, _ what: String, as type: T.Type = T.self) throws(FSError) -> T {
    guard let number = parseNumber(text(index), as: T.self) else {
      throw .usage("\(text(index)): \(what) is wanted, a number from \(T.min) to \(T.max)")
    }
    return number
  }
}

/// A number, decimal or, after 0x, hexadecimal.
func parseNumber<T: FixedWidthInteger>(_ text: String, as type: T.Type = T.self) -> T? {
  if text.hasPrefix("0x") { return T(text.dropFirst(2), radix: 16) }
  return text.hasPrefix("+") ? nil : T(text)
}

/// A number of bytes with GNU's suffixes: K, M, G, T (and KiB …) are powers of 1024, KB, MB … of 1000.
func parseByteCount(_ text: String) -> UInt64? {
  if let plain: UInt64 = parseNumber(text) { return plain }
  let digits = text.prefix { $0.isASCII && $0.isNumber }
  guard let number = UInt64(digits), let letter = text.dropFirst(digits.count).first,
    let power = "kmgt".firstIndex(of: Character(letter.lowercased()))
  else { return nil }
  let rest = text.dropFirst(digits.count + 1)
  let base: UInt64
  switch rest {
  case "", "iB": base = 1024
  case "B": base = 1000
  default: return nil
  }
  var result = number
  for _ in 0...("kmgt".distance(from: "kmgt".startIndex, to: power)) {
    let (product, overflow) = result.multipliedReportingOverflow(by: base)
    if overflow { return nil }
    result = product
  }
  return result
}
