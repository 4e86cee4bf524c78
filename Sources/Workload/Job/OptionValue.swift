/// The value of an option, read as its kind says.
package enum OptionValue: Sendable, Equatable {
  case text(String)
  case names([String])
  /// Bytes, a count, or nanoseconds.
  case number(UInt64)
  case flag(Bool)
  case mix(OperationMix)
  case percent(UInt64)
  /// Nil for what was left out.
  case list([UInt64?])
  case blockSizes([BlockSizes?])
  case pattern(AccessPattern, modifier: UInt64?)
  case distribution(OffsetDistribution)
}

extension JobOption.Kind {
  /// Reads a value as it was written, without the blanks around it; nil when only the option's name was given.
  ///
  /// - Throws: what is wrong with the text.
  package func parse(_ text: String?) throws(ValueProblem) -> OptionValue {
    if self == .logName { return .text(text ?? "") }
    guard let text else {
      // A bare boolean means 1; nothing else has a value that goes without saying.
      guard self == .boolean else { throw .missing }
      return .flag(true)
    }
    if text.isEmpty { throw .missing }
    switch self {
    case .text: return .text(text)
    case .names: return .names(try parseNames(text))
    // As in fio, a count may have the suffixes of bytes: `20k` are 20,480.
    case .integer(let range), .bytes(let range): return .number(try check(parseBytes(text), in: range))
    case .duration: return .number(try parseDuration(text, unit: 1_000_000_000))
    case .microseconds: return .number(try parseDuration(text, unit: 1_000))
    case .bytesOrPercent(let range):
      guard text.hasSuffix("%") else { return .number(try check(parseBytes(text), in: range)) }
      guard let percent = parseUnsigned(text.dropLast()) else { throw .notANumber }
      return .percent(try check(percent, in: 1...100))
    case .integers(let range), .bytesEach(let range):
      return .list(try parseList(text) { part throws(ValueProblem) in try check(parseBytes(part), in: range) })
    case .byteRanges(let range):
      return .blockSizes(try parseList(text) { part throws(ValueProblem) in try parseByteRange(part, in: range) })
    case .splits(let range):
      return .blockSizes(try parseList(text) { part throws(ValueProblem) in try parseSplit(part, in: range) })
    case .pattern: return try parsePattern(text)
    case .distribution: return .distribution(try OffsetDistribution(text: text))
    case .boolean:
      switch text {
      case "0": return .flag(false)
      case "1": return .flag(true)
      default: throw .notBoolean
      }
    case .choice(let names): return .text(try parseChoice(text, among: names))
    case .percentages(let count): return .list(try parsePercentages(text, count: count))
    case .mix: return .mix(try parseMix(text))
    case .steadiness:
      guard SteadyState.Criterion(text) != nil else { throw .malformedSteadiness }
      return .text(text)
    case .verification:
      // fio's name for the same with the processor's help, which is a matter of speed alone.
      let name = text == "crc32c-intel" ? "crc32c" : text
      if VerifyMethod.knownToFioOnly.contains(name) {
        throw .knownToFioOnly(VerifyMethod.allCases.map(\.rawValue))
      }
      return .text(try parseChoice(name, among: VerifyMethod.allCases.map(\.rawValue)))
    case .logName: return .text(text)
    case .fillPattern:
      guard VerifyPattern(text) != nil else { throw .malformedPattern }
      return .text(text)
    case .words(let names):
      var words: [String] = []
      for part in text.split(separator: ",", omittingEmptySubsequences: false) {
        words.append(try parseChoice(part.trimmingBlanks(), among: names))
      }
      return .names(words)
    }
  }
}

private func check(_ number: UInt64, in range: ClosedRange<UInt64>) throws(ValueProblem) -> UInt64 {
  guard range.contains(number) else { throw .outOfRange(minimum: range.lowerBound, maximum: range.upperBound) }
  return number
}

/// A number without sign, decimal or, as in fio, hexadecimal after `0x`.
private func parseUnsigned(_ text: some StringProtocol) -> UInt64? {
  let isHexadecimal = text.hasPrefix("0x") || text.hasPrefix("0X")
  let digits = isHexadecimal ? text.dropFirst(2) : text[...]
  // `UInt64.init` takes a leading plus, which is no part of a number in a job file.
  guard let first = digits.first, first.isHexDigit else { return nil }
  return UInt64(digits, radix: isHexadecimal ? 16 : 10)
}

