internal import CLinux
internal import Glibc
internal import Synchronization
internal import SystemPackage
internal import Workload

/// Shows the progress of a run on the terminal, on one line that is written over, at most ten times a second; on what is no
/// terminal, where somebody asked for it, a line a second.
final class ProgressPrinter: Sendable {
  private let lastShownNanoseconds = Atomic<UInt64>(0)

  private let isTerminal: Bool
  private let line = TerminalLine()

  /// Nil when nothing is to be shown: by default when stderr is no terminal.
  init?(_ eta: RunOptions.Eta = .auto) {
    isTerminal = isatty(FileDescriptor.standardError.rawValue) != 0
    if eta == .never || eta == .auto && !isTerminal { return nil }
  }

  func show(_ line: ProgressLine) {
    show { columns in columns > 0 ? line.text(columns: columns) : line.text }
  }

  /// Shows what `text` makes for so many columns, 0 when the terminal does not say; nothing when the last line is young.
  func show(_ text: (_ columns: Int) -> String) {
    let now = cl_monotonic_ns()
    let pause: UInt64 = isTerminal ? 100_000_000 : 1_000_000_000
    guard now - lastShownNanoseconds.load(ordering: .relaxed) >= pause else { return }
    lastShownNanoseconds.store(now, ordering: .relaxed)
    if !isTerminal {
      print(text(0), to: .standardError)
      return
    }
    // The last column stays free: some terminals go on to the next line behind it.
    line.show(text(max(0, columns - 1)))
  }

  /// How many columns the terminal has now, for its window may change; 0 when it does not say.
  private var columns: Int {
    var size = winsize()
    return unsafe ioctl(FileDescriptor.standardError.rawValue, UInt(TIOCGWINSZ), &size) == 0 ? Int(size.ws_col) : 0
  }

  /// Takes the line away.
  func clear() {
    if isTerminal { line.clear() }
  }
}
