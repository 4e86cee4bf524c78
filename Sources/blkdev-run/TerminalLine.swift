internal import Glibc
internal import Synchronization
internal import SystemPackage

/// A line of the terminal that is written over. What cannot erase (`TERM=dumb`) is sent blanks.
final class TerminalLine: Sendable {
  private let isDumb = unsafe getenv("TERM").map { unsafe String(cString: $0) } == "dumb"
  private let shownLength = Atomic<Int>(0)

  func show(_ text: String) {
    var line = text
    if isDumb {
      let missing = shownLength.exchange(text.count, ordering: .relaxed) - text.count
      line += String(repeating: " ", count: max(0, missing))
    } else {
      line += "\u{1B}[K"
    }
    print("\r\(line)", to: .standardError, terminator: "")
  }

  /// Takes the line away.
  func clear() {
    show("")
    if isDumb { print("\r", to: .standardError, terminator: "") }
  }
}
