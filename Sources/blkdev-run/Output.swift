internal import SystemPackage

/// Writes text whole. Returns whether it could be written.
@discardableResult
func print(_ text: String, to file: FileDescriptor, terminator: String = "\n") -> Bool {
  do {
    try file.writeAll((text + terminator).utf8)
    return true
  } catch { return false }
}

/// The text of a file; nil when it cannot be read.
func readText(_ path: String) -> String? {
  guard let file = try? FileDescriptor.open(FilePath(path), .readOnly) else { return nil }
  defer { try? file.close() }
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 4096)
  while true {
    guard let count = try? unsafe chunk.withUnsafeMutableBytes({ unsafe try file.read(into: $0) }) else { return nil }
    if count == 0 { return String(decoding: bytes, as: UTF8.self) }
    bytes += chunk[..<count]
  }
}

/// A file for the report, empty; nil when it cannot be made.
func openForWriting(_ path: String) -> FileDescriptor? {
  try? FileDescriptor.open(
    FilePath(path), .writeOnly, options: [.create, .truncate],
    permissions: [.ownerReadWrite, .groupRead, .otherRead])
}
