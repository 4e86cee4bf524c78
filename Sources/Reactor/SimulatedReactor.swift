internal import DequeModule

/// A reactor whose clock is virtual and whose next task is a seeded choice: the same seed gives the same run, bit for
/// bit, in every process and in debug and release builds.
///
/// It runs on the thread that calls `run`. A step is one of: a task that somebody resumed continues; the turn ends and
/// what is plugged is dispatched; with nothing of that left, the clock moves to the next timer. Mere hops between
/// executors come first, in order, and are no choice: the optimiser removes hops, so counting them would make debug
/// and release builds differ.
///
/// Sendable for the reasons given at `Reactor`: only the thread inside `run` touches it, which `enqueue` checks.
public final class SimulatedReactor: Reactor, @unchecked Sendable {
  /// How the next step is chosen. No single way finds every race: experiments rotate them by seed.
  public enum Policy: Sendable {
    /// Every ready task is as likely as any other.
    case uniform
    /// One in `oneIn` resumed tasks is held back for up to `steps` steps.
    case holding(oneIn: Int, steps: Int)
    /// Somebody chooses: see `ScheduleChooser`.
    case chosen(ScheduleChooser)

    /// The policy that belongs to a seed.
    public static func rotating(seed: UInt64) -> Policy {
      switch seed % 4 {
      case 0: .uniform
      case 1: .holding(oneIn: 4, steps: 16)
      case 2: .holding(oneIn: 8, steps: 64)
      default: .holding(oneIn: 16, steps: 128)
      }
    }
  }

  /// Nothing can move any more, but the experiment has not ended.
  public struct Deadlock: Error, CustomStringConvertible {
    /// What each task waits for.
    public let waits: [String]
    /// The virtual time, in nanoseconds.
    public let nanoseconds: UInt64
    public var description: String {
      let what =
        waits.isEmpty ? "no wait is known: a task may have left the reactor" : waits.joined(separator: "; ")
      return "deadlock at \(nanoseconds) ns: \(what)"
    }
  }

  /// More steps were taken than an experiment may: something goes round in circles.
  public struct StepLimit: Error, CustomStringConvertible {
    /// How many steps.
    public let steps: Int
    /// What each waiting task waits for.
    public let waits: [String]
    public var description: String { "no end after \(steps) steps: \(waits.joined(separator: "; "))" }
  }

  /// Steps after which `run` gives up.
  public var stepLimit = 10_000_000
  private var hops = Deque<UnownedJob>()
  private var ready: [UnownedJob] = []
  private var held: [(job: UnownedJob, until: Int)] = []
  /// Tasks that pass. A continuation resumed before its task has suspended would not suspend it at all, so they are
  /// resumed by the loop.
  private var passing: [Resumption] = []
  private var sources: [any EventSource] = []
  private var timers = TimerQueue()
  private var clock: UInt64 = 0
  private let policy: Policy
  /// The generator of scheduling choices, and of everything else in the experiment that is random.
  public var random: SeededGenerator
  /// A hash of everything that was chosen and noted so far: equal traces mean equal runs.
  public private(set) var trace: UInt64 = 0xCBF2_9CE4_8422_2325
  /// Choices made so far.
  public private(set) var steps = 0

  /// A reactor for one run. Without a policy the seed picks one.
  public init(seed: UInt64, policy: Policy? = nil) {
    random = SeededGenerator(seed: seed)
    self.policy = policy ?? .rotating(seed: seed)
    super.init()
    _recordsWaits = true
  }

  // MARK: Reactor

  public override var now: Instant { Instant(nanoseconds: clock) }
  /// 2026-01-01 00:00 UTC and the virtual clock.
  public override var calendarTime: CalendarTime {
    CalendarTime(nanosecondsSince1970: 1_767_225_600_000_000_000 &+ clock)
  }
  public override func attach(_ source: any EventSource) { sources.append(source) }
  public override func detach(_ source: any EventSource) { sources.removeAll { $0 === source } }
  public override func arm(_ timer: Timer, at deadline: Instant) { timers.arm(timer, at: deadline) }
  public override func resumeNextTurn(_ resumption: Resumption) { passing.append(resumption) }
  public override func cancelWait(_ number: UInt64) {
    precondition(isCurrent, "a task of the simulation was cancelled from another thread")
    interrupt(number, .cancelled)
  }
  public override func enqueue(_ job: consuming ExecutorJob) {
    precondition(isCurrent, "a job reached the simulated reactor from another thread")
    let job = UnownedJob(job)
    guard isResuming else {
      hops.append(job)
      return
    }
    if case .holding(let oneIn, let limit) = policy, random.oneIn(oneIn) {
      held.append((job, steps + 1 + random.below(limit)))
    } else {
      ready.append(job)
    }
  }

