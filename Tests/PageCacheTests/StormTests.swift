import Glibc
import PageCache
import Reactor
import Support
import Testing

/// A number from the environment: how a failed seed is repeated.
private func environment(_ name: String) -> UInt64? {
  guard let text = unsafe getenv(name) else { return nil }
  return unsafe UInt64(String(cString: text))
}

@Suite("Storms on the toy volume")
struct StormTests {
  /// What to type to see one seed again.
  static func command(_ seed: UInt64) -> String { "TOY_SEED=\(seed) swift test --filter StormTests" }

  @Test("the same storms hold under every policy", arguments: WritebackPolicyName.allCases)
  func policies(_ policy: WritebackPolicyName) {
    for seed in UInt64(0)..<200 {
      let failures = ToyStorm(seed: seed, policy: policy).run().failures
      #expect(failures == [], "policy \(policy), seed \(seed)")
    }
  }

  @Test("a seed repeats its run") func repeatable() {
    for seed in UInt64(0)..<50 { #expect(ToyStorm(seed: seed).run().trace == ToyStorm(seed: seed).run().trace) }
  }

  @Test("a storm on a real thread, on a disk in memory, holds too") func onThread() async throws {
    let reactor = ThreadReactor()
    for seed in UInt64(0)..<20 {
      let failures = try await ToyStorm(seed: seed).run(on: reactor)
      #expect(failures == [], "seed \(seed)")
    }
    reactor.stop()
  }

  @Test("no seed breaks a rule") func seeds() {
    let seeds = environment("TOY_SEED").map { $0...$0 } ?? 0...(environment("TOY_SEEDS") ?? 2000) - 1
    var failed = 0
    for seed in seeds where failed < 5 {
      let failures = ToyStorm(seed: seed).run().failures
      if failures.isEmpty { continue }
      failed += 1
      Issue.record("\(Self.command(seed)): \(failures.prefix(4).joined(separator: "; "))")
    }
  }
}
