import Ext2
import Glibc
import PageCache
import Support
import Testing

@testable import Workload

@Suite("A run on a volume", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct VolumeRunTests {
  static let engines = ["mem", "sim", "libaio"]

  @Test(
    "does its size once, in every pattern on every engine, and all is held", arguments: engines,
    DeviceRunTests.allPatterns)
  func patterns(engine: String, pattern: String) async throws {
    let report = try await runJobs([
      "--name=a", "--target=fs", "--ioengine=\(engine)", "--image_size=8m", "--rw=\(pattern)", "--size=256k",
      "--iodepth=4", "--numjobs=2", "--fsync=20", "--end_fsync",
    ])
    #expect(report.findings.isEmpty)
    #expect(report.exitCode == .allHeld)
    #expect((report.operations[.read] ?? 0) + (report.operations[.write] ?? 0) == 128)
    #expect(report.e2fsckExit == 0)
    #expect(report.verify?.mismatches == 0)
    // Twice each byte of both files, and what was read during the run.
    #expect(report.verify?.bytes ?? 0 >= 4 * 256 << 10)
    #expect(report.device?.writes ?? 0 > 0)
  }

  @Test("counts only the operations of a mix that there was a file for", arguments: engines)
  func mixCounts(engine: String) async throws {
    let job = ["--name=a", "--target=fs", "--ioengine=\(engine)", "--image_size=8m", "--size=1m", "--bs=512"]
    for (mix, depth) in [("create:1,unlink:1,rename:1", 1), ("create:1,unlink:2,write:1,append:1,read:1", 4)] {
      let report = try await runJobs(
        job + ["--fs_ops=\(mix)", "--nrfiles=10", "--iodepth=\(depth)", "--number_ios=1000"])
      #expect(report.findings.isEmpty && report.exitCode == .allHeld)
      let done = FileOperation.allCases.reduce(0) { sum, operation in
        sum + (ReportedOperation(rawValue: operation.rawValue).flatMap { report.operations[$0] } ?? 0)
      }
      // Appends are writes in a report.
      #expect(done == 1000, "\(mix)")
    }
  }

  @Test(
    "ends a mix that has nothing left to do, with an error that says so where it was to do more",
    arguments: [
      ("create:1", "all of its files are there"), ("rename:1,create:2", "all of its files are there"),
      ("unlink:1,write:1", "none of its files is there"),
    ], [["--number_ios=1000"], ["--time_based", "--runtime=100d", "--continue_on_error=all", "--iodepth=3"]])
  func mixWithoutWork(mix: (operations: String, message: String), end: [String]) async throws {
    let report = try await runJobs(
      [
        "--name=a", "--target=fs", "--ioengine=sim", "--image_size=8m", "--size=64k", "--nrfiles=3",
        "--fs_ops=\(mix.operations)",
      ] + end)
    #expect(report.elapsedNanoseconds < 1_000_000_000)
    if mix.operations.hasPrefix("unlink") && end.contains("--time_based") {
      // It has removed all that there was.
      #expect(report.findings.isEmpty && report.operations[.unlink] == 3)
    } else {
      #expect(report.exitCode == .jobError && report.findings.count == 1)
      #expect(report.findings.first?.found?.contains(mix.message) == true)
    }
  }

  @Test("says so when virtual time ends before a pause does")
  func clockEnd() async throws {
    for target in [["--target=fs", "--image_size=8m"], ["--target=dev"]] {
      let report = try await runJobs(
        ["--name=a", "--ioengine=sim", "--size=1m", "--rw=read", "--thinktime=40000d", "--number_ios=300"] + target)
      #expect(report.exitCode == .jobError && report.findings.count == 1)
      #expect(report.findings.first?.found?.contains("after virtual time ends") == true)
      #expect(report.operations[.read] == 3)
    }
  }

  @Test("lets virtual time jump to the start of a job, and a job that ends the others wakes it")
  func delayedStart() async throws {
    for target in [["--target=fs", "--image_size=8m"], ["--target=dev"]] {
      let job = ["--ioengine=sim", "--size=64k", "--rw=read"] + target
      let report = try await runJobs(["--name=a", "--startdelay=50000d"] + job)
      #expect(report.operations[.read] == 16 && report.findings.isEmpty)
      #expect(report.elapsedNanoseconds > 50_000 * 86_400 * 1_000_000_000)
      let ended = try await runJobs(job + ["--name=a", "--exitall", "--name=b", "--startdelay=50000d"])
      #expect(ended.operations[.read] == 16 && ended.elapsedNanoseconds < 1_000_000_000)
    }
  }

  @Test("holds in a storm, with blocks of odd sizes too", arguments: engines, ["16k", "3000", "512"])
  func storm(engine: String, blockSize: String) async throws {
    let runtime = engine == "sim" ? "150ms" : "300ms"
    let report = try await runJobs(smallStorm(engine: engine, runtime: runtime, more: ["--bs=\(blockSize)"]))
    #expect(report.findings.isEmpty)
    #expect(
      report.operations[.read] ?? 0 > 0 && report.operations[.write] ?? 0 > 0 && report.operations[.truncate] ?? 0 > 0)
    #expect(report.e2fsckExit == 0)
    #expect((report.peakMemoryBytes == nil) == (engine == "sim"))
  }

  @Test("gives the same report for the same seed, bit for bit, and another for another")
  func deterministic() async throws {
    let arguments = smallStorm(engine: "sim", runtime: "100ms")
    let first = JSONReport.text(try await runJobs(arguments), .test)
    #expect(first == JSONReport.text(try await runJobs(arguments), .test))
    #expect(first != JSONReport.text(try await runJobs(arguments + ["--randseed=2"]), .test))
  }

  @Test("that ignores cookies is caught by the comparison, which names file, offset, bytes and owner")
  func ignoredCookie() async throws {
    var caught: RunReport?
    for seed in 1...20 where caught == nil {
      let report = try await runJobs(
        ["--unsafe-ignore-cookie"] + smallStorm(engine: "sim", runtime: "200ms", more: ["--randseed=\(seed)"]))
      #expect(report.writeback?.staleBatches == 0)
      if !report.findings.isEmpty { caught = report }
    }
    let report = try #require(caught)
    #expect([.verificationMismatch, .invariantFailed].contains(report.exitCode))
    let finding = try #require(report.findings.first { $0.kind == .contentMismatch })
    #expect(finding.file != nil && finding.offset != nil && finding.block != nil)
    #expect(finding.expected?.isEmpty == false && finding.found?.isEmpty == false)
    #expect(finding.blockOwner?.isEmpty == false)
    #expect(report.verify?.mismatches ?? 0 > 0)
  }

  @Test("that is stopped ends soon, leaves a clean image, and says that it was interrupted", arguments: ["mem", "sim"])
  func stopped(engine: String) async throws {
    let control = quietControl()
    control.requestStop()
    let report = try await runJobs(smallStorm(engine: engine, runtime: "1h"), control: control)
    #expect(report.isInterrupted && report.exitCode == .interrupted)
    #expect(report.findings.isEmpty && report.e2fsckExit == 0)
  }

  @Test("that is stopped while its files are laid out does not lay out the rest", arguments: ["mem", "sim"])
  func stoppedInLayout(engine: String) async throws {
    let control = quietControl()
    control.requestStop()
    let report = try await runJobs(
      ["--name=a", "--target=fs", "--ioengine=\(engine)", "--image_size=64m", "--rw=read", "--size=48m"],
      control: control)
    #expect(report.exitCode == .interrupted && report.findings.isEmpty && report.e2fsckExit == 0)
    #expect(report.device?.writeBytes ?? 0 < 1 << 20)
  }

  @Test("that is abandoned leaves no scratch image")
  func abandoned() throws {
    let control = quietControl()
    let plan = try plan(arguments: ["--name=a", "--target=fs", "--image_size=8m", "--size=1m"]).seeded(with: 1)
    let image = try VolumeImage(plan)
    control.willRemove(image)
    try image.make(plan)
    #expect(isThere(image.path))
    control.abandon()
    #expect(!isThere(image.path))
  }

  @Test("keeps its scratch image when it is asked to, and says where; otherwise nothing is left", arguments: engines)
  func keeps(engine: String) async throws {
    for keep in ["--keep", "--keep=0"] {
      let log = RecordedLog()
      let report = try await runJobs(
        ["--name=a", "--target=fs", "--ioengine=\(engine)", "--image_size=8m", "--size=64k", "--rw=write", keep],
        control: RunControl(logger: log.logger))
      #expect(report.findings.isEmpty)
      let places = log.messages.compactMap { $0.split(separator: "kept: ").last.map(String.init) }
        .filter { $0.hasSuffix("/volume.img") }
      #expect(places.count == (keep == "--keep" ? 1 : 0))
      for path in places {
        #expect(try Images.dump("a.0.0", of: TemporaryFile.read(path)).count == 64 << 10)
        _ = unsafe unlink(path)
        _ = unsafe rmdir(String(path.dropLast("/volume.img".count)))
        #expect(!isThere(path))
      }
    }
  }

  @Test("that is stopped in the middle compares what was written until then")
  func stoppedInTheMiddle() async throws {
    let control = Stopper { $0.writesPerSecond > 0 }
    let report = try await runJobs(smallStorm(engine: "sim", runtime: "1h"), control: control.makeControl())
    #expect(report.exitCode == .interrupted && report.operations[.write] ?? 0 > 0 && report.e2fsckExit == 0)
  }

  @Test("that is stopped while it compares ends without comparing the rest", arguments: engines)
  func stoppedInVerification(engine: String) async throws {
    let control = Stopper { $0.marks.contains(.verifying) }
    let report = try await runJobs(
      ["--name=a", "--target=fs", "--ioengine=\(engine)", "--image_size=8m", "--rw=write", "--size=1m"],
      control: control.makeControl())
    #expect(report.isInterrupted && report.exitCode == .interrupted)
    #expect(report.operations[.write] == 256 && report.verify?.bytes == 0)
    #expect(report.findings.isEmpty && report.e2fsckExit == 0)
  }

  @Test("on a full volume ends with the error, and nothing that was acknowledged is lost")
  func full() async throws {
    let report = try await runJobs([
      "--name=a", "--target=fs", "--ioengine=sim", "--image_size=2m", "--rw=write", "--bs=64k", "--size=8m",
    ])
    #expect(report.exitCode == .jobError)
    #expect(report.findings.allSatisfy { $0.kind == .ioError && $0.found == "no space left on the volume" })
    #expect(report.verify?.mismatches == 0 && report.e2fsckExit == 0)
    #expect(report.verify?.bytes ?? 0 > 1 << 20)
  }

  @Test("works on an image that is there, and finds its own files again")
  func image() async throws {
    let file = try ScratchFile(try Images.make(blockSize: 1024, byteCount: 8 << 20))
    let path = file.path
    let common = ["--name=a", "--target=fs", "--image=\(path)", "--size=1m"]
    let first = try await runJobs(common + ["--rw=write"])
    #expect(first.findings.isEmpty && first.operations[.write] == 256)
    let second = try await runJobs(common + ["--rw=randread"])
    #expect(second.findings.isEmpty && second.operations[.read] == 256 && second.operations[.write] == nil)
    #expect(try Images.check(TemporaryFile.read(path)) == nil)
  }

  @Test("calls an image that is not there, or a folder, an error of the job, on every engine", arguments: engines)
  func noImage(engine: String) async throws {
    for path in ["\(TemporaryFile.folder)/blkdev-test-that-is-not-there", TemporaryFile.folder] {
      let error = await #expect(throws: RunError.self) {
        try await runJobs(
          ["--name=a", "--target=fs", "--ioengine=\(engine)", "--image=\(path)", "--size=64k", "--rw=write"])
      }
      #expect(error?.exitCode == .jobError)
      #expect(error?.description.hasPrefix("\(path): ") == true)
    }
  }

  @Test(
    "holds in a storm on a volume of any block size, whose image e2fsck finds sound", arguments: engines,
    [1024, 2048, 4096])
  func blockSizes(engine: String, blockSize: Int) async throws {
    let file = try ScratchFile(try Images.make(blockSize: blockSize, byteCount: 24 << 20))
    let report = try await runJobs(
      smallStorm(engine: engine, runtime: engine == "sim" ? "100ms" : "200ms", more: ["--image=\(file.path)"])
        .filter { !$0.hasPrefix("--image_size") })
    #expect(report.findings.isEmpty && report.verify?.mismatches == 0 && report.e2fsckExit == 0)
    #expect(report.operations[.write] ?? 0 > 0 && report.operations[.truncate] ?? 0 > 0)
    let writeback = try #require(report.writeback)
    #expect(writeback.bytes == writeback.pages * UInt64(blockSize), "the volume's blocks are of that size")
    #expect(writeback.largestBatchBytes <= 16 << 10)
  }

  @Test("refuses an image that is no volume")
  func noVolume() async throws {
    let file = try ScratchFile([UInt8](repeating: 0, count: 1 << 20))
    let path = file.path
    let error = await #expect(throws: RunError.self) {
      try await runJobs(["--name=a", "--target=fs", "--image=\(path)", "--size=64k", "--rw=write"])
    }
    #expect(error?.exitCode == .jobError)
    #expect(error?.description.hasPrefix("\(path): not an ext2 volume") == true)
    #expect(try TemporaryFile.read(path).allSatisfy { $0 == 0 })
  }

  @Test("an aged volume is as full as was asked for, its free space is in pieces, and files on it too")
  func aged() async throws {
    let arguments = [
      "--name=a", "--target=fs", "--ioengine=mem", "--image_size=32m", "--rw=write", "--bs=64k", "--size=4m",
      "--randseed=7",
      "--end_fsync=1",
    ]
    let fresh = try await runJobs(arguments), aged = try await runJobs(arguments + ["--age=60"])
    #expect(fresh.findings.isEmpty && aged.findings.isEmpty && aged.e2fsckExit == 0)
    let pieces = try #require(aged.writeback).batches, whole = try #require(fresh.writeback).batches
    // The batches of the ageing are counted too: what counts is how small they have become.
    let mean = try #require(aged.writeback?.meanBatchBytes), freshMean = try #require(fresh.writeback?.meanBatchBytes)
    #expect(pieces > whole * 4 && mean < freshMean / 4, "\(pieces) of \(mean), \(whole) of \(freshMean)")
  }

  @Test("a cold start reads what it needs, and counts that alone")
  func cold() async throws {
    let arguments = [
      "--name=a", "--target=fs", "--ioengine=sim", "--image_size=16m", "--rw=read", "--bs=4k", "--size=1m",
    ]
    let warm = try await runJobs(arguments), cold = try await runJobs(arguments + ["--cold_start=1"])
    #expect(warm.findings.isEmpty && cold.findings.isEmpty)
    #expect(warm.volume?.pages.misses == 0 && warm.volume?.givenBytes == 1 << 20)
    #expect((cold.volume?.pages.misses ?? 0) > 0 && cold.volume?.givenBytes == 0)
    #expect((cold.device?.readBytes ?? 0) >= 1 << 20)
  }
}
