/// What can be wrong with a description of a workload: its text, one option's value, or a job as a whole.
///
/// Cases carry what was found; `description` is the one place where they become sentences, always
/// `where: option: reason`. A command that meets one of these ends with exit code 2.
package enum JobError: Error, Sendable, Equatable {
  /// A line of a job file that is no section, option or comment.
  case syntax(SyntaxProblem, at: SourceLocation)
  /// An option that neither we nor fio know, with the nearest name that we do, if one is near.
  case unknownOption(String, nearest: String?, at: SourceLocation)
  /// An option of fio that is not supported here, which is another mistake than a misspelt one.
  case knownToFioOnly(String, at: SourceLocation)
  /// An option of the run as a whole in a job file.
  case onlyOnCommandLine(String, at: SourceLocation)
  /// An option whose value cannot be read, or is outside what the option allows.
  case badValue(option: String, value: String, ValueProblem, at: SourceLocation)
  /// Options that are right one by one and contradict each other in this job.
  case contradiction(job: String, option: String, Contradiction, at: SourceLocation?)
  /// Neither a job file nor `--name` says what to do.
  case noJob
  /// The job files that are named have none.
  case noSection(String)
}

/// What is wrong with a line of a job file.
package enum SyntaxProblem: Sendable, Equatable {
  case unclosedSection
  case emptySectionName
  case textAfterSection(String)
  case optionOutsideSection(String)
  case missingKey
  case sectionInInclude
  case includesTooDeep(limit: Int)
  case cannotInclude(String, reason: String)
  case keywordNotSupported(String)
  case variableNotSet(String)
}

/// What is wrong with the value of one option.
package enum ValueProblem: Error, Sendable, Equatable {
  case missing
  case notANumber
  case unknownSuffix(String, allowed: String)
  case outOfRange(minimum: UInt64, maximum: UInt64)
  case percentageNotSupported
  case perDirectionNotSupported
  case tooManyDirections
  case malformedRange(String)
  case malformedSplit(String)
  case malformedDistribution(String)
  case outOfRealRange(ClosedRange<Double>)
  case notBoolean
  case notOneOf([String], nearest: String?)
  case emptyName
  case repeatedName(String)
  case malformedWeight(String)
  case unknownOperation(String, allowed: [String], nearest: String?)
  case repeatedOperation(String)
  case noWeight
  case knownToFioOnly([String])
  case malformedPattern
  case malformedSteadiness
  case notAPercentile
  case rangeOfTimes
}

/// How options of one workload contradict each other.
package enum Contradiction: Sendable, Equatable {
  case needs(option: String, because: Reason)
  case onlyWithTarget(String)
  case excludes(option: String)
  case engineCannotHoldVolume(String)
  case sizeBelowBlock(share: UInt64, blockSize: UInt64)
  case blockNotSectorMultiple(blockSize: UInt64)
  case notAFileName(String)
  case exceeds(option: String, limit: UInt64)
  case differsFromJob(String)
  case patternOfDevices(String)
  case engineKeepsNothing(String)
  case notInLogs(String)
  case namesAreShared
  case notPowerOfTwo(UInt64)

  /// Why an option is needed.
  package enum Reason: Sendable, Equatable {
    case timeBasedHasNoEnd
    case steadyStateHasNoWindow
    case scratchImageMustHoldIt
    case deviceHasNoFile
    case filesMustBeSized
    case engineHasNoSize(String)
    case flushesHaveNoSize
    case verifiedAmountIsUnknown
    case verifyOrderIsUnknown
    case verifyHasNoPattern
    case onlyVerifiedIsTrimmed
    case verifyHasNoMethod
    case onlyForReplay
    case verifiedSeedIsUnknown
  }
}

/// What a user wrote, as a message shows it: on one line of sensible length, whatever somebody took for a job file.
func shown(_ text: String) -> String {
  let limit = 80
  var result = ""
  for scalar in text.unicodeScalars.prefix(limit) {
    if scalar.properties.generalCategory == .control {
      result += scalar.escaped(asASCII: true)
    } else {
      result.unicodeScalars.append(scalar)
    }
  }
  return text.unicodeScalars.count > limit ? result + "…" : result
}

extension JobError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .syntax(let problem, let location):
      return "\(location): \(problem)"
    case .unknownOption(let name, let nearest, let location):
      let hint = nearest.map { "; did you mean \($0)?" } ?? ""
      return "\(location): \(shown(name)): unknown option\(hint)"
    case .knownToFioOnly(let name, let location):
      return "\(location): \(name): known to fio, not supported here yet"
    case .onlyOnCommandLine(let name, let location):
      return "\(location): \(name): stands on the command line only, as --\(name)"
    case .badValue(let option, let value, let problem, let location):
      return "\(location): \(option): '\(shown(value))': \(problem)"
    case .contradiction(let job, let option, let problem, let location):
      let place = location.map { "\($0): " } ?? ""
      return "\(place)\(option): \(problem) (job \(shown(job)))"
    case .noSection(let path):
      return "\(path): has no job: a job begins with a line [NAME]"
    case .noJob:
      return "no job: give a job file, or --name=JOB and its options"
    }
  }
}

extension SyntaxProblem: CustomStringConvertible {
  package var description: String {
    switch self {
    case .unclosedSection: "a section needs a closing bracket: [name]"
    case .emptySectionName: "a section needs a name: [name]"
    case .textAfterSection(let text): "unexpected text after the section's bracket: \(shown(text))"
    case .optionOutsideSection(let name): "\(shown(name)): an option before the first [section]"
    case .missingKey: "an option needs a name before '='"
    case .sectionInInclude: "an included file has options only, no sections"
    case .includesTooDeep(let limit): "include: more than \(limit) files include each other"
    case .cannotInclude(let name, let reason): "include: \(shown(name)) cannot be read: \(reason)"
    case .keywordNotSupported(let text):
      "\(shown(text)): known to fio, not supported here yet; a variable of the environment is ${NAME}"
    case .variableNotSet(let name): "${\(shown(name))}: is not set in the environment"
    }
  }
}

