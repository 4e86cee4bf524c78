import Glibc
import Testing
import Workload

@Suite("The command that repeats a run")
struct JobCommandTests {
  static let workloads: [[String]] = [
    ["--name=a", "--filename=/dev/x"],
    ["--name=it's \"odd\" $HOME", "--filename=/tmp/with blank:b"],
    ["--name=a", #"--filename=/dev/pci-0000\:00\:1f.2:b\c\::\:"#],
    [
      "--name=a", "--ioengine=sim", "--size=1025k", "--rw=randrw", "--bs=512", "--runtime=1500ms", "--time_based",
      "--iodepth=3", "--numjobs=2", "--direct", "--randseed=18446744073709551615", "--norandommap", "--fsync=5",
      "--fdatasync=7", "--end_fsync", "--group_reporting", "--queue_depth=9",
    ],
    [
      "--name=a", "--description=all of it", "--directory=/d", "--size=64m", "--nrfiles=3",
      "--filename_format=$jobname-$filenum",
      "--file_service_type=random",
      "--rw=randrw:8", "--rwmixwrite=30", "--percentage_random=90,50", "--bssplit=4k/60:64k/40,8k/100",
      "--blockalign=4k,8k", "--io_size=1g", "--number_ios=77", "--loops=2", "--offset=5%", "--offset_increment=1m",
      "--random_distribution=zipf:1.3", "--runtime=20", "--ramp_time=2", "--startdelay=500ms", "--stonewall",
      "--new_group", "--exitall", "--exitall_on_error", "--rate=1m,2m", "--rate_iops=,500", "--rate_process=poisson",
      "--thinktime=10", "--thinktime_spin=5", "--thinktime_blocks=4", "--thinktime_blocks_type=issue", "--iodepth=16",
      "--iodepth_batch=4", "--iodepth_batch_complete_min=2", "--iodepth_low=8", "--serialize_overlap", "--buffered=0",
      "--sync=1", "--continue_on_error=1", "--max_latency=3s", "--refill_buffers", "--randrepeat=1", "--thread",
      "--percentile_list=99.9:50:0.001", "--slat_percentiles", "--clat_percentiles=0", "--lat_percentiles=1",
    ],
    [
      "--name=a", "--filename=x", "--read_iolog=l:m", "--replay_no_stall", "--replay_time_scale=50",
      "--replay_redirect=y",
      "--replay_scale=2", "--replay_align=4k", "--replay_skip=read,sync", "--write_iolog=w",
      "--write_bw_log", "--write_lat_log=l/m", "--per_job_logs=0", "--log_offset", "--log_max_value",
    ],
    [
      "--name=a", "--filename=x", "--rw=write", "--verify=crc32c", "--trim_percentage=5", "--trim_verify_zero=0",
      "--trim_backlog=7", "--trim_backlog_batch=3",
    ],
    ["--name=a", "--filename=x", "--bsrange=4k-64k,8k-16k", "--rw=write:64k", "--size=50%", "--zero_buffers"],
    [
      "--unsafe-ignore-cookie", "--target=fs", "--size=8m", "--image_size=48m", "--frees=ordered", "--dirty_limit=1m",
      "--writeback=admit-first", "--cache_size=3m", "--dirty_background=0", "--wb_batch=64k",
      "--failed_pages=clean", "--name=a", "--fs_ops=write:1,fsync:2", "--name=b", "--filename=x:y",
    ],
    [
      "--name=a", "--target=fs", "--image=i", "--rw=randread", "--runtime=7us", "--cache_size=1g", "--dirty_limit=512m",
    ],
  ]

  @Test("gives the same jobs when it is read again", arguments: workloads)
  func roundTrip(_ arguments: [String]) throws {
    let first = try plan(arguments: arguments).seeded(with: 42)
    let second = try plan(arguments: first.arguments)
    #expect(second == first)
    #expect(second.arguments == first.arguments)
    #expect(first.jobs.allSatisfy { $0.randomSeed != nil })
  }

  @Test("says nothing that is a default, and quotes what a shell would read otherwise")
  func text() throws {
    let run = try plan(arguments: ["--name=it's", "--filename=a b", "--bs=4096", "--rw=read", "--direct=1"])
    #expect(run.commandLine == #"blkdev-run '--name=it'\''s' '--filename=a b' --direct"#)
    let seeded = run.seeded(with: 5)
    #expect(seeded.jobs[0].commandLine == #"blkdev-run '--name=it'\''s' '--filename=a b' --direct --randseed=5"#)
  }

  @Test("leaves out where the report went")
  func reportOptions() throws {
    let run = try plan(arguments: ["--name=a", "--filename=x", "--output=o", "--output-format=json", "--keep"])
    #expect(run.commandLine == "blkdev-run --name=a --filename=x")
  }

  @Test("is the same for the truncate storm, whose job file is a good one")
  func storm() throws {
    let path = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined() + "/tools/jobs/truncate-storm.fio"
    let file = try JobFile(path: path, text: try #require(contents(path)))
    let storm = try WorkloadPlan(RunArguments([path]), files: [file]).seeded(with: 1)
    #expect(try plan(arguments: storm.arguments) == storm)

    let writers = try #require(storm.jobs.first { $0.name == "writers" })
    let truncators = try #require(storm.jobs.first { $0.name == "truncators" })
    let growers = try #require(storm.jobs.first { $0.name == "growers" })
    #expect(writers.namedFiles == truncators.namedFiles)
    #expect(writers.bytesPerFile == truncators.bytesPerFile)
    #expect(writers.copies > 1 && truncators.copies > 1)
    #expect(Set(growers.namedFiles).isDisjoint(with: writers.namedFiles))
    #expect(truncators.mix?.contains(.truncate) == true)
    #expect(growers.mix?.contains(.append) == true)
    for job in storm.jobs {
      #expect(job.target == .fileSystem && job.isDirect && job.schedule.isTimeBased)
      #expect(job.schedule.runtimeNanoseconds == 10_000_000_000)
      #expect(job.engine == .libaio)
    }
    // The volume holds every file at its largest, with an eighth to spare for pointer blocks and pending frees.
    let shares = (writers.size ?? 0) + (growers.size ?? 0)
    #expect(try #require(storm.scratchImageBytes) >= shares + shares / 8)
  }

  /// The text of a small file; nil when it cannot be read.
  private func contents(_ path: String) -> String? {
    let file = unsafe open(path, O_RDONLY)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
    return count < 0 ? nil : String(decoding: bytes.prefix(count), as: UTF8.self)
  }
}
