/// The options that hold for one job, by name: the last one given counts.
struct ResolvedSettings {
  private var byName: [JobOption.Name: JobSetting] = [:]

  init(_ settings: [JobSetting]) {
    for setting in settings { byName[setting.name] = setting }
  }

  /// Whether somebody gave the option, even its default value.
  func isGiven(_ name: JobOption.Name) -> Bool { byName[name] != nil }

  /// Where the option was given.
  func location(_ name: JobOption.Name) -> SourceLocation? { byName[name]?.location }

  /// The value given, or the table's default.
  private func value(_ name: JobOption.Name) -> OptionValue? {
    if let given = byName[name] { return given.value }
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
    namedFiles = settings.names(.filename)
    pattern = settings.choice(.rw)
    mix = settings.mix(.fileOperations)
    blockSize = settings.integer(.blockSize)
    // As in fio, a size of 0 is no size.
    size = settings.number(.size).flatMap { $0 == 0 ? nil : $0 }
    runtimeNanoseconds = settings.number(.runtime).flatMap { $0 == 0 ? nil : $0 }
    isTimeBased = settings.flag(.timeBased)
    depth = settings.integer(.depth)
    copies = settings.integer(.copies)
    engine = settings.choice(.engine)
    isDirect = settings.flag(.direct)
    randomSeed = settings.number(.randomSeed)
    offsetsMayRepeat = settings.flag(.noRandomMap)
    fsyncEvery = settings.integer(.fsync)
    fdatasyncEvery = settings.integer(.fdatasync)
    fsyncsAtEnd = settings.flag(.endFsync)
    reportsAsGroup = settings.flag(.groupReporting)
    queueDepth = settings.integer(.queueDepth)
    volume = target == .fileSystem ? VolumeOptions(settings) : nil
  }
}

extension VolumeOptions {
  init(_ settings: ResolvedSettings) {
    image = settings.text(.image)
    imageBytes = settings.number(.imageSize)
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