extension ValueProblem: CustomStringConvertible {
  package var description: String {
    switch self {
    case .missing: "a value is missing"
    case .notANumber: "not a number"
    case .unknownSuffix(let suffix, let allowed): "unknown suffix '\(shown(suffix))' (\(allowed))"
    case .outOfRange(let minimum, .max): "must be at least \(minimum)"
    case .outOfRange(let minimum, let maximum): "must be from \(minimum) to \(maximum)"
    case .percentageNotSupported: "a percentage has no meaning here; give bytes"
    case .perDirectionNotSupported: "one value is wanted, for all directions"
    case .tooManyDirections: "there are three directions at most: reads, writes and trims"
    case .malformedRange(let text): "'\(shown(text))' is no range of bytes, as 4k-64k"
    case .malformedSplit(let text):
      "'\(shown(text))' is no list of sizes with shares that sum to 100, as 4k/60:64k/40"
    case .malformedDistribution(let text):
      "'\(shown(text))' is none of random, zipf:1.1 (not 1), pareto:0.2, normal:20, zoned:60/10:40/90, "
        + "zoned_abs:60/1m:40/9m (shares that sum to 100) or hotspot:90/10"
    case .outOfRealRange(let range): "must be from \(range.lowerBound) to \(range.upperBound)"
    case .notBoolean: "must be 0 or 1"
    case .notOneOf(let names, let nearest):
      "must be one of \(names.joined(separator: ", "))" + (nearest.map { "; did you mean \($0)?" } ?? "")
    case .emptyName: "a name is empty"
    case .repeatedName(let name): "'\(shown(name))' is named twice"
    case .malformedWeight(let text): "'\(shown(text))' is not OPERATION:WEIGHT, with a weight from 0 to 1000000"
    case .unknownOperation(let name, let allowed, let nearest):
      "unknown operation '\(shown(name))' (one of \(allowed.joined(separator: ", ")))"
        + (nearest.map { "; did you mean \($0)?" } ?? "")
    case .repeatedOperation(let name): "operation '\(shown(name))' is given twice"
    case .noWeight: "no operation has a weight above 0"
    case .knownToFioOnly(let names): "known to fio, not supported here; one of \(names.joined(separator: ", ")) is"
    case .notAPercentile: "must be above 0, and 100 at most"
    case .rangeOfTimes: "fio draws a time from a range; here one time is wanted"
    case .malformedSteadiness: "is no measure with a limit, as iops:5% or bw_slope:0.1%"
    case .malformedPattern: "is no pattern of 1 to 4096 bytes, as 0xdeadbeef%o\"text\"12"
    }
  }
}

extension Contradiction: CustomStringConvertible {
  package var description: String {
    switch self {
    case .needs(let option, let reason): "needs \(option): \(reason)"
    case .onlyWithTarget(let target): "has a meaning only with target=\(target)"
    case .excludes(let option): "cannot be given together with \(option)"
    case .engineCannotHoldVolume(let engine): "\(engine) keeps nothing, so no volume can live on it"
    case .sizeBelowBlock(let share, let blockSize):
      "each file gets \(share) bytes of size, less than one block of \(blockSize)"
    case .blockNotSectorMultiple(let blockSize): "\(blockSize) is not a multiple of 512, as a device needs"
    case .notAFileName(let name):
      "'\(shown(name))' is not a file name of the volume's root directory (1 to 255 bytes, no '/')"
    case .exceeds(let option, let limit): "must not exceed \(option), which is \(limit)"
    case .engineKeepsNothing(let engine): "\(engine) keeps nothing that could be compared"
    case .patternOfDevices(let pattern): "\(pattern) is for devices; files have read, write, their mixes, and fs_ops"
    case .namesAreShared:
      "create, unlink and rename need files of each copy's own: nrfiles in the place of filename"
    case .notInLogs(let pattern): "fio's logs have no word for \(pattern)"
    case .notPowerOfTwo(let number): "\(number) is no power of two"
    case .differsFromJob(let name): "differs from that of job \(shown(name)), and one run has one of it"
    }
  }
}

extension Contradiction.Reason: CustomStringConvertible {
  package var description: String {
    switch self {
    case .steadyStateHasNoWindow: "rates are judged over a window of at least a second"
    case .timeBasedHasNoEnd: "a time-based job would never end"
    case .scratchImageMustHoldIt: "the scratch image must be made big enough for it"
    case .deviceHasNoFile: "a libaio device is a file"
    case .filesMustBeSized: "files that are written must have a size"
    case .onlyForReplay: "it says how a log is replayed"
    case .verifyHasNoMethod: "without it nothing is compared"
    case .flushesHaveNoSize: "flushes have no bytes that could be done"
    case .verifiedAmountIsUnknown: "how far an earlier run came in its time is known from its state alone"
    case .verifyOrderIsUnknown: "in which order the operations of an earlier run began is known from its state alone"
    case .verifiedSeedIsUnknown: "where an earlier run wrote follows from its seed, or is in its state"
    case .verifyHasNoPattern: "what blocks are filled with has to be said"
    case .onlyVerifiedIsTrimmed: "what is trimmed are blocks that are verified"
    case .engineHasNoSize(let engine): "a device of ioengine=\(engine) has no size of its own"
    }
  }
}
