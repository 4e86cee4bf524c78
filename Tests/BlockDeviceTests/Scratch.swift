internal import BlockDevice
internal import Glibc
internal import Reactor

/// Where a test's backing files lie.
enum Medium: String, CaseIterable, Sendable {
  /// Completes within io_submit and accepts any alignment.
  case tmpfs = "/dev/shm"
  /// Whatever lies under /tmp; on most machines a disk.
  case disk = "/tmp"
}

/// A directory for one test's files, removed with all that is in it.
final class Scratch {
  let directory: String

  init(_ medium: Medium) {
    var template = Array("\(medium.rawValue)/blkdev-test-XXXXXX".utf8CString)
    precondition(unsafe mkdtemp(&template) != nil, "no scratch directory in \(medium.rawValue)")
    directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
  deinit { remove() }
  /// Removes the directory now, in a process that ends without deinitialising.
  func remove() {
    for name in names { _ = unsafe unlink("\(directory)/\(name)") }
    _ = unsafe rmdir(directory)
  }
  private var names: Set<String> = []

  /// The path of a file in the directory, which may or may not exist.
  func path(_ name: String = "image") -> String {
    names.insert(name)
    return "\(directory)/\(name)"
  }

  /// A new, preallocated image.
  func image(_ byteCount: UInt64 = 1 << 20, _ name: String = "image") throws -> String {
    try FileDevice.createImage(path: path(name), byteCount: byteCount)
    return path(name)
  }
}

/// Runs `body` on a reactor with a thread of its own.
func onThreadReactor<T: Sendable>(_ body: (ThreadReactor) async throws -> T) async throws -> T {
  let reactor = ThreadReactor()
  defer { reactor.stop() }
  return try await reactor.run { try await body(reactor) }
}

/// Bytes that depend on their position and on `seed`.
func pattern(_ byteCount: Int, seed: UInt64) -> [UInt8] {
  var random = SeededGenerator(seed: seed)
  return (0..<byteCount).map { _ in UInt8(truncatingIfNeeded: random.next()) }
}

extension Buffer {
  /// A buffer that holds these bytes.
  convenience init(_ bytes: [UInt8]) {
    self.init(byteCount: bytes.count)
    self.bytes = bytes
  }
  /// What the buffer holds.
  var bytes: [UInt8] {
    get {
      unsafe [UInt8](UnsafeRawBufferPointer(start: segment.base, count: byteCount))
    }
    set {
      precondition(newValue.count == byteCount)
      unsafe newValue.withUnsafeBytes { unsafe segment.base.copyMemory(from: $0.baseAddress!, byteCount: byteCount) }
    }
  }
}
