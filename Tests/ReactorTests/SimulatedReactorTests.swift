internal import Reactor
internal import Support
internal import Testing

@Suite("The simulated reactor")
struct SimulatedReactorTests {
  /// Eight tasks that pass and sleep; who ran when is the result.
  private func interleaving(seed: UInt64, policy: SimulatedReactor.Policy? = nil) throws -> (
    log: [String], trace: UInt64
  ) {
    let reactor = SimulatedReactor(seed: seed, policy: policy)
    let log = try reactor.run {
      let crew = Crew(reactor)
      await crew.concurrently((0..<8).map { "t\($0)" }) { crew, name in
        for step in 0..<4 {
          await reactor.pass()
          crew.note("\(name).\(step)")
          if step == 2 { await reactor.sleep(nanoseconds: 100) }
        }
      }
      return await crew.log
    }
    return (log, reactor.trace)
  }

  @Test("the same seed gives the same order and the same trace", arguments: 0..<20 as Range<UInt64>)
  func repeats(seed: UInt64) throws {
    let first = try interleaving(seed: seed), second = try interleaving(seed: seed)
    #expect(first.log == second.log)
    #expect(first.trace == second.trace)
    #expect(Set(first.log).count == 32)
  }

  @Test("different seeds give different orders, under every policy")
  func differs() throws {
    let policies: [SimulatedReactor.Policy] = [.uniform, .holding(oneIn: 4, steps: 16), .holding(oneIn: 2, steps: 4)]
    for policy in policies {
      let orders = try (0..<50).map { try interleaving(seed: UInt64($0), policy: policy).log }
      #expect(Set(orders).count > 40)
    }
  }

  @Test("all traces of 500 seeds hash to a number that debug and release builds share")
  func fingerprint() throws {
    var hash: UInt64 = 0
    for seed in 0..<500 as Range<UInt64> { hash = (hash ^ (try interleaving(seed: seed).trace)) &* 0x100_0000_01B3 }
    print("trace hash of 500 seeds: \(String(hash, radix: 16))")
    #expect(hash != 0)
  }

  @Test("held tasks run later than others, but they run")
  func held() throws {
    // With every resume held for up to 64 steps, one task overtakes another by more than under the uniform choice.
    func largestLead(_ policy: SimulatedReactor.Policy) throws -> Int {
      var lead = 0
      for seed in 0..<50 as Range<UInt64> {
        let reactor = SimulatedReactor(seed: seed, policy: policy)
        let log = try reactor.run {
          let crew = Crew(reactor)
          await crew.concurrently(["a", "b"]) { crew, name in
            for _ in 0..<100 {
              await reactor.pass()
              crew.note(name)
            }
          }
          return await crew.log
        }
        #expect(log.count == 200)
        var balance = 0
        for entry in log {
          balance += entry == "a" ? 1 : -1
          lead = max(lead, abs(balance))
        }
      }
      return lead
    }
    #expect(try largestLead(.holding(oneIn: 8, steps: 64)) > 2 * largestLead(.uniform))
  }

  @Test("sleepers wake in the order of their deadlines, and the clock shows the deadline")
  func sleepOrder() throws {
    let reactor = SimulatedReactor(seed: 1)
    let log = try reactor.run {
      let crew = Crew(reactor)
      await crew.concurrently(["300", "100", "200", "1000000"]) { crew, name in
        await reactor.sleep(until: Instant(nanoseconds: UInt64(name)!))
        crew.note("\(name) at \(reactor.now.nanoseconds)")
      }
      return await crew.log
    }
    #expect(log == ["100 at 100", "200 at 200", "300 at 300", "1000000 at 1000000"])
    #expect(reactor.calendarTime == CalendarTime(seconds: 1_767_225_600, nanoseconds: 1_000_000))
  }

  @Test("the clock stands still while a task can run")
  func virtualTime() throws {
    let reactor = SimulatedReactor(seed: 3, policy: .uniform)
    let time = try reactor.run {
      for _ in 0..<1000 { await reactor.pass() }
      return reactor.now.nanoseconds
    }
    #expect(time == 0)
  }

