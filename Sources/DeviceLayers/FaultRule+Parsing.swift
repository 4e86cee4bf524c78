internal import BlockDevice
internal import SystemPackage

extension FaultRule {
  /// Reads a rule. Throws where it is none: the column, and what was expected there.
  public init(_ text: String) throws(FaultRuleError) {
    var scanner = RuleScanner(text)
    let operations = try scanner.operations()
    let place = scanner.skip("@") ? try scanner.place() : .anywhere
    let event = scanner.skip("!") ? try scanner.event() : .start
    try scanner.expect(":", "':' and an action")
    let actionColumn = scanner.column
    self.init(try scanner.action())
    self.operations = operations
    self.place = place
    self.event = event
    self.text = text
    var keys: Set<String> = []
    while scanner.skip(",") {
      let column = scanner.column
      guard keys.insert(try scanner.key(&self)).inserted else { throw scanner.error("each key once", at: column) }
    }
    guard scanner.isAtEnd else { throw scanner.error("',' and a key, or the end") }
    if let problem = contradiction { throw FaultRuleError(text: text, column: actionColumn, expectation: problem) }
  }

  /// What cannot be meant, as the rest of "expected"; nil when the rule makes sense.
  private var contradiction: String? {
    let writesOnly: Set<Operation> = [.write]
    func only(_ allowed: Set<Operation>, _ name: String, _ what: String) -> String? {
      operations.isEmpty || !operations.isSubset(of: allowed) ? "\(what) with the action '\(name)'" : nil
    }
    switch action {
    case .torn: return only(writesOnly, "torn", "'write'")
    case .phantom: return only([.write, .discard, .writeZeroes], "phantom", "'write', 'discard' or 'zeroes'")
    case .misdirect: return only(writesOnly, "misdirect", "'write'")
    case .rot: return only([.read], "rot", "'read'")
    case .stuck: return only([.read], "stuck", "'read'")
    case .stale: return only([.read], "stale", "'read'")
    case .short: return only([.read, .write], "short", "'read' or 'write'")
    case .lie: return only([.flush], "lie", "'flush'")
    case .thin: return only(writesOnly, "thin", "'write'")
    default: break
    }
    if event == .complete {
      switch action {
      case .fail, .delay, .duplicate: break
      default: return "an errno, 'delay' or 'duplicate' at the event 'complete'"
      }
    }
    return nil
  }
}

/// Reads the parts of a rule, or of another text of that kind, from left to right.
struct RuleScanner {
  let text: String
  private let characters: [Character]
  private var index = 0

  init(_ text: String) {
    self.text = text
    characters = Array(text)
  }

  var column: Int { index + 1 }
  var isAtEnd: Bool { index == characters.count }
  func error(_ expectation: String, at column: Int? = nil) -> FaultRuleError {
    FaultRuleError(text: text, column: column ?? self.column, expectation: expectation)
  }
  mutating func skip(_ character: Character) -> Bool {
    guard index < characters.count, characters[index] == character else { return false }
    index += 1
    return true
  }
  mutating func expect(_ character: Character, _ expectation: String) throws(FaultRuleError) {
    guard skip(character) else { throw error(expectation) }
  }
  /// Characters up to one of those that end a word.
  mutating func word(_ ends: String) -> String {
    let start = index
    while index < characters.count, !ends.contains(characters[index]) { index += 1 }
    return String(characters[start..<index])
  }

  // MARK: What and where

  mutating func operations() throws(FaultRuleError) -> Set<Operation> {
    var found: Set<Operation> = []
    repeat {
      let start = column
      switch word("+@!:,") {
      case "any":
        if skip("+") || !found.isEmpty { throw error("'any' alone", at: start) }
        return []
      case "read": found.insert(.read)
      case "write": found.insert(.write)
      case "flush": found.insert(.flush)
      case "discard": found.insert(.discard)
      case "zeroes": found.insert(.writeZeroes)
      default: throw error("read, write, flush, discard, zeroes (joined by '+') or any", at: start)
      }
    } while skip("+")
    return found
  }

  mutating func place() throws(FaultRuleError) -> FaultRule.Place {
    let start = column
    if index < characters.count, characters[index].isNumber { return try ranges() }
    let name = word(":!,")
    switch name {
    case "data": return .data
    case "meta": return .metadata
    case "inode":
      try expect(":", "':' and an inode number")
      let start = column
      guard let number = UInt64(word(":!,")) else { throw error("an inode number", at: start) }
      return .inode(number)
    case "super", "bitmap", "itable": return .named(name)
    default:
      throw error(
        "blocks as 8-15, bytes as 64k-128k, or data, meta, inode:N, super, bitmap, itable", at: start)
    }
  }

