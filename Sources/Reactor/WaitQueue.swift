internal import DequeModule

/// How a wait ended.
public enum WaitOutcome: Int, Sendable {
  /// Somebody woke the waiter.
  case woken = 0
  /// The waiting task was cancelled.
  case cancelled = 1
  /// The deadline passed.
  case timedOut = 2
}

/// Tasks that wait for something, first come first served.
///
/// Confined to one reactor. A wait allocates nothing unless it is cancellable or has a deadline. Cancellation is safe:
/// it removes the waiter on the reactor, in one step, so that a waiter is either woken or cancelled, never both.
public final class WaitQueue {
  private struct Waiter {
    /// 0: cannot be interrupted.
    let number: UInt64
    let resumption: Resumption
  }
  private let reactor: Reactor
  /// What the waiters wait for, for deadlock reports.
  private let name: String
  /// Which one of many: put into words only when somebody asks.
  private let number: UInt64?
  private var description: String { number.map { "\(name) \($0)" } ?? name }
  private var waiters = Deque<Waiter>()

  /// An empty queue. `name` completes the sentence "task waits for …", with `number` after it where there is one.
  public init(_ reactor: Reactor, _ name: String, _ number: UInt64? = nil) {
    self.reactor = reactor
    self.name = name
    self.number = number
  }

  /// Whether nobody waits.
  public var isEmpty: Bool { waiting == 0 }
  /// How many wait.
  public var count: Int { waiting }
  /// The same. Most wakes find nobody, and a private number costs them no check of exclusive access.
  private var waiting = 0

  /// Waits until woken.
  public func wait() async {
    let record = reactor.willWait(description)
    _ = await suspend { append(Waiter(number: 0, resumption: $0)) }
    reactor.didWait(record)
  }

  /// Waits until woken or until the deadline, whether the task is cancelled or not.
  public func wait(until deadline: Instant) async {
    let number = reactor.nextWaitNumber()
    let record = reactor.willWait(description)
    let timer = InterruptingTimer(reactor, number)
    _ = await suspend {
      append(Waiter(number: number, resumption: $0))
      reactor.interruptibleWaits[number] = self
      reactor.arm(timer.timer, at: deadline)
    }
    reactor.disarm(timer.timer)
    reactor.didWait(record)
  }

  /// Waits until woken, cancelled or, with a deadline, timed out.
  public func waitInterruptibly(
    until deadline: Instant? = nil, isolation: isolated (any Actor)? = #isolation
  ) async -> WaitOutcome {
    let reactor = reactor
    let number = reactor.nextWaitNumber()
    let record = reactor.willWait(description)
    defer { reactor.didWait(record) }
    let timer = deadline == nil ? nil : InterruptingTimer(reactor, number)
    let value = await withTaskCancellationHandler {
      // With this the closure runs where the caller does. Without, it hops, and whoever comes in between wakes nobody.
      _ = isolation
      // A task that was cancelled before has had its handler called already; one cancelled from here on finds the
      // waiter, because its cancellation comes through the reactor's entry queue.
      if Task.isCancelled { return WaitOutcome.cancelled.rawValue }
      return await suspend {
        append(Waiter(number: number, resumption: $0))
        reactor.interruptibleWaits[number] = self
        if let deadline, let timer { reactor.arm(timer.timer, at: deadline) }
      }
    } onCancel: {
      reactor.cancelWait(number)
    }
    reactor.interruptibleWaits[number] = nil
    if let timer { reactor.disarm(timer.timer) }
    return WaitOutcome(rawValue: value) ?? .woken
  }

  /// Wakes the one that has waited longest. Returns false when nobody waits.
  @discardableResult public func wakeOne() -> Bool {
    guard waiting > 0 else { return false }
    waiting -= 1
    let first = waiters.removeFirst()
    wake(first)
    return true
  }

  /// Wakes everybody who waits now.
  public func wakeAll() {
    for _ in 0..<waiting { wakeOne() }
  }

  private func append(_ waiter: Waiter) {
    waiters.append(waiter)
    waiting += 1
  }

  private func wake(_ waiter: Waiter) {
    if waiter.number != 0 { reactor.interruptibleWaits[waiter.number] = nil }
    reactor.resume(waiter.resumption)
  }

  func interrupt(_ number: UInt64, _ outcome: WaitOutcome) {
    guard let index = waiters.firstIndex(where: { $0.number == number }) else { return }
    waiting -= 1
    reactor.resume(waiters.remove(at: index).resumption, returning: outcome.rawValue)
  }
}

/// Ends one wait when its deadline passes.
private final class InterruptingTimer: TimerHandler {
  private unowned let reactor: Reactor
  private let number: UInt64
  private(set) lazy var timer = Timer(handler: self)
  init(_ reactor: Reactor, _ number: UInt64) {
    self.reactor = reactor
    self.number = number
  }
  func timerFired(_ timer: Timer) { reactor.interrupt(number, .timedOut) }
}
