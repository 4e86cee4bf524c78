internal import Reactor

/// The tasks of a test, all on one reactor, and the log they share.
actor Crew {
  nonisolated let reactor: Reactor
  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }
  /// What happened, in order.
  var log: [String] = []
  let lock: AsyncLock
  let otherLock: AsyncLock
  let semaphore: Semaphore
  let queue: WaitQueue

  init(_ reactor: Reactor, rights: Int = 2) {
    self.reactor = reactor
    lock = AsyncLock(reactor, "lock A")
    otherLock = AsyncLock(reactor, "lock B")
    semaphore = Semaphore(reactor, "a right", count: rights)
    queue = WaitQueue(reactor, "the queue")
  }

  var availableRights: Int { semaphore.available }

  func note(_ entry: String) { log.append(entry) }

  /// Runs `body` isolated to the crew.
  func play<T: Sendable>(_ body: @Sendable (isolated Crew) async throws -> T) async rethrows -> T {
    try await body(self)
  }

  /// Runs tasks named `names` at once and waits for all.
  func concurrently(_ names: [String], _ body: @escaping @Sendable (isolated Crew, String) async -> Void) async {
    await withTaskGroup(of: Void.self) { group in
      for name in names { group.addTask(name: name) { await body(self, name) } }
      await group.waitForAll()
    }
  }

  /// Lets time pass until `count` tasks wait in the queue.
  func until(_ condition: (isolated Crew) -> Bool) async {
    while !condition(self) { await reactor.pass() }
  }
}

extension Reactor {
  /// Suspends for that long.
  func sleep(nanoseconds: UInt64) async { await sleep(until: now.advanced(byNanoseconds: nanoseconds)) }
}

/// Runs `body` on a reactor with a thread of its own.
func onThreadReactor<T: Sendable>(
  spinNanoseconds: UInt64 = 0, _ body: (ThreadReactor) async throws -> T
) async rethrows -> T {
  let reactor = ThreadReactor(spinNanoseconds: spinNanoseconds)
  defer { reactor.stop() }
  return try await reactor.run { try await body(reactor) }
}
