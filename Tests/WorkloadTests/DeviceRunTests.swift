import Glibc
import Support
import Testing

@testable import Workload

@Suite("A run on a raw device")
struct DeviceRunTests {
  static let engines = ["null", "mem", "sim"]
  static let allPatterns = ["read", "write", "randread", "randwrite", "rw", "randrw"]

  @Test("does its size once, in every pattern on every engine", arguments: engines, allPatterns)
  func patterns(engine: String, pattern: String) async throws {
    let report = try await runJobs([
      "--name=a", "--ioengine=\(engine)", "--rw=\(pattern)", "--size=1m", "--iodepth=4", "--numjobs=2", "--end_fsync",
    ])
    #expect(report.exitCode == .allHeld && report.findings.isEmpty)
    #expect((report.operations[.read] ?? 0) + (report.operations[.write] ?? 0) == 512)
    #expect((report.operations[.read] ?? 0 > 0) == (pattern.contains("read") || pattern.hasSuffix("rw")))
    #expect((report.operations[.write] ?? 0 > 0) == (pattern.contains("write") || pattern.hasSuffix("rw")))
    #expect(report.operations[.fsync] == 2)
    #expect(report.device?.flushes ?? 0 > 0)
    #expect(report.groups.count == 2)
    #expect(report.writeback == nil && report.verify == nil && report.e2fsckExit == nil)
    // What a simulated run reports follows from its seed alone.
    #expect((report.peakMemoryBytes ?? 0 > 0) == (engine != "sim"))
  }

  @Test("reaches every block of a file once in a random pass, through libaio")
  func file() async throws {
    let file = try ScratchFile([UInt8](repeating: 0, count: 1 << 20))
    let report = try await runJobs([
      "--name=a", "--filename=\(file.path)", "--size=1m", "--rw=randwrite", "--iodepth=8", "--fsync=16",
      "--fdatasync=5", "--direct",
    ])
    #expect(report.findings.isEmpty)
    let writtenBytes: UInt64 = 1 << 20
    #expect(report.device?.writeBytes == writtenBytes)
    let syncs: UInt64 = 16 + 48
    #expect(report.operations[.fsync] == syncs)
    let bytes = try TemporaryFile.read(file.path)
    #expect(bytes.count == 1 << 20)
    #expect((0..<256).allSatisfy { block in bytes[block * 4096..<block * 4096 + 4096].contains { $0 != 0 } })
  }

  @Test("ends on a queue with fewer tags than operations in flight", arguments: engines)
  func fewTags(engine: String) async throws {
    for depth in 1...12 {
      let report = try await runJobs([
        "--name=a", "--ioengine=\(engine)", "--rw=randrw", "--size=2m", "--iodepth=\(depth)", "--queue_depth=2",
      ])
      #expect(report.findings.isEmpty)
      #expect((report.operations[.read] ?? 0) + (report.operations[.write] ?? 0) == 512)
    }
  }

  @Test("takes blocks larger than a request in several at once, which count as one operation", arguments: engines)
  func largeBlocks(engine: String) async throws {
    let report = try await runJobs([
      "--name=a", "--ioengine=\(engine)", "--rw=randrw", "--size=20m", "--bs=2560k", "--iodepth=3", "--queue_depth=2",
    ])
    #expect(report.findings.isEmpty)
    let bytes = (report.device?.readBytes ?? 0) + (report.device?.writeBytes ?? 0)
    #expect((report.operations[.read] ?? 0) + (report.operations[.write] ?? 0) == 8 && bytes == 20 << 20)
    #expect((report.device?.reads ?? 0) + (report.device?.writes ?? 0) == 24)
  }

  @Test("writes every byte of large blocks through libaio")
  func largeBlocksOnAFile() async throws {
    let file = try ScratchFile([UInt8](repeating: 0, count: 5 << 20))
    let report = try await runJobs(["--name=a", "--filename=\(file.path)", "--rw=write", "--bs=2560k", "--direct"])
    #expect(report.findings.isEmpty && report.operations[.write] == 2)
    let bytes = try TemporaryFile.read(file.path)
    #expect((0..<1280).allSatisfy { block in bytes[block * 4096..<block * 4096 + 4096].contains { $0 != 0 } })
  }

