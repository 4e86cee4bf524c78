import Glibc
import Support
import SystemPackage
import Testing
import Workload

/// An image for tests of `blkdev-run fs`, and the verbs run on it by the real program.
final class FSImage {
  /// What a run of the program left.
  struct Outcome {
    let exitCode: Int32
    let output: String
    let errors: String
  }
  struct Failure: Error { let what: String }

  /// A folder of its own, gone with everything in it at the end.
  let folder: String
  let path: String

  /// - Parameter options: further ones of mke2fs.
  init(byteCount: Int = 16 << 20, blockSize: Int = 1024, options: [String] = []) throws {
    var template = Array("\(TemporaryFile.folder)/blkdev-fs-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
    folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    path = "\(folder)/image"
    try Self.shell(
      """
      truncate -s \(byteCount) '\(path)' &&
      mke2fs -q -F -t ext2 -b \(blockSize) -I 256 \(options.joined(separator: " ")) '\(path)'
      """)
  }

  deinit { _ = try? Self.shell("rm -rf '\(folder)'") }

  /// The program, beside the tests.
  static let program: String = {
    let tests = CommandLine.arguments[0]
    return String(tests[..<(tests.lastIndex(of: "/") ?? tests.startIndex)]) + "/blkdev-run"
  }()

  /// Runs a script of bash; a failure is the test's.
  @discardableResult
  static func shell(_ script: String) throws -> String {
    guard let bash = ExternalTool("bash") else { throw Failure(what: "no bash") }
    guard let outcome = bash.run(["-c", "PATH=$PATH:/usr/sbin:/sbin; export TZ=UTC LC_ALL=C; set -e\n" + script]) else {
      throw Failure(what: "bash did not start")
    }
    if outcome.exitCode != 0 { throw Failure(what: "exit \(outcome.exitCode) of: \(script)\n\(outcome.output)") }
    return outcome.output
  }

  /// As `shell`, in this image's folder: $image is its path, and `fs` runs the program on it.
  @discardableResult
  func shell(_ script: String) throws -> String {
    try Self.shell("cd '\(folder)'; image='\(path)'; fs() { '\(Self.program)' fs \"$image\" \"$@\"; }\n" + script)
  }

  /// Runs words of bash behind `blkdev-run fs`, with standard input from a here document.
  func run(_ words: String, input: String = "") throws -> Outcome {
    let script = """
      status=0
      '\(Self.program)' fs \(words) <input >output 2>errors || status=$?
      echo $status
      """
    let file = try FileDescriptor.open(
      FilePath("\(folder)/input"), .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
    try file.closeAfter { _ = try file.writeAll(input.utf8) }
    let status = try shell(script)
    func text(_ name: String) throws -> String {
      String(decoding: try TemporaryFile.read("\(folder)/\(name)"), as: UTF8.self)
    }
    guard let code = Int32(status.filter { $0 != "\n" }) else { throw Failure(what: status) }
    return Outcome(exitCode: code, output: try text("output"), errors: try text("errors"))
  }

  /// Runs a verb on the image and returns what it printed.
  func fs(_ words: String) throws -> String {
    let outcome = try run("'\(path)' \(words)")
    guard outcome.exitCode == 0 else { throw Failure(what: "exit \(outcome.exitCode): \(outcome.errors)") }
    return outcome.output
  }

  /// Runs a script.
  func script(_ lines: String, options: String = "") throws -> Outcome {
    try run("\(options) '\(path)' -", input: lines)
  }

  /// What e2fsck finds wrong; nil for nothing.
  func damage() throws -> String? {
    guard let outcome = ExternalTool("e2fsck")?.run(["-fn", path]) else { throw Failure(what: "no e2fsck") }
    return outcome.exitCode == 0 ? nil : outcome.output
  }

  /// What debugfs says to a command.
  func debugfs(_ command: String) throws -> String {
    guard let outcome = ExternalTool("debugfs")?.run(["-R", command, path]) else { throw Failure(what: "no debugfs") }
    return outcome.output
  }

  /// Whether the kernel mounts images here, tried once.
  static let canMount: Bool = {
    guard geteuid() == 0, Images.isAvailable, let image = try? FSImage() else { return false }
    return (try? image.shell("mkdir m; mount -o loop,ro \"$image\" m; umount m")) != nil
  }()
}
