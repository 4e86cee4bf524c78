import Testing
import Workload

@Suite("Arguments of a run")
struct RunArgumentsTests {
  @Test("a value may stand behind the sign or in the next argument, and a boolean needs none")
  func spellings() throws {
    let jobs = try plan(arguments: [
      "--ioengine", "null", "--size=1m", "--name=a", "--rw", "randwrite", "--direct", "--name", "b", "--direct", "0",
      "--norandommap", "--bs", "8k",
    ]).jobs
    #expect(jobs.map(\.name) == ["a", "b"])
    #expect(jobs.map(\.isDirect) == [true, false])
    #expect(jobs.map(\.load.offsetsMayRepeat) == [false, true])
    #expect(jobs.map(\.load.pattern) == [.randomWrite, .read])
    #expect(jobs.map(\.smallestBlock) == [4096, 8192])
    #expect(jobs.allSatisfy { $0.engine == .null && $0.size == 1 << 20 })
  }

  @Test("options before --name are defaults, which a job's own options override")
  func commonOptions() throws {
    let jobs = try plan(arguments: ["--ioengine=null", "--size=1m", "--bs=8k", "--name=a", "--bs=16k", "--name=b"]).jobs
    #expect(jobs.map(\.smallestBlock) == [16384, 8192])
  }

  @Test("options on the command line override every section of a job file")
  func overrides() throws {
    let jobs = try plan("[global]\nioengine=null\nsize=1m\n[a]\nbs=8k\n[b]\n", ["job.fio", "--bs=16k", "--randseed=7"])
      .jobs
    #expect(jobs.map(\.smallestBlock) == [16384, 16384])
    #expect(jobs.map(\.randomSeed) == [7, 7])
  }

  @Test("jobs of the command line follow those of the files")
  func filesAndNames() throws {
    let jobs = try plan("[a]\nioengine=null\nsize=1m\n", ["job.fio", "--name=b", "--ioengine=null", "--size=2m"]).jobs
    #expect(jobs.map(\.name) == ["a", "b"])
    #expect(jobs.map(\.size) == [1 << 20, 2 << 20])
  }

  @Test("options of the run stand anywhere, and job files too")
  func runOptions() throws {
    let arguments = try RunArguments([
      "--keep", "a.fio", "--output-format=json", "--time_based", "b.fio", "--output", "out", "--unsafe-ignore-cookie",
      "--", "--c.fio",
    ])
    #expect(arguments.jobFiles == ["a.fio", "b.fio", "--c.fio"])
    #expect(arguments.options.keepsImage)
    #expect(arguments.options.ignoresCookie)
    #expect(arguments.options.outputFormats == [.json])
    #expect(arguments.options.outputPath == "out")
    #expect(arguments.common.map(\.name) == [.timeBased])
    #expect(!arguments.wantsHelp && !arguments.wantsVersion)
  }

  @Test("several formats may be asked for, and minimal is one")
  func formats() throws {
    #expect(try RunArguments(["--output-format", "json+,normal"]).options.outputFormats == [.jsonPlus, .normal])
    #expect(try RunArguments(["--minimal", "--terse-version=4"]).options.outputFormats == [.terse])
    let options = try RunArguments(["--status-interval=500ms", "--compare", "b", "--compare-bound=2.5%"]).options
    #expect(options.statusInterval == 500_000_000 && options.comparePath == "b" && options.compareBound == 2_500_000)
  }

  @Test("help and version are asked for by name", arguments: ["--help", "-h", "--version"])
  func helpAndVersion(_ flag: String) throws {
    let arguments = try RunArguments([flag])
    #expect(arguments.wantsHelp == (flag != "--version"))
    #expect(arguments.wantsVersion == (flag == "--version"))
  }

