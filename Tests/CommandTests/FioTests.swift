import Glibc
import Support
import Testing
import Workload

/// fio itself, and the programs that read its reports, beside ours.
@Suite("Beside fio", .enabled(if: ExternalTool("fio") != nil, "fio is needed"))
struct FioTests {
  private static let job = [
    "--name=a", "--size=1m", "--bs=4k", "--rw=randrw", "--ioengine=libaio", "--iodepth=4", "--fsync=64",
  ]

  /// What fio, or ours, writes to its output file for the same arguments.
  private func fio(_ command: Command, _ arguments: [String]) throws -> String {
    let output = "\(command.folder)/output"
    let tool = try #require(ExternalTool("fio"))
    let outcome = try #require(tool.run(arguments + ["--output=\(output)"]))
    #expect(outcome.exitCode == 0, "\(outcome.output)")
    return String(decoding: try TemporaryFile.read(output), as: UTF8.self)
  }
  private func ours(_ arguments: [String]) throws -> String {
    let command = try Command()
    try command.start(arguments + ["--filename=\(command.folder)/image"])
    #expect(try command.exitCode() == 0, "\(command.errors)")
    return try command.output()
  }

  /// Every path of keys, where those that are figures of their own count as one.
  private func paths(_ value: JSONValue, _ path: String = "") -> Set<String> {
    if ["/percentile", "/bins", "/job options", "/global options"].contains(where: path.hasSuffix) { return [path] }
    if case .object(let members) = value {
      return members.reduce(into: [path]) { $0.formUnion(paths($1.value, "\(path)/\($1.key)")) }
    }
    return value.elements.reduce(into: [path]) { $0.formUnion(paths($1, path + "[]")) }
  }

