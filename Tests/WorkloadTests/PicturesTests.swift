import BlockDevice
import DeviceLayers
import Ext2
import PageCache
import Reactor
import Support
import Testing

@testable import Workload

/// A report of a run of ten seconds with everything that has a picture.
func picturedReport(jobs: Int = 2, seconds: UInt64 = 10) -> RunReport {
  var report = fullReport()
  report.elapsedNanoseconds = seconds * 1_000_000_000
  report.groups = (0..<jobs).map { number in
    var group = GroupReport(
      name: "job\(number)", groupID: number, copies: 1, errors: 0, runtimeNanoseconds: report.elapsedNanoseconds,
      operations: [
        .read: figures(1000, 4096, factor: UInt64(number + 1)), .write: figures(500, 8192, factor: UInt64(number + 2)),
        .fsync: figures(10, 0, factor: 50),
      ])
    var series = TimeSeries(binNanoseconds: 1_000_000, limit: 1024)
    for step in 0..<seconds * 100 {
      let time = step * 10_000_000
      series.record(.read, at: time, bytes: 4096, nanoseconds: 100_000 + step % 7 * 10_000)
      if step % 2 == 0 { series.record(.write, at: time, bytes: 8192, nanoseconds: 300_000 + step % 5 * 100_000) }
      if step % 100 == 0 { series.record(.fsync, at: time, bytes: 0, nanoseconds: 20_000_000) }
    }
    group.series = series
    return group
  }
  report.counterSeries = counters(seconds: seconds)
  var map = AccessMap(deviceByteCount: 64 << 20)
  for step in 0..<seconds * 50 {
    let start = (step * 7919 % 60) << 20
    map.note(start..<start + 65536, isWrite: step % 3 == 0, at: step * 20_000_000)
  }
  report.accessMaps = [NamedAccessMap(name: "disk.img", map: map)]
  report.writeback?.batchSizes = [UInt64](repeating: 0, count: 12) + [5, 90, 3]
  return report
}

private func figures(_ count: UInt64, _ bytes: UInt64, factor: UInt64) -> OperationFigures {
  // A hundred latencies, evenly, and the slowest.
  let buckets = (1...100).map { step in
    LatencySummary.Bucket(
      lowest: 50_000 + UInt64(step) * 10_000 * factor, highest: 50_999 + UInt64(step) * 10_000 * factor,
      count: max(1, count / 100))
  }
  let latency = LatencySummary(
    minimum: 50_000, maximum: 9_000_000 * factor, sum: count * 200_000,
    buckets: buckets + [.init(lowest: 8_999_000 * factor, highest: 9_000_000 * factor, count: 1)])
  return OperationFigures(count: count, bytes: count * bytes, latency: latency)
}

private func counters(seconds: UInt64) -> CounterSeries {
  let names = [
    "batches", "batch_bytes", "stale_after_free", "stale_after_allocation", "replanned_pages", "flushes", "faults",
  ]
  var series = CounterSeries(binNanoseconds: 1_000_000, names: names, values: [0, 0, 0, 0, 0, 0, 0])
  for step in 1..<seconds * 100 {
    // Faults between the third second and the fourth.
    series.sample(
      [step * 9, step * 90_000, step / 8, step / 2, step, step / 50, min(100, max(step, 300) - 300)],
      at: step * 10_000_000)
  }
  return series
}

private func page(_ report: RunReport, base: RunCurves? = nil) throws -> MarkupChecker.Element {
  try MarkupChecker.parse(PicturePage.text(report, base: base))
}

/// The figures of a page, by their identifiers.
private func figures(of page: MarkupChecker.Element) -> [String] {
  page.all("figure").compactMap { $0.attributes["id"] }
}

private func figure(_ id: String, of page: MarkupChecker.Element) throws -> MarkupChecker.Element {
  try #require(page.all("figure").first { $0.attributes["id"] == id })
}

/// The lines of a plot of one style.
private func lines(_ style: String, in figure: MarkupChecker.Element) -> [MarkupChecker.Element] {
  figure.children.filter { $0.name == "svg" }.flatMap { $0.all("path") }.filter { $0.attributes["class"] == style }
}

@Suite("The page with pictures")
struct PicturePageTests {
  @Test("is well-formed, and needs no script, no network and no font of its own")
  func selfContained() throws {
    let text = PicturePage.text(picturedReport())
    let page = try MarkupChecker.parse(text)
    #expect(page.name == "html")
    for name in ["script", "link", "img", "iframe", "object", "embed", "image", "use"] {
      #expect(page.all(name).isEmpty, "\(name)")
    }
    #expect(!text.contains("@import") && !text.contains("url(") && !text.contains("@font-face"))
    #expect(!text.contains("javascript:") && !text.contains(" onload"))
    let links = page.all("a").compactMap { $0.attributes["href"] }
    #expect(links.allSatisfy { $0.hasPrefix("#") })
    let policy = page.all("meta").first { $0.attributes["http-equiv"] == "Content-Security-Policy" }
    #expect(policy?.attributes["content"] == "default-src 'none'; style-src 'unsafe-inline'")
  }

