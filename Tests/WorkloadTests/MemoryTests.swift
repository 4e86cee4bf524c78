import Testing

@testable import Workload

@Suite("The memory a run asks for")
struct MemoryTests {
  static let mebibyte: UInt64 = 1 << 20
  static let runs: [(arguments: [String], imageBytes: UInt64?, fits: Bool)] = [
    (["--name=a", "--ioengine=mem", "--size=99m"], nil, true),
    (["--name=a", "--ioengine=mem", "--size=101m"], nil, false),
    (["--name=a", "--ioengine=sim", "--size=1000000t"], nil, false),
    (["--name=a", "--ioengine=mem", "--size=1m", "--offset=98m"], nil, true),
    (["--name=a", "--ioengine=mem", "--size=1m", "--offset=100m"], nil, false),
    (["--name=a", "--ioengine=null", "--size=1000000t"], nil, true),
    (["--name=a", "--filename=x", "--size=1000000t"], nil, true),
    (["--name=a", "--filename=x", "--bs=1m", "--iodepth=10", "--numjobs=10"], nil, true),
    (["--name=a", "--filename=x", "--bs=1m", "--iodepth=10", "--numjobs=11"], nil, false),
    (["--name=a", "--filename=x", "--bs=1g", "--iodepth=65536", "--numjobs=4096"], nil, false),
    // One device of both jobs, two of two names, four of one job.
    (["--ioengine=mem", "--size=60m", "--filename=x", "--name=a", "--name=b"], nil, true),
    (["--ioengine=mem", "--size=60m", "--name=a", "--name=b"], nil, false),
    (["--ioengine=mem", "--size=99m", "--filename=w:x:y:z", "--numjobs=9", "--name=a"], nil, true),
    (["--name=a", "--target=fs", "--size=1m", "--cache_size=101m"], 200 * mebibyte, false),
    (["--name=a", "--target=fs", "--size=1m", "--cache_size=60m"], 200 * mebibyte, true),
    (["--name=a", "--target=fs", "--size=1m", "--cache_size=60m", "--ioengine=sim"], 60 * mebibyte, false),
    (["--name=a", "--target=fs", "--size=1m", "--cache_size=39m", "--ioengine=mem"], 60 * mebibyte, true),
  ]

  @Test("is refused when the machine does not have it", arguments: runs)
  func refuses(_ run: (arguments: [String], imageBytes: UInt64?, fits: Bool)) throws {
    let plan = try plan(arguments: run.arguments)
    if run.fits {
      try plan.checkMemory(imageBytes: run.imageBytes, machineBytes: 100 * Self.mebibyte)
    } else {
      let error = #expect(throws: RunError.self) {
        try plan.checkMemory(imageBytes: run.imageBytes, machineBytes: 100 * Self.mebibyte)
      }
      #expect(error?.exitCode == .jobError)
    }
  }

  @Test("of a random pass of several sizes is bounded")
  func randomMap() async throws {
    let report = try await runJobs([
      "--name=a", "--ioengine=null", "--size=1000000t", "--rw=randread", "--bssplit=4k/50:8k/50", "--number_ios=10",
    ])
    #expect(report.operations[.read] == 10)
  }

  @Test(
    "ends a run that cannot have it with the reason, not with a crash",
    arguments: [
      ["--ioengine=mem", "--size=1000000t"], ["--ioengine=mem", "--size=1m", "--offset=900000t"],
      ["--ioengine=sim", "--size=1000000t"],
      ["--target=fs", "--ioengine=mem", "--size=1000000t"], ["--target=fs", "--size=1m", "--cache_size=1000000t"],
    ])
  func ends(arguments: [String]) async throws {
    let error = await #expect(throws: RunError.self) { try await runJobs(["--name=a", "--rw=write"] + arguments) }
    #expect(error?.description.contains("bytes of memory, and the machine has") == true)
  }
}
