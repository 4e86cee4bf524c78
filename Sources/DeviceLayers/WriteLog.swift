// Logs of writes in the format of the kernel's dm-log-writes target, which qemu's blklogwrites and xfstests' replay-log
// read and write as well (drivers/md/dm-log-writes.c; Documentation/admin-guide/device-mapper/log-writes.rst).
//
//   | super | entry | data … | entry | data … |      the super block and each entry take one block of the log
//
// All numbers are little-endian; sectors count blocks of the size that the super block says.

internal import BlockDevice

/// One entry of a log.
public struct WriteLogEntry: Equatable, Sendable {
  /// What an entry is, by bits.
  public struct Flags: OptionSet, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// All earlier entries are durable.
    public static let flush = Flags(rawValue: 1)
    /// Written by forced unit access.
    public static let forcedUnitAccess = Flags(rawValue: 2)
    public static let discard = Flags(rawValue: 4)
    /// A mark; its name stands in the data.
    public static let mark = Flags(rawValue: 8)
    public static let metadata = Flags(rawValue: 16)
  }
  public var flags: Flags = []
  /// Where on the device, in blocks of the log.
  public var sector: UInt64 = 0
  /// How many blocks.
  public var sectorCount: UInt64 = 0
  /// What was written, or the bytes of a mark's name.
  public var data: [UInt8] = []

  /// An entry with nothing in it.
  public init() {}
  public init(_ flags: Flags = [], sector: UInt64 = 0, sectorCount: UInt64 = 0, data: [UInt8] = []) {
    self.flags = flags
    self.sector = sector
    self.sectorCount = sectorCount
    self.data = data
  }
  /// The name of a mark.
  public var markName: String? {
    flags.contains(.mark) ? String(decoding: data.prefix { $0 != 0 }, as: UTF8.self) : nil
  }
}

/// Why bytes are no log.
public enum WriteLogError: Error, Equatable, Sendable, CustomStringConvertible {
  /// There is no super block of a log, or of another version.
  case notALog(why: String)
  public var description: String {
    switch self {
    case .notALog(let why): "not a log of writes: \(why)"
    }
  }
}

/// A log of writes in memory.
public struct WriteLog: Equatable, Sendable {
  static let magic: UInt64 = 0x6A_7366_7773_6872
  static let version: UInt64 = 1
  static let headerByteCount = 32

  /// Bytes of a block of the log.
  public let sectorByteCount: Int
  public var entries: [WriteLogEntry] = []
  /// Where in the bytes the log was cut off, and how many entries it should have had; nil: it is whole.
  public private(set) var truncation: (byteOffset: Int, expectedCount: UInt64)?

  public static func == (left: WriteLog, right: WriteLog) -> Bool {
    left.sectorByteCount == right.sectorByteCount && left.entries == right.entries
  }

  /// An empty log.
  public init(sectorByteCount: Int = 512) { self.sectorByteCount = sectorByteCount }

  // MARK: Bytes

  /// The log as a file holds it.
  public var bytes: [UInt8] {
    var bytes = block([Self.magic, Self.version, UInt64(entries.count), UInt64(sectorByteCount)], [])
    for entry in entries {
      let isMark = entry.flags.contains(.mark)
      let inside = isMark ? Array(entry.data.prefix(sectorByteCount - Self.headerByteCount)) : []
      bytes += block(
        [entry.sector, isMark ? 0 : entry.sectorCount, entry.flags.rawValue, UInt64(inside.count)], inside)
      if !isMark { bytes += entry.data }
    }
    return bytes
  }

  private func block(_ numbers: [UInt64], _ data: [UInt8]) -> [UInt8] {
    var block: [UInt8] = []
    block.reserveCapacity(sectorByteCount)
    for number in numbers {
      for shift in 0..<8 { block.append(UInt8(truncatingIfNeeded: number >> UInt64(8 * shift))) }
    }
    block += data
    block += [UInt8](repeating: 0, count: sectorByteCount - block.count)
    return block
  }

