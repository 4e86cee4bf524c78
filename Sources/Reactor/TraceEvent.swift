/// Something that begins, ends or happens on a reactor, for whoever wants to draw it: see `Reactor.onTrace`.
public struct TraceEvent: Sendable {
  public enum Phase: Sendable { case begin, end, instant }
  /// What it is that begins or ends.
  public enum Kind: String, Sendable {
    /// A task waits.
    case wait
    /// A device has a request; the number is its tag.
    case request
    /// A batch of pages is under writeback; an instant is a batch that was discarded because it was stale.
    case batch
    /// A step of an experiment.
    case step
  }
  public let kind: Kind
  public let phase: Phase
  /// Pairs an end with its begin among those of its kind.
  public let number: UInt64
  /// What people read; empty at an end.
  public let name: String
  /// The task in which it happened, where that says something.
  public let task: String?
  /// More of it, by name.
  public let details: KeyValuePairs<String, String>

  public init(
    _ kind: Kind, _ phase: Phase, _ number: UInt64, _ name: String = "", task: String? = nil,
    details: KeyValuePairs<String, String> = [:]
  ) {
    self.kind = kind
    self.phase = phase
    self.number = number
    self.name = name
    self.task = task
    self.details = details
  }
}
