package import Logging
internal import Synchronization

/// What whoever started a run may do while it goes on, from any thread: stop it, and look at its progress.
package final class RunControl: Sendable {
  /// Where the volume says what nobody asked for.
  package let logger: Logger
  /// Told of the progress, at most some times a second of the run's clock; nil when nobody looks. Called on the run's
  /// reactor: it must not wait.
  package let onProgress: (@Sendable (ProgressLine) -> Void)?
  private let stopRequest = Atomic(false)

  package init(logger: Logger, onProgress: (@Sendable (ProgressLine) -> Void)? = nil) {
    self.logger = logger
    self.onProgress = onProgress
  }

  /// Asks the run to stop: operations that have begun end, the image is left clean, and there is a report.
  package func requestStop() { stopRequest.store(true, ordering: .relaxed) }
  /// Whether somebody asked the run to stop.
  package var isStopRequested: Bool { stopRequest.load(ordering: .relaxed) }
}
