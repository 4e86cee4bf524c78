import Glibc
import Support
import SystemPackage
import Testing
import Workload

private let fio = ExternalTool("fio")
private let folder = #filePath.split(separator: "/").dropLast(2).map { "/\($0)" }.joined() + "/JobFiles"

@Suite("Job files as people write them", .enabled(if: fio != nil, "fio is needed"))
struct WildJobFileTests {
  /// Those whose operations are the same in fio, whatever is drawn.
  static let compared = [
    "01-seq-read", "02-seq-write-sizes", "03-rand-read", "04-rand-write-two-files", "05-numjobs", "06-stonewalls",
    "07-globals", "08-offset", "09-environment", "10-io-size",
  ]
  static let others = [
    "11-mixed", "12-bssplit", "13-rate", "14-zipf", "15-zero-buffers", "16-time-units", "17-thinktime", "18-nrfiles",
    "19-batches", "20-percent",
  ]

  /// A folder with a job file in it, in which programs run.
  struct Place: ~Copyable {
    let path: String
    init() throws {
      var template = Array("\(TemporaryFile.folder)/blkdev-wild-XXXXXX".utf8CString)
      guard unsafe mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
      path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
      _ = ExternalTool("cp")?.run(["-r", "\(folder)/include", path])
    }
    deinit { _ = ExternalTool("rm")?.run(["-rf", path]) }

    func run(_ program: String, _ arguments: [String]) throws -> ExternalTool.Outcome {
      try #require(
        ExternalTool("env")?.run(["-C", path, "BLOCK=4k", "HOWMUCH=256", program] + arguments))
    }

    func write(_ text: String, to name: String) throws {
      let file = try FileDescriptor.open(
        FilePath("\(path)/\(name)"), .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
      try file.closeAfter { _ = try file.writeAll(text.utf8) }
    }
  }

  @Test("are read by fio, and run unchanged", arguments: compared + others)
  func runs(_ name: String) throws {
    let fio = try #require(fio)
    let place = try Place()
    let parsed = try place.run(fio.path, ["--parse-only", "\(folder)/\(name).fio"])
    #expect(parsed.exitCode == 0, "\(parsed.output)")
    let ran = try place.run(Command.path, ["\(folder)/\(name).fio"])
    #expect(ran.exitCode == 0, "\(ran.output)")
    #expect(ran.output.contains("Verdict: all held"))
  }

  /// The reads and writes of each section of a job file, in no order.
  private func operations(_ program: String, _ text: String) throws -> [[String]] {
    let place = try Place()
    var lines: [String] = [], sections: [String] = []
    for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
      lines.append(line)
      guard line.hasPrefix("["), line != "[global]" else { continue }
      sections.append("log.\(sections.count)")
      lines.append("write_iolog=\(sections[sections.count - 1])")
    }
    try place.write(lines.joined(separator: "\n"), to: "job.fio")
    let ran = try place.run(program, ["job.fio"])
    #expect(ran.exitCode == 0, "\(ran.output)")
    return sections.map { section in
      // fio's copies share a log; ours have one each.
      let logs = [section] + (0..<8).map { "\(section).\($0)" }
      let paths = logs.map { "\(place.path)/\($0)" }
      let texts = paths.compactMap { path in try? TemporaryFile.read(path) }
      let words = texts.flatMap { String(decoding: $0, as: UTF8.self).split(separator: "\n") }
        .map { $0.split(separator: " ").dropFirst() }
      return words.filter { $0.count == 4 && !$0.contains { $0.hasSuffix("sync") } }
        .map { $0.joined(separator: " ") }.sorted()
    }
  }

  @Test("touch the same blocks as in fio, as often", arguments: compared)
  func agreement(_ name: String) throws {
    let fio = try #require(fio)
    let text = String(decoding: try TemporaryFile.read("\(folder)/\(name).fio"), as: UTF8.self)
    let theirs = try operations(fio.path, text), ours = try operations(Command.path, text)
    #expect(!theirs.isEmpty && theirs.allSatisfy { !$0.isEmpty })
    #expect(ours == theirs)
  }

  @Test("what one of both records the other replays")
  func exchange() throws {
    let fio = try #require(fio)
    let place = try Place()
    let job = [
      "--name=a", "--ioengine=libaio", "--rw=randrw", "--bs=4k", "--size=64k", "--filename=f:g", "--fsync=4",
    ]
    for (recorder, player) in [(fio.path, Command.path), (Command.path, fio.path)] {
      let recorded = try place.run(recorder, job + ["--write_iolog=log"])
      #expect(recorded.exitCode == 0, "\(recorded.output)")
      let replayed = try place.run(
        player, ["--name=b", "--ioengine=libaio", "--read_iolog=log", "--iodepth=4", "--output-format=json"])
      #expect(replayed.exitCode == 0, "\(replayed.output)")
      _ = try place.run("rm", ["log"])
    }
  }
}
