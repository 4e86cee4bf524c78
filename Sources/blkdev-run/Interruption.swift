internal import CLinux
internal import Glibc
internal import SystemPackage
internal import Workload

/// ⌃C, SIGTERM and the end of the terminal: the first stops the run cleanly, the second ends the process at once.
/// SIGUSR1 asks a run for its status.
///
/// The signals are blocked and read from a descriptor by the main thread, which does nothing else while a run goes on:
/// no handler, and nothing shared but the run's stop request.
struct Interruption {
  private let signals: Int32

  /// For what comes before a run and may wait without end, such as the reading of a pipe: a signal ends the process.
  static func endAtOnce() { cl_end_at_interruption() }

  /// To be made before other threads exist.
  ///
  /// - Parameter answersStatus: SIGUSR1 asks for the status of the run, as fio has it; else it ends the process.
  init(answersStatus: Bool = false) { signals = cl_interruption_fd(answersStatus ? 1 : 0) }

  /// Whether a signal has come, for whoever does one short thing after the other and does not wait.
  var hasCome: Bool { signals >= 0 && cl_wait_readable(signals, 0) > 0 }

  /// Starts `body` and waits for its end, which it returns; a signal meanwhile stops the run.
  func wait(for control: RunControl, _ body: @escaping @Sendable () async -> Int32) -> Int32 {
    let ended = cl_eventfd()
    guard signals >= 0, ended >= 0 else {
      print("blkdev-run: the operating system gives no descriptor", to: .standardError)
      return ExitCode.environment.rawValue
    }
    start(body, thenSignal: ended)
    var count = 0
    while cl_wait_either_readable(ended, signals) == 1 {
      if cl_read_interruption(signals) == SIGUSR1 {
        control.requestStatus()
        continue
      }
      count += 1
      // On a terminal the progress stands there, and ^C behind it.
      let newline = isatty(FileDescriptor.standardError.rawValue) == 0 ? "" : "\n"
      if count > 1 {
        print(newline, to: .standardError, terminator: "")
        control.abandon()
        _exit(ExitCode.interrupted.rawValue)
      }
      control.requestStop()
      print("\(newline)blkdev-run: stopping (again to end at once)", to: .standardError)
    }
    var status: UInt64 = 1
    _ = unsafe read(ended, &status, 8)
    return Int32(truncatingIfNeeded: status - 1)
  }

  // Outside of any actor: the main thread waits, so nothing may be meant to run on it.
  private nonisolated func start(_ body: @escaping @Sendable () async -> Int32, thenSignal descriptor: Int32) {
    Task.detached {
      var status = UInt64(await body()) + 1
      _ = unsafe write(descriptor, &status, 8)
    }
  }
}
