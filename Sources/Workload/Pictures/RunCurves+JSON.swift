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
        if let place { jobs[place] = curve } else { jobs.append(curve) }
      }
    }
    let longest = jobs.map(\.runtimeNanoseconds).max() ?? 0
    self.init(
      name: name, elapsedNanoseconds: max(0, document["blkdev"]?["elapsed_ns"]?.double ?? longest), jobs: jobs)
    batchSizes = (document["blkdev"]?["writeback"]?["batch_sizes_log2"]?.elements ?? []).prefix(64).map {
      UInt64(max(0, min(1e18, $0.double ?? 0)))
    }
  }

  private static func curves(of job: JSONValue) -> [Curve] {
    [("read", .read), ("write", .write), ("trim", .trim), ("sync", ReportedOperation.fsync)].compactMap {
      key, operation -> Curve? in
      guard let part = job[key], let count = part["total_ios"]?.double, count > 0 else { return nil }
      let milliseconds = part["runtime"]?.double ?? job["job_runtime"]?.double ?? 0
      var curve = Curve(
        job: job["jobname"]?.string ?? "", operation: operation, count: count,
        byteCount: max(0, part["io_bytes"]?.double ?? 0), runtimeNanoseconds: max(0, milliseconds * 1e6))
      curve.meanLatency = part["lat_ns"]?["mean"]?.double
      curve.quantiles = (part[operation == .fsync ? "lat_ns" : "clat_ns"]).map(quantiles) ?? []
      return curve
    }
  }

  /// From the buckets of `json+`, or from the percentiles.
  private static func quantiles(_ latencies: JSONValue) -> [Quantile] {
    let buckets = (latencies["bins"]?.members ?? []).compactMap { value, count -> (value: Double, count: Double)? in
      guard let value = Double(value), value.isFinite, let count = count.double, count > 0 else { return nil }
      return (value, count)
    }
    if !buckets.isEmpty {
      let values = buckets.map(\.value)
      return quantiles(
        buckets, minimum: latencies["min"]?.double ?? values.min() ?? 0,
        maximum: latencies["max"]?.double ?? values.max() ?? 0)
    }
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
