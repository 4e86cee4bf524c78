import DeviceLayers
import Testing

@testable import Workload

/// Options that say when operations begin and end, on virtual time: exact, and the same each time.
@Suite("The schedule of jobs on devices")
struct ScheduleOptionTests {
  private func run(_ options: String..., seed: UInt64 = 1) async throws -> RunReport {
    try await runJobs(["--ioengine=sim", "--size=16m", "--bs=4k"] + options, seed: seed)
  }

  @Test("a rate is held within half a percent, whatever the depth")
  func rate() async throws {
    for depth in [1, 4, 32] {
      let report = try await run(
        "--name=a", "--rw=randwrite", "--rate_iops=2000", "--runtime=5", "--time_based", "--iodepth=\(depth)")
      let count = try #require(report.operations[.write])
      #expect(9_950...10_050 ~= count, "depth \(depth)")
    }
  }

  @Test("a device that is too slow for the rate shows in the latency from the intended start")
  func lateness() async throws {
    // A request takes 20 to 200 us: one after the other they come to some 9,000 a second.
    let report = try await run(
      "--name=a", "--rw=randread", "--rate_iops=20000", "--runtime=1", "--time_based")
    let figures = try #require(report.groups.first?.operations[.read])
    let service = try #require(figures.latency), intended = try #require(figures.intended)
    #expect(service.maximum <= 200_000)
    #expect(figures.count < 10_000)
    // At the end it is half a second behind.
    #expect(intended.maximum > 400_000_000 && intended.p50 > 200_000_000)
    let inTime = try await run("--name=a", "--rw=randread", "--rate_iops=100", "--runtime=1", "--time_based")
    let early = try #require(inTime.groups.first?.operations[.read]?.intended)
    #expect(early.maximum <= 200_000)
  }

  @Test("a pause follows so many operations")
  func thinkTime() async throws {
    let report = try await run(
      "--name=a", "--rw=read", "--number_ios=100", "--thinktime=10ms", "--thinktime_blocks=10")
    #expect(report.operations[.read] == 100)
    // Nine or ten pauses, and a hundred requests of at most 200 us.
    #expect(90_000_000...125_000_000 ~= report.elapsedNanoseconds)
  }

  @Test(
    "each operation earns its pause, whatever the depth",
    arguments: [
      ["--rw=read"], ["--target=fs", "--image_size=16m", "--fs_ops=read:1", "--nrfiles=4"],
      ["--rw=read", "--thinktime_blocks_type=issue"],
    ])
  func thinkTimeAtDepth(_ options: [String]) async throws {
    let report = try await runJobs(
      ["--name=a", "--ioengine=sim", "--size=4m", "--number_ios=64", "--thinktime=10ms", "--iodepth=16"] + options)
    #expect(report.operations[.read] == 64)
    #expect(620_000_000...700_000_000 ~= report.groups[0].runtimeNanoseconds)
  }

  @Test("a group is reported as one, under its first job's name, and a new group apart")
  func groups() async throws {
    let report = try await run(
      "--group_reporting", "--number_ios=50", "--name=a", "--rw=write", "--rate_iops=100", "--numjobs=2", "--name=b",
      "--rw=read", "--rate_iops=300", "--name=c", "--rw=read", "--new_group", "--name=d", "--rw=read",
      "--group_reporting=0")
    #expect(report.groups.map(\.name) == ["a", "c", "d"] && report.groups.map(\.copies) == [3, 1, 1])
    #expect(report.groups.map(\.groupID) == [0, 1, 1])
    let first = report.groups[0]
    #expect(first.operations[.write]?.count == 100 && first.operations[.read]?.count == 50)
    #expect(first.keptRates.map(\.wanted) == [300, 200] && first.keptRates.map(\.operation) == [.read, .write])
  }

  @Test("a job behind a stone wall begins when those before it have ended, in a group of its own")
  func stonewall() async throws {
    let report = try await run(
      "--name=a", "--rw=write", "--number_ios=50", "--name=b", "--rw=read", "--number_ios=50", "--startdelay=7ms",
      "--name=c", "--rw=read", "--number_ios=10", "--stonewall")
    #expect(report.groups.map(\.groupID) == [0, 0, 1])
    let sum = report.groups.map(\.runtimeNanoseconds)
    #expect(report.elapsedNanoseconds >= max(sum[0], sum[1] + 7_000_000) + sum[2])
    #expect(report.operations[.read] == 60 && report.operations[.write] == 50)
  }

  @Test("what happens before the ramp ends does not count, and the run time begins after it")
  func ramp() async throws {
    let report = try await run(
      "--name=a", "--rw=randread", "--rate_iops=1000", "--runtime=2", "--time_based", "--ramp_time=1")
    #expect(1_990...2_010 ~= (report.operations[.read] ?? 0))
    #expect(3_000_000_000...3_010_000_000 ~= report.elapsedNanoseconds)
    #expect(2_000_000_000...2_010_000_000 ~= (report.groups.first?.runtimeNanoseconds ?? 0))
  }

