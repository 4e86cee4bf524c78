import Testing
import Workload

@Suite("Contradictory jobs")
struct JobValidationTests {
  static let contradictions: [(options: [String], option: String, problem: Contradiction)] = [
    (["ioengine=null", "size=1m", "time_based"], "time_based", .needs(option: "runtime", because: .timeBasedHasNoEnd)),
    ([], "ioengine", .needs(option: "filename", because: .deviceHasNoFile)),
    (["ioengine=mem"], "ioengine", .needs(option: "size", because: .engineHasNoSize("mem"))),
    (["ioengine=null", "size=0"], "ioengine", .needs(option: "size", because: .engineHasNoSize("null"))),
    (["filename=x", "fs_ops=write:1"], "fs_ops", .onlyWithTarget("fs")),
    (["filename=x", "image=y"], "image", .onlyWithTarget("fs")),
    (["filename=x", "writeback=cookie"], "writeback", .onlyWithTarget("fs")),
    (["filename=x", "wb_batch=64k"], "wb_batch", .onlyWithTarget("fs")),
    (["filename=x", "failed_pages=clean"], "failed_pages", .onlyWithTarget("fs")),
    (["filename=x", "bs=1000"], "bs", .blockNotSectorMultiple(blockSize: 1000)),
    (["filename=x", "size=2k"], "size", .sizeBelowBlock(share: 2048, blockSize: 4096)),
    (["target=fs", "ioengine=null", "size=1m"], "ioengine", .engineCannotHoldVolume("null")),
    (["target=fs", "rw=read"], "target", .needs(option: "size", because: .scratchImageMustHoldIt)),
    (["target=fs", "rw=write", "image=i"], "target", .needs(option: "size", because: .filesMustBeSized)),
    (["target=fs", "size=1m", "rw=write", "fs_ops=write:1"], "fs_ops", .excludes(option: "rw")),
    (["target=fs", "size=1m", "image=i", "image_size=1g"], "image_size", .excludes(option: "image")),
    (["target=fs", "size=1m", "filename=a/b"], "filename", .notAFileName("a/b")),
    (["target=fs", "size=1m", "filename=.."], "filename", .notAFileName("..")),
    (["target=fs", "size=8k", "filename=a:b:c"], "size", .sizeBelowBlock(share: 2730, blockSize: 4096)),
    (
      ["target=fs", "size=1m", "cache_size=1m", "dirty_limit=2m"], "dirty_limit",
      .exceeds(option: "cache_size", limit: 1 << 20)
    ),
    (
      ["target=fs", "size=1m", "dirty_limit=1m", "dirty_background=2m"], "dirty_background",
      .exceeds(option: "dirty_limit", limit: 1 << 20)
    ),
  ]

