internal import CLinux
internal import Glibc
internal import HostTree
internal import SystemPackage

/// A script on standard input: a verb a line, words as in a shell, comments from # on.
struct FSScript {
  /// The longest line, in bytes: a longer one is no script.
  private static let lineLimit = 1 << 20

  private var buffer: [UInt8] = []
  private var start = 0
  private var isAtEnd = false
  private(set) var lineNumber = 0

  /// The words of the next line that has any; nil at the end.
  ///
  /// - Parameter isStopRequested: asked while nothing comes.
  mutating func next(isStopRequested: () -> Bool) throws(FSError) -> [[UInt8]]? {
    while let line = try nextLine(isStopRequested) {
      let words: [[UInt8]]
      do { words = try ShellWords.split(line) } catch { throw .usage("\(error)") }
      if !words.isEmpty { return words }
    }
    return nil
  }

  private mutating func nextLine(_ isStopRequested: () -> Bool) throws(FSError) -> [UInt8]? {
    var searched = start
    while true {
      if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        defer { start = end + 1 }
        lineNumber += 1
        return Array(buffer[start..<end])
      }
      searched = buffer.count
      if isAtEnd {
        defer { start = buffer.count }
        if start < buffer.count { lineNumber += 1 }
        return start < buffer.count ? Array(buffer[start...]) : nil
      }
      if buffer.count - start > Self.lineLimit {
        lineNumber += 1
        throw .usage("a line of more than \(Self.lineLimit) bytes")
      }
      buffer.removeFirst(start)
      searched -= start
      start = 0
      try fill(isStopRequested)
    }
  }

  private mutating func fill(_ isStopRequested: () -> Bool) throws(FSError) {
    // Somebody types, perhaps, or never does: ⌃C must end that, too.
    while cl_wait_readable(0, 100_000_000) == 0 {
      if isStopRequested() { throw .failed(TreeError("", .interrupted)) }
    }
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    let count = unsafe read(0, &chunk, chunk.count)
    if count < 0 && errno != EINTR {
      throw .failed(TreeError("standard input", .host(step: "read", Errno(rawValue: errno))))
    }
    if count == 0 { isAtEnd = true }
    if count > 0 { buffer += chunk[..<count] }
  }
}