  @Test("every key of fio's JSON is in ours but those of the disk below", arguments: ["json", "json+"])
  func keys(_ format: String) throws {
    let command = try Command()
    let arguments = Self.job + ["--output-format=\(format)", "--description=d", "--continue_on_error=io"]
    let theirs = try #require(
      try JSONValue.documents(in: fio(command, arguments + ["--filename=\(command.folder)/image"])).first)
    let mine = try #require(try JSONValue.documents(in: ours(arguments)).first)
    let missing = paths(theirs).subtracting(paths(mine)).filter { !$0.hasPrefix("/disk_util") }
    #expect(missing.isEmpty)
    let more = paths(mine).subtracting(paths(theirs)).filter { !$0.hasPrefix("/blkdev") }
    #expect(more.isEmpty)
    func total(_ document: JSONValue, _ key: String) -> [String?] {
      let job = document["jobs"]?.elements.first
      let sum = ["read", "write"].compactMap { job?[$0]?[key]?.line }.compactMap(UInt64.init).reduce(0, +)
      return ["\(sum)", job?["jobname"]?.string]
    }
    #expect(total(mine, "total_ios") == total(theirs, "total_ios") && total(mine, "total_ios") == ["256", "a"])
    #expect(total(mine, "io_bytes") == total(theirs, "io_bytes"))
  }

  @Test("the terse formats have fio's fields", arguments: [2, 3, 4, 5])
  func terse(_ version: Int) throws {
    let command = try Command()
    let arguments = [
      "--name=a", "--ioengine=null", "--size=1m", "--rw=randrw", "--minimal", "--terse-version=\(version)",
      "--percentile_list=1:50:99.9", "--description=d",
    ]
    /// Each field with its numbers as one letter.
    func shape(_ line: String) -> [String] {
      line.split(separator: ";", omittingEmptySubsequences: false).map { field in
        var shape = ""
        for character in field where !(character.isNumber && shape.last == "N") {
          shape.append(character.isNumber ? "N" : character)
        }
        return shape
      }
    }
    let theirs = shape(try fio(command, arguments)), mine = shape(try ours(arguments))
    #expect(theirs.count == mine.count && theirs.count > 100)
    for (index, (theirs, mine)) in zip(theirs, mine).enumerated() where !theirs.hasPrefix("fio-") {
      #expect(theirs == mine, "field \(index)")
    }
  }

  @Test(
    "fio's own program that reads json+ reads ours, and finds the same counts in what it wrote",
    .enabled(if: ExternalTool("fio_jsonplus_clat2csv") != nil, "fio_jsonplus_clat2csv is needed"))
  func histograms() throws {
    let command = try Command()
    let tool = try #require(ExternalTool("fio_jsonplus_clat2csv"))
    try command.start(
      Self.job + ["--filename=\(command.folder)/image", "--output-format=json+", "--lat_percentiles=1"])
    #expect(try command.exitCode() == 0, "\(command.errors)")
    let arguments = ["\(command.folder)/output", "\(command.folder)/errors.csv"]
    defer { unsafe unlink("\(command.folder)/errors_job0.csv") }
    #expect(tool.run(arguments)?.exitCode == 0)
    let outcome = try #require(tool.run(arguments + ["--validate"]))
    #expect(outcome.exitCode == 0 && outcome.output.contains("validated"), "\(outcome.output)")
  }

  @Test("a report of fio's can be compared with ours")
  func compare() throws {
    let command = try Command()
    let base = try fio(command, Self.job + ["--output-format=json+", "--filename=\(command.folder)/image"])
    let now = try ours(Self.job + ["--output-format=json+"])
    let comparison = Comparison(
      base: try JSONValue.documents(in: base), now: try JSONValue.documents(in: now))
    #expect(comparison.onlyInBase.isEmpty && comparison.onlyNow.isEmpty)
    // Times, so that they are looked at and not judged: percentiles of the same order.
    for row in comparison.rows where row.figure == .meanLatency || row.figure == .p99Latency {
      print("\(row.operation) \(row.figure.rawValue): \(row.base) with fio, \(row.now) with ours")
    }
    #expect(Set(comparison.rows.map(\.operation)) == ["read", "write", "sync"])
    #expect(
      comparison.rows.filter { $0.operation == "read" }.allSatisfy {
        $0.figure.rawValue.hasPrefix("clat") == ($0.interval != nil)
      })
  }

  @Test("fio-plot draws ours", .enabled(if: ExternalTool("fio-plot") != nil, "fio-plot is needed"))
  func fioPlot() throws {
    let command = try Command()
    let report = "\(command.folder)/randread-4-1.json", picture = "\(command.folder)/errors.png"
    defer { for path in [report, picture] { unsafe unlink(path) } }
    try command.start([
      "--name=a", "--ioengine=null", "--size=1m", "--rw=randread", "--iodepth=4", "--output-format=json",
      "--output=\(report)",
    ])
    #expect(try command.exitCode() == 0, "\(command.errors)")
    let tool = try #require(ExternalTool("fio-plot"))
    let outcome = try #require(
      tool.run([
        "-i", command.folder, "--source", "a test", "-T", "a test", "-l", "-r", "randread", "-d", "4", "-n", "1",
        "-o", picture,
      ]))
    #expect(outcome.exitCode == 0, "\(outcome.output)")
    #expect(try !TemporaryFile.read(picture).isEmpty)
  }

  @Test("logs of bandwidth, latencies and IOPS have fio's names and columns, and its lines but for the times")
  func operationLogs() throws {
    let command = try Command()
    let kinds = ["bw", "slat", "clat", "lat", "iops"]
    func job(_ name: String, _ more: [String]) -> [String] {
      [
        "--name=a", "--size=1m", "--bs=16k", "--rw=write", "--ioengine=libaio", "--iodepth=4", "--fsync=16",
        "--filename=\(command.folder)/image", "--numjobs=2",
      ] + ["bw", "lat", "iops"].map { "--write_\($0)_log=\(command.folder)/\(name)" } + more
    }
    /// Of each file the columns but time and value, in the order of the offsets.
    func lines(_ name: String) throws -> [[String]] {
      try kinds.flatMap { kind in
        try [1, 2].map { number in
          let path = "\(command.folder)/\(name)_\(kind).\(number).log"
          defer { unsafe unlink(path) }
          return String(decoding: try TemporaryFile.read(path), as: UTF8.self).split(separator: "\n")
            .map { $0.split(separator: ", ").dropFirst(2).joined(separator: ", ") }.sorted()
        }
      }
    }
    for more in [["--log_offset=1"], [], ["--log_avg_msec=100", "--rate_iops=200", "--log_max_value=1"]] {
      _ = try fio(command, job("theirs", more))
      let process = try Command()
      try process.start(job("ours", more))
      #expect(try process.exitCode() == 0, "\(process.errors)")
      let theirs = try lines("theirs"), mine = try lines("ours")
      if more.count < 2 {
        #expect(theirs == mine && mine.allSatisfy { $0.count == 64 })
      } else {
        // fio leaves the last window of bandwidth and IOPS out.
        #expect(theirs.map(Set.init) == mine.map(Set.init) && mine.allSatisfy { (3...4).contains($0.count) })
      }
    }
  }

  @Test("fio-plot draws our logs", .enabled(if: ExternalTool("fio-plot") != nil, "fio-plot is needed"))
  func fioPlotLogs() throws {
    let command = try Command()
    let name = "\(command.folder)/randread-iodepth-4-numjobs-1", picture = "\(command.folder)/errors.png"
    defer {
      for path in ["bw", "slat", "clat", "lat", "iops"].map({ "\(name)_\($0).1.log" }) + [picture] {
        unsafe unlink(path)
      }
    }
    try command.start(
      ["--name=a", "--ioengine=sim", "--size=16m", "--rw=randread", "--iodepth=4", "--log_avg_msec=10"]
        + ["bw", "lat", "iops"].map { "--write_\($0)_log=\(name)" })
    #expect(try command.exitCode() == 0, "\(command.errors)")
    let tool = try #require(ExternalTool("fio-plot"))
    let outcome = try #require(
      tool.run([
        "-i", command.folder, "--source", "a test", "-T", "a test", "-g", "-r", "randread", "-d", "4", "-n", "1", "-t",
        "bw", "lat", "iops", "-o", picture,
      ]))
    #expect(outcome.exitCode == 0, "\(outcome.output)")
    #expect(try !TemporaryFile.read(picture).isEmpty)
  }
}
