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
}