  @Test("a disk is slow at random and quick in order, and a solid-state drive does much at once")
  func models() async throws {
    func iops(_ model: String, milliseconds: Int, _ options: String...) async throws -> Double {
      let report = try await runJobs(
        [
          "--name=a", "--ioengine=sim", "--size=16m", "--norandommap", "--time_based",
          "--runtime=\(milliseconds)ms", "--latency=\(model)",
        ] + options)
      return Double(report.operations[.read] ?? 0) * 1000 / Double(milliseconds)
    }
    // A jump takes 12 ms on the average, and the simulated device 20 to 200 us.
    #expect(try await 76...86 ~= iops("disk", milliseconds: 20_000, "--rw=randread"))
    // Neighbours merge at times, and there is one head.
    #expect(try await 76...120 ~= iops("disk", milliseconds: 20_000, "--rw=randread", "--iodepth=32"))
    #expect(try await 3_000...20_000 ~= iops("disk", milliseconds: 1000, "--rw=read"))
    let one = try await iops("ssd", milliseconds: 500, "--rw=randread")
    #expect(3_500...8_000 ~= one)
    #expect(try await 28...34 ~= iops("ssd", milliseconds: 100, "--rw=randread", "--iodepth=32") / one)
  }

  @Test("no two blocks that are written are alike, unless they are to be zeroes")
  func contents() async throws {
    for (options, distinct) in [
      ([], 2048), (["--refill_buffers"], 2048), (["--bs=64k"], 2048), (["--zero_buffers"], 1),
    ] {
      let file = try ScratchFile([UInt8](repeating: 0, count: 8 << 20))
      _ = try await runJobs(["--name=a", "--filename=\(file.path)", "--rw=randwrite", "--iodepth=4"] + options)
      let bytes = try TemporaryFile.read(file.path)
      let blocks = Set((0..<2048).map { bytes[$0 * 4096..<($0 + 1) * 4096] })
      #expect(blocks.count == distinct, "\(options)")
    }
  }

