import DeviceLayers
import Ext2Tools
import Support
import SystemPackage
import Testing

@testable import Workload

/// Writes a file anew.
private func write(_ bytes: [UInt8], to path: String) throws {
  let file = try FileDescriptor.open(FilePath(path), .writeOnly, options: .truncate)
  try file.closeAfter { _ = try file.writeAll(bytes) }
}

@Suite("Verification of jobs on devices")
struct VerifyRunTests {
  private static func mismatches(_ report: RunReport) -> [Finding] {
    report.findings.filter { $0.kind == .contentMismatch }
  }

  /// Jobs that overlap with themselves and with each other, at depth.
  private static let loads = [
    ["--name=a", "--rw=randwrite", "--norandommap", "--iodepth=16", "--size=128k", "--io_size=1m"],
    [
      "--name=a", "--rw=randwrite:4", "--bsrange=512-16k", "--norandommap", "--iodepth=8", "--size=256k",
      "--io_size=2m",
    ],
    [
      "--name=a", "--rw=randrw", "--bssplit=4k/60:16k/40", "--norandommap", "--iodepth=16", "--size=256k",
      "--io_size=2m",
    ],
    [
      "--name=a", "--rw=randrw", "--iodepth=4", "--numjobs=3", "--size=128k", "--io_size=1m", "--norandommap",
      "--fsync=7",
    ],
    ["--name=a", "--rw=randtrimwrite", "--iodepth=8", "--size=256k", "--loops=3"],
    [
      "--name=a", "--rw=randwrite", "--norandommap", "--iodepth=16", "--size=128k", "--io_size=1m",
      "--trim_percentage=40", "--trim_backlog=8", "--trim_backlog_batch=3", "--verify_backlog=20",
    ],
    [
      "--name=a", "--rw=randrw", "--iodepth=8", "--size=256k", "--io_size=1m", "--norandommap", "--verify_backlog=32",
      "--name=zeroes", "--rw=randwritezeroes", "--size=64k", "--io_size=256k", "--norandommap", "--iodepth=4",
      "--filename=a",
    ],
    [
      "--name=a", "--rw=randwrite", "--iodepth=8", "--size=256k", "--loops=4", "--random_distribution=zipf:1.2",
      "--ba=512", "--bs=2k", "--norandommap",
    ],
  ]

  @Test(
    "raises no false alarm, whatever overlaps and whatever fails",
    arguments: loads,
    [
      [], ["--fault=write:EIO,p=0.1"], ["--fault=write!complete:EIO,p=0.1"], ["--fault=write:delay=5ms,p=0.02"],
      ["--fault=write:short=512,p=0.3"], ["--fault=zeroes+discard:EIO,p=0.3"],
    ])
  func noFalseAlarm(load: [String], faults: [String]) async throws {
    for seed in 1...3 as ClosedRange<UInt64> {
      let report = try await runJobs(
        ["--ioengine=sim", "--verify=crc32c", "--continue_on_error=all", "--fsync=16"] + faults + load, seed: seed)
      #expect(Self.mismatches(report) == [], "seed \(seed)")
      #expect(report.verify?.mismatches == 0 && report.verify?.bytes ?? 0 > 32 << 10)
      #expect(report.exitCode == (report.findings.isEmpty ? .allHeld : .jobError))
    }
  }

  @Test(
    "finds what a device does to a block, and calls it by its name",
    arguments: [
      ("write:phantom,nth=9", "lost write"), ("write:misdirect=-64,nth=9", "misdirected write"),
      ("read:rot=1,nth=5", "bit rot"),
      ("write:torn=prefix:3,nth=9", "torn write"), ("read:stale,nth=5", "lost write"),
    ],
    ["crc32c", "crc32", "xxhash"])
  func faults(fault: (rule: String, name: String), method: String) async throws {
    let report = try await runJobs([
      "--ioengine=sim", "--name=a", "--rw=write", "--size=256k", "--iodepth=4", "--verify=\(method)",
      "--fault=\(fault.rule)",
    ])
    #expect(report.exitCode == .verificationMismatch)
    let finding = try #require(Self.mismatches(report).first)
    #expect(Self.mismatches(report).contains { $0.found?.hasPrefix(fault.name + ": ") == true }, "\(report.findings)")
    #expect(finding.file == "a" && finding.offset != nil && finding.expected?.hasPrefix("generation ") == true)
    #expect(report.verify?.mismatches == UInt64(Self.mismatches(report).count))
  }

