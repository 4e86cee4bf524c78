internal import PageCache

/// What the pictures show of one run: rates and latencies by job and operation, and how they went over time.
///
/// A small value that a report gives, and that the JSON of an earlier run can give as well, so that two runs share a plot.
package struct RunCurves: Sendable, Equatable {
  /// The operations of one kind that ended in one bin of time. Latencies are in nanoseconds.
  package struct Bin: Sendable, Equatable {
    package var count: Double
    package var byteCount: Double
    package var mean: Double
    package var p99: Double
    package var maximum: Double

    package init(count: Double, byteCount: Double, mean: Double, p99: Double, maximum: Double) {
      self.count = count
      self.byteCount = byteCount
      self.mean = mean
      self.p99 = p99
      self.maximum = maximum
    }

    /// Adds another bin. The mean is exact; of the two p99 it keeps the larger one, which that of both does not exceed.
    fileprivate mutating func add(_ other: Bin) {
      let sum = count + other.count
      if sum > 0 { mean = (mean * count + other.mean * other.count) / sum }
      count = sum
      byteCount += other.byteCount
      p99 = max(p99, other.p99)
      maximum = max(maximum, other.maximum)
    }
  }

  /// How long so much of the operations took at most.
  package struct Quantile: Sendable, Equatable {
    /// From 0 to 1.
    package var share: Double
    package var nanoseconds: Double

    package init(share: Double, nanoseconds: Double) {
      self.share = share
      self.nanoseconds = nanoseconds
    }
  }

  /// One kind of operation, of one job or of all.
  package struct Curve: Sendable, Equatable {
    /// Nil stands for all jobs.
    package var job: String?
    package var operation: ReportedOperation
    package var count: Double
    package var byteCount: Double
    /// How long the job ran.
    package var runtimeNanoseconds: Double
    /// From submission to completion, from the smallest share up; empty where nothing was measured.
    package var quantiles: [Quantile] = []
    /// The same from the intended start.
    package var intended: [Quantile] = []
    /// From the start to the end, as are the latencies of the bins.
    package var meanLatency: Double?
    package var binNanoseconds: Double = 0
    /// From the begin of the run on; empty where there are no figures over time.
    package var bins: [Bin] = []
    /// When the job began and when it ended, since the begin of the run.
    package var begin = 0.0
    package var end = Double.infinity

    package init(
      job: String?, operation: ReportedOperation, count: Double, byteCount: Double, runtimeNanoseconds: Double
    ) {
      self.job = job
      self.operation = operation
      self.count = count
      self.byteCount = byteCount
      self.runtimeNanoseconds = runtimeNanoseconds
    }

    package var bytesPerSecond: Double { runtimeNanoseconds > 0 ? byteCount * 1e9 / runtimeNanoseconds : 0 }
    package var perSecond: Double { runtimeNanoseconds > 0 ? count * 1e9 / runtimeNanoseconds : 0 }
  }

  /// What the legend calls it.
  package var name: String
  package var elapsedNanoseconds: Double
  /// By job and operation, and by operation of all jobs together.
  package var jobs: [Curve]
  package var operations: [Curve]
  /// How many batches writeback made of at least 2^i bytes and fewer than twice that, by i.
  package var batchSizes: [UInt64] = []

  /// - Parameter operations: curves of all jobs together; nil: they are made from those of the jobs, without latencies.
  package init(name: String, elapsedNanoseconds: Double, jobs: [Curve], operations: [Curve]? = nil) {
    self.name = name
    self.elapsedNanoseconds = elapsedNanoseconds
    self.jobs = jobs
    self.operations =
      operations
      ?? ReportedOperation.allCases.compactMap { operation in
        Self.sum(of: jobs.filter { $0.operation == operation })
      }
  }

  /// Several curves as one; nil of none. It keeps the latencies of a single one only: no quantiles follow from quantiles.
  static func sum(of curves: [Curve]) -> Curve? {
    guard var sum = curves.first else { return nil }
    sum.job = nil
    if curves.count == 1 { return sum }
    for curve in curves.dropFirst() {
      sum.count += curve.count
      sum.byteCount += curve.byteCount
      sum.runtimeNanoseconds = max(sum.runtimeNanoseconds, curve.runtimeNanoseconds)
      (sum.begin, sum.end) = (min(sum.begin, curve.begin), max(sum.end, curve.end))
    }
    sum.quantiles = []
    sum.intended = []
    sum.meanLatency = nil
    let width = curves.map(\.binNanoseconds).max() ?? 0
    sum.binNanoseconds = width
    sum.bins = []
    for curve in curves { add(curve.bins, of: curve.binNanoseconds, to: &sum.bins, of: width) }
    return sum
  }

  /// The same with as many bins as can be seen.
  var asShown: RunCurves {
    func shown(_ curve: Curve) -> Curve {
      let steps = (Double(curve.bins.count) / Double(Self.binLimit)).rounded(.up)
      return Self.coarsened(curve, to: curve.binNanoseconds * steps)
    }
    var result = self
    result.jobs = jobs.map(shown)
    result.operations = operations.map(shown)
    return result
  }

  /// The same with wider bins.
  static func coarsened(_ curve: Curve, to width: Double) -> Curve {
    guard width > curve.binNanoseconds else { return curve }
    var result = curve
    result.binNanoseconds = width
    result.bins = []
    add(curve.bins, of: curve.binNanoseconds, to: &result.bins, of: width)
    return result
  }

  /// Puts each bin whole into that which holds its middle.
  private static func add(_ bins: [Bin], of narrow: Double, to sums: inout [Bin], of wide: Double) {
    for (index, bin) in bins.enumerated() {
      let place = wide > 0 ? Int((Double(index) + 0.5) * narrow / wide) : index
      while sums.count <= place { sums.append(Bin(count: 0, byteCount: 0, mean: 0, p99: 0, maximum: 0)) }
      sums[place].add(bin)
    }
  }
}

