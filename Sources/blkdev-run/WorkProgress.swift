internal import CLinux
internal import Glibc
internal import SystemPackage

/// How far long work has come, on one line of the terminal that is written over, at most ten times a second. Work that
/// is done within that time shows nothing.
final class WorkProgress {
  private let isShown: Bool
  private var shownNanoseconds = cl_monotonic_ns()
  private var isVisible = false
  private let line = TerminalLine()

  /// Shown only where stderr is a terminal.
  init(isShown: Bool) { self.isShown = isShown && isatty(FileDescriptor.standardError.rawValue) != 0 }

  func show(_ text: @autoclosure () -> String) {
    guard isShown else { return }
    let now = cl_monotonic_ns()
    guard now - shownNanoseconds >= 100_000_000 else { return }
    shownNanoseconds = now
    isVisible = true
    line.show(text())
  }

  /// Takes the line away.
  func clear() {
    if isVisible { line.clear() }
    isVisible = false
  }
}
