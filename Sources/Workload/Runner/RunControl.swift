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
  /// The image to remove if the process ends before the run does.
  private let scratchImage = Mutex<VolumeImage?>(nil)

  package init(logger: Logger, onProgress: (@Sendable (ProgressLine) -> Void)? = nil) {
    self.logger = logger
    self.onProgress = onProgress
  }

  /// Asks the run to stop: operations that have begun end, the image is left clean, and there is a report.
  package func requestStop() { stopRequest.store(true, ordering: .relaxed) }
  /// Removes what the run made for itself, for a process that ends without waiting for the run.
  package func abandon() { scratchImage.withLock { $0 }?.remove() }
  /// Notes the image that `abandon` removes; nil when there is none any more, or it is to be kept.
  func noteScratchImage(_ image: VolumeImage?) { scratchImage.withLock { $0 = image } }
  /// Whether somebody asked the run to stop.
  package var isStopRequested: Bool { stopRequest.load(ordering: .relaxed) }
}
