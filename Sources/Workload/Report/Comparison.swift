internal import Glibc
internal import Reactor

/// A run beside an earlier one: ratios of what both report, by job and operation, with bootstrap confidence intervals.
///
/// An interval needs several samples on both sides. They are, the first that there is: several runs in one file; of
/// bandwidth and IOPS the series over time (`log_avg_msec`), the half seconds that every report of ours has, or the lines
/// that `--status-interval` wrote; of latencies the operations in the histograms of `json+`. All but the first tell how sure
/// a figure of this one run is, not how much runs differ from each other. What has no interval is not judged.
package struct Comparison: Sendable, Equatable {
  /// What is compared.
  package enum Figure: String, CaseIterable, Sendable {
    case bandwidth = "bw_bytes"
    case iops
    case meanLatency = "clat_mean_ns"
    case p99Latency = "clat_p99_ns"

    var isLatency: Bool { self == .meanLatency || self == .p99Latency }
  }

  /// What an interval was made from.
  package enum Samples: String, Sendable { case runs, series, statusLines = "status lines", operations }

  /// One figure of one operation of one job.
  package struct Row: Sendable, Equatable {
    package var job: String
    package var operation: String
    package var figure: Figure
    package var base: Double
    package var now: Double
    /// In which the ratio lies at 95%; nil: there was only one number.
    package var interval: ClosedRange<Double>?
    package var samples: Samples?
    package var isRegression = false

    package var ratio: Double { now / base }
  }

  /// 5%.
  package static let usualBound: UInt64 = 5_000_000
  /// How often is drawn for an interval.
  private static let draws = 1000

  /// How much slower is a regression, in millionths of a percent.
  package let bound: UInt64
  package private(set) var rows: [Row] = []
  /// What only one of the two has: `job operation`.
  package private(set) var onlyInBase: [String] = []
  package private(set) var onlyNow: [String] = []

  package var hasRegression: Bool { rows.contains(where: \.isRegression) }
  /// How many figures have no interval.
  package var unjudgedCount: Int { rows.count { $0.interval == nil } }

  /// - Parameters:
  ///   - base, now: the documents of each side: reports in JSON, ours or fio's.
  ///   - bound: in millionths of a percent. A figure is a regression when its whole interval is beyond it.
  ///   - seed: of what is drawn.
  package init(base: [JSONValue], now: [JSONValue], bound: UInt64 = Self.usualBound, seed: UInt64 = 1) {
    self.bound = bound
    let base = Side(base), now = Side(now)
    onlyInBase = base.keys.filter { now.series[$0] == nil }.map(\.text)
    onlyNow = now.keys.filter { base.series[$0] == nil }.map(\.text)
    var random = SeededGenerator(seed: seed)
    for key in base.keys {
      guard let old = base.series[key], let new = now.series[key] else { continue }
      for figure in Figure.allCases {
        guard let before = old.value(figure), let after = new.value(figure), before > 0, after > 0,
          (after / before).isFinite, after / before > 0
        else { continue }
        var row = Row(job: key.job, operation: key.operation, figure: figure, base: before, now: after)
        if let (samples, interval) = Self.interval(figure, old, new, &random) {
          row.samples = samples
          row.interval = interval
          let limit = Double(bound) / Double(Percentiles.whole)
          row.isRegression = figure.isLatency ? interval.lowerBound > 1 + limit : interval.upperBound < 1 - limit
        }
        rows.append(row)
      }
    }
  }

  private static func interval(
    _ figure: Figure, _ old: Series, _ new: Series, _ random: inout SeededGenerator
  ) -> (Samples, ClosedRange<Double>)? {
    func resampled(_ old: [Double], _ new: [Double], _ random: inout SeededGenerator) -> ClosedRange<Double>? {
      guard old.count >= 3, new.count >= 3 else { return nil }
      return range((0..<draws).map { _ in mean(new, &random) / mean(old, &random) })
    }
    if let range = resampled(old.ofRuns(figure), new.ofRuns(figure), &random) { return (.runs, range) }
    if !figure.isLatency {
      if let range = resampled(old.overTime(figure), new.overTime(figure), &random) { return (.series, range) }
      return resampled(old.rates(figure), new.rates(figure), &random).map { (.statusLines, $0) }
    }
    guard !old.bins.isEmpty, !new.bins.isEmpty else { return nil }
    let ratios = (0..<draws).map { _ in
      latency(figure, resample(new.bins, &random)) / latency(figure, resample(old.bins, &random))
    }
    return range(ratios).map { (.operations, $0) }
  }

  /// The middle 95% of what was drawn; nil where some of it is no number.
  private static func range(_ ratios: [Double]) -> ClosedRange<Double>? {
    guard ratios.allSatisfy(\.isFinite) else { return nil }
    let sorted = ratios.sorted()
    return sorted[draws / 40]...sorted[draws - 1 - draws / 40]
  }

  /// The mean of as many values, drawn with replacement.
  private static func mean(_ values: [Double], _ random: inout SeededGenerator) -> Double {
    values.reduce(0) { sum, _ in sum + values[random.below(values.count)] } / Double(values.count)
  }

  /// Each count drawn anew, independently: by Poisson's law, which for many operations is as good as drawing them one by
  /// one, and takes no longer for a million than for ten.
  private static func resample(_ bins: [Series.Bin], _ random: inout SeededGenerator) -> [Series.Bin] {
    bins.map { Series.Bin(value: $0.value, count: poisson($0.count, &random)) }
  }

  private static func poisson(_ mean: Double, _ random: inout SeededGenerator) -> Double {
    if mean < 30 {
      let limit = exp(-mean)
      var count = 0.0, product = Double(random.next() >> 11) / 0x1p53
      while product > limit {
        count += 1
        product *= Double(random.next() >> 11) / 0x1p53
      }
      return count
    }
    // The sum of four numbers below 2^16 is nearly normal.
    let bits = random.next()
    let sum = (0..<4).reduce(0.0) { $0 + Double(bits >> UInt64(16 * $1) & 0xFFFF) / 65536 }
    return max(0, (mean + mean.squareRoot() * (sum - 2) * 3.0.squareRoot()).rounded())
  }

  fileprivate static func latency(_ figure: Figure, _ bins: [Series.Bin]) -> Double {
    let count = bins.reduce(0) { $0 + $1.count }
    if figure == .meanLatency { return bins.reduce(0) { $0 + $1.value * $1.count } / count }
    var sum = 0.0
    for bin in bins {
      sum += bin.count
      if sum >= count * 0.99 { return bin.value }
    }
    return .nan
  }
}

