import Support
import Testing

@testable import Workload

@Suite("Files that come and go", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct FileNameTests {
  static func arguments(engine: String, _ more: [String] = []) -> [String] {
    [
      "--name=a", "--target=fs", "--ioengine=\(engine)", "--image_size=24m", "--nrfiles=6", "--size=1536k",
      "--numjobs=2",
      "--iodepth=6", "--bs=16k", "--cache_size=2m", "--io_size=16m", "--allocation=next-fit", "--wb_batch=32k",
      "--fs_ops=create:12,unlink:12,rename:12,append:30,write:10,read:20,truncate:4,fsync:3",
    ] + more
  }

  @Test(
    "what is left, and its contents, is what the model says, also after a cold mount",
    arguments: 1...5 as ClosedRange<UInt64>)
  func simulated(seed: UInt64) async throws {
    let report = try await runJobs(Self.arguments(engine: "sim"), seed: seed)
    #expect(report.findings.isEmpty && report.exitCode == .allHeld, "seed \(seed): \(report.findings)")
    for operation in [ReportedOperation.create, .unlink, .rename] {
      #expect(report.operations[operation] ?? 0 > 50)
    }
    let again = try await runJobs(Self.arguments(engine: "sim"), seed: seed)
    #expect(again == report)
  }

  @Test("as well in memory and on a file", arguments: ["mem", "libaio"])
  func real(engine: String) async throws {
    let report = try await runJobs(Self.arguments(engine: engine))
    #expect(report.findings.isEmpty && report.e2fsckExit == 0, "\(report.findings)")
    #expect(report.operations[.rename] ?? 0 > 50)
  }

  @Test("a job that only removes has nothing left, and ends")
  func removing() async throws {
    let report = try await runJobs([
      "--name=a", "--target=fs", "--ioengine=sim", "--image_size=8m", "--nrfiles=4", "--size=64k", "--bs=4k",
      "--fs_ops=unlink:1,read:1", "--runtime=1s", "--time_based",
    ])
    #expect(report.findings.isEmpty && report.operations[.unlink] == 4)
  }

  @Test("need files of their own")
  func shared() async throws {
    #expect(throws: JobError.self) {
      try WorkloadPlan(
        RunArguments(["--name=a", "--target=fs", "--size=1m", "--filename=x", "--fs_ops=create:1,unlink:1"]), files: [])
    }
    await #expect(throws: RunError.self) {
      try await runJobs([
        "--target=fs", "--ioengine=sim", "--image_size=8m", "--size=64k", "--name=a", "--fs_ops=create:1,unlink:1",
        "--name=b", "--filename=a.0.0", "--rw=write",
      ])
    }
  }

  @Test("a file that vanished, and one that should have, are found by their names")
  func found() async throws {
    let image = try ScratchFile(Images.make(blockSize: 4096, byteCount: 8 << 20))
    let files = ["--name=a", "--target=fs", "--image=\(image.path)", "--nrfiles=4", "--size=64k", "--bs=4k"]
    // What is written is reported as done and never stored.
    let vanished = try await runJobs(files + ["--fs_ops=append:1", "--fault=write:phantom"])
    let missing = vanished.findings.filter { $0.kind == .fileMissing }
    #expect(missing.map(\.file) == ["a.0.0", "a.0.1", "a.0.2", "a.0.3"])
    #expect(missing.allSatisfy { $0.context == "after remount" } && vanished.exitCode == .verificationMismatch)

    let made = try await runJobs(files + ["--fs_ops=append:1"])
    #expect(made.exitCode == .allHeld)
    let removed = try await runJobs(files + ["--fs_ops=unlink:1", "--fault=write:phantom"])
    let unexpected = removed.findings.filter { $0.kind == .fileUnexpected }
    #expect(unexpected.map(\.file) == missing.map(\.file) && removed.exitCode == .verificationMismatch)
    // The image has what the model of the next run does not know, and that stays.
    let foreign = try await runJobs(["--name=b"] + files.dropFirst() + ["--fs_ops=create:1,unlink:1"])
    #expect(foreign.exitCode == .allHeld, "\(foreign.findings)")
  }
}
