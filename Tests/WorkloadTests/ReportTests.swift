import BlockDevice
import Ext2
import Ext2Tools
import PageCache
import SystemPackage
import Testing

@testable import Workload

/// A report of a storm with every figure in it.
func fullReport() -> RunReport {
  let latency = LatencySummary(
    minimum: 2_100, maximum: 8_063_500, sum: 1_330_000 * 69_870,
    buckets: [
      .init(lowest: 2_096, highest: 2_103, count: 500_000), .init(lowest: 53_000, highest: 53_247, count: 700_000),
      .init(lowest: 102_400, highest: 102_911, count: 129_999), .init(lowest: 8_060_928, highest: 8_093_695, count: 1),
    ])
  var report = RunReport(command: "blkdev-run --name=a", seed: .max, elapsedNanoseconds: 10_001_000_000)
  report.operations = [.read: 256, .write: 1_330_000, .truncate: 12, .fsync: 3]
  report.latencies = [.read: latency, .write: latency, .truncate: latency, .fsync: latency]
  report.groups = [
    GroupReport(
      name: "writers", groupID: 0, copies: 4, errors: 0, runtimeNanoseconds: 10_001_000_000,
      operations: [
        .read: OperationFigures(count: 256, bytes: 1 << 20),
        .write: OperationFigures(count: 1_330_000, bytes: 5_447_680_000, latency: latency),
        .truncate: OperationFigures(count: 12, bytes: 0),
      ])
  ]
  var writeback = WritebackCounters()
  writeback.batches = 3
  writeback.pages = 100
  writeback.bytes = 409_600
  writeback.largestBatchBytes = 131_072
  writeback.lookups = 5
  writeback.staleAfterFree = 2
  writeback.staleAfterAllocation = 1
  writeback.staleBatches = 3
  writeback.replannedPages = 9
  writeback.batchSizes = [0, 1, 2]
  report.writeback = writeback
  var device = DeviceFigures()
  device.reads = 1
  device.writes = 2
  device.flushes = 3
  device.discards = 4
  device.readBytes = 4096
  device.writeBytes = 409_600
  device.merges = 5
  device.admissionWaits = 6
  device.admissionWaitNanoseconds = 7_000
  device.systemCalls = 665_000
  device.requeues = 8
  report.device = device
  var volume = VolumeFigures()
  (volume.pages.hits, volume.pages.misses, volume.metadata.hits, volume.metadata.misses) = (10, 11, 12, 13)
  (volume.dirtyTime.pages, volume.dirtyTime.totalNanoseconds, volume.dirtyTime.maximumNanoseconds) = (2, 30_000, 20_000)
  (volume.givenBytes, volume.written.data, volume.written.tree) = (1 << 20, 1 << 20, 1 << 18)
  (volume.written.inodes, volume.written.bitmaps, volume.written.superblock) = (4096, 2048, 1024)
  report.volume = volume
  var processor = ProcessorTime()
  (processor.user, processor.system) = (1_330_000_000, 665_000_000)
  report.processor = processor
  var provenance = Provenance(version: "1.2.3", commit: "abc")
  (provenance.kernel, provenance.processor, provenance.processorCount) = ("Linux 6.1 x86_64", "Some processor", 2)
  provenance.memoryByteCount = 1 << 30
  provenance.fileSystems = [("/a", "ext4"), ("/b", "ext4")]
  report.provenance = provenance
  report.verify = VerifyFigures(bytes: 16 << 20, mismatches: 0)
  report.e2fsckExit = 0
  report.peakMemoryBytes = 48 << 20
  return report
}

let aMismatch = Finding(
  .contentMismatch, context: "after remount", file: "shared.0", offset: 4096, expected: "writer 1, operation 7",
  found: "grower.1", block: 77, blockOwner: "grower.1")

