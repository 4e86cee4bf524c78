internal import HeapModule

/// Whoever is told that a timer has fired.
public protocol TimerHandler: AnyObject {
  /// The timer's deadline has passed. Runs on the reactor, in one step.
  func timerFired(_ timer: Timer)
}

/// One alarm, made once and armed as often as needed; arming and firing allocate nothing.
///
/// Confined to its reactor. It does not keep its handler alive.
public final class Timer {
  private weak var handler: (any TimerHandler)?
  /// When it will fire; nil while it is not armed.
  public internal(set) var deadline: Instant?
  fileprivate var arming: UInt64 = 0

  /// A timer that is not armed.
  public init(handler: any TimerHandler) { self.handler = handler }

  func fire() {
    deadline = nil
    handler?.timerFired(self)
  }
}

/// The armed timers of a reactor, earliest first; equal deadlines fire in the order in which they were armed.
///
/// Disarming leaves the entry in the heap: it is recognised by its number and skipped when its time comes.
struct TimerQueue {
  private struct Entry: Comparable {
    let deadline: Instant
    let arming: UInt64
    let timer: Timer
    static func < (left: Entry, right: Entry) -> Bool {
      (left.deadline, left.arming) < (right.deadline, right.arming)
    }
    static func == (left: Entry, right: Entry) -> Bool { left.arming == right.arming }
    var isCurrent: Bool { timer.deadline != nil && timer.arming == arming }
  }
  private var heap = Heap<Entry>()
  private var armings: UInt64 = 0

  mutating func arm(_ timer: Timer, at deadline: Instant) {
    armings += 1
    timer.arming = armings
    timer.deadline = deadline
    heap.insert(Entry(deadline: deadline, arming: armings, timer: timer))
  }

  mutating func disarm(_ timer: Timer) { timer.deadline = nil }

  /// The earliest deadline, or nil when nothing is armed.
  mutating func nextDeadline() -> Instant? {
    while let first = heap.min {
      if first.isCurrent { return first.deadline }
      heap.removeMin()
    }
    return nil
  }

  /// Takes the earliest timer out when its deadline is not after `now`.
  mutating func popDue(at now: Instant) -> Timer? {
    guard let deadline = nextDeadline(), deadline <= now else { return nil }
    return heap.removeMin().timer
  }
}
