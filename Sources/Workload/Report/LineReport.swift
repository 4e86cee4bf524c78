// Reports of one line for each job: fio's terse formats, and comma-separated values.

/// fio's terse formats, 2 to 5: the fields of fio 3.33 in its order, with semicolons between. What nobody has measured is 0.
package enum TerseReport {
  /// A line a job.
  package static func text(_ report: RunReport, _ stamp: ReportStamp, version: Int) -> String {
    report.groups.map { line($0, stamp, version) + "\n" }.joined()
  }

  private static func line(_ group: GroupReport, _ stamp: ReportStamp, _ version: Int) -> String {
    var fields = ["\(version)"] + (version == 2 ? [] : [stamp.fioVersion])
    fields += [group.name, "\(group.groupID)", "\(group.firstError)"]
    for operation in [ReportedOperation.read, .write] + (version == 3 ? [] : [.trim]) {
      fields += direction(group, operation, version)
    }
    let cpu = group.processor
    for nanoseconds in [cpu?.user, cpu?.system] {
      fields.append(
        ReportNumber.percentText(ReportNumber.percentage(nanoseconds ?? 0, of: group.runtimeNanoseconds), places: 6)
          + "%")
    }
    fields += [cpu?.contextSwitches, cpu?.majorFaults, cpu?.minorFaults].map { "\($0 ?? 0)" }
    let depths = QueueFigures.shares((group.queue ?? QueueFigures()).depths)
    fields += depths.map { ReportNumber.percentText($0, places: 1) + "%" }
    let latencies = LatencyDistribution(group)
    // The format is older than nanoseconds: they are in the first class of microseconds.
    var microseconds = latencies.microseconds
    microseconds[0] += latencies.nanoseconds.reduce(0, +)
    fields += (microseconds + latencies.milliseconds).map { ReportNumber.percentText($0, places: 2) + "%" }
    if let job = group.job, job.tolerance != .none { fields += ["\(group.errors)", "\(group.firstError)"] }
    // In the oldest format the remark has a line of its own.
    let remark = group.job?.remark.map { (version == 2 ? "\n;" : ";") + $0 } ?? ""
    return fields.joined(separator: ";") + remark
  }

  private static func direction(_ group: GroupReport, _ operation: ReportedOperation, _ version: Int) -> [String] {
    let figures = group.operations[operation], time = group.runtimeNanoseconds
    let bytes = figures?.bytes ?? 0
    let percentiles = group.job?.percentiles ?? Percentiles()
    let shown = percentiles.ofTotal ? figures?.latency : percentiles.ofCompletion ? figures?.servedLatency : nil
    let isShown = percentiles.ofTotal || percentiles.ofCompletion
    var fields = [
      "\(bytes / 1024)", "\(ReportNumber.perSecond(bytes, nanoseconds: time) / 1024)",
      "\(ReportNumber.perSecond(figures?.count ?? 0, nanoseconds: time))", "\(figures == nil ? 0 : time / 1_000_000)",
    ]
    fields += latency(figures?.submission) + latency(figures?.servedLatency)
    for index in 0..<20 {
      guard isShown, index < percentiles.list.count else {
        fields.append("0%=0")
        continue
      }
      let percentile = percentiles.list[index]
      let value = shown.map { $0.value(at: percentile) / 1000 } ?? 0
      fields.append("\(ReportNumber.fixed(percentile, scale: 6, places: 6))%=\(value)")
    }
    fields += latency(figures?.latency)
    func decimal(_ millionths: UInt64) -> String { ReportNumber.fixed(millionths, scale: 6, places: 6) }
    func samples(_ samples: RateSamples?) -> (ends: [String], means: [String], count: String) {
      (
        ["\(samples?.minimum ?? 0)", "\(samples?.maximum ?? 0)"],
        [decimal(samples?.meanMillionths ?? 0), decimal(samples?.deviationMillionths ?? 0)], "\(samples?.count ?? 0)"
      )
    }
    let rates = RateSamples.bandwidth(group, operation), bandwidth = samples(rates)
    let kibibytes = ReportNumber.perSecond(bytes, nanoseconds: time) / 1024
    fields += bandwidth.ends + [decimal(rates?.share(ofKibibytes: kibibytes) ?? 0) + "%"] + bandwidth.means
    if version == 5 {
      let iops = samples(RateSamples.iops(group, operation))
      fields += [bandwidth.count] + iops.ends + iops.means + [iops.count]
    }
    return fields
  }

  /// In microseconds.
  private static func latency(_ summary: LatencySummary?) -> [String] {
    func decimal(_ picoseconds: UInt64?) -> String { ReportNumber.fixed(picoseconds ?? 0, scale: 6, places: 6) }
    return [
      "\((summary?.minimum ?? 0) / 1000)", "\((summary?.maximum ?? 0) / 1000)", decimal(summary?.meanPicoseconds),
      decimal(summary?.deviationPicoseconds),
    ]
  }
}

/// A run as comma-separated values (RFC 4180), a line for each operation of each job, behind a line with the names.
/// Latencies are in nanoseconds; what does not apply is empty.
package enum CSVReport {
  private static let percentiles: [(name: String, percentile: UInt64)] = [
    ("p50", 50_000_000), ("p90", 90_000_000), ("p99", 99_000_000), ("p99.9", 99_900_000), ("p99.99", 99_990_000),
    ("p99.999", 99_999_000),
  ]

  /// - Parameter hasHeader: whether the names of the columns lead.
  package static func text(_ report: RunReport, hasHeader: Bool = true) -> String {
    let figures = ["min", "mean", "max"] + percentiles.map(\.name)
    var lines = [
      ["job", "groupid", "copies", "operation", "count", "bytes", "errors", "runtime_ms", "bw_bytes", "iops"]
        + ["slat", "clat", "lat", "intended_lat"].flatMap { kind in figures.map { "\(kind)_\($0)_ns" } }
    ]
    for group in report.groups {
      for (operation, figures) in group.operations.present {
        let time = group.runtimeNanoseconds
        var fields = [group.name, "\(group.groupID)", "\(group.copies)", operation.rawValue]
        fields += ["\(figures.count)", "\(figures.bytes)", "\(group.errors)", "\(time / 1_000_000)"]
        fields.append("\(ReportNumber.perSecond(figures.bytes, nanoseconds: time))")
        let iops = ReportNumber.scaled(figures.count, 1_000_000_000_000, over: time)
        fields.append(ReportNumber.fixed(iops, scale: 3, places: 3))
        for summary in [figures.submission, figures.completion, figures.latency, figures.intended] {
          fields += latency(summary)
        }
        lines.append(fields)
      }
    }
    return lines.dropFirst(hasHeader ? 0 : 1).map { $0.map(quoted).joined(separator: ",") + "\n" }.joined()
  }

  private static func latency(_ summary: LatencySummary?) -> [String] {
    guard let summary else { return Array(repeating: "", count: 3 + percentiles.count) }
    let mean = ReportNumber.fixed(summary.meanPicoseconds, scale: 3, places: 3)
    return ["\(summary.minimum)", mean, "\(summary.maximum)"]
      + percentiles.map { "\(summary.value(at: $0.percentile))" }
  }

  private static func quoted(_ field: String) -> String {
    guard field.utf8.contains(where: { [0x22, 0x2C, 0x0A, 0x0D].contains($0) }) else { return field }
    return "\"" + field.map { $0 == "\"" ? "\"\"" : String($0) }.joined() + "\""
  }
}
