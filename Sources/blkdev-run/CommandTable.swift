internal import ArgumentParser
internal import DeviceLayers
internal import Workload

/// All that may be typed behind `blkdev-run`, for the manual and for shells: from the tables that drive parsing.
struct CommandTable {
  struct Option {
    /// `--size`, `-b`.
    var spellings: [String]
    /// What stands behind it; nil where nothing does.
    var value: String?
    /// The words that may stand there, where they are few.
    var choices: [String] = []
    var help: String
  }
  struct Verb {
    var name: String
    var abstract: String
    var options: [Option]
    /// Behind the options, as a usage line has them.
    var operands: [String]
  }

  /// Options of `run`, in the parts that the help has.
  let jobOptions: [Option]
  let runOptions: [Option]
  let layerOptions: [Option]
  let verbs: [Verb]

  init() {
    jobOptions = JobOption.all.map { option in
      var help = option.help
      if let usual = option.defaultText { help += " (default \(usual))" }
      return Option(
        spellings: ["--\(option.name.rawValue)"], value: option.kind.unit, choices: option.kind.choices, help: help)
    }
    runOptions =
      RunOptions.Flag.allCases.map { flag in
        Option(spellings: ["--\(flag.rawValue)"], value: flag.unit, choices: flag.kind.choices, help: flag.help)
      } + [
        Option(
          spellings: ["--\(Preset.option)"], value: "NAME", choices: Preset.allCases.map(\.rawValue),
          help: "run a job file that comes with the program"),
        Option(spellings: ["--cmdhelp"], value: "OPTION", help: "print what an option does, or what all do"),
        Option(spellings: ["--parse-only"], help: "print the jobs with every option, and run nothing"),
        Option(spellings: ["--showcmd"], help: "print the jobs as a command, and run nothing"),
        Option(spellings: ["--help"], help: "print how to begin"),
        Option(spellings: ["--version"], help: "print the version"),
      ]
    layerOptions = StackOption.allCases.map { option in
      Option(spellings: ["--\(option.rawValue)"], value: option.valueName, help: option.help)
    }
    verbs = Self.verbs(in: BlkdevRun._dumpHelp())
  }

  /// The verbs that the argument parser knows, by its own description of them; `run` and its like have their own.
  private static func verbs(in dump: String) -> [Verb] {
    guard let document = try? JSONValue.documents(in: dump).first,
      case .array(let commands)? = document["command"]?["subcommands"]
    else { return [] }
    return commands.compactMap { command in
      guard let name = command["commandName"]?.string, name != "help" else { return nil }
      var verb = Verb(name: name, abstract: command["abstract"]?.string ?? "", options: [], operands: [])
      if case .array(let arguments)? = command["arguments"] {
        for argument in arguments where !argument.isHidden { verb.add(argument) }
      }
      return verb
    }
  }
}

extension CommandTable.Verb {
  /// Takes in an argument as the parser describes it.
  fileprivate mutating func add(_ argument: JSONValue) {
    let value = argument["valueName"]?.string
    guard argument["kind"]?.string != "positional" else {
      operands.append((value ?? "ARGUMENT").uppercased())
      return
    }
    var spellings: [String] = []
    if case .array(let names)? = argument["names"] {
      for name in names {
        if let text = name["name"]?.string { spellings.append((name["kind"]?.string == "short" ? "-" : "--") + text) }
      }
    }
    let isFlag = argument["kind"]?.string == "flag"
    options.append(
      .init(
        spellings: spellings, value: isFlag ? nil : (value ?? "VALUE").uppercased(),
        help: argument["abstract"]?.string ?? ""))
  }
}

extension JSONValue {
  fileprivate var isHidden: Bool { if case .boolean(false)? = self["shouldDisplay"] { true } else { false } }
  fileprivate var string: String? { if case .string(let text) = self { text } else { nil } }
}

extension JobOption.Kind {
  /// The words that may be the value, where they are few.
  fileprivate var choices: [String] {
    switch self {
    case .boolean: ["0", "1"]
    case .choice(let names), .words(let names): names
    case .pattern: AccessPattern.allCases.map(\.rawValue)
    case .verification: VerifyMethod.allCases.map(\.rawValue)
    default: []
    }
  }
}
