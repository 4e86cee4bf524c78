import Testing
import Workload

/// Reads a job file and joins it with arguments, as the command does.
func plan(_ text: String, _ arguments: [String] = []) throws(JobError) -> WorkloadPlan {
  let file = try JobFile(path: "job.fio", text: text)
  return try WorkloadPlan(RunArguments(arguments), files: [file])
}

func plan(arguments: [String]) throws(JobError) -> WorkloadPlan {
  try WorkloadPlan(RunArguments(arguments), files: [])
}

@Suite("Job files")
struct JobFileTests {
  @Test("sections, globals, comments, blanks and bare booleans mean what they mean to fio")
  func readsAFile() throws {
    let jobs = try plan(
      """
      ; a comment
      # another
      [global]
      ioengine = null   ; trailing
        size=1m#also trailing
      time_based
      runtime=10

      [one]
      \trw = randwrite\t
      [ two words ]
      rw=randread
      bs=8k
      rw=read
      """
    ).jobs
    #expect(jobs.map(\.name) == ["one", "two words"])
    #expect(jobs.map(\.load.pattern) == [.randomWrite, .read])
    #expect(jobs.map(\.smallestBlock) == [4096, 8192])
    #expect(jobs.allSatisfy { $0.engine == .null && $0.size == 1 << 20 && $0.schedule.isTimeBased })
    #expect(jobs.allSatisfy { $0.schedule.runtimeNanoseconds == 10_000_000_000 })
  }

  @Test("a later [global] holds for the sections behind it only")
  func laterGlobal() throws {
    let jobs = try plan("[global]\nioengine=null\nsize=1m\n[a]\n[global]\nbs=8k\n[b]\n").jobs
    #expect(jobs.map(\.smallestBlock) == [4096, 8192])
    #expect(jobs[1].engine == .null)
  }

  @Test("a section may say its job's name itself, and a file may have carriage returns and no last newline")
  func nameAndLineEnds() throws {
    let jobs = try plan("[a]\r\nname=b\r\nioengine=null\r\nsize=4k").jobs
    #expect(jobs.map(\.name) == ["b"])
  }

  @Test("without any option a job is what it is to fio")
  func defaults() throws {
    let job = try plan("[a]\nfilename=/dev/null\n").jobs[0]
    #expect(job.target == .device)
    #expect(job.load.pattern == .read)
    #expect(job.smallestBlock == 4096)
    #expect(job.size == nil)
    #expect(job.schedule.runtimeNanoseconds == nil)
    #expect(job.queueing.depth == 1)
    #expect(job.copies == 1)
    #expect(job.engine == .libaio)
    #expect(!job.isDirect)
    #expect(job.randomSeed == nil)
    #expect(!job.load.offsetsMayRepeat)
    #expect(job.fsyncEvery == 0)
    #expect(!job.fsyncsAtEnd)
    #expect(job.volume == nil)
  }

  static let badLines: [(text: String, line: Int, problem: SyntaxProblem)] = [
    ("bs=4k\n[a]\n", 1, .optionOutsideSection("bs")),
    ("[a]\n\n[b\n", 3, .unclosedSection),
    ("[]\n", 1, .emptySectionName),
    ("[  ]\n", 1, .emptySectionName),
    ("; x\n[a] rest\n", 2, .textAfterSection("rest")),
    ("[a]\n=4k\n", 2, .missingKey),
    ("[a]\ninclude other.fio\n", 2, .cannotInclude("other.fio", reason: "no files are read here")),
    ("[a]\nfilename=${HOME}/x\n", 2, .variableNotSet("HOME")),
    ("[a]\nfilename=$jobname\n", 2, .keywordNotSupported("$jobname")),
    ("[a]\nfilename=x${HOME\n", 2, .keywordNotSupported("${HOME")),
  ]

  @Test("a line that is no job file's is refused with its number", arguments: badLines)
  func refusesLines(_ bad: (text: String, line: Int, problem: SyntaxProblem)) {
    #expect(throws: JobError.syntax(bad.problem, at: .file("job.fio", line: bad.line))) { try plan(bad.text) }
  }

  static let unknown: [(key: String, error: JobError)] = [
    ("iodepht=4", .unknownOption("iodepht", nearest: "iodepth", at: .file("job.fio", line: 3))),
    ("blocksiz=4k", .unknownOption("blocksiz", nearest: "blocksize", at: .file("job.fio", line: 3))),
    ("cachesize=4k", .unknownOption("cachesize", nearest: "cache_size", at: .file("job.fio", line: 3))),
    ("zzzzzzzz", .unknownOption("zzzzzzzz", nearest: nil, at: .file("job.fio", line: 3))),
    ("cgroup=a", .knownToFioOnly("cgroup", at: .file("job.fio", line: 3))),
    ("lockmem=1", .knownToFioOnly("lockmem", at: .file("job.fio", line: 3))),
  ]

  @Test("an unknown option names the nearest known one, unless fio knows it", arguments: unknown)
  func refusesOptions(_ bad: (key: String, error: JobError)) {
    #expect(throws: bad.error) { try plan("[a]\nbs=4k\n\(bad.key)\n") }
  }

  @Test("messages carry file, line, option and reason")
  func messages() {
    func message(_ text: String, _ arguments: [String] = []) -> String {
      do throws(JobError) {
        _ = try plan(text, arguments)
        return "no error"
      } catch {
        return error.description
      }
    }
    #expect(message("[a]\niodepht=1") == "job.fio:2: iodepht: unknown option; did you mean iodepth?")
    #expect(
      message("\u{7f}ELF\u{1}\u{1b}[2J=\r")
        == #"job.fio:1: \u{7F}ELF\u{01}\u{1B}[2J: an option before the first [section]"#)
    #expect(
      message(String(repeating: "x", count: 500))
        == "job.fio:1: \(String(repeating: "x", count: 80))…: an option before "
        + "the first [section]")
    #expect(message("[a]\nlockmem=2") == "job.fio:2: lockmem: known to fio, not supported here yet")
    #expect(message("[a]\nbs=4x") == "job.fio:2: bs: '4x': unknown suffix 'x' (k, m, g, t or p)")
    #expect(message("[a]\niodepth=0") == "job.fio:2: iodepth: '0': must be from 1 to 65536")
    #expect(
      message("[a]\nioengine=nul") == "job.fio:2: ioengine: 'nul': must be one of libaio, mem, null, sim; "
        + "did you mean null?")
    #expect(
      message("[a]\ntime_based\nfilename=x") == "job.fio:2: time_based: needs runtime: a time-based job would "
        + "never end (job a)")
    #expect(
      message("[a]\n", ["--bs=5k%"]) == "command line: bs: '5k%': a percentage has no meaning here; give bytes")
    #expect(message("[global]\nbs=4k\n") == "job.fio: has no job: a job begins with a line [NAME]")
  }
}
