package import Logging
internal import Synchronization

/// What whoever started a run may do while it goes on, from any thread: stop it, leave it, and look at its progress.
package final class RunControl: Sendable {
  /// Where the volume says what nobody asked for.
  package let logger: Logger
  /// Told of the progress, at most some times a second of the run's clock; nil when nobody looks. Called on the run's
  /// reactor: it must not wait.
  package let onProgress: (@Sendable (ProgressLine) -> Void)?
  private let stopRequest = Atomic(false)
  /// The image of a run on a volume.
  private let image = Mutex<VolumeImage?>(nil)

  package init(logger: Logger, onProgress: (@Sendable (ProgressLine) -> Void)? = nil) {
    self.logger = logger
    self.onProgress = onProgress
  }

  /// Asks the run to stop: operations that have begun end, the image is left clean, and there is a report.
  package func requestStop() { stopRequest.store(true, ordering: .relaxed) }
  /// Whether somebody asked the run to stop.
  package var isStopRequested: Bool { stopRequest.load(ordering: .relaxed) }

  /// Removes what the run has made for itself. For somebody who ends the process at once, while the run goes on.
  package func abandon() { image.withLock { $0 }?.remove() }

  /// Tells of the run's image, before anything of it is made.
  func uses(_ image: VolumeImage) { self.image.withLock { $0 = image } }
}
