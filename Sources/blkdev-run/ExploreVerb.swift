internal import ArgumentParser
internal import Ext2
internal import FaultLab
internal import Glibc
internal import PageCache
internal import SystemPackage

/// `blkdev-run explore`: seeded runs of the whole volume on the simulated reactor and disk, judged by an oracle at the
/// disk, a model of every byte, and e2fsck.
struct ExploreVerb: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explore", abstract: "Run a whole volume in simulation, seed by seed, and judge each run.",
    discussion: """
      Each seed is one run: options, schedule, latencies and operations follow from it, so that a failing seed fails \
      again, bit for bit. Ends with 4 when a run broke a rule, with 5 when e2fsck is missing, with 130 when it is \
      interrupted.
      """)

  @Option(help: "How many seeds to run.") var seeds: UInt64 = 1000
  @Option(help: "The first seed.") var first: UInt64 = 0
  @Option(help: "Judge every Nth image with e2fsck as well; 0: none.") var e2fsckEvery: UInt64 = 20
  @Option(help: "Switch a rule of the protocol off, by its name in the table of --mutants.") var switchOff: String?
  @Flag(help: "Switch each rule off in turn and show which seed notices.") var mutants = false

  func validate() throws {
    if first.addingReportingOverflow(seeds).overflow {
      throw ValidationError("--first and --seeds: there are no seeds beyond \(UInt64.max)")
    }
  }

  func run() throws {
    // ⌃C ends it between two seeds, so that no scratch file is left behind.
    let interruption = Interruption()
    let explorer: Explorer
    do { explorer = try Explorer() } catch {
      print("blkdev-run: \(error)", to: .standardError)
      throw ExitCode(5)
    }
    if mutants { return try showMutants(explorer, interruption) }
    let rule = try rule(named: switchOff)
    var failed: UInt64 = 0
    var stale: UInt64 = 0, staleAfterFree: UInt64 = 0, batches: UInt64 = 0
    var done: UInt64 = 0
    for seed in first..<first + seeds {
      if interruption.hasCome { break }
      showProgress(done, failed)
      done += 1
      let outcome = explorer.run(Scenario(seed: seed, switchedOff: rule))
      batches += outcome.counters.writeback.batches
      stale += outcome.counters.writeback.staleBatches
      staleAfterFree += outcome.counters.writeback.staleAfterFree
      if let finding = try finding(in: outcome) {
        failed += 1
        clearProgress()
        print("seed \(seed): \(finding)", to: .standardOutput)
        print(
          "  repeat: blkdev-run explore --first \(seed) --seeds 1 --e2fsck-every 1\(repeatedRule)", to: .standardOutput)
      }
    }
    clearProgress()
    print(
      "\(done) seeds, \(failed) failed; \(batches) batches, \(stale) stale discarded, \(staleAfterFree) after a free",
      to: .standardOutput)
    if failed > 0 { throw ExitCode(4) }
    if done < seeds { throw ExitCode(130) }
  }

  private var repeatedRule: String { switchOff.map { " --switch-off '\($0)'" } ?? "" }

  private func rule(named name: String?) throws -> SwitchedOffRules {
    guard let name else { return [] }
    guard let found = SwitchedOffRules.all.first(where: { $0.name == name }) else {
      throw ValidationError(
        "no rule is named '\(name)'; there are: " + SwitchedOffRules.all.map(\.name).joined(separator: ", "))
    }
    return found.rule
  }

  private func finding(in outcome: ScenarioOutcome) throws -> String? {
    if let first = outcome.findings.first { return first }
    guard e2fsckEvery > 0, outcome.seed % e2fsckEvery == 0, !outcome.image.isEmpty else { return nil }
    do { return try Explorer.check(outcome).map { "e2fsck: \($0)" } } catch {
      print("blkdev-run: \(error)", to: .standardError)
      throw ExitCode(5)
    }
  }

  private func showMutants(_ explorer: Explorer, _ interruption: Interruption) throws {
    for (name, rule) in SwitchedOffRules.all {
      var killer: String?
      for seed in first..<first + seeds where killer == nil {
        if interruption.hasCome { throw ExitCode(130) }
        let outcome = explorer.run(Scenario(seed: seed, switchedOff: rule))
        killer = try finding(in: outcome).map { "seed \(seed): \($0.prefix(120))" }
      }
      print("\(killer == nil ? "survived" : "killed  ") | \(name) | \(killer ?? "")", to: .standardOutput)
    }
  }

  private func showProgress(_ done: UInt64, _ failed: UInt64) {
    guard done % 16 == 0, isatty(FileDescriptor.standardError.rawValue) != 0 else { return }
    print("\rexplore: \(done) of \(seeds) seeds, \(failed) failed\u{1B}[K", to: .standardError, terminator: "")
  }
  private func clearProgress() {
    if isatty(FileDescriptor.standardError.rawValue) != 0 { print("\r\u{1B}[K", to: .standardError, terminator: "") }
  }
}
