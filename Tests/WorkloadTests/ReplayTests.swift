import DeviceLayers
import Glibc
import Reactor
import Support
import SystemPackage
import Testing

@testable import Workload

@Suite("Record and replay")
struct ReplayTests {
  /// The operations of an iolog, without their times.
  static func operations(_ path: String) throws -> [String] {
    let lines = String(decoding: try TemporaryFile.read(path), as: UTF8.self).split(separator: "\n")
    return lines.dropFirst().map { $0.split(separator: " ").dropFirst() }.filter { $0.count == 4 }
      .map { $0.joined(separator: " ") }
  }

  static func replay(_ text: String, _ more: [String] = []) async throws -> RunReport {
    let log = try ScratchFile(Array(text.utf8))
    return try await runJobs(["--name=r", "--ioengine=sim", "--read_iolog=\(log.path)"] + more)
  }

  @Test("what is replayed is what was recorded", arguments: ["sim", "mem", "null"])
  func roundTrip(engine: String) async throws {
    let first = try ScratchFile([]), second = try ScratchFile([])
    let recorded = try await runJobs([
      "--name=a", "--filename=x:y", "--ioengine=\(engine)", "--rw=randrw", "--size=512k", "--iodepth=8", "--fsync=16",
      "--fdatasync=5", "--end_fsync", "--write_iolog=\(first.path)",
    ])
    let operations = try Self.operations(first.path)
    let count: UInt64 = recorded.operations.present.reduce(0) { $0 + $1.value }
    #expect(UInt64(operations.count) == count)
    #expect(operations.contains { $0.contains("datasync") } && operations.contains { $0.contains(" sync") })
    let replayed = try await runJobs([
      "--name=b", "--ioengine=\(engine)", "--read_iolog=\(first.path)", "--iodepth=8",
      "--write_iolog=\(second.path)",
    ])
    #expect(try Self.operations(second.path) == operations)
    #expect(replayed.operations == recorded.operations && replayed.exitCode == .allHeld)
    #expect(replayed.replays.map(\.operations) == [count])
  }