// MARK: - What a side has

extension Comparison {
  fileprivate struct Key: Hashable {
    let job: String
    let operation: String
    var text: String { "\(job) \(operation)" }
  }

  /// One operation of one job, of one document: of all copies together.
  fileprivate struct Point {
    var bytes = 0.0, bandwidth = 0.0, count = 0.0, iops = 0.0, latencySum = 0.0, latencyCount = 0.0
    /// In milliseconds.
    var runtime = 0.0
    /// Bytes, and operations, of each whole bin of time, and how wide it is in nanoseconds; empty without any.
    var binBytes: [Double] = [], binCounts: [Double] = [], binWidth = 0.0
    var bins: [Double: Double] = [:]
    var hasAllBins = true
    /// Of one copy alone: percentiles cannot be added.
    var p99: Double?
    var copies = 0
  }

  /// One operation of one job, in all documents of a side.
  fileprivate struct Series {
    struct Bin {
      var value: Double
      var count: Double
    }
    /// Of runs that have ended: the last one counts.
    var runs: [Point] = []
    /// Of one that goes on, from its beginning to then.
    var interim: [Point] = []

    var bins: [Bin] {
      guard let last = runs.last, last.hasAllBins else { return [] }
      return last.bins.sorted { $0.key < $1.key }.map { Bin(value: $0.key, count: $0.value) }
    }

    func value(_ figure: Figure) -> Double? {
      // Of several runs the mean, around which the interval lies.
      let values = ofRuns(figure)
      return values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
    }

    func ofRuns(_ figure: Figure) -> [Double] { runs.compactMap { value(figure, of: $0) } }

    private func value(_ figure: Figure, of point: Point) -> Double? {
      switch figure {
      case .bandwidth: return point.bandwidth
      case .iops: return point.iops
      case .meanLatency: return point.latencyCount > 0 ? point.latencySum / point.latencyCount : nil
      case .p99Latency:
        guard point.hasAllBins, !point.bins.isEmpty else { return point.copies == 1 ? point.p99 : nil }
        let bins = point.bins.sorted { $0.key < $1.key }.map { Bin(value: $0.key, count: $0.value) }
        return Comparison.latency(figure, bins)
      }
    }

    /// Bandwidth or IOPS in each bin of time of the last run.
    func overTime(_ figure: Figure) -> [Double] {
      guard let point = runs.last, point.binWidth > 0 else { return [] }
      return (figure == .iops ? point.binCounts : point.binBytes).map { $0 * 1e9 / point.binWidth }
    }

    /// Bandwidth or IOPS between one line and the next.
    func rates(_ figure: Figure) -> [Double] {
      zip(interim, interim.dropFirst()).compactMap { before, after in
        let amount = figure == .iops ? after.count - before.count : after.bytes - before.bytes
        let time = after.runtime - before.runtime
        // What counts anew after a ramp is less than before it.
        return time > 0 && amount >= 0 ? amount * 1000 / time : nil
      }
    }
  }

