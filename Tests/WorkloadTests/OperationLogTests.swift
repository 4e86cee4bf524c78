import Glibc
import Support
import Testing

@testable import Workload

/// The logs of a run, by what their names begin with; they go with it.
private final class Logs {
  /// A line of a log.
  struct Line: Equatable {
    let milliseconds: UInt64
    let value: UInt64
    let direction: UInt64
    let byteCount: UInt64
    let offset: UInt64?
  }
  private let file: ScratchFile
  private var made: Set<String> = []
  var name: String { file.path }

  init() throws { file = try ScratchFile([]) }
  deinit { for path in made { TemporaryFile.remove(path) } }

  /// What makes a job write them all.
  var options: [String] { ["bw", "lat", "iops"].map { "--write_\($0)_log=\(name)" } }

  func path(_ kind: String, _ number: Int? = 1) -> String {
    let path = "\(name)_\(kind)\(number.map { ".\($0)" } ?? "").log"
    made.insert(path)
    return path
  }

  func lines(_ kind: String, _ number: Int? = 1) throws -> [Line] {
    let text = String(decoding: try TemporaryFile.read(path(kind, number)), as: UTF8.self)
    #expect(text.isEmpty || text.hasSuffix("\n"))
    return try text.split(separator: "\n").map { line in
      let words = line.split(separator: ",").map { $0.drop { $0 == " " } }
      let numbers = try words.map { try #require(UInt64($0)) }
      try #require(numbers.count == 5 || numbers.count == 6)
      #expect(numbers.last == 0 && line.split(separator: ", ").count == numbers.count)
      return Line(
        milliseconds: numbers[0], value: numbers[1], direction: numbers[2], byteCount: numbers[3],
        offset: numbers.count == 6 ? numbers[4] : nil)
    }
  }
}

@Suite("Logs of bandwidth, latencies and IOPS")
struct OperationLogTests {
  private static let kinds = ["bw", "slat", "clat", "lat", "iops"]
  private static let directions: [ReportedOperation] = [.read, .write, .trim]

  /// In picoseconds, rounded down as the report's; nil of nothing.
  private static func mean(_ lines: [Logs.Line]) -> UInt64? {
    lines.isEmpty ? nil : lines.reduce(0) { $0 + $1.value } * 1000 / UInt64(lines.count)
  }

  @Test("each operation has a line, and their sums are those of the report", arguments: ["sim", "mem"])
  func everyOperation(_ engine: String) async throws {
    let logs = try Logs()
    let report = try await runJobs(
      [
        "--name=a", "--ioengine=\(engine)", "--rw=randrw", "--bssplit=4k/50:16k/50", "--size=4m", "--iodepth=8",
        "--fsync=32", "--numjobs=2", "--log_offset",
      ] + logs.options)
    #expect(report.exitCode == .allHeld && report.groups.count == 2)
    for (index, group) in report.groups.enumerated() {
      let number = index + 1
      for kind in Self.kinds {
        let lines = try logs.lines(kind, number)
        #expect(Set(lines.map(\.offset)).count > lines.count / 3)
        #expect(zip(lines, lines.dropFirst()).allSatisfy { $0.milliseconds <= $1.milliseconds })
        for (direction, operation) in Self.directions.enumerated() {
          let part = lines.filter { $0.direction == direction }, figures = group.operations[operation]
          #expect(UInt64(part.count) == figures?.count ?? 0)
          #expect(part.reduce(0) { $0 + $1.byteCount } == figures?.bytes ?? 0)
          #expect(part.allSatisfy { $0.offset.map { $0 < 4 << 20 && $0.isMultiple(of: 4096) } ?? false })
          let mean = Self.mean(part)
          switch kind {
          case "slat": #expect(mean == figures?.submission?.meanPicoseconds)
          case "clat": #expect(mean == figures?.completion?.meanPicoseconds)
          case "lat": #expect(mean == figures?.latency?.meanPicoseconds)
          case "iops": #expect(part.allSatisfy { $0.value == 1 })
          default: break
          }
        }
      }
      for (bandwidth, latency) in zip(try logs.lines("bw", number), try logs.lines("clat", number)) {
        let expected: UInt64 = bandwidth.byteCount * 1_000_000_000 / max(1, latency.value) / 1024
        #expect(bandwidth.value == expected)
      }
    }
  }

