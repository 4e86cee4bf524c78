/// The options that hold for one job, by name: the last one given counts.
struct ResolvedSettings {
  private var byName: [JobOption.Name: (setting: JobSetting, position: Int)] = [:]

  init(_ settings: [JobSetting]) {
    for (position, setting) in settings.enumerated() { byName[setting.name] = (setting, position) }
  }

  /// The place among all settings where the option was given last; -1: nowhere.
  private func order(_ name: JobOption.Name) -> Int { byName[name]?.position ?? -1 }

  /// Whether somebody gave the option, even its default value.
  func isGiven(_ name: JobOption.Name) -> Bool { byName[name] != nil }

  /// Where the option was given.
  func location(_ name: JobOption.Name) -> SourceLocation? { byName[name]?.setting.location }

  /// The value given, or the table's default.
  private func value(_ name: JobOption.Name) -> OptionValue? {
    if let given = byName[name] { return given.setting.value }
    let option = JobOption.option(name)
    guard let text = option.defaultText else { return nil }
    do throws(ValueProblem) {
      return try option.kind.parse(text)
    } catch {
      preconditionFailure("the default of \(name.rawValue) is not a value of it: \(error)")
    }
  }

  func number(_ name: JobOption.Name) -> UInt64? {
    if case .number(let number) = value(name) { number } else { nil }
  }
  func text(_ name: JobOption.Name) -> String? {
    if case .text(let text) = value(name) { text } else { nil }
  }
  func names(_ name: JobOption.Name) -> [String] {
    if case .names(let names) = value(name) { names } else { [] }
  }
  func flag(_ name: JobOption.Name) -> Bool { value(name) == .flag(true) }
  func mix(_ name: JobOption.Name) -> OperationMix? {
    if case .mix(let mix) = value(name) { mix } else { nil }
  }
  /// A number above 0; nil where it is 0 or missing.
  func positive(_ name: JobOption.Name) -> UInt64? { number(name).flatMap { $0 == 0 ? nil : $0 } }
  func percent(_ name: JobOption.Name) -> UInt64? {
    if case .percent(let percent) = value(name) { percent } else { nil }
  }
  func extent(_ name: JobOption.Name) -> Load.Extent {
    percent(name).map(Load.Extent.percent) ?? .bytes(number(name) ?? 0)
  }
  /// Values by direction, as they were given.
  func list(_ name: JobOption.Name) -> [UInt64?] {
    if case .list(let list) = value(name) { list } else { [] }
  }
  func pattern(_ name: JobOption.Name) -> (AccessPattern, modifier: UInt64?) {
    if case .pattern(let pattern, let modifier) = value(name) { (pattern, modifier) } else { (.read, nil) }
  }
  func distribution(_ name: JobOption.Name) -> OffsetDistribution {
    if case .distribution(let distribution) = value(name) { distribution } else { .random }
  }

  /// What bs, bsrange and bssplit say together: the one that was given last counts.
  var blockSizes: PerDirection<BlockSizes> {
    let usual = PerDirection(BlockSizes.fixed(4096))
    let last = [JobOption.Name.blockSize, .blockSizeRange, .blockSizeSplit].max { order($0) < order($1) }
    switch last.flatMap(value) {
    case .list(let list): return PerDirection(list: list.map { $0.map { .fixed(Int($0)) } }, default: usual)
    case .blockSizes(let list): return PerDirection(list: list, default: usual)
    default: return usual
    }
  }

  /// Reads of a mixed pattern, in percent.
  var readPercent: Int {
    let usual: Int = integer(.readPercent)
    guard let writes = number(.writePercent), order(.writePercent) > order(.readPercent) else { return usual }
    return 100 - Int(writes)
  }

  var isDirect: Bool {
    guard isGiven(.buffered), order(.buffered) > order(.direct) else { return flag(.direct) }
    return !flag(.buffered)
  }

