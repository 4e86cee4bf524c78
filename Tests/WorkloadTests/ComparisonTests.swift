import Testing

@testable import Workload

@Suite("A run beside an earlier one")
struct ComparisonTests {
  /// A report of one job, whose reads took what `latencies` says, in JSON.
  private func document(
    _ latencies: [UInt64], milliseconds: UInt64 = 1000, name: String = "a", hasBins: Bool = true,
    isInterim: Bool = false
  ) throws -> JSONValue {
    let plan = try plan(arguments: ["--name=\(name)", "--ioengine=null", "--size=1m", "--randseed=1"])
    let recorder = OperationRecorder()
    for latency in latencies { recorder.record(.read, bytes: 4096, nanoseconds: latency) }
    var report = RunReport(command: "c", seed: 1, elapsedNanoseconds: 1)
    let figures = CopyFigures(
      jobIndex: 0, copy: 0, errorCount: 0, firstError: 0, runtimeNanoseconds: milliseconds * 1_000_000,
      records: recorder.records, queue: nil)
    report.fill([figures], of: plan)
    let text = JSONReport.text(report, .test, .init(hasBins: hasBins, isInterim: isInterim))
    return try #require(try JSONValue.documents(in: text).first)
  }
  private func latencies(_ scale: UInt64 = 1, count: UInt64 = 1000) -> [UInt64] {
    (1...count).map { (1000 + $0 * 7919 % 1000) * scale }
  }
  private func row(_ comparison: Comparison, _ figure: Comparison.Figure) throws -> Comparison.Row {
    try #require(comparison.rows.first { $0.figure == figure })
  }

  @Test("is 1 against itself, with an interval around it where there are samples")
  func same() throws {
    let one = try document(latencies())
    let comparison = Comparison(base: [one], now: [one])
    #expect(comparison.rows.map(\.figure) == Comparison.Figure.allCases)
    #expect(comparison.rows.allSatisfy { $0.ratio == 1 } && !comparison.hasRegression)
    #expect(try row(comparison, .bandwidth).interval == nil)
    let mean = try row(comparison, .meanLatency)
    #expect(mean.samples == .operations)
    #expect(try #require(mean.interval).contains(1))
    #expect(Comparison(base: [one], now: [one]) == comparison)
    #expect(Comparison(base: [one], now: [one], seed: 2) != comparison)
  }

  @Test("the interval of a mean is as wide as statistics say")
  func width() throws {
    // Of 1000 values equally spread over 1000 to 1999 the standard error of the mean is 0.61%, of a ratio of two 0.86%.
    let one = try document(latencies())
    let interval = try #require(try row(Comparison(base: [one], now: [one]), .meanLatency).interval)
    let width = interval.upperBound - interval.lowerBound
    #expect(width > 0.8 * 2 * 1.96 * 0.0086 && width < 1.2 * 2 * 1.96 * 0.0086, "\(interval)")
  }

  @Test("is a regression when the whole interval is beyond the bound, and only then")
  func regression() throws {
    let base = try document(latencies()), slow = try document(latencies(2))
    let comparison = Comparison(base: [base], now: [slow])
    #expect(try row(comparison, .meanLatency).isRegression && row(comparison, .p99Latency).isRegression)
    #expect(comparison.hasRegression)
    #expect(!Comparison(base: [slow], now: [base]).hasRegression)
    // Twice as slow is 100% slower, and no more.
    #expect(!Comparison(base: [base], now: [slow], bound: 100_000_000).hasRegression)
    // 3% more is within the bound of 5%, and beyond one of 1%.
    let slower = try document(latencies().map { $0 + $0 * 3 / 100 })
    #expect(try !row(Comparison(base: [base], now: [slower]), .meanLatency).isRegression)
    #expect(try row(Comparison(base: [base], now: [slower], bound: 1_000_000), .meanLatency).isRegression)
  }

  @Test("one number has no interval, and says so instead of judging")
  func oneNumber() throws {
    let base = try document(latencies(), hasBins: false), slow = try document(latencies(2), hasBins: false)
    let comparison = Comparison(base: [base], now: [slow])
    #expect(comparison.rows.allSatisfy { $0.interval == nil } && comparison.rows.count == 4)
    #expect(!comparison.hasRegression)
    #expect(comparison.lines.count { $0.contains("(no interval)") } == 4)
    #expect(comparison.unjudgedCount == 4)
    #expect(comparison.lines.last?.hasPrefix("  without an interval 4 of 4 figures are not judged: ") == true)
    #expect(try JSONChecker.parse(comparison.document.text())["figures"] != nil)
  }

  @Test("bandwidth and IOPS take their samples from the lines of a run")
  func statusLines() throws {
    func run(_ perSecond: Int) throws -> [JSONValue] {
      try (1...6).map { second in
        let uneven = second * perSecond + (second.isMultiple(of: 2) ? perSecond / 50 : 0)
        return try document(
          Array(repeating: 1000, count: uneven), milliseconds: UInt64(second) * 1000, isInterim: second < 6)
      }
    }
    let comparison = Comparison(base: try run(200), now: try run(100))
    for figure in [Comparison.Figure.bandwidth, .iops] {
      let row = try row(comparison, figure)
      #expect(row.samples == .statusLines && row.isRegression)
      #expect(try #require(row.interval).contains(0.5))
    }
    #expect(!Comparison(base: try run(100), now: try run(200)).rows.contains { $0.figure == .iops && $0.isRegression })
  }

