internal import DeviceLayers
internal import Ext2
internal import PageCache

extension WorkloadPlan {
  /// The arguments that offer the same load again: every job with all that differs from a default, and its seed.
  ///
  /// Reading them gives the same jobs, whatever became of the job file. Where the report goes, and whether the image is
  /// kept, is no part of the load.
  package var arguments: [String] {
    (options.ignoresCookie ? ["--\(RunOptions.Flag.unsafeIgnoreCookie.rawValue)"] : []) + options.stack.arguments
      + jobs.flatMap(\.arguments)
  }

  /// The command to type, quoted for a shell.
  package var commandLine: String { shellCommand(arguments) }

  /// The jobs as a job file, with every option that holds, those by default too. It ends with a newline.
  package var jobFile: String { jobs.map(\.section).joined(separator: "\n") }
}

extension Job {
  /// The arguments that describe this job, beginning with `--name`.
  package var arguments: [String] {
    JobOption.all.compactMap { option in
      guard let text = text(of: option.name), text != option.defaultText else { return nil }
      let flag = "--\(option.name.rawValue)"
      return option.kind == .boolean && text == "1" ? flag : "\(flag)=\(text)"
    }
  }

  /// The section of a job file that describes this job, with every option that holds.
  fileprivate var section: String {
    let lines = JobOption.all.compactMap { option in
      option.name == .name ? nil : text(of: option.name).map { "\(option.name.rawValue)=\($0)" }
    }
    return (["[\(name)]"] + lines).joined(separator: "\n") + "\n"
  }

  /// The command that runs this job alone, quoted for a shell.
  package var commandLine: String { shellCommand(arguments) }

  /// The value of an option as a user would write it; nil when the job has none, or when it follows from others.
  package func text(of option: JobOption.Name) -> String? {
    switch option {
    case .name: name
    case .target: target.rawValue
    case .filename: namedFiles.isEmpty ? nil : namesText(namedFiles)
    case .description: remark
    case .directory: directories.isEmpty ? nil : namesText(directories)
    case .filenameFormat: filenameFormat
    case .fileCount: "\(fileCount)"
    case .rw: mix == nil ? load.pattern.rawValue + (load.patternModifier.map { ":" + bytesText($0) } ?? "") : nil
    case .fileOperations: mix?.text
    case .size: size.map(bytesText) ?? sizePercent.map { "\($0)%" }
    case .depth: "\(queueing.depth)"
    case .batchSubmit: "\(queueing.batchSubmit)"
    case .batchCompleteMin: "\(queueing.batchCompleteMin)"
    case .lowDepth: queueing.lowDepth.map { "\($0)" }
    case .serializeOverlap: flagText(queueing.serializesOverlap)
    case .copies: "\(copies)"
    case .engine: engine.rawValue
    case .direct: flagText(isDirect)
    case .sync: writeSync.rawValue
    case .continueOnError: tolerance.rawValue
    case .maxLatency: durationText(maximumLatency ?? 0)
    case .refillBuffers: flagText(buffers == .random)
    case .zeroBuffers: flagText(buffers == .zeroes)
    case .randomSeed: randomSeed.map { "\($0)" }
    case .fsync: "\(fsyncEvery)"
    case .fdatasync: "\(fdatasyncEvery)"
    case .endFsync: flagText(fsyncsAtEnd)
    case .groupReporting: flagText(reportsAsGroup)
    case .logAverage: seriesNanoseconds.map { "\($0 / 1_000_000)" }
    case .percentileList: percentiles.list == Percentiles.usual ? nil : percentagesText(percentiles.list)
    case .submissionPercentiles: flagText(percentiles.ofSubmission)
    case .completionPercentiles: flagText(percentiles.ofCompletion)
    case .totalPercentiles: flagText(percentiles.ofTotal)
    case .queueDepth: "\(queueDepth)"
    case .writeIOLog: iologPath
    default:
      load.text(of: option) ?? schedule.text(of: option) ?? verify?.text(of: option) ?? replay?.text(of: option)
        ?? logging.text(of: option) ?? volume?.text(of: option)
    }
  }
}

extension Load {
  fileprivate func text(of option: JobOption.Name) -> String? {
    switch option {
    case .readPercent: return "\(readPercent)"
    case .randomPercent: return randomPercent.list { "\($0)" }
    case .blockSize: return fixedSizes?.list { bytesText(UInt64($0)) }
    case .blockSizeRange, .blockSizeSplit:
      // What is mixed is a split, which can say all of it.
      if fixedSizes != nil || (ranges != nil) != (option == .blockSizeRange) { return nil }
      return blockSizes.list(\.text)
    case .blockAlign:
      if blockAlign == PerDirection(nil) { return nil }
      return blockAlign.list { $0.map { bytesText(UInt64($0)) } ?? "" }
    case .distribution: return distribution.text
    case .noRandomMap: return flagText(offsetsMayRepeat)
    case .fileService: return fileService.rawValue
    case .offset: return offset.text
    case .offsetIncrement: return offsetIncrement.text
    default: return nil
    }
  }

  /// The sizes where all are fixed.
  private var fixedSizes: PerDirection<Int>? {
    func size(_ sizes: BlockSizes) -> Int? { if case .fixed(let size) = sizes { size } else { nil } }
    guard let read = size(blockSizes.read), let write = size(blockSizes.write), let trim = size(blockSizes.trim) else {
      return nil
    }
    return PerDirection(read: read, write: write, trim: trim)
  }
  private var ranges: Bool? {
    let isRange = [blockSizes.read, blockSizes.write, blockSizes.trim].contains {
      if case .range = $0 { true } else { false }
    }
    return isRange ? true : nil
  }
}

extension Load.Extent {
  fileprivate var text: String {
    switch self {
    case .bytes(let bytes): bytesText(bytes)
    case .percent(let percent): "\(percent)%"
    }
  }
}

