// The command: parse, call, print. One file a verb; `run` is meant when no verb is given.
internal import ArgumentParser
internal import Glibc
internal import SystemPackage

struct BlkdevRun: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "blkdev-run",
    abstract: "Runs workloads on block devices and on ext2 volumes, and judges what is left.",
    subcommands: [RunVerb.self, ExploreVerb.self], defaultSubcommand: RunVerb.self)

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
    // The parser has no help for `run`, whose options it does not know.
    let arguments = arguments == ["help", "run"] ? ["run", "--help"] : arguments
    let first = arguments.first ?? ""
    let isVerb = first == "help" || configuration.subcommands.contains { verb in verb._commandName == first }
    var command = try parseAsRoot(isVerb ? arguments : ["run"] + arguments)
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
    openStandardDescriptors()
    exit(BlkdevRun.status(of: Array(CommandLine.arguments.dropFirst())))
  }

  /// Gives the descriptors 0 to 2 to /dev/null where whoever started us has closed them. The next file to be opened would
  /// get such a number: a report could go into an image.
  private static func openStandardDescriptors() {
    while true {
      let descriptor = unsafe open("/dev/null", O_RDWR)
      if descriptor > 2 { close(descriptor) }
      if descriptor > 2 || descriptor < 0 { return }
    }
  }
}
