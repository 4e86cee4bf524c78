import Glibc
import Support
import SystemPackage
import Testing
import Workload

@Suite("Reports of the command")
struct CommandReportTests {
  private static let run = ["--name=a", "--ioengine=null", "--size=1m", "--rw=randread", "--norandommap"]

  @Test("several formats stand behind each other, as fio writes them")
  func severalFormats() throws {
    let command = try Command()
    try command.start(Self.run + ["--output-format=normal,json,terse,csv"])
    #expect(try command.exitCode() == 0)
    let text = try command.output()
    let places = ["3;fio-", "\njob,groupid,", "\n{\n", "\na: (groupid=0"].map { text.firstRange(of: $0)?.lowerBound }
    #expect(places.allSatisfy { $0 != nil })
    #expect(places.compactMap { $0 } == places.compactMap { $0 }.sorted() && text.hasPrefix("3;"))
  }

  @Test("while a run goes on are lines of JSON, and so is the last one, after a signal too")
  func statusLines() throws {
    let command = try Command()
    try command.start(
      Self.run + [
        "--time_based", "--runtime=1h", "--rate_iops=1000", "--status-interval=20ms", "--output-format=json",
      ])
    var lines = 0
    for _ in 0..<6000 where lines < 3 {
      lines = (try? command.output().filter { $0 == "\n" }.count) ?? 0
      usleep(10_000)
    }
    #expect(lines >= 3)
    command.signal(SIGINT)
    #expect(try command.exitCode() == 130)
    let text = try command.output()
    let documents = try text.split(separator: "\n").map { line in
      try #require(try JSONValue.documents(in: String(line)).first)
    }
    #expect(documents.count >= 4)
    #expect(documents.dropLast().allSatisfy { $0["blkdev"]?["interim"]?.line == "true" })
    #expect(documents.last?["blkdev"]?["interim"] == nil)
    #expect(documents.last?["blkdev"]?["exit_code"]?.line == "130")
  }

  @Test(
    "come once more when somebody asks with SIGUSR1: a line of JSON, or the jobs on stderr", arguments: ["json", "csv"])
  func requested(_ format: String) throws {
    let command = try Command()
    try command.start(
      Self.run + [
        "--time_based", "--runtime=1h", "--rate_iops=1000", "--numjobs=2", "--output-format=\(format)", "--eta=always",
      ])
    // Progress is shown by a run that goes on.
    try command.wait(for: "IOPS")
    command.signal(SIGUSR1)
    if format == "json" {
      for _ in 0..<6000 where try command.output().isEmpty { usleep(10_000) }
    } else {
      try command.wait(for: "a: (groupid=0, jobs=1)")
    }
    command.signal(SIGINT)
    #expect(try command.exitCode() == 130)
    let text = try command.output()
    if format == "json" {
      let documents = try JSONValue.documents(in: text)
      #expect(documents.map { $0["blkdev"]?["interim"] != nil } == [true, false])
      #expect(documents.first?["jobs"]?.elements.count == 2)
    } else {
      #expect(text.split(separator: "\n").map { $0.prefix(4) } == ["job,", "a,0,", "a,0,"])
    }
  }

  @Test("in CSV have the names of the columns once, however often they come")
  func csvHeader() throws {
    let command = try Command()
    try command.start(
      Self.run + [
        "--time_based", "--runtime=1h", "--rate_iops=1000", "--status-interval=20ms", "--output-format=csv",
      ])
    for _ in 0..<6000 where try command.output().filter({ $0 == "\n" }).count < 4 { usleep(10_000) }
    command.signal(SIGINT)
    #expect(try command.exitCode() == 130)
    let lines = try command.output().split(separator: "\n")
    #expect(lines.count >= 4 && lines[0].hasPrefix("job,groupid,"))
    #expect(lines.dropFirst().allSatisfy { $0.hasPrefix("a,0,") })
  }