  @Test("an offset that no request may have is refused")
  func misalignedOffset() async throws {
    for option in ["--offset=100", "--offset_increment=100"] {
      let error = await #expect(throws: RunError.self) {
        try await runJobs(["--name=a", "--ioengine=mem", "--size=1m", "--rw=randwrite", option])
      }
      #expect(error?.description.contains("100 is no multiple of the device's logical block of 512") == true)
    }
  }

  @Test("ends with its run time, and with it alone when it is time based")
  func runtime() async throws {
    let report = try await runJobs([
      "--name=a", "--ioengine=sim", "--size=64k", "--rw=randrw", "--norandommap", "--runtime=20ms", "--time_based",
    ])
    #expect((20_000_000...21_000_000).contains(report.elapsedNanoseconds))
    #expect((report.operations[.read] ?? 0) + (report.operations[.write] ?? 0) > 16)
    #expect(report.latencies[.read]?.maximum ?? 0 >= 20_000)
  }

  @Test(
    "each direction of a mix keeps its rate, whatever the mix",
    arguments: [
      (["--rate_iops=900,100"], 900, 100), (["--rate_iops=1000"], 1000, 1000), (["--rate_iops=40,300"], 40, 300),
      (["--rate=400k,4m"], 100, 1024), (["--rate_iops=1000,200", "--rwmixread=10", "--iodepth=4"], 1000, 200),
      (["--target=fs", "--image_size=16m", "--fs_ops=read:1,write:1", "--rate_iops=90,30"], 90, 30),
    ] as [([String], Double, Double)])
  func mixedRates(_ options: [String], _ reads: Double, _ writes: Double) async throws {
    let report = try await runJobs(
      [
        "--name=a", "--ioengine=sim", "--size=4m", "--bs=4k", "--runtime=20", "--time_based",
      ] + options + (options.contains("--target=fs") ? [] : ["--rw=randrw", "--norandommap"]))
    #expect(report.findings.isEmpty)
    let kept = report.groups[0].keptRates
    #expect(kept.count == 2 && kept.allSatisfy { abs($0.drift) < 0.005 }, "\(kept)")
    let seconds = Double(report.groups[0].runtimeNanoseconds) / 1e9
    for (operation, wanted) in [(ReportedOperation.read, reads), (.write, writes)] {
      let rate = Double(report.operations[operation] ?? 0) / seconds
      #expect(abs(rate / wanted - 1) < 0.005, "\(operation): \(rate)")
      // The device is idle nearly all the time: who is late is late by another operation at most.
      #expect(report.groups[0].operations[operation]?.intended?.p99 ?? .max < 5_000_000)
    }
  }

  @Test("what is not limited fills in where the other direction is ahead of its rate")
  func oneRate() async throws {
    let report = try await runJobs([
      "--name=a", "--ioengine=sim", "--size=4m", "--rw=randrw", "--norandommap", "--runtime=10", "--time_based",
      "--rate_iops=,100",
    ])
    #expect(995...1000 ~= report.operations[.write] ?? 0)
    #expect(report.operations[.read] ?? 0 > 10_000)
  }

  @Test("a simulated run is as long as its options say, whatever steps it takes")
  func longRun() async throws {
    let report = try await runJobs([
      "--name=a", "--ioengine=sim", "--size=1m", "--rw=read", "--runtime=1h", "--time_based", "--rate_iops=10",
    ])
    #expect(report.findings.isEmpty)
    #expect(report.operations[.read] == 36_000)
    // An hour of half seconds would be more than are kept.
    let rates = report.groups[0].rates
    #expect(rates.interval == 1_000_000_000)
    #expect(
      rates.amounts[.read].map { $0.allSatisfy { $0.count == 10 && $0.byteCount == 40960 } && $0.count == 3600 } == true
    )
  }

  /// A file that is not empty and refuses O_DIRECT on every kernel.
  static let indirectFile = "/sys/kernel/uevent_seqnum"

  @Test("says so when transfers are not direct although they were asked to be", .enabled(if: isThere(indirectFile)))
  func notDirect() async throws {
    for isDirect in [false, true] {
      let log = RecordedLog()
      _ = try await runJobs(
        ["--name=a", "--filename=\(Self.indirectFile)", "--bs=512", "--direct=\(isDirect ? 1 : 0)"],
        control: RunControl(logger: log.logger))
      let expected =
        "\(Self.indirectFile): not direct, but through the page cache: its file system does not support O_DIRECT"
      #expect(log.messages == (isDirect ? [expected] : []))
    }
  }

  @Test("a file that jobs write becomes as large as they need, and one that is only read does not")
  func growing() async throws {
    let file = try ScratchFile([UInt8](repeating: 7, count: 1 << 20))
    let report = try await runJobs([
      "--name=a", "--filename=\(file.path)", "--rw=write", "--offset=512k", "--size=1m", "--bs=64k",
    ])
    #expect(report.findings.isEmpty && report.operations[.write] == 16)
    let bytes = try TemporaryFile.read(file.path)
    #expect(bytes.count == 3 << 19 && bytes[..<(1 << 19)].allSatisfy { $0 == 7 })
    let error = await #expect(throws: RunError.self) {
      try await runJobs(["--name=a", "--filename=\(file.path)", "--rw=read", "--offset=1m", "--size=1m"])
    }
    #expect(
      error?.description
        == "job a: \(file.path) has 1572864 bytes, offset and size ask for 2097152; a job that writes a "
        + "file makes it larger")
    #expect(try TemporaryFile.read(file.path).count == 3 << 19)
    let memory = try await runJobs([
      "--name=a", "--ioengine=mem", "--rw=write", "--offset=512k", "--size=1m", "--bs=64k",
    ])
    #expect(memory.operations[.write] == 16)
  }

  @Test("a file that is not there is laid out for those who read it")
  func layingOut() async throws {
    let file = try ScratchFile([])
    unsafe unlink(file.path)
    let report = try await runJobs(["--name=a", "--filename=\(file.path)", "--rw=read", "--size=1500k"])
    #expect(report.findings.isEmpty && report.operations[.read] == 375)
    let bytes = try TemporaryFile.read(file.path)
    #expect(bytes.count == 1500 << 10)
    #expect((0..<375).allSatisfy { block in bytes[block * 4096..<block * 4096 + 4096].contains { $0 != 0 } })
  }

  @Test("does not make a file whose size nobody gave")
  func missingFile() async throws {
    let path = "\(TemporaryFile.folder)/blkdev-test-that-is-not-there"
    let error = await #expect(throws: RunError.self) {
      try await runJobs(["--name=a", "--filename=\(path)", "--rw=write"])
    }
    #expect(error?.description == "\(path): is not there, and without size nobody knows how large to make it")
    #expect(!isThere(path))
  }

  @Test(
    "says what does not fit",
    arguments: [
      ["--filename=/nonexistent/x", "--size=1m"], ["--filename=/", "--size=1m"],
    ])
  func unfit(arguments: [String]) async throws {
    let error = await #expect(throws: RunError.self) { try await runJobs(["--name=a", "--rw=write"] + arguments) }
    #expect(error?.exitCode == .jobError)
  }
}
