internal import CLinux
internal import Glibc
internal import SystemPackage

/// One writer a file. Two openings for writing, in one process or in two, would each cache what the other changes.
package enum FileClaim {
  /// Takes an open file for writing, until it is closed, or says who has it.
  ///
  /// The lock belongs to the open file description, so that it also keeps out a second opening in this process, which
  /// the older kind of lock would not. The kernel's loop driver honours no lock at all: it is asked apart. What it is
  /// given after this nobody can refuse.
  package static func take(_ descriptor: Int32, path: String) throws(DeviceError) {
    var holder: Int32 = -1
    let result = unsafe cl_claim(descriptor, &holder)
    if result == -EAGAIN {
      throw .inUse(path: path, by: holder > 0 ? "process \(holder)" : "another opening for writing")
    }
    guard result == 0 else { throw .cannotOpen(path: path, step: "lock", Errno(rawValue: -result)) }
    var info = cl_file_info()
    guard unsafe cl_file_info(descriptor, &info) == 0 else { return }
    if let loop = loopDevice(of: info) { throw .inUse(path: path, by: "the kernel's loop device \(loop)") }
  }

  /// Who may be writing to an open file that is only read, for a warning: nil when nobody is found.
  package static func user(of descriptor: Int32, path: String) -> String? {
    var info = cl_file_info()
    guard unsafe cl_file_info(descriptor, &info) == 0 else { return nil }
    if info.is_block_device {
      let alone = unsafe cl_open(path, false, false, true)
      if alone == -EBUSY { return "the kernel (mounted?) or another opening" }
      if alone >= 0 { close(alone) }
    }
    let holder = cl_claim_holder(descriptor)
    if holder != 0 { return holder > 0 ? "process \(holder)" : "another opening for writing" }
    return loopDevice(of: info).map { "the kernel's loop device \($0)" }
  }

  /// The loop device that may write to this file; nil when there is none. Loop devices that only read do not count.
  private static func loopDevice(of file: cl_file_info) -> String? {
    var found = unsafe glob_t()
    defer { unsafe globfree(&found) }
    guard unsafe glob("/sys/block/loop*/loop/backing_file", GLOB_NOSORT, nil, &found) == 0 else { return nil }
    for index in 0..<Int(unsafe found.gl_pathc) {
      guard let entry = unsafe found.gl_pathv[index] else { continue }
      let attribute = unsafe String(cString: entry)
      let device = String(attribute.dropLast("/loop/backing_file".count))
      guard let backing = firstLine(of: attribute) else { continue }
      var info = cl_file_info()
      if unsafe cl_path_info(backing, &info) == 0, info.device == file.device, info.inode == file.inode,
        firstLine(of: device + "/ro") != "1"
      {
        return "/dev/" + device.dropFirst("/sys/block/".count)
      }
    }
    return nil
  }

  /// The text of one of the kernel's small files, without the line's end.
  private static func firstLine(of path: String) -> String? {
    let result = unsafe cl_open(path, false, false, false)
    guard result >= 0 else { return nil }
    let file = OwnedDescriptor(result)
    // Longer than any path the kernel shows.
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe read(file.rawValue, &bytes, bytes.count)
    guard count > 0 else { return nil }
    return String(decoding: bytes[..<count].prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
  }
}
