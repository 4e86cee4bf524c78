internal import CLinux
internal import Ext2
internal import Glibc
internal import SystemPackage

/// A file of this machine that somebody named, to be read: a regular one, or anything that gives bytes until it ends.
package struct HostSource {
  let file: HostFile
  private let descriptor: Int32

  /// Opens what a path leads to, symbolic links followed.
  package init(path: [UInt8]) throws(TreeError) {
    let descriptor = unsafe open(cString(path), O_RDONLY | O_CLOEXEC | O_NOCTTY)
    guard descriptor >= 0 else { throw TreeError(path, .host(step: "open", Errno(rawValue: errno))) }
    self.init(descriptor: descriptor, path: path)
  }

  /// Standard input. Not opened by a path: a socket has none, and a file may be another user's.
  package static func standardInput() throws(TreeError) -> HostSource {
    let path = Array("standard input".utf8)
    let descriptor = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
    guard descriptor >= 0 else { throw TreeError("standard input", .host(step: "open", Errno(rawValue: errno))) }
    return HostSource(descriptor: descriptor, path: path)
  }

  private init(descriptor: Int32, path: [UInt8]) {
    self.descriptor = descriptor
    file = HostFile(descriptor: descriptor, path: path)
  }

  /// Copies what comes, up to its end.
  func copyStream(to target: File, _ path: [UInt8], _ control: TreeControl) async throws(TreeError) {
    var offset: UInt64 = 0
    while true {
      // Perhaps nothing comes for long: who wants to stop does not have to wait for it.
      repeat { try control.checkStop() } while cl_wait_readable(descriptor, 100_000_000) == 0
      var chunk = [UInt8](repeating: 0, count: 1 << 16)
      let count = unsafe read(descriptor, &chunk, chunk.count)
      if count < 0 && errno == EINTR { continue }
      if count < 0 { throw TreeError(file.path, .host(step: "read", Errno(rawValue: errno))) }
      if count == 0 {
        // ⌃C ends the one who writes into the pipe, too, and what has come until then is not all.
        return try control.checkStop()
      }
      try await writeAll(Array(chunk[..<count]), to: target, at: offset, path)
      offset += UInt64(count)
      control.noteBytes(count)
    }
  }
}