  /// One of an enum whose raw values are the option's choices.
  func choice<Choice: RawRepresentable<String>>(_ name: JobOption.Name) -> Choice {
    guard let text = text(name), let choice = Choice(rawValue: text) else {
      preconditionFailure("\(name.rawValue) is a choice with a default")
    }
    return choice
  }
  /// A number that the table's range makes fit and its default makes present.
  func integer<Integer: FixedWidthInteger>(_ name: JobOption.Name) -> Integer {
    guard let number = number(name), let integer = Integer(exactly: number) else {
      preconditionFailure("\(name.rawValue) is a number with a default, in the range of its type")
    }
    return integer
  }
}

extension Job {
  /// Gives every option its value. Contradictions between them are `validate`'s business.
  init(name sectionName: String, _ settings: ResolvedSettings) {
    name = settings.text(.name) ?? sectionName
    target = settings.choice(.target)
    remark = settings.text(.description)
    directories = settings.names(.directory)
    namedFiles = settings.names(.filename)
    filenameFormat = settings.text(.filenameFormat) ?? Self.usualFilenameFormat
    fileCount = settings.integer(.fileCount)
    mix = settings.mix(.fileOperations)
    load = Load(settings)
    // As in fio, a size of 0 is no size.
    size = settings.positive(.size)
    sizePercent = settings.percent(.size)
    schedule = Schedule(settings)
    queueing = Queueing(
      depth: settings.integer(.depth), batchSubmit: settings.integer(.batchSubmit),
      batchCompleteMin: settings.integer(.batchCompleteMin), lowDepth: settings.number(.lowDepth).map { Int($0) },
      serializesOverlap: settings.flag(.serializeOverlap))
    copies = settings.integer(.copies)
    engine = settings.choice(.engine)
    isDirect = settings.isDirect
    randomSeed = settings.number(.randomSeed) ?? (settings.flag(.randomRepeat) ? Self.repeatedSeed : nil)
    let sync = settings.text(.sync)
    writeSync = sync == "1" ? .sync : sync.flatMap(WriteSync.init) ?? .none
    let tolerated = settings.text(.continueOnError)
    tolerance = tolerated == "1" ? .all : tolerated.flatMap(ErrorTolerance.init) ?? .none
    maximumLatency = settings.positive(.maxLatency)
    buffers =
      settings.flag(.zeroBuffers) ? .zeroes : settings.flag(.refillBuffers) ? .random : .randomOnce
    fsyncEvery = settings.integer(.fsync)
    fdatasyncEvery = settings.integer(.fdatasync)
    fsyncsAtEnd = settings.flag(.endFsync)
    reportsAsGroup = settings.flag(.groupReporting)
    seriesNanoseconds = settings.positive(.logAverage).map { $0 * 1_000_000 }
    // As in fio, a pattern alone is what to expect.
    let method = settings.text(.verify) ?? (settings.isGiven(.verifyPattern) ? VerifyMethod.pattern.rawValue : nil)
    verify = method.flatMap(VerifyMethod.init).map { VerifyOptions($0, settings) }
    percentiles = Percentiles()
    if settings.isGiven(.percentileList) { percentiles.list = settings.list(.percentileList).compactMap(\.self) }
    percentiles.ofSubmission = settings.flag(.submissionPercentiles)
    percentiles.ofCompletion = settings.flag(.completionPercentiles)
    percentiles.ofTotal = settings.flag(.totalPercentiles)
    queueDepth = settings.integer(.queueDepth)
    replay = Replay(settings)
    iologPath = settings.text(.writeIOLog)
    logging = OperationLogging(settings, jobName: name)
    volume = target == .fileSystem ? VolumeOptions(settings) : nil
  }

  /// The seed of `randrepeat`.
  private static let repeatedSeed: UInt64 = 1
}

extension Load {
  init(_ settings: ResolvedSettings) {
    (pattern, patternModifier) = settings.pattern(.rw)
    readPercent = settings.readPercent
    randomPercent = PerDirection(list: settings.list(.randomPercent), default: PerDirection(100)).map { Int($0) }
    blockSizes = settings.blockSizes
    blockAlign = PerDirection(
      list: settings.list(.blockAlign).map { $0.map(Optional.some) }, default: PerDirection(nil)
    )
    .map { $0.map { Int($0) } }
    distribution = settings.distribution(.distribution)
    offsetsMayRepeat = settings.flag(.noRandomMap)
    fileService = settings.choice(.fileService)
    offset = settings.extent(.offset)
    offsetIncrement = settings.extent(.offsetIncrement)
  }
}