  /// Ranges joined by commas: all blocks, or all bytes.
  private mutating func ranges() throws(FaultRuleError) -> FaultRule.Place {
    var ranges: [Range<UInt64>] = []
    var areBytes: Bool?
    repeat {
      let start = column
      let (first, hasUnit) = try size()
      var last = first
      var lastHasUnit = hasUnit
      if skip("-") { (last, lastHasUnit) = try size() }
      guard hasUnit == lastHasUnit || first == 0, areBytes ?? lastHasUnit == lastHasUnit else {
        throw error("either blocks (no unit) or bytes (b, k, m, g) throughout", at: start)
      }
      areBytes = lastHasUnit
      // Blocks are named by their first and last, bytes by where they begin and end.
      let (end, overflow) = lastHasUnit ? (last, false) : last.addingReportingOverflow(1)
      guard !overflow, first < end else { throw error("a range that does not end before it begins", at: start) }
      ranges.append(first..<end)
    } while skip(",")
    return areBytes == true ? .bytes(ranges) : .blocks(ranges)
  }

  private mutating func digits() throws(FaultRuleError) -> UInt64 {
    let start = index
    while index < characters.count, characters[index].isASCII, characters[index].isNumber { index += 1 }
    guard let number = UInt64(String(characters[start..<index])) else { throw error("a number", at: start + 1) }
    return number
  }

  mutating func size() throws(FaultRuleError) -> (number: UInt64, hasUnit: Bool) {
    let start = column
    let number = try digits()
    for (unit, shift) in [("b", 0), ("k", 10), ("m", 20), ("g", 30), ("t", 40)] as [(Character, UInt64)]
    where skip(unit) {
      guard (number << shift) >> shift == number else { throw error("a smaller number", at: start) }
      return (number << shift, true)
    }
    return (number, false)
  }

  mutating func event() throws(FaultRuleError) -> FaultRule.Event {
    let start = column
    guard let event = FaultRule.Event(rawValue: word(":,")) else { throw error("start or complete", at: start) }
    return event
  }

  // MARK: What happens

  mutating func action() throws(FaultRuleError) -> FaultRule.Action {
    let start = column
    let name = word("=,")
    switch name {
    case "eagain", "EAGAIN": return .again
    case "short":
      return .short(Int(clamping: try value { scanner throws(FaultRuleError) in try scanner.size().number }))
    case "torn": return .torn(try value { scanner throws(FaultRuleError) in try scanner.tornBlocks() })
    case "phantom": return .phantom
    case "misdirect": return .misdirect(try value { scanner throws(FaultRuleError) in try scanner.signed() })
    case "rot": return .rot(try value { scanner throws(FaultRuleError) in try scanner.bitCount() })
    case "stuck": return .stuck(try value { scanner throws(FaultRuleError) in try scanner.bitCount() })
    case "stale": return .stale
    case "delay": return .delay(try value { scanner throws(FaultRuleError) in try scanner.distribution() })
    case "hang": return .hang
    case "duplicate": return .duplicate
    case "lie": return .lie
    case "readonly": return .readOnly
    case "unplug": return .unplug(try value { scanner throws(FaultRuleError) in try scanner.distribution() })
    case "thin": return .thin(try value { scanner throws(FaultRuleError) in try scanner.size().number })
    default:
      if let errno = ErrnoName.errno(name) { return .fail(errno) }
      throw error(
        "an errno (EIO, ENOSPC …), eagain, short=, torn=, phantom, misdirect=, rot=, stuck=, stale, delay=, hang, "
          + "duplicate, lie, readonly, unplug= or thin=", at: start)
    }
  }

  private mutating func value<T>(
    _ body: (inout RuleScanner) throws(FaultRuleError) -> T
  ) throws(FaultRuleError) -> T {
    try expect("=", "'=' and a value")
    return try body(&self)
  }

  mutating func positive() throws(FaultRuleError) -> Int {
    let start = column
    let number = try digits()
    guard number > 0, let small = Int(exactly: number), small <= 1 << 30 else {
      throw error("a number from 1 on", at: start)
    }
    return small
  }

  /// So many bits are drawn one by one at each read.
  private mutating func bitCount() throws(FaultRuleError) -> Int {
    let start = column
    let count = try positive()
    guard count <= 4096 else { throw error("a number of bits, 1 to 4096", at: start) }
    return count
  }

  private mutating func signed() throws(FaultRuleError) -> Int {
    let isNegative = skip("-")
    if !isNegative { _ = skip("+") }
    let number = try positive()
    return isNegative ? -number : number
  }

  private mutating func tornBlocks() throws(FaultRuleError) -> FaultRule.TornBlocks {
    let start = column
    let kind = word(":,")
    try expect(":", "prefix:N, suffix:N or mask:HEX")
    switch kind {
    case "prefix": return .prefix(Int(clamping: try digits()))
    case "suffix": return .suffix(Int(clamping: try digits()))
    case "mask":
      let start = column
      var digits = word(",")
      if digits.hasPrefix("0x") { digits.removeFirst(2) }
      guard let bits = UInt64(digits, radix: 16) else { throw error("up to 16 hexadecimal digits", at: start) }
      return .mask(bits)
    default: throw error("prefix:N, suffix:N or mask:HEX", at: start)
    }
  }

  // MARK: Times

