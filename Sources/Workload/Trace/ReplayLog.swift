internal import BlockDevice

/// A log of operations, read whole: what a job replays.
///
/// An operation takes 24 bytes. A log of more than `entryLimit`, which would be 384 MiB, is refused.
package final class ReplayLog: Sendable, Equatable {
  static let entryLimit = 1 << 24
  static let nameLimit = 4096
  /// A petabyte; so much on each file that a log may name is less than 2^63.
  static let endLimit: UInt64 = 1 << 50
  /// As large as bs may be.
  static let lengthLimit: UInt64 = 1 << 30

  /// One operation.
  struct Entry: Sendable, Equatable {
    let offset: UInt64
    /// Nanoseconds after the first line, as the log has it; `asSoonAsCanBe` where it has no time.
    let due: UInt64
    let byteCount: UInt32
    let name: UInt16
    let operation: Operation
    let flags: Flags

    struct Flags: OptionSet, Sendable {
      let rawValue: UInt8
      /// Written by forced unit access.
      static let forcedUnitAccess = Flags(rawValue: 1)
      /// Begins when all before it have ended.
      static let waitsForAll = Flags(rawValue: 2)
      static let dataOnly = Flags(rawValue: 4)
    }
    static let asSoonAsCanBe = UInt64.max
  }

  /// One of the files that the log names.
  struct File: Sendable, Equatable {
    let name: String
    /// The largest end of an operation on it, in bytes.
    var end: UInt64 = 0
    /// The bits of all offsets and lengths: what they are multiples of.
    var positionBits: UInt64 = 0
  }

  let path: String
  let entries: [Entry]
  /// In the order in which they were added. A log of writes has one without a name.
  let files: [File]
  /// Where the log was cut off; nil: it is whole.
  let cutOff: String?

  init(path: String, entries: [Entry], files: [File], cutOff: String?) {
    self.path = path
    self.entries = entries
    self.files = files
    self.cutOff = cutOff
  }

  /// Whether an operation changes what is stored.
  var changes: Bool { entries.contains { $0.operation.isWrite } }
  /// Bytes of the largest read or write, at least a sector.
  var largestTransfer: Int {
    max(512, entries.reduce(0) { $1.operation == .read || $1.operation == .write ? max($0, Int($1.byteCount)) : $0 })
  }

  package static func == (left: ReplayLog, right: ReplayLog) -> Bool { left === right }
}

/// A log while it is read.
struct ReplayLogBuilder {
  let path: String
  let replay: Replay
  private(set) var entries: [ReplayLog.Entry] = []
  private(set) var files: [ReplayLog.File] = []
  private var numbers: [String: UInt16] = [:]

  init(path: String, _ replay: Replay) {
    self.path = path
    self.replay = replay
    if let name = replay.redirect { files.append(ReplayLog.File(name: name)) }
  }

  mutating func add(_ name: String, line: Int? = nil) throws(TraceError) {
    if replay.redirect != nil {
      numbers[name] = 0
    } else if numbers[name] == nil {
      guard files.count < ReplayLog.nameLimit else {
        throw TraceError(path, line: line, .tooManyNames(limit: ReplayLog.nameLimit))
      }
      numbers[name] = UInt16(files.count)
      files.append(ReplayLog.File(name: name))
    }
  }

  func number(of name: String, line: Int) throws(TraceError) -> UInt16 {
    guard let number = numbers[name] else { throw TraceError(path, line: line, .nameNotAdded(name)) }
    return number
  }

  /// Adds an operation, unless the job skips those of its kind. `due` is as the log has it.
  mutating func append(
    _ operation: Operation, of file: UInt16, at offset: UInt64, byteCount: UInt64, due: UInt64?,
    _ flags: ReplayLog.Entry.Flags = [], line: Int? = nil
  ) throws(TraceError) {
    if replay.skips.contains(SkippedOperation(operation)) { return }
    guard entries.count < ReplayLog.entryLimit else {
      throw TraceError(path, line: line, .tooManyEntries(limit: ReplayLog.entryLimit))
    }
    var place: UInt64 = 0
    if operation != .flush {
      place = offset / replay.offsetScale
      if let align = replay.align { place &= ~(align - 1) }
      // A trim moves no memory, so it may be as long as a device.
      let limit = operation == .discard ? UInt64(UInt32.max) : ReplayLog.lengthLimit
      guard byteCount > 0, byteCount <= limit else {
        throw TraceError(path, line: line, .badLength(byteCount, limit: limit))
      }
      guard (place | byteCount).isMultiple(of: 512) else {
        throw TraceError(path, line: line, .notSectors(offset: place, length: byteCount))
      }
      guard place <= ReplayLog.endLimit - byteCount else {
        throw TraceError(path, line: line, .pastAnyDevice(offset: place))
      }
      files[Int(file)].end = max(files[Int(file)].end, place + byteCount)
      files[Int(file)].positionBits |= place | byteCount
    }
    entries.append(
      ReplayLog.Entry(
        offset: place, due: due ?? ReplayLog.Entry.asSoonAsCanBe,
        byteCount: operation == .flush ? 0 : UInt32(byteCount),
        name: file, operation: operation, flags: flags))
  }

  func log(cutOff: String?) throws(TraceError) -> ReplayLog {
    if entries.isEmpty { throw TraceError(path, .nothingToReplay) }
    return ReplayLog(path: path, entries: entries, files: files, cutOff: cutOff)
  }
}