@Suite("The report as JSON")
struct JSONReportTests {
  @Test("is one document with every figure, in a fixed order, all integers")
  func everyFigure() throws {
    let text = JSONReport.text(fullReport(), .test)
    let document = try JSONChecker.parse(text)
    #expect(text == JSONReport.text(fullReport(), .test))
    #expect(document.keys == ["fio version", "timestamp", "timestamp_ms", "time", "jobs", "blkdev"])
    let blkdev = try #require(document["blkdev"])
    #expect(
      blkdev.keys == [
        "seed", "command", "elapsed_ns", "interrupted", "exit_code", "ops", "writeback", "volume", "device", "cpu",
        "latency_ns", "jobs", "verify", "e2fsck", "memory", "findings", "provenance",
      ])
    #expect(blkdev["seed"] == .number("18446744073709551615"))
    #expect(blkdev["elapsed_ns"] == .number("10001000000"))
    #expect(blkdev["ops"]?.keys == ["read", "write", "truncate", "fsync"])
    #expect(blkdev["ops"]?["write"] == .number("1330000"))
    #expect(
      blkdev["writeback"]?.keys == [
        "batches", "pages", "bytes", "mean_batch_bytes", "largest_batch_bytes", "batch_sizes_log2", "lookups",
        "stale_batches", "stale_after_free", "stale_after_allocation", "replanned_pages",
      ])
    #expect(blkdev["writeback"]?["mean_batch_bytes"] == .number("136533"))
    #expect(blkdev["writeback"]?["stale_batches"] == .number("3"))
    #expect(
      blkdev["device"]?.keys == [
        "reads", "writes", "flushes", "discards", "read_bytes", "write_bytes", "merges", "admission_waits",
        "admission_wait_ns", "system_calls", "eagain_requeues", "spurious_completions",
      ])
    #expect(blkdev["volume"]?["dirty_until_durable"]?["mean_ns"] == .number("15000"))
    #expect(blkdev["volume"]?["write_amplification_permille"] == .number("1256"))
    #expect(blkdev["cpu"]?["ns_per_op"] == .number("1499"))
    #expect(blkdev["provenance"]?["file_systems"]?["/b"] == .string("ext4"))
    #expect(blkdev["latency_ns"]?["truncate"]?.keys == ["mean", "p50", "p99", "p999", "p9999", "p99999", "max"])
    #expect(blkdev["latency_ns"]?["read"]?["p50"] == .number("53247"))
    #expect(blkdev["latency_ns"]?["read"]?["p999"] == .number("102911"))
    #expect(
      blkdev["verify"]
        == .object([
          .init(key: "bytes", value: .number("16777216")), .init(key: "mismatches", value: .number("0")),
        ]))
    #expect(blkdev["e2fsck"]?["exit"] == .number("0"))
    #expect(blkdev["memory"]?["peak_bytes"] == .number("50331648"))
    #expect(blkdev["findings"] == .array([]))
  }

  @Test("leaves out what does not apply")
  func absent() throws {
    var report = RunReport(command: "c", seed: 1, elapsedNanoseconds: 2)
    report.operations[.read] = 0
    report.writeback = WritebackCounters()
    let blkdev = try #require(try JSONChecker.parse(JSONReport.text(report, .test))["blkdev"])
    #expect(
      blkdev.keys == ["seed", "command", "elapsed_ns", "interrupted", "exit_code", "ops", "writeback", "findings"])
    #expect(blkdev["ops"]?.keys == ["read"])
    #expect(blkdev["writeback"]?["mean_batch_bytes"] == nil)
  }

  @Test("of a run that came to no end is one document too, which says why", arguments: runErrors)
  func failure(_ failure: (error: RunError, code: String, text: String)) throws {
    let plan = try plan(arguments: ["--name=a", "--filename=x"]).seeded(with: 9)
    let document = try JSONChecker.parse(JSONReport.text(failure.error, of: plan, .test))
    #expect(document.keys == ["fio version", "timestamp", "timestamp_ms", "time", "jobs", "blkdev"])
    #expect(document["jobs"] == .array([]))
    let blkdev = try #require(document["blkdev"])
    #expect(blkdev.keys == ["seed", "command", "exit_code", "error"])
    #expect(blkdev["seed"] == .number("9") && blkdev["exit_code"] == .number(failure.code))
    #expect(blkdev["command"] == .string("blkdev-run --name=a --filename=x --randseed=9"))
    #expect(blkdev["error"] == .string(failure.text))
  }

  static let runErrors: [(error: RunError, code: String, text: String)] = [
    (
      .file(path: "/x", step: "make a scratch folder", errno: 30), "5",
      "/x: make a scratch folder: Read-only file system"
    ),
    (
      .scratchImage(.cannotOpen(path: "/t/volume.img", step: "fallocate", .noSpace)), "5",
      "the scratch image: /t/volume.img: fallocate: No space left on device"
    ),
    (
      .scratchVolume(.bytes(.init(step: "write", offset: 4096, byteCount: 512, errno: .noSpace))), "5",
      "the scratch image: write of 512 bytes at byte 4096: No space left on device"
    ),
    (
      .scratchVolume(.tooSmall(byteCount: 8192, blockSize: 4096)), "1",
      "the scratch image: size: 8192 bytes are too few for a volume with blocks of 4096 bytes"
    ),
    (.device(.inUse(path: "x", by: "somebody")), "1", "x: in use by somebody"),
    (.volume(.notFound("f"), image: "disk.img"), "1", "disk.img: f: no such file or directory"),
    (.volume(.noSpace, image: nil), "1", "the scratch image: no space left on the volume"),
    (.deadlock("all wait"), "4", "all wait"),
  ]

  @Test("escapes what a name may contain")
  func escapes() throws {
    let odd = "quote \" backslash \\ newline \n tab \t bell \u{7} return \r slash / ü 🐟"
    var report = RunReport(command: odd, seed: 1, elapsedNanoseconds: 2)
    report.findings = [Finding(.checkFailed, context: odd), aMismatch]
    let blkdev = try #require(try JSONChecker.parse(JSONReport.text(report, .test))["blkdev"])
    #expect(blkdev["command"] == .string(odd))
    guard case .array(let findings)? = blkdev["findings"] else {
      Issue.record("no findings")
      return
    }
    #expect(findings[0]["context"] == .string(odd))
    #expect(
      findings[1].keys == ["kind", "context", "file", "offset", "expected", "found", "block", "block_owner"])
    #expect(findings[1]["block_owner"] == .string("grower.1"))
  }

  static let notJSON = [
    "", "{", "{\"a\":1,}", "{} {}", "[1 2]", "{\"a\":1,\"a\":2}", "01", "1.", "\"\u{1}\"", "\"\\x\"", "nul", "-",
    "{a:1}", "\"",
  ]

  @Test("is checked by a reader that refuses what is not JSON", arguments: notJSON)
  func checker(_ text: String) {
    #expect(throws: JSONChecker.Failure.self) { try JSONChecker.parse(text) }
  }
}

