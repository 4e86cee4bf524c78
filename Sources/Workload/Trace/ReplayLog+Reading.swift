// The formats that are replayed.
//
// fio's text (HOWTO, "Trace file format v2" and "v3"; iolog.c, read_iolog), fields with a blank between them:
//
//     fio version 2 iolog                     fio version 3 iolog
//     FILE add|open|close                     TIME FILE add|open|close
//     FILE ACTION OFFSET LENGTH               TIME FILE ACTION OFFSET LENGTH
//
// TIME counts microseconds, as fio 3.33 writes and reads them. `wait` of version 2 has in OFFSET the milliseconds after the
// start until which to wait: that is what fio does (iolog.c, DDIR_WAIT in read_iolog_get), other than its manual says.
//
// And the log of writes of dm-log-writes: see WriteLog.
internal import BlockDevice
internal import DeviceLayers
internal import Ext2Tools
internal import SystemPackage

extension ReplayLog {
  private static let lineLimit = 4096
  /// The times of a text end here: 115 days.
  private static let timeLimit: UInt64 = 10_000_000_000_000

  /// Reads a log. `device` is the name of what a log of writes was written to.
  static func read(_ path: String, _ replay: Replay, device: String?) throws(TraceError) -> ReplayLog {
    let file: FileBytes
    do { file = try FileBytes(path: path) } catch { throw TraceError(path, .unreadable(reason(error))) }
    let head = try bytes(of: file, at: 0, Int(min(8, file.byteCount)))
    let number = head.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    if number == WriteLog.magic { return try readWrites(file, replay, device: device) }
    // BLK_IO_TRACE_MAGIC with its version in the last byte, in either order of bytes (linux/blktrace_api.h).
    if head.count >= 4, number >> 8 & 0xFF_FFFF == 0x65_6174 || head.starts(with: [0x65, 0x61, 0x74]) {
      throw TraceError(path, .blktrace)
    }
    return try readText(file, replay)
  }

  private static func reason(_ error: DeviceError) -> String {
    switch error {
    case .cannotOpen(_, _, let errno): "cannot be read: \(errno)"
    case .unsuitable(_, let reason): reason
    default: "cannot be read: \(error)"
    }
  }

  private static func bytes(of file: FileBytes, at offset: UInt64, _ count: Int) throws(TraceError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    do { try file.read(at: offset, into: &raw) } catch { throw TraceError(file.path, .unreadable("\(error)")) }
    return bytes
  }

  // MARK: Text