  /// Adds a fact about the run to its trace.
  public func note(_ fact: UInt64) { trace = (trace ^ fact) &* 0x100_0000_01B3 }

  // MARK: The loop

  private final class Outcome<T: Sendable>: @unchecked Sendable {
    // Written by the experiment's task and read by `run`, on the same thread.
    var result: Result<T, any Error>?
  }

  /// Runs `body` and all that it starts until it ends. Throws what it throws, or `Deadlock`.
  public func run<T: Sendable>(
    name: String = "main", _ body: @escaping @Sendable () async throws -> T
  ) throws -> T {
    let outer = unsafe enter()
    defer { unsafe leave(to: outer) }
    let outcome = Outcome<T>()
    _ = Task(name: name, executorPreference: self) {
      do { outcome.result = .success(try await body()) } catch { outcome.result = .failure(error) }
    }
    let serial = unsafe asUnownedSerialExecutor(), task = unsafe asUnownedTaskExecutor()
    while true {
      if let job = hops.popFirst() {
        unsafe job.runSynchronously(isolatedTo: serial, taskExecutor: task)
      } else if let result = outcome.result {
        return try result.get()
      } else if steps >= stepLimit {
        throw StepLimit(steps: steps, waits: currentWaits)
      } else if let job = chooseJob() {
        unsafe job.runSynchronously(isolatedTo: serial, taskExecutor: task)
      } else if !moveOn() {
        throw Deadlock(waits: currentWaits, nanoseconds: clock)
      }
    }
  }

  private var currentWaits: [String] { waitRecords.sorted { $0.key < $1.key }.map(\.value) }

  /// Takes the next task to run; nil when the next step is another one.
  private func chooseJob() -> UnownedJob? {
    for resumption in passing { resume(resumption) }
    passing.removeAll(keepingCapacity: true)
    releaseHeld { $0.until <= steps }
    if case .chosen(let chooser) = policy { return chooseJob(chooser) }
    guard !ready.isEmpty else { return nil }
    // The end of the turn is one more choice; half as likely as a task, so that plugs fill at times.
    if sources.contains(where: \.awaitsEndOfTurn), random.below(2 * ready.count + 1) == 0 { return nil }
    let index = ready.count == 1 ? 0 : random.below(ready.count)
    steps += 1
    note(UInt64(index) &+ UInt64(ready.count) << 16 &+ clock << 24)
    return ready.remove(at: index)
  }

  /// The tasks that are ready are the first choices, in the order in which they were resumed; then the end of the turn,
  /// then the next timer, if it is due soon: a device that is quicker than whoever is ready.
  private func chooseJob(_ chooser: ScheduleChooser) -> UnownedJob? {
    guard !ready.isEmpty else { return nil }
    let turnEnds = sources.contains(where: \.awaitsEndOfTurn)
    let timerIsNear = timers.nextDeadline().map { $0.nanoseconds <= clock + chooser.horizon } ?? false
    let count = ready.count + (turnEnds ? 1 : 0) + (timerIsNear ? 1 : 0)
    let choice = chooser.choose(among: count)
    steps += 1
    note(UInt64(choice) &+ UInt64(count) << 16 &+ clock << 24)
    if choice < ready.count { return ready.remove(at: choice) }
    if choice == ready.count && turnEnds {
      _ = endTurn()
    } else if let deadline = timers.nextDeadline() {
      fireTimer(at: deadline)
    }
    // What becomes ready of it is among the next choices.
    return chooseJob(chooser)
  }

  private func releaseHeld(where isDue: ((job: UnownedJob, until: Int)) -> Bool) {
    var index = 0
    while index < held.count {
      if isDue(held[index]) { ready.append(held.remove(at: index).job) } else { index += 1 }
    }
  }

  /// Ends the turn, or lets a held task go, or moves the clock. Returns false when nothing of that is left.
  private func moveOn() -> Bool {
    if endTurn() { return true }
    let deadline = timers.nextDeadline()
    // A held task may outlive timers: the clock passes it half of the time.
    if !held.isEmpty, deadline == nil || random.below(2) == 0 {
      ready.append(held.remove(at: random.below(held.count)).job)
      return true
    }
    guard let deadline else { return false }
    fireTimer(at: deadline)
    return true
  }

  /// Dispatches what is plugged. Returns whether anything was.
  private func endTurn() -> Bool {
    var moved = false
    for source in sources where source.awaitsEndOfTurn {
      note(0xE0)
      if source.endTurn() { moved = true }
    }
    return moved
  }

  private func fireTimer(at deadline: Instant) {
    clock = max(clock, deadline.nanoseconds)
    if let timer = timers.popDue(at: now) {
      steps += 1
      note(clock)
      timer.fire()
    }
  }
}