extension RunCurves {
  /// How many bins of time a plot shows at most.
  static let binLimit = 120

  /// The width, a multiple of the widest bins there are, at which a run has no more bins than can be seen.
  static func shownBinWidth(widest: UInt64, elapsed: UInt64) -> UInt64 {
    guard widest > 0 else { return 0 }
    let limit = widest.multipliedReportingOverflow(by: UInt64(binLimit))
    if limit.overflow { return widest }
    return widest * max(1, elapsed / limit.partialValue + (elapsed % limit.partialValue == 0 ? 0 : 1))
  }

  /// What a report has.
  package init(_ report: RunReport, name: String) {
    let widest = report.groups.compactMap { $0.series?.binNanoseconds }.max() ?? 0
    let last = report.groups.compactMap { $0.series?.lastInstant }.max() ?? 0
    let elapsed = max(report.elapsedNanoseconds, last)
    let width = Self.shownBinWidth(widest: widest, elapsed: elapsed)
    var jobs: [Curve] = []
    var sums = PerOperation<[TimeBin]>()
    for group in report.groups {
      let span = Self.span(
        group.series?.bins.present.map { $0.value.map { $0.count > 0 } } ?? [],
        of: Double(group.series?.binNanoseconds ?? 0), from: Double(group.seriesFrom),
        runtime: Double(group.runtimeNanoseconds))
      for (operation, figures) in group.operations.present {
        var curve = Curve(
          job: group.name, operation: operation, count: Double(figures.count), byteCount: Double(figures.bytes),
          runtimeNanoseconds: Double(group.runtimeNanoseconds))
        curve.quantiles = Self.quantiles([figures.servedLatency].compactMap(\.self))
        curve.intended = Self.quantiles([figures.intended].compactMap(\.self))
        curve.meanLatency = figures.latency.map { Double($0.meanPicoseconds) / 1000 }
        if let series = group.series, let bins = series.bins[operation] {
          let shown = Self.coarsened(bins, of: series.binNanoseconds, to: width)
          curve.binNanoseconds = Double(width)
          curve.bins = shown.map(Bin.init)
          (curve.begin, curve.end) = span
          sums[operation] = Self.added(sums[operation] ?? [], shown)
        }
        jobs.append(curve)
      }
    }
    let operations = ReportedOperation.allCases.compactMap { operation -> Curve? in
      guard var sum = Self.sum(of: jobs.filter { $0.operation == operation }) else { return nil }
      // Jobs that run one after the other take longer together than each alone.
      if report.groups.count > 1 { sum.runtimeNanoseconds = Double(report.elapsedNanoseconds) }
      let figures = report.groups.compactMap { $0.operations[operation] }
      sum.quantiles = Self.quantiles(figures.compactMap(\.servedLatency))
      sum.intended = Self.quantiles(figures.compactMap(\.intended))
      sum.meanLatency = report.latencies[operation].map { Double($0.meanPicoseconds) / 1000 }
      // Made from buckets, so that its p99 are those of all jobs.
      if let bins = sums[operation] { sum.bins = bins.map(Bin.init) }
      return sum
    }
    self.init(name: name, elapsedNanoseconds: Double(elapsed), jobs: jobs, operations: operations)
    batchSizes = report.writeback?.batchSizes ?? []
  }

