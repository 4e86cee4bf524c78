internal import CLinux
internal import Glibc
internal import SystemPackage

extension FileDevice {
  /// Makes a new file of that size to be a device's medium. An existing file is left alone and reported.
  ///
  /// `preallocate` reserves its blocks, so that writing it never has to find room; where the file system cannot do that
  /// the file is sparse. Returns whether its blocks are reserved.
  @discardableResult
  public static func createImage(path: String, byteCount: UInt64, preallocate: Bool = true) throws(DeviceError) -> Bool
  {
    guard byteCount > 0, byteCount <= UInt64(Int64.max) else {
      throw .unsuitable(path: path, reason: "an image of \(byteCount) bytes")
    }
    let created = unsafe cl_create(path)
    guard created >= 0 else { throw .cannotOpen(path: path, step: "create", Errno(rawValue: -created)) }
    let file = OwnedDescriptor(created)
    // To grow a file beyond RLIMIT_FSIZE is to be an error, not the end of the process.
    cl_ignore_file_size_signal()
    var result = preallocate ? cl_preallocate(file.rawValue, byteCount) : -EOPNOTSUPP
    if result == 0 { return true }
    let step = result == -EOPNOTSUPP ? "ftruncate" : "fallocate"
    if result == -EOPNOTSUPP { result = ftruncate(file.rawValue, Int(byteCount)) < 0 ? -errno : 0 }
    guard result == 0 else {
      _ = unsafe unlink(path)
      throw .cannotOpen(path: path, step: step, Errno(rawValue: -result))
    }
    return false
  }
}
