internal import SystemPackage
internal import Workload

#if canImport(Glibc)
  internal import Glibc
#endif

/// Why scenarios cannot be run here.
public enum ExplorerError: Error, Sendable, CustomStringConvertible {
  /// mke2fs or e2fsck is missing.
  case missingTool(String)
  /// A tool or a temporary file failed.
  case failed(String)
  public var description: String {
    switch self {
    case .missingTool(let name): "\(name) is not installed: apt-get install e2fsprogs"
    case .failed(let what): what
    }
  }
}

/// Small images through temporary files, because that is what e2fsprogs reads and writes.
enum ScratchImage {
  /// A volume of 512 blocks, or 1,024 of the smallest.
  static func make(blockSize: Int) throws(ExplorerError) -> [UInt8] {
    let byteCount = (blockSize == 1024 ? 1024 : 512) * blockSize
    return try withFile([UInt8](repeating: 0, count: byteCount)) { path throws(ExplorerError) in
      let outcome = try run(
        "mke2fs",
        [
          "-q", "-F", "-t", "ext2", "-b", "\(blockSize)", "-N", "64", "-m", "0",
          "-U", "6f1c9c1e-0000-4000-8000-000000000001", "-E", "hash_seed=6f1c9c1e-0000-4000-8000-000000000002", path,
        ])
      guard outcome.exitCode == 0 else { throw .failed(outcome.output) }
      return try read(path)
    }
  }

  static func check(_ image: [UInt8]) throws(ExplorerError) -> String? {
    try withFile(image) { path throws(ExplorerError) in
      let outcome = try run("e2fsck", ["-fn", path])
      return outcome.exitCode == 0 ? nil : outcome.output
    }
  }

  private static func run(_ name: String, _ arguments: [String]) throws(ExplorerError) -> ExternalTool.Outcome {
    guard let tool = ExternalTool(name) else { throw .missingTool(name) }
    guard let outcome = tool.run(arguments) else { throw .failed("\(name) could not be started") }
    return outcome
  }

  private static func withFile<R>(
    _ bytes: [UInt8], _ body: (String) throws(ExplorerError) -> R
  ) throws(ExplorerError) -> R {
    let folder = unsafe access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    var template = Array("\(folder)/blkdev-XXXXXX".utf8CString)
    let descriptor = unsafe mkstemp(&template)
    guard descriptor >= 0 else { throw .failed("\(folder): no temporary file: \(Errno(rawValue: errno))") }
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { unsafe unlink(path) }
    let file = FileDescriptor(rawValue: descriptor)
    do { try file.closeAfter { _ = try file.writeAll(bytes) } } catch { throw .failed("\(path): \(error)") }
    return try body(path)
  }

  private static func read(_ path: String) throws(ExplorerError) -> [UInt8] {
    do {
      let file = try FileDescriptor.open(FilePath(path), .readOnly)
      return try file.closeAfter {
        var bytes = [UInt8](repeating: 0, count: Int(try file.seek(offset: 0, from: .end)))
        let count = try unsafe bytes.withUnsafeMutableBytes { try unsafe file.read(fromAbsoluteOffset: 0, into: $0) }
        return Array(bytes.prefix(count))
      }
    } catch { throw .failed("\(path): \(error)") }
  }
}
