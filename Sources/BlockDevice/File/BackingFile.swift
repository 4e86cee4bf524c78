// How a file is opened: what is refused, what is probed, and who else may use it.
internal import CLinux
internal import Glibc
internal import SystemPackage

/// A file descriptor that is closed when its owner goes away.
struct OwnedDescriptor: ~Copyable {
  let rawValue: Int32
  init(_ rawValue: Int32) { self.rawValue = rawValue }
  deinit { if rawValue >= 0 { cl_close(rawValue) } }
}

/// An open regular file or block device that serves as a device's medium, with what was found out about it.
///
/// Opened for writing it is claimed (see `FileClaim`). Its size is the one it had when it was opened.
struct BackingFile: ~Copyable {
  let descriptor: OwnedDescriptor
  let geometry: Geometry
  /// Why transfers go through the page cache; nil when they are direct.
  let bufferedReason: String?

  init(path: String, options: FileDevice.Options) throws(DeviceError) {
    let kind = try Self.kind(of: path)
    let isWritable = !options.isReadOnly
    var reason = options.isDirect ? nil : "asked for"
    let isExclusive = isWritable && kind.is_block_device
    var file = try Self.open(path, isWritable, isDirect: options.isDirect, isExclusive, &reason)
    if isWritable {
      try FileClaim.take(file.rawValue, path: path)
      // A write beyond RLIMIT_FSIZE is to be an error of that write, not the end of the process.
      cl_ignore_file_size_signal()
    }
    var info = cl_file_info()
    let result = unsafe cl_file_info(file.rawValue, &info)
    guard result == 0 else { throw .cannotOpen(path: path, step: "statx", Errno(rawValue: -result)) }

    if reason == nil, let refusal = Self.refusalOfDirect(info, options) {
      reason = refusal
      // Of two exclusive openings of a block device the second is refused: the first one goes before.
      file = OwnedDescriptor(-1)
      file = try Self.open(path, isWritable, isDirect: false, isExclusive, &reason)
      if isWritable { try FileClaim.take(file.rawValue, path: path) }
    }
    geometry = try Self.geometry(info, path, options, isDirect: reason == nil)
    bufferedReason = reason
    descriptor = file
  }

  /// What lies at the path, before it is opened: to open a pipe would wait for its other end.
  private static func kind(of path: String) throws(DeviceError) -> cl_file_info {
    var info = cl_file_info()
    let result = unsafe cl_path_info(path, &info)
    guard result == 0 else { throw .cannotOpen(path: path, step: "statx", Errno(rawValue: -result)) }
    guard info.is_regular || info.is_block_device else {
      throw .unsuitable(
        path: path, reason: info.is_directory ? "is a directory" : "is neither a regular file nor a block device")
    }
    return info
  }

  /// Opens the file, through the page cache where the file system has no direct transfers; then `reason` says so.
  private static func open(
    _ path: String, _ isWritable: Bool, isDirect: Bool, _ isExclusive: Bool, _ reason: inout String?
  ) throws(DeviceError) -> OwnedDescriptor {
    var result = unsafe cl_open(path, isWritable, isDirect, isExclusive)
    if result == -EINVAL && isDirect {
      reason = "its file system does not support O_DIRECT"
      result = unsafe cl_open(path, isWritable, false, isExclusive)
    }
    if result == -EBUSY { throw .inUse(path: path, by: "the kernel (mounted?) or another opening") }
    guard result >= 0 else {
      throw .cannotOpen(
        path: path, step: isWritable ? "open for reading and writing" : "open for reading", Errno(rawValue: -result))
    }
    return OwnedDescriptor(result)
  }

  /// Why this very file cannot be transferred directly; nil when it can, or when nothing is known against it.
  private static func refusalOfDirect(_ info: cl_file_info, _ options: FileDevice.Options) -> String? {
    guard info.has_direct_alignment else { return nil }
    let alignment = UInt64(info.direct_offset_alignment)
    if alignment == 0 { return "the kernel allows no direct transfers to this file" }
    if info.byte_count % alignment != 0 {
      return "its size of \(info.byte_count) bytes is no multiple of the \(alignment) that direct transfers need"
    }
    if let asked = options.logicalBlockSize, UInt64(asked) % alignment != 0 {
      return "direct transfers need blocks of \(alignment) bytes, and \(asked) were asked for"
    }
    return nil
  }

  private static func geometry(
    _ info: cl_file_info, _ path: String, _ options: FileDevice.Options, isDirect: Bool
  ) throws(DeviceError) -> Geometry {
    let probed = isDirect && info.has_direct_alignment
    // At least 512 for memory too: what one machine's disk accepts, another's should not refuse.
    let memoryAlignment = max(512, probed ? Int(info.direct_memory_alignment) : 0)
    let blockSize = options.logicalBlockSize ?? max(512, probed ? Int(info.direct_offset_alignment) : 0)
    guard blockSize >= 512, blockSize <= 65536, blockSize.nonzeroBitCount == 1 else {
      throw .unsuitable(
        path: path, reason: "logical blocks of \(blockSize) bytes: not a power of two from 512 to 65536")
    }
    guard info.byte_count >= UInt64(blockSize) else {
      throw .unsuitable(
        path: path, reason: "its \(info.byte_count) bytes are fewer than one logical block of \(blockSize)")
    }
    guard info.byte_count % UInt64(blockSize) == 0 else {
      throw .unsuitable(
        path: path, reason: "its \(info.byte_count) bytes are not a whole number of logical blocks of \(blockSize)")
    }
    return Geometry(
      logicalBlockSize: blockSize, byteCount: info.byte_count, memoryAlignment: memoryAlignment,
      isReadOnly: options.isReadOnly)
  }
}
