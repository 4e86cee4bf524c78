package import Logging
package import Reactor
internal import Synchronization

/// What whoever started a run may do while it goes on, from any thread: stop it, leave it, and look at its progress.
package final class RunControl: Sendable {
  /// Where the volume says what nobody asked for.
  package let logger: Logger
  /// Told of the progress, at most some times a second of the run's clock; nil when nobody looks. Called on the run's
  /// reactor: it must not wait.
  package let onProgress: (@Sendable (ProgressLine) -> Void)?
  /// Told of the layers around each device before the work, a line each; nil when nobody asked.
  package let onStack: (@Sendable (String) -> Void)?
  /// What made the run and where, for the report.
  package let provenance: Provenance?
  /// Told of what was done so far, each `statusInterval` nanoseconds of the run's clock and after `requestStatus`; nil when
  /// nobody listens. Called on the run's reactors, by one after the other: it must not wait.
  package let onStatus: (@Sendable (StatusSnapshot) -> Void)?
  package let statusInterval: UInt64?
  /// Told of each reactor of the run before the work on it, on that reactor; what it returns is called there after the work.
  /// Nil when nobody listens.
  package let onReactor: (@Sendable (Reactor) -> () -> Void)?
  private let stopRequest = Atomic(false)
  private let endRequest = Atomic(false)
  private let statusRequests = Atomic(0)
  /// The image that the run removes at its end.
  private let image = AtomicLazyReference<NotedImage>()

  package init(
    logger: Logger, onProgress: (@Sendable (ProgressLine) -> Void)? = nil,
    onStack: (@Sendable (String) -> Void)? = nil, provenance: Provenance? = nil, statusInterval: UInt64? = nil,
    onStatus: (@Sendable (StatusSnapshot) -> Void)? = nil, onReactor: (@Sendable (Reactor) -> () -> Void)? = nil
  ) {
    self.logger = logger
    self.onProgress = onProgress
    self.onStack = onStack
    self.provenance = provenance
    self.statusInterval = statusInterval
    self.onStatus = onStatus
    self.onReactor = onReactor
  }

  /// Whether somebody looks at the run while it goes on.
  var isWatched: Bool { onProgress != nil || onStatus != nil }

  /// Asks the run to stop: operations that have begun end, the image is left clean, and there is a report.
  package func requestStop() { stopRequest.store(true, ordering: .relaxed) }
  /// Whether somebody asked the run to stop.
  package var isStopRequested: Bool { stopRequest.load(ordering: .relaxed) }

  /// Asks for what was done so far, which `onStatus` is told of within a second.
  package func requestStatus() { statusRequests.add(1, ordering: .relaxed) }
  /// How often somebody asked.
  var statusRequestCount: Int { statusRequests.load(ordering: .relaxed) }

  /// Asks the jobs that run now to end: one of them has, which is to end the others.
  func requestEnd() { endRequest.store(true, ordering: .relaxed) }
  /// Whether no operation is to begin any more.
  var isEndRequested: Bool { isStopRequested || endRequest.load(ordering: .relaxed) }
  /// The jobs that ran have ended; what follows them may run.
  func endStage() { endRequest.store(false, ordering: .relaxed) }

  /// Waits on a reactor, until nothing is to begin any more at the longest.
  ///
  /// - Parameter ended: woken where jobs of this reactor have asked the others to end. Whoever else may ask, does it while
  ///   real time passes; virtual time goes to the end in one step.
  func sleep(until end: Instant, on reactor: Reactor, _ ended: WaitQueue) async {
    let isSimulated = reactor is SimulatedReactor
    while reactor.now < end && !isEndRequested {
      _ = await ended.waitInterruptibly(
        until: isSimulated ? end : min(end, reactor.now.advanced(byNanoseconds: 100_000_000)))
    }
  }

  /// The end of virtual time, 292 years: deadlines of requests have a place behind it.
  static let lastInstant = Instant(nanoseconds: 1 << 63)

  /// What ends a job that would go on when virtual time does not; nil: it may wait until then.
  static func clockFinding(_ due: Instant, _ copy: JobCopy, on reactor: Reactor) -> Finding? {
    guard due > lastInstant, reactor is SimulatedReactor else { return nil }
    return Finding(
      .ioError, context: "\(copy.name)",
      found:
        "the next operation is due after virtual time ends, 292 years from its begin: shorter pauses, or fewer of them")
  }

  /// Removes what the run has made for itself. For somebody who ends the process at once, while the run goes on.
  package func abandon() { image.load()?.image.remove() }

  /// Tells, once, of an image that is not to be kept, before anything of it is made.
  func willRemove(_ image: VolumeImage) { _ = self.image.storeIfNil(NotedImage(image)) }

  private final class NotedImage: Sendable {
    let image: VolumeImage
    init(_ image: VolumeImage) { self.image = image }
  }
}
