/// The part of a JSON report that has fio's structure and names: those of fio 3.33, in its order.
///
/// What nobody has measured is 0, as with fio, where readers expect the key: samples of bandwidth and IOPS of a job without
/// a series over time, and in simulation the processor's time. `disk_util` is absent, as with fio's engines that use no disk.
enum FioDocument {
  private typealias Member = (key: String, value: JSONValue)

  /// What stands first.
  static func head(_ stamp: ReportStamp) -> [(key: String, value: JSONValue)] {
    var members: [Member] = [("fio version", .string(stamp.fioVersion))]
    if let milliseconds = stamp.milliseconds {
      members.append(("timestamp", .unsigned(milliseconds / 1000)))
      members.append(("timestamp_ms", .unsigned(milliseconds)))
    }
    if let time = stamp.time { members.append(("time", .string(time))) }
    return members
  }

  static func members(
    _ report: RunReport, _ stamp: ReportStamp, hasBins: Bool
  ) -> [(key: String, value: JSONValue)] {
    let elapsed = (report.elapsedNanoseconds + 999_999_999) / 1_000_000_000
    var members = head(stamp)
    let shared = sharedOptions(report.groups)
    if !shared.isEmpty { members.append(("global options", .object(shared))) }
    members.append(("jobs", .array(report.groups.map { job($0, elapsedSeconds: elapsed, hasBins) })))
    return members
  }

  /// What several jobs have alike. Wherever it was given, it holds for all of them; each job's own options name it too.
  private static func sharedOptions(_ groups: [GroupReport]) -> [(key: String, value: JSONValue)] {
    var jobs: [Job] = []
    for job in groups.compactMap(\.job) where job != jobs.last { jobs.append(job) }
    guard jobs.count > 1 else { return [] }
    return options(jobs[0]).filter { key, _ in
      guard let option = JobOption.named(key)?.name else { return false }
      return jobs.allSatisfy { $0.text(of: option) == jobs[0].text(of: option) }
    }
  }

  private static func job(_ group: GroupReport, elapsedSeconds: UInt64, _ hasBins: Bool) -> JSONValue {
    let percentiles = group.job?.percentiles ?? Percentiles()
    func direction(_ operation: ReportedOperation) -> JSONValue {
      self.direction(group, operation, percentiles, hasBins)
    }
    var members: [Member] = [
      ("jobname", .string(group.name)),
      ("groupid", .signed(Int64(group.groupID))),
      ("error", .signed(Int64(group.firstError))),
      ("eta", .unsigned(0)),
      ("elapsed", .unsigned(elapsedSeconds)),
      ("job options", .object(options(group.job))),
      ("read", direction(.read)),
      ("write", direction(.write)),
      ("trim", direction(.trim)),
      ("sync", sync(group.operations[.fsync], percentiles, hasBins)),
      ("job_runtime", .unsigned(group.runtimeNanoseconds / 1_000_000)),
    ]
    members += processor(group)
    members += queue(group.queue ?? QueueFigures())
    members += distribution(group)
    members.append(("latency_depth", .unsigned(UInt64(group.job?.queueing.depth ?? 1))))
    members += [
      ("latency_target", .unsigned(0)), ("latency_percentile", .decimal(Percentiles.whole, scale: 6)),
      ("latency_window", .unsigned(0)),
    ]
    if let job = group.job, job.tolerance != .none {
      members += [("total_err", .unsigned(group.errors)), ("first_error", .signed(Int64(group.firstError)))]
    }
    if let state = group.steadyState { members.append(("steadystate", steadyState(state))) }
    if let remark = group.job?.remark { members.append(("desc", .string(remark))) }
    return .object(members)
  }

  private static func steadyState(_ state: SteadyState) -> JSONValue {
    func mean(_ values: [UInt64]) -> UInt64 { values.isEmpty ? 0 : values.reduce(0, +) / UInt64(values.count) }
    let unit = state.criterion.isPercent ? "%" : ""
    // As in fio, of the two only the one that was asked for.
    let slope =
      state.criterion.isSlope
      ? (state.distance < 0 ? "-" : "") + ReportNumber.sixDigits(state.distance.magnitude) : "0.000000"
    return .object([
      ("ss", .string(state.criterion.text)),
      ("duration", .unsigned(UInt64(state.duration))),
      ("attained", .unsigned(state.isAttained ? 1 : 0)),
      ("criterion", .string((state.deviation.map { $0.isFinite ? ReportNumber.sixDigits($0) : "inf" } ?? "0") + unit)),
      ("max_deviation", .number(ReportNumber.sixDigits(state.criterion.isSlope ? 0 : state.distance))),
      ("slope", .number(slope)),
      (
        "data",
        // Bytes a second, although fio's other members named bw have KiB.
        .object([
          ("bw_mean", .unsigned(mean(state.bytes))),
          ("iops_mean", .unsigned(mean(state.operations))),
          ("iops", .row(state.operations)),
          ("bw", .row(state.bytes)),
        ])
      ),
    ])
  }

