package import DeviceLayers

/// The arguments of `blkdev-run run`, read but not yet joined with the job files they name.
///
///     [OPTION]… JOBFILE…                     options override every section of every file
///     [OPTION]… --name=J [OPTION]… [--name=K …]   options before the first --name are defaults of all these jobs
///
/// An option is `--key=value` or `--key value`; a boolean alone means 1. `--` ends the options.
package struct RunArguments: Sendable, Equatable {
  package var options = RunOptions()
  /// Print the help, or the version, and nothing else.
  package var wantsHelp = false
  package var wantsVersion = false
  /// Print the help of this option, or of all when it is empty, and nothing else.
  package var helpTopic: String?
  /// Print the jobs as they are understood, or as a command, and nothing else.
  package var wantsJobs = false
  package var wantsCommand = false
  /// The presets to run, before any job file.
  package var presets: [Preset] = []
  /// The job files to read, in the order given.
  package var jobFiles: [String] = []
  /// Options before the first `--name`.
  package var common: [JobSetting] = []
  /// One list of options for each `--name`, which is the first of them.
  package var jobs: [[JobSetting]] = []
  /// The options that describe the layers around each device, in their order. They name files, which are the caller's to
  /// read: `options.stack` comes from them.
  package var layers: [StackSetting] = []

  /// Reads the arguments, without the program's name and the verb.
  ///
  /// - Throws: `unknownOption`, `knownToFioOnly` or `badValue`, each at `SourceLocation.commandLine`.
  package init(_ arguments: [String]) throws(JobError) {
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      if argument == "--" {
        jobFiles += rest
        return
      }
      if argument == "-h" {
        wantsHelp = true
        continue
      }
      guard argument.hasPrefix("-"), argument != "-" else {
        jobFiles.append(argument)
        continue
      }
      guard argument.hasPrefix("--") else {
        throw Self.misspelt(argument)
      }
      let body = argument.dropFirst(2)
      let sign = body.firstIndex(of: "=")
      let key = String(sign.map { body[..<$0] } ?? body)
      var value = sign.map { String(body[body.index(after: $0)...]) }
      if value == nil { value = Self.takeValue(of: key, from: &rest) }
      try take(key, value)
    }
  }

  /// The argument behind `--key`, if it is the option's value. What begins with two dashes is an option; a boolean takes
  /// only what could be its value, so that a job file may follow it.
  private static func takeValue(of key: String, from rest: inout ArraySlice<String>) -> String? {
    guard let next = rest.first, !next.hasPrefix("--") else { return nil }
    if let option = StackOption(rawValue: key) {
      return option.valueName == nil || option.valueIsOptional ? nil : rest.removeFirst()
    }
    if key == Preset.option { return rest.removeFirst() }
    let kind = RunOptions.Flag(rawValue: key)?.kind ?? JobOption.named(key)?.kind
    switch kind {
    case nil: return nil
    case .boolean where next != "0" && next != "1": return nil
    default: return rest.removeFirst()
    }
  }

  /// What is wrong with an argument of one dash: an option that needs two, perhaps misspelt.
  private static func misspelt(_ argument: String) -> JobError {
    let body = argument.dropFirst()
    let key = String(body.prefix { $0 != "=" })
    let isKnown = JobOption.named(key) != nil || otherNames.contains(key)
    let names = JobOption.all.flatMap { [$0.name.rawValue] + $0.aliases } + otherNames
    let nearest = isKnown ? String(body) : nearestName(to: key, among: names)
    return .unknownOption(argument, nearest: nearest.map { "--" + $0 }, at: .commandLine)
  }

  /// Names that are options beside a job's.
  private static let otherNames =
    RunOptions.Flag.allCases.map(\.rawValue) + StackOption.allCases.map(\.rawValue)
    + [Preset.option, "help", "version", "cmdhelp", "parse-only", "showcmd"]

  private mutating func take(_ key: String, _ text: String?) throws(JobError) {
    if key == "help" {
      wantsHelp = true
    } else if key == "version" {
      wantsVersion = true
    } else if key == "cmdhelp" {
      helpTopic = text == "all" ? "" : text ?? ""
    } else if key == "parse-only" {
      wantsJobs = true
    } else if key == "showcmd" {
      wantsCommand = true
    } else if key == Preset.option {
      let names = Preset.allCases.map(\.rawValue)
      do throws(ValueProblem) {
        guard case .text(let name) = try JobOption.Kind.choice(names).parse(text), let preset = Preset(rawValue: name)
        else { preconditionFailure("a choice is one of the presets") }
        presets.append(preset)
      } catch { throw .badValue(option: key, value: text ?? "", error, at: .commandLine) }
    } else if let option = StackOption(rawValue: key) {
      layers.append(StackSetting(option, text))
    } else if let flag = RunOptions.Flag(rawValue: key) {
      do throws(ValueProblem) {
        try options.set(flag, to: flag.kind.parse(text))
      } catch {
        throw .badValue(option: key, value: text ?? "", error, at: .commandLine)
      }
    } else if FioOptionNames.commandLine.contains(key) {
      throw .knownToFioOnly(key, at: .commandLine)
    } else {
      let setting = try JobSetting(key, text, at: .commandLine, others: Self.otherNames)
      if setting.name == .name {
        jobs.append([setting])
      } else if jobs.isEmpty {
        common.append(setting)
      } else {
        jobs[jobs.count - 1].append(setting)
      }
    }
  }
}