  @Test("leads with the verdict and the pictures; tables follow")
  func order() throws {
    let page = try page(picturedReport())
    #expect(
      figures(of: page) == [
        "throughput", "operations", "latency", "distribution", "accesses", "batches", "stale",
      ])
    #expect(
      page.all("section").compactMap { $0.attributes["id"] } == [
        "jobs", "verification", "counters", "command", "provenance",
      ])
    let tile = try #require(page.all("li").first)
    #expect(tile.content.contains("all held") && tile.attributes["class"] == "good")
    #expect(page.all("pre").first?.content == "blkdev-run --name=a")
  }

  @Test("tells those who cannot see a plot what it shows")
  func accessible() throws {
    let page = try page(picturedReport())
    for figure in page.all("figure") {
      let plot = try #require(figure.children.first { $0.name == "svg" })
      #expect(plot.attributes["role"] == "img")
      #expect(plot.attributes["aria-label"]?.isEmpty == false)
      #expect(figure.all("h2").count == 1)
    }
  }

  @Test("is the same for the same report, byte by byte")
  func deterministic() throws {
    #expect(PicturePage.text(picturedReport()) == PicturePage.text(picturedReport()))
    let base = RunCurves(picturedReport(jobs: 12, seconds: 4), name: "base")
    #expect(
      PicturePage.text(picturedReport(jobs: 12, seconds: 4), base: base)
        == PicturePage.text(picturedReport(jobs: 12, seconds: 4), base: base))
  }

  @Test("has names, paths and commands as text, whatever is in them")
  func escapes() throws {
    let odd = "<script>alert('1')</script> & \"q\" \u{1B}[31m \u{0} \u{7F} \u{85} \u{202E}drow \u{FFFF} ü🐟"
    let shown = "<script>alert('1')</script> & \"q\" ␛[31m ␀ ␡ \u{FFFD} \u{FFFD}drow \u{FFFD} ü🐟"
    var report = picturedReport()
    report.command = odd
    report.groups[0].name = odd
    report.accessMaps[0].name = odd
    report.findings = [Finding(.contentMismatch, context: odd, file: odd, expected: odd, found: odd, blockOwner: odd)]
    var provenance = Provenance(version: odd, commit: odd)
    provenance.kernel = odd
    provenance.processor = odd
    report.provenance = provenance
    var base = RunCurves(report, name: odd)
    base.jobs[0].job = odd
    let page = try page(report, base: base)
    #expect(page.all("script").isEmpty)
    #expect(page.all("pre").first?.content == shown)
    let cells = page.all("td").map(\.content)
    #expect(cells.filter { $0 == shown }.count >= 4)
    #expect(page.all("li").contains { $0.attributes["title"] == shown })
  }

  @Test("lists what was found, and leads there")
  func findings() throws {
    var report = picturedReport()
    report.findings = [aMismatch, Finding(.checkFailed, context: "e2fsck")]
    let page = try page(report)
    let tile = try #require(page.all("li").first)
    #expect(tile.attributes["class"] == "bad" && tile.content.contains("2 findings"))
    #expect(tile.all("a").first?.attributes["href"] == "#findings")
    let section = try #require(page.all("section").first { $0.attributes["id"] == "findings" })
    #expect(section.all("tr").count == 3)
    #expect(section.content.contains("writer 1, operation 7") && section.content.contains("block 77 of grower.1"))
  }

  @Test("marks faults on every time line")
  func faults() throws {
    let page = try page(picturedReport())
    for id in ["throughput", "operations", "latency", "accesses", "stale"] {
      let marks = try figure(id, of: page).all("g").filter { $0.attributes["class"] == "w" }
      let titles = Set(marks.flatMap { $0.all("title") }.map(\.content))
      #expect(titles.count == 1, "\(id)")
      #expect(titles.first?.hasPrefix("100 faults fired, ") == true, "\(id)")
    }
    #expect(try !figure("distribution", of: page).content.contains("faults"))
    // Bands over a map of accesses would hide what is as faint.
    let bands = try figure("accesses", of: page).children.filter { $0.name == "svg" }.flatMap { $0.all("path") }
    #expect(!bands.contains { $0.attributes["class"] == "v" })
  }

  @Test("sums up what would make more than eight lines, and keeps every byte of it")
  func others() throws {
    let page = try page(picturedReport(jobs: 64, seconds: 4))
    let figure = try figure("throughput", of: page)
    #expect(lines("l", in: figure).count == 8)
    let keys = figure.all("li").map(\.content)
    #expect(keys.count == 9 && keys.contains("121 others") && keys.last == "faults fired")
    let curves = RunCurves(picturedReport(jobs: 64, seconds: 4), name: "").jobs.filter(\.operation.movesBytes)
    let choice = LineChoice(curves, [], by: \.byteCount)
    func bytes(_ curves: [RunCurves.Curve]) -> Double { curves.flatMap(\.bins).reduce(0) { $0 + $1.byteCount } }
    #expect(choice.lines.count == 8 && bytes(curves) > 0)
    #expect(bytes(choice.lines.compactMap(\.run)) == bytes(curves))
  }

  @Test("draws an earlier run dashed beside this one, in the same plots")
  func base() throws {
    var earlier = picturedReport(seconds: 12)
    earlier.groups[0].name = "gone"
    let base = RunCurves(earlier, name: "base.json")
    let page = try page(picturedReport(), base: base)
    // Reads and writes of job1 in both, of job0 now, and of the one that is gone in the base.
    let throughput = try figure("throughput", of: page)
    #expect(lines("l", in: throughput).count == 4)
    #expect(lines("l b", in: throughput).count == 4)
    for id in ["throughput", "operations", "latency", "distribution", "batches"] {
      let figure = try figure(id, of: page)
      #expect(figure.content.contains("base.json"), "\(id)")
      if id != "batches" { #expect(!lines("l b", in: figure).isEmpty, "\(id)") }
    }
    // The axis has room for the longer of the two.
    #expect(throughput.all("text").contains { $0.content == "12 s" })
    #expect(page.all("li").contains { $0.content.contains(" × base.json") })
  }

  @Test("draws a run in which nothing was done, and one with a single bin")
  func degenerate() throws {
    let empty = RunReport(command: "c", seed: 1, elapsedNanoseconds: 0)
    #expect(figures(of: try page(empty)).isEmpty)
    #expect(try page(empty).all("h1").first?.content == "A run")

    var report = RunReport(command: "c", seed: 1, elapsedNanoseconds: 1)
    var group = GroupReport(
      name: "a", groupID: 0, copies: 1, errors: 0, runtimeNanoseconds: 0,
      operations: [.write: OperationFigures(count: 0, bytes: 0)])
    report.groups = [group]
    #expect(figures(of: try page(report)).isEmpty)
    // One operation, of no bytes and no time.
    var series = TimeSeries(binNanoseconds: 1_000_000)
    series.record(.write, at: 0, bytes: 0, nanoseconds: 0)
    group.series = series
    group.operations[.write] = OperationFigures(
      count: 1, bytes: 0,
      latency: LatencySummary(minimum: 0, maximum: 0, sum: 0, buckets: [.init(lowest: 0, highest: 0, count: 1)]))
    report.groups = [group]
    report.latencies[.write] = group.operations[.write]?.latency
    report.writeback = WritebackCounters()
    report.counterSeries = CounterSeries(
      binNanoseconds: 1, names: ["requests", "merges", "flushes", "faults"], values: [0, 0, 0, 0])
    report.accessMaps = [NamedAccessMap(name: "x", map: AccessMap(deviceByteCount: 0))]
    let page = try page(report)
    #expect(figures(of: page) == ["throughput", "operations", "latency", "distribution"])
    let text = PicturePage.text(report)
    #expect(!text.contains("nan") && !text.contains("inf\"") && !text.contains("inf "))
    #expect(lines("l", in: try figure("throughput", of: page)).count == 1)
  }

  @Test("draws values at the end of what fits into 64 bits")
  func extremes() throws {
    var report = picturedReport()
    report.elapsedNanoseconds = .max
    report.groups[0].runtimeNanoseconds = .max
    report.groups[0].operations[.read] = OperationFigures(
      count: .max, bytes: .max,
      latency: LatencySummary(
        minimum: 0, maximum: .max, sum: .max, buckets: [.init(lowest: 0, highest: .max, count: 1 << 60)])
    )
    var map = AccessMap(deviceByteCount: 1 << 63, columnNanoseconds: 1 << 62)
    map.note(0..<1 << 63, isWrite: true, at: 1 << 63)
    report.accessMaps = [NamedAccessMap(name: "x", map: map)]
    report.writeback?.batchSizes = [UInt64](repeating: 0, count: 62) + [.max]
    #expect(figures(of: try page(report)).count == 7)
    var base = RunCurves(report, name: "")
    base.elapsedNanoseconds = .infinity
    base.jobs[0].bins[0] = .init(count: .nan, byteCount: .infinity, mean: -1, p99: .nan, maximum: .infinity)
    base.jobs[0].quantiles[0] = .init(share: .nan, nanoseconds: .nan)
    _ = try page(report, base: base)
  }

  @Test("has a bounded size, however large the run was")
  func size() throws {
    var report = picturedReport(jobs: 64, seconds: 4)
    var map = AccessMap(deviceByteCount: 64 << 20)
    var random = SeededGenerator(seed: 1)
    for step in 0..<60_000 {
      let start = UInt64(random.below(16384)) * 4096
      map.note(start..<start + 4096, isWrite: step % 2 == 0, at: UInt64(step) * 166_000)
    }
    report.accessMaps = (0..<6).map { NamedAccessMap(name: "disk\($0)", map: map) }
    report.findings = [Finding](repeating: aMismatch, count: 1000)
    let text = PicturePage.text(report, base: RunCurves(report, name: "base"))
    let limit = 3 << 20
    #expect(text.utf8.count < limit)
    let page = try MarkupChecker.parse(text)
    #expect(figures(of: page).filter { $0.hasPrefix("accesses") }.count == 4)
    #expect(page.content.contains("2 more devices are not shown"))
    #expect(page.content.contains("and 800 more, which the JSON report has"))
  }
}

