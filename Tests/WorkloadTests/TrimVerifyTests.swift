import DeviceLayers
import Support
import SystemPackage
import Testing

@testable import Workload

@Suite("Trimming what is verified")
struct TrimVerifyTests {
  private static let job = [
    "--ioengine=sim", "--name=a", "--rw=randwrite", "--size=1m", "--iodepth=8", "--verify=crc32c",
  ]

  @Test("of the writes so many percent are trimmed, and read as zeroes", arguments: [0, 30, 100] as [UInt64])
  func percentage(_ percent: UInt64) async throws {
    let report = try await runJobs(Self.job + ["--trim_percentage=\(percent)", "--trim_backlog=16"])
    #expect(report.exitCode == .allHeld && report.operations[.write] == 256 && report.operations[.read] == nil)
    let count = report.operations[.trim] ?? 0
    // Within three standard deviations.
    #expect(percent == 30 ? (55...99).contains(count) : count == 256 * percent / 100)
    #expect(report.verify?.bytes == 1 << 20)
    // Who does not ask for zeroes has nothing to compare there.
    let open = try await runJobs(
      Self.job + ["--trim_percentage=\(percent)", "--trim_backlog=16", "--trim_verify_zero=0"])
    #expect(open.exitCode == .allHeld && open.operations[.trim] ?? 0 == count)
    #expect(open.verify?.bytes == 1 << 20 - count << 12)
  }

  @Test("a trim that does nothing is found where zeroes are asked for", arguments: [true, false])
  func phantom(_ wantsZeroes: Bool) async throws {
    let report = try await runJobs(
      Self.job + [
        "--trim_percentage=50", "--trim_backlog=10", "--fault=discard:phantom,nth=7",
        "--trim_verify_zero=\(wantsZeroes ? 1 : 0)",
      ])
    #expect(report.verify?.mismatches == (wantsZeroes ? 1 : 0))
    #expect(report.exitCode == (wantsZeroes ? .verificationMismatch : .allHeld))
    let finding = report.findings.first { $0.kind == .contentMismatch }
    #expect(wantsZeroes == (finding?.found?.hasPrefix("lost write: ") ?? false), "\(report.findings)")
  }

