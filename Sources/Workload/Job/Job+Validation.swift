extension Job {
  /// Refuses options that contradict each other within this job.
  ///
  /// Whatever needs a look at the machine (is the file there, how big is it, what does its device ask for) is the
  /// runner's to check, before it starts.
  ///
  /// - Throws: `JobError.contradiction`, for the first one found.
  func validate(_ settings: ResolvedSettings) throws(JobError) {
    func refuse(_ option: JobOption.Name, _ problem: Contradiction) -> JobError {
      .contradiction(job: name, option: option.rawValue, problem, at: settings.location(option))
    }

    if schedule.steadyState != nil, (settings.number(.steadyDuration) ?? 0) < 1_000_000_000 {
      throw refuse(.steadyState, .needs(option: "steadystate_duration", because: .steadyStateHasNoWindow))
    }
    if schedule.isTimeBased, schedule.runtimeNanoseconds == nil {
      throw refuse(.timeBased, .needs(option: "runtime", because: .timeBasedHasNoEnd))
    }
    switch target {
    case .device: try validateDevice(settings, refuse)
    case .fileSystem: try validateFiles(settings, refuse)
    }
    if let size, bytesPerFile == 0 {
      let share = size / UInt64(max(1, filesPerCopy))
      throw refuse(.size, .sizeBelowBlock(share: share, blockSize: UInt64(smallestBlock)))
    }
  }

  private func validateDevice(
    _ settings: ResolvedSettings, _ refuse: (JobOption.Name, Contradiction) -> JobError
  ) throws(JobError) {
    for option in [
      JobOption.Name.fileOperations, .image, .imageSize, .age, .coldStart, .writeback, .frees, .allocation, .cacheSize,
      .dirtyLimit,
      .dirtyBackground, .writebackBatch, .failedPages,
    ] where settings.isGiven(option) {
      throw refuse(option, .onlyWithTarget("fs"))
    }
    if let problem = traceProblem(settings) { throw refuse(problem.option, problem.contradiction) }
    if replay != nil {
      // The log says what a pattern's options would.
    } else if engine == .libaio {
      if namedFiles.isEmpty, size == nil {
        throw refuse(.engine, .needs(option: "filename", because: .deviceHasNoFile))
      }
    } else if size == nil {
      throw refuse(.engine, .needs(option: "size", because: .engineHasNoSize(engine.rawValue)))
    }
    for direction in load.directions(withMix: nil) {
      for size in load.blockSizes[direction].all + [load.blockAlign[direction] ?? 0] where !size.isMultiple(of: 512) {
        throw refuse(.blockSize, .blockNotSectorMultiple(blockSize: UInt64(size)))
      }
    }
    try validateVerification(settings, refuse)
    if load.pattern == .flush, schedule.operationCount == nil, schedule.runtimeNanoseconds == nil {
      throw refuse(.rw, .needs(option: "number_ios", because: .flushesHaveNoSize))
    }
  }

  private func validateVerification(
    _ settings: ResolvedSettings, _ refuse: (JobOption.Name, Contradiction) -> JobError
  ) throws(JobError) {
    guard let verify else {
      if settings.number(.trimPercentage) ?? 0 > 0 {
        throw refuse(.trimPercentage, .needs(option: "verify", because: .onlyVerifiedIsTrimmed))
      }
      // Each of these asks for a comparison, and verify_only above all for nothing to be written.
      for option in [JobOption.Name.verifyOnly, .verifyStateLoad] where settings.flag(option) {
        throw refuse(option, .needs(option: "verify", because: .verifyHasNoMethod))
      }
      let isAsked = settings.isGiven(.doVerify) && settings.flag(.doVerify)
      if isAsked { throw refuse(.doVerify, .needs(option: "verify", because: .verifyHasNoMethod)) }
      if settings.positive(.verifyBacklog) != nil {
        throw refuse(.verifyBacklog, .needs(option: "verify", because: .verifyHasNoMethod))
      }
      return
    }
    if verify.isOnly, replay != nil { throw refuse(.verifyOnly, .excludes(option: "read_iolog")) }
    if engine == .null { throw refuse(.verify, .engineKeepsNothing(engine.rawValue)) }
    if verify.method == .pattern, verify.pattern == nil {
      throw refuse(.verify, .needs(option: "verify_pattern", because: .verifyHasNoPattern))
    }
    if verify.isOnly, !verify.loadsState, load.pattern.writes {
      if randomSeed == nil { throw refuse(.verifyOnly, .needs(option: "randseed", because: .verifiedSeedIsUnknown)) }
      if schedule.runtimeNanoseconds != nil || schedule.rampNanoseconds > 0 {
        throw refuse(.verifyOnly, .needs(option: "verify_state_load", because: .verifiedAmountIsUnknown))
      }
      let isOfRates = schedule.hasRate && [.mixed, .randomMixed].contains(load.pattern)
      if load.pattern.trimsBeforeWrite || isOfRates || verify.trim.percent > 0 {
        throw refuse(.verifyOnly, .needs(option: "verify_state_load", because: .verifyOrderIsUnknown))
      }
    }
  }

  private func traceProblem(
    _ settings: ResolvedSettings
  ) -> (option: JobOption.Name, contradiction: Contradiction)? {
    if iologPath != nil, [.writeZeroes, .randomWriteZeroes].contains(load.pattern) {
      return (.writeIOLog, .notInLogs(load.pattern.rawValue))
    }
    guard let replay else {
      let given = [
        JobOption.Name.replayNoStall, .replayTimeScale, .replayRedirect, .replayScale, .replayAlign, .replaySkip,
      ].first { settings.isGiven($0) }
      return given.map { ($0, .needs(option: "read_iolog", because: .onlyForReplay)) }
    }
    if let align = replay.align, align.nonzeroBitCount != 1 { return (.replayAlign, .notPowerOfTwo(align)) }
    let given = [JobOption.Name.rate, .rateIOPS, .loops, .ioSize].first { settings.isGiven($0) }
    return given.map { (.readIOLog, .excludes(option: $0.rawValue)) }
  }

  private func validateFiles(
    _ settings: ResolvedSettings, _ refuse: (JobOption.Name, Contradiction) -> JobError
  ) throws(JobError) {
    guard let volume else { preconditionFailure("a job on files has a volume") }
    for option in [
      JobOption.Name.directory, .batchSubmit, .batchCompleteMin, .lowDepth, .serializeOverlap, .sync, .refillBuffers,
      .zeroBuffers, .verify, .verifyPattern, .verifyOnly, .verifyStateLoad, .verifyBacklog, .trimPercentage,
      .writeIOLog,
      .readIOLog,
    ] where settings.isGiven(option) {
      throw refuse(option, .onlyWithTarget("dev"))
    }
    if mix == nil, !load.pattern.isOfFiles { throw refuse(.rw, .patternOfDevices(load.pattern.rawValue)) }
    if engine == .null { throw refuse(.engine, .engineCannotHoldVolume(engine.rawValue)) }
    if mix != nil {
      for option in [
        JobOption.Name.rw, .readPercent, .writePercent, .randomPercent, .blockSizeRange, .blockSizeSplit, .blockAlign,
        .distribution, .noRandomMap, .fileService, .offset, .offsetIncrement,
      ] where settings.isGiven(option) {
        throw refuse(.fileOperations, .excludes(option: option.rawValue))
      }
    }
    // Whose file it is that comes and goes must be clear.
    if mix?.changesNames == true, !namedFiles.isEmpty { throw refuse(.fileOperations, .namesAreShared) }
    if volume.image != nil, settings.isGiven(.imageSize) { throw refuse(.imageSize, .excludes(option: "image")) }
    if size == nil {
      // Reads of files that an image already has are as long as the files.
      if volume.image == nil { throw refuse(.target, .needs(option: "size", because: .scratchImageMustHoldIt)) }
      if writes { throw refuse(.target, .needs(option: "size", because: .filesMustBeSized)) }
    }
    for name in fileNames(copy: 0) {
      guard !name.utf8.contains(UInt8(ascii: "/")), name.utf8.count <= 255, name != ".", name != ".." else {
        throw refuse(.filename, .notAFileName(name))
      }
    }
    if volume.dirtyLimitBytes > volume.cacheBytes {
      throw refuse(.dirtyLimit, .exceeds(option: "cache_size", limit: volume.cacheBytes))
    }
    if volume.dirtyBackgroundBytes > volume.dirtyLimitBytes {
      throw refuse(.dirtyBackground, .exceeds(option: "dirty_limit", limit: volume.dirtyLimitBytes))
    }
  }
}
