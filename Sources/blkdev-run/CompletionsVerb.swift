internal import ArgumentParser
internal import SystemPackage
internal import Workload

/// `blkdev-run completions`: a script that lets a shell complete options, their values and verbs.
struct CompletionsVerb: ParsableCommand {
  enum Shell: String, ExpressibleByArgument, CaseIterable { case bash, zsh, fish }
  static let configuration = CommandConfiguration(
    commandName: "completions",
    abstract: "Print a script of completions: source <(blkdev-run completions bash)")

  @Argument(help: "bash, zsh or fish") var shell: Shell

  func run() throws { print(Self.script(for: shell, CommandTable()), to: .standardOutput, terminator: "") }

  static func script(for shell: Shell, _ table: CommandTable) -> String {
    switch shell {
    case .bash: bash(table)
    case .zsh: "autoload -U +X bashcompinit && bashcompinit\n" + bash(table)
    case .fish: fish(table)
    }
  }

  private static func options(of table: CommandTable) -> [CommandTable.Option] {
    table.jobOptions + table.runOptions + table.layerOptions
  }

  private static func bash(_ table: CommandTable) -> String {
    func words(_ options: [CommandTable.Option]) -> String {
      options.flatMap { option in option.spellings.map { $0.hasPrefix("--") && option.value != nil ? $0 + "=" : $0 } }
        .joined(separator: " ")
    }
    var text = """
      # Completions of blkdev-run.
      _blkdev_run() {
        local word=${COMP_WORDS[COMP_CWORD]} option= words=
        # The shell takes what stands before and behind "=" for words of their own.
        if [[ $word == = ]]; then
          option=${COMP_WORDS[COMP_CWORD - 1]} word=
        elif ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then
          option=${COMP_WORDS[COMP_CWORD - 2]}
        fi
        case $option in

      """
    for option in options(of: table) where !option.choices.isEmpty {
      text += "  \(option.spellings[0])) words='\(option.choices.joined(separator: " "))' ;;\n"
    }
    text += "  '')\n    case ${COMP_WORDS[1]} in\n"
    for verb in table.verbs where verb.name != "run" {
      text += "    \(verb.name)) words='\(words(verb.options)) --help' ;;\n"
    }
    text += """
          *)
            words='\(words(options(of: table)))'
            ((COMP_CWORD == 1)) && words+=' \(table.verbs.map(\.name).joined(separator: " "))'
            ;;
          esac
          ;;
        esac
        COMPREPLY=($(compgen -W "$words" -- "$word"))
        # The value follows the "=".
        [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
        return 0
      }
      complete -o default -F _blkdev_run blkdev-run

      """
    return text
  }

  private static func fish(_ table: CommandTable) -> String {
    func quoted(_ text: String) -> String {
      "'" + text.replacing("\\", with: "\\\\").replacing("'", with: "\\'") + "'"
    }
    func line(_ option: CommandTable.Option, _ condition: String) -> String {
      var line = "complete -c blkdev-run -n \(quoted(condition))"
      for spelling in option.spellings {
        line += spelling.hasPrefix("--") ? " -l \(spelling.dropFirst(2))" : " -s \(spelling.dropFirst())"
      }
      if !option.choices.isEmpty {
        line += " -x -a \(quoted(option.choices.joined(separator: " ")))"
      } else if option.value != nil {
        line += " -r"
      }
      return line + " -d \(quoted(String(option.help.prefix(60))))"
    }
    let verbs = table.verbs.map(\.name).joined(separator: " ")
    var lines = ["# Completions of blkdev-run."]
    for verb in table.verbs {
      lines.append(
        "complete -c blkdev-run -n __fish_use_subcommand -a \(verb.name) -d \(quoted(String(verb.abstract.prefix(60))))"
      )
      lines += verb.options.map { line($0, "__fish_seen_subcommand_from \(verb.name)") }
    }
    lines += options(of: table).map { line($0, "not __fish_seen_subcommand_from \(verbs)") }
    return lines.joined(separator: "\n") + "\n"
  }
}
