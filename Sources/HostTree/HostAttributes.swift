// Extended attributes of files of this machine, by directory and name; ACLs among them, in the form of system calls.
internal import CLinux
internal import Glibc
internal import SystemPackage

extension HostDirectory {
  /// The names of a file's attributes, in the order of their bytes; of itself for the empty name. None where the file
  /// system has no attributes.
  func attributeNames(_ name: [UInt8]) throws(TreeError) -> [[UInt8]] {
    try unsafe readAttributeNames(path(of: name)) { buffer, capacity in
      unsafe cl_attribute_names(descriptor, cString(name), buffer, capacity)
    }
  }

  /// The value of an attribute; nil when it has gone meanwhile.
  func attribute(_ attribute: [UInt8], of name: [UInt8]) throws(TreeError) -> [UInt8]? {
    try unsafe readAttribute(attribute, path(of: name)) { buffer, capacity in
      unsafe cl_attribute_value(descriptor, cString(name), cString(attribute), buffer, capacity)
    }
  }

  /// Sets an attribute. Returns false where this file system, or this user, cannot have it.
  func setAttribute(_ attribute: [UInt8], to value: [UInt8], of name: [UInt8]) throws(TreeError) -> Bool {
    let result = unsafe value.withUnsafeBytes { value in
      unsafe cl_attribute_set(descriptor, cString(name), cString(attribute), value.baseAddress, value.count)
    }
    if result == 0 { return true }
    if result == -EOPNOTSUPP || result == -EPERM { return false }
    throw TreeError(
      path(of: name), .host(step: "setxattr \(ShellWords.quotedIfNeeded(attribute))", Errno(rawValue: -result)))
  }

  /// Removes an attribute; nothing if there is none.
  func removeAttribute(_ attribute: [UInt8], of name: [UInt8]) {
    _ = unsafe cl_attribute_remove(descriptor, cString(name), cString(attribute))
  }
}

extension HostFile {
  /// As of a name in a directory.
  func attributeNames() throws(TreeError) -> [[UInt8]] {
    try unsafe readAttributeNames(path) { buffer, capacity in
      unsafe cl_attribute_names(descriptor, "", buffer, capacity)
    }
  }
  /// As of a name in a directory.
  func attribute(_ attribute: [UInt8]) throws(TreeError) -> [UInt8]? {
    try unsafe readAttribute(attribute, path) { buffer, capacity in
      unsafe cl_attribute_value(descriptor, "", cString(attribute), buffer, capacity)
    }
  }
}

/// The most bytes of all names, and of a value (include/uapi/linux/limits.h, XATTR_LIST_MAX and XATTR_SIZE_MAX).
private let attributeByteLimit = 65536

private func readAttributeNames(
  _ path: [UInt8], _ call: (UnsafeMutablePointer<CChar>?, Int) -> Int
) throws(TreeError) -> [[UInt8]] {
  // Most files have none, and that costs no memory.
  var count = call(nil, 0)
  if count == 0 || count == -Int(EOPNOTSUPP) { return [] }
  var buffer = [CChar](repeating: 0, count: attributeByteLimit)
  if count > 0 { count = unsafe call(&buffer, buffer.count) }
  if count < 0 { throw TreeError(path, .host(step: "listxattr", Errno(rawValue: Int32(-count)))) }
  return buffer[..<count].map { UInt8(bitPattern: $0) }.split(separator: 0).map(Array.init)
    .sorted { $0.lexicographicallyPrecedes($1) }
}

private func readAttribute(
  _ attribute: [UInt8], _ path: [UInt8], _ call: (UnsafeMutableRawPointer?, Int) -> Int
) throws(TreeError) -> [UInt8]? {
  var buffer = [UInt8](repeating: 0, count: attributeByteLimit)
  let count = unsafe call(&buffer, buffer.count)
  if count == -Int(ENODATA) { return nil }
  if count < 0 {
    let step = "getxattr \(ShellWords.quotedIfNeeded(attribute))"
    throw TreeError(path, .host(step: step, Errno(rawValue: Int32(-count))))
  }
  return Array(buffer[..<count])
}