  /// One of the two runs.
  fileprivate struct Side {
    var keys: [Key] = []
    var series: [Key: Series] = [:]

    init(_ documents: [JSONValue]) {
      func isInterim(_ document: JSONValue) -> Bool {
        if case .boolean(true)? = document["blkdev"]?["interim"] { true } else { false }
      }
      for (index, document) in documents.enumerated() {
        let isLast = index == documents.count - 1
        // fio's lines do not say that the run goes on.
        let isRun = document["blkdev"] == nil ? isLast : !isInterim(document)
        for (key, point) in Self.points(of: document) {
          if series[key] == nil { keys.append(key) }
          if isRun {
            series[key, default: Series()].runs.append(point)
          } else {
            series[key, default: Series()].interim.append(point)
          }
        }
      }
      // A run that was killed has lines only.
      for key in keys where series[key]?.runs.isEmpty == true {
        if let last = series[key]?.interim.last { series[key]?.runs = [last] }
      }
    }

    private static func points(of document: JSONValue) -> [(Key, Point)] {
      var keys: [Key] = []
      var points: [Key: Point] = [:]
      for job in document["jobs"]?.elements ?? [] {
        for operation in ["read", "write", "trim", "mixed", "sync"] {
          guard let part = job[operation], let count = part["total_ios"]?.double, count > 0 else { continue }
          let key = Key(job: job["jobname"]?.string ?? "", operation: operation)
          if points[key] == nil { keys.append(key) }
          var point = points[key] ?? Point()
          point.add(part, latencies: part[operation == "sync" ? "lat_ns" : "clat_ns"], count: count)
          points[key] = point
        }
      }
      func key(_ job: JSONValue?, _ operation: String) -> Key {
        Key(job: job?.string ?? "", operation: operation == "fsync" ? "sync" : operation)
      }
      let series = document["blkdev"]?["series"]?["jobs"]?.elements ?? []
      for job in series {
        let width = job["bin_ns"]?.double ?? 0, from = job["from_ns"]?.double ?? 0
        // The first bin may have begun before the job counted, and the last one not be over when it ended.
        let first = width > 0 ? Int(min(1e9, max(0, (from / width).rounded(.up)))) : 0
        for (name, columns) in job["ops"]?.members ?? [] {
          points[key(job["jobname"], name)]?.addBins(columns, width: width) { $0.dropFirst(first).dropLast() }
        }
      }
      if series.isEmpty {
        for job in document["blkdev"]?["jobs"]?.elements ?? [] {
          for (name, columns) in job["samples"]?["ops"]?.members ?? [] {
            let width = job["samples"]?["interval_ns"]?.double ?? 0
            points[key(job["name"], name)]?.addBins(columns, width: width) { $0[...] }
          }
        }
      }
      return keys.compactMap { key in points[key].map { (key, $0) } }
    }
  }
}

extension Comparison.Point {
  /// Adds what one copy did in each bin; what has bins of another width is left out, and nothing remains.
  fileprivate mutating func addBins(
    _ columns: JSONValue, width: Double, whole: ([Double]) -> ArraySlice<Double>
  ) {
    func add(_ column: JSONValue?, to sum: inout [Double]) {
      let numbers = whole(column?.elements.map { $0.double ?? 0 } ?? [])
      sum += Array(repeating: 0, count: max(0, numbers.count - sum.count))
      for (index, number) in numbers.enumerated() { sum[index] += number }
    }
    binWidth = binWidth == 0 || binWidth == width ? width : .nan
    add(columns["bytes"], to: &binBytes)
    add(columns["ios"], to: &binCounts)
  }

