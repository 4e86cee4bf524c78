internal import CLinux

/// What a reactor drives between its turns: a device's queue.
public protocol EventSource: AnyObject {
  /// Called at the end of every turn, on the reactor: dispatches what is plugged, submits it in one system call and
  /// delivers completions. Returns whether anything happened.
  func endTurn() -> Bool
  /// Whether something is plugged and waits for the end of the turn.
  var awaitsEndOfTurn: Bool { get }
}

/// One thread that owns a device and everything above it.
///
/// A reactor is both the serial executor of the actors on it and the task executor of their tasks, so that ordinary
/// `async` code runs, suspends and resumes on one thread. A *turn* is the tasks that were ready when it began; at its
/// end everything plugged is dispatched.
///
/// `ThreadReactor` runs on a thread of its own, `SimulatedReactor` on the caller's with a virtual clock. This class is
/// what both share; it cannot be used by itself.
///
/// Sendable because all that changes is confined to the reactor's thread. What may be called from another one hands over
/// through the entry queue (`enqueue`, `run`, `wake`, `cancelWait`, and `stop` of a thread's), or reads what never changes:
/// the clocks, the descriptor, and whose thread this is.
open class Reactor: SerialExecutor, TaskExecutor, @unchecked Sendable {
  init() {}

  // MARK: What a kind of reactor provides

  /// Runs a job on this reactor, from any thread. Called by the language's runtime.
  open func enqueue(_ job: consuming ExecutorJob) { preconditionFailure("Reactor is abstract") }
  /// The monotonic clock, virtual in simulation.
  open var now: Instant { preconditionFailure("Reactor is abstract") }
  /// The calendar clock, virtual in simulation.
  open var calendarTime: CalendarTime { preconditionFailure("Reactor is abstract") }
  /// From now on `source` is driven at the end of every turn.
  open func attach(_ source: any EventSource) { preconditionFailure("Reactor is abstract") }
  /// `source` is not driven any more.
  open func detach(_ source: any EventSource) { preconditionFailure("Reactor is abstract") }
  /// Makes `timer` fire at `deadline` instead of whenever it would have fired.
  open func arm(_ timer: Timer, at deadline: Instant) { preconditionFailure("Reactor is abstract") }
  /// Resumes a task on a later turn.
  open func resumeNextTurn(_ resumption: Resumption) { preconditionFailure("Reactor is abstract") }
  /// Ends the wait with this number as cancelled, from any thread; nothing if it has ended already.
  open func cancelWait(_ number: UInt64) { preconditionFailure("Reactor is abstract") }
  /// Ends a sleep of the reactor's thread, from any thread.
  open func wake() {}
  /// System calls of the reactor itself, to sleep until something happens.
  open var systemCalls: UInt64 { 0 }

  /// An event descriptor that wakes the reactor when it is written to; nil where nothing sleeps (simulation).
  open var wakeDescriptor: Int32? { nil }

  // MARK: Being an executor