  @Test(
    "options that contradict each other are refused, with the option, its line and the reason",
    arguments: contradictions)
  func refuses(_ bad: (options: [String], option: String, problem: Contradiction)) {
    // The section is line 1; an option that nobody gave has no line.
    let line = bad.options.firstIndex { $0 == bad.option || $0.hasPrefix(bad.option + "=") }.map { $0 + 2 }
    let location = line.map { SourceLocation.file("job.fio", line: $0) }
    #expect(throws: JobError.contradiction(job: "a", option: bad.option, bad.problem, at: location)) {
      try plan("[a]\n" + bad.options.joined(separator: "\n") + "\n")
    }
  }

  static let differences: [(String, String, option: String)] = [
    ("ioengine=null\nsize=1m", "target=fs\nsize=1m", "target"),
    ("ioengine=null\nsize=1m", "ioengine=sim\nsize=1m", "ioengine"),
    ("target=fs\nsize=1m", "target=fs\nsize=1m\nioengine=mem", "ioengine"),
    ("target=fs\nsize=1m\nimage=x", "target=fs\nsize=1m\nimage=y", "image"),
    ("target=fs\nsize=1m", "target=fs\nsize=1m\nimage_size=1g", "image_size"),
    ("target=fs\nsize=1m", "target=fs\nsize=1m\ndirect", "direct"),
    ("target=fs\nsize=1m", "target=fs\nsize=1m\nqueue_depth=3", "queue_depth"),
    ("target=fs\nsize=1m", "target=fs\nsize=1m\nwriteback=per-page", "writeback"),
    ("target=fs\nsize=1m", "target=fs\nsize=1m\nfrees=ordered", "frees"),
    ("target=fs\nsize=1m", "target=fs\nsize=1m\ncache_size=1g", "cache_size"),
    ("target=fs\nsize=1m", "target=fs\nsize=1m\ndirty_limit=1m", "dirty_limit"),
    ("target=fs\nsize=1m", "target=fs\nsize=1m\ndirty_background=1m", "dirty_background"),
    ("target=fs\nsize=1m", "target=fs\nsize=1m\nwb_batch=64k", "wb_batch"),
    ("target=fs\nsize=1m", "target=fs\nsize=1m\nfailed_pages=clean", "failed_pages"),
  ]

  @Test("jobs that cannot share one run are refused", arguments: differences)
  func refusesDifferences(_ first: String, _ second: String, _ option: String) throws {
    let error = #expect(throws: JobError.self) { try plan("[a]\n\(first)\n[b]\n\(second)\n") }
    guard case .contradiction("b", option, .differsFromJob("a"), at: _)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test("jobs on different devices may share a run")
  func mixedDevices() throws {
    let jobs = try plan("[a]\nfilename=x\n[b]\nioengine=mem\nsize=1m\nfilename=y\n").jobs
    #expect(jobs.map(\.engine) == [.libaio, .memory])
  }

  @Test("dirty limits follow the cache unless they are given")
  func dirtyLimits() throws {
    let volume = try plan("[a]\ntarget=fs\nsize=1m\ncache_size=8m\n").volume
    #expect(volume?.dirtyLimitBytes == 4 << 20)
    #expect(volume?.dirtyBackgroundBytes == 2 << 20)
  }

  static let scratch: [(String, UInt64?)] = [
    ("filename=x", nil),
    ("target=fs\nsize=1m\nimage=x", nil),
    ("target=fs\nsize=1m", 256 << 20),
    ("target=fs\nsize=1m\nimage_size=32m", 32 << 20),
    // A file for each copy; a quarter more.
    ("target=fs\nsize=100m\nnumjobs=4", 500 << 20),
    // Copies share the files that have names.
    ("target=fs\nsize=400m\nnumjobs=4\nfilename=x:y", 500 << 20),
    // Not a whole number of MiB.
    ("target=fs\nsize=\(300 << 20 | 4096)", 376 << 20),
    // More than there is: the sum stops at half of UInt64.
    ("target=fs\nsize=1048576t\nnumjobs=4096", 5 << 61),
  ]

  @Test("the scratch image holds all files and a quarter more, and is at least 256 MiB", arguments: scratch)
  func scratchImage(_ options: String, _ expected: UInt64?) throws {
    #expect(try plan("[a]\n\(options)\n").scratchImageBytes == expected)
  }

  @Test("a file that several jobs name counts once, with its largest share")
  func sharedFiles() throws {
    let plan = try plan("[global]\ntarget=fs\n[a]\nfilename=x:y\nsize=800m\n[b]\nfilename=x\nsize=200m\n")
    #expect(plan.scratchImageBytes == 1000 << 20)
  }

  @Test("copies share named files, and have files of their own otherwise, as with fio")
  func fileNames() throws {
    let jobs = try plan("[global]\ntarget=fs\nsize=1m\nnumjobs=2\n[a]\n[b]\nfilename=x:y\n").jobs
    #expect(jobs[0].fileNames(copy: 1) == ["a.1.0"])
    #expect(jobs[1].fileNames(copy: 1) == ["x", "y"])
    #expect(jobs.map(\.bytesPerFile) == [1 << 20, 1 << 19])
  }

  @Test("a seed is given to the jobs that have none")
  func seeds() throws {
    let plan = try plan("[global]\nioengine=null\nsize=1m\n[a]\n[b]\nrandseed=3\n").seeded(with: 9)
    #expect(plan.jobs.map(\.randomSeed) == [9, 3])
  }
}
