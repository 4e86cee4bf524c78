// Which layers stand between a queue and its device, as the options of a command say it:
//
//   queue ─ strict ─ faults ─ volatile cache ─ latency ─ write log ─ device
//
// Strict stands on top, because it watches what the queue asks for and what the queue is told. Faults stand above the
// cache: a flush that lies must not empty it, and a write that fails must not be in it. Latency stands below the cache,
// which is what a cache is for. The log lies on the device: it has what the medium gets, in that order.
public import SystemPackage

/// The options that describe a stack, by the names that every command has for them.
public enum StackOption: String, CaseIterable, Sendable {
  case fault
  case faultFile = "fault-file"
  case strict
  case volatileCache = "volatile-cache"
  case latency
  case deadline
  case writeLog = "write-log"
  case stack

  /// What stands for its value in a help text; nil when it has none.
  public var valueName: String? {
    switch self {
    case .fault: "RULE"
    case .faultFile, .writeLog: "FILE"
    case .volatileCache: "SIZE"
    case .latency: "MODEL"
    case .deadline: "TIME"
    case .strict, .stack: nil
    }
  }
  /// Whether its value may be left out.
  public var valueIsOptional: Bool { self == .volatileCache }

  /// What a help text says of it.
  public var help: String {
    switch self {
    case .fault:
      "let requests fail by a rule OPS[@RANGE][!EVENT]:ACTION[,key=value…], as write@data:EIO,nth=7; may be repeated"
    case .faultFile: "rules from this file, one a line; # begins a comment"
    case .strict: "watch that queue and device keep the rules between them"
    case .volatileCache:
      "a write cache of that size (default 16m), of which only what was flushed is left when the command ends"
    case .latency:
      "what requests take: disk, ssd, a time or law for all, or read=, write=, flush=, seek=, jump=, parallel=, rate=, "
        + "rate_iops=, burst= with commas between them"
    case .deadline: "when a request that is not complete is given up (default 30s)"
    case .writeLog: "log what reaches the device, in the format of dm-log-writes; see replay"
    case .stack: "print the layers on stderr, from the top down, and at the end how often each rule has fired"
    }
  }
}

/// One of these options as somebody gave it.
public struct StackSetting: Equatable, Sendable {
  public let option: StackOption
  public let value: String?
  public init(_ option: StackOption, _ value: String?) {
    self.option = option
    self.value = value
  }
}

/// What is wrong with an option that describes a stack.
public struct StackOptionError: Error, Equatable, Sendable, CustomStringConvertible {
  public let option: StackOption
  public let problem: String
  public var description: String { "--\(option.rawValue): \(problem)" }
}

/// Which layers a stack has, and what they are to do.
public struct StackDescription: Equatable, Sendable {
  /// Whether a strict layer watches.
  public var isStrict = false
  /// Rules of the fault layer, in the order in which they are asked.
  public var faults: [FaultRule] = []
  /// Bytes of the volatile cache.
  public var volatileCacheByteCount: Int?
  public var latency: LatencyModel?
  /// Nanoseconds after which a queue gives up a request; nil: its default.
  public var deadlineNanoseconds: UInt64?
  /// The file of the write log.
  public var writeLogPath: String?
  /// Whether the stack is to be printed.
  public var isShown = false
  /// The seed of all that the layers draw.
  public var seed: UInt64 = 1

  /// No layers.
  public init() {}

  /// Whether there is no layer.
  public var isEmpty: Bool {
    !isStrict && faults.isEmpty && volatileCacheByteCount == nil && latency == nil && writeLogPath == nil
  }

  /// Reads options, in the order in which they were given. `readText` reads a file of rules.
  public init(
    _ settings: [StackSetting], readText: (String) throws(Errno) -> String
  ) throws(StackOptionError) {
    for setting in settings {
      do throws(FaultRuleError) { try set(setting.option, setting.value, readText) } catch {
        // Without a text it is no mistake at a column.
        let problem = error.text.isEmpty ? error.expectation : "\(error)"
        throw StackOptionError(option: setting.option, problem: problem)
      }
    }
  }

  private mutating func set(
    _ option: StackOption, _ value: String?, _ readText: (String) throws(Errno) -> String
  ) throws(FaultRuleError) {
    let text = value ?? ""
    if option.valueName == nil, value != nil {
      throw FaultRuleError(text: "", column: 1, expectation: "takes no value")
    }
    if option.valueName != nil, text.isEmpty, !option.valueIsOptional || value != nil {
      throw FaultRuleError(text: "", column: 1, expectation: "a value is missing")
    }
    switch option {
    case .fault: faults.append(try FaultRule(text))
    case .faultFile:
      let rules: String
      do throws(Errno) { rules = try readText(text) } catch {
        throw FaultRuleError(text: "", column: 1, expectation: "\(text): \(error)")
      }
      try addRules(rules, path: text)
    case .strict: isStrict = true
    case .volatileCache: volatileCacheByteCount = try value.map(Self.cacheSize) ?? 16 << 20
    case .latency: latency = try LatencyModel(text)
    case .deadline:
      var scanner = RuleScanner(text)
      let time = try scanner.time()
      guard scanner.isAtEnd, time > 0 else { throw scanner.error("a time as 500ms and the end") }
      deadlineNanoseconds = time
    case .writeLog: writeLogPath = text
    case .stack: isShown = true
    }
  }

  private static func cacheSize(_ text: String) throws(FaultRuleError) -> Int {
    var scanner = RuleScanner(text)
    let size = try scanner.size().number
    guard scanner.isAtEnd, (4096...1 << 30).contains(size) else { throw scanner.error("a size from 4k to 1g", at: 1) }
    return Int(size)
  }

  /// Rules, one a line; the column of a mistake is that of the line.
  private mutating func addRules(_ text: String, path: String) throws(FaultRuleError) {
    var number = 0
    for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
      number += 1
      let content = line.prefix { $0 != "#" }
      let indent = content.prefix { $0.isWhitespace }.count
      var rule = String(content.dropFirst(indent))
      while rule.last?.isWhitespace == true { rule.removeLast() }
      if rule.isEmpty { continue }
      do throws(FaultRuleError) { faults.append(try FaultRule(rule)) } catch {
        throw FaultRuleError(
          text: "", column: 1,
          expectation: "\(path), line \(number), column \(indent + error.column): expected \(error.expectation)")
      }
    }
  }

  /// The options that make the same requests fare the same again: neither where a log goes nor whether the stack is shown.
  public var arguments: [String] {
    var arguments = isStrict ? ["--strict"] : []
    arguments += faults.map { "--fault=\($0.text)" }
    if let volatileCacheByteCount { arguments.append("--volatile-cache=\(sizeText(UInt64(volatileCacheByteCount)))") }
    if let latency { arguments.append("--latency=\(latency)") }
    if let deadlineNanoseconds { arguments.append("--deadline=\(timeText(deadlineNanoseconds))") }
    return arguments
  }
}