/// What holds for a run as a whole and is no property of a job.
package struct RunOptions: Sendable, Equatable {
  /// The shape of a report. As in fio, several are written in this order.
  package enum OutputFormat: String, CaseIterable, Sendable {
    case terse, csv, json
    /// With the whole histograms.
    case jsonPlus = "json+"
    case normal
  }

  package var outputFormats: Set<OutputFormat> = [.normal]
  /// Which of fio's terse formats.
  package var terseVersion = 3
  /// While the run goes on, a report each time, in nanoseconds; nil: none.
  package var statusInterval: UInt64?
  /// The report of an earlier run, to compare with.
  package var comparePath: String?
  /// How much slower is a regression, in millionths of a percent.
  package var compareBound = Comparison.usualBound
  /// The file that takes the report; nil for stdout.
  package var outputPath: String?
  /// The folder of verify states; nil: the current one.
  package var auxiliaryPath: String?
  /// The file that takes Chrome trace events; nil: nobody wants them.
  package var tracePath: String?
  /// When the progress is shown.
  package enum Eta: String, CaseIterable, Sendable { case auto, always, never }
  package var eta = Eta.auto
  /// Keep the scratch image.
  package var keepsImage = false
  /// For experiments: dispatch a write batch without comparing its validity cookie. Loses data.
  package var ignoresCookie = false
  /// The file that takes the report as a page with pictures; nil for none.
  package var htmlPath: String?
  /// The layers around each device of the run.
  package var stack = StackDescription()

  /// Whether the report is a JSON document.
  package var hasJSON: Bool { outputFormats.contains(.json) || outputFormats.contains(.jsonPlus) }

  /// The options beside a job's. They stand on the command line only.
  package enum Flag: String, CaseIterable, Sendable {
    case outputFormat = "output-format"
    case minimal
    case terseVersion = "terse-version"
    case output
    case html
    case auxPath = "aux-path"
    case statusInterval = "status-interval"
    case compare
    case compareBound = "compare-bound"
    case trace
    case eta
    case keep
    case unsafeIgnoreCookie = "unsafe-ignore-cookie"

    /// How its value is read.
    package var kind: JobOption.Kind {
      switch self {
      case .outputFormat: .words(OutputFormat.allCases.map(\.rawValue))
      case .terseVersion: .integer(2...5)
      case .output, .html, .auxPath, .compare, .trace: .text
      case .statusInterval: .duration
      case .eta: .choice(Eta.allCases.map(\.rawValue))
      case .compareBound: .percentages(count: 1)
      case .minimal, .keep, .unsafeIgnoreCookie: .boolean
      }
    }

    /// What stands behind `=` in the help; nil for a boolean.
    package var unit: String? {
      switch self {
      case .output, .html, .compare, .trace: "FILE"
      case .auxPath: "FOLDER"
      default: kind == .boolean ? nil : kind.unit
      }
    }

    /// What the help says.
    package var help: String {
      switch self {
      case .outputFormat:
        "shapes of the report (default normal): fio's, and csv, a line for each job and operation; json is one document on "
          + "stdout and nothing else, json+ has the histograms too"
      case .minimal: "the same as --output-format=terse"
      case .terseVersion: "which of fio's terse formats (default 3)"
      case .output: "write the report to this file"
      case .html: "write the report to this file too, as a page with pictures that needs nothing else"
      case .auxPath: "the folder of verify states (default the current one)"
      case .statusInterval: "while the run goes on, write a report so often; of json each is one line then"
      case .compare: "compare with the JSON report of an earlier run; exit code 6 when this one is slower"
      case .compareBound: "how much slower is a regression, in percent (default 5)"
      case .trace: "write Chrome trace events of requests, batches and waits to this file, for Perfetto"
      case .eta: "the line of progress on stderr: auto, when that is a terminal, always, or never (default auto)"
      case .keep: "keep the scratch image"
      case .unsafeIgnoreCookie: "for experiments: write stale batches too; this loses data"
      }
    }
  }

  mutating func set(_ flag: Flag, to value: OptionValue) {
    switch (flag, value) {
    case (.outputFormat, .names(let names)): outputFormats = Set(names.compactMap(OutputFormat.init))
    case (.minimal, .flag(let on)): if on { outputFormats = [.terse] }
    case (.terseVersion, .number(let number)): terseVersion = Int(number)
    case (.output, .text(let text)): outputPath = text
    case (.html, .text(let text)): htmlPath = text
    case (.auxPath, .text(let text)): auxiliaryPath = text
    case (.statusInterval, .number(let nanoseconds)): statusInterval = nanoseconds == 0 ? nil : nanoseconds
    case (.compare, .text(let text)): comparePath = text
    case (.compareBound, .list(let list)): compareBound = (list.first ?? nil) ?? compareBound
    case (.trace, .text(let text)): tracePath = text
    case (.eta, .text(let text)): eta = Eta(rawValue: text) ?? eta
    case (.keep, .flag(let on)): keepsImage = on
    case (.unsafeIgnoreCookie, .flag(let on)): ignoresCookie = on
    default: preconditionFailure("a flag's value is of its kind")
    }
  }
}