  @Test("a last window of less than a half is part of the one before", arguments: [230, 260] as [UInt64])
  func lastWindow(_ end: UInt64) throws {
    let logs = try Logs()
    let plan = try WorkloadPlan(
      RunArguments(["--name=a", "--ioengine=mem", "--size=4k", "--log_avg_msec=100"] + logs.options), files: [])
    try plan.makeOperationLogs()
    let written = try #require(plan.operationLogs(jobIndex: 0, copy: 0))
    let operations: [(ReportedOperation, UInt64, UInt64)] = [
      (.read, 0, 1000), (.read, 50, 2000), (.read, 100, 4000), (.write, 101, 100), (.fsync, 110, 9), (.read, 230, 8),
    ]
    for (operation, milliseconds, nanoseconds) in operations {
      written.note(
        operation, bytes: 1 << 20, offset: 7, nanoseconds: nanoseconds, submission: nanoseconds / 4,
        at: milliseconds * 1_000_000)
    }
    written.end(at: end * 1_000_000)
    func lines(_ kind: String) throws -> [[UInt64]] {
      try logs.lines(kind).map { [$0.milliseconds, $0.value, $0.direction] }
    }
    let isJoined = end == 230
    #expect(
      try lines("iops") == [[100, 30, 0]] + (isJoined ? [[230, 7, 0], [230, 7, 1]] : [[200, 10, 1], [260, 16, 0]]))
    #expect(
      try lines("bw")
        == [[100, 30720, 0]] + (isJoined ? [[230, 7876, 0], [230, 7876, 1]] : [[200, 10240, 1], [260, 17066, 0]]))
    #expect(
      try lines("lat") == [[100, 2333, 0]]
        + (isJoined ? [[230, 8, 0], [230, 100, 1]] : [[200, 100, 1], [260, 8, 0]]))
    #expect(try lines("slat").map { $0[1] } == [583] + (isJoined ? [2, 25] : [25, 2]))
    #expect(try lines("clat").map { $0[1] } == [1750] + (isJoined ? [6, 75] : [75, 6]))
  }

  @Test("the windows of a run are together what the report has")
  func windows() async throws {
    let logs = try Logs()
    let report = try await runJobs(
      [
        "--name=a", "--ioengine=sim", "--rw=randrw", "--rwmixread=30", "--size=4m", "--rate_iops=1000,2000",
        "--log_avg_msec=100", "--numjobs=2",
      ] + logs.options)
    for (index, group) in report.groups.enumerated() {
      for (direction, operation) in [ReportedOperation.read, .write].enumerated() {
        var counts: [String: UInt64] = [:], start: UInt64 = 0
        for (kind, unit) in [("iops", 1), ("bw", 4)] as [(String, UInt64)] {
          start = 0
          for line in try logs.lines(kind, index + 1) where line.direction == direction {
            counts[kind, default: 0] += line.value * (line.milliseconds - start) / 1000 / unit
            start = line.milliseconds
          }
        }
        let figures = try #require(group.operations[operation])
        #expect(start > 200 && start / 100 * 100 + 100 > group.runtimeNanoseconds / 1_000_000)
        for count in counts.values { #expect(count <= figures.count && count + count / 20 >= figures.count) }
        let latencies = try logs.lines("lat", index + 1).filter { $0.direction == direction }.map(\.value)
        let summary = try #require(figures.latency)
        #expect(latencies.allSatisfy { $0 <= summary.maximum && $0 >= summary.minimum } && latencies.count > 2)
      }
    }
  }

  @Test("with log_max_value a window has its longest latency")
  func maximum() async throws {
    let logs = try Logs()
    let report = try await runJobs(
      [
        "--name=a", "--ioengine=sim", "--rw=randread", "--size=4m", "--iodepth=4", "--log_avg_msec=10",
        "--log_max_value",
      ] + logs.options)
    let lines = try logs.lines("lat")
    #expect(lines.count > 2 && lines.map(\.value).max() == report.latencies[.read]?.maximum)
  }

  @Test("files of a volume have the same logs, but no latency of submission")
  func files() async throws {
    let logs = try Logs()
    let report = try await runJobs(
      [
        "--name=a", "--target=fs", "--ioengine=sim", "--size=1m", "--fs_ops=write:4,append:4,read:4,fsync:1,truncate:1",
        "--iodepth=2", "--numjobs=2", "--per_job_logs=0", "--log_offset",
      ] + logs.options)
    #expect(report.exitCode == .allHeld)
    for kind in Self.kinds {
      let lines = try logs.lines(kind, nil)
      if kind == "slat" {
        #expect(lines.isEmpty)
        continue
      }
      for (direction, operation) in Self.directions.enumerated() {
        let part = lines.filter { $0.direction == direction }
        #expect(UInt64(part.count) == report.operations[operation] ?? 0)
        #expect(!["clat", "lat"].contains(kind) || Self.mean(part) == report.latencies[operation]?.meanPicoseconds)
      }
      #expect(lines.contains { $0.offset != 0 })
    }
  }

  @Test("what came before the ramp's end is in no log")
  func ramp() async throws {
    let logs = try Logs()
    let report = try await runJobs(
      [
        "--name=a", "--ioengine=sim", "--rw=randread", "--size=1m", "--ramp_time=20ms", "--runtime=50ms",
        "--time_based", "--iodepth=4",
      ] + logs.options)
    let lines = try logs.lines("lat")
    #expect(UInt64(lines.count) == report.operations[.read] ?? 0 && lines.count > 100)
    #expect(lines.allSatisfy { $0.milliseconds <= 51 && $0.offset == nil })
  }

  @Test("trims are 2, zeroing is a write, and flushes have no line")
  func directions() async throws {
    for (pattern, expected) in [("trimwrite", [1: 16, 2: 16]), ("writezeroes", [1: 16]), ("flush", [:])] {
      let logs = try Logs()
      _ = try await runJobs(
        [
          "--name=a", "--ioengine=mem", "--rw=\(pattern)", "--size=64k", "--number_ios=32",
          "--write_lat_log=\(logs.name)",
        ])
      var counts: [Int: Int] = [:]
      for line in try logs.lines("lat") { counts[Int(line.direction), default: 0] += 1 }
      #expect(counts == expected, "\(pattern)")
      for kind in ["slat", "clat"] { _ = logs.path(kind) }
      #expect(!isThere(logs.path("bw")))
    }
  }

  @Test("copies are numbered through all jobs; without a name it is the job's")
  func names() async throws {
    let logs = try Logs()
    _ = try await runJobs([
      "--ioengine=mem", "--size=64k", "--write_iops_log=\(logs.name)", "--name=a", "--numjobs=2", "--name=b",
      "--stonewall",
    ])
    for number in 1...3 { #expect(try logs.lines("iops", number).count == 16) }
    #expect(!isThere(logs.path("iops", 4)))
    let job = try WorkloadPlan(RunArguments(["--name=a", "--filename=x", "--write_bw_log"]), files: []).jobs[0]
    #expect(job.logging.bandwidth == "a" && job.logging.latency == nil && job.logging.isPerCopy)
  }

  @Test("a log is made anew; one that cannot be written is an error at the begin, or a finding")
  func unwritable() async throws {
    let logs = try Logs()
    for _ in 0..<2 {
      _ = try await runJobs([
        "--name=a", "--ioengine=mem", "--size=64k", "--write_iops_log=\(logs.name)", "--per_job_logs=0",
      ])
      #expect(try logs.lines("iops", nil).count == 16)
    }
    for target in ["dev", "fs"] {
      await #expect(throws: RunError.self) {
        try await runJobs([
          "--name=a", "--target=\(target)", "--ioengine=mem", "--size=64k", "--write_bw_log=/nowhere/log",
        ])
      }
      let full = try Logs()
      #expect(unsafe symlink("/dev/full", full.path("clat")) == 0)
      for kind in ["slat", "lat"] { _ = full.path(kind) }
      let report = try await runJobs([
        "--name=a", "--target=\(target)", "--ioengine=mem", "--size=64k", "--write_lat_log=\(full.name)",
      ])
      #expect(report.findings.map(\.context) == ["write_lat_log"] && report.exitCode == .jobError)
      #expect(try full.lines("lat").count == 16)
    }
  }
}