  /// True on the reactor's own thread.
  public final var isCurrent: Bool {
    unsafe cl_current_reactor() == UnsafeRawPointer(Unmanaged.passUnretained(self).toOpaque())
  }
  public final func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    unsafe UnownedSerialExecutor(ordinary: self)
  }
  public final func asUnownedTaskExecutor() -> UnownedTaskExecutor { unsafe UnownedTaskExecutor(ordinary: self) }
  public final func checkIsolated() { precondition(isCurrent, "not on the reactor") }
  public final func isIsolatingCurrentContext() -> Bool? { isCurrent }

  /// Makes this thread the reactor's until the returned value is given to `leave`.
  final func enter() -> UnsafeRawPointer? {
    let outer = unsafe cl_current_reactor()
    unsafe cl_set_current_reactor(Unmanaged.passUnretained(self).toOpaque())
    return unsafe outer
  }
  final func leave(to outer: UnsafeRawPointer?) { unsafe cl_set_current_reactor(outer) }

  // MARK: Suspending and resuming

  /// True while a waiter is being resumed. In simulation such a job is a scheduling choice; a mere hop between
  /// executors is not, because the optimiser removes hops.
  final var isResuming = false

  /// Resumes a suspended task; it continues on a later turn. `value` is what its `suspend` returns.
  public final func resume(_ resumption: Resumption, returning value: Int = 0) {
    let outer = isResuming
    isResuming = true
    resumption.resume(value)
    isResuming = outer
  }

  /// A suspension that lets every other ready task run. (`Task.yield()` would leave the actor.)
  public final func pass() async { _ = await suspend { resumeNextTurn($0) } }

  /// Suspends the current task until `deadline`. Not cancellable.
  public final func sleep(until deadline: Instant) async {
    let sleeper = Sleeper(self)
    await sleeper.sleep(until: deadline)
  }

  /// Disarms `timer`; nothing if it is not armed.
  public final func disarm(_ timer: Timer) { timer.deadline = nil }

  // MARK: Waits

  /// Waits that can be ended early, by number: cancelled, or with a deadline.
  final var interruptibleWaits: [UInt64: WaitQueue] = [:]
  private final var waitNumber: UInt64 = 0
  /// What each waiting task waits for: filled only where deadlocks are reported.
  final var waitRecords: [UInt64: String] = [:]
  final var recordsWaits: Bool { _recordsWaits }
  final var _recordsWaits = false

  /// Told, on the reactor, of what begins and ends on it: waits, requests and batches. Nil, as it is at first, costs one
  /// comparison an event.
  public final var onTrace: ((TraceEvent) -> Void)? {
    get { traceObserver }
    set { traceObserver = newValue }
  }
  /// Not public: what other modules can reach is checked for exclusive access each time.
  private final var traceObserver: ((TraceEvent) -> Void)?

  final func nextWaitNumber() -> UInt64 {
    waitNumber += 1
    return waitNumber
  }

  /// Ends wait `number` with `outcome`, in one step on the reactor.
  final func interrupt(_ number: UInt64, _ outcome: WaitOutcome) {
    interruptibleWaits.removeValue(forKey: number)?.interrupt(number, outcome)
  }
}

extension Reactor {
  /// The way in: runs `body` with this reactor as the task's executor, one hop for a stranger's task and none for a
  /// task that runs here already.
  ///
  /// Without it each suspension inside `body` would bounce through the global pool and back: 160 µs instead of 22 for
  /// ten suspensions, measured.
  public nonisolated(nonsending) func run<T, E: Error>(_ body: () async throws(E) -> T) async throws(E) -> T {
    if isPreferred { return try await body() }
    return try await withTaskExecutorPreference(self) { () async throws(E) -> T in
      // The preference alone moves nothing: `body` would begin on the stranger's thread and run there up to its first
      // suspension.
      await arrive()
      return try await body()
    }
  }

  /// Moves the task to its preferred executor, this reactor.
  @concurrent @inline(never) private nonisolated func arrive() async { checkIsolated() }

  /// Whether the current task runs its nonisolated parts on this reactor already.
  private var isPreferred: Bool {
    unsafe withUnsafeCurrentTask { task in
      guard let task = unsafe task, let executor = unsafe task.unownedTaskExecutor else { return false }
      return unsafe executor == asUnownedTaskExecutor()
    }
  }
}

/// One sleeping task.
private final class Sleeper: TimerHandler {
  private let reactor: Reactor
  private var resumption: Resumption?
  init(_ reactor: Reactor) { self.reactor = reactor }

  func sleep(until deadline: Instant) async {
    let timer = Timer(handler: self)
    let record = reactor.willWait("the clock")
    _ = await suspend {
      resumption = $0
      reactor.arm(timer, at: deadline)
    }
    reactor.didWait(record)
  }
  func timerFired(_ timer: Timer) {
    if let resumption = resumption.take() { reactor.resume(resumption) }
  }
}

extension Reactor {
  /// Notes what the current task is about to wait for, where deadlocks are reported or somebody listens; 0 elsewhere.
  package final func willWait(_ what: @autoclosure () -> String) -> UInt64 {
    guard recordsWaits || onTrace != nil else { return 0 }
    let number = nextWaitNumber()
    let task = Task.name ?? "an unnamed task", what = what()
    if recordsWaits { waitRecords[number] = "\(task) waits for \(what)" }
    onTrace?(TraceEvent(.wait, .begin, number, what, task: task))
    return number
  }
  package final func didWait(_ record: UInt64) {
    guard record != 0 else { return }
    waitRecords[record] = nil
    onTrace?(TraceEvent(.wait, .end, record))
  }
}
