import Glibc

/// Programs of e2fsprogs, the judges of the format, run where they are installed.
enum Tool {
  static let mke2fs = "/usr/sbin/mke2fs"
  static let dumpe2fs = "/usr/sbin/dumpe2fs"
  static let debugfs = "/usr/sbin/debugfs"
  static let e2fsck = "/usr/sbin/e2fsck"

  /// Whether all four are there.
  static var areInstalled: Bool {
    [mke2fs, dumpe2fs, debugfs, e2fsck].allSatisfy { (path: String) in unsafe access(path, X_OK) == 0 }
  }

  struct Failure: Error {
    let arguments: [String]
    let code: Int32
    let output: String
  }

  /// Runs a program and returns what it printed, both streams together. Throws when it exits with an
  /// unexpected code.
  @discardableResult
  static func run(
    _ arguments: [String], in directory: borrowing TemporaryDirectory, expecting codes: ClosedRange<Int32> = 0...0
  ) throws
    -> String
  {
    let log = directory.path("output")
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { _ = unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    unsafe posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var child: pid_t = 0
    var argv = unsafe cStrings(arguments)
    defer { unsafe argv.forEach { unsafe free($0) } }
    var environment = unsafe cStrings(["LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
    defer { unsafe environment.forEach { unsafe free($0) } }
    let failed = unsafe posix_spawn(&child, arguments[0], &actions, nil, &argv, &environment)
    guard failed == 0 else { throw Failure(arguments: arguments, code: failed, output: "posix_spawn") }
    var status: Int32 = 0
    while unsafe waitpid(child, &status, 0) == -1 && errno == EINTR {}
    let output = String(decoding: try File.read(log), as: UTF8.self)
    let exit = status & 0x7F == 0 ? status >> 8 & 0xFF : 256 + status & 0x7F
    guard codes.contains(exit) else { throw Failure(arguments: arguments, code: exit, output: output) }
    return output
  }

  /// Copies of strings with a nil at the end, to be freed by the caller.
  private static func cStrings(_ strings: [String]) -> [UnsafeMutablePointer<CChar>?] {
    var pointers: [UnsafeMutablePointer<CChar>?] = unsafe []
    for string in strings { unsafe pointers.append(strdup(string)) }
    unsafe pointers.append(nil)
    return unsafe pointers
  }
}

/// A directory that goes away with its files.
struct TemporaryDirectory: ~Copyable {
  private let root: String

  init() throws {
    var template = Array("/tmp/ext2format.XXXXXX".utf8CString)
    guard unsafe mkdtemp(&template) != nil else { throw File.Failure(path: "mkdtemp", code: errno) }
    root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { Self.remove(root) }

  /// Removes a file or a directory with what is in it; symbolic links are not followed.
  private static func remove(_ path: String) {
    guard unsafe Glibc.remove(path) != 0, errno == ENOTEMPTY || errno == EEXIST else { return }
    guard let directory = unsafe opendir(path) else { return }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
      unsafe names.append(
        withUnsafePointer(to: &entry.pointee.d_name) { (name) in
          unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
        })
    }
    unsafe closedir(directory)
    for name in names where name != "." && name != ".." { remove("\(path)/\(name)") }
    _ = unsafe Glibc.remove(path)
  }

  func path(_ name: String) -> String { "\(root)/\(name)" }
}

/// Whole files.
enum File {
  struct Failure: Error {
    let path: String
    let code: Int32
  }

  static func read(_ path: String) throws -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY)
    guard descriptor >= 0 else { throw Failure(path: path, code: errno) }
    defer { close(descriptor) }
    let size = Int(lseek(descriptor, 0, SEEK_END))
    var bytes = [UInt8](repeating: 0, count: size)
    var done = 0
    while done < size {
      let count = unsafe bytes.withUnsafeMutableBytes {
        unsafe pread(descriptor, $0.baseAddress! + done, size - done, off_t(done))
      }
      guard count > 0 else { throw Failure(path: path, code: errno) }
      done += count
    }
    return bytes
  }

  static func write(_ bytes: [UInt8], to path: String) throws {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    guard descriptor >= 0 else { throw Failure(path: path, code: errno) }
    defer { close(descriptor) }
    var done = 0
    while done < bytes.count {
      let count = unsafe bytes.withUnsafeBytes {
        unsafe pwrite(descriptor, $0.baseAddress! + done, bytes.count - done, off_t(done))
      }
      guard count > 0 else { throw Failure(path: path, code: errno) }
      done += count
    }
  }
}