/// A report whose jobs did these operations, at their own times if need be.
private func report(
  of jobs: [(name: String, operations: [ReportedOperation])], seconds: UInt64 = 2,
  during times: (Int) -> Range<UInt64> = { _ in 0..<2_000_000_000 }
) -> RunReport {
  var report = RunReport(command: "c", seed: 1, elapsedNanoseconds: seconds * 1_000_000_000)
  for (number, job) in jobs.enumerated() {
    let times = times(number)
    var group = GroupReport(
      name: job.name, groupID: number, copies: 1, errors: 0,
      runtimeNanoseconds: times.upperBound - times.lowerBound, operations: [:])
    var series = TimeSeries(binNanoseconds: 10_000_000)
    for (place, operation) in job.operations.enumerated() {
      group.operations[operation] = figures(100 + UInt64(number + place), 4096, factor: UInt64(place + 1))
      report.latencies[operation] = group.operations[operation]?.latency
      for time in stride(from: times.lowerBound, to: times.upperBound, by: 10_000_000) {
        series.record(operation, at: time, bytes: 4096, nanoseconds: 50_000)
      }
    }
    group.series = series
    group.seriesFrom = times.lowerBound
    report.groups.append(group)
  }
  return report
}

@Suite("Lines of plots and their legends")
struct PictureLegendTests {
  private static let onDevice: [ReportedOperation] = [.read, .write]
  private static let onVolume: [ReportedOperation] = [.read, .write, .truncate, .fsync, .create, .unlink, .rename]
  private static let cases: [(name: String, run: RunReport, base: RunReport?)] = [
    ("copies", report(of: Array(repeating: ("t", onDevice), count: 3)), nil),
    ("many copies", report(of: Array(repeating: ("t", onDevice), count: 12)), nil),
    ("every operation of a volume", report(of: [("t", onVolume)]), nil),
    (
      "every operation of a device", report(of: [("t", [.read, .write, .trim, .writeZeroes, .fsync])]),
      report(of: [("t", onVolume)])
    ),
    ("as many jobs as lines", report(of: (0..<8).map { ("job\($0)", [.write]) }), nil),
    (
      "names that are the same when short",
      report(
        of: (0..<2).map { (String(repeating: "a", count: 60) + "\($0)" + String(repeating: "b", count: 60), onDevice) }),
      nil
    ),
    (
      "many jobs beside as many", report(of: (0..<9).map { ("job\($0)", onVolume) }),
      report(of: (0..<9).map { ("job\($0)", onVolume) })
    ),
    ("other jobs than before", report(of: [("new", onDevice)]), report(of: [("old", onDevice)])),
    ("everything", picturedReport(), picturedReport(seconds: 12)),
  ]