  /// What a run did, as its log has it: how many of one kind followed each other.
  private static func runs(_ options: [String]) async throws -> [String] {
    let log = try ScratchFile([])
    let report = try await runJobs(
      [
        "--ioengine=mem", "--name=a", "--rw=write", "--size=128k", "--verify=crc32c", "--trim_percentage=100",
        "--write_iolog=\(log.path)",
      ] + options)
    #expect(report.exitCode == .allHeld && report.operations[.trim] == 32)
    var runs: [(word: String, count: Int)] = []
    for line in String(decoding: try TemporaryFile.read(log.path), as: UTF8.self).split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count == 5, words[2] != "read" else { continue }
      if runs.last?.word == String(words[2]) {
        runs[runs.count - 1].count += 1
      } else {
        runs.append((String(words[2]), 1))
      }
    }
    return runs.map { "\($0.word) \($0.count)" }
  }

  @Test("trims come after every so many writes, so many of them, and the rest at the end")
  func backlog() async throws {
    #expect(try await Self.runs([]) == ["write 32", "trim 32"])
    #expect(
      try await Self.runs(["--trim_backlog=12"]) == ["write 12", "trim 12", "write 12", "trim 12", "write 8", "trim 8"])
    #expect(
      try await Self.runs(["--trim_backlog=12", "--trim_backlog_batch=5"])
        == ["write 12", "trim 5", "write 12", "trim 5", "write 8", "trim 22"])
  }

  @Test("which are trimmed follows from the seed, and where writes go does not depend on it")
  func seed() async throws {
    func offsets(_ percent: Int) async throws -> [Substring: [String]] {
      let log = try ScratchFile([])
      _ = try await runJobs([
        "--ioengine=sim", "--name=a", "--rw=randwrite", "--size=256k", "--verify=crc32c", "--iodepth=4",
        "--trim_percentage=\(percent)", "--trim_backlog=8", "--write_iolog=\(log.path)",
      ])
      let lines = String(decoding: try TemporaryFile.read(log.path), as: UTF8.self).split(separator: "\n")
      return Dictionary(grouping: lines.map { $0.split(separator: " ") }.filter { $0.count == 5 }) { $0[2] }
        .mapValues { $0.map { String($0[3]) } }
    }
    let none = try await offsets(0), some = try await offsets(25), again = try await offsets(25)
    #expect(some == again && some["write"] == none["write"] && none["trim"] == nil)
    #expect((6...26).contains(some["trim"]?.count ?? 0))
  }

  @Test("a file has zeroes there, which a later run expects by the state", arguments: [1, 0])
  func file(wantsZeroes: Int) async throws {
    let file = try ScratchFile([UInt8](repeating: 7, count: 1 << 20))
    let slash = file.path.lastIndex(of: "/") ?? file.path.startIndex
    let folder = String(file.path[..<slash]), name = String(file.path[file.path.index(after: slash)...])
    defer { TemporaryFile.remove("\(folder)/local-\(name)-0-verify.state") }
    let job = [
      "--aux-path=\(folder)", "--name=\(name)", "--filename=\(file.path)", "--rw=randwrite", "--size=1m", "--iodepth=8",
      "--verify=crc32c", "--randseed=5", "--trim_percentage=40", "--trim_backlog=32",
      "--trim_verify_zero=\(wantsZeroes)",
    ]
    let report = try await runJobs(job + ["--end_fsync"])
    #expect(report.exitCode == .allHeld)
    var bytes = try TemporaryFile.read(file.path)
    let blocks = (0..<256).filter { bytes[$0 << 12..<($0 + 1) << 12].allSatisfy { $0 == 0 } }
    #expect(UInt64(blocks.count) == report.operations[.trim] && blocks.count > 60)
    let later = job + ["--verify_only", "--verify_state_load"]
    let good = try await runJobs(later)
    let compared: UInt64 = wantsZeroes == 1 ? 1 << 20 : 1 << 20 - UInt64(blocks.count) << 12
    #expect(good.exitCode == .allHeld && good.verify?.bytes == compared && good.operations[.trim] == nil)
    bytes[blocks[10] << 12 + 100] = 1
    let descriptor = try FileDescriptor.open(FilePath(file.path), .writeOnly)
    try descriptor.closeAfter { _ = try descriptor.writeAll(bytes) }
    let bad = try await runJobs(later)
    #expect(bad.verify?.mismatches == UInt64(wantsZeroes) && bad.findings.count == wantsZeroes)
  }

  @Test("after a power cut what a flush has covered is there, trims too", arguments: [1, 2, 3] as [UInt64])
  func powerCut(seed: UInt64) async throws {
    let file = try ScratchFile([UInt8](repeating: 0, count: 1 << 20))
    let slash = file.path.lastIndex(of: "/") ?? file.path.startIndex
    let folder = String(file.path[..<slash]), name = String(file.path[file.path.index(after: slash)...])
    defer { TemporaryFile.remove("\(folder)/local-\(name)-0-verify.state") }
    func run(_ more: [String]) async throws -> RunReport {
      try await runJobs(
        [
          "--aux-path=\(folder)", "--name=\(name)", "--filename=\(file.path)", "--rw=randwrite", "--size=1m",
          "--iodepth=8", "--verify=crc32c", "--randseed=\(seed)", "--norandommap", "--fsync=16", "--io_size=4m",
          "--number_ios=905", "--trim_percentage=30", "--trim_backlog=32", "--do_verify=0",
        ] + more)
    }
    let cut = try await run(["--volatile-cache=1m"])
    #expect(cut.findings.isEmpty && cut.operations[.trim] ?? 0 > 100)
    let kept = try await run(["--verify_only", "--verify_state_load"])
    #expect(kept.findings.isEmpty && kept.verify?.bytes ?? 0 > 1 << 18)
    let lying = try await run(["--volatile-cache=1m", "--fault=flush:lie"])
    #expect(lying.findings.isEmpty)
    let lost = try await run(["--verify_only", "--verify_state_load"])
    #expect(lost.exitCode == .verificationMismatch)
  }

  @Test("needs verify, a device, and a state where an earlier run is verified")
  func refusals() {
    for arguments in [
      ["--filename=x"], ["--target=fs", "--size=1m"],
      ["--filename=x", "--verify=crc32c", "--verify_only", "--randseed=1"],
    ] {
      #expect(throws: JobError.self) {
        try WorkloadPlan(RunArguments(["--name=a", "--rw=write", "--trim_percentage=10"] + arguments), files: [])
      }
    }
  }
}
