internal import Reactor
internal import Testing

@Suite("Waiting on a reactor")
struct WaitTests {
  /// Runs `body` in simulation for several seeds.
  private func simulate(
    seeds: Range<UInt64> = 0..<20, policy: SimulatedReactor.Policy? = nil,
    _ body: @escaping @Sendable (isolated Crew) async throws -> Void
  ) throws {
    for seed in seeds {
      let reactor = SimulatedReactor(seed: seed, policy: policy)
      try reactor.run { try await Crew(reactor).play(body) }
    }
  }

  @Test("a lock admits one task at a time, in the order in which they asked")
  func lock() throws {
    try simulate { crew in
      crew.note("asked")
      await crew.concurrently(["a", "b", "c", "d"]) { crew, name in
        await crew.reactor.pass()
        crew.note("ask \(name)")
        await crew.lock.lock()
        crew.note("enter \(name)")
        await crew.reactor.sleep(nanoseconds: 5)
        crew.note("leave \(name)")
        crew.lock.unlock()
      }
      let asked = crew.log.filter { $0.hasPrefix("ask ") }.map { $0.dropFirst(4) }
      let entered = crew.log.filter { $0.hasPrefix("enter ") }.map { $0.dropFirst(6) }
      let left = crew.log.filter { $0.hasPrefix("leave ") }.map { $0.dropFirst(6) }
      #expect(asked == entered && entered == left)
      #expect(!crew.lock.isLocked)
    }
  }

  @Test("a free lock is taken without waiting, a held one is not")
  func tryLock() throws {
    try simulate(seeds: 0..<1) { crew in
      #expect(crew.lock.tryLock())
      #expect(!crew.lock.tryLock())
      crew.lock.unlock()
      #expect(crew.lock.tryLock())
      #expect(await crew.otherLock.lockInterruptibly())
    }
  }

  @Test("a semaphore lets as many in as it has rights")
  func semaphore() throws {
    try simulate { crew in
      await crew.concurrently((0..<10).map(String.init)) { crew, name in
        await crew.semaphore.acquire()
        crew.note("in")
        #expect(crew.log.count { $0 == "in" } - crew.log.count { $0 == "out" } <= 2)
        await crew.reactor.sleep(nanoseconds: UInt64(name)!)
        crew.note("out")
        crew.semaphore.release()
      }
      #expect(crew.log.count { $0 == "in" } == 10)
      #expect(crew.semaphore.available == 2)
    }
  }

  @Test("a cancelled waiter leaves the queue, and the others keep their turn")
  func cancellation() throws {
    try simulate { crew in
      await crew.lock.lock()
      let first = Task(name: "first", executorPreference: crew.reactor) {
        await crew.play { await $0.lock.lockInterruptibly() }
      }
      await crew.reactor.sleep(nanoseconds: 10)
      let second = Task(name: "second", executorPreference: crew.reactor) {
        await crew.play { crew in
          await crew.lock.lock()
          crew.note("second")
          crew.lock.unlock()
        }
      }
      await crew.reactor.sleep(nanoseconds: 10)
      first.cancel()
      #expect(await first.value == false)
      #expect(crew.log.isEmpty)
      crew.lock.unlock()
      await second.value
      #expect(crew.log == ["second"])
      #expect(!crew.lock.isLocked)
    }
  }

  @Test("a task cancelled before it waits does not wait")
  func cancelledBefore() throws {
    try simulate { crew in
      await crew.semaphore.acquire()
      await crew.semaphore.acquire()
      let task = Task(executorPreference: crew.reactor) {
        await crew.play { crew in
          await crew.reactor.sleep(nanoseconds: 100)
          return await crew.semaphore.acquireInterruptibly()
        }
      }
      task.cancel()
      #expect(await task.value == false)
      #expect(crew.semaphore.available == 0)
    }
  }

