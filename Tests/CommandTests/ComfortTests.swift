import Support
import Testing
import Workload

@Suite("Completions and the manual")
struct ComfortTests {
  private func output(_ arguments: String...) throws -> String {
    let command = try Command()
    try command.start(arguments)
    #expect(try command.exitCode() == 0, "\(command.errors)")
    return try command.output()
  }

  @Test("bash completes options, their values, verbs and the options of verbs", arguments: ["bash", "zsh"])
  func bash(shell: String) throws {
    let all = try output("completions", shell)
    // The part that is bash's.
    let script = all.split(separator: "\n").filter { !$0.hasPrefix("autoload") }.joined(separator: "\n")
    #expect(shell == "bash" || all.hasPrefix("autoload -U +X bashcompinit"))
    let program =
      script + """

        try() {
          COMP_WORDS=("$@")
          COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
          _blkdev_run
          echo "${COMPREPLY[*]:0:3}"
        }
        try blkdev-run --rw = randr
        try blkdev-run --rw =
        try blkdev-run --bss
        try blkdev-run sw
        try blkdev-run mkfs --lab
        try blkdev-run crash --work
        """
    let bash = try #require(ExternalTool("bash"))
    let outcome = try #require(bash.run(["-c", program]))
    #expect(
      outcome.output == "randread randrw\nread write trim\n--bssplit=\nsweep\n--label=\n--workload=\n",
      "\(outcome.output)")
  }

  @Test("fish completes every option of a job")
  func fish() throws {
    let script = try output("completions", "fish")
    for option in JobOption.all { #expect(script.contains(" -l \(option.name.rawValue) ")) }
    #expect(script.contains("__fish_seen_subcommand_from mkfs"))
  }

  static let verbs = [
    "", "mkfs", "check", "fs", "replay", "explore", "crash", "sweep", "compare", "completions", "manual",
  ]

  @Test("the help of each verb is the golden one", arguments: verbs)
  func help(_ verb: String) throws {
    let command = try Command()
    try command.start((verb.isEmpty ? [] : [verb]) + ["--help"], environment: ["COLUMNS=80"])
    #expect(try command.exitCode() == 0, "\(command.errors)")
    let text = try command.output()
    #expect(try text == GoldenFile.text("help" + (verb.isEmpty ? "" : "-\(verb)"), now: text))
  }

  @Test("the help of options names every verb, and so does the first screen")
  func verbsInHelp() throws {
    let all = try output("--cmdhelp"), screen = try output("--help").replacing("\n", with: " ")
    for verb in Self.verbs.dropFirst() {
      #expect(all.contains("\n  \(verb) "), "\(verb)")
      #expect(screen.firstRange(of: " \(verb)") != nil, "\(verb)")
    }
  }

  @Test("the manual has every option and every verb, in ASCII")
  func manual() throws {
    let page = try output("manual")
    for option in JobOption.all {
      #expect(page.contains("\\fB\\-\\-\(option.name.rawValue.replacing("-", with: "\\-"))\\fR="))
    }
    for verb in ["mkfs", "check", "fs", "replay", "explore", "crash", "sweep", "compare"] {
      #expect(page.contains("\n.SS blkdev\\-run \(verb)"))
    }
    #expect(page.utf8.allSatisfy { $0 == 10 || (32..<127).contains($0) })
  }
}