  private static func readText(_ file: FileBytes, _ replay: Replay) throws(TraceError) -> ReplayLog {
    var text = IOLogText(path: file.path, replay)
    var line: [UInt8] = []
    var offset: UInt64 = 0
    while offset < file.byteCount {
      let chunk = try bytes(of: file, at: offset, Int(min(1 << 20, file.byteCount - offset)))
      offset += UInt64(chunk.count)
      var rest = chunk[...]
      while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
        line += rest[..<end]
        try check(line, text)
        try text.take(line)
        line.removeAll(keepingCapacity: true)
        rest = rest[(end + 1)...]
      }
      line += rest
      try check(line, text)
    }
    // A last line without its end may be a whole one. Where it is none, the log was cut off in it.
    var cutOff: String?
    if !line.isEmpty {
      do throws(TraceError) { try text.take(line) } catch {
        if text.version == nil { throw error }
        cutOff = "\(file.path):\(text.lineNumber)"
      }
    }
    if text.version == nil { throw TraceError(file.path, .unknownFormat) }
    return try text.builder.log(cutOff: cutOff)
  }

  private static func check(_ line: [UInt8], _ text: IOLogText) throws(TraceError) {
    if line.count <= lineLimit { return }
    if text.version == nil { throw TraceError(text.builder.path, .unknownFormat) }
    throw TraceError(text.builder.path, line: text.lineNumber + 1, .lineTooLong(limit: lineLimit))
  }

  /// A text while it is read, line by line.
  private struct IOLogText {
    var builder: ReplayLogBuilder
    var version: Int?
    var lineNumber = 0
    /// The time of the first line, in microseconds, and the last that was waited for.
    private var firstTime: UInt64?
    private var due: UInt64?

    init(path: String, _ replay: Replay) { builder = ReplayLogBuilder(path: path, replay) }

    mutating func take(_ line: [UInt8]) throws(TraceError) {
      lineNumber += 1
      let words = line.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r") }
      guard let version else {
        switch words.map({ String(decoding: $0, as: UTF8.self) }) {
        case ["fio", "version", "2", "iolog"]: self.version = 2
        case ["fio", "version", "3", "iolog"]: self.version = 3
        default: throw TraceError(builder.path, .unknownFormat)
        }
        return
      }
      if words.isEmpty { return }
      if version == 3 {
        guard words.count == 3 || words.count == 5 else { throw problem(.malformed(version: version)) }
        // Times that go back, as where two jobs wrote one log, are no earlier than those before.
        let time = try number(words[0])
        guard time <= ReplayLog.timeLimit else { throw problem(.timeTooLarge(limit: ReplayLog.timeLimit)) }
        if firstTime == nil { firstTime = time }
        due = max(due ?? 0, (time - min(time, firstTime ?? 0)) * 1000)
        try take(words[1], words[2...], version)
      } else {
        guard words.count == 2 || words.count == 4 else { throw problem(.malformed(version: version)) }
        try take(words[0], words[1...], version)
      }
    }

    private mutating func take(
      _ nameBytes: ArraySlice<UInt8>, _ words: ArraySlice<ArraySlice<UInt8>>, _ version: Int
    ) throws(TraceError) {
      guard let name = String(validating: nameBytes, as: UTF8.self) else { throw problem(.nameNotText) }
      let action = String(decoding: words[words.startIndex], as: UTF8.self)
      if words.count == 1 {
        switch action {
        case "add": try builder.add(name, line: lineNumber)
        // A device is open from the run's begin to its end.
        case "open", "close": _ = try builder.number(of: name, line: lineNumber)
        default: throw problem(.unknownAction(shown(action), version: version))
        }
        return
      }
      let offset = try number(words[words.startIndex + 1]), length = try number(words[words.startIndex + 2])
      let operation: Operation
      var flags: Entry.Flags = []
      switch action {
      case "read": operation = .read
      case "write": operation = .write
      case "trim": operation = .discard
      case "sync": operation = .flush
      case "datasync":
        operation = .flush
        flags = .dataOnly
      case "wait" where version == 2:
        guard offset <= ReplayLog.timeLimit / 1000 else { throw problem(.timeTooLarge(limit: ReplayLog.timeLimit)) }
        due = max(due ?? 0, offset * 1_000_000)
        return
      case "wait": throw problem(.waitInVersion3)
      default: throw problem(.unknownAction(shown(action), version: version))
      }
      let file = try builder.number(of: name, line: lineNumber)
      try builder.append(operation, of: file, at: offset, byteCount: length, due: due, flags, line: lineNumber)
    }

    private func number(_ word: ArraySlice<UInt8>) throws(TraceError) -> UInt64 {
      let text = String(decoding: word, as: UTF8.self)
      guard word.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }), let number = UInt64(text) else {
        throw problem(.notANumber(shown(text)))
      }
      return number
    }

    private func problem(_ problem: TraceError.Problem) -> TraceError {
      TraceError(builder.path, line: lineNumber, problem)
    }
  }

  // MARK: A log of writes

  /// Its entries have no times: each begins as soon as can be, a flush when all before it have ended. Marks say nothing that
  /// could be done, and what was written is the replay's own.
  private static func readWrites(
    _ file: FileBytes, _ replay: Replay, device: String?
  ) throws(TraceError) -> ReplayLog {
    var builder = ReplayLogBuilder(path: file.path, replay)
    try builder.add(device ?? "")
    var reader: WriteLogReader
    do {
      reader = try WriteLogReader(byteCount: file.byteCount) { offset, count throws(Errno) in
        do { return try bytes(of: file, at: offset, count) } catch { throw .ioError }
      }
    } catch { throw TraceError(file.path, .unreadable("\(error)")) }
    func next() throws(TraceError) -> WriteLogEntry? {
      do { return try reader.next()?.entry } catch { throw TraceError(file.path, .unreadable("\(error)")) }
    }
    let sector = UInt64(reader.sectorByteCount)
    while let entry = try next() {
      if !entry.flags.contains(.mark) { try append(entry, sector, to: &builder) }
    }
    return try builder.log(cutOff: reader.truncation.map { "\(file.path), at byte \($0.byteOffset)" })
  }

  private static func append(
    _ entry: WriteLogEntry, _ sector: UInt64, to builder: inout ReplayLogBuilder
  ) throws(TraceError) {
    let place = entry.sector.multipliedReportingOverflow(by: sector)
    let length = entry.sectorCount.multipliedReportingOverflow(by: sector)
    guard !place.overflow, !length.overflow else {
      throw TraceError(builder.path, .pastAnyDevice(offset: place.overflow ? .max : place.partialValue))
    }
    // A flush goes before what is written with it (linux/blk-flush.c).
    if entry.flags.contains(.flush) {
      try builder.append(.flush, of: 0, at: 0, byteCount: 0, due: nil, .waitsForAll)
    }
    if length.partialValue == 0 { return }
    let isDiscard = entry.flags.contains(.discard)
    let flags: Entry.Flags = entry.flags.contains(.forcedUnitAccess) && !isDiscard ? .forcedUnitAccess : []
    try builder.append(
      isDiscard ? .discard : .write, of: 0, at: place.partialValue, byteCount: length.partialValue, due: nil, flags)
  }
}
