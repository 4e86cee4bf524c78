public import BlockDevice
internal import SystemPackage

/// The layers of a description. They outlive the openings of the device under them: what rules have counted, what is
/// damaged and what a cache holds stays from one mount to the next. Confined to a reactor, one at a time.
public final class DeviceStack {
  public let description: StackDescription
  private var strict: StrictLayer?
  private var cache: VolatileCacheLayer?
  private var log: WriteLogLayer?
  private let logFile: WriteLogFile?
  /// The fault layer, once there was a device.
  public private(set) var faults: FaultLayer?
  private var top: DeviceLayer?
  private var lowest: DeviceLayer?
  /// Whether a layer has requests at the device that the queue knows nothing of.
  public var isBusy: Bool { cache?.isDestaging ?? false }
  /// Names of ranges of the device, for rules.
  public var regions: [NamedRegion] = [] {
    didSet { faults?.regions = regions }
  }

  /// Makes the file of the write log, if there is to be one; its error is thrown.
  public init(_ description: StackDescription) throws(StackOptionError) {
    self.description = description
    do throws(Errno) {
      logFile = try description.writeLogPath.map { path throws(Errno) in try WriteLogFile(path: path) }
    } catch {
      let reason = error == .fileExists ? "is there, and is no log of writes" : "\(error)"
      throw StackOptionError(option: .writeLog, problem: "\(description.writeLogPath ?? ""): \(reason)")
    }
  }

  /// The stack over a device: the first, or the next opening of the same.
  ///
  /// Throws `inUse` while requests that hang keep the queue of the last opening from closing.
  public func stacked(on device: any BlockDevice) throws(DeviceError) -> any BlockDevice {
    isUnused = false
    if let top {
      guard top.reactor == nil else { throw .inUse(path: "the device", by: "requests that hang by a rule") }
      lowest?.inner = device
      return top
    }
    var layers: [DeviceLayer] = []
    func next() -> any BlockDevice { layers.last ?? device }
    if let logFile {
      let layer = WriteLogLayer(next(), logFile)
      log = layer
      layers.append(layer)
    }
    if let latency = description.latency { layers.append(LatencyLayer(next(), latency, seed: description.seed)) }
    if let capacity = description.volatileCacheByteCount {
      let layer = VolatileCacheLayer(next(), capacity: capacity, seed: description.seed)
      cache = layer
      layers.append(layer)
    }
    if !description.faults.isEmpty {
      let layer = FaultLayer(next(), rules: description.faults, seed: description.seed)
      layer.regions = regions
      faults = layer
      layers.append(layer)
    }
    if description.isStrict {
      let layer = StrictLayer(next())
      strict = layer
      layers.append(layer)
    }
    top = layers.last
    lowest = layers.first
    return next()
  }

  /// Whether there was no device yet.
  public private(set) var isUnused = true
  /// Whether rules name ranges that whoever knows what the device holds has to tell.
  public var needsRegions: Bool {
    description.faults.contains { if case .named = $0.place { true } else { false } }
  }

  /// Sets a mark in the write log. False when there is none.
  public func mark(_ text: String) -> Bool {
    if let log { log.mark(text) } else { logFile?.append(WriteLogEntry(.mark, data: Array(text.utf8))) }
    return logFile != nil
  }

  /// Ends the write log, and tells what became of everything.
  public func end() -> StackReport {
    logFile?.writeSuper()
    var report = StackReport()
    report.rules = faults?.reports ?? description.faults.map { FaultReport(rule: $0) }
    report.heldCount = faults?.heldCount ?? 0
    report.violations = strict?.violations.map(\.description) ?? []
    report.violationCount = strict?.violationCount ?? 0
    for write in cache?.unflushed ?? [] {
      report.lostWriteCount += 1
      report.lostByteCount += UInt64(write.range.count)
    }
    report.logError = logFile?.error.map { "\(logFile?.path ?? ""): \($0)" }
    return report
  }
}

/// What became of a stack.
public struct StackReport: Equatable, Sendable {
  /// The rules and how often each has fired.
  public var rules: [FaultReport] = []
  /// Requests that hang by a rule and were given up.
  public var heldCount = 0
  /// What the strict layer has found: the first in words, and how many in all.
  public var violations: [String] = []
  public var violationCount = 0
  /// Writes that the volatile cache had and the device never got, and their bytes.
  public var lostWriteCount = 0
  public var lostByteCount: UInt64 = 0
  /// Completions that the queues did not take, since the request was not at the device.
  public var spuriousCompletionCount: UInt64 = 0
  /// Why the write log is not whole.
  public var logError: String?

  /// Nothing happened.
  public init() {}

  /// Adds what became of another stack of the same description.
  public mutating func add(_ other: StackReport) {
    if rules.isEmpty {
      rules = other.rules
    } else {
      for index in rules.indices { rules[index].add(other.rules[index]) }
    }
    heldCount += other.heldCount
    violations += other.violations
    violationCount += other.violationCount
    lostWriteCount += other.lostWriteCount
    lostByteCount += other.lostByteCount
    spuriousCompletionCount += other.spuriousCompletionCount
    logError = logError ?? other.logError
  }

  /// Whether a promise between queue and device was broken, or the log is not whole.
  public var hasFailed: Bool { violationCount > 0 || logError != nil }

  /// How often each rule was asked and fired, a line each.
  public var counts: [String] { rules.map { "\($0.rule.text): matched=\($0.matchCount), fired=\($0.fireCount)" } }

  /// What somebody who asked for the layers has to be told, a line each.
  public var lines: [String] {
    var lines = rules.filter { $0.fireCount == 0 }.map { "--fault=\($0.rule.text): never fired" }
    if heldCount > 0 { lines.append("requests that hang by a rule, and were given up: \(heldCount)") }
    if lostWriteCount > 0 {
      lines.append("--volatile-cache: lost, since never flushed: \(lostWriteCount) writes of \(lostByteCount) bytes")
    }
    lines += violations.map { "--strict: \($0)" }
    if violationCount > violations.count { lines.append("--strict: \(violationCount) violations in all") }
    if spuriousCompletionCount > 0 {
      lines.append("the device completed requests that it did not have: \(spuriousCompletionCount) times")
    }
    if let logError { lines.append("--write-log: \(logError)") }
    return lines
  }
}
