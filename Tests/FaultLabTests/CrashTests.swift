import Ext2
import FaultLab
import PageCache
import Reactor
import Support
import Testing
import Workload

@Suite("Power cuts", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct CrashTests {
  private static func run(_ options: CrashOptions) throws -> CrashReport {
    try CrashExplorer(options, now: { 0 }, stopReason: { nil }).run()
  }

  private static func text(_ report: CrashReport) -> String {
    report.violations.map { "\($0.finding)\n\($0.script.joined(separator: "\n"))" }.joined(separator: "\n")
  }

  @Test("single operations keep what was promised, in every state of every cut", arguments: [1024, 4096])
  func single(blockSize: Int) throws {
    var options = CrashOptions(workload: .sequences(length: 1, only: nil))
    options.blockSize = blockSize
    // As many as there is time for: tools/soak runs all.
    (options.sampling.serious, options.sampling.mounted, options.sampling.recovered) = (8, 32, 64)
    options.firstCase = blockSize == 1024 ? 130 : 0
    options.caseLimit = 98
    let report = try Self.run(options)
    #expect(report.violations.isEmpty, "\(Self.text(report))")
    #expect(report.caseCount == 98 && report.distinctStates > 500 && report.isExhaustive)
    #expect(report.stopReason == nil && report.nextCase == (blockSize == 1024 ? nil : 98))
    #expect(report.repairedStates > 0 && report.mountedStates > 0 && report.recoveredStates > 0)
    #expect(report.cleanStates > 0 && report.orderedViolations > 0)
    #expect(report.orderedViolations <= report.distinctStates)
  }

  @Test("operations one after the other do as well", arguments: [FreesName.plain, .ordered])
  func sequences(frees: FreesName) throws {
    var options = CrashOptions(workload: .sequences(length: 3, only: nil))
    options.sampling = CrashSampling(length: 3)
    options.frees = frees
    options.caseLimit = 60
    let report = try Self.run(options)
    #expect(report.violations.isEmpty, "\(Self.text(report))")
    #expect(report.caseCount == 60 && report.distinctStates > 1000)
  }

  @Test("a rule of fsync, sync or unmount that does not hold is noticed", arguments: CrashOptions.mutants)
  func mutants(name: String) throws {
    let rule = try #require(SwitchedOffRules.all.first { $0.name == name }?.rule)
    var options = CrashOptions(workload: .sequences(length: 1, only: nil))
    options.switchedOff = rule
    options.violationLimit = 1
    (options.sampling.serious, options.sampling.mounted, options.sampling.recovered) = (0, 0, 0)
    let explorer = try CrashExplorer(options, now: { 0 }, stopReason: { nil })
    let report = try explorer.run()
    let violation = try #require(report.violations.first)
    #expect(["promise", "clean-flag", "e2fsck"].contains(violation.finding.kind))
    #expect(violation.timeline.last == "the power is cut")
    // The same case shows it again.
    options.workload = .sequences(length: 1, only: violation.number)
    #expect(try Self.run(options).violations.first?.finding == violation.finding)
  }

  @Test("a workload of many steps shrinks to those that matter")
  func shrinking() throws {
    var steps: [CrashStep] = []
    for index in 0..<16 {
      steps.append(CrashStep("mkdir /\(index)") { try await $0.makeDirectory("/\(index)") })
    }
    steps.append(CrashStep("fsync /7", .file(Array("/7".utf8), dataOnly: false)) { try await $0.synchronize("/7") })
    for index in 16..<20 {
      steps.append(CrashStep("mkdir /\(index)") { try await $0.makeDirectory("/\(index)") })
    }
    var options = CrashOptions(workload: .steps(CrashScript(steps)))
    options.switchedOff = .fsyncWritesInode
    options.violationLimit = 1
    options.subset = .sample(4)
    let explorer = try CrashExplorer(options, now: { 0 }, stopReason: { nil })
    let violation = try #require(try explorer.run().violations.first)
    #expect(explorer.shrunk(violation) == ["mkdir /7", "fsync /7"])
  }

  @Test("old contents of the medium are seen where a block has just been allocated, and whose they are")
  func evidence() throws {
    var options = CrashOptions(workload: .sequences(length: 1, only: 0))
    options.contract = .ordered
    let violation = try #require(try Self.run(options).violations.first { $0.finding.kind == "foreign-bytes" })
    #expect(violation.evidence.count >= 4)
    #expect(violation.evidence.first?.hasPrefix("/A/foo, inode 16, 16 bytes at byte ") == true)
    #expect(violation.evidence.contains { $0.hasPrefix("  found     ") || $0.hasPrefix("  found    ") })
    #expect(violation.evidence.last == "  which is what the medium held there at first")
    #expect(violation.blockMap.first?.hasPrefix("/A/foo, inode 16: mode 100644") == true)
    // Bytes of an older write are told from those.
    options = CrashOptions(workload: .sequences(length: 2, only: 232))
    options.switchedOff = .syncFlushes
    options.sampling.serious = 0
    let texts = try Self.run(options).violations.flatMap(\.evidence)
    #expect(
      texts.contains {
        $0.hasPrefix("  which is what write ") && $0.contains("data of /A/foo, inode 16, in step")
      }, "\(texts)")
  }

  @Test("a file with old contents for a pointer block may go with a repair, but is there before")
  func clearedFile() throws {
    var options = CrashOptions(workload: .sequences(length: 3, only: 8_224_649))
    options.sampling.serious = 1
    let report = try Self.run(options)
    #expect(report.repairedStates > 0 && report.violations.isEmpty, "\(Self.text(report))")
  }

  @Test("mounts of what a cut has left are cut as well")
  func remounts() throws {
    var options = CrashOptions(workload: .sequences(length: 1, only: 20))
    options.sampling.recovered = 1
    let report = try Self.run(options)
    #expect(report.remountedStates > 10 && report.violations.isEmpty, "\(Self.text(report))")
  }

  @Test("a workload that never ends is a violation, not an error of the machine")
  func endless() throws {
    let steps = [
      CrashStep("mkdir /x") { try await $0.makeDirectory("/x") },
      CrashStep("wait") { await WaitQueue($0.reactor, "what never comes").wait() },
    ]
    let options = CrashOptions(workload: .steps(CrashScript(steps)))
    let explorer = try CrashExplorer(options, now: { 0 }, stopReason: { nil })
    try leaving("a task that waits for ever") {
      let violation = try #require(try explorer.run().violations.first)
      #expect(violation.finding.kind == "run" && violation.finding.text.contains("what never comes"))
      #expect(explorer.shrunk(violation) == ["wait"])
    }
  }

  @Test("a run that is stopped says where it was, and goes on there")
  func stopping() throws {
    var options = CrashOptions(workload: .sequences(length: 1, only: nil))
    options.sampling = CrashSampling(length: 3)
    options.stateLimit = 60
    let first = try Self.run(options)
    let next = try #require(first.nextCase)
    #expect(first.stopReason == "enough states" && first.caseCount == next && first.distinctStates >= 60)
    options.firstCase = next
    let second = try Self.run(options)
    #expect(second.nextCase.map { $0 > next } == true)
    options.stateLimit = nil
    options.memoryLimit = 1
    #expect(try Self.run(options).stopReason == "the memory limit is reached")
    // Also in the middle of a workload, before anything was cut.
    let steps = (0..<5).map { number in CrashStep("mkdir /\(number)") { try await $0.makeDirectory("/\(number)") } }
    var lookCount = 0
    let explorer = try CrashExplorer(CrashOptions(workload: .steps(CrashScript(steps))), now: { 0 }) {
      lookCount += 1
      return lookCount > 3 ? "enough looks" : nil
    }
    let cut = try explorer.run()
    #expect(cut.stopReason == "enough looks" && cut.nextCase == 0 && cut.distinctStates == 0)
    // The seed decides which sequences of three there are.
    options = CrashOptions(workload: .sequences(length: 3, only: nil))
    options.sampling = CrashSampling(length: 3)
    options.caseLimit = 4
    let once = try Self.run(options), twice = try Self.run(options)
    #expect(once.distinctStates == twice.distinctStates && once.judgedStates == twice.judgedStates)
  }
}