  /// When a job began and ended.
  ///
  /// - Parameters:
  ///   - bins: by operation, whether something ended in a bin.
  ///   - from: from when on it counted, which may be after a ramp; nil where nobody knows.
  static func span(
    _ bins: [[Bool]], of width: Double, from: Double?, runtime: Double
  ) -> (begin: Double, end: Double) {
    guard let first = bins.compactMap({ $0.firstIndex(of: true) }).min(),
      let last = bins.compactMap({ $0.lastIndex(of: true) }).max(), width > 0, width.isFinite
    else { return (0, .infinity) }
    let firstTime = Double(first) * width, lastTime = Double(last) * width
    guard let from, from.isFinite, runtime.isFinite else { return (firstTime, lastTime + width) }
    let end = from + runtime
    return (firstTime + width <= from ? firstTime : from, lastTime > end ? lastTime + width : end)
  }

  private static func coarsened(_ bins: [TimeBin], of narrow: UInt64, to wide: UInt64) -> [TimeBin] {
    var result: [TimeBin] = []
    for (index, bin) in bins.enumerated() {
      let place = Int((UInt64(index) * narrow + narrow / 2) / max(1, wide))
      while result.count <= place { result.append(TimeBin()) }
      result[place].add(bin)
    }
    return result
  }

  private static func added(_ one: [TimeBin], _ other: [TimeBin]) -> [TimeBin] {
    var sum = one
    while sum.count < other.count { sum.append(TimeBin()) }
    for (index, bin) in other.enumerated() { sum[index].add(bin) }
    return sum
  }

  /// How long all of some operations took.
  private static func quantiles(_ summaries: [LatencySummary]) -> [Quantile] {
    let summaries = summaries.filter { $0.count > 0 }
    guard let minimum = summaries.map(\.minimum).min(), let maximum = summaries.map(\.maximum).max() else { return [] }
    let buckets = summaries.flatMap(\.buckets).map { (value: Double($0.highest), count: Double($0.count)) }
    return quantiles(buckets, minimum: Double(minimum), maximum: Double(maximum))
  }

  /// From buckets: as many points as can be seen, the smallest value first, and the largest, which is what one operation in
  /// all took, last.
  static func quantiles(
    _ buckets: [(value: Double, count: Double)], minimum: Double, maximum: Double
  ) -> [Quantile] {
    let count = buckets.reduce(0) { $0 + $1.count }
    guard count > 0 else { return [] }
    let last = 1 - 1 / max(1, count)
    var result = [Quantile(share: 0, nanoseconds: minimum)]
    var sum = 0.0
    for bucket in buckets.sorted(by: { $0.value < $1.value }) {
      sum += bucket.count
      let share = sum / count
      // A hundredth of a decade of the axis, or so.
      guard share < last, (1 - share) * 1.03 < 1 - (result.last?.share ?? 0) else { continue }
      result.append(Quantile(share: share, nanoseconds: min(maximum, max(minimum, bucket.value))))
    }
    return result + (last > 0 ? [Quantile(share: last, nanoseconds: maximum)] : [])
  }
}

extension RunCurves.Bin {
  fileprivate init(_ bin: TimeBin) {
    self.init(
      count: Double(bin.count), byteCount: Double(bin.byteCount), mean: Double(bin.meanNanoseconds),
      p99: Double(min(bin.maximumNanoseconds, bin.latencies.value(atPercent: 99))),
      maximum: Double(bin.maximumNanoseconds))
  }
}

extension TimeSeries {
  /// When the last bin with an operation begins.
  fileprivate var lastInstant: UInt64 {
    bins.present.map { UInt64(max(0, $0.value.count - 1)) * binNanoseconds }.max() ?? 0
  }
}
