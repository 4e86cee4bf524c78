internal import Glibc
internal import SystemPackage

/// Files of this machine that a run makes for itself.
enum HostFile {
  /// Where scratch files are made: TMPDIR or /tmp.
  static var scratchParent: String {
    let parent = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? ""
    return parent.isEmpty ? "/tmp" : parent
  }

  /// A folder of our own for scratch files, below `scratchParent`.
  static func makeFolder() throws(RunError) -> String {
    let parent = scratchParent
    var template = Array("\(parent)/blkdev-run-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&template) != nil else {
      throw .file(path: parent, step: "make a scratch folder", errno: errno)
    }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Removes a folder of `makeFolder` with the files in it that we know of.
  static func remove(folder: String, files: [String]) {
    for file in files { _ = unsafe unlink(file) }
    _ = unsafe rmdir(folder)
  }

  /// Opens a file, calls `body`, and closes it.
  static func with<R>(
    _ path: String, _ mode: FileDescriptor.AccessMode, create: Bool = false,
    _ body: (FileDescriptor) throws(Errno) -> R
  ) throws(RunError) -> R {
    do throws(Errno) {
      let file = try openFile(path, mode, create: create)
      defer { try? file.close() }
      return try body(file)
    } catch { throw .file(path: path, step: "open, read or write", errno: error.rawValue) }
  }

  private static func openFile(
    _ path: String, _ mode: FileDescriptor.AccessMode, create: Bool
  ) throws(Errno) -> FileDescriptor {
    do {
      return try FileDescriptor.open(
        FilePath(path), mode, options: create ? [.create, .truncate] : [], permissions: create ? .ownerReadWrite : nil)
    } catch let error as Errno { throw error } catch { throw .ioError }
  }

  /// Makes the folders of a path that are not there, but for those that somebody has named. What that meets is said by
  /// whoever makes the file.
  static func makeFolders(of path: String, below named: [String]) {
    let top = named.filter { path.hasPrefix($0 + "/") }.map(\.count).max() ?? 0
    for slash in path.indices.dropFirst(top + 1) where path[slash] == "/" {
      _ = unsafe mkdir(String(path[..<slash]), 0o777)
    }
  }

  static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

  /// The size of a regular file, in bytes; nil of anything else.
  static func byteCountOfRegularFile(_ path: String) -> UInt64? {
    var information = stat()
    guard unsafe stat(path, &information) == 0, information.st_mode & S_IFMT == S_IFREG else { return nil }
    return UInt64(max(0, information.st_size))
  }

  /// Makes a file larger.
  static func grow(_ path: String, to byteCount: UInt64) throws(Errno) {
    let file = try openFile(path, .writeOnly, create: false)
    defer { try? file.close() }
    guard ftruncate(file.rawValue, Int(byteCount)) == 0 else { throw Errno(rawValue: errno) }
  }

  /// Writes the same bytes again and again into a file, for as long as `goesOn` says so.
  static func fill(_ path: String, _ byteCount: UInt64, with bytes: [UInt8], while goesOn: () -> Bool) throws(Errno) {
    let file = try openFile(path, .writeOnly, create: false)
    defer { try? file.close() }
    var offset: UInt64 = 0
    while offset < byteCount, goesOn() {
      let count = Int(min(UInt64(bytes.count), byteCount - offset))
      let part = count == bytes.count ? bytes : Array(bytes.prefix(count))
      do { _ = try file.writeAll(toAbsoluteOffset: Int64(offset), part) } catch let error as Errno {
        throw error
      } catch { throw .ioError }
      offset += UInt64(count)
    }
  }

  static func remove(_ path: String) { _ = unsafe unlink(path) }

  /// The size of a file, in bytes.
  static func byteCount(of path: String) throws(RunError) -> UInt64 {
    var information = stat()
    guard unsafe stat(path, &information) == 0 else { throw .file(path: path, step: "stat", errno: errno) }
    return UInt64(max(0, information.st_size))
  }

  /// The first `limit` bytes of a file as text; nil when it cannot be read.
  static func text(of path: String, limit: Int) -> String? {
    guard let file = try? FileDescriptor.open(FilePath(path), .readOnly) else { return nil }
    defer { try? file.close() }
    var bytes = [UInt8](repeating: 0, count: limit)
    var end = 0
    while end < limit {
      let count =
        (try? unsafe bytes.withUnsafeMutableBytes { unsafe try file.read(into: .init(rebasing: $0[end...])) }) ?? 0
      if count == 0 { break }
      end += count
    }
    return String(decoding: bytes[..<end], as: UTF8.self)
  }

  /// The machine's memory, in bytes.
  static var machineMemoryBytes: UInt64 {
    UInt64(max(0, sysconf(Int32(_SC_PHYS_PAGES)))) * UInt64(max(0, sysconf(Int32(_SC_PAGESIZE))))
  }

  /// The process's high-water mark of resident memory, in bytes (VmHWM of proc_pid_status(5)); 0 where that is not told.
  ///
  /// Not ru_maxrss of getrusage: a process begins there with what the one that started it had.
  static var peakMemoryBytes: UInt64 {
    guard let text = text(of: "/proc/self/status", limit: 4096) else { return 0 }
    let words = text.split(whereSeparator: \.isWhitespace)
    let kibibytes = words.firstIndex(of: "VmHWM:").flatMap { words[$0...].dropFirst().first.flatMap { UInt64($0) } }
    return (kibibytes ?? 0) * 1024
  }
}
