import Support
import Testing

@testable import Workload

@Suite("What a job file refers to")
struct JobFileReferenceTests {
  struct NotThere: Error, CustomStringConvertible { let description = "not there" }

  /// A job file `jobs/main.fio` beside others, with an environment.
  static func read(
    _ text: String, beside files: [String: String] = [:], environment: [String: String] = [:]
  ) throws -> JobFile {
    let surroundings = JobFile.Surroundings(
      readText: { path in
        guard let text = files[path] else { throw NotThere() }
        return text
      }, variable: { environment[$0] })
    return try JobFile(path: "jobs/main.fio", text: text, surroundings)
  }

  @Test("is read in its place: an included file's options are those of the section that includes it")
  func include() throws {
    let file = try Self.read(
      "[global]\ninclude depth.fio\n[a]\nbs=8k\ninclude more.fio\n[b]\n",
      beside: ["jobs/depth.fio": "iodepth=4\n", "more.fio": "bs=16k\n", "jobs/more.fio": "bs=32k\n"])
    let jobs = try WorkloadPlan(RunArguments(["--filename=x"]), files: [file]).jobs
    #expect(jobs.map(\.name) == ["a", "b"])
    #expect(jobs.map(\.queueing.depth) == [4, 4])
    // The working folder comes first.
    #expect(jobs.map(\.largestBlock) == [16384, 4096])
  }

  @Test("names the included file and its line when something is wrong in it")
  func wrongInclude() {
    #expect(throws: JobError.syntax(.sectionInInclude, at: .file("jobs/x.fio", line: 2))) {
      try Self.read("[a]\ninclude x.fio\n", beside: ["jobs/x.fio": "bs=4k\n[b]\n"])
    }
    #expect(throws: JobError.syntax(.includesTooDeep(limit: 10), at: .file("jobs/x.fio", line: 1))) {
      try Self.read("[a]\ninclude x.fio\n", beside: ["jobs/x.fio": "include x.fio\n"])
    }
    #expect(throws: JobError.syntax(.cannotInclude("y", reason: "not there"), at: .file("jobs/main.fio", line: 2))) {
      try Self.read("[a]\ninclude y\n")
    }
  }

  @Test("names files by filename_format")
  func filenameFormat() throws {
    let file = try Self.read(
      "[a]\nsize=1m\nnrfiles=2\nfilename_format=${D}-$jobname.$jobnum/$filenum\n[b]\nsize=1m\nnrfiles=3\n"
        + "filename_format=shared\n[c]\nsize=1m\n", environment: ["D": "x"])
    let jobs = try WorkloadPlan(RunArguments([]), files: [file]).jobs
    #expect(jobs[0].fileNames(copy: 7) == ["x-a.7/0", "x-a.7/1"])
    #expect(jobs[1].fileNames(copy: 1) == ["shared"])
    #expect(jobs[2].fileNames(copy: 1) == ["c.1.0"])
  }

  @Test("takes variables from the environment, and refuses those that are not set")
  func variables() throws {
    let file = try Self.read(
      "[a]\nfilename=${DIR}/f${N}.bin\nsize=${N}m\n", environment: ["DIR": "/d", "N": "3"])
    let job = try WorkloadPlan(RunArguments([]), files: [file]).jobs[0]
    #expect(job.namedFiles == ["/d/f3.bin"] && job.size == 3 << 20)
    #expect(throws: JobError.syntax(.variableNotSet("M"), at: .file("jobs/main.fio", line: 2))) {
      try Self.read("[a]\nsize=${M}\n", environment: ["N": "3"])
    }
  }
}

@Suite("The presets")
struct PresetTests {
  @Test("are the job files of tools/jobs", arguments: Preset.allCases)
  func files(_ preset: Preset) throws {
    let folder = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined() + "/tools/jobs"
    let path = "\(folder)/\(preset.rawValue).fio"
    let text = String(decoding: try TemporaryFile.read(path), as: UTF8.self)
    #expect(preset.text == text)
    let file = try JobFile(path: path, text: text)
    let asFile = try WorkloadPlan(RunArguments([path]), files: [file]).jobs
    #expect(try WorkloadPlan(RunArguments(["--preset=\(preset.rawValue)"]), files: []).jobs == asFile)
    let overridden = try WorkloadPlan(RunArguments(["--preset", preset.rawValue, "--runtime=7"]), files: []).jobs
    #expect(overridden.allSatisfy { $0.schedule.runtimeNanoseconds == 7_000_000_000 })
  }

  @Test("are named where a wrong one is asked for")
  func wrong() {
    #expect {
      try RunArguments(["--preset=randread"])
    } throws: { "\($0)".contains("did you mean randread4k?") }
  }
}