  /// The base comes from its report in JSON, whose latencies are percentiles, or buckets.
  private static func page(_ number: Int, hasBins: Bool) throws -> MarkupChecker.Element {
    let run = cases[number].run
    guard var before = cases[number].base else { return try WorkloadTests.page(run) }
    before.wantsSeries = true
    let text = JSONReport.text(before, .test, .init(hasBins: hasBins))
    return try WorkloadTests.page(run, base: RunCurves(JSONValue.documents(in: text), name: "base.json"))
  }

  @Test("no two entries of a legend have one name, and each has its line", arguments: cases.indices, [false, true])
  func legends(_ number: Int, _ hasBins: Bool) throws {
    let page = try Self.page(number, hasBins: hasBins)
    #expect(figures(of: page).count >= 3)
    for figure in page.all("figure") {
      let name = "\(Self.cases[number].name): \(figure.attributes["id"] ?? "")"
      let plot = try #require(figure.children.first { $0.name == "svg" })
      let keys = figure.children.filter { $0.name == "ul" }.flatMap { $0.all("li") }
      let labels = keys.map(\.content)
      #expect(Set(labels).count == labels.count, "\(name): \(labels)")
      for key in keys {
        // Every class of the key's picture is one of something in the plot.
        for mark in key.all("g") + key.all("path") {
          guard let style = mark.attributes["class"] else { continue }
          let isLine = ["l", "l b", "l i"].contains(style)
          let isGrey = mark.name == "g" && style == "c6"
          // The grey of `base` stands for lines of every colour.
          guard isLine || mark.name == "g" && !isGrey else { continue }
          #expect(
            (plot.all("g") + plot.all("path")).contains {
              $0.attributes["class"] == style || style == "l b" && $0.attributes["class"] == "c6 o"
            } || style == "l b" && plot.all("rect").contains { $0.attributes["class"] == "c6 o" },
            "\(name): \(key.content) has no \(style)")
        }
      }
    }
  }

  @Test("no two lines of a plot have one colour", arguments: cases.indices)
  func colors(_ number: Int) throws {
    let page = try Self.page(number, hasBins: true)
    for id in ["throughput", "operations", "distribution"] {
      for style in ["l", "l b"] {
        let groups = try figure(id, of: page).children.filter { $0.name == "svg" }.flatMap { $0.all("g") }
        let colors = groups.filter { $0.all("path").contains { $0.attributes["class"] == style } }
          .compactMap { $0.attributes["class"] }
        #expect(Set(colors).count == colors.count, "\(Self.cases[number].name): \(id): \(colors)")
      }
    }
  }

  @Test("an operation has one colour in all plots")
  func oneColor() throws {
    let page = try WorkloadTests.page(report(of: [("a", [.write, .fsync]), ("b", [.truncate])]))
    let names = ["throughput": "write", "operations": "write", "distribution": "a: write"]
    for (id, name) in names {
      let figure = try figure(id, of: page)
      let key = try #require(figure.all("li").first { $0.content == name }, "\(id)")
      #expect(key.all("g").first?.attributes["class"] == "c1", "\(id)")
    }
  }

  @Test("copies of a job are told apart by number, and the sum of what is left over is named as that")
  func names() {
    func names(_ copies: Int) -> [String] {
      let curves = RunCurves(report(of: Array(repeating: ("t", Self.onDevice), count: copies)), name: "").jobs
      return LineChoice(curves, [], by: \.count).lines.map(\.name)
    }
    #expect(names(2) == ["read", "write", "read (2)", "write (2)"])
    #expect(names(12).last == "17 others" && Set(names(12)).count == 8)
  }

  @Test("a base that has no such curves has no entry in the legend")
  func noBase() throws {
    // Percentiles of many jobs give none of all together.
    let number = try #require(Self.cases.firstIndex { $0.name == "many jobs beside as many" })
    func hasBase(_ hasBins: Bool) throws -> Bool {
      try figure("distribution", of: Self.page(number, hasBins: hasBins)).all("li").contains {
        $0.content == "base.json"
      }
    }
    // Buckets do.
    #expect(try !hasBase(false))
    #expect(try hasBase(true))
  }

  @Test("a line begins and ends with its job")
  func stonewall() throws {
    let half: UInt64 = 1_000_000_000
    let stonewalled = report(of: [("first", [.write]), ("second", [.write])]) { number in
      UInt64(number) * half..<UInt64(number + 1) * half
    }
    let curves = RunCurves(stonewalled, name: "")
    let charts = Charts(stonewalled, curves, base: nil)
    // Its report in JSON has them as exactly.
    var wanted = stonewalled
    wanted.wantsSeries = true
    let read = try #require(RunCurves(JSONValue.documents(in: JSONReport.text(wanted, .test)), name: ""))
    #expect(read.jobs.map(\.begin) == curves.jobs.map(\.begin) && read.jobs.map(\.end) == curves.jobs.map(\.end))
    for (number, curve) in curves.jobs.enumerated() {
      let points = charts.rates(curve, curves.elapsedNanoseconds, \.count)
      // A hundred a second throughout, and nothing outside.
      let begin = Double(number) * Double(half), end = begin + Double(half)
      #expect(points.allSatisfy { $0.x > begin && $0.x < end && abs($0.y - 100) < 7 }, "\(points)")
      #expect(points.count > 40)
    }
  }

  @Test("a job that has not done anything for a while has that time at zero")
  func pause() throws {
    // Of one second, in which it did something at the begin and at the end.
    var report = report(of: [("a", [.write])], seconds: 1) { _ in 0..<1_000_000_000 }
    var series = TimeSeries(binNanoseconds: 10_000_000)
    for time in [200_000_000, 800_000_000] as [UInt64] {
      series.record(.write, at: time, bytes: 4096, nanoseconds: 1)
    }
    report.groups[0].series = series
    let curves = RunCurves(report, name: "")
    let points = Charts(report, curves, base: nil).rates(curves.jobs[0], curves.elapsedNanoseconds, \.count)
    #expect(points.count == 100 && points.filter { $0.y > 0 }.count == 2)
  }
}

