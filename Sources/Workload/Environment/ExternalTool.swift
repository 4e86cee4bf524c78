internal import Glibc

/// A program of the system that makes or judges images: mke2fs, e2fsck, debugfs.
public struct ExternalTool: Sendable {
  /// What a run of the tool left.
  public struct Outcome: Sendable {
    /// The exit code; 128 and the signal's number when a signal ended it.
    public let exitCode: Int32
    /// Standard output and standard error, in the order in which they came, at most `outputLimit` bytes.
    public let output: String
  }
  /// The most bytes of output that are kept.
  public static let outputLimit = 1 << 20

  /// Where the program is.
  public let path: String

  /// Finds a program in PATH, or in the folders of system programs, which a user's PATH often lacks. Nil when it is in
  /// neither.
  public init?(_ name: String) {
    let search = (unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? "") + ":/usr/sbin:/sbin"
    for folder in search.split(separator: ":") {
      let candidate = "\(folder)/\(name)"
      if unsafe access(candidate, X_OK) == 0 {
        path = candidate
        return
      }
    }
    return nil
  }

  /// Runs the program and waits for its end. Nil when it could not be started.
  public func run(_ arguments: [String]) -> Outcome? {
    var ends: [Int32] = [-1, -1]
    guard unsafe pipe(&ends) == 0 else { return nil }
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
    unsafe posix_spawn_file_actions_addclose(&actions, ends[0])
    unsafe posix_spawn_file_actions_addclose(&actions, ends[1])
    var child = pid_t()
    var argv = unsafe ([path] + arguments).map { unsafe strdup($0) } + [nil]
    defer { unsafe argv.forEach { unsafe free($0) } }
    let result = unsafe posix_spawn(&child, path, &actions, nil, &argv, environ)
    close(ends[1])
    defer { close(ends[0]) }
    guard result == 0 else { return nil }
    let output = readAll(ends[0])
    var status: Int32 = 0
    while unsafe waitpid(child, &status, 0) < 0 && errno == EINTR {}
    let signal = status & 0x7F
    return Outcome(exitCode: signal == 0 ? status >> 8 & 0xFF : 128 + signal, output: output)
  }

  private func readAll(_ descriptor: Int32) -> String {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = unsafe read(descriptor, &chunk, chunk.count)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { break }
      if bytes.count < Self.outputLimit { bytes.append(contentsOf: chunk[..<count]) }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