  @Test("compares what mixed jobs read while they write")
  func mixed() async throws {
    let report = try await runJobs([
      "--ioengine=sim", "--name=a", "--rw=randrw", "--size=256k", "--io_size=2m", "--norandommap", "--iodepth=8",
      "--verify=crc32c", "--do_verify=0", "--fault=read:rot=1,every=20",
    ])
    #expect(report.verify?.mismatches ?? 0 > 0 && report.exitCode == .verificationMismatch)
  }

  @Test("ends the job at the first mismatch with verify_fatal, and goes on without")
  func fatal() async throws {
    for isFatal in [0, 1] {
      let report = try await runJobs([
        "--ioengine=sim", "--name=a", "--rw=write", "--size=1m", "--verify=crc32c", "--fault=write:phantom,every=2",
        "--verify_fatal=\(isFatal)",
      ])
      #expect(report.verify?.mismatches == (isFatal == 1 ? 1 : 128))
    }
  }

  @Test("verifies after so many writes, of these so many blocks")
  func backlog() async throws {
    let job = ["--ioengine=sim", "--name=a", "--rw=write", "--size=1m", "--verify=crc32c"]
    let all = try await runJobs(job + ["--verify_backlog=50"])
    #expect(all.verify?.bytes == 1 << 20 && all.device?.reads == 256)
    // The reads are not the job's.
    #expect(all.operations[.read] == nil && all.operations[.write] == 256)
  }

  @Test(
    "verifies every block with a backlog, whatever completes meanwhile and whatever a batch leaves over",
    arguments: [1, 8, 32], [["--verify_backlog=1"], ["--verify_backlog=16", "--verify_backlog_batch=4"]])
  func wholeBacklog(depth: Int, backlog: [String]) async throws {
    let job = [
      "--ioengine=sim", "--name=a", "--rw=randwrite", "--size=1m", "--verify=crc32c", "--iodepth=\(depth)",
    ]
    for pattern in ["randwrite", "randwritezeroes"] {
      let report = try await runJobs(job + ["--rw=\(pattern)"] + backlog)
      #expect(report.verify?.bytes == 1 << 20, "\(pattern)")
    }
    // Writes that are neighbours are one to the device.
    for number in [5, 100] {
      let report = try await runJobs(job + ["--fault=write:phantom,nth=\(number)"] + backlog)
      #expect(report.verify?.mismatches ?? 0 > 0 && report.exitCode == .verificationMismatch, "write \(number)")
    }
  }

  @Test("sees nothing to compare in what it does not know")
  func unknown() async throws {
    let report = try await runJobs([
      "--ioengine=sim", "--name=a", "--rw=randrw", "--rwmixread=99", "--size=1m", "--verify=crc32c",
      "--name=other", "--filename=a", "--rw=write", "--size=1m", "--startdelay=1s",
    ])
    #expect(report.findings.isEmpty)
  }

  @Test("a run ends when what its write cache has sent to the device is there")
  func destaging() async throws {
    let file = try ScratchFile([UInt8](repeating: 0, count: 1 << 20))
    for seed in 1...20 as ClosedRange<UInt64> {
      // Trims take their time on a thread of their own.
      let report = try await runJobs(
        [
          "--name=a", "--filename=\(file.path)", "--rw=trimwrite", "--size=256k", "--iodepth=8", "--volatile-cache=64k",
        ], seed: seed)
      #expect(report.operations[.trim] == 64 && report.exitCode == .allHeld)
    }
  }

  // MARK: Files, and runs after runs

  /// A file of blocks that a job has written, with its state.
  private final class Written {
    let file: ScratchFile
    let state: String
    let job: [String]