  /// Reads a log. One that is cut off is read up to there; see `truncation`. No number in it is believed before it is
  /// compared with the bytes there are.
  public init(bytes: [UInt8]) throws(WriteLogError) {
    func number(_ offset: Int) -> UInt64 {
      (0..<8).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
    }
    guard bytes.count >= Self.headerByteCount else { throw .notALog(why: "too short for a super block") }
    guard number(0) == Self.magic else { throw .notALog(why: "no magic number") }
    guard number(8) == Self.version else { throw .notALog(why: "version \(number(8)), not 1") }
    // The size has 32 bits.
    let size = number(24) & 0xFFFF_FFFF
    guard size >= 512, size <= 65536, size & (size - 1) == 0 else { throw .notALog(why: "blocks of \(size) bytes") }
    sectorByteCount = Int(size)
    let count = number(16)
    var offset = sectorByteCount
    while UInt64(entries.count) < count {
      guard offset <= bytes.count - sectorByteCount else { break }
      var entry = WriteLogEntry(
        WriteLogEntry.Flags(rawValue: number(offset + 16)), sector: number(offset), sectorCount: number(offset + 8))
      let inside = number(offset + 24)
      var next = offset + sectorByteCount
      if entry.flags.contains(.mark) {
        guard inside <= UInt64(sectorByteCount - Self.headerByteCount) else { break }
        let start = offset + Self.headerByteCount
        entry.data = Array(bytes[start..<start + Int(inside)])
      } else if !entry.flags.contains(.discard), entry.sectorCount > 0 {
        guard entry.sectorCount <= UInt64((bytes.count - next) / sectorByteCount) else { break }
        let end = next + Int(entry.sectorCount) * sectorByteCount
        entry.data = Array(bytes[next..<end])
        next = end
      }
      entries.append(entry)
      offset = next
    }
    if UInt64(entries.count) < count { truncation = (offset, count) }
  }

  // MARK: Replay

  /// How far a log is replayed.
  public enum End: Equatable, Sendable {
    case all
    /// So many entries.
    case entries(Int)
    /// Up to the mark with that name.
    case mark(String)
  }

  /// Does what the entries say, from the first on, to the bytes of a device. What lies outside of it is left out.
  ///
  /// - Returns: how many entries were replayed; nil when there is no such mark, and nothing was done.
  public func replay(onto image: inout [UInt8], until end: End = .all) -> Int? {
    let count: Int
    switch end {
    case .all: count = entries.count
    case .entries(let number): count = min(max(0, number), entries.count)
    case .mark(let name):
      guard let index = entries.firstIndex(where: { $0.markName == name }) else { return nil }
      count = index
    }
    for entry in entries.prefix(count) where !entry.flags.contains(.mark) {
      let (start, overflow) = entry.sector.multipliedReportingOverflow(by: UInt64(sectorByteCount))
      guard !overflow, start < UInt64(image.count) else { continue }
      let room = image.count - Int(start)
      if entry.flags.contains(.discard) {
        let length = Int(min(UInt64(room), entry.sectorCount &* UInt64(sectorByteCount)))
        image.replaceSubrange(Int(start)..<Int(start) + length, with: repeatElement(0, count: length))
      } else {
        let data = entry.data.prefix(room)
        image.replaceSubrange(Int(start)..<Int(start) + data.count, with: data)
      }
    }
    return count
  }
}

extension DeviceHistory {
  /// The history as a log: writes in the order in which they completed, each flush after what it has made durable.
  ///
  /// A flush makes durable what was complete when it was submitted; so it stands where it was submitted, not where it ended.
  public func log(sectorByteCount: Int = 512) -> WriteLog {
    var log = WriteLog(sectorByteCount: sectorByteCount)
    let goodFlushes = Set(
      events.compactMap { event -> Int? in
        if case .flushCompleted(let number, true) = event { number } else { nil }
      })
    for event in events {
      switch event {
      case .completed(let index, true):
        let write = writes[index]
        var flags: WriteLogEntry.Flags = write.operation == .write ? [] : .discard
        if write.isFUA { flags.insert(.forcedUnitAccess) }
        if !write.isFileData { flags.insert(.metadata) }
        log.entries.append(
          WriteLogEntry(
            flags, sector: write.offset / UInt64(sectorByteCount),
            sectorCount: UInt64(write.byteCount / sectorByteCount), data: write.bytes))
      case .flushStarted(let number) where goodFlushes.contains(number):
        log.entries.append(WriteLogEntry(.flush))
      case .mark(let text): log.entries.append(WriteLogEntry(.mark, data: Array(text.utf8)))
      default: break
      }
    }
    return log
  }
}
