extension RunCurves {
  /// An earlier run from its reports in JSON, ours or fio's: the last one that is no line of `--status-interval`. Nil where
  /// there is none.
  ///
  /// What a report does not have (figures over time, buckets) has no line. Its latencies are those that fio's percentiles
  /// are of, from submission to completion.
  package init?(_ documents: [JSONValue], name: String) {
    func isInterim(_ document: JSONValue) -> Bool {
      if case .boolean(true)? = document["blkdev"]?["interim"] { true } else { false }
    }
    guard let document = documents.last(where: { !isInterim($0) }) ?? documents.last else { return nil }
    var jobs = (document["jobs"]?.elements ?? []).flatMap(Self.curves)
    for job in document["blkdev"]?["series"]?["jobs"]?.elements ?? [] {
      let width = max(0, job["bin_ns"]?.double ?? 0)
      var places: [Int] = []
      for (key, columns) in job["ops"]?.members ?? [] {
        guard let operation = ReportedOperation(rawValue: key) else { continue }
        let bins = Self.bins(columns), owner = job["jobname"]?.string ?? ""
        // Of several jobs with one name, the first that has none yet.
        let place = jobs.firstIndex { $0.job == owner && $0.operation == operation && $0.bins.isEmpty }
        var curve =
          place.map { jobs[$0] }
          ?? Curve(
            job: owner, operation: operation, count: bins.reduce(0) { $0 + $1.count },
            byteCount: bins.reduce(0) { $0 + $1.byteCount }, runtimeNanoseconds: Double(bins.count) * width)
        curve.binNanoseconds = width
        curve.bins = bins
        places.append(place ?? jobs.count)
        if let place { jobs[place] = curve } else { jobs.append(curve) }
      }
      let span = Self.span(
        places.map { jobs[$0].bins.map { $0.count > 0 } }, of: width,
        from: job["from_ns"]?.double.map { max(0, $0) },
        runtime: places.map { jobs[$0].runtimeNanoseconds }.max() ?? 0)
      for place in places { (jobs[place].begin, jobs[place].end) = span }
    }
    let longest = jobs.map(\.runtimeNanoseconds).max() ?? 0
    self.init(
      name: name, elapsedNanoseconds: max(0, document["blkdev"]?["elapsed_ns"]?.double ?? longest), jobs: jobs)
    for index in operations.indices {
      guard let (key, operation) = Self.directions.first(where: { $0.1 == operations[index].operation }) else {
        continue
      }
      // Quantiles of all jobs follow from their buckets alone.
      let parts = (document["jobs"]?.elements ?? []).compactMap { Self.part(key, of: $0)?.figures }
      let latencies = parts.compactMap { Self.latencies($0, operation) }
      if parts.count > 1, latencies.count == parts.count, let all = Self.quantiles(latencies) {
        operations[index].quantiles = all
      }
    }
    batchSizes = (document["blkdev"]?["writeback"]?["batch_sizes_log2"]?.elements ?? []).prefix(64).map {
      UInt64(max(0, min(1e18, $0.double ?? 0)))
    }
  }

  /// fio's names.
  private static let directions = [
    ("read", ReportedOperation.read), ("write", .write), ("trim", .trim), ("sync", .fsync),
  ]

  private static func part(_ key: String, of job: JSONValue) -> (figures: JSONValue, count: Double)? {
    guard let part = job[key], let count = part["total_ios"]?.double, count > 0 else { return nil }
    return (part, count)
  }

  private static func latencies(_ part: JSONValue, _ operation: ReportedOperation) -> JSONValue? {
    part[operation == .fsync ? "lat_ns" : "clat_ns"]
  }

  private static func curves(of job: JSONValue) -> [Curve] {
    directions.compactMap { key, operation -> Curve? in
      guard let (part, count) = part(key, of: job) else { return nil }
      let milliseconds = part["runtime"]?.double ?? job["job_runtime"]?.double ?? 0
      var curve = Curve(
        job: job["jobname"]?.string ?? "", operation: operation, count: count,
        byteCount: max(0, part["io_bytes"]?.double ?? 0), runtimeNanoseconds: max(0, milliseconds * 1e6))
      curve.meanLatency = part["lat_ns"]?["mean"]?.double
      curve.quantiles = latencies(part, operation).map { quantiles([$0]) ?? percentiles($0) } ?? []
      return curve
    }
  }

  /// From the buckets of `json+`; nil where some of the latencies have none.
  private static func quantiles(_ parts: [JSONValue]) -> [Quantile]? {
    var buckets: [(value: Double, count: Double)] = []
    var minimum = Double.infinity, maximum = 0.0
    for latencies in parts {
      let own = (latencies["bins"]?.members ?? []).compactMap { value, count -> (value: Double, count: Double)? in
        guard let value = Double(value), value.isFinite, let count = count.double, count > 0 else { return nil }
        return (value, count)
      }
      guard let least = own.map(\.value).min(), let most = own.map(\.value).max() else { return nil }
      buckets += own
      minimum = min(minimum, latencies["min"]?.double ?? least)
      maximum = max(maximum, latencies["max"]?.double ?? most)
    }
    return buckets.isEmpty ? nil : quantiles(buckets, minimum: minimum, maximum: maximum)
  }

  private static func percentiles(_ latencies: JSONValue) -> [Quantile] {
    let percentiles = (latencies["percentile"]?.members ?? []).compactMap { key, value -> Quantile? in
      guard let percent = Double(key), percent >= 0, percent < 100, let value = value.double else { return nil }
      return Quantile(share: percent / 100, nanoseconds: value)
    }
    guard !percentiles.isEmpty else { return [] }
    let last = 1 - 1 / max(1, latencies["N"]?.double ?? 1)
    return [Quantile(share: 0, nanoseconds: latencies["min"]?.double ?? 0)]
      + percentiles.filter { $0.share < last }.sorted { $0.share < $1.share }
      + [Quantile(share: last, nanoseconds: latencies["max"]?.double ?? 0)]
  }

  private static func bins(_ columns: JSONValue) -> [Bin] {
    func column(_ key: String) -> [Double] { (columns[key]?.elements ?? []).map { max(0, $0.double ?? 0) } }
    let bytes = column("bytes"), means = column("mean_ns"), p99s = column("p99_ns"), maxima = column("max_ns")
    func value(_ list: [Double], _ index: Int) -> Double { index < list.count ? list[index] : 0 }
    return column("ios").enumerated().map { index, count in
      Bin(
        count: count, byteCount: value(bytes, index), mean: value(means, index), p99: value(p99s, index),
        maximum: value(maxima, index))
    }
  }
}
