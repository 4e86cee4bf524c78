internal import Glibc
internal import Synchronization
internal import SystemPackage
internal import Workload

/// Writes text whole. Returns whether it could be written.
@discardableResult
func print(_ text: String, to file: FileDescriptor, terminator: String = "\n") -> Bool {
  (try? typed { try file.writeAll((text + terminator).utf8) }) != nil
}

/// What a run writes its report to: the standard output, or a file.
///
/// A file is opened when the run begins, since who waits for an hour's run wants to know at its begin that it cannot be
/// written. It is emptied when there is something to write, so that a run that comes to nothing leaves what was there.
final class ReportFile: Sendable {
  static let standardOutput = ReportFile()

  /// For messages.
  let name: String
  private let file: FileDescriptor
  private let isUntouched: Atomic<Bool>

  private init() {
    name = "the standard output"
    file = .standardOutput
    isUntouched = Atomic(false)
  }

  init(path: String) throws(Errno) {
    name = path
    file = try typed {
      try FileDescriptor.open(
        FilePath(path), .writeOnly, options: [.create], permissions: [.ownerReadWrite, .groupRead, .otherRead])
    }
    isUntouched = Atomic(true)
  }

  /// Writes text whole.
  func write(_ text: String) throws(Errno) {
    if isUntouched.exchange(false, ordering: .relaxed) {
      // Pipes and terminals have no size.
      do throws(Errno) { try typed { try file.resize(to: 0) } } catch {
        if error != .invalidArgument { throw error }
      }
    }
    try typed { _ = try file.writeAll(text.utf8) }
  }
}

/// The text of a file.
func readText(_ path: String) throws(Errno) -> String {
  let isInput = path == "-"
  let file = isInput ? .standardInput : try typed { try FileDescriptor.open(FilePath(path), .readOnly) }
  defer { if !isInput { try? file.close() } }
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 4096)
  while true {
    let count = try typed { try unsafe chunk.withUnsafeMutableBytes { unsafe try file.read(into: $0) } }
    if count == 0 { return String(decoding: bytes, as: UTF8.self) }
    bytes += chunk[..<count]
    // A device that never ends, for example.
    if bytes.count > 16 << 20 { throw .fileTooLarge }
  }
}

/// What job files refer to: files of this machine, and the environment.
let jobFileSurroundings = JobFile.Surroundings(
  readText: { path in try readText(path) },
  variable: { name in unsafe getenv(name).map { unsafe String(cString: $0) } })

/// A file for the report, empty.
func openForWriting(_ path: String) throws(Errno) -> FileDescriptor {
  try typed {
    try FileDescriptor.open(
      FilePath(path), .writeOnly, options: [.create, .truncate],
      permissions: [.ownerReadWrite, .groupRead, .otherRead])
  }
}

// SystemPackage throws untyped errors, all of which are Errno.
private func typed<R>(_ body: () throws -> R) throws(Errno) -> R {
  do { return try body() } catch let error as Errno { throw error } catch { throw .ioError }
}