/// Splits a number from the suffix behind it. A hexadecimal number has no suffix.
private func splitSuffix(_ text: String) throws(ValueProblem) -> (number: UInt64, suffix: String) {
  if text.hasPrefix("0x") || text.hasPrefix("0X") {
    guard let number = parseUnsigned(text) else { throw .notANumber }
    return (number, "")
  }
  let digits = text.prefix { $0.isASCII && $0.isNumber }
  guard !digits.isEmpty else { throw .notANumber }
  guard let number = UInt64(digits) else { throw .outOfRange(minimum: 0, maximum: .max - 1) }
  let suffix = text.dropFirst(digits.count)
  // 1.5k: fio does not read fractions either.
  if suffix.hasPrefix(".") { throw .notANumber }
  return (number, suffix.lowercased())
}

/// Suffixes are powers of 1024, as with fio's `kb_base=1024`. fio reads `kib` as 1000 then, for old scripts' sake; here it
/// is 1024, which is what everybody means by it.
func parseBytes(_ text: String) throws(ValueProblem) -> UInt64 {
  if text.hasSuffix("%") { throw .percentageNotSupported }
  if text.contains(",") { throw .perDirectionNotSupported }
  let (number, suffix) = try splitSuffix(text)
  let shift: UInt64
  switch suffix {
  case "", "b": shift = 0
  case "k", "kb", "ki", "kib": shift = 10
  case "m", "mb", "mi", "mib": shift = 20
  case "g", "gb", "gi", "gib": shift = 30
  case "t", "tb", "ti", "tib": shift = 40
  case "p", "pb", "pi", "pib": shift = 50
  default: throw .unknownSuffix(suffix, allowed: "k, m, g, t or p")
  }
  return try scale(number, by: 1 << shift)
}

/// Nanoseconds; without a suffix the number counts `unit` of them.
private func parseDuration(_ text: String, unit: UInt64) throws(ValueProblem) -> UInt64 {
  if text.dropFirst().contains("-") { throw .rangeOfTimes }
  let (number, suffix) = try splitSuffix(text)
  let nanoseconds: UInt64
  switch suffix {
  case "": nanoseconds = unit
  case "us", "usec": nanoseconds = 1_000
  case "ms", "msec": nanoseconds = 1_000_000
  case "s", "sec": nanoseconds = 1_000_000_000
  case "m": nanoseconds = 60 * 1_000_000_000
  case "h": nanoseconds = 3_600 * 1_000_000_000
  case "d": nanoseconds = 86_400 * 1_000_000_000
  default: throw .unknownSuffix(suffix, allowed: "us, ms, s, m, h or d")
  }
  // 146 years: two of them and what they are added to have a place on the clock.
  let limit: UInt64 = 1 << 62
  guard number <= limit / nanoseconds else { throw .outOfRange(minimum: 0, maximum: limit / nanoseconds) }
  return number * nanoseconds
}

private func scale(_ number: UInt64, by unit: UInt64) throws(ValueProblem) -> UInt64 {
  let (product, overflow) = number.multipliedReportingOverflow(by: unit)
  if overflow { throw .outOfRange(minimum: 0, maximum: .max / unit) }
  return product
}

/// As in fio, `\:` is a colon in a name, not between two.
private func parseNames(_ text: String) throws(ValueProblem) -> [String] {
  var names: [String] = [""]
  var isEscaped = false
  for character in text {
    if character == ":" {
      if isEscaped {
        names[names.count - 1].removeLast()
        names[names.count - 1].append(":")
      } else {
        names.append("")
      }
    } else {
      names[names.count - 1].append(character)
    }
    isEscaped = character == "\\"
  }
  if names.contains("") { throw .emptyName }
  var seen: Set<String> = []
  for name in names where !seen.insert(name).inserted { throw .repeatedName(name) }
  return names
}

/// Names as `parseNames` takes them.
func namesText(_ names: [String]) -> String {
  names.map { name in name.map { $0 == ":" ? "\\:" : String($0) }.joined() }.joined(separator: ":")
}

private func parseList<Value>(
  _ text: String, _ parse: (String) throws(ValueProblem) -> Value
) throws(ValueProblem) -> [Value?] {
  var values: [Value?] = []
  for part in text.split(separator: ",", omittingEmptySubsequences: false) {
    values.append(part.isEmpty ? nil : try parse(part.trimmingBlanks()))
  }
  guard values.count <= 3 else { throw .tooManyDirections }
  return values
}

private func parseByteRange(_ text: String, in range: ClosedRange<UInt64>) throws(ValueProblem) -> BlockSizes {
  // As in fio, of two signs one.
  let sign: Character = text.contains("-") ? "-" : ":"
  let ends = text.split(separator: sign, omittingEmptySubsequences: false)
  guard ends.count == 2 else { throw .malformedRange(text) }
  let first = try check(parseBytes(String(ends[0])), in: range)
  let last = try check(parseBytes(String(ends[1])), in: range)
  guard first <= last else { throw .malformedRange(text) }
  return .range(Int(first)...Int(last))
}