    init(_ options: [String] = [], seed: UInt64 = 3) async throws {
      file = try ScratchFile([UInt8](repeating: 0, count: 1 << 20))
      let slash = file.path.lastIndex(of: "/") ?? file.path.startIndex
      let folder = String(file.path[..<slash]), name = String(file.path[file.path.index(after: slash)...])
      state = "\(folder)/local-\(name)-0-verify.state"
      job = [
        "--aux-path=\(folder)", "--name=\(name)", "--filename=\(file.path)", "--rw=randwrite", "--size=1m",
        "--iodepth=8",
        "--verify=crc32c", "--randseed=\(seed)",
      ]
      let report = try await runJobs(job + ["--do_verify=0", "--end_fsync"] + options)
      #expect(report.findings.isEmpty && report.verify?.bytes == 0)
    }
    deinit { TemporaryFile.remove(state) }

    func damage(_ body: (inout [UInt8]) -> Void) throws {
      var bytes = try TemporaryFile.read(file.path)
      body(&bytes)
      try write(bytes, to: file.path)
    }
  }

  @Test(
    "finds one bit, one misdirected write and one lost write in a file, by the job again, its state, or the blocks alone",
    arguments: [["--verify_only"], ["--verify_only", "--verify_state_load"], ["--rw=read"]])
  func damagedFile(how: [String]) async throws {
    let written = try await Written()
    let good = try await runJobs(written.job + how)
    #expect(good.findings.isEmpty && good.verify?.bytes == 1 << 20)
    try written.damage { bytes in
      bytes[5 * 4096 + 1000] ^= 16
      bytes.replaceSubrange(30 * 4096..<31 * 4096, with: bytes[20 * 4096..<21 * 4096])
      bytes.replaceSubrange(40 * 4096..<41 * 4096, with: [UInt8](repeating: 0, count: 4096))
    }
    let report = try await runJobs(written.job + how)
    let found = report.findings.map { "\($0.offset ?? 0) \($0.found?.prefix { $0 != ":" } ?? "")" }
    #expect(found == ["21480 bit rot", "122880 misdirected write", "163840 lost write"])
    #expect(report.exitCode == .verificationMismatch && report.verify?.mismatches == 3)
    #expect(report.operations[.write] == nil)
  }

  @Test("reads with other blocks than those that were written")
  func otherBlocks() async throws {
    let written = try await Written(["--bs=8k"])
    for size in ["8k", "64k", "256k"] {
      let report = try await runJobs(["--name=r", "--filename=\(written.file.path)", "--verify=crc32", "--bs=\(size)"])
      #expect(report.findings.isEmpty && report.verify?.bytes == 1 << 20, "\(size)")
    }
  }

  @Test("keeps, after a power cut, to what flushes have covered", arguments: [1, 2, 3] as [UInt64])
  func powerCut(seed: UInt64) async throws {
    let load = ["--norandommap", "--fsync=16", "--io_size=4m", "--number_ios=905"]
    let lossy = try await Written(load + ["--volatile-cache=1m", "--end_fsync=0"], seed: seed)
    let kept = try await runJobs(lossy.job + load + ["--verify_only", "--verify_state_load"])
    #expect(kept.findings.isEmpty && kept.verify?.bytes ?? 0 > 1 << 18)
    #expect(kept.verify?.unflushedBytes ?? 0 > 0)
    // A flush that lies is found out.
    let lying = try await Written(load + ["--volatile-cache=1m", "--fault=flush:lie", "--end_fsync=0"], seed: seed)
    let lost = try await runJobs(lying.job + load + ["--verify_only", "--verify_state_load"])
    #expect(lost.exitCode == .verificationMismatch)
    // The laboratory's way to the same.
    let state = try VerifyState(text: String(decoding: try TemporaryFile.read(lying.state), as: UTF8.self))
    let verdict = try state.judge(FileBytes(path: lying.file.path))
    #expect(verdict.mismatches == lost.verify?.mismatches && verdict.bytes == lost.verify?.bytes)
  }

  @Test("makes forced writes durable one by one")
  func forcedWrites() async throws {
    let written = try await Written(["--volatile-cache", "--sync=dsync", "--end_fsync=0"])
    let report = try await runJobs(written.job + ["--verify_only", "--verify_state_load"])
    #expect(report.findings.isEmpty && report.verify?.bytes == 1 << 20 && report.verify?.unflushedBytes == nil)
  }