extension BlockSizes {
  /// As `bsrange` or `bssplit` takes it.
  fileprivate var text: String {
    switch self {
    case .fixed(let size): "\(bytesText(UInt64(size)))/100"
    case .range(let sizes): "\(bytesText(UInt64(sizes.lowerBound)))-\(bytesText(UInt64(sizes.upperBound)))"
    case .split(let shares): shares.map { "\(bytesText(UInt64($0.byteCount)))/\($0.percent)" }.joined(separator: ":")
    }
  }
}

extension Schedule {
  fileprivate func text(of option: JobOption.Name) -> String? {
    switch option {
    case .ioSize: return ioBytes.map(bytesText) ?? ioPercent.map { "\($0)%" }
    case .operationCount: return operationCount.map { "\($0)" }
    case .loops: return "\(loops)"
    case .runtime: return durationText(runtimeNanoseconds ?? 0)
    case .timeBased: return flagText(isTimeBased)
    case .rampTime: return durationText(rampNanoseconds)
    case .startDelay: return durationText(startDelayNanoseconds)
    case .stonewall: return flagText(waitsForPrevious)
    case .newGroup: return flagText(beginsGroup)
    case .steadyState: return steadyState?.criterion.text
    case .steadyDuration: return steadyState.map { "\($0.duration)s" }
    case .steadyRamp: return steadyState.map { $0.ramp == 0 ? "0" : "\($0.ramp)s" }
    case .exitAll: return flagText(endsOthers)
    case .exitAllOnError: return flagText(endsOthersOnError)
    case .rate: return ratesText(bytesPerSecond, bytesText)
    case .rateIOPS: return ratesText(operationsPerSecond) { "\($0)" }
    case .rateProcess: return rateProcess.rawValue
    case .thinkTime: return durationText(thinkTime.nanoseconds)
    case .thinkTimeSpin: return durationText(thinkTime.spinNanoseconds)
    case .thinkTimeBlocks: return "\(thinkTime.operationCount)"
    case .thinkTimeCount: return thinkTime.counts.rawValue
    default: return nil
    }
  }

  private func ratesText(_ rates: PerDirection<UInt64?>, _ text: (UInt64) -> String) -> String? {
    rates == PerDirection(nil) ? nil : rates.list { $0.map(text) ?? "" }
  }
}

extension VerifyOptions {
  fileprivate func text(of option: JobOption.Name) -> String? {
    switch option {
    case .verify: return method.rawValue
    case .verifyPattern: return pattern?.text
    case .doVerify: return flagText(readsBack)
    case .verifyOnly: return flagText(isOnly)
    case .verifyBacklog: return "\(backlog)"
    case .verifyBacklogBatch: return backlogBatch.map { "\($0)" }
    case .verifyFatal: return flagText(isFatal)
    case .verifyInterval: return interval.map { bytesText(UInt64($0)) }
    case .verifyStateSave: return flagText(savesState)
    case .verifyStateLoad: return flagText(loadsState)
    default: return trim.text(of: option)
    }
  }
}

extension VolumeOptions {
  fileprivate func text(of option: JobOption.Name) -> String? {
    switch option {
    case .image: return image
    case .imageSize: return imageBytes.map(bytesText)
    case .age: return agePercent.map { "\($0)" }
    case .coldStart: return flagText(startsCold)
    case .writeback: return writeback.rawValue
    case .frees: return frees.rawValue
    case .allocation: return allocation.rawValue
    case .cacheSize: return bytesText(cacheBytes)
    case .dirtyLimit:
      return dirtyLimitBytes == Self.defaultDirtyLimit(cacheBytes: cacheBytes) ? nil : bytesText(dirtyLimitBytes)
    case .dirtyBackground:
      let usual = Self.defaultDirtyBackground(dirtyLimitBytes: dirtyLimitBytes)
      return dirtyBackgroundBytes == usual ? nil : bytesText(dirtyBackgroundBytes)
    case .writebackBatch: return bytesText(UInt64(batchBytes))
    case .failedPages: return failedPages.rawValue
    default: return nil
    }
  }
}

private func flagText(_ on: Bool) -> String { on ? "1" : "0" }

/// Bytes with the largest suffix that loses nothing.
func bytesText(_ bytes: UInt64) -> String {
  for (shift, suffix) in [(40, "t"), (30, "g"), (20, "m"), (10, "k")] as [(UInt64, String)]
  where bytes != 0 && bytes.isMultiple(of: 1 << shift) {
    return "\(bytes >> shift)\(suffix)"
  }
  return "\(bytes)"
}

/// Nanoseconds with the largest suffix that loses nothing; there is no unit below a microsecond.
private func durationText(_ nanoseconds: UInt64) -> String {
  if nanoseconds == 0 { return "0" }
  if nanoseconds.isMultiple(of: 1_000_000_000) { return "\(nanoseconds / 1_000_000_000)s" }
  if nanoseconds.isMultiple(of: 1_000_000) { return "\(nanoseconds / 1_000_000)ms" }
  return "\(nanoseconds / 1_000)us"
}

private func shellCommand(_ arguments: [String]) -> String {
  (["blkdev-run"] + arguments.map(shellQuoted)).joined(separator: " ")
}

/// One word of a shell command. What a shell might read otherwise goes between single quotes.
package func shellQuoted(_ word: String) -> String {
  let isPlain =
    !word.isEmpty
    && word.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
      default: "-_=./:,+@%".utf8.contains(byte)
      }
    }
  if isPlain { return word }
  var quoted = "'"
  for character in word.unicodeScalars {
    if character == "'" { quoted += #"'\''"# } else { quoted.unicodeScalars.append(character) }
  }
  return quoted + "'"
}
