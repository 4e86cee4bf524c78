internal import FaultLab
internal import Reactor
internal import Synchronization
internal import SystemPackage
internal import Workload

/// The file of `run --trace`: what happens on all reactors of the run.
final class RunTraces: Sendable {
  private struct State {
    var events: [String] = []
    var reactorCount = 0
  }
  // Reactors meet here when they begin and when they have ended.
  private let state = Mutex(State())
  private let file: FileDescriptor
  private let path: String
  /// Of each reactor: the trace of a long run would not fit, and nobody could look at it.
  private static let sliceLimit = 100_000

  init(path: String) throws(Errno) {
    self.path = path
    file = try openForWriting(path)
  }

  /// Watches a reactor, on which it is called, until what it returns is called there.
  func watch(_ reactor: Reactor) -> () -> Void {
    let trace = ChromeTrace(limit: Self.sliceLimit)
    trace.watch(reactor)
    return { [self] in
      reactor.onTrace = nil
      state.withLock { state in
        state.events += trace.events(reactor: state.reactorCount)
        state.reactorCount += 1
      }
    }
  }

  /// Writes the file, after the run. Returns whether that went well.
  func write() -> Bool {
    if print(ChromeTrace.document(state.withLock { $0.events }), to: file, terminator: ""), (try? file.close()) != nil {
      return true
    }
    print("blkdev-run: --trace \(path): could not be written", to: .standardError)
    return false
  }
}
