// Writes what changes a device to a log, as it happens: entries stand in the order in which they completed, a flush where
// it was submitted, since what it makes durable was complete then. Behind a flush that is still out entries wait.
internal import BlockDevice
internal import Glibc
internal import SystemPackage

/// Logs what goes through to a device.
final class WriteLogLayer: DeviceLayer {
  private let file: WriteLogFile
  /// What each tag writes, from when the device took it.
  private var writes: [WriteLogEntry?] = []
  /// Entries that are not in the file: the first is a flush that is out.
  private var waiting: [Waiting] = []
  private var flushCount = 0
  private var flushes: [Int] = []

  private struct Waiting {
    /// Nil: it is not to be written.
    var entry: WriteLogEntry?
    /// The number of a flush that is out.
    var flush: Int?
  }

  init(_ inner: any BlockDevice, _ file: WriteLogFile) {
    self.file = file
    super.init(inner)
  }

  override var summary: String { "write log to \(file.path)" }

  /// Adds a mark behind all that is complete.
  func mark(_ text: String) { add(Waiting(entry: WriteLogEntry(.mark, data: Array(text.utf8)))) }

  override func start(_ request: Request) {
    if let tag = request.tag, request.operation != .read {
      while writes.count <= tag {
        writes.append(nil)
        flushes.append(0)
      }
      if request.operation == .flush {
        flushCount += 1
        flushes[tag] = flushCount
        add(Waiting(entry: WriteLogEntry(.flush), flush: flushCount))
      } else {
        var flags: WriteLogEntry.Flags = request.operation == .write ? [] : .discard
        if request.isFUA { flags.insert(.forcedUnitAccess) }
        if !request.isFileData { flags.insert(.metadata) }
        writes[tag] = WriteLogEntry(
          flags, sector: request.remainingOffset / UInt64(WriteLogFile.sectorByteCount),
          data: request.operation == .write ? request.gather() : [])
      }
    }
    inner.start(request)
  }

  override func finished(_ request: Request, _ result: Int) {
    if let tag = request.tag, tag < writes.count, request.operation != .read {
      if request.operation == .flush {
        endFlush(flushes[tag], isDone: result >= 0)
      } else if var entry = writes[tag].take() {
        // Of a short transfer, what was done; the rest comes as a request of its own.
        let count = max(0, min(result, request.remainingByteCount)) / WriteLogFile.sectorByteCount
        entry.sectorCount = UInt64(count)
        if entry.data.count > count * WriteLogFile.sectorByteCount {
          entry.data.removeSubrange((count * WriteLogFile.sectorByteCount)...)
        }
        if count > 0 { add(Waiting(entry: entry)) }
      }
    }
    tell(request, result)
  }

  private func endFlush(_ number: Int, isDone: Bool) {
    guard let index = waiting.firstIndex(where: { $0.flush == number }) else { return }
    waiting[index].flush = nil
    if !isDone { waiting[index].entry = nil }
    writeOut()
  }

  private func add(_ entry: Waiting) {
    waiting.append(entry)
    writeOut()
  }

  private func writeOut() {
    var count = 0
    while count < waiting.count, waiting[count].flush == nil {
      if let entry = waiting[count].entry { file.append(entry) }
      count += 1
    }
    waiting.removeFirst(count)
  }
}

/// A log in a file, which is whole up to its last flush or mark whenever the process ends, and to its end after `close`.
///
/// The first error of the operating system ends it; it does not disturb the device.
final class WriteLogFile {
  static let sectorByteCount = 512
  let path: String
  private let descriptor: FileDescriptor
  private var offset = Int64(sectorByteCount)
  private var entryCount: UInt64 = 0
  private(set) var error: Errno?

  /// Makes the file, empty. Throws `EEXIST` where it would take the place of what is no log: of an image, for example.
  init(path: String) throws(Errno) {
    self.path = path
    do {
      descriptor = try FileDescriptor.open(
        FilePath(path), .readWrite, options: .create, permissions: [.ownerReadWrite, .groupRead, .otherRead])
    } catch let error as Errno { throw error } catch { throw .ioError }
    do {
      if try Self.holdsSomethingElse(descriptor) { throw Errno.fileExists }
      // What cannot be cut, a terminal for example, needs not be.
      try? descriptor.resize(to: 0)
    } catch {
      try? descriptor.close()
      throw error as? Errno ?? .ioError
    }
    writeSuper()
  }

  private static func holdsSomethingElse(_ file: FileDescriptor) throws -> Bool {
    var information = stat()
    guard unsafe fstat(file.rawValue, &information) == 0 else { throw Errno(rawValue: errno) }
    let kind = information.st_mode & S_IFMT
    guard kind == S_IFREG || kind == S_IFBLK else { return false }
    var bytes = [UInt8](repeating: 0, count: 8)
    let count = try unsafe bytes.withUnsafeMutableBytes { unsafe try file.read(fromAbsoluteOffset: 0, into: $0) }
    return count > 0 && bytes != Array(WriteLog.superBlock(entryCount: 0, sectorByteCount: sectorByteCount).prefix(8))
  }
  deinit {
    writeSuper()
    try? descriptor.close()
  }

  func append(_ entry: WriteLogEntry) {
    let bytes = entry.bytes(sectorByteCount: Self.sectorByteCount)
    write(bytes, at: offset)
    guard error == nil else { return }
    offset += Int64(bytes.count)
    entryCount += 1
    if !entry.flags.isDisjoint(with: [.flush, .mark]) { writeSuper() }
  }

  /// Counts all entries in the super block.
  func writeSuper() {
    write(WriteLog.superBlock(entryCount: entryCount, sectorByteCount: Self.sectorByteCount), at: 0)
  }

  private func write(_ bytes: [UInt8], at offset: Int64) {
    guard error == nil else { return }
    do { _ = try descriptor.writeAll(toAbsoluteOffset: offset, bytes) } catch {
      self.error = error as? Errno ?? .ioError
    }
  }
}
