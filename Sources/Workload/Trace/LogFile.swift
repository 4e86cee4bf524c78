internal import SystemPackage

/// A text that a run writes while it goes on, line by line.
///
/// 16 KiB at a time go to the file, on the reactor's thread: into the page cache of the kernel, as fio does. Between them it
/// is not open, so that a run may have as many logs as it has copies of jobs, and several may write to one.
final class LogFile {
  let path: String
  private var text: [UInt8] = []
  /// What failed first. Nothing is written any more.
  private(set) var error: Errno?
  private static let bufferSize = 16 << 10

  /// A log in a file that is there (`make`).
  init(path: String) { self.path = path }

  /// Makes the file anew: fio adds to one that is there, which then tells of two runs.
  static func make(_ path: String) throws(TraceError) {
    do {
      let file = try FileDescriptor.open(
        FilePath(path), .writeOnly, options: [.create, .truncate],
        permissions: [.ownerReadWrite, .groupRead, .otherRead])
      try file.close()
    } catch { throw TraceError(path, .unreadable("cannot be written: \(error)")) }
  }

  func line(_ line: String) {
    text += line.utf8
    endLine()
  }

  /// A line of numbers, as fio's logs have them.
  func line(_ numbers: [UInt64]) {
    for (index, number) in numbers.enumerated() {
      if index > 0 { text += [UInt8(ascii: ","), UInt8(ascii: " ")] }
      let start = text.count
      var rest = number
      repeat {
        text.append(UInt8(ascii: "0") + UInt8(rest % 10))
        rest /= 10
      } while rest > 0
      text[start...].reverse()
    }
    endLine()
  }

  private func endLine() {
    text.append(UInt8(ascii: "\n"))
    if text.count >= Self.bufferSize { flush() }
  }

  func flush() {
    defer { text.removeAll(keepingCapacity: true) }
    if error != nil || text.isEmpty { return }
    do {
      let file = try FileDescriptor.open(FilePath(path), .writeOnly, options: .append)
      try file.closeAfter { _ = try file.writeAll(text) }
    } catch { self.error = error as? Errno ?? .ioError }
  }

  /// What could not be written; nil: all was.
  func finding(_ option: JobOption.Name) -> Finding? {
    error.map { Finding(.ioError, context: option.rawValue, file: path, found: "\($0)") }
  }
}