  @Test("trims are recorded and replayed; write zeroes have no word in a log")
  func trims() async throws {
    let log = try ScratchFile([])
    _ = try await runJobs([
      "--name=a", "--ioengine=mem", "--rw=trimwrite", "--size=64k", "--write_iolog=\(log.path)",
    ])
    let report = try await runJobs(["--name=b", "--ioengine=mem", "--read_iolog=\(log.path)"])
    #expect(report.operations[.trim] == 16 && report.operations[.write] == 16)
    await #expect(throws: JobError.self) {
      try await runJobs([
        "--name=a", "--ioengine=mem", "--rw=writezeroes", "--size=64k", "--write_iolog=\(log.path)",
      ])
    }
  }

  @Test("each copy writes a log of its own, and takes one of its own")
  func copies() async throws {
    let log = try ScratchFile([])
    defer { for copy in 0..<2 { unsafe unlink("\(log.path).\(copy)") } }
    _ = try await runJobs([
      "--name=a", "--ioengine=mem", "--rw=randwrite", "--size=64k", "--numjobs=2", "--write_iolog=\(log.path)",
    ])
    let report = try await runJobs([
      "--name=b", "--ioengine=mem", "--numjobs=2", "--read_iolog=\(log.path).0:\(log.path).1",
    ])
    #expect(report.operations[.write] == 32)
    #expect(report.replays.map(\.paths) == [["\(log.path).0", "\(log.path).1"]])
    await #expect(throws: RunError.self) {
      try await runJobs([
        "--ioengine=mem", "--size=64k", "--write_iolog=\(log.path)", "--name=a", "--name=b",
      ])
    }
  }

  static let timed = """
    fio version 3 iolog
    100 x add
    100 x open
    100 x write 0 4096
    1100 x read 0 4096
    200100 x sync 0 0
    500100 x write 8192 4096
    500100 x close

    """

  @Test(
    "begins operations when the log says, scaled, or as fast as can be",
    arguments: [
      ([], 500_000_000), (["--replay_time_scale=200"], 250_000_000), (["--replay_time_scale=50"], 1_000_000_000),
      (["--replay_no_stall"], 0),
    ] as [([String], UInt64)])
  func times(_ options: [String], _ nanoseconds: UInt64) async throws {
    let report = try await Self.replay(Self.timed, options)
    // On the virtual clock: the last operation takes at most a fifth of a millisecond.
    let range = nanoseconds...nanoseconds + 2_000_000
    #expect(range.contains(report.elapsedNanoseconds))
    let figures = try #require(report.replays.first)
    #expect(figures.operations == 4)
    #expect((figures.drift == nil) == (nanoseconds == 0))
    if let drift = figures.drift { #expect(drift.maximum == 0 && drift.count == 4) }
  }

  @Test("a burst that is late makes nothing behind it late, and how late it was is told")
  func drift() async throws {
    var text = "fio version 3 iolog\n0 x add\n"
    for index in 0..<50 { text += "0 x write \(index * 4096) 4096\n" }
    text += "1000000 x write 0 4096\n"
    let report = try await Self.replay(text)
    let drift = try #require(report.replays.first?.drift)
    // Depth 1, 20 to 200 µs each, one after the other.
    #expect(drift.maximum > 49 * 20_000 && drift.maximum < 50 * 200_000)
    let end: ClosedRange<UInt64> = 1_000_000_000...1_000_200_000
    #expect(end.contains(report.elapsedNanoseconds))
    let deep = try await Self.replay(text, ["--iodepth=64"])
    #expect(deep.replays.first?.drift?.maximum == 0)
    #expect(NormalReport.text(report).contains("  began late ("))
    #expect(JSONReport.text(report, .test).contains("\"late_ns\""))
  }

  static let longGap = "fio version 3 iolog\n0 x add\n0 x write 0 4096\n10000000000000 x write 0 4096\n"

  @Test("the end of the run time ends the wait for an operation that is due later")
  func runtime() async throws {
    let report = try await Self.replay(Self.longGap, ["--runtime=1"])
    let end: UInt64 = 1_000_000_000
    #expect(report.elapsedNanoseconds == end && report.operations[.write] == 1)
    let rated = try await runJobs([
      "--name=a", "--ioengine=sim", "--size=64k", "--rate=1k", "--runtime=6",
    ])
    let ended: UInt64 = 6_000_000_000
    #expect(rated.elapsedNanoseconds == ended && rated.operations[.read] == 2)
  }

  @Test("whoever stops the run need not wait for an operation that is due in a hundred days")
  func stop() async throws {
    let log = try ScratchFile(Array(Self.longGap.utf8))
    let control = quietControl()
    async let report = runJobs(["--name=r", "--ioengine=mem", "--read_iolog=\(log.path)"], control: control)
    try await Task.sleep(for: .milliseconds(20))
    control.requestStop()
    #expect(try await report.isInterrupted)
  }

  @Test("wait of version 2 has milliseconds after the start, as fio takes it")
  func version2() async throws {
    let report = try await Self.replay(
      """
      fio version 2 iolog
      x add
      x open
      x write 0 4096
      x wait 300 0
      x write 4096 4096
      x wait 700 0
      x datasync 0 0
      x close
      """)
    let end: ClosedRange<UInt64> = 700_000_000...700_400_000
    #expect(end.contains(report.elapsedNanoseconds))
    #expect(report.operations[.write] == 2 && report.operations[.fsync] == 1)
    #expect(report.replays.first?.cutOff == [])
  }

  @Test("redirects, scales, aligns and skips")
  func transforms() async throws {
    let text = """
      fio version 3 iolog
      0 x add
      0 y add
      0 x write 40960 4096
      1 y read 21504 1024
      2 y sync 0 0
      3 y trim 512 512

      """
    let log = try ScratchFile([])
    _ = try await Self.replay(
      text,
      [
        "--replay_redirect=z", "--replay_scale=2", "--replay_align=4k", "--replay_skip=sync,trim",
        "--write_iolog=\(log.path)",
      ])
    #expect(try Self.operations(log.path) == ["z write 20480 4096", "z read 8192 1024"])
  }

  @Test("works on no file that filename does not name")
  func names() async throws {
    let good = try await Self.replay(Self.timed, ["--filename=x:other"])
    #expect(good.exitCode == .allHeld)
    await #expect(throws: RunError.self) { try await Self.replay(Self.timed, ["--filename=other"]) }
    let log = try ScratchFile(Array(Self.timed.utf8)), small = try ScratchFile([UInt8](repeating: 0, count: 8192))
    await #expect {
      try await runJobs(["--name=r", "--read_iolog=\(log.path)", "--replay_redirect=\(small.path)"])
    } throws: { "\($0)".contains("has 8192 bytes, and \(log.path) goes to byte 12288") }
  }

  @Test(
    "a line that makes no sense is refused with its place and what was expected",
    arguments: [
      ("", 0, TraceError.Problem.unknownFormat), ("fio version 1 iolog\n", 0, .unknownFormat),
      ("3 0 x add\n", 2, .unknownFormat),
      ("fio version 3 iolog\n0 x\n", 2, .malformed(version: 3)),
      ("fio version 3 iolog\n0 x add more\n", 2, .malformed(version: 3)),
      ("fio version 2 iolog\nx write 0\n", 2, .malformed(version: 2)),
      ("fio version 3 iolog\n0 x add\n0 x wirte 0 512\n", 3, .unknownAction("wirte", version: 3)),
      ("fio version 3 iolog\n0 x add\n0 x unlink\n", 3, .unknownAction("unlink", version: 3)),
      ("fio version 3 iolog\n0 x add\n0 x wait 0 512\n", 3, .waitInVersion3),
      ("fio version 3 iolog\n0 x open\n", 2, .nameNotAdded("x")),
      ("fio version 3 iolog\n0 x add\n\n0 y read 0 512\n", 4, .nameNotAdded("y")),
      ("fio version 3 iolog\n-1 x add\n", 2, .notANumber("-1")),
      ("fio version 3 iolog\n0 x add\n0 x read 0 5e3\n", 3, .notANumber("5e3")),
      ("fio version 3 iolog\n0 x add\n0 x read 99999999999999999999 512\n", 3, .notANumber("99999999999999999999")),
      ("fio version 3 iolog\n18446744073709551615 x add\n", 2, .timeTooLarge(limit: 10_000_000_000_000)),
      ("fio version 3 iolog\n0 x add\n0 x read 0 0\n", 3, .badLength(0, limit: 1 << 30)),
      (
        "fio version 3 iolog\n0 x add\n0 x write 0 18446744073709551104\n", 3,
        .badLength(18446744073709551104, limit: 1 << 30)
      ),
      ("fio version 3 iolog\n0 x add\n0 x read 100 512\n", 3, .notSectors(offset: 100, length: 512)),
      (
        "fio version 3 iolog\n0 x add\n0 x read 18446744073709551104 512\n", 3,
        .pastAnyDevice(offset: 18446744073709551104)
      ),
      (
        "fio version 3 iolog\n0 x add\n0 x read 1125899906842624 512\n", 3, .pastAnyDevice(offset: 1 << 50)
      ),
      ("fio version 3 iolog\n0 x add\n0 x open\n", 0, .nothingToReplay),
      ("fio version 3 iolog\n0 \(String(repeating: "x", count: 5000)) add\n", 2, .lineTooLong(limit: 4096)),
    ])
  func badLines(_ text: String, _ line: Int, _ problem: TraceError.Problem) async throws {
    let log = try ScratchFile(Array(text.utf8))
    // The format and the log as a whole have no line.
    let isWhole = problem == .unknownFormat || problem == .nothingToReplay
    let expected = TraceError(log.path, line: isWhole ? nil : line, problem)
    await #expect {
      try await runJobs(["--name=r", "--ioengine=sim", "--read_iolog=\(log.path)"])
    } throws: { error in
      guard case .trace(let found)? = error as? RunError else { return false }
      return found == expected
    }
  }

  @Test("binary traces of blktrace, folders and names that are no text are refused")
  func otherFiles() async throws {
    for bytes: [UInt8] in [[0x07, 0x74, 0x61, 0x65, 0, 0, 0, 0], [0x65, 0x61, 0x74, 0x07, 0, 0, 0, 0]] {
      let log = try ScratchFile(bytes)
      await #expect { try await runJobs(["--name=r", "--ioengine=sim", "--read_iolog=\(log.path)"]) } throws: {
        "\($0)".contains("blktrace")
      }
    }
    let log = try ScratchFile(Array("fio version 3 iolog\n0 ".utf8) + [0xFF] + Array(" add\n".utf8))
    await #expect { try await runJobs(["--name=r", "--ioengine=sim", "--read_iolog=\(log.path)"]) } throws: {
      "\($0)" == "\(log.path):2: the file's name is not UTF-8"
    }
    for path in ["/", "/dev/zero", "/nowhere/log"] {
      await #expect(throws: RunError.self) {
        try await runJobs(["--name=r", "--ioengine=sim", "--read_iolog=\(path)"])
      }
    }
  }

  @Test("a log that was cut off is replayed up to there, and that is said")
  func cutOff() async throws {
    let bytes = Array(Self.timed.utf8)
    var cuts = 0
    for count in 60..<bytes.count {
      let log = try ScratchFile(Array(bytes[..<count]))
      let report: RunReport
      do {
        report = try await runJobs(["--name=r", "--ioengine=sim", "--read_iolog=\(log.path)", "--replay_no_stall"])
      } catch let error as RunError {
        // Cut before the first operation.
        #expect("\(error)".contains("has no operation to replay"))
        continue
      }
      let figures = try #require(report.replays.first)
      let whole = bytes[..<count].split(separator: UInt8(ascii: "\n")).count
      #expect(figures.operations >= 1 && figures.operations <= 4)
      if !figures.cutOff.isEmpty {
        cuts += 1
        #expect(figures.cutOff == ["\(log.path):\(whole)"])
        #expect(NormalReport.text(report).contains("cut off: \(log.path):\(whole)"))
      }
    }
    #expect(cuts > 20)
  }

  @Test("no log makes it trap, whatever is in it", arguments: 0..<4)
  func garbage(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var log = WriteLog()
    log.entries = [
      WriteLogEntry([], sector: 1, sectorCount: 1, data: [UInt8](repeating: 1, count: 512)), WriteLogEntry(.flush),
      WriteLogEntry(.discard, sector: 2, sectorCount: 9),
    ]
    let originals = [Array(Self.timed.utf8), log.bytes]
    let job = try plan(arguments: ["--name=r", "--ioengine=sim", "--read_iolog=l"]).jobs[0]
    let replay = try #require(job.replay)
    var refused = 0
    for round in 0..<500 {
      var bytes = originals[round % 2]
      for _ in 0..<random.below(4) + 1 {
        bytes[random.below(bytes.count)] =
          round % 3 == 0 ? UInt8(random.below(256)) : UInt8(ascii: "0") + UInt8(random.below(10))
      }
      let file = try ScratchFile(bytes)
      do { _ = try ReplayLog.read(file.path, replay, device: "d") } catch { refused += 1 }
    }
    #expect(refused > 50 && refused < 500)
  }

  @Test("a log of writes is replayed with its flushes, forced unit access and discards; marks are left out")
  func writeLog() async throws {
    var log = WriteLog()
    func data(_ count: Int) -> [UInt8] { [UInt8](repeating: 7, count: count * 512) }
    log.entries = [
      WriteLogEntry([], sector: 8, sectorCount: 8, data: data(8)), WriteLogEntry(.mark, data: Array("here".utf8)),
      WriteLogEntry([.forcedUnitAccess, .flush], sector: 0, sectorCount: 1, data: data(1)),
      WriteLogEntry(.discard, sector: 16, sectorCount: 100), WriteLogEntry(.flush),
    ]
    let file = try ScratchFile(log.bytes), out = try ScratchFile([])
    let report = try await runJobs([
      "--name=r", "--ioengine=mem", "--read_iolog=\(file.path)", "--iodepth=8", "--write_iolog=\(out.path)", "--strict",
    ])
    #expect(report.findings.isEmpty)
    #expect(
      try Self.operations(out.path) == [
        "r write 4096 4096", "r sync 0 0", "r write 0 512", "r trim 8192 51200", "r sync 0 0",
      ])
    #expect(report.replays.first?.drift == nil)
    let cut = try ScratchFile(Array(log.bytes.dropLast(512 + 100)))
    let part = try await runJobs(["--name=r", "--ioengine=mem", "--read_iolog=\(cut.path)"])
    #expect(part.replays.first?.cutOff.count == 1)
    await #expect { try await runJobs(["--name=r", "--read_iolog=\(file.path)"]) } throws: {
      "\($0)".contains("names no device")
    }
  }

  @Test(
    "a flush of a log of writes begins when all writes before it have ended", arguments: 1...20 as ClosedRange<UInt64>)
  func barrier(seed: UInt64) async throws {
    var log = WriteLog()
    for sector in 0..<16 {
      log.entries.append(
        WriteLogEntry([], sector: UInt64(sector), sectorCount: 1, data: [UInt8](repeating: 1, count: 512)))
    }
    log.entries.append(WriteLogEntry(.flush))
    let file = try ScratchFile(log.bytes)
    let written = try ScratchFile([])
    // The layer that logs writes puts a flush behind what had completed when it began.
    var parsed = try RunArguments([
      "--name=r", "--ioengine=sim", "--read_iolog=\(file.path)", "--iodepth=32", "--write-log=\(written.path)",
    ])
    parsed.options.stack = try StackDescription(parsed.layers) { _ throws(Errno) in throw Errno.noSuchFileOrDirectory }
    _ = try await WorkloadRunner.run(try WorkloadPlan(parsed, files: []).seeded(with: seed), control: quietControl())
    let again = try WriteLog(bytes: TemporaryFile.read(written.path))
    let entries = again.entries.filter { !$0.flags.contains(.mark) }
    let flush = try #require(entries.firstIndex { $0.flags.contains(.flush) })
    let sectors = entries[..<flush].reduce(0) { $0 + $1.sectorCount }
    #expect(sectors == 16)
  }

  @Test("a log that cannot be written is an error, at its beginning or as a finding")
  func unwritable() async throws {
    await #expect(throws: RunError.self) {
      try await runJobs(["--name=a", "--ioengine=mem", "--size=4k", "--write_iolog=/nowhere/log"])
    }
    await #expect(throws: RunError.self) {
      try await runJobs(["--name=a", "--ioengine=mem", "--filename=a b", "--size=4k", "--write_iolog=/dev/null"])
    }
    let report = try await runJobs(["--name=a", "--ioengine=mem", "--size=4k", "--write_iolog=/dev/full"])
    #expect(report.findings.map(\.context) == ["write_iolog"] && report.exitCode == .jobError)
  }

  @Test("a file that jobs make is as long as the furthest of them goes")
  func furthest() async throws {
    let file = try ScratchFile([])
    _ = unsafe unlink(file.path)
    let report = try await runJobs([
      "--filename=\(file.path)", "--rw=write", "--size=64k", "--name=lower", "--name=upper", "--offset=64k",
      "--offset_increment=64k", "--numjobs=2",
    ])
    #expect(report.operations[.write] == 48)
    #expect(try TemporaryFile.read(file.path).count == 192 << 10)
  }
}