extension Schedule {
  init(_ settings: ResolvedSettings) {
    runtimeNanoseconds = settings.positive(.runtime)
    isTimeBased = settings.flag(.timeBased)
    ioBytes = settings.positive(.ioSize)
    ioPercent = settings.percent(.ioSize)
    operationCount = settings.positive(.operationCount)
    loops = settings.integer(.loops)
    rampNanoseconds = settings.integer(.rampTime)
    startDelayNanoseconds = settings.integer(.startDelay)
    waitsForPrevious = settings.flag(.stonewall)
    beginsGroup = settings.flag(.newGroup)
    endsOthers = settings.flag(.exitAll)
    endsOthersOnError = settings.flag(.exitAllOnError)
    func rates(_ name: JobOption.Name) -> PerDirection<UInt64?> {
      // Of two the second is for writes and trims; none is said for one that is left out, or is 0.
      PerDirection(
        list: settings.list(name).map { $0 == 0 ? nil : $0.map(Optional.some) }, default: PerDirection(nil))
    }
    bytesPerSecond = rates(.rate)
    operationsPerSecond = rates(.rateIOPS)
    rateProcess = settings.choice(.rateProcess)
    func seconds(_ name: JobOption.Name) -> Int { Int((settings.number(name) ?? 0) / 1_000_000_000) }
    steadyState = settings.text(.steadyState).flatMap(SteadyState.Criterion.init).map {
      SteadyState($0, duration: seconds(.steadyDuration), ramp: seconds(.steadyRamp))
    }
    thinkTime = ThinkTime(
      nanoseconds: settings.integer(.thinkTime), spinNanoseconds: settings.integer(.thinkTimeSpin),
      operationCount: settings.integer(.thinkTimeBlocks), counts: settings.choice(.thinkTimeCount))
  }
}

extension VerifyOptions {
  init(_ method: VerifyMethod, _ settings: ResolvedSettings) {
    self.method = method
    pattern = settings.text(.verifyPattern).flatMap(VerifyPattern.init)
    readsBack = settings.flag(.doVerify)
    isOnly = settings.flag(.verifyOnly)
    backlog = settings.integer(.verifyBacklog)
    backlogBatch = settings.positive(.verifyBacklogBatch)
    isFatal = settings.flag(.verifyFatal)
    interval = settings.positive(.verifyInterval).map { Int($0) }
    savesState = settings.flag(.verifyStateSave)
    loadsState = settings.flag(.verifyStateLoad)
    trim = TrimOptions(settings)
  }
}

extension VolumeOptions {
  init(_ settings: ResolvedSettings) {
    image = settings.text(.image)
    imageBytes = settings.number(.imageSize)
    agePercent = settings.number(.age).map { Int($0) }
    startsCold = settings.flag(.coldStart)
    writeback = settings.choice(.writeback)
    frees = settings.choice(.frees)
    allocation = settings.choice(.allocation)
    cacheBytes = settings.integer(.cacheSize)
    dirtyLimitBytes = settings.number(.dirtyLimit) ?? Self.defaultDirtyLimit(cacheBytes: cacheBytes)
    dirtyBackgroundBytes =
      settings.number(.dirtyBackground) ?? Self.defaultDirtyBackground(dirtyLimitBytes: dirtyLimitBytes)
    batchBytes = settings.integer(.writebackBatch)
    failedPages = settings.choice(.failedPages)
  }

  /// Half of the cache: the other half stays for what is read, and writeback has room to work.
  static func defaultDirtyLimit(cacheBytes: UInt64) -> UInt64 { cacheBytes / 2 }
  /// Half of the limit, the relation of Linux's `dirty_background_ratio` (10) to its `dirty_ratio` (20).
  static func defaultDirtyBackground(dirtyLimitBytes: UInt64) -> UInt64 { dirtyLimitBytes / 2 }
}
