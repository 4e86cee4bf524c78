import Glibc
import Support
import Synchronization
import Testing

@testable import Workload

extension ReportStamp {
  /// The same in every test.
  static let test = ReportStamp(version: "0.0.0", milliseconds: 1_795_769_253_383, time: "Fri Nov 27 08:47:33 2026")
}

/// Two jobs with known latencies, put together as a run does it: a device's with all there can be, and a volume's.
func recordedReport() throws -> RunReport {
  let plan = try plan(
    arguments: [
      "--ioengine=null", "--size=1m", "--randseed=7", "--numjobs=2", "--name=a", "--rw=randrw", "--iodepth=4",
      "--rate_iops=1000", "--description=say \"hello\", twice", "--group_reporting", "--slat_percentiles",
      "--name=b", "--rw=trim", "--stonewall", "--lat_percentiles=1", "--percentile_list=50:99.9",
      "--continue_on_error=io", "--numjobs=1",
    ])
  let first = OperationRecorder(), second = OperationRecorder(), trims = OperationRecorder()
  for index in 1...500 as ClosedRange<UInt64> {
    // 1 to 500 us, of which 200 ns are the submission; the last ten began 5 ms late.
    first.record(
      .read, bytes: 4096, nanoseconds: index * 1000, submission: 200, lateness: index > 490 ? 5_000_000 : 0)
    second.record(
      .read, bytes: 4096, nanoseconds: (500 + index) * 1000, submission: 200, lateness: 0)
    first.noteDepth(index == 1 ? 1 : 4)
    first.noteRound(begun: 1, completed: index == 1 ? 0 : 1)
  }
  for _ in 0..<10 { first.record(.write, bytes: 4096, nanoseconds: 30_000_000, submission: 900, lateness: 0) }
  first.record(.fsync, bytes: 0, nanoseconds: 250_000)
  first.record(.writeZeroes, bytes: 65_536, nanoseconds: 80_000, submission: 300)
  for index in 1...3 as ClosedRange<UInt64> {
    trims.record(.trim, bytes: 4096, nanoseconds: index * 40, submission: 20)
  }
  trims.recordError(5)
  func figures(_ job: Int, _ copy: Int, _ recorder: OperationRecorder, _ milliseconds: UInt64) -> CopyFigures {
    CopyFigures(
      jobIndex: job, copy: copy, errorCount: recorder.errorCount, firstError: recorder.firstError,
      runtimeNanoseconds: milliseconds * 1_000_000, records: recorder.records, queue: recorder.queue)
  }
  var report = RunReport(command: "blkdev-run a.fio", seed: 7, elapsedNanoseconds: 2_100_000_000)
  report.fill([figures(0, 0, first, 2000), figures(0, 1, second, 1999), figures(1, 0, trims, 100)], of: plan)
  // 300, 100 and 200 reads in half a second each, and some in the last, which is not whole.
  var done = PerOperation<RateSeries.Amount>()
  for (index, count) in [300, 400, 600, 607].enumerated() as EnumeratedSequence<[UInt64]> {
    done[.read] = RateSeries.Amount(count: count, byteCount: count * 4096)
    report.groups[0].rates.close(until: min(1_900_000_000, 500_000_000 * UInt64(index + 1)), done)
  }
  var series = TimeSeries(binNanoseconds: 500_000_000)
  for (bin, count) in [300, 100, 200, 7].enumerated() as EnumeratedSequence<[Int]> {
    for _ in 0..<count { series.record(.read, at: UInt64(bin) * 500_000_000, bytes: 4096, nanoseconds: 1000) }
  }
  report.groups[0].series = series
  var time = ProcessorTime()
  (time.user, time.system, time.voluntarySwitches, time.involuntarySwitches) = (25_000_000, 1_234_567, 10, 2)
  time.minorFaults = 34
  report.groups[1].processor = time
  return report
}

@Suite("Reports of the same run in every format")
struct OutputFormatTests {
  private static let folder =
    #filePath.split(separator: "/").dropLast(2).map { "/\($0)" }.joined() + "/Golden/"