  mutating func time() throws(FaultRuleError) -> UInt64 {
    let start = column
    let number = try digits()
    let unitColumn = column
    let unit = word(":,")
    let units: [String: UInt64] = [
      "ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000,
    ]
    guard let factor = units[unit] else { throw error("a unit: ns, us, ms, s or m", at: unitColumn) }
    let (time, overflow) = number.multipliedReportingOverflow(by: factor)
    guard !overflow, time <= TimeDistribution.longest else { throw error("at most an hour", at: start) }
    return time
  }

  private mutating func real(_ expectation: String, _ range: ClosedRange<Double>) throws(FaultRuleError) -> Double {
    let start = column
    guard let number = Double(word(":,")), range.contains(number) else { throw error(expectation, at: start) }
    return number
  }

  mutating func distribution() throws(FaultRuleError) -> TimeDistribution {
    if index < characters.count, characters[index].isNumber { return .fixed(try time()) }
    let start = column
    let name = word(":,")
    guard skip(":") else {
      throw error("a time as 5ms, or uniform:, exponential:, normal:, lognormal:, pareto:, bimodal:", at: start)
    }
    switch name {
    case "uniform":
      let low = try time()
      try expect(":", "':' and the longest time")
      let start = column
      let high = try time()
      guard low <= high else { throw error("a time that is not shorter than the shortest", at: start) }
      return .uniform(low, high)
    case "exponential": return .exponential(mean: try time())
    case "normal":
      let mean = try time()
      try expect(":", "':' and the deviation")
      return .normal(mean: mean, deviation: try time())
    case "lognormal":
      let median = try time()
      try expect(":", "':' and sigma")
      return .lognormal(median: median, sigma: try real("sigma, 0 to 10", 0...10))
    case "pareto":
      let least = try time()
      try expect(":", "':' and the shape")
      return .pareto(least: least, shape: try real("the shape, 0.1 to 100", 0.1...100))
    case "bimodal":
      let usual = try time()
      try expect(":", "':' and the seldom time")
      let seldom = try time()
      try expect(":", "':' and the share of the seldom time")
      return .bimodal(usual: usual, seldom: seldom, share: try real("a share, 0 to 1", 0...1))
    default: throw error("uniform, exponential, normal, lognormal, pareto or bimodal", at: start)
    }
  }

  // MARK: When

  /// Reads a key and its value. Returns the key.
  mutating func key(_ rule: inout FaultRule) throws(FaultRuleError) -> String {
    let start = column
    let name = word("=,")
    guard ["nth", "every", "count", "p", "after", "for", "state", "set", "heal"].contains(name) else {
      throw error("nth=, every=, count=, p=, after=, for=, state=, set= or heal=", at: start)
    }
    try expect("=", "'=' and a value")
    let valueColumn = column
    switch name {
    case "nth": rule.nth = try positive()
    case "every": rule.every = try positive()
    case "count": rule.count = try positive()
    case "p": rule.probability = try real("a probability, 0 to 1", 0...1)
    case "after": rule.after = try time()
    case "for": rule.duration = try time()
    case "state", "set":
      let state = word(",")
      guard !state.isEmpty else { throw error("the name of a state", at: valueColumn) }
      if name == "state" { rule.state = state } else { rule.nextState = state }
    default:
      if index < characters.count, characters[index].isNumber {
        rule.healing = .after(try positive())
      } else {
        guard word(",") == "write" else { throw error("write, or a number of failures", at: valueColumn) }
        rule.healing = .onWrite
      }
    }
    return name
  }
}

extension TimeDistribution {
  /// Reads a law of times. Throws as a rule does.
  public init(_ text: String) throws(FaultRuleError) {
    var scanner = RuleScanner(text)
    self = try scanner.distribution()
    guard scanner.isAtEnd else { throw scanner.error("the end") }
  }
}

extension Errno {
  /// ENODEV: the device is gone.
  static let noDevice = Errno(rawValue: 19)
}

/// Errnos by the names that devices and file systems report.
enum ErrnoName {
  private static let names: [(String, Errno)] = [
    ("EIO", .ioError), ("ENOSPC", .noSpace), ("EROFS", .readOnlyFileSystem), ("ENODEV", .noDevice),
    ("ENXIO", .noSuchAddressOrDevice), ("EINVAL", .invalidArgument), ("ENOMEM", .noMemory), ("EBUSY", .resourceBusy),
    ("ETIMEDOUT", .timedOut), ("EPERM", .notPermitted), ("EACCES", .permissionDenied),
    ("EOPNOTSUPP", .notSupportedOnSocket),
    ("EINTR", .interrupted), ("EFBIG", .fileTooLarge), ("EDQUOT", Errno(rawValue: 122)),
    ("EILSEQ", .illegalByteSequence),
    ("ENODATA", Errno(rawValue: 61)), ("EREMOTEIO", Errno(rawValue: 121)), ("EBADE", Errno(rawValue: 52)),
    ("ENOLINK", Errno(rawValue: 67)),
  ]
  /// The errno of a name.
  static func errno(_ name: String) -> Errno? { names.first { $0.0 == name }?.1 }
  /// The name of an errno, or its number.
  static func name(_ errno: Errno) -> String {
    names.first { $0.1 == errno }?.0 ?? "errno \(errno.rawValue)"
  }
}
