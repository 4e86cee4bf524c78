internal import Reactor
internal import Testing

@Suite("The reactor with a thread of its own")
struct ThreadReactorTests {
  @Test("it stops when it is told, also right away, and whether it spins or not", arguments: [0, 20_000] as [UInt64])
  func stops(spinNanoseconds: UInt64) {
    for _ in 0..<50 { ThreadReactor(spinNanoseconds: spinNanoseconds).stop() }
  }

  @Test("a stranger's task runs its body on the reactor, and leaves it afterwards")
  func run() async {
    let reactor = ThreadReactor()
    #expect(!reactor.isCurrent)
    let values = await reactor.run {
      let first = reactor.isCurrent
      await reactor.pass()
      let second = reactor.isCurrent
      await reactor.sleep(nanoseconds: 1000)
      return [first, second, reactor.isCurrent]
    }
    #expect(values == [true, true, true])
    #expect(!reactor.isCurrent)
    reactor.stop()
  }

  @Test("many tasks of the pool share an actor on the reactor without losing anything")
  func foreignTasks() async {
    await onThreadReactor { reactor in
      let crew = Crew(reactor)
      await withTaskGroup(of: Void.self) { group in
        for index in 0..<64 {
          group.addTask {
            await Task.detached {
              for _ in 0..<20 {
                await reactor.run {
                  await crew.play { crew in
                    await crew.lock.lock()
                    crew.note("\(index)")
                    await reactor.pass()
                    crew.lock.unlock()
                  }
                }
              }
            }.value
          }
        }
      }
      #expect(await crew.log.count == 64 * 20)
    }
  }

  @Test("what the body throws comes out of run")
  func throwing() async {
    struct Failure: Error, Equatable {}
    let reactor = ThreadReactor()
    await #expect(throws: Failure()) { try await reactor.run { () async throws(Failure) in throw Failure() } }
    reactor.stop()
  }

  @Test("tasks that pass take turns")
  func turns() async {
    let log = await onThreadReactor { reactor in
      let crew = Crew(reactor)
      await crew.concurrently(["a", "b", "c"]) { crew, name in
        // Nobody begins before all are there.
        crew.note("ready")
        await crew.until { $0.log.count >= 3 }
        for _ in 0..<10 {
          crew.note(name)
          await crew.reactor.pass()
        }
      }
      return await crew.log.dropFirst(3)
    }
    // In ten turns each runs once a turn: nobody is ever two ahead of another.
    var counts: [String: Int] = ["a": 0, "b": 0, "c": 0]
    for entry in log {
      counts[entry, default: 0] += 1
      let values = counts.values.sorted()
      #expect(values[2] - values[0] <= 2)
    }
    #expect(counts == ["a": 10, "b": 10, "c": 10])
  }

  @Test("sleepers wake in the order of their deadlines, never early")
  func sleepOrder() async {
    let log = await onThreadReactor { reactor in
      let crew = Crew(reactor)
      let start = reactor.now
      await crew.concurrently(["3", "1", "2"]) { crew, name in
        let deadline = start.advanced(byNanoseconds: UInt64(name)! * 3_000_000)
        await crew.reactor.sleep(until: deadline)
        #expect(crew.reactor.now >= deadline)
        crew.note(name)
      }
      return await crew.log
    }
    #expect(log == ["1", "2", "3"])
  }

  @Test("a wait is cancelled from another thread", arguments: 0..<20)
  func cancellation(round: Int) async {
    await onThreadReactor { reactor in
      let crew = Crew(reactor, rights: 0)
      let waiter = Task.detached { await reactor.run { await crew.play { await $0.semaphore.acquireInterruptibly() } } }
      if round % 2 == 0 { await reactor.sleep(nanoseconds: 100_000) }
      await Task.detached { waiter.cancel() }.value
      #expect(await waiter.value == false)
      #expect(await crew.availableRights == 0)
    }
  }

  @Test("cancelling and waking at the same time neither loses nor doubles a right")
  func cancellationRace() async {
    await onThreadReactor { reactor in
      let crew = Crew(reactor, rights: 0)
      var granted = 0
      for _ in 0..<300 {
        let waiter = Task.detached {
          await reactor.run { await crew.play { await $0.semaphore.acquireInterruptibly() } }
        }
        let canceller = Task.detached { waiter.cancel() }
        await crew.play { $0.semaphore.release() }
        await canceller.value
        if await waiter.value { granted += 1 }
      }
      #expect(granted + (await crew.availableRights) == 300)
    }
  }

  @Test("a deadline ends a wait")
  func deadline() async {
    let outcome = await onThreadReactor { reactor in
      await Crew(reactor).play { crew in
        await crew.queue.waitInterruptibly(until: reactor.now.advanced(byNanoseconds: 200_000))
      }
    }
    #expect(outcome == .timedOut)
  }

  @Test("two reactors run side by side, and tasks cross between them")
  func twoReactors() async {
    await onThreadReactor { first in
      await onThreadReactor { second in
        let here = Crew(first), there = Crew(second)
        for _ in 0..<100 {
          await here.play { $0.note("here") }
          await there.play { $0.note("there") }
        }
        let hereOnFirst = await here.play { _ in first.isCurrent && !second.isCurrent }
        let thereOnSecond = await there.play { _ in second.isCurrent && !first.isCurrent }
        #expect(hereOnFirst && thereOnSecond)
        #expect(await here.log.count == 100)
        #expect(await there.log.count == 100)
      }
    }
  }
}
