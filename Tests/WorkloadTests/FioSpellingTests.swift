import Support
import Testing

@testable import Workload

@Suite("What fio takes too")
struct FioSpellingTests {
  private func job(_ options: String...) throws -> Job {
    let plan = try WorkloadPlan(RunArguments(["--name=a", "--ioengine=null", "--size=1m"] + options), files: [])
    // The command that repeats the run says the same.
    let again = try WorkloadPlan(RunArguments(plan.arguments), files: [])
    #expect(again.jobs == plan.jobs, "\(plan.commandLine)")
    return plan.jobs[0]
  }

  @Test("a rate of 0 is none, for one direction or for all")
  func noRate() throws {
    let none = PerDirection<UInt64?>(nil)
    let zero = try job("--rate=0", "--rate_iops=0")
    #expect(zero.schedule.bytesPerSecond == none && zero.schedule.operationsPerSecond == none)
    let reads = try job("--rate=10m,0").schedule.bytesPerSecond
    #expect(reads == PerDirection(read: 10 << 20, write: nil, trim: nil))
    let writes = try job("--rate=0,10m").schedule.bytesPerSecond
    #expect(writes == PerDirection(read: nil, write: 10 << 20, trim: 10 << 20))
  }

  @Test("sizes have the suffix p, ranges a colon, and io_size is a part of size")
  func sizes() async throws {
    #expect(try JobOption.Kind.bytes(0...UInt64.max).parse("2p") == .number(2 << 50))
    #expect(try job("--bsrange=4k:8k").load.blockSizes.read == .range(4096...8192))
    #expect(try job("--io_size=50%").schedule.ioPercent == 50)
    let report = try await runJobs(["--name=a", "--ioengine=null", "--size=1m", "--io_size=50%", "--rw=read"])
    #expect(report.operations[.read] == 128)
  }

  @Test("a normal distribution without a deviation is the mean of twelve numbers", arguments: ["normal", "normal:0"])
  func normal(text: String) throws {
    #expect(try job("--random_distribution=\(text)").load.distribution == .normal(deviation: 8.333))
  }

  @Test("of several folders each copy in turn has one, and files that are named have the first")
  func directories() throws {
    let own = try job("--ioengine=libaio", "--directory=d1:d2", "--numjobs=3")
    #expect((0..<3).flatMap { own.fileNames(copy: $0) } == ["d1/a.0.0", "d2/a.1.0", "d1/a.2.0"])
    let named = try job("--ioengine=libaio", "--directory=d1:d2", "--numjobs=2", "--filename=x")
    #expect((0..<2).flatMap { named.fileNames(copy: $0) } == ["d1/x", "d1/x"])
  }

  @Test("a job file may begin with a byte order mark")
  func byteOrderMark() throws {
    #expect(try JobFile(path: "f", text: "\u{FEFF}[a]\nbs=4k\n").sections.map(\.name) == ["a"])
  }

  @Test(
    "what is not taken is refused with a reason that helps",
    arguments: [
      ("--startdelay=1-2", "one time is wanted"), ("--percentile_list=0", "must be above 0, and 100 at most"),
      ("--percentile_list=50:101", "must be above 0, and 100 at most"),
      ("--thinktime=9223372036854775", "must be from 0 to 4611686018427387"),
    ])
  func refused(option: String, message: String) {
    let error = #expect(throws: JobError.self) { try job(option) }
    #expect(error?.description.contains(message) == true, "\(String(describing: error))")
  }

  @Test("a job file without a job is named, and an option that only fio has is said to be fio's")
  func nothingThere() {
    let error = #expect(throws: JobError.self) {
      try WorkloadPlan(RunArguments(["x.fio"]), files: [JobFile(path: "x.fio", text: "[global]\nbs=4k\n")])
    }
    #expect(error?.description == "x.fio: has no job: a job begins with a line [NAME]")
    #expect(JobHelp.text(of: "flow") == nil && JobHelp.problem(with: "flow") == "known to fio, not supported here")
    #expect(JobHelp.problem(with: "flown").contains("no option is named so"))
    #expect(JobHelp.text(of: "fault")?.contains("--fault") == true)
  }

  @Test("the progress of jobs that only read begins with reads")
  func progress() throws {
    func line(_ patterns: String...) throws -> String {
      let marks = try patterns.map { ProgressLine.Mark(running: try job("--rw=\($0)", "--number_ios=1")) }
      return ProgressLine(
        marks: marks, openFiles: 1, permille: 0, readBytesPerSecond: 0, writeBytesPerSecond: 0, readsPerSecond: 0,
        writesPerSecond: 0, remainingSeconds: nil
      ).text
    }
    #expect(try line("read", "randread").contains("[r=0B/s][r=0 IOPS]"))
    #expect(try line("read", "write").contains("[w=0B/s][w=0 IOPS]"))
    #expect(try line("flush").contains("[w=0B/s]"))
  }
}