  @Test("a waiter is either woken or cancelled, never both: rights are neither lost nor doubled")
  func exactlyOnce() throws {
    try simulate(seeds: 0..<200) { crew in
      await crew.semaphore.acquire()
      await crew.semaphore.acquire()
      let waiters = (0..<6).map { _ in
        Task(executorPreference: crew.reactor) { await crew.play { await $0.semaphore.acquireInterruptibly() } }
      }
      await crew.reactor.sleep(nanoseconds: 10)
      crew.semaphore.release()
      waiters[0].cancel()
      waiters[3].cancel()
      crew.semaphore.release()
      await crew.reactor.pass()
      waiters[4].cancel()
      var granted = 0
      for (index, waiter) in waiters.enumerated() where index != 1 && index != 2 && index != 5 {
        if await waiter.value { granted += 1 }
      }
      for _ in 0..<4 { crew.semaphore.release() }
      for index in [1, 2, 5] where await waiters[index].value { granted += 1 }
      // Six releases: each went to a waiter or is available.
      #expect(granted + crew.semaphore.available == 6)
    }
  }

  @Test("a deadline ends a wait at its time; a wake-up before it wins")
  func deadlines() throws {
    // Nobody is held back: the clock would pass the deadline meanwhile.
    try simulate(policy: .uniform) { crew in
      let start = crew.reactor.now
      let outcome = await crew.queue.waitInterruptibly(until: start.advanced(byNanoseconds: 500))
      #expect(outcome == .timedOut)
      #expect(crew.reactor.now.nanoseconds(since: start) == 500)
      #expect(crew.queue.isEmpty)

      let waiter = Task(executorPreference: crew.reactor) {
        await crew.play { await $0.queue.waitInterruptibly(until: start.advanced(byNanoseconds: 2000)) }
      }
      await crew.until { $0.queue.count == 1 }
      crew.queue.wakeOne()
      #expect(await waiter.value == .woken)
      await crew.reactor.sleep(until: start.advanced(byNanoseconds: 5000))
    }
  }

  @Test("nothing runs between what a task sees and its wait, not even a task that begins")
  func inOneStep() throws {
    try simulate { crew in
      let waiter = Task(executorPreference: crew.reactor) {
        await crew.play { crew in
          crew.note("waits")
          return await crew.queue.waitInterruptibly(until: crew.reactor.now.advanced(byNanoseconds: 1_000_000))
        }
      }
      let others = (0..<5).map { _ in
        Task(executorPreference: crew.reactor) {
          await crew.play { crew in
            if crew.log == ["waits"] && crew.queue.wakeOne() { crew.note("woken") }
          }
        }
      }
      for other in others { await other.value }
      if crew.queue.wakeOne() { crew.note("woken at last") }
      #expect(await waiter.value == .woken)
      #expect(crew.log == ["waits", "woken"])
    }
  }

  @Test("waking everybody wakes those who wait now")
  func wakeAll() throws {
    try simulate { crew in
      let waiters = (0..<5).map { _ in
        Task(executorPreference: crew.reactor) { await crew.play { await $0.queue.wait() } }
      }
      await crew.until { $0.queue.count == 5 }
      crew.queue.wakeAll()
      #expect(crew.queue.isEmpty)
      for waiter in waiters { await waiter.value }
      #expect(!crew.queue.wakeOne())
    }
  }

  @Test("arming a timer again moves it; disarming stops it")
  func timers() throws {
    final class Bell: TimerHandler {
      var rings: [UInt64] = []
      let reactor: Reactor
      init(_ reactor: Reactor) { self.reactor = reactor }
      func timerFired(_ timer: Timer) { rings.append(reactor.now.nanoseconds) }
    }
    try simulate { crew in
      let bell = Bell(crew.reactor)
      let timer = Timer(handler: bell), other = Timer(handler: bell)
      crew.reactor.arm(timer, at: Instant(nanoseconds: 100))
      crew.reactor.arm(timer, at: Instant(nanoseconds: 300))
      crew.reactor.arm(other, at: Instant(nanoseconds: 200))
      crew.reactor.disarm(other)
      await crew.reactor.sleep(until: Instant(nanoseconds: 1000))
      #expect(bell.rings == [300])
      #expect(timer.deadline == nil)
    }
  }
}
