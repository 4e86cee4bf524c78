internal import CLinux
internal import Ext2
internal import Glibc
internal import Reactor
internal import SystemPackage

/// An open file of this machine. Closed with the last reference.
@safe final class HostFile {
  let descriptor: Int32
  /// Its path as the user knows it, for messages.
  let path: [UInt8]

  /// Takes an open descriptor over.
  init(descriptor: Int32, path: [UInt8]) {
    self.descriptor = descriptor
    self.path = path
  }
  deinit { close(descriptor) }

  /// Opens the file that somebody named for writing from its beginning, symbolic links followed, and makes it if there is
  /// none.
  static func openForWriting(
    _ path: [UInt8], permissions: UInt16
  ) throws(TreeError) -> (file: HostFile, isNew: Bool) {
    var isNew = false
    var descriptor = unsafe open(cString(path), O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY)
    if descriptor < 0 && errno == ENOENT {
      isNew = true
      descriptor = unsafe open(cString(path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_t(permissions))
    }
    guard descriptor >= 0 else { throw TreeError(path, .host(step: "open", Errno(rawValue: errno))) }
    return (HostFile(descriptor: descriptor, path: path), isNew)
  }

  /// Takes away what could not be finished.
  static func removeQuietly(_ path: [UInt8]) { _ = unsafe unlink(cString(path)) }

  /// Owner, permissions and times.
  func setStatus(_ status: FileStatus, _ control: TreeControl) throws(TreeError) {
    if fchown(descriptor, status.user, status.group) < 0 {
      if errno != EPERM { throw error("chown", errno) }
      control.warnOnce("not the superuser: files get the caller's owner and group")
    }
    if fchmod(descriptor, mode_t(status.permissions)) < 0 { throw error("chmod", errno) }
    func timespec(_ time: CalendarTime) -> timespec {
      Glibc.timespec(tv_sec: Int(time.seconds), tv_nsec: Int(time.nanoseconds))
    }
    let times = [timespec(status.accessTime), timespec(status.modificationTime)]
    if unsafe futimens(descriptor, times) < 0 { throw error("utimens", errno) }
  }

  private func error(_ step: String, _ number: Int32) -> TreeError {
    TreeError(path, .host(step: step, Errno(rawValue: number)))
  }

  /// What is known of it now.
  func node() throws(TreeError) -> HostNode {
    var node = cl_node()
    let result = unsafe cl_node_info(descriptor, "", &node)
    if result < 0 { throw error("stat", -result) }
    return HostNode(node)
  }

  /// Up to `count` bytes from an offset; fewer at the end of the file only.
  func read(at offset: UInt64, count: Int) throws(TreeError) -> [UInt8] {
    var failure: Int32 = 0
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { target, done in
      done = 0
      while done < count, let start = target.baseAddress {
        let result = unsafe pread(descriptor, start + done, count - done, off_t(offset) + done)
        if result < 0 && errno == EINTR { continue }
        if result < 0 { failure = errno }
        if result <= 0 { return }
        done += result
      }
    }
    if failure != 0 { throw error("read", failure) }
    return bytes
  }

  /// Writes all bytes at an offset.
  func write(_ bytes: [UInt8], at offset: UInt64) throws(TreeError) {
    var done = 0
    while done < bytes.count {
      let result = unsafe bytes.withUnsafeBytes { source in
        unsafe source.baseAddress.map { unsafe pwrite(descriptor, $0 + done, bytes.count - done, off_t(offset) + done) }
          ?? 0
      }
      if result < 0 && errno == EINTR { continue }
      if result <= 0 { throw error("write", result < 0 ? errno : ENOSPC) }
      done += result
    }
  }

  /// Makes it so many bytes long.
  func truncate(to byteCount: UInt64) throws(TreeError) {
    if ftruncate(descriptor, off_t(clamping: byteCount)) < 0 { throw error("truncate", errno) }
  }

  /// The next range with data from an offset on, up to `limit`; nil when there is none before it.
  func nextData(from offset: UInt64, limit: UInt64) throws(TreeError) -> Range<UInt64>? {
    guard offset < limit else { return nil }
    let start = cl_seek_data(descriptor, offset)
    if start == -Int64(ENXIO) { return nil }
    // File systems without holes say so with EINVAL: all is data then.
    if start == -Int64(EINVAL) { return offset..<limit }
    if start < 0 { throw error("seek", Int32(-start)) }
    guard UInt64(start) < limit else { return nil }
    let end = cl_seek_hole(descriptor, UInt64(start))
    if end < 0 && end != -Int64(ENXIO) { throw error("seek", Int32(-end)) }
    // A file that shrinks between the two has nothing there any more.
    return end <= start ? nil : UInt64(start)..<min(UInt64(end), limit)
  }
}
