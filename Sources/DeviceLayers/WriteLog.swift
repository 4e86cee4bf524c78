// Logs of writes in the format of the kernel's dm-log-writes target, which qemu's blklogwrites and xfstests' replay-log
// read and write as well (drivers/md/dm-log-writes.c; Documentation/admin-guide/device-mapper/log-writes.rst).
//
//   | super | entry | data … | entry | data … |      the super block and each entry take one block of the log
//
// All numbers are little-endian; sectors count blocks of the size that the super block says.

internal import BlockDevice
public import SystemPackage

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

extension WriteLogEntry {
  /// As a log has it: a block of the log, and then the data.
  func bytes(sectorByteCount: Int) -> [UInt8] {
    let isMark = flags.contains(.mark)
    let inside = isMark ? Array(data.prefix(sectorByteCount - WriteLog.headerByteCount)) : []
    let numbers = [sector, isMark ? 0 : sectorCount, flags.rawValue, UInt64(inside.count)]
    return block(numbers, inside, sectorByteCount) + (isMark ? [] : data)
  }
}

private func block(_ numbers: [UInt64], _ data: [UInt8], _ byteCount: Int) -> [UInt8] {
  var block: [UInt8] = []
  block.reserveCapacity(byteCount)
  for number in numbers {
    for shift in 0..<8 { block.append(UInt8(truncatingIfNeeded: number >> UInt64(8 * shift))) }
  }
  block += data
  block += [UInt8](repeating: 0, count: byteCount - block.count)
  return block
}

/// Why bytes are no log, or cannot be read.
public enum WriteLogError: Error, Equatable, Sendable, CustomStringConvertible {
  /// There is no super block of a log, or of another version.
  case notALog(why: String)
  /// The log cannot be read, or what it is replayed onto cannot be written.
  case io(Errno)
  public var description: String {
    switch self {
    case .notALog(let why): "not a log of writes: \(why)"
    case .io(let errno): "\(errno)"
    }
  }
}

/// Reads a log entry by entry, from wherever it is. No number in it is believed before it is compared with the bytes there
/// are, and no data is read: it is told where that stands.
public struct WriteLogReader {
  /// Bytes of a block of the log.
  public let sectorByteCount: Int
  /// How many entries the super block says there are.
  public let entryCount: UInt64
  /// How many were read.
  public private(set) var readCount: UInt64 = 0
  /// Where the log was cut off, and how many entries it should have had; nil: it is whole as far as it was read.
  public private(set) var truncation: (byteOffset: UInt64, expectedCount: UInt64)?
  private let byteCount: UInt64
  private let read: (UInt64, Int) throws(Errno) -> [UInt8]
  private var offset: UInt64

  /// A log of that many bytes; `read` gets some of them, by offset and count.
  public init(byteCount: UInt64, read: @escaping (UInt64, Int) throws(Errno) -> [UInt8]) throws(WriteLogError) {
    self.byteCount = byteCount
    self.read = read
    let size = WriteLog.headerByteCount
    guard byteCount >= UInt64(size) else { throw .notALog(why: "too short for a super block") }
    let bytes = try Self.read(read, 0, size)
    guard number(bytes, 0) == WriteLog.magic else { throw .notALog(why: "no magic number") }
    guard number(bytes, 8) == WriteLog.version else { throw .notALog(why: "version \(number(bytes, 8)), not 1") }
    // The size has 32 bits.
    let sector = number(bytes, 24) & 0xFFFF_FFFF
    guard sector >= 512, sector <= 65536, sector & (sector - 1) == 0 else {
      throw .notALog(why: "blocks of \(sector) bytes")
    }
    sectorByteCount = Int(sector)
    entryCount = number(bytes, 16)
    offset = sector
  }

  /// The next entry, and where in the log its data stands; a mark has its name. Nil at the end, or where the log was cut off.
  public mutating func next() throws(WriteLogError) -> (entry: WriteLogEntry, data: Range<UInt64>)? {
    guard readCount < entryCount, truncation == nil else { return nil }
    let sector = UInt64(sectorByteCount)
    truncation = (offset, entryCount)
    guard offset <= byteCount, byteCount - offset >= sector else { return nil }
    let header = try Self.read(read, offset, sectorByteCount)
    var entry = WriteLogEntry(
      WriteLogEntry.Flags(rawValue: number(header, 16)), sector: number(header, 0), sectorCount: number(header, 8))
    let inside = number(header, 24)
    var data = offset + sector..<offset + sector
    if entry.flags.contains(.mark) {
      guard inside <= sector - UInt64(WriteLog.headerByteCount) else { return nil }
      entry.data = Array(header[WriteLog.headerByteCount..<WriteLog.headerByteCount + Int(inside)])
    } else if !entry.flags.contains(.discard) {
      guard entry.sectorCount <= (byteCount - data.lowerBound) / sector else { return nil }
      data = data.lowerBound..<data.lowerBound + entry.sectorCount * sector
    }
    truncation = nil
    offset = data.upperBound
    readCount += 1
    return (entry, data)
  }

  private static func read(
    _ read: (UInt64, Int) throws(Errno) -> [UInt8], _ offset: UInt64, _ count: Int
  ) throws(WriteLogError) -> [UInt8] {
    let bytes: [UInt8]
    do throws(Errno) { bytes = try read(offset, count) } catch { throw .io(error) }
    // The file has become shorter meanwhile.
    guard bytes.count == count else { throw .io(.ioError) }
    return bytes
  }
}

private func number(_ bytes: [UInt8], _ offset: Int) -> UInt64 {
  (0..<8).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
}

/// A log of writes in memory.
public struct WriteLog: Equatable, Sendable {
  /// The first eight bytes of a log.
  package static let magic: UInt64 = 0x6A_7366_7773_6872
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
    entries.reduce(into: Self.superBlock(entryCount: UInt64(entries.count), sectorByteCount: sectorByteCount)) {
      $0 += $1.bytes(sectorByteCount: sectorByteCount)
    }
  }

  static func superBlock(entryCount: UInt64, sectorByteCount: Int) -> [UInt8] {
    block([magic, version, entryCount, UInt64(sectorByteCount)], [], sectorByteCount)
  }

  /// Reads a log. One that is cut off is read up to there; see `truncation`. No number in it is believed before it is
  /// compared with the bytes there are.
  public init(bytes: [UInt8]) throws(WriteLogError) {
    var reader = try WriteLogReader(byteCount: UInt64(bytes.count)) { offset, count throws(Errno) in
      Array(bytes[Int(offset)..<Int(offset) + count])
    }
    sectorByteCount = reader.sectorByteCount
    while case (var entry, let data)? = try reader.next() {
      if !data.isEmpty { entry.data = Array(bytes[Int(data.lowerBound)..<Int(data.upperBound)]) }
      entries.append(entry)
    }
    truncation = reader.truncation.map { (Int($0.byteOffset), $0.expectedCount) }
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
        let (byteCount, isLonger) = entry.sectorCount.multipliedReportingOverflow(by: UInt64(sectorByteCount))
        let length = isLonger ? room : Int(min(UInt64(room), byteCount))
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
