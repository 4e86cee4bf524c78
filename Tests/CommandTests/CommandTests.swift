import AllocationCounter
import Glibc
import Support
import Testing
import Workload

@Suite("The command", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct CommandTests {
  /// A load that goes on until somebody stops it.
  static let endless = [
    "--name=a", "--target=fs", "--fs_ops=append:4,write:3,truncate:2,fsync:1", "--bs=16k", "--size=4m", "--iodepth=4",
    "--time_based", "--runtime=1h",
  ]

  @Test(
    "stops cleanly on the first signal: a report, a clean image, exit code 130", arguments: [SIGINT, SIGTERM, SIGHUP])
  func stops(signal: Int32) throws {
    let command = try Command()
    let image = try command.makeImage()
    try command.start(
      Self.endless + ["--image=\(image)", "--output-format=json"], errors: .terminal(columns: 80))
    try command.wait(for: "[eta")
    command.signal(signal)
    #expect(try command.exitCode() == 130)
    #expect(command.errors.contains("stopping"))
    let output = try command.output()
    let documents = try JSONValue.documents(in: output)
    #expect(documents.count == 1)
    #expect(documents.first?["jobs"]?.elements.first?["write"]?["total_ios"] != nil)
    #expect(documents.first?["blkdev"]?["exit_code"]?.line == "130")
    #expect(documents.first?["blkdev"]?["interrupted"]?.line == "true")
    #expect(try Images.check(TemporaryFile.read(image)) == nil)
  }

  @Test(
    "keeps its memory below the cache and 64 MiB while it writes a file of ten times the cache",
    .enabled(if: allocation_counter_works(), "a sanitizer's memory counts too"))
  func memory() throws {
    let command = try Command()
    try command.start([
      "--name=a", "--target=fs", "--rw=write", "--bs=256k", "--size=160m", "--cache_size=16m", "--output-format=json",
    ])
    #expect(try command.exitCode() == 0)
    let words = try command.output().split { !$0.isNumber && !$0.isLetter && $0 != "_" }
    let peak = try #require(words.firstIndex(of: "peak_bytes").flatMap { Int(words[$0 + 1]) })
    #expect(peak > 16 << 20 && peak < 80 << 20)
  }

  @Test(
    "ends with 130 at a signal while it still waits for a job file",
    arguments: [
      ["%"], ["--name=a", "--ioengine=null", "--size=4k", "--compare=%"], ["crash", "--workload=script:%"],
    ],
    [SIGINT, SIGTERM, SIGHUP])
  func stopsWhileReading(arguments: [String], signal: Int32) throws {
    let command = try Command()
    let pipe = "\(command.folder)/image"
    try #require(unsafe mkfifo(pipe, 0o600) == 0)
    try command.start(arguments.map { $0.replacing("%", with: pipe) })
    // There is a writer's end as soon as somebody reads.
    var descriptor: Int32 = -1
    for _ in 0..<10_000 where descriptor < 0 {
      descriptor = unsafe open(pipe, O_WRONLY | O_NONBLOCK)
      if descriptor < 0 { usleep(5_000) }
    }
    try #require(descriptor >= 0)
    command.signal(signal)
    let code = try command.exitCode()
    close(descriptor)
    #expect(code == 130)
  }

  @Test("ends at once on the second signal, and leaves no scratch image behind")
  func stopsAtOnce() throws {
    let command = try Command()
    try command.start(Self.endless + ["--image_size=16m"], errors: .terminal(columns: 80))
    try command.wait(for: "[eta")
    command.signal(SIGINT)
    try command.wait(for: "stopping")
    command.signal(SIGINT)
    #expect(try command.exitCode() == 130)
    #expect(command.leavesNothing())
  }

  @Test("ends an exploration between two seeds, and says how many were run")
  func explores() throws {
    let command = try Command()
    try command.start(["explore", "--seeds", "1000000000"], errors: .terminal(columns: 80))
    try command.wait(for: " of 1000000000 seeds, 0 failed")
    command.signal(SIGINT)
    #expect(try command.exitCode() == 130)
    #expect(try command.output().contains(" seeds, 0 failed;"))
  }

  @Test("runs the truncate storm, which races and loses nothing, and loses data when cookies are ignored")
  func truncateStorm() throws {
    let path = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined() + "/tools/jobs/truncate-storm.fio"
    func run(_ arguments: String...) throws -> (code: Int32, report: String) {
      let command = try Command()
      try command.start([path, "--output-format=json"] + arguments)
      let code = try command.exitCode()
      let report = try command.output()
      #expect(command.leavesNothing())
      return (code, report)
    }
    let (code, report) = try run("--randseed=1")
    #expect(code == 0)
    #expect(report.contains(#""stale_after_free" : "#) && !report.contains(#""stale_after_free" : 0,"#))
    #expect(report.contains(#""mismatches" : 0"#) && report.contains(#""exit" : 0"#))
    // Whether a race is lost depends on what else the machine does.
    var codes: [Int32] = []
    for seed in 1...5 where !codes.contains(where: { $0 == 3 || $0 == 4 }) {
      let (code, report) = try run("--randseed=\(seed)", "--unsafe-ignore-cookie")
      #expect(report.contains(#""stale_batches" : 0,"#))
      codes.append(code)
    }
    #expect(codes.contains { $0 == 3 || $0 == 4 }, "\(codes)")
  }

  @Test("gives the same report for the same seed in every process, bit for bit")
  func repeats() throws {
    var reports: [String] = []
    for _ in 0..<3 {
      let command = try Command()
      try command.start([
        "--name=a", "--target=fs", "--ioengine=sim", "--image_size=16m", "--randseed=5", "--runtime=200ms",
        "--time_based", "--filename=x:y:z", "--size=6m", "--bs=16k", "--iodepth=8", "--numjobs=2", "--cache_size=2m",
        "--fs_ops=write:20,append:50,truncate:5,read:20,fsync:1", "--output-format=json",
      ])
      #expect(try command.exitCode() == 0)
      reports.append(try command.output())
      #expect(command.leavesNothing())
    }
    #expect(reports[0].contains("\"stale_batches\""))
    #expect(reports[1] == reports[0] && reports[2] == reports[0])
  }

  @Test("writes the page with pictures, of a simulated run the same in every process; says so where it cannot")
  func page() throws {
    func run(_ page: String, _ more: String...) throws -> (code: Int32, errors: String) {
      let command = try Command()
      try command.start(
        [
          "--name=a", "--target=fs", "--ioengine=sim", "--image_size=16m", "--randseed=5", "--runtime=200ms",
          "--time_based", "--filename=x:y:z", "--size=6m", "--bs=16k", "--iodepth=8", "--numjobs=2", "--cache_size=2m",
          "--fs_ops=write:20,append:50,truncate:5,read:20,fsync:1", "--html=\(page)",
        ] + more)
      let code = try command.exitCode()
      #expect(code != 0 || command.errors.isEmpty)
      #expect(command.leavesNothing())
      return (code, command.errors)
    }
    try TemporaryFile.with(byteCount: 0) { path in
      #expect(try run(path).code == 0)
      let page = try TemporaryFile.read(path)
      let text = String(decoding: page, as: UTF8.self)
      #expect(text.hasPrefix("<!DOCTYPE html>") && text.hasSuffix("</html>\n"))
      for figure in ["throughput", "latency", "distribution", "accesses", "batches", "stale"] {
        #expect(text.contains("<figure id=\"\(figure)\">"), "\(figure)")
      }
      #expect(try run(path).code == 0)
      #expect(try TemporaryFile.read(path) == page)
      // An earlier run beside it, dashed.
      let base = "\(path).json"
      defer { TemporaryFile.remove(base) }
      #expect(try run(path, "--output=\(base)", "--output-format=json+", "--log_avg_msec=10").code == 0)
      #expect(try run(path, "--compare=\(base)").code == 0)
      let compared = String(decoding: try TemporaryFile.read(path), as: UTF8.self)
      #expect(compared.contains("class=\"l b\"") && compared.contains("<section id=\"comparison\">"))
      let missing = "\(path).missing/page.html"
      let outcome = try run(missing)
      #expect(outcome.code == 1 && outcome.errors.contains("\(missing): cannot be written"))
    }
  }

  @Test("reads a job file from its input, and makes the folders that filename_format names")
  func input() throws {
    let command = try Command()
    defer { _ = unsafe system("rm -rf '\(command.folder)/deep'") }
    let script = """
      printf '[deep]\\ndirectory=%s\\nfilename_format=$jobname/$jobnum\\nsize=8k\\nrw=write\\n' '\(command.folder)' \
        | '\(Command.path)' - >'\(command.folder)/output'
      """
    #expect(unsafe system(script) == 0)
    #expect(unsafe access("\(command.folder)/deep/0", F_OK) == 0)
  }

  @Test("sends a terminal that understands nothing nothing to understand")
  func dumbTerminal() throws {
    let command = try Command()
    try command.start(
      Self.endless + ["--image_size=16m"], environment: ["TERM=dumb"], errors: .terminal(columns: 80))
    try command.wait(for: "[eta")
    command.signal(SIGINT)
    #expect(try command.exitCode() == 130)
    #expect(!command.errors.contains("\u{1B}"))
  }

  @Test("shows no line that is broken by a narrow terminal")
  func narrow() throws {
    let command = try Command()
    try command.start(Self.endless + ["--image_size=16m"], errors: .terminal(columns: 40))
    try command.wait(for: "[eta")
    command.signal(SIGINT)
    #expect(try command.exitCode() == 130)
    let lines = command.errors.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("Jobs: ") }
    #expect(!lines.isEmpty)
    #expect(lines.allSatisfy { line in line.prefix { $0 != "\u{1B}" }.count < 40 })
  }

  @Test("leaves a clean image when nobody reads its output any more, and ends with 1")
  func abandonedPipe() throws {
    let command = try Command()
    let image = try command.makeImage()
    try command.start(
      ["--name=a", "--target=fs", "--image=\(image)", "--rw=write", "--size=256k"], output: .abandonedPipe)
    #expect(try command.exitCode() == 1)
    #expect(command.errors.contains("the report could not be written"))
    #expect(try Images.check(TemporaryFile.read(image)) == nil)
  }

  @Test("prints nothing into an image that takes the number of a closed stream")
  func closedStreams() throws {
    let command = try Command()
    let image = try command.makeImage()
    try command.start(
      ["--name=a", "--target=fs", "--image=\(image)", "--rw=write", "--size=256k"], output: .closed, errors: .closed,
      input: .closed)
    #expect(try command.exitCode() == 1)
    #expect(try Images.check(TemporaryFile.read(image)) == nil)
  }

  @Test("says why it cannot write its report, before it makes anything")
  func unwritable() throws {
    let command = try Command()
    try command.start(Self.endless + ["--output=\(command.folder)/none/report"])
    #expect(try command.exitCode() == 1)
    #expect(command.errors.contains("No such file or directory"))
    #expect(command.leavesNothing())
  }

  @Test("says why it cannot read a job file, and that this is wrong usage")
  func unreadable() throws {
    let command = try Command()
    try command.start(["\(command.folder)/none.fio"])
    #expect(try command.exitCode() == 2)
    #expect(command.errors.contains("none.fio: the job file cannot be read: No such file or directory"))
  }
}
