internal import BlockDevice
internal import SystemPackage

/// Writes what a copy of a job does as fio does with `write_iolog`: version 3, times in microseconds after the copy's
/// start, each operation when it begins.
///
/// 64 KiB at a time are written to the file, on the reactor's thread: into the page cache of the kernel, as fio does.
final class IOLogWriter {
  let path: String
  private let file: FileDescriptor
  private let names: [String]
  private var text: [UInt8] = []
  /// What failed first. Nothing is written any more.
  private(set) var error: Errno?
  private static let bufferSize = 64 << 10

  /// Makes the file anew: fio adds to one that is there, which then is no log any more.
  init(path: String, names: [String]) throws(TraceError) {
    self.path = path
    self.names = names
    do {
      file = try FileDescriptor.open(
        FilePath(path), .writeOnly, options: [.create, .truncate],
        permissions: [.ownerReadWrite, .groupRead, .otherRead])
    } catch { throw TraceError(path, .unreadable("cannot be written: \(error)")) }
    line("fio version 3 iolog")
    for name in names { line("0 \(name) add") }
    for name in names { line("0 \(name) open") }
  }

  deinit { try? file.close() }

  func note(_ step: Step, nanoseconds: UInt64) {
    let action =
      switch step.operation {
      case .read: "read"
      case .write, .writeZeroes: "write"
      case .discard: "trim"
      case .flush: step.isDataOnly ? "datasync" : "sync"
      }
    line("\(nanoseconds / 1000) \(names[step.file]) \(action) \(step.offset) \(step.byteCount)")
  }

  /// The copy has ended.
  func end(nanoseconds: UInt64) {
    for name in names { line("\(nanoseconds / 1000) \(name) close") }
    flush()
  }

  private func line(_ line: String) {
    text += line.utf8
    text.append(UInt8(ascii: "\n"))
    if text.count >= Self.bufferSize { flush() }
  }

  private func flush() {
    defer { text.removeAll(keepingCapacity: true) }
    if error != nil { return }
    do { try file.writeAll(text) } catch { self.error = error as? Errno ?? .ioError }
  }
}

extension Job {
  /// The log that a copy writes; nil: none. Each copy has its own.
  func iologPath(copy: Int) -> String? { iologPath.map { copies == 1 ? $0 : "\($0).\(copy)" } }

  func makeIOLog(copy: Int) throws(RunError) -> IOLogWriter? {
    guard let path = iologPath(copy: copy) else { return nil }
    let names = fileNames(copy: copy)
    // Words of a line end at blanks.
    if let bad = names.first(where: { $0.contains { $0.isWhitespace } }) {
      throw .unfit(job: name, reason: "write_iolog: the name '\(bad)' has a blank, which a log cannot hold")
    }
    do throws(TraceError) { return try IOLogWriter(path: path, names: names) } catch { throw .trace(error) }
  }
}