  /// What differs from a default, and always what readers of fio's reports look up.
  private static func options(_ job: Job?) -> [(key: String, value: JSONValue)] {
    guard let job else { return [] }
    let always: Set<JobOption.Name> = [.rw, .blockSize, .depth, .copies, .engine]
    return JobOption.all.compactMap { option in
      guard let text = job.text(of: option.name), text != option.defaultText || always.contains(option.name) else {
        return nil
      }
      return (option.name.rawValue, .string(text))
    }
  }

  // MARK: - Directions

  private static func direction(
    _ group: GroupReport, _ operation: ReportedOperation, _ percentiles: Percentiles, _ hasBins: Bool
  ) -> JSONValue {
    let figures = group.operations[operation], nanoseconds = group.runtimeNanoseconds
    let bytes = figures?.bytes ?? 0, count = figures?.count ?? 0
    let bandwidth = ReportNumber.perSecond(bytes, nanoseconds: nanoseconds)
    let iops = ReportNumber.scaled(count, 1_000_000_000_000_000, over: nanoseconds)
    let members: [Member] = [
      ("io_bytes", .unsigned(bytes)),
      ("io_kbytes", .unsigned(bytes / 1024)),
      ("bw_bytes", .unsigned(bandwidth)),
      ("bw", .unsigned(bandwidth / 1024)),
      ("iops", .decimal(iops, scale: 6)),
      ("runtime", .unsigned(figures == nil ? 0 : nanoseconds / 1_000_000)),
      ("total_ios", .unsigned(count)),
      // A transfer that is short goes on until it is whole, or fails.
      ("short_ios", .unsigned(0)),
      ("drop_ios", .unsigned(0)),
      ("slat_ns", latency(figures?.submission, percentiles, percentiles.ofSubmission, hasBins)),
      ("clat_ns", latency(figures?.servedLatency, percentiles, percentiles.ofCompletion, hasBins)),
      ("lat_ns", latency(figures?.latency, percentiles, percentiles.ofTotal, hasBins)),
    ]
    let bandwidths = RateSamples.bandwidth(group, operation)
    let share = bandwidths?.share(ofKibibytes: bandwidth / 1024) ?? 0
    return .object(
      members + samples("bw", bandwidths, "dev", share: share)
        + samples("iops", RateSamples.iops(group, operation), "stddev"))
  }

  /// What fio samples over time.
  private static func samples(
    _ name: String, _ samples: RateSamples?, _ deviation: String, share: UInt64? = nil
  ) -> [(key: String, value: JSONValue)] {
    [
      ("\(name)_min", .unsigned(samples?.minimum ?? 0)),
      ("\(name)_max", .unsigned(samples?.maximum ?? 0)),
    ] + (share.map { [("\(name)_agg", .decimal($0, scale: 6))] } ?? []) + [
      ("\(name)_mean", .decimal(samples?.meanMillionths ?? 0, scale: 6)),
      ("\(name)_\(deviation)", .decimal(samples?.deviationMillionths ?? 0, scale: 6)),
      ("\(name)_samples", .unsigned(UInt64(samples?.count ?? 0))),
    ]
  }

  private static func sync(_ figures: OperationFigures?, _ percentiles: Percentiles, _ hasBins: Bool) -> JSONValue {
    .object([
      ("total_ios", .unsigned(figures?.count ?? 0)),
      ("lat_ns", latency(figures?.latency, percentiles, true, hasBins)),
    ])
  }

  private static func latency(
    _ summary: LatencySummary?, _ percentiles: Percentiles, _ isWanted: Bool, _ hasBins: Bool
  ) -> JSONValue {
    var members: [Member] = [
      ("min", .unsigned(summary?.minimum ?? 0)),
      ("max", .unsigned(summary?.maximum ?? 0)),
      ("mean", .decimal(summary?.meanPicoseconds ?? 0, scale: 3)),
      ("stddev", .decimal(summary?.deviationPicoseconds ?? 0, scale: 3)),
      ("N", .unsigned(summary?.count ?? 0)),
    ]
    if let summary, isWanted {
      let values = percentiles.list.map { percentile in
        (
          key: ReportNumber.fixed(percentile, scale: 6, places: 6),
          value: JSONValue.unsigned(summary.value(at: percentile))
        )
      }
      members.append(("percentile", .object(values)))
      if hasBins {
        members.append(("bins", .object(summary.fioBins.map { (key: "\($0.value)", value: .unsigned($0.count)) })))
      }
    }
    return .object(members)
  }