  @Test(
    "of earlier runs stay when a run cannot begin, and go whole when there is a new one", arguments: ["output", "html"])
  func earlier(_ option: String) throws {
    let before = [UInt8](repeating: 0x78, count: 1 << 20)
    for (isThere, code) in [(false, 1), (true, 0)] as [(Bool, Int32)] {
      let command = try Command()
      let path = "\(command.folder)/image"
      let file = try FileDescriptor.open(
        FilePath(path), .writeOnly, options: [.create], permissions: .ownerReadWrite)
      try file.closeAfter { _ = try file.writeAll(before) }
      try command.start(
        [
          "--name=a", isThere ? "--ioengine=null" : "--filename=\(command.folder)/none/nofile", "--rw=read",
          "--size=1m",
        ]
          + ["--\(option)=\(path)"])
      #expect(try command.exitCode() == code, "\(command.errors)")
      let now = try TemporaryFile.read(path)
      if isThere {
        #expect(now.count > 100)
        #expect(!String(decoding: now, as: UTF8.self).contains("xxxxxxxxxx"))
      } else {
        // Not in the expectation: what is unequal there is told by its differences, which takes for ever.
        let isUnchanged = now == before
        #expect(isUnchanged)
      }
    }
  }

  @Test("that cannot be written say where to, why, and what there is to do")
  func unwritable() throws {
    func errors(_ arguments: [String], _ output: Command.Stream = .file) throws -> String {
      let command = try Command()
      try command.start(Self.run + arguments, output: output)
      #expect(try command.exitCode() == 1)
      return command.errors
    }
    #expect(
      try errors(["--output=/dev/full"]).contains(
        "the report could not be written to /dev/full: No space left on device; --output=FILE writes it"))
    #expect(
      try errors([], .closed).contains(
        "the report could not be written to the standard output: Bad file descriptor; --output=FILE writes it"))
    #expect(
      try errors(["--html=/dev/full"]).contains(
        "the page could not be written to /dev/full: No space left on device; --html=FILE writes it"))
  }

  @Test("of a simulated run are the same to the byte, for they have no time of day")
  func simulated() throws {
    let outputs = try (0..<2).map { _ in
      let command = try Command()
      try command.start([
        "--name=a", "--ioengine=sim", "--size=1m", "--rw=randwrite", "--randseed=1", "--output-format=json+",
      ])
      #expect(try command.exitCode() == 0)
      return try command.output()
    }
    #expect(outputs[0] == outputs[1] && !outputs[0].contains("timestamp"))
  }

  @Test("name the time of day that the environment sets")
  func time() throws {
    let command = try Command()
    try command.start(Self.run + ["--output-format=json"], environment: ["SOURCE_DATE_EPOCH=1795769253"])
    #expect(try command.exitCode() == 0)
    let document = try #require(try JSONValue.documents(in: command.output()).first)
    #expect(document["timestamp_ms"]?.line == "1795769253000")
    #expect(document["time"]?.string == "Fri Nov 27 08:47:33 2026")
  }

  @Test("that are slower than one before end with 6, and so does comparing the two")
  func compare() throws {
    let fast = try Command(), slow = try Command(), verb = try Command(), back = try Command()
    // The simulated disk takes 20 to 200 us; a request that waits for another at depth 8 on one device takes longer.
    func arguments(_ latency: String) -> [String] {
      [
        "--name=a", "--ioengine=sim", "--size=1m", "--rw=randwrite", "--randseed=1", "--latency=\(latency)",
        "--output-format=json+",
      ]
    }
    try fast.start(arguments("100us"))
    #expect(try fast.exitCode() == 0)
    let base = "\(fast.folder)/output"
    try slow.start(arguments("300us") + ["--compare=\(base)"])
    #expect(try slow.exitCode() == 6)
    let document = try #require(try JSONValue.documents(in: slow.output()).first)
    #expect(document["blkdev"]?["exit_code"]?.line == "6")
    #expect(document["blkdev"]?["comparison"]?["regression"]?.line == "true")
    try verb.start(["compare", base, "\(slow.folder)/output"])
    #expect(try verb.exitCode() == 6)
    #expect(try verb.output().contains(": regression\n"))
    try back.start(["compare", "\(slow.folder)/output", base, "--output-format=json"])
    #expect(try back.exitCode() == 0)
    #expect(try JSONValue.documents(in: back.output()).first?["regression"]?.line == "false")
  }

  @Test(
    "are refused for a comparison when they are none, before anything is run",
    arguments: ["/nowhere", "/etc/passwd", "/dev/null"])
  func noReport(_ path: String) throws {
    let command = try Command()
    try command.start(Self.run + ["--compare=\(path)"])
    #expect(try command.exitCode() == 2)
    #expect(command.errors.contains(path) && command.errors.contains("json+"))
    #expect(try command.output().isEmpty)
  }
}
