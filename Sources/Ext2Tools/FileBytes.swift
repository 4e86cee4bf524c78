public import BlockDevice
internal import CLinux
internal import Glibc
internal import SystemPackage

/// The bytes of a regular file or a block device, through its page cache.
///
/// Opened for writing it is claimed, as a device is: nobody else may write to it, mounted it must not be. Its size is the
/// one it had when it was opened. Writes are durable after `synchronize`.
public final class FileBytes: VolumeBytes {
  /// The file's path, for messages.
  public let path: String
  public private(set) var byteCount: UInt64
  /// Bytes of the smallest block that a block device transfers; nil for a regular file.
  public private(set) var logicalBlockSize: Int?
  private let descriptor: Int32

  /// Opens an existing file. Throws `cannotOpen`, `unsuitable` where it is neither a regular file nor a block device, and
  /// `inUse`.
  public init(path: String, isWritable: Bool = false) throws(DeviceError) {
    self.path = path
    var info = cl_file_info()
    // Before it is opened: to open a pipe would wait for its other end.
    var result = unsafe cl_path_info(path, &info)
    guard result == 0 else { throw .cannotOpen(path: path, step: "statx", Errno(rawValue: -result)) }
    guard info.is_regular || info.is_block_device else {
      throw .unsuitable(
        path: path, reason: info.is_directory ? "is a directory" : "is neither a regular file nor a block device")
    }
    let opened = unsafe cl_open(path, isWritable, false, isWritable && info.is_block_device)
    if opened == -EBUSY { throw .inUse(path: path, by: "the kernel (mounted?) or another opening") }
    guard opened >= 0 else {
      throw .cannotOpen(
        path: path, step: isWritable ? "open for reading and writing" : "open for reading", Errno(rawValue: -opened))
    }
    descriptor = opened
    byteCount = 0
    if isWritable {
      try FileClaim.take(opened, path: path)
      // A write beyond RLIMIT_FSIZE is to be an error of that write, not the end of the process.
      cl_ignore_file_size_signal()
    }
    result = unsafe cl_file_info(opened, &info)
    guard result == 0 else { throw .cannotOpen(path: path, step: "statx", Errno(rawValue: -result)) }
    byteCount = info.byte_count
    if info.is_block_device { logicalBlockSize = Int(info.direct_offset_alignment) }
  }

  deinit { cl_close(descriptor) }

  /// Who may be writing to a file that was opened for reading: for a warning. Nil when nobody is found.
  public var user: String? { FileClaim.user(of: descriptor, path: path) }

  public func read(at offset: UInt64, into buffer: inout MutableRawSpan) throws(VolumeBytesError) {
    let descriptor = self.descriptor
    try transfer("read", offset, buffer.byteCount) { done, count in
      unsafe buffer.withUnsafeMutableBytes {
        unsafe pread(descriptor, $0.baseAddress.map { unsafe $0 + done }, count, off_t(offset) + done)
      }
    }
  }

  public func write(_ bytes: RawSpan, at offset: UInt64) throws(VolumeBytesError) {
    let descriptor = self.descriptor
    try transfer("write", offset, bytes.byteCount) { done, count in
      unsafe bytes.withUnsafeBytes {
        unsafe pwrite(descriptor, $0.baseAddress.map { unsafe $0 + done }, count, off_t(offset) + done)
      }
    }
  }

  /// Punches a hole, which gives the room back; writes zeros where the file system or the device cannot do that.
  public func zero(at offset: UInt64, byteCount: UInt64) throws(VolumeBytesError) {
    try check("write", offset, byteCount)
    if try !punchHole(offset, byteCount) { try writeZeros(at: offset, byteCount: byteCount) }
  }

  /// Punches a hole as large as the file, which gives its room back. A block device that cannot do that keeps its bytes.
  public func discardAll() throws(VolumeBytesError) -> Bool { try punchHole(0, byteCount) }

  private func punchHole(_ offset: UInt64, _ byteCount: UInt64) throws(VolumeBytesError) -> Bool {
    guard byteCount > 0 else { return true }
    let result = cl_punch_hole(descriptor, offset, byteCount)
    // A device refuses with EINVAL what is no whole number of its blocks.
    if [-EOPNOTSUPP, -EINVAL, -ENODEV].contains(result) { return false }
    guard result == 0 else {
      throw VolumeBytesError(
        step: "punch a hole", offset: offset, byteCount: Int(clamping: byteCount), errno: Errno(rawValue: -result))
    }
    return true
  }

  /// Makes a regular file longer; a hole follows what it had. A block device refuses.
  public func grow(to byteCount: UInt64) throws(VolumeBytesError) {
    precondition(byteCount >= self.byteCount, "a file that would become shorter")
    guard byteCount <= UInt64(Int64.max), ftruncate(descriptor, off_t(byteCount)) == 0 else {
      throw VolumeBytesError(
        step: "ftruncate", errno: byteCount > UInt64(Int64.max) ? .fileTooLarge : Errno(rawValue: errno))
    }
    self.byteCount = byteCount
  }

  /// Reserves room for every byte, so that no write has to find it. False where the file system cannot do that.
  public func preallocate() throws(VolumeBytesError) -> Bool {
    let result = cl_preallocate(descriptor, byteCount)
    if result == -EOPNOTSUPP || result == -ENODEV { return false }
    guard result == 0 else {
      throw VolumeBytesError(
        step: "fallocate", offset: 0, byteCount: Int(clamping: byteCount), errno: Errno(rawValue: -result))
    }
    return true
  }

  /// Makes every write so far durable.
  public func synchronize() throws(VolumeBytesError) {
    guard fsync(descriptor) == 0 else { throw VolumeBytesError(step: "fsync", errno: Errno(rawValue: errno)) }
  }

  /// Calls `body` with how much is done and how much is left until nothing is left.
  private func transfer(
    _ step: String, _ offset: UInt64, _ count: Int, _ body: (_ done: Int, _ left: Int) -> Int
  ) throws(VolumeBytesError) {
    try check(step, offset, UInt64(count))
    var done = 0
    while done < count {
      let moved = body(done, count - done)
      if moved < 0 && errno == EINTR { continue }
      // Nothing moved: the file has become shorter meanwhile.
      guard moved > 0 else {
        throw VolumeBytesError(
          step: step, offset: offset + UInt64(done), byteCount: count - done,
          errno: moved == 0 ? .ioError : Errno(rawValue: errno))
      }
      done += moved
    }
  }

  private func check(_ step: String, _ offset: UInt64, _ count: UInt64) throws(VolumeBytesError) {
    guard offset <= byteCount, count <= byteCount - offset else {
      throw VolumeBytesError(step: step, offset: offset, byteCount: Int(clamping: count), errno: .invalidArgument)
    }
  }
}
