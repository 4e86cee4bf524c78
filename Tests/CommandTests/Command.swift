import Glibc
import Support
import SystemPackage

/// blkdev-run, started as a user starts it: a process with streams and signals.
final class Command {
  /// What one of its streams is.
  enum Stream {
    case file
    case closed
    /// A pipe that nobody reads any more.
    case abandonedPipe
    /// A pipe with some bytes in it, to which no more and no end come.
    case silentPipe([UInt8])
    /// A terminal with that many columns.
    case terminal(columns: UInt16)
  }
  struct Failure: Error { let what: String }

  /// A folder of its own, for its scratch images and for the test.
  let folder: String
  private var process = pid_t()
  /// What has come on stderr so far.
  private(set) var errors = ""
  private var terminal: Int32 = -1
  private var heldPipe: Int32 = -1
  private var isRunning = false

  /// Where the program is: beside the tests.
  static let path: String = {
    let tests = CommandLine.arguments[0]
    return String(tests[..<(tests.lastIndex(of: "/") ?? tests.startIndex)]) + "/blkdev-run"
  }()

  init() throws {
    var template = Array("\(TemporaryFile.folder)/blkdev-command-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
    folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    if isRunning { kill(process, SIGKILL) }
    if terminal >= 0 { close(terminal) }
    if heldPipe >= 0 { close(heldPipe) }
    _ = removeFolder()
  }

  private func removeFolder() -> Bool {
    for name in ["image", "output", "errors"] { unsafe unlink("\(folder)/\(name)") }
    return unsafe rmdir(folder) == 0
  }

  /// Starts it, with more variables of the environment (`NAME=value`). What it makes for itself is below `folder`.
  func start(
    _ arguments: [String], environment: [String] = [], output: Stream = .file, errors: Stream = .file,
    input: Stream = .file
  ) throws {
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    var ours: [Int32] = []
    defer { for descriptor in ours { close(descriptor) } }
    for (number, stream, name) in [(Int32(0), input, "/dev/null"), (1, output, "output"), (2, errors, "errors")] {
      switch stream {
      case .file:
        let path = number == 0 ? name : "\(folder)/\(name)"
        unsafe posix_spawn_file_actions_addopen(&actions, number, path, O_RDWR | O_CREAT, 0o600)
      case .closed:
        unsafe posix_spawn_file_actions_addclose(&actions, number)
      case .abandonedPipe:
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw Errno(rawValue: errno) }
        close(ends[0])
        ours.append(ends[1])
        unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], number)
      case .silentPipe(let bytes):
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw Errno(rawValue: errno) }
        _ = fcntl(ends[1], F_SETFD, FD_CLOEXEC)
        heldPipe = ends[1]
        ours.append(ends[0])
        unsafe posix_spawn_file_actions_adddup2(&actions, ends[0], number)
        guard unsafe write(heldPipe, bytes, bytes.count) == bytes.count else { throw Errno(rawValue: errno) }
      case .terminal(let columns):
        var near: Int32 = -1, far: Int32 = -1
        var size = winsize(ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        guard unsafe openpty(&near, &far, nil, nil, &size) == 0 else { throw Errno(rawValue: errno) }
        _ = fcntl(near, F_SETFL, O_NONBLOCK)
        _ = fcntl(near, F_SETFD, FD_CLOEXEC)
        terminal = near
        ours.append(far)
        unsafe posix_spawn_file_actions_adddup2(&actions, far, number)
      }
    }
    var argv =
      unsafe (["env", "TMPDIR=\(folder)"] + environment + [Self.path] + arguments).map { unsafe strdup($0) } + [nil]
    defer { unsafe argv.forEach { unsafe free($0) } }
    let result = unsafe posix_spawnp(&process, "env", &actions, nil, &argv, environ)
    guard result == 0 else { throw Errno(rawValue: result) }
    isRunning = true
  }

  /// Waits until that has come on stderr, a minute at most.
  func wait(for text: String) throws {
    for _ in 0..<12_000 {
      readErrors()
      if errors.contains(text) { return }
      usleep(5000)
    }
    throw Failure(what: "'\(text)' never came; on stderr: \(errors)")
  }

  func signal(_ number: Int32) { kill(process, number) }

  /// Waits for its end, a minute at most, and returns its exit code, or minus the signal that ended it.
  func exitCode() throws -> Int32 {
    for _ in 0..<12_000 {
      readErrors()
      var status: Int32 = 0
      let ended = unsafe waitpid(process, &status, WNOHANG)
      if ended == process {
        isRunning = false
        readErrors()
        return status & 0x7F == 0 ? status >> 8 & 0xFF : -(status & 0x7F)
      }
      usleep(5000)
    }
    throw Failure(what: "it does not end; on stderr: \(errors)")
  }

  /// What has come on stdout, a file.
  func output() throws -> String { String(decoding: try TemporaryFile.read("\(folder)/output"), as: UTF8.self) }

  /// An image in its folder, of a fresh volume.
  func makeImage() throws -> String {
    let path = "\(folder)/image"
    let bytes = try Images.make(blockSize: 4096, byteCount: 16 << 20)
    let file = try FileDescriptor.open(
      FilePath(path), .writeOnly, options: [.create], permissions: .ownerReadWrite)
    try file.closeAfter { _ = try file.writeAll(bytes) }
    return path
  }

  /// Whether there is nothing in its folder but what this class knows of.
  func leavesNothing() -> Bool { removeFolder() }

  /// Whether there is an image in its folder.
  var hasImage: Bool { unsafe access("\(folder)/image", F_OK) == 0 }

  private func readErrors() {
    if terminal < 0 {
      let bytes = (try? TemporaryFile.read("\(folder)/errors")) ?? []
      errors = String(decoding: bytes, as: UTF8.self)
      return
    }
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = unsafe read(terminal, &chunk, chunk.count)
      guard count > 0 else { return }
      errors += String(decoding: chunk[..<count], as: UTF8.self)
    }
  }
}