  static let formats: [(name: String, make: @Sendable (RunReport) -> String)] = [
    ("report.normal", { NormalReport.text($0) }),
    ("report.json", { JSONReport.text($0, .test) }),
    ("report.json+", { JSONReport.text($0, .test, .init(hasBins: true)) }),
    ("report.line.json", { JSONReport.text($0, .test, .init(isLine: true, isInterim: true)) }),
    ("report.terse2", { TerseReport.text($0, .test, version: 2) }),
    ("report.terse3", { TerseReport.text($0, .test, version: 3) }),
    ("report.terse4", { TerseReport.text($0, .test, version: 4) }),
    ("report.terse5", { TerseReport.text($0, .test, version: 5) }),
    ("report.csv", { CSVReport.text($0) }),
  ]

  /// `WRITE_GOLDEN=1` writes the files anew; what has changed is then looked at by hand.
  @Test("are the golden ones", arguments: formats.map(\.name))
  func golden(_ name: String) throws {
    let format = try #require(Self.formats.first { $0.name == name })
    let text = format.make(try recordedReport())
    if unsafe getenv("WRITE_GOLDEN") != nil {
      let file = unsafe fopen(Self.folder + name, "w")
      try #require(unsafe file != nil)
      unsafe fputs(text, file)
      unsafe fclose(file)
    }
    let expected = String(decoding: try TemporaryFile.read(Self.folder + name), as: UTF8.self)
    #expect(text == expected)
  }

  @Test("in JSON are JSON, on one line too, and tell the same")
  func sameDocument() throws {
    let report = try recordedReport()
    let text = JSONReport.text(report, .test, .init(hasBins: true))
    let line = JSONReport.text(report, .test, .init(hasBins: true, isLine: true))
    #expect(line.filter { $0 == "\n" }.count == 1)
    #expect(try JSONChecker.parse(text) == JSONChecker.parse(line))
  }