  @Test("a deadlock is reported with the tasks and what each waits for")
  func deadlock() throws {
    let reactor = SimulatedReactor(seed: 5)
    let error = leaving("tasks that wait for each other") {
      #expect(throws: SimulatedReactor.Deadlock.self) {
        try reactor.run {
          let crew = Crew(reactor)
          await crew.concurrently(["left", "right"]) { crew, name in
            let (first, second) = name == "left" ? (crew.lock, crew.otherLock) : (crew.otherLock, crew.lock)
            await first.lock()
            await reactor.sleep(nanoseconds: 10)
            await second.lock()
          }
        }
      }
    }
    #expect(Set(error?.waits ?? []) == ["left waits for lock B", "right waits for lock A"])
    #expect(error?.description.hasPrefix("deadlock at 10 ns: ") == true)
  }

  @Test("what the experiment throws comes out of run")
  func throwing() throws {
    struct Failure: Error, Equatable {}
    let reactor = SimulatedReactor(seed: 0)
    #expect(throws: Failure()) { try reactor.run { throw Failure() } }
  }

  @Test("simulations nest, and each keeps its own clock")
  func nested() throws {
    let outer = SimulatedReactor(seed: 1)
    let times = try outer.run {
      await outer.sleep(nanoseconds: 1000)
      let inner = SimulatedReactor(seed: 2)
      // The name tells this `run` from the asynchronous one of every reactor.
      let innerTime = try inner.run(name: "inner") {
        #expect(inner.isCurrent && !outer.isCurrent)
        await inner.sleep(nanoseconds: 7)
        return inner.now.nanoseconds
      }
      #expect(outer.isCurrent)
      await outer.sleep(nanoseconds: 1)
      return [innerTime, outer.now.nanoseconds]
    }
    #expect(times == [7, 1001])
  }

  @Test("a simulation runs inside a test that is itself a task")
  func insideTask() async throws {
    let reactor = SimulatedReactor(seed: 1)
    let value = try reactor.run(name: "inner") {
      await reactor.pass()
      return 42
    }
    #expect(value == 42)
    await Task {}.value
  }

  @Test("what is noted changes the trace")
  func notes() throws {
    func trace(_ fact: UInt64) throws -> UInt64 {
      let reactor = SimulatedReactor(seed: 1)
      try reactor.run { reactor.note(fact) }
      return reactor.trace
    }
    #expect(try trace(1) == trace(1))
    #expect(try trace(1) != trace(2))
  }

  /// A source that notes when its turn ends.
  private final class Plug: EventSource {
    var plugged = 0
    private(set) var batches: [Int] = []
    var awaitsEndOfTurn: Bool { plugged > 0 }
    func endTurn() -> Bool {
      guard plugged > 0 else { return false }
      batches.append(plugged)
      plugged = 0
      return true
    }
  }

  @Test("the end of a turn is drawn: batches of every size occur")
  func turns() throws {
    var sizes: Set<Int> = []
    for seed in 0..<50 as Range<UInt64> {
      let reactor = SimulatedReactor(seed: seed, policy: .uniform)
      let batches = try reactor.run {
        let crew = PluggingCrew(reactor)
        return await crew.plugFromEightTasks()
      }
      #expect(batches.reduce(0, +) == 8)
      sizes.formUnion(batches)
    }
    #expect(sizes.isSuperset(of: 1...6))
  }

  private actor PluggingCrew {
    nonisolated let reactor: Reactor
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }
    private let plug = Plug()
    init(_ reactor: Reactor) { self.reactor = reactor }

    func plugFromEightTasks() async -> [Int] {
      reactor.attach(plug)
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<8 { group.addTask { await self.plugOne() } }
      }
      while plug.plugged > 0 { await reactor.sleep(nanoseconds: 1) }
      reactor.detach(plug)
      return plug.batches
    }
    private func plugOne() async {
      await reactor.pass()
      plug.plugged += 1
    }
  }
}
