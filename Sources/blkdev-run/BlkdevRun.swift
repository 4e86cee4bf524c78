// The command: parse, call, print. One file a verb; `run` is meant when no verb is given.
internal import ArgumentParser
internal import Glibc
internal import SystemPackage

struct BlkdevRun: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "blkdev-run",
    abstract: "Runs workloads on block devices and on ext2 volumes, and judges what is left.",
    subcommands: [
      RunVerb.self, MkfsVerb.self, CheckVerb.self, FSVerb.self, ReplayVerb.self, ExploreVerb.self, CrashVerb.self,
      SweepVerb.self, CompareVerb.self, CompletionsVerb.self, ManualVerb.self,
    ],
    defaultSubcommand: RunVerb.self)

  /// Runs the command with these arguments, without the program's name, and returns its exit status.
  static func status(of arguments: [String]) -> Int32 {
    do {
      try runCommand(arguments)
      return 0
    } catch {
      return report(error)
    }
  }

  /// Job files and options without a verb, `--help` among them, belong to `run`.
  private static func runCommand(_ arguments: [String]) throws {
    // The parser has no help for verbs whose options it does not know.
    let isOurs = arguments.count == 2 && arguments[0] == "help" && ["run", "fs"].contains(arguments[1])
    let arguments = isOurs ? [arguments[1], "--help"] : arguments
    let first = arguments.first ?? ""
    let isVerb = first == "help" || configuration.subcommands.contains { verb in verb._commandName == first }
    let words = first == "check" || first == "mkfs" ? LayerOptions.completed(arguments) : arguments
    var command = try parseAsRoot(isVerb ? words : ["run"] + words)
    try command.run()
  }

  private static func report(_ error: any Error) -> Int32 {
    let status = exitCode(for: error).rawValue
    let message = fullMessage(for: error)
    if !message.isEmpty {
      print(message, to: status == 0 ? FileDescriptor.standardOutput : FileDescriptor.standardError)
    }
    // The parser's own number for wrong usage is 64.
    return status == EX_USAGE ? 2 : status
  }
}

@main
enum Program {
  static func main() {
    // Where the caller has closed a stream, the next file to be opened would take its number, and an image would be
    // written what is printed. What is printed to this one fails.
    for stream in 0...2 as ClosedRange<Int32> where fcntl(stream, F_GETFD) < 0 {
      _ = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
    }
    exit(BlkdevRun.status(of: Array(CommandLine.arguments.dropFirst())))
  }
}
