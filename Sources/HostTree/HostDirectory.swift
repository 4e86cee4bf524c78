// Files of this machine, always by an open directory and one name in it: no symbolic link is followed, and who swaps a
// directory for a link meanwhile gains nothing.
internal import CLinux
internal import Ext2Format
internal import Glibc
internal import Reactor
internal import SystemPackage

/// An open directory. Closed with the last reference.
@safe final class HostDirectory {
  let descriptor: Int32
  /// Its path as the user knows it, for messages.
  let path: [UInt8]

  private init(descriptor: Int32, path: [UInt8]) {
    self.descriptor = descriptor
    self.path = path
  }
  deinit { close(descriptor) }

  /// Opens the directory at the start of a tree: here symbolic links are followed, because the user named it.
  static func open(_ path: [UInt8]) throws(TreeError) -> HostDirectory {
    let descriptor = unsafe Glibc.open(cString(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw TreeError(path, .host(step: "open", Errno(rawValue: errno))) }
    return HostDirectory(descriptor: descriptor, path: path)
  }

  /// As `open`, for a directory that is made if there is none.
  static func make(_ path: [UInt8]) throws(TreeError) -> HostDirectory {
    if unsafe mkdir(cString(path), 0o777) < 0 && errno != EEXIST {
      throw TreeError(path, .host(step: "mkdir", Errno(rawValue: errno)))
    }
    return try open(path)
  }

  /// The directory below this one that a list of names leads to.
  func descend(_ names: some Sequence<[UInt8]>) throws(TreeError) -> HostDirectory {
    var directory = self
    for name in names { directory = try directory.directory(name) }
    return directory
  }

  /// The path of a name in it, for messages.
  func path(of name: [UInt8]) -> [UInt8] {
    if name.isEmpty { return path }
    return path.last == UInt8(ascii: "/") ? path + name : path + [UInt8(ascii: "/")] + name
  }

  /// Calls C with a name. A negative result is an errno.
  @discardableResult
  private func call<T: SignedInteger>(
    _ step: String, _ name: [UInt8], _ body: (Int32, UnsafePointer<CChar>) -> T
  ) throws(TreeError) -> T {
    // Names come from directories, so there is neither in them; a volume that lies is refused before.
    precondition(!name.contains(0) && !name.contains(UInt8(ascii: "/")), "not a name")
    let text = cString(name)
    let result = unsafe text.withUnsafeBufferPointer { text in
      unsafe text.baseAddress.map { unsafe body(descriptor, $0) } ?? T(-EINVAL)
    }
    if result < 0 { throw TreeError(path(of: name), .host(step: step, Errno(rawValue: Int32(-result)))) }
    return result
  }

  /// As `call`, for functions that set errno.
  private func callErrno(
    _ step: String, _ name: [UInt8], _ body: (Int32, UnsafePointer<CChar>) -> Int32
  ) throws(TreeError) {
    try unsafe call(step, name) { directory, name in unsafe body(directory, name) < 0 ? -errno : 0 }
  }

  // MARK: Looking

  /// What is known of a name in it; of itself for the empty name.
  func node(_ name: [UInt8]) throws(TreeError) -> HostNode {
    var node = cl_node()
    try unsafe call("stat", name) { unsafe cl_node_info($0, $1, &node) }
    return HostNode(node)
  }

  /// The names in it, in the order of their bytes, without "." and "..".
  func names() throws(TreeError) -> [[UInt8]] {
    let copy = try unsafe call("open", []) { directory, _ in unsafe cl_node_open(directory, ".", true) }
    guard let stream = unsafe fdopendir(copy) else {
      let error = Errno(rawValue: errno)
      close(copy)
      throw TreeError(path, .host(step: "read", error))
    }
    defer { unsafe closedir(stream) }
    var names: [[UInt8]] = []
    while true {
      errno = 0
      guard let entry = unsafe readdir(stream) else { break }
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { unsafe Array($0.prefix { $0 != 0 }) }
      if name != Array(".".utf8) && name != Array("..".utf8) { names.append(name) }
    }
    if errno != 0 { throw TreeError(path, .host(step: "read", Errno(rawValue: errno))) }
    return names.sorted { $0.lexicographicallyPrecedes($1) }
  }

  /// Opens a directory in it.
  func directory(_ name: [UInt8]) throws(TreeError) -> HostDirectory {
    let opened = try unsafe call("open", name) { unsafe cl_node_open($0, $1, true) }
    return HostDirectory(descriptor: opened, path: path(of: name))
  }

  /// Opens a file in it for reading.
  func file(_ name: [UInt8]) throws(TreeError) -> HostFile {
    HostFile(descriptor: try unsafe call("open", name) { unsafe cl_node_open($0, $1, false) }, path: path(of: name))
  }

  /// The target of a symbolic link in it.
  func linkTarget(_ name: [UInt8]) throws(TreeError) -> [UInt8] {
    var target = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = try unsafe call("readlink", name) { directory, name in
      let count = unsafe readlinkat(directory, name, &target, target.count)
      return count < 0 ? Int(-errno) : count
    }
    return target[..<count].map { UInt8(bitPattern: $0) }
  }

  // MARK: Changing

  /// Makes a directory for its owner only, unless there is one, and opens it.
  func makeDirectory(_ name: [UInt8]) throws(TreeError) -> HostDirectory {
    try unsafe call("mkdir", name) { directory, name in
      unsafe mkdirat(directory, name, 0o700) == 0 || errno == EEXIST ? 0 : -errno
    }
    return try directory(name)
  }

  /// Makes a regular file that only its owner can read and write.
  func makeFile(_ name: [UInt8]) throws(TreeError) -> HostFile {
    HostFile(descriptor: try unsafe call("create", name) { unsafe cl_node_create($0, $1, 0o600) }, path: path(of: name))
  }

  /// Makes a fifo, a socket or a device file.
  func makeNode(_ name: [UInt8], _ type: InodeType, device: DeviceNumber?) throws(TreeError) {
    let mode = UInt32(type.rawValue) << 12 | 0o600
    try unsafe call("mknod", name) { unsafe cl_node_make($0, $1, mode, device?.major ?? 0, device?.minor ?? 0) }
  }

  /// Makes a symbolic link.
  func makeLink(_ name: [UInt8], target: [UInt8]) throws(TreeError) {
    let text = cString(target)
    try unsafe callErrno("symlink", name) { unsafe symlinkat(text, $0, $1) }
  }

  /// Gives a file in it a further name in another directory.
  func link(_ name: [UInt8], to other: HostDirectory, _ newName: [UInt8]) throws(TreeError) {
    let text = cString(newName)
    do { try unsafe callErrno("link", name) { unsafe linkat($0, $1, other.descriptor, text, 0) } } catch {
      throw TreeError(other.path(of: newName), error.cause)
    }
  }

  /// Removes a name of anything but a directory; nothing if there is none.
  func remove(_ name: [UInt8]) throws(TreeError) {
    try unsafe call("unlink", name) { directory, name in
      unsafe unlinkat(directory, name, 0) == 0 || errno == ENOENT ? 0 : -errno
    }
  }

  /// Changes owner and group of a name in it, or of itself. Returns false where this user may not.
  func setOwner(_ name: [UInt8], user: UInt32, group: UInt32) throws(TreeError) -> Bool {
    let result = try unsafe call("chown", orItself(name)) { directory, name in
      let result = unsafe cl_node_set_owner(directory, name, user, group)
      return result == -EPERM ? 1 : result
    }
    return result == 0
  }

  /// Changes the permissions of what is no symbolic link.
  func setPermissions(_ name: [UInt8], _ permissions: UInt16) throws(TreeError) {
    try unsafe callErrno("chmod", orItself(name)) { unsafe fchmodat($0, $1, UInt32(permissions), 0) }
  }

  /// Sets both times.
  func setTimes(_ name: [UInt8], access: CalendarTime, modification: CalendarTime) throws(TreeError) {
    var node = cl_node()
    (node.access_seconds, node.access_nanoseconds) = (access.seconds, access.nanoseconds)
    (node.modification_seconds, node.modification_nanoseconds) = (modification.seconds, modification.nanoseconds)
    try unsafe call("utimens", orItself(name)) { unsafe cl_node_set_times($0, $1, &node) }
  }

  /// The empty name means the directory itself, which most calls know as ".".
  private func orItself(_ name: [UInt8]) -> [UInt8] { name.isEmpty ? [UInt8(ascii: ".")] : name }
}