  @Test("or, before them, from the half seconds of a run, from when its job counts")
  func samples() async throws {
    func run(_ latency: String) async throws -> [JSONValue] {
      let report = try await runJobs([
        "--ioengine=sim", "--size=4m", "--rw=randread", "--norandommap", "--latency=\(latency)", "--runtime=4",
        "--time_based", "--name=a", "--ramp_time=1", "--name=b", "--stonewall", "--startdelay=700ms",
      ])
      #expect(report.groups.allSatisfy { $0.rates.amounts[.read]?.count ?? 0 >= 7 })
      return try JSONValue.documents(in: JSONReport.text(report, .test))
    }
    let comparison = Comparison(base: try await run("1ms"), now: try await run("2ms"))
    let rows = comparison.rows.filter { !$0.figure.isLatency }
    #expect(rows.count == 4)
    for row in rows {
      #expect(row.samples == .series && row.isRegression)
      let interval = try #require(row.interval)
      #expect(interval.lowerBound > 0.45 && interval.upperBound < 0.55, "\(interval)")
    }
  }

  @Test("or from the series over time, from when the job counts and without the bin that may not be whole")
  func series() throws {
    func run(_ counts: [Int]) throws -> [JSONValue] {
      let rows = counts.map { "\($0)" }.joined(separator: ","), bytes = counts.map { "\($0 * 4096)" }
      let sum = counts.reduce(0, +)
      return try JSONValue.documents(
        in: """
          {"jobs":[{"jobname":"a","read":{"total_ios":\(sum),"iops":\(sum / 5),"bw_bytes":\(sum * 4096 / 5)}}],
           "blkdev":{"series":{"jobs":[{"jobname":"a","bin_ns":1000000000,"from_ns":1400000000,"ops":{
             "read":{"ios":[0,70,\(rows)],"bytes":[0,7,\(bytes.joined(separator: ","))]}}}]}}}
          """)
    }
    let comparison = Comparison(
      base: try run([200, 204, 200, 196, 200, 1]), now: try run([100, 102, 98, 100, 100, 50_000]))
    for figure in [Comparison.Figure.bandwidth, .iops] {
      let interval = try #require(try row(comparison, figure).interval)
      #expect(interval.contains(0.5) && interval.upperBound < 0.52)
      #expect(try row(comparison, figure).samples == .series && row(comparison, figure).isRegression)
    }
  }

  @Test("several runs in one file are the samples, before all others")
  func runs() throws {
    let base = try [1000, 1010, 990].map { try document(latencies(), milliseconds: $0) }
    let now = try [2000, 2020, 1980].map { try document(latencies(), milliseconds: $0) }
    let comparison = Comparison(base: base, now: now)
    #expect(comparison.rows.allSatisfy { $0.samples == .runs })
    #expect(try row(comparison, .iops).isRegression && !row(comparison, .meanLatency).isRegression)
  }

  @Test("names what only one of the two has")
  func missing() throws {
    let comparison = Comparison(
      base: [try document(latencies(), name: "old")], now: [try document(latencies(), name: "new")])
    #expect(comparison.onlyInBase == ["old read"] && comparison.onlyNow == ["new read"])
    #expect(comparison.rows.isEmpty && !comparison.hasRegression)
    #expect(
      comparison.lines.suffix(3) == [
        "  old read: before only", "  new read: now only", "  nothing that both have: compare reports of the same jobs",
      ])
  }

  static let senseless: [String] = [
    #"{"jobs":3}"#, #"{"jobs":[3,{"read":7},{"read":{"total_ios":"x"}}]}"#,
    #"{"jobs":[{"jobname":"a","read":{"total_ios":1e999,"iops":-1}}]}"#,
    #"{"jobs":[{"jobname":"a","read":{"total_ios":1,"iops":1e308,"bw_bytes":1e-300,"clat_ns":{"N":1e300,"mean":1e300}}}]}"#,
    #"{"jobs":[{"jobname":"a","read":{"total_ios":1,"clat_ns":{"N":2,"mean":1,"bins":{"x":1,"-5":1,"1e300":1e300}}}}]}"#,
    #"{"jobs":[{"jobname":"a","read":{"total_ios":1,"clat_ns":{"N":2,"mean":1,"bins":{"0":1}}}}]}"#,
  ]

  @Test("reads numbers that make no sense without a trap", arguments: senseless)
  func hostile(_ text: String) throws {
    let documents = try JSONValue.documents(in: text)
    let sound = try document(latencies())
    for comparison in [
      Comparison(base: documents, now: [sound]), Comparison(base: [sound], now: documents),
      Comparison(base: documents, now: documents),
    ] {
      #expect(try JSONChecker.parse(comparison.document.text()).keys.contains("figures"))
      #expect(!comparison.lines.isEmpty)
    }
  }

  @Test("reads what JSON has, and several documents")
  func reader() throws {
    let text = #" {"a":[1,-2.5e3,true,false,null,"\u00fc\ud83d\udc1f\n\"\\\/"],"b":{}} [] "#
    let documents = try JSONValue.documents(in: text)
    #expect(documents.count == 2)
    #expect(documents[0].line == #"{"a":[1,-2.5e3,true,false,{},"ü🐟\n\"\\/"],"b":{}}"#)
    #expect(try JSONValue.documents(in: " \n").isEmpty)
  }

  static let brokenTexts: [String] = [
    "{", "[1 2]", #"{"a":1,}"#, "nan", "infinity", "0x10", "\"\u{1}\"", #""\x""#, #""\u12"#, #""\ud800x""#,
    #""\udc00""#,
    "\"", "-", "{a:1}", "}", #"{"a"}"#, String(repeating: "[", count: 100_000),
    String(repeating: #"{"a":"#, count: 100_000),
  ]

  @Test("refuses what is no JSON, however deep it is", arguments: brokenTexts)
  func notJSON(_ text: String) {
    #expect(throws: JSONProblem.self) { try JSONValue.documents(in: text) }
  }
}