  @Test("the end of one job ends the others, if it is to")
  func exitAll() async throws {
    let report = try await run(
      "--name=a", "--rw=read", "--number_ios=100", "--exitall", "--name=b", "--rw=write", "--runtime=60",
      "--time_based")
    #expect(report.elapsedNanoseconds < 100_000_000 && !report.isInterrupted)
  }

  @Test("a job goes on after errors only if it may, and an error may end the others")
  func errors() async throws {
    let faults = ["--fault=read:EIO,every=10"]
    let stopped = try await runJobs(
      faults + ["--name=a", "--ioengine=sim", "--size=16m", "--rw=read", "--number_ios=100"])
    #expect(stopped.groups[0].errors == 1 && stopped.operations[.read] == 9 && stopped.exitCode == .jobError)
    let going = try await runJobs(
      faults + ["--name=a", "--ioengine=sim", "--size=16m", "--rw=read", "--number_ios=100", "--continue_on_error=io"])
    #expect(going.groups[0].errors == 10 && going.operations[.read] == 90)
    let wrong = try await runJobs(
      faults + [
        "--name=a", "--ioengine=sim", "--size=16m", "--rw=read", "--number_ios=100", "--continue_on_error=write",
      ])
    #expect(wrong.groups[0].errors == 1)
    let others = try await runJobs(
      faults + [
        "--ioengine=sim", "--size=16m", "--name=a", "--rw=read", "--number_ios=100", "--exitall_on_error", "--name=b",
        "--rw=write", "--runtime=60", "--time_based",
      ])
    #expect(others.elapsedNanoseconds < 100_000_000)
  }

  @Test("an operation that takes too long ends its job")
  func maximumLatency() async throws {
    let report = try await run("--name=a", "--rw=randread", "--max_latency=100", "--runtime=10", "--time_based")
    #expect(report.groups[0].errors == 1 && report.elapsedNanoseconds < 1_000_000_000)
    #expect(report.findings.first?.context == "max_latency of a.0")
  }

  @Test("each trimmed block is written afterwards, however the job ends")
  func trimWrite() async throws {
    for depth in [1, 8] {
      let report = try await run(
        "--name=a", "--rw=randtrimwrite", "--runtime=20ms", "--time_based", "--iodepth=\(depth)")
      let trims = try #require(report.operations[.trim])
      #expect(trims > 10 && report.operations[.write] == trims)
    }
  }

  @Test("overlapping writes take turns where that is asked for", arguments: [true, false])
  func overlap(_ isSerialized: Bool) async throws {
    let report = try await runJobs([
      "--strict", "--name=a", "--ioengine=sim", "--size=64k", "--rw=randwrite", "--norandommap", "--iodepth=8",
      "--io_size=2000k", "--serialize_overlap=\(isSerialized ? 1 : 0)",
    ])
    #expect(report.findings.isEmpty == isSerialized)
    #expect(report.operations[.write] == 500)
  }

  @Test("with a low mark the depth falls before more begins, and batches go together")
  func batches() async throws {
    for options in [
      ["--iodepth_low=2"], ["--iodepth_batch=4"], ["--iodepth_batch_complete_min=8"], ["--iodepth_low=16"],
      ["--iodepth_batch=16", "--iodepth_batch_complete_min=16", "--iodepth_low=0"],
    ] {
      let report = try await runJobs(
        ["--name=a", "--ioengine=sim", "--size=16m", "--rw=randwrite", "--iodepth=16", "--number_ios=1000"] + options)
      #expect(report.operations[.write] == 1000 && report.findings.isEmpty, "\(options)")
    }
  }

  @Test("writes that are to be durable go by forced unit access, and flushes fill the depth")
  func durable() async throws {
    let flushes = try await run("--name=a", "--rw=flush", "--number_ios=100", "--iodepth=16")
    #expect(flushes.operations[.fsync] == 100 && flushes.device?.flushes == 100)
    let zeroes = try await run("--name=a", "--rw=writezeroes", "--bs=64k", "--number_ios=20")
    #expect(zeroes.operations[.writeZeroes] == 20)
    let cached = try await runJobs([
      "--volatile-cache=1m", "--name=a", "--ioengine=sim", "--size=1m", "--rw=write", "--sync=dsync",
    ])
    #expect(cached.layers?.lostWriteCount == 0)
    let lost = try await runJobs(["--volatile-cache=2m", "--name=a", "--ioengine=sim", "--size=1m", "--rw=write"])
    #expect((lost.layers?.lostWriteCount ?? 0) > 0)
  }

  @Test("copies begin further on by the increment, and a job at its offset")
  func offsets() async throws {
    let report = try await run(
      "--name=a", "--rw=write", "--offset=4m", "--offset_increment=25%", "--numjobs=3", "--size=16m")
    // 12, 8 and 4 MiB are left.
    #expect(report.groups.map { $0.operations[.write]?.bytes } == [12 << 20, 8 << 20, 4 << 20])
  }
}