@Suite("The report in fio's shape")
struct NormalReportTests {
  @Test("has a block a job, a line a direction, percentiles, and then what fio has no words for")
  func everyFigure() {
    var report = fullReport()
    report.findings = [aMismatch]
    report.verify?.mismatches = 1
    let expected = """
      writers: (groupid=0, jobs=4): err= 0
        read: IOPS=25, BW=102KiB/s (105kB/s)(1024KiB/10001msec)
        write: IOPS=133k, BW=519MiB/s (545MB/s)(5195MiB/10001msec)
           lat (usec): min=2, max=8063, avg=69.87, stdev=45.03
          lat percentiles (usec):
           |  1.00th=[    3],  5.00th=[    3], 10.00th=[    3], 20.00th=[    3],
           | 30.00th=[    3], 40.00th=[   54], 50.00th=[   54], 60.00th=[   54],
           | 70.00th=[   54], 80.00th=[   54], 90.00th=[   54], 95.00th=[  103],
           | 99.00th=[  103], 99.50th=[  103], 99.90th=[  103], 99.95th=[  103],
           | 99.99th=[  103], 99.999th=[  103]
        truncate: IOPS=1, count=12
        lat (usec)   : 4=37.59%, 100=52.63%, 250=9.77%
        lat (msec)   : 10=0.01%

      Run status group 0 (all jobs):
         READ: bw=102KiB/s (105kB/s), 102KiB/s-102KiB/s (105kB/s-105kB/s), io=1024KiB (1049kB), run=10001-10001msec
        WRITE: bw=519MiB/s (545MB/s), 519MiB/s-519MiB/s (545MB/s-545MB/s), io=5195MiB (5448MB), run=10001-10001msec

      Writeback:
        batches=3, mean=133KiB, largest=128KiB, pages=100, bytes=400KiB, lookups=5
        stale batches discarded=3: after a free=2, after allocations=1; pages planned again=9
      Volume:
        pages: hits=10, misses=11; metadata: hits=12, misses=13
        dirty until durable: pages=2, mean=15usec, max=20usec
        written: data=1024KiB, trees=256KiB, inodes=4096B, bitmaps=2048B, superblock=1024B; amplification=1.25
      Device:
        reads=1 (4096B), writes=2 (400KiB), flushes=3, discards=4
        merges=5, waits for a place=6 (7usec), EAGAIN requeues=8
      An operation: cpu=1.49usec, system calls=0.49
      Memory: peak=48.0MiB
      Verified: 16.0MiB, mismatches=1
      e2fsck -fn: exit 0
      Verdict: 1 finding
        content mismatch: shared.0 at byte 4096: expected writer 1, operation 7, found grower.1; disk block 77 now \
      belongs to grower.1 (after remount)
      Run by: blkdev-run 1.2.3 (abc), Linux 6.1 x86_64, 2 x Some processor, ext4
      Seed: 18446744073709551615
      Repeat: blkdev-run --name=a

      """
    #expect(NormalReport.text(report) == expected)
  }