/// As in fio, what has no percentage shares the rest of the hundred.
private func parseSplit(_ text: String, in range: ClosedRange<UInt64>) throws(ValueProblem) -> BlockSizes {
  var shares: [(size: Int, percent: Int?)] = []
  for entry in text.split(separator: ":", omittingEmptySubsequences: false) {
    let parts = entry.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, !entry.isEmpty else { throw .malformedSplit(text) }
    let size = try check(parseBytes(String(parts[0])), in: range)
    var percent: Int?
    if parts.count == 2, !parts[1].isEmpty {
      guard let number = parseUnsigned(parts[1]), number <= 100 else { throw .malformedSplit(text) }
      percent = Int(number)
    }
    shares.append((Int(size), percent))
  }
  let given = shares.reduce(0) { $0 + ($1.percent ?? 0) }
  let open = shares.count { $0.percent == nil }
  guard open > 0 ? given <= 100 : given == 100 else { throw .malformedSplit(text) }
  var rest = 100 - given, left = open
  return .split(
    shares.map { size, percent in
      if let percent { return BlockSizes.Share(size, percent: percent) }
      let share = rest / left
      rest -= share
      left -= 1
      return BlockSizes.Share(size, percent: share)
    })
}

private func parsePattern(_ text: String) throws(ValueProblem) -> OptionValue {
  let colon = text.firstIndex(of: ":")
  var name = String(text[..<(colon ?? text.endIndex)])
  // fio writes the mixed pattern in two ways.
  if name == "readwrite" { name = "rw" }
  guard let pattern = AccessPattern(rawValue: try parseChoice(name, among: AccessPattern.allCases.map(\.rawValue)))
  else {
    preconditionFailure("a choice is one of the patterns")
  }
  guard let colon else { return .pattern(pattern, modifier: nil) }
  let modifier = try parseBytes(String(text[text.index(after: colon)...]))
  guard modifier > 0, modifier <= 1 << 40 else { throw .outOfRange(minimum: 1, maximum: 1 << 40) }
  return .pattern(pattern, modifier: modifier)
}

private func parseChoice(_ text: String, among names: [String]) throws(ValueProblem) -> String {
  if names.contains(text) { return text }
  throw .notOneOf(names, nearest: nearestName(to: text, among: names))
}

private func parseMix(_ text: String) throws(ValueProblem) -> OperationMix {
  let known = FileOperation.allCases.map(\.rawValue)
  var weights: [FileOperation: UInt32] = [:]
  for entry in text.split(separator: ",", omittingEmptySubsequences: false) {
    let parts = entry.split(separator: ":", omittingEmptySubsequences: false).map { $0.trimmingBlanks() }
    guard parts.count == 2, let number = parseUnsigned(parts[1]), number <= 1_000_000 else {
      throw .malformedWeight(String(entry))
    }
    guard let operation = FileOperation(rawValue: parts[0]) else {
      throw .unknownOperation(parts[0], allowed: known, nearest: nearestName(to: parts[0], among: known))
    }
    guard weights.updateValue(UInt32(number), forKey: operation) == nil else { throw .repeatedOperation(parts[0]) }
  }
  guard let mix = OperationMix(weights) else { throw .noWeight }
  return mix
}

/// In millionths of a percent, from the smallest up, each once.
private func parsePercentages(_ text: String, count: Int) throws(ValueProblem) -> [UInt64?] {
  let parts = text.split(separator: ":", omittingEmptySubsequences: false)
  guard parts.count <= count else { throw .notANumber }
  var list: Set<UInt64> = []
  for part in parts {
    let digits = (part.hasSuffix("%") ? part.dropLast() : part).split(
      separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    let fraction = digits.count == 2 ? digits[1] : "0"
    guard !fraction.isEmpty, fraction.utf8.count <= 6, fraction.allSatisfy({ $0.isASCII && $0.isNumber }),
      digits[0].utf8.count <= 3, digits[0].allSatisfy({ $0.isASCII && $0.isNumber }), let whole = UInt64(digits[0]),
      let rest = UInt64(fraction + String(repeating: "0", count: 6 - fraction.utf8.count))
    else { throw .notANumber }
    let number = whole * 1_000_000 + rest
    guard (1...Percentiles.whole).contains(number) else { throw .notAPercentile }
    list.insert(number)
  }
  return list.sorted()
}

/// Percentages as `parsePercentages` takes them.
func percentagesText(_ list: [UInt64]) -> String {
  list.map { ReportNumber.fixed($0, scale: 6, places: 0) }.joined(separator: ":")
}

extension StringProtocol {
  /// Without the spaces, tabs and carriage returns at both ends.
  func trimmingBlanks() -> String {
    var rest = self[...]
    while let first = rest.first, first.isWhitespace { rest.removeFirst() }
    while let last = rest.last, last.isWhitespace { rest.removeLast() }
    return String(rest)
  }
}