  // MARK: - The job as a whole

  private static func processor(_ group: GroupReport) -> [(key: String, value: JSONValue)] {
    let figures = group.processor
    func share(_ nanoseconds: UInt64?) -> JSONValue {
      .decimal(ReportNumber.percentage(nanoseconds ?? 0, of: group.runtimeNanoseconds), scale: 6)
    }
    return [
      ("usr_cpu", share(figures?.user)),
      ("sys_cpu", share(figures?.system)),
      ("ctx", .unsigned(figures?.contextSwitches ?? 0)),
      ("majf", .unsigned(figures?.majorFaults ?? 0)),
      ("minf", .unsigned(figures?.minorFaults ?? 0)),
    ]
  }

  private static func queue(_ figures: QueueFigures) -> [(key: String, value: JSONValue)] {
    func shares(_ names: [String], _ counts: SIMD8<UInt64>) -> JSONValue {
      .object(zip(names, QueueFigures.shares(counts)).map { (key: $0, value: .decimal($1, scale: 6)) })
    }
    return [
      ("iodepth_level", shares(QueueFigures.depthNames, figures.depths)),
      ("iodepth_submit", shares(QueueFigures.roundNames, figures.begun)),
      ("iodepth_complete", shares(QueueFigures.roundNames, figures.completed)),
    ]
  }

  private static func distribution(_ group: GroupReport) -> [(key: String, value: JSONValue)] {
    let distribution = LatencyDistribution(group)
    func shares(_ names: [String], _ part: [UInt64]) -> JSONValue {
      .object(zip(names, part).map { (key: $0, value: .decimal($1, scale: 6)) })
    }
    return [
      ("latency_ns", shares(LatencyDistribution.names, distribution.nanoseconds)),
      ("latency_us", shares(LatencyDistribution.names, distribution.microseconds)),
      ("latency_ms", shares(LatencyDistribution.millisecondNames, distribution.milliseconds)),
    ]
  }
}

extension OperationFigures {
  /// What fio calls completion latency: of operations that are not submitted apart, all of it.
  package var servedLatency: LatencySummary? { completion ?? latency }
}

extension QueueFigures {
  static let depthNames = ["1", "2", "4", "8", "16", "32", ">=64"]
  static let roundNames = ["0", "4", "8", "16", "32", "64", ">=64"]

  /// In millionths of a percent; as with fio, what has happened at all is never shown as less than a tenth.
  static func shares(_ counts: SIMD8<UInt64>) -> [UInt64] {
    let sum = counts.wrappedSum()
    return depthNames.indices.map { ReportNumber.percentage(counts[$0], of: sum, least: 100_000) }
  }
}

/// The completion latencies of a job in fio's classes, each below the number that names it, in millionths of a percent; as
/// with fio, what has happened at all is never shown as less than a hundredth.
struct LatencyDistribution {
  static let names = ["2", "4", "10", "20", "50", "100", "250", "500", "750", "1000"]
  static let millisecondNames = names + ["2000", ">=2000"]
  private static let limits: [UInt64] = [2, 4, 10, 20, 50, 100, 250, 500, 750, 1000]

  private(set) var nanoseconds = [UInt64](repeating: 0, count: 10)
  private(set) var microseconds = [UInt64](repeating: 0, count: 10)
  private(set) var milliseconds = [UInt64](repeating: 0, count: 12)

  init(_ group: GroupReport) {
    let summaries = [ReportedOperation.read, .write, .trim].compactMap { group.operations[$0]?.servedLatency }
    let sum = summaries.reduce(0) { $0 + $1.count }
    for bucket in summaries.flatMap(\.buckets) {
      func place(_ value: UInt64, in limits: [UInt64]) -> Int { limits.firstIndex { value < $0 } ?? limits.count }
      let value = bucket.lowest
      if value < 1000 {
        nanoseconds[place(value, in: Self.limits)] += bucket.count
      } else if value < 1_000_000 {
        microseconds[place(value / 1000, in: Self.limits)] += bucket.count
      } else {
        milliseconds[place(value / 1_000_000, in: Self.limits + [2000])] += bucket.count
      }
    }
    func shares(_ counts: [UInt64]) -> [UInt64] { counts.map { ReportNumber.percentage($0, of: sum, least: 10_000) } }
    (nanoseconds, microseconds, milliseconds) = (shares(nanoseconds), shares(microseconds), shares(milliseconds))
  }
}