@Suite("Latencies and tables of the page")
struct PictureTableTests {
  private func tiles(_ page: MarkupChecker.Element) throws -> [String] {
    let list = page.all("ul").first { $0.attributes["class"] == "tiles" }
    return try #require(list).all("li").map(\.content)
  }
  private func section(_ id: String, of page: MarkupChecker.Element) throws -> String {
    let section = page.all("section").first { $0.attributes["id"] == id }
    return try #require(section).content
  }

  @Test("a tile says which latency it is where there are several, and shows that from the intended start")
  func intended() throws {
    var report = report(of: [("a", [.read])])
    #expect(try tiles(page(report)).contains { $0.hasPrefix("read latency p99") && !$0.contains("total") })
    let latency = report.groups[0].operations[.read]?.latency
    report.groups[0].operations[.read]?.completion = latency
    #expect(try tiles(page(report)).contains { $0.hasPrefix("read latency p99, total") })
    report.groups[0].operations[.read]?.intended = LatencySummary(
      minimum: 3_000_000_000, maximum: 3_000_000_000, sum: 300_000_000_000,
      buckets: [.init(lowest: 3_000_000_000, highest: 3_000_000_000, count: 100)])
    let page = try page(report)
    #expect(try tiles(page).contains("read latency p99, from the intended start3 smean 3 s"))
    #expect(try figure("distribution", of: page).content.contains("Completion latency"))
    #expect(try figure("latency", of: page).content.contains("and not from the intended one"))
    #expect(try figure("distribution", of: page).content.contains("the start that the job's rate asks for"))
    report.replays = [ReplayFigures(job: "a", paths: ["a.log"], operations: 1, drift: nil, cutOff: [])]
    #expect(try figure("distribution", of: WorkloadTests.page(report)).content.contains("the start that the log has"))
  }