  /// Adds what one copy did.
  fileprivate mutating func add(_ part: JSONValue, latencies: JSONValue?, count: Double) {
    func number(_ key: String) -> Double { part[key]?.double ?? 0 }
    copies += 1
    self.count += count
    bytes += number("io_bytes")
    bandwidth += number("bw_bytes")
    iops += number("iops")
    runtime = max(runtime, number("runtime"))
    let samples = latencies?["N"]?.double ?? 0
    latencyCount += samples
    latencySum += samples * (latencies?["mean"]?.double ?? 0)
    p99 = latencies?["percentile"]?["99.000000"]?.double
    guard let members = latencies?["bins"]?.members, !members.isEmpty else {
      hasAllBins = false
      return
    }
    for (value, count) in members {
      if let value = Double(value), value.isFinite, let count = count.double, count > 0 {
        bins[value, default: 0] += count
      }
    }
  }
}

// MARK: - As a report

extension Comparison {
  /// For people, a line each.
  package var lines: [String] {
    var lines = ["Compared with the run before (a regression is \(percentagesText([bound]))% slower):"]
    for row in rows {
      let name = "\(row.job): \(row.operation): \(row.figure.rawValue)"
      let range = row.interval.map { "\(Self.text($0.lowerBound)) to \(Self.text($0.upperBound))" }
      let interval = range.flatMap { range in row.samples.map { "95%: \(range), of \($0.rawValue)" } } ?? "no interval"
      lines.append(
        "  \(name): ratio=\(Self.text(row.ratio)) (\(interval)), \(row.figure.text(row.now)) after "
          + row.figure.text(row.base) + (row.isRegression ? ": regression" : ""))
    }
    lines += onlyInBase.map { "  \($0): before only" } + onlyNow.map { "  \($0): now only" }
    if rows.isEmpty { lines.append("  nothing that both have: compare reports of the same jobs") }
    if unjudgedCount > 0 {
      lines.append(
        "  without an interval \(unjudgedCount) of \(rows.count) figures are not judged: latencies have one in two reports "
          + "of --output-format=json+, bandwidth and IOPS in two runs of 2 s and more, or with --log_avg_msec; so have "
          + "three runs in each file")
    }
    return lines
  }

  /// As a part of a JSON report.
  package var document: JSONValue {
    .members([
      "bound_percent": .decimal(bound, scale: 6),
      "regression": .boolean(hasRegression),
      "unjudged": .unsigned(UInt64(unjudgedCount)),
      "figures": .array(
        rows.map { row in
          .members([
            "job": .string(row.job),
            "operation": .string(row.operation),
            "figure": .string(row.figure.rawValue),
            "base": Self.number(row.base),
            "now": Self.number(row.now),
            "ratio": Self.number(row.ratio),
            "low": row.interval.map { Self.number($0.lowerBound) },
            "high": row.interval.map { Self.number($0.upperBound) },
            "samples": row.samples.map { .string($0.rawValue) },
            "regression": .boolean(row.isRegression),
          ])
        }),
      "only_in_base": .array(onlyInBase.map(JSONValue.string)),
      "only_now": .array(onlyNow.map(JSONValue.string)),
    ])
  }

  private static func millionths(_ number: Double) -> UInt64 { UInt64(max(0, min(1e18, (number * 1e6).rounded()))) }
  private static func number(_ number: Double) -> JSONValue { .decimal(millionths(number), scale: 6) }
  private static func text(_ ratio: Double) -> String {
    ReportNumber.fixed((millionths(ratio) + 500) / 1000, scale: 3, places: 3)
  }
}

extension Comparison.Figure {
  fileprivate func text(_ value: Double) -> String {
    let whole = UInt64(max(0, min(1e18, value)))
    switch self {
    case .bandwidth: return ReportNumber.short(whole, .binary) + "B/s"
    case .iops: return ReportNumber.short(whole)
    case .meanLatency, .p99Latency: return ReportNumber.short(whole) + " nsec"
    }
  }
}
