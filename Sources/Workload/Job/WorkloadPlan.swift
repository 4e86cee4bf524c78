/// All that one run does: its jobs, and the options that hold for the run as a whole.
package struct WorkloadPlan: Sendable, Equatable {
  package var options: RunOptions
  /// At least one. Either all work on devices, or all on one volume, with one set of volume options.
  package var jobs: [Job]

  /// Joins the arguments with the job files that they name.
  ///
  /// - Parameters:
  ///   - arguments: what the user typed.
  ///   - files: the job files, in the order of `arguments.jobFiles`. Reading them is the caller's part.
  /// - Throws: `noJob`, `noSection`, or the first contradiction within a job or between two.
  package init(_ arguments: RunArguments, files: [JobFile]) throws(JobError) {
    options = arguments.options
    jobs = []
    func add(_ name: String, _ settings: [JobSetting], to jobs: inout [Job]) throws(JobError) {
      let resolved = ResolvedSettings(settings)
      let job = Job(name: name, resolved)
      try job.validate(resolved)
      if let first = jobs.first { try job.validate(resolved, beside: first) }
      jobs.append(job)
    }
    let presets = try arguments.presets.map { preset throws(JobError) in try preset.jobFile() }
    for section in (presets + files).flatMap(\.sections) {
      try add(section.name, section.settings + arguments.common, to: &jobs)
    }
    for settings in arguments.jobs {
      try add("", arguments.common + settings, to: &jobs)
    }
    if jobs.isEmpty { throw files.first.map { .noSection($0.path) } ?? .noJob }
  }

  /// The numbers of the jobs that run beside each other, one stage after the other.
  package var stages: [Range<Int>] {
    var stages: [Range<Int>] = []
    for (index, job) in jobs.enumerated() {
      if index == 0 || job.schedule.waitsForPrevious {
        stages.append(index..<index + 1)
      } else {
        stages[stages.count - 1] = stages[stages.count - 1].lowerBound..<index + 1
      }
    }
    return stages
  }

  /// How wide the bins of counters and accesses over time are at first, in nanoseconds; nil: nobody wants them.
  var seriesNanoseconds: UInt64? {
    jobs.compactMap(\.seriesNanoseconds).min() ?? (options.htmlPath == nil ? nil : 1_000_000)
  }

  /// The figures over time of a job; nil: nobody wants them. Where only the page with pictures does, as many bins as can
  /// be seen.
  func makeSeries(of job: Job) -> TimeSeries? {
    if let width = job.seriesNanoseconds { return TimeSeries(binNanoseconds: width) }
    return options.htmlPath == nil ? nil : TimeSeries(binNanoseconds: 1_000_000, limit: 1024)
  }

  /// The volume of the run; nil when it works on devices.
  package var volume: VolumeOptions? { jobs[0].volume }

  /// The files of this machine that hold what the jobs work on, as far as they have names; of a scratch image, which is
  /// gone after the run, the folder.
  var filesOfHost: [String] {
    if let volume {
      return [volume.image ?? (jobs[0].engine == .libaio ? HostFile.scratchParent : nil)].compactMap(\.self)
    }
    return jobs.filter { $0.target == .device && $0.engine == .libaio }
      .flatMap { job in (0..<job.copies).flatMap { job.fileNames(copy: $0) } }
  }

  /// The same plan with this seed for every job that has none of its own.
  package func seeded(with seed: UInt64) -> WorkloadPlan {
    var plan = self
    for index in plan.jobs.indices where plan.jobs[index].randomSeed == nil { plan.jobs[index].randomSeed = seed }
    return plan
  }

  /// Bytes of the scratch image: what was asked for, or all files at their largest and a quarter more, beside what ages the
  /// volume, at least 256 MiB, in whole MiB. Nil when the run has an image or works on devices.
  package var scratchImageBytes: UInt64? {
    guard let volume, volume.image == nil else { return nil }
    if let asked = volume.imageBytes { return asked }
    let mebibyte: UInt64 = 1 << 20, sum = fileBytes
    let free = 100 - UInt64(volume.agePercent ?? 0)
    return (max(256 * mebibyte, (sum + sum / 4) / free * 100) + mebibyte - 1) / mebibyte * mebibyte
  }

  /// How many bytes each file has at its largest. One that several jobs name has the largest of its shares.
  private var shares: [String: UInt64] {
    var shares: [String: UInt64] = [:]
    for job in jobs {
      for copy in 0..<job.copies {
        for name in job.fileNames(copy: copy) { shares[name] = max(shares[name] ?? 0, job.bytesPerFile ?? 0) }
      }
    }
    return shares
  }

  /// Files that come and go are of one copy alone.
  ///
  /// - Throws: `unfit` where another has one of their names, too.
  func checkSharedNames() throws(RunError) {
    var taken: Set<String> = [], someChange = false
    for job in jobs where job.target == .fileSystem {
      someChange = someChange || job.mix?.changesNames == true
      for copy in 0..<job.copies {
        let names = job.fileNames(copy: copy)
        if someChange && !taken.isDisjoint(with: names) {
          throw .unfit(
            job: job.name, reason: "it shares files with another job, and one of both creates and unlinks them")
        }
        taken.formUnion(names)
      }
    }
  }

  /// How many files there are at most.
  package var fileCount: Int { shares.count }

  /// Bytes of all files at their largest.
  package var fileBytes: UInt64 {
    // Sizes are at most 2^60 each, but there may be many: a sum that does not fit is more than any disk has.
    var sum: UInt64 = 0
    for share in shares.values {
      let (total, overflow) = sum.addingReportingOverflow(share)
      sum = overflow ? .max / 2 : min(total, .max / 2)
    }
    return sum
  }
}

extension Job {
  /// Refuses a job that cannot share a run with the first one: one run has one reactor, and one volume or none.
  fileprivate func validate(_ settings: ResolvedSettings, beside first: Job) throws(JobError) {
    func differs(_ option: JobOption.Name) -> JobError {
      .contradiction(
        job: name, option: option.rawValue, .differsFromJob(first.name), at: settings.location(option))
    }
    if target != first.target { throw differs(.target) }
    if (engine == .simulated) != (first.engine == .simulated) { throw differs(.engine) }
    guard let volume, let other = first.volume else { return }
    if engine != first.engine { throw differs(.engine) }
    if isDirect != first.isDirect { throw differs(.direct) }
    if queueDepth != first.queueDepth { throw differs(.queueDepth) }
    if volume.image != other.image { throw differs(.image) }
    if volume.imageBytes != other.imageBytes { throw differs(.imageSize) }
    if volume.agePercent != other.agePercent { throw differs(.age) }
    if volume.startsCold != other.startsCold { throw differs(.coldStart) }
    if volume.writeback != other.writeback { throw differs(.writeback) }
    if volume.frees != other.frees { throw differs(.frees) }
    if volume.allocation != other.allocation { throw differs(.allocation) }
    if volume.cacheBytes != other.cacheBytes { throw differs(.cacheSize) }
    if volume.dirtyLimitBytes != other.dirtyLimitBytes { throw differs(.dirtyLimit) }
    if volume.dirtyBackgroundBytes != other.dirtyBackgroundBytes { throw differs(.dirtyBackground) }
    if volume.batchBytes != other.batchBytes { throw differs(.writebackBatch) }
    if volume.failedPages != other.failedPages { throw differs(.failedPages) }
  }
}