  @Test("several latencies together are those of all operations")
  func together() throws {
    let one = LatencySummary(minimum: 1, maximum: 2, sum: 30, buckets: [.init(lowest: 1, highest: 2, count: 20)])
    let other = LatencySummary(
      minimum: 2, maximum: 9, sum: 70,
      buckets: [.init(lowest: 1, highest: 2, count: 5), .init(lowest: 9, highest: 9, count: 5)])
    let both = try #require(LatencySummary(of: [one, other]))
    #expect(both.count == 30 && both.minimum == 1 && both.maximum == 9 && both.meanPicoseconds == 3333)
    #expect(both.buckets.map(\.count) == [25, 5] && both.value(at: 99_000_000) == 9)
    #expect(LatencySummary(of: []) == nil)
  }

  @Test("there are tables of what was replayed and of what was verified")
  func tables() throws {
    var report = report(of: [("a", [.read])])
    report.replays = [
      ReplayFigures(
        job: "a", paths: ["one.log", "two.log"], operations: 77,
        drift: LatencySummary(
          minimum: 1_000_000, maximum: 1_000_000, sum: 77_000_000,
          buckets: [.init(lowest: 1_000_000, highest: 1_000_000, count: 77)]), cutOff: ["two.log: line 3"])
    ]
    report.verify = VerifyFigures(bytes: 16 << 20, mismatches: 3)
    report.verify?.unflushedBytes = 8192
    report.e2fsckExit = 4
    let page = try page(report)
    let replay = try section("replay", of: page), verification = try section("verification", of: page)
    for text in ["one.log, two.log", "77", "1 ms", "two.log: line 3"] { #expect(replay.contains(text), "\(text)") }
    for text in ["16 MiB", "differ3", "8 KiB", "e2fsck -fn4"] { #expect(verification.contains(text), "\(text)") }
  }

  @Test("the comparison is in words")
  func comparison() throws {
    var report = report(of: [("a", [.read])])
    let documents = try JSONValue.documents(in: JSONReport.text(report, .test, .init(hasBins: true)))
    report.comparison = Comparison(base: documents, now: documents)
    let text = try section("comparison", of: page(report))
    for word in ["bandwidth", "IOPS", "completion latency, mean", "completion latency, p99", "interval from"] {
      #expect(text.contains(word), "\(word)")
    }
    #expect(!text.contains("_"))
  }
}

@Suite("Axes and numbers of pictures")
struct PictureAxisTests {
  @Test(
    "a linear axis begins at zero and ends at a round value not below the largest",
    arguments: [
      (0, ["0", "0.2", "0.4", "0.6", "0.8", "1"]), (1, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
      (7, ["0", "2", "4", "6", "8"]), (100, ["0", "20", "40", "60", "80", "100"]),
      (101, ["0", "50", "100", "150"]), (999_999, ["0", "200k", "400k", "600k", "800k", "1M"]),
      (Double.nan, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
    ] as [(Double, [String])])
  func linear(_ largest: Double, _ labels: [String]) {
    #expect(Axis.linear(to: largest, .perSecond).ticks.map { $0.label.replacing("/s", with: "") } == labels)
  }

  @Test("of counts, no axis has a tick between two of them")
  func counts() { #expect(Axis.linear(to: 2, .count).ticks.map(\.label) == ["0", "1", "2"]) }

  @Test(
    "a time axis ends with the run, and its ticks are round in the units that people read",
    arguments: [
      (10e9, ["0", "2 s", "4 s", "6 s", "8 s", "10 s"]), (1e6, ["0", "200 µs", "400 µs", "600 µs", "800 µs", "1 ms"]),
      (300e9, ["0", "1 min", "2 min", "3 min", "4 min", "5 min"]),
      (3600e9, ["0", "10 min", "20 min", "30 min", "40 min", "50 min", "1 h"]),
      (86400e9, ["0", "4 h", "8 h", "12 h", "16 h", "20 h", "24 h"]),
    ] as [(Double, [String])])
  func time(_ end: Double, _ labels: [String]) {
    let axis = Axis.exact(to: end, .time)
    #expect(axis.upper == end)
    #expect(axis.ticks.map(\.label) == labels)
  }

  @Test("places on a device are multiples of a power of two")
  func places() {
    let labels = Axis.exact(to: Double(48 << 20), .bytes, parts: 4).ticks.map(\.label)
    #expect(labels == ["0", "16 MiB", "32 MiB", "48 MiB"])
  }

  @Test(
    "a logarithmic axis holds its values between decades, or between ones, twos and fives where it is short",
    arguments: [
      (120_000.0, 700_000.0, ["100 µs", "200 µs", "500 µs", "1 ms"]),
      (120_000, 90_000_000, ["100 µs", "1 ms", "10 ms", "100 ms"]), (5, 5, ["5 ns", "10 ns"]),
      (1, 1, ["1 ns", "2 ns"]),
    ] as [(Double, Double, [String])])
  func logarithmic(_ smallest: Double, _ largest: Double, _ labels: [String]) {
    let axis = Axis.logarithmic(from: smallest, to: largest, .latency)
    #expect(axis.ticks.map(\.label) == labels)
    #expect(axis.lower <= smallest && axis.upper >= largest && axis.lower < axis.upper)
  }

  @Test("of percentiles, every further nine takes as much room")
  func nines() {
    let axis = Axis.logarithmic(from: 1, to: 1_000_000, .percentile)
    #expect(axis.ticks.map(\.label) == ["p0", "p90", "p99", "p99.9", "p99.99", "p99.999", "p99.9999"])
    #expect(abs(axis.position(1000) - 0.5) < 1e-9)
    #expect(Quantity.percentile.text(2.0) == "p50" && Quantity.percentile.text(200.0) == "p99.5")
  }

  @Test("values beyond an axis, and what is no number, lie at its ends", arguments: [false, true])
  func clamped(_ isLogarithmic: Bool) {
    let axis: Axis = isLogarithmic ? .logarithmic(from: 1, to: 1000, .count) : .linear(to: 1000, .count)
    #expect(axis.position(-5) == 0 && axis.position(0) == 0 && axis.position(.nan) == 0)
    #expect(axis.position(1000) == 1 && axis.position(1e300) == 1 && axis.position(.infinity) == 1)
  }

  @Test(
    "a value is written with three digits and a prefix",
    arguments: [
      (Quantity.bytesPerSecond, 0.0, "0 B/s"), (.bytesPerSecond, 999.9, "1 kB/s"),
      (.bytesPerSecond, 76_234_000, "76.2 MB/s"),
      (.perSecond, 18_590, "18.6k/s"), (.perSecond, 0.5, "0.5/s"), (.count, 3_370, "3.37k"), (.bytes, 1536, "1.5 KiB"),
      (.bytes, 1_073_741_824, "1 GiB"), (.latency, 999, "999 ns"), (.latency, 999_990, "1 ms"),
      (.latency, 1_250, "1.25 µs"), (.time, 119e9, "119 s"), (.time, 5_400e9, "1 h 30 min"), (.count, .nan, "–"),
    ] as [(Quantity, Double, String)])
  func written(_ quantity: Quantity, _ value: Double, _ text: String) { #expect(quantity.text(value) == text) }

  @Test(
    "a coordinate has one decimal at most",
    arguments: [(0.0, "0"), (1.25, "1.3"), (-0.04, "0"), (-1.5, "-1.5"), (.nan, "0"), (1e300, "1000000")])
  func coordinate(_ value: Double, _ text: String) {
    #expect(Markup.coordinate(value) == text)
  }

  @Test("levels of a heat map rise, and the first begins at one request", arguments: [0, 1, 2, 5, 100, UInt32.max])
  func levels(_ largest: UInt32) {
    let thresholds = HeatMap.thresholds(upTo: largest)
    #expect(thresholds.count == HeatMap.levelCount && thresholds[0] == 1)
    #expect(zip(thresholds, thresholds.dropFirst()).allSatisfy { $0 < $1 })
  }
}

@Suite("Curves of a run")
struct RunCurvesTests {
  @Test("wider bins keep every operation and byte, the mean, and the largest")
  func coarsened() throws {
    let report = picturedReport(jobs: 1, seconds: 60)
    let curves = RunCurves(report, name: "")
    let read = try #require(curves.jobs.first)
    #expect(read.bins.count <= RunCurves.binLimit && read.bins.count > RunCurves.binLimit / 3)
    let operations = 60 * 100
    #expect(read.bins.reduce(0) { $0 + $1.count } == Double(operations))
    #expect(read.bins.reduce(0) { $0 + $1.byteCount } == Double(operations * 4096))
    #expect(read.bins.map(\.maximum).max() == 160_000)
    var base = curves
    base.jobs[0].bins = (0..<1000).map { .init(count: 2, byteCount: 8, mean: Double($0), p99: Double($0), maximum: 9) }
    let shown = base.asShown.jobs[0]
    #expect(shown.bins.count <= RunCurves.binLimit)
    #expect(shown.bins.reduce(0) { $0 + $1.count } == 2000)
    #expect(shown.bins.reduce(0) { $0 + $1.count * $1.mean } == 2 * 999 * 500)
  }

  @Test("a report in JSON gives the curves that its run has", arguments: [false, true])
  func fromJSON(_ hasBins: Bool) throws {
    var report = picturedReport(jobs: 2)
    report.wantsSeries = true
    for index in report.groups.indices { report.groups[index].operations[.truncate] = nil }
    let text = JSONReport.text(report, .test, .init(hasBins: hasBins))
    let read = try #require(RunCurves(JSONValue.documents(in: text), name: "base.json"))
    let own = RunCurves(report, name: "base.json")
    #expect(read.elapsedNanoseconds == own.elapsedNanoseconds && read.batchSizes == own.batchSizes)
    #expect(read.jobs.map(\.job) == own.jobs.map(\.job) && read.jobs.map(\.operation) == own.jobs.map(\.operation))
    for (read, own) in zip(read.jobs, own.jobs) {
      #expect(read.count == own.count && read.byteCount == own.byteCount && read.perSecond == own.perSecond)
      #expect(read.meanLatency == own.meanLatency)
      #expect(read.quantiles.first == own.quantiles.first && read.quantiles.last == own.quantiles.last)
      let operation = own.operation
      let group = try #require(report.groups.first { $0.name == own.job })
      let latency = try #require(group.operations[operation]?.servedLatency)
      for quantile in read.quantiles.dropFirst().dropLast() {
        if hasBins {
          // fio's buckets are within two hundredths of ours.
          let nearest = own.quantiles.min { abs($0.share - quantile.share) < abs($1.share - quantile.share) }
          let other = try #require(nearest?.nanoseconds)
          let apart = abs(quantile.nanoseconds / other - 1)
          #expect(apart < 0.02, "\(quantile) \(other)")
        } else {
          let exact = Double(latency.value(at: UInt64((quantile.share * 1e8).rounded())))
          #expect(quantile.nanoseconds == exact)
        }
      }
      let ofRead: Double = read.bins.reduce(0) { $0 + $1.byteCount },
        ofOwn: Double = own.bins.reduce(0) { $0 + $1.byteCount }
      #expect(ofRead == ofOwn && read.bins.map(\.maximum).max() == own.bins.map(\.maximum).max())
    }
    // And the page draws them.
    #expect(figures(of: try page(report, base: read)).count == 7)
  }

  @Test(
    "of other JSON there is what it has, and no more",
    arguments: [
      "", "{}", "[1]", #"{"jobs": 1}"#, #"{"jobs": [{"read": {"total_ios": 1e400, "clat_ns": {"bins": {"x": 1}}}}]}"#,
      #"{"jobs": [{"jobname": "a", "write": {"total_ios": 5, "runtime": -1, "clat_ns": {"percentile": {"99": -7}}}}]}"#,
      #"{"blkdev": {"elapsed_ns": -5, "series": {"jobs": [{"ops": {"read": {"ios": [1, -1, "x"]}, "y": 1}}]}}}"#,
      #"{"blkdev": {"writeback": {"batch_sizes_log2": [1e300, -1]}, "interim": true}}"#,
    ])
  func strangeJSON(_ text: String) throws {
    let base = RunCurves(try JSONValue.documents(in: text), name: "b")
    #expect((base == nil) == text.isEmpty)
    #expect(figures(of: try page(picturedReport(), base: base)).count == 7)
  }

  @Test("of all jobs, the p99 of a bin is that of their operations together")
  func together() throws {
    var report = picturedReport(jobs: 2)
    // 99 fast ones of one job and one slow one of the other: the slow one is beyond p99.
    for (index, latency) in [(0, UInt64(1_000)), (1, 1_000_000)] {
      var series = TimeSeries(binNanoseconds: 1_000_000)
      for _ in 0..<(index == 0 ? 199 : 1) { series.record(.read, at: 0, bytes: 1, nanoseconds: latency) }
      report.groups[index].series = series
    }
    let curves = RunCurves(report, name: "")
    let bin = try #require(curves.operations.first { $0.operation == .read }?.bins.first)
    #expect(bin.count == 200 && bin.p99 < 2_000 && bin.maximum == 1_000_000)
  }

  @Test("a rate ends with the run, even inside a bin")
  func lastBin() throws {
    var report = picturedReport(jobs: 1, seconds: 1)
    var series = TimeSeries(binNanoseconds: 600_000_000)
    for step in 0..<100 { series.record(.read, at: UInt64(step) * 10_000_000, bytes: 1000, nanoseconds: 1) }
    report.groups[0].series = series
    let page = try page(report)
    // 100 kB/s throughout: the second bin has 40 of the 100 operations and lasted 0.4 s.
    let strips = try figure("throughput", of: page).all("rect").filter { $0.attributes["class"] == "h" }
    #expect(strips.map(\.content) == ["0 to 600 ms\nread: 100 kB/s", "600 ms to 1 s\nread: 100 kB/s"])
  }
}