  @Test("says why a state is of no use")
  func badState() async throws {
    let written = try await Written()
    let verify = written.job + ["--verify_only", "--verify_state_load"]
    func problem(_ arguments: [String]) async -> String? {
      await #expect(throws: RunError.self) { try await runJobs(arguments) }?.description
    }
    #expect(
      await problem(verify + ["--bs=8k"])?.hasSuffix(
        "has blocks of 4096 bytes, the job has 8192: bs has to be what it was") == true)
    #expect(await problem(verify + ["--size=512k"])?.contains("are not among those that the job works on") == true)
    try write(Array("blkdev verify state 1\nseed x\n".utf8), to: written.state)
    #expect(await problem(verify)?.hasSuffix("line 2: a line 'seed N' is wanted") == true)
    TemporaryFile.remove(written.state)
    #expect(await problem(verify)?.hasPrefix(written.state) == true)
  }

  // MARK: Options

  @Test(
    "refuses what does not make sense",
    arguments: [
      (["--verify=md5"], "known to fio, not supported here"), (["--verify=crc32k"], "did you mean crc32"),
      (["--verify=pattern"], "needs verify_pattern"), (["--verify=crc32c", "--verify_pattern=zz"], "is no pattern"),
      (["--verify=crc32c", "--verify_only"], "needs randseed"),
      (["--verify=crc32c", "--verify_only", "--randseed=1", "--runtime=5"], "needs verify_state_load"),
      (["--verify=crc32c", "--ioengine=null"], "keeps nothing"),
      (["--verify_interval=100", "--verify=meta"], "from 512"),
      (["--verify_only"], "needs verify:"), (["--verify_state_load"], "needs verify:"),
      (["--do_verify"], "needs verify:"), (["--verify_backlog=8"], "needs verify:"),
      (["--verify=crc32c", "--verify_only", "--read_iolog=log"], "cannot be given together with read_iolog"),
      (["--target=fs", "--verify_only"], "only with target=dev"),
      (["--target=fs", "--verify_pattern=0x12"], "only with target=dev"),
      (["--verify=meta", "--target=fs"], "only with target=dev"),
    ])
  func refused(options: [String], message: String) throws {
    let error = #expect(throws: JobError.self) {
      try WorkloadPlan(RunArguments(["--name=a", "--ioengine=mem", "--size=1m", "--rw=write"] + options), files: [])
    }
    #expect(error?.description.contains(message) == true, "\(String(describing: error))")
  }

  @Test("refuses headers that do not fit the blocks, and jobs on the same bytes that differ")
  func unfit() async throws {
    for options in [
      ["--name=a", "--bs=4k", "--verify_interval=1536"], ["--name=a", "--name=b", "--filename=a", "--verify=crc32"],
    ] {
      await #expect(throws: RunError.self) {
        try await runJobs(["--ioengine=mem", "--size=1m", "--rw=write", "--verify=crc32c"] + options)
      }
    }
  }

  @Test("refuses more blocks than memory has room for")
  func memory() {
    let job = try? WorkloadPlan(
      RunArguments(["--name=a", "--ioengine=mem", "--size=1g", "--rw=write", "--verify=crc32c", "--randseed=1"]),
      files: []
    ).jobs[0]
    guard let job else { return #expect(job != nil) }
    let copy = JobCopy(job, jobIndex: 0, copy: 0, files: [0..<1 << 30])
    let error = #expect(throws: RunError.self) {
      _ = try DeviceLane.areas(of: [copy], [[(0, 0..<1 << 30)]], maximumTransfers: [1 << 20], machineBytes: 4_000_000)
    }
    #expect(error?.description.contains("larger blocks need less") == true)
  }

  @Test("is part of the command that repeats a run")
  func command() throws {
    let arguments = [
      "--name=a", "--rw=write", "--size=1m", "--ioengine=mem", "--randseed=1", "--verify=xxhash",
      "--verify_pattern=0xff%o",
      "--do_verify=0", "--verify_backlog=7", "--verify_backlog_batch=3", "--verify_fatal", "--verify_interval=512",
      "--verify_state_save=0", "--verify_state_load",
    ]
    let plan = try WorkloadPlan(RunArguments(arguments), files: [])
    #expect(try WorkloadPlan(RunArguments(plan.arguments), files: []).jobs == plan.jobs)
    for argument in arguments where argument.contains("verify") {
      #expect(plan.arguments.contains(argument), "\(argument)")
    }
  }
}