  static let bad: [([String], JobError)] = [
    ([], .noJob),
    (["--bs=4k"], .noJob),
    (["--kepe"], .unknownOption("kepe", nearest: "keep", at: .commandLine)),
    (["--output-fromat=json"], .unknownOption("output-fromat", nearest: "output-format", at: .commandLine)),
    (["-bs=4k"], .unknownOption("-bs=4k", nearest: "--bs=4k", at: .commandLine)),
    (["-iodepht=4"], .unknownOption("-iodepht=4", nearest: "--iodepth", at: .commandLine)),
    (["-zzzzzz"], .unknownOption("-zzzzzz", nearest: nil, at: .commandLine)),
    (["--RW=read"], .unknownOption("RW", nearest: "rw", at: .commandLine)),
    (["--group-reporting"], .unknownOption("group-reporting", nearest: "group_reporting", at: .commandLine)),
    (["--bs"], .badValue(option: "bs", value: "", .missing, at: .commandLine)),
    (["--bs", "--name=a"], .badValue(option: "bs", value: "", .missing, at: .commandLine)),
    (["--name="], .badValue(option: "name", value: "", .missing, at: .commandLine)),
    (
      ["--output-format=jsno"],
      .badValue(
        option: "output-format", value: "jsno",
        .notOneOf(["terse", "csv", "json", "json+", "normal"], nearest: "json"), at: .commandLine)
    ),
    (
      ["--terse-version=6"],
      .badValue(option: "terse-version", value: "6", .outOfRange(minimum: 2, maximum: 5), at: .commandLine)
    ),
    (
      ["--compare-bound=0"],
      .badValue(option: "compare-bound", value: "0", .notAPercentile, at: .commandLine)
    ),
    (
      ["--compare-bound=5:6"], .badValue(option: "compare-bound", value: "5:6", .notANumber, at: .commandLine)
    ),
    (["--keep=2"], .badValue(option: "keep", value: "2", .notBoolean, at: .commandLine)),
    (["--lockmem=3"], .knownToFioOnly("lockmem", at: .commandLine)),
    (["--eta-newline=1", "--name=a"], .knownToFioOnly("eta-newline", at: .commandLine)),
    (["--idle-prof=system", "job.fio"], .knownToFioOnly("idle-prof", at: .commandLine)),
  ]

  @Test("wrong arguments are refused with the option and the reason", arguments: bad)
  func refuses(_ arguments: [String], _ error: JobError) {
    #expect(throws: error) { try plan(arguments: arguments) }
  }

  @Test("the help names every option, its default and every flag, in lines of at most 100 columns")
  func help() {
    let help = JobHelp.text
    for option in JobOption.all { #expect(help.contains("  --\(option.name.rawValue)=")) }
    for flag in RunOptions.Flag.allCases { #expect(help.contains("  --\(flag.rawValue)")) }
    #expect(help.contains("(default 4k)"))
    #expect(help.contains("override every section"))
    #expect(help.split(separator: "\n").allSatisfy { $0.count <= 100 })
    #expect(JobHelp.text(of: "blocksize")?.contains("other names: blocksize") == true)
    #expect(JobHelp.text(of: "keep")?.contains("scratch image") == true)
    #expect(JobHelp.text(of: "nothing") == nil)
  }

  @Test("the first help fits a screen, and its examples are jobs")
  func screen() throws {
    let lines = JobHelp.screen.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.count <= 25 && lines.allSatisfy { $0.count <= 80 })
    let examples = lines.drop { !$0.contains("to begin with:") }.dropFirst(2).prefix { !$0.isEmpty }
    #expect(examples.count == 3 && examples.last?.contains("crash --workload=seq1") == true)
    for example in examples.prefix(2) {
      let words = example.split(separator: " ").dropFirst().map(String.init)
      #expect(try plan(arguments: words).jobs.count == 1, "\(words)")
    }
  }

  @Test("the resolved jobs are a job file that means the same")
  func resolved() throws {
    let arguments = [
      "--bs=4k,64k", "--name=a", "--filename=x", "--rw=randrw:4", "--size=1m", "--rate_iops=100,50", "--name=b",
      "--ioengine=null", "--size=2m", "--rw=randwrite", "--random_distribution=zipf:1.2", "--bssplit=4k/50:8k/50",
    ]
    let first = try plan(arguments: arguments)
    let file = try JobFile(path: "resolved", text: first.jobFile)
    let again = try WorkloadPlan(RunArguments([]), files: [file])
    #expect(again.jobs == first.jobs)
    #expect(first.jobFile.contains("\niodepth=1\n"))
  }
}
