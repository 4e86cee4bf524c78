import Glibc
import PageCache
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
