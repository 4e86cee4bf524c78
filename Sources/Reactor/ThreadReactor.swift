internal import CLinux
internal import DequeModule
internal import Glibc

/// A reactor on a thread of its own.
///
/// Each turn runs the tasks that were ready when it began, lets the sources dispatch and reap, and takes in what other
/// threads handed over. With nothing to do it spins for `spinNanoseconds` and then sleeps on its event descriptor.
///
/// Call `stop` when everything on it has ended: the thread keeps the reactor alive until then.
///
/// Sendable for the reasons given at `Reactor`: its own thread alone touches what changes here, but for the entry queue,
/// which has its lock.
@safe public final class ThreadReactor: Reactor, @unchecked Sendable {
  private let entries = EntryQueue()
  private var taken: [Entry] = []
  private var ready = Deque<UnownedJob>(minimumCapacity: 256)
  /// Jobs that nobody resumed: a task that begins, or that hops between executors. They run before anything else, in
  /// order, so that a hop in the middle of a step lets nobody in between: code without an actor of its own hops before
  /// it suspends, and what it waits for would otherwise happen before it waits.
  private var hops = Deque<UnownedJob>(minimumCapacity: 16)
  private var nextTurn: [Resumption] = []
  private var thisTurn: [Resumption] = []
  private var sources: [any EventSource] = []
  private var timers = TimerQueue()
  private var isStopping = false
  private var sleepCalls: UInt64 = 0
  public override var systemCalls: UInt64 { sleepCalls }
  private var thread = pthread_t()
  private let spinNanoseconds: UInt64
  private let fixedCalendarTime: CalendarTime?

  /// Starts the thread.
  ///
  /// - Parameters:
  ///   - spinNanoseconds: how long to poll for events before each sleep; it buys latency with CPU.
  ///   - calendarTime: what the calendar shows all the time, for images that are to be the same every time; else the
  ///     machine's.
  public init(spinNanoseconds: UInt64 = 0, calendarTime: CalendarTime? = nil) {
    self.spinNanoseconds = spinNanoseconds
    fixedCalendarTime = calendarTime
    super.init()
    startThread()
  }

  // `nonisolated` and outside any main-actor context: a closure for pthread_create that inherits an actor traps.
  private nonisolated func startThread() {
    let me = unsafe Unmanaged.passRetained(self).toOpaque()
    let result = unsafe pthread_create(
      &thread, nil,
      { argument in
        if let argument = unsafe argument {
          unsafe Unmanaged<ThreadReactor>.fromOpaque(argument).takeRetainedValue().loop()
        }
        return nil
      }, me)
    precondition(result == 0, "pthread_create failed with errno \(result)")
  }

  /// Ends the loop after what is ready has run, and joins the thread. Not to be called on the reactor.
  public func stop() {
    precondition(!isCurrent, "a reactor cannot stop itself")
    Task(executorPreference: self) { self.isStopping = true }
    pthread_join(thread, nil)
  }

  // MARK: Reactor

  public override var now: Instant { Instant(nanoseconds: cl_monotonic_ns()) }
  public override var calendarTime: CalendarTime {
    fixedCalendarTime ?? CalendarTime(nanosecondsSince1970: cl_calendar_ns())
  }
  public override var wakeDescriptor: Int32? { entries.wakeDescriptor }
  public override func wake() { entries.signal() }
  public override func attach(_ source: any EventSource) { sources.append(source) }
  public override func detach(_ source: any EventSource) { sources.removeAll { $0 === source } }
  public override func arm(_ timer: Timer, at deadline: Instant) { timers.arm(timer, at: deadline) }
  public override func resumeNextTurn(_ resumption: Resumption) { nextTurn.append(resumption) }

  public override func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    if isCurrent {
      if isResuming { ready.append(job) } else { hops.append(job) }
    } else {
      entries.append(.job(job))
    }
  }
  public override func cancelWait(_ number: UInt64) {
    if isCurrent { interrupt(number, .cancelled) } else { entries.append(.cancelWait(number)) }
  }

  // MARK: The loop

  private func loop() {
    let outer = unsafe enter()
    let serial = unsafe asUnownedSerialExecutor(), task = unsafe asUnownedTaskExecutor()
    while !isStopping {
      var turn = ready.count
      while true {
        let job: UnownedJob
        if let hop = hops.popFirst() {
          job = hop
        } else if turn > 0 {
          job = ready.removeFirst()
          turn -= 1
        } else {
          break
        }
        unsafe job.runSynchronously(isolatedTo: serial, taskExecutor: task)
      }
      let isBusy = endTurn()
      if isIdle && !isBusy && !isStopping { sleepUntilEvent() }
    }
    unsafe leave(to: outer)
  }

  private var isIdle: Bool { ready.isEmpty && hops.isEmpty }

  /// Everything between two turns. Returns whether a source did something.
  private func endTurn() -> Bool {
    swap(&nextTurn, &thisTurn)
    for resumption in thisTurn { resume(resumption) }
    thisTurn.removeAll(keepingCapacity: true)
    var isBusy = false
    for source in sources where source.endTurn() { isBusy = true }
    takeEntries()
    fireTimers()
    return isBusy
  }

  private func takeEntries() {
    entries.take(into: &taken)
    for entry in taken {
      switch entry {
      case .job(let job): ready.append(job)
      case .cancelWait(let number): interrupt(number, .cancelled)
      }
    }
    taken.removeAll(keepingCapacity: true)
  }

  private func fireTimers() {
    guard timers.nextDeadline() != nil else { return }
    let now = now
    while let timer = timers.popDue(at: now) { timer.fire() }
  }

  private func sleepUntilEvent() {
    if spinNanoseconds > 0 {
      let end = now.advanced(byNanoseconds: spinNanoseconds)
      while now < end {
        if endTurn() || !isIdle { return }
      }
    }
    guard entries.prepareToSleep() else { return }
    let timeout = timers.nextDeadline().map { Int64(clamping: $0.nanoseconds(since: now)) } ?? -1
    // A wait, and a read of the descriptor.
    sleepCalls += 2
    entries.sleep(timeoutNanoseconds: timeout)
  }
}
