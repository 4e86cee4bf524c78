internal import Ext2
internal import Glibc
internal import SystemPackage

/// A file of this machine that somebody named, to be read: a regular one, or anything that gives bytes until it ends.
package struct HostSource {
  let file: HostFile
  private let descriptor: Int32

  /// Opens what a path leads to, symbolic links followed.
  package init(path: [UInt8]) throws(TreeError) {
    descriptor = unsafe open(cString(path), O_RDONLY | O_CLOEXEC | O_NOCTTY)
    guard descriptor >= 0 else { throw TreeError(path, .host(step: "open", Errno(rawValue: errno))) }
    file = HostFile(descriptor: descriptor, path: path)
  }

  /// Standard input.
  package static func standardInput() throws(TreeError) -> HostSource { try HostSource(path: Array("/dev/stdin".utf8)) }

  /// Copies what comes, up to its end.
  func copyStream(to target: File, _ path: [UInt8], _ control: TreeControl) async throws(TreeError) {
    var offset: UInt64 = 0
    while true {
      try control.checkStop()
      var chunk = [UInt8](repeating: 0, count: 1 << 16)
      let count = unsafe read(descriptor, &chunk, chunk.count)
      if count < 0 && errno == EINTR { continue }
      if count < 0 { throw TreeError(file.path, .host(step: "read", Errno(rawValue: errno))) }
      if count == 0 { return }
      try await writeAll(Array(chunk[..<count]), to: target, at: offset, path)
      offset += UInt64(count)
      control.noteBytes(count)
    }
  }
}