  @Test("says that all held, or that somebody stopped it")
  func verdicts() {
    var report = RunReport(command: "c", seed: 1, elapsedNanoseconds: 0)
    #expect(NormalReport.text(report).contains("Verdict: all held\n"))
    report.isInterrupted = true
    #expect(NormalReport.text(report).contains("Verdict: all held (interrupted)\n"))
  }

  static let exits: [([Finding.Kind], Bool, ExitCode)] = [
    ([], false, .allHeld), ([], true, .interrupted), ([.ioError], false, .jobError), ([.ioError], true, .jobError),
    ([.checkFailed], false, .invariantFailed), ([.ioError, .invariantFailed], true, .invariantFailed),
    ([.checkFailed, .contentMismatch], false, .verificationMismatch), ([.sizeMismatch], true, .verificationMismatch),
    ([.fileMissing, .ioError], false, .verificationMismatch),
  ]

  @Test("the exit code is that of the worst finding, and lost data is the worst", arguments: exits)
  func exitCodes(_ kinds: [Finding.Kind], _ interrupted: Bool, _ expected: ExitCode) {
    var report = RunReport(command: "c", seed: 1, elapsedNanoseconds: 0)
    report.findings = kinds.map { Finding($0) }
    report.isInterrupted = interrupted
    #expect(report.exitCode == expected)
  }

  @Test("a run that is slower than one before ends with 6, when nothing worse has happened and it is whole")
  func slower() throws {
    func document(_ mean: UInt64) throws -> [JSONValue] {
      try JSONValue.documents(
        in: """
          {"jobs":[{"jobname":"a","read":{"total_ios":1000,"clat_ns":{"N":1000,"mean":\(mean),"bins":{"\(mean)":1000}}}}]}
          """)
    }
    var report = RunReport(command: "c", seed: 1, elapsedNanoseconds: 0)
    report.comparison = Comparison(base: try document(1000), now: try document(1000))
    #expect(report.exitCode == .allHeld)
    report.comparison = Comparison(base: try document(1000), now: try document(2000))
    #expect(report.exitCode == .regression && report.exitCode.rawValue == 6)
    let text = NormalReport.text(report)
    #expect(
      text.contains(
        "  a: read: clat_mean_ns: ratio=2.000 (95%: 2.000 to 2.000, of operations), 2000 nsec after 1000 nsec: regression\n"
      ))
    #expect(text.contains("Verdict: all held, but slower than the run before\n"))
    report.isInterrupted = true
    #expect(report.exitCode == .interrupted)
    report.findings = [aMismatch]
    #expect(report.exitCode == .verificationMismatch)
  }

  static let numbers: [(UInt64, String, String)] = [
    (0, "0", "0"), (999, "999", "999"), (9999, "9999", "9999"), (10_000, "10.0k", "9.77Ki"),
    (12_345, "12.3k", "12.1Ki"),
    (133_456, "133k", "130Ki"), (133_500, "134k", "130Ki"), (1_826_000, "1826k", "1783Ki"),
    (1 << 20, "1049k", "1024Ki"), (1 << 30, "1074M", "1024Mi"), (19_990_000, "20.0M", "19.1Mi"),
    (99_960, "100k", "97.6Ki"), (.max, "18447P", "16384Pi"),
  ]

  @Test("large numbers have four digits at most, as fio prints them", arguments: numbers)
  func shortNumbers(_ number: UInt64, _ decimal: String, _ binary: String) {
    #expect(ReportNumber.short(number) == decimal)
    #expect(ReportNumber.short(number, .binary) == binary)
  }

  @Test("rates neither divide by zero nor overflow")
  func rates() {
    #expect(ReportNumber.perSecond(5, nanoseconds: 0) == 0)
    #expect(ReportNumber.perSecond(.max, nanoseconds: 1) == .max)
    #expect(ReportNumber.perSecond(.max, nanoseconds: 1_000_000_000) == .max)
    #expect(ReportNumber.perSecond(3, nanoseconds: 2_000_000_000) == 1)
  }
}