  @Test("have what fio-plot looks up in each job, also where nobody has measured it")
  func lookups() throws {
    let document = try JSONChecker.parse(JSONReport.text(try recordedReport(), .test))
    guard case .array(let jobs)? = document["jobs"] else {
      Issue.record("no jobs")
      return
    }
    for job in jobs {
      for key in ["iodepth", "numjobs", "bs", "rw"] { #expect(job["job options"]?[key] != nil, "\(key)") }
      for key in ["latency_ns", "latency_us", "latency_ms", "usr_cpu", "sys_cpu"] { #expect(job[key] != nil, "\(key)") }
      for key in ["bw", "iops", "iops_stddev"] { #expect(job["read"]?[key] != nil, "\(key)") }
      for key in ["mean", "stddev"] { #expect(job["read"]?["lat_ns"]?[key] != nil, "\(key)") }
    }
    #expect(document["fio version"] == .string("fio-3.33-blkdev-run-0.0.0"))
  }

  @Test("sample bandwidth and IOPS each half second, but for the one in which the job ended")
  func samples() throws {
    let group = try recordedReport().groups[0]
    let iops = try #require(RateSamples.iops(group, .read))
    #expect(iops.count == 3 && iops.minimum == 200 && iops.maximum == 600)
    #expect(iops.meanMillionths == 400_000_000 && iops.deviationMillionths == 200_000_000)
    let bandwidth = try #require(RateSamples.bandwidth(group, .read))
    #expect(bandwidth.minimum == 800 && bandwidth.maximum == 2400 && bandwidth.meanMillionths == 1_600_000_000)
    // Of 2000 KiB/s.
    #expect(bandwidth.share(ofKibibytes: 2000) == 80_000_000)
    #expect(RateSamples.iops(group, .write) == nil)
  }

  @Test("without a clock name no time")
  func noClock() throws {
    let text = JSONReport.text(try recordedReport(), ReportStamp(version: "1"))
    #expect(try JSONChecker.parse(text).keys == ["fio version", "global options", "jobs", "blkdev"])
  }

  @Test(
    "a latency is in the bucket that fio has for it",
    arguments: [
      (0, 0), (127, 127), (128, 129), (129, 129), (33_229, 33_024), (303_452, 305_152), (4_907_719, 4_882_432),
      (9408, 9408), (17_112_760_320, 17_112_760_320), (UInt64.max, 17_112_760_320),
    ] as [(UInt64, UInt64)])
  func bins(_ latency: UInt64, _ bin: UInt64) { #expect(LatencySummary.fioBin(of: latency) == bin) }

  @Test("percentiles are the values that so many operations do not exceed")
  func percentiles() throws {
    let summary = LatencySummary(
      minimum: 10, maximum: 40, sum: 100,
      buckets: [10, 20, 30, 40].map { .init(lowest: $0, highest: $0, count: 1) })
    let wanted: [(UInt64, UInt64)] = [
      (1, 10), (25_000_000, 10), (25_000_001, 20), (50_000_000, 20), (75_000_000, 30), (99_999_000, 40),
      (100_000_000, 40), (.max, 40),
    ]
    for (percentile, value) in wanted { #expect(summary.value(at: percentile) == value, "\(percentile)") }
    #expect(summary.meanPicoseconds == 25_000 && summary.deviationPicoseconds == 12_909)
  }
}

@Suite("Reports while a run goes on")
struct StatusTests {
  /// Collects what a run tells, and stops it after so many times.
  private final class Watcher: Sendable {
    private let state = Mutex<(reports: [RunReport], control: RunControl?)>(([], nil))
    var reports: [RunReport] { state.withLock { $0.reports } }

    func control(interval: UInt64, plan: WorkloadPlan, stopAfter limit: Int) -> RunControl {
      let control = RunControl(
        logger: quietControl().logger, statusInterval: interval,
        onStatus: { [weak self] snapshot in
          self?.state.withLock { state in
            state.reports.append(snapshot.report(of: plan))
            if state.reports.count == limit { state.control?.requestStop() }
          }
        })
      state.withLock { $0.control = control }
      return control
    }
  }

  @Test("come each interval of the virtual clock, and do not change the run", arguments: ["dev", "fs"])
  func simulated(_ target: String) async throws {
    let arguments =
      target == "fs"
      ? smallStorm(engine: "sim", runtime: "60ms")
      : ["--name=a", "--ioengine=sim", "--rw=randwrite", "--size=1m", "--time_based", "--runtime=60ms", "--numjobs=2"]
    let plan = try plan(arguments: arguments).seeded(with: 1)
    let watcher = Watcher()
    let watched = try await WorkloadRunner.run(
      plan, control: watcher.control(interval: 20_000_000, plan: plan, stopAfter: .max))
    let alone = try await WorkloadRunner.run(plan, control: quietControl())
    #expect(JSONReport.text(watched, .test) == JSONReport.text(alone, .test))
    let times = watcher.reports.map(\.elapsedNanoseconds)
    #expect(times.count >= 2)
    #expect(zip(times, 1...).allSatisfy { $0 >= UInt64($1) * 20_000_000 })
    let counts = watcher.reports.map { $0.operations.present.reduce(0) { $0 + $1.value } }
    #expect(counts == counts.sorted() && counts.first ?? 0 > 0)
    #expect(counts.last ?? 0 <= alone.operations.present.reduce(0) { $0 + $1.value })
  }

  @Test("have all copies in them, each on its own thread")
  func threads() async throws {
    let plan = try plan(arguments: [
      "--name=a", "--ioengine=null", "--rw=randread", "--size=1m", "--time_based", "--runtime=1h", "--numjobs=3",
      "--rate_iops=1000",
    ]).seeded(with: 1)
    let watcher = Watcher()
    _ = try await WorkloadRunner.run(
      plan, control: watcher.control(interval: 20_000_000, plan: plan, stopAfter: 3))
    #expect(watcher.reports.count >= 3)
    #expect(watcher.reports.allSatisfy { $0.groups.count == 3 })
  }
}
