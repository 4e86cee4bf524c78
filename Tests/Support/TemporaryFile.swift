import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// Files that a test makes and that go when it ends. None is open in the processes that tests running beside it start: a
/// file system could not be unmounted then.
public enum TemporaryFile {
  /// The folder for them: memory where there is some.
  public static let folder = unsafe access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"

  /// Room for more of them.
  public static var freeByteCount: UInt64 {
    var information = statvfs()
    guard unsafe statvfs(folder, &information) == 0 else { return 0 }
    return UInt64(information.f_bavail) * UInt64(information.f_frsize)
  }

  public static func with<R>(byteCount: Int, _ body: (String) throws -> R) throws -> R {
    try with(contents: []) { path in
      guard unsafe truncate(path, byteCount) == 0 else { throw Errno(rawValue: errno) }
      return try body(path)
    }
  }

  public static func with<R>(contents: [UInt8], _ body: (String) throws -> R) throws -> R {
    let path = try make(contents)
    defer { remove(path) }
    return try body(path)
  }

  /// A file that stays until `remove`: for what suspends.
  public static func make(_ contents: [UInt8]) throws -> String {
    var template = Array("\(folder)/blkdev-test-XXXXXX".utf8CString)
    let descriptor = unsafe mkstemp(&template)
    guard descriptor >= 0 else { throw Errno(rawValue: errno) }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let file = FileDescriptor(rawValue: descriptor)
    try file.closeAfter { _ = try file.writeAll(contents) }
    return path
  }
  public static func remove(_ path: String) { _ = unsafe unlink(path) }

  /// How many bytes a file takes on its disk; the holes of a sparse one take none.
  public static func allocatedBytes(_ path: String) throws -> UInt64 {
    var information = stat()
    guard unsafe stat(path, &information) == 0 else { throw Errno(rawValue: errno) }
    return UInt64(information.st_blocks) * 512
  }

  public static func read(_ path: String) throws -> [UInt8] {
    let file = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
    return try file.closeAfter {
      let size = Int(try file.seek(offset: 0, from: .end))
      var bytes = [UInt8](repeating: 0, count: size)
      var done = 0
      while done < size {
        let count = try unsafe bytes.withUnsafeMutableBytes { buffer in
          unsafe try file.read(
            fromAbsoluteOffset: Int64(done), into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]))
        }
        guard count > 0 else { break }
        done += count
      }
      return bytes
    }
  }
}