@Suite("The progress line")
struct ProgressLineTests {
  private func line(
    _ marks: [ProgressLine.Mark], permille: Int? = 420, read: UInt64 = 0, write: UInt64 = 519 << 20,
    reads: UInt64 = 0, writes: UInt64 = 133_000, remaining: UInt64? = 7
  ) -> String {
    ProgressLine(
      marks: marks, openFiles: 8, permille: permille, readBytesPerSecond: read, writeBytesPerSecond: write,
      readsPerSecond: reads, writesPerSecond: writes, remainingSeconds: remaining
    ).text
  }

  @Test("has fio's shape")
  func shape() {
    let marks = [ProgressLine.Mark](repeating: .randomWrite, count: 8)
    #expect(line(marks) == "Jobs: 8 (f=8): [w(8)][42.0%][w=519MiB/s][w=133k IOPS][eta 00m:07s]")
    #expect(
      line([.randomMixed, .randomMixed, .finished, .fsyncing], permille: 1000, read: 1 << 20, reads: 256, remaining: 0)
        == "Jobs: 3 (f=8): [m(2),_(1),F(1)][100.0%][r=1024KiB/s,w=519MiB/s][r=256,w=133k IOPS][eta 00m:00s]")
  }

  @Test(
    "fits into a terminal: rates make room first, then the jobs, and the time that is left last",
    arguments: [
      (100, "Jobs: 2 (f=8): [m(2)][42.0%][r=1024KiB/s,w=519MiB/s][r=256,w=133k IOPS][eta 00m:07s]"),
      (84, "Jobs: 2 (f=8): [m(2)][42.0%][r=1024KiB/s,w=519MiB/s][r=256,w=133k IOPS][eta 00m:07s]"),
      (83, "Jobs: 2 (f=8): [m(2)][42.0%][r=1024KiB/s,w=519MiB/s][eta 00m:07s]"),
      (64, "Jobs: 2 (f=8): [m(2)][42.0%][eta 00m:07s]"),
      (40, "Jobs: 2 (f=8): [42.0%][eta 00m:07s]"),
      (20, "Jobs: 2 (f=8): [42.0"), (0, ""), (-1, ""),
    ])
  func width(columns: Int, expected: String) {
    let line = ProgressLine(
      marks: [.randomMixed, .randomMixed], openFiles: 8, permille: 420, readBytesPerSecond: 1 << 20,
      writeBytesPerSecond: 519 << 20, readsPerSecond: 256, writesPerSecond: 133_000, remainingSeconds: 7)
    #expect(line.text(columns: columns) == expected)
  }

  @Test("says so when nothing tells how long it will take, and counts hours when there are some")
  func unknownEnd() {
    #expect(
      line([.verifying], permille: nil, write: 0, writes: 0, remaining: nil)
        == "Jobs: 1 (f=8): [V(1)][-.-%][r=0B/s][r=0 IOPS][eta --m:--s]")
    #expect(line([.verifying], remaining: 7_384).hasSuffix("[eta 02h:03m:04s]"))
  }

  @Test("a copy's letter is fio's for its pattern, and a mix of operations is random and mixed")
  func letters() throws {
    let patterns = ["read", "write", "randread", "randwrite", "rw", "randrw"]
    let marks = try patterns.map { pattern in
      ProgressLine.Mark(running: try plan(arguments: ["--name=a", "--filename=x", "--rw=\(pattern)"]).jobs[0])
    }
    #expect(String(marks.map(\.rawValue)) == "RWrwMm")
    let mixed = try plan(arguments: ["--name=a", "--target=fs", "--size=1m", "--fs_ops=truncate:1"]).jobs[0]
    #expect(ProgressLine.Mark(running: mixed) == .randomMixed)
  }
}
