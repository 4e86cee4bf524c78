internal import DeviceLayers

/// The help of `run`, made from the tables that also drive parsing.
package enum JobHelp {
  /// What fits on a screen of 24 lines: how to begin, and where there is more.
  package static let screen = """
    usage: blkdev-run [OPTION]... JOBFILE...             fio's job files and options
           blkdev-run [OPTION]... --name=JOB [OPTION]... the same without a file
           blkdev-run VERB ...

    Three to begin with:
      # a file as a raw device; files of an ext2 volume; every power cut, judged
      blkdev-run --name=a --filename=disk.img --size=256m --rw=randwrite --iodepth=8
      blkdev-run --name=a --target=fs --fs_ops=append:4,truncate:1,fsync:1 --size=4m
      blkdev-run crash --workload=seq1

    Verbs, each with its own --help: run (the default), mkfs, check, fs, replay,
    compare, crash, explore, sweep, completions, manual.

      --cmdhelp[=OPTION]   the options of jobs and of the run, or one of them
      --parse-only         print the jobs with every option, and run nothing
      --showcmd            print the jobs as a command, and run nothing
      --output-format=F    normal, json and more; --html=FILE: a page with pictures
      --version            the version

    Exit codes: 0 all held; 1 I/O or job error; 2 usage; 3 mismatch; 4 a judge
    failed; 5 environment; 6 slower than --compare allows; 130 interrupted.

    """

  /// The help of one option; nil when there is none of that name.
  package static func text(of name: String) -> String? {
    if let option = JobOption.named(name) {
      var text = entry("--\(option.name.rawValue)=\(option.kind.unit)", option.help)
      if let usual = option.defaultText { text += "  default: \(usual)\n" }
      if !option.aliases.isEmpty { text += "  other names: \(option.aliases.joined(separator: ", "))\n" }
      return text
    }
    if let option = StackOption(rawValue: name) { return entry("--\(option.rawValue)", option.help) }
    return RunOptions.Flag(rawValue: name).map { entry("--\($0.rawValue)", $0.help) }
  }

  /// Why there is no help of an option.
  package static func problem(with name: String) -> String {
    FioOptionNames.all.contains(name) || FioOptionNames.commandLine.contains(name)
      ? "known to fio, not supported here" : "no option is named so; --cmdhelp lists all"
  }

  /// All options, with lines of at most 100 columns, ending with a newline.
  package static var text: String {
    var text = """
      usage: blkdev-run [run] [OPTION]… JOBFILE…
             blkdev-run [run] [OPTION]… --name=JOB [OPTION]… [--name=JOB [OPTION]…]…
             blkdev-run VERB …

      Verbs, each with its own --help:
        mkfs [OPTION]… IMAGE    make a volume
        check [OPTION]… IMAGE   check a volume, or mend it
        fs IMAGE VERB …         look at and change the files of an image
        replay LOG IMAGE        replay a log of writes onto an image
        compare A B             compare two reports in JSON
        crash [OPTION]…         cut the power of a workload everywhere, and judge what is left
        explore [OPTION]…       run a volume in simulation under every schedule, or by seed
        sweep [OPTION]…         let each request of every operation fail in turn
        completions SHELL       print a script of completions
        manual                  print the manual page

      An option is --key=value or --key value; a boolean alone means 1. Job files are fio's: sections, and
      the same options as key=value. Options on the command line override every section of the job files
      (fio drops them there). Before a --name they are defaults of the jobs that follow.
      Sizes take the suffixes k, m, g and t, times us, ms, s, m, h and d. Suffixes of sizes are powers of
      1024, also as kb and kib (which fio reads as 1000).

      Options of a job:

      """
    for option in JobOption.all {
      var help = option.help
      if let usual = option.defaultText { help += " (default \(usual))" }
      text += entry("--\(option.name.rawValue)=\(option.kind.unit)", help)
    }
    text += "\nOptions of the run:\n"
    text += entry(
      "--\(Preset.option)=\(Preset.allCases.map(\.rawValue).joined(separator: "|"))",
      "run a job file that comes with the program, as tools/jobs has it; other options override it")
    for flag in RunOptions.Flag.allCases {
      text += entry("--\(flag.rawValue)\(flag.unit.map { "=" + $0 } ?? "")", flag.help)
    }
    text += "\nThe layers around each device, in this order below its queue: strict, faults, cache, latency, log:\n"
    for option in StackOption.allCases {
      let value = option.valueName.map { option.valueIsOptional ? "[=\($0)]" : "=\($0)" } ?? ""
      text += entry("--\(option.rawValue)\(value)", option.help)
    }
    text += "\n"
    text += entry("--help", "print this")
    text += entry("--version", "print the version")
    text += """

      Exit codes: 0 all held; 1 I/O or job error; 2 usage; 3 verification mismatch; 4 an invariant or a
      judge failed; 5 environment; 6 slower than --compare allows; 130 interrupted.

      """
    return text
  }

  private static func entry(_ head: String, _ help: String) -> String {
    let indent = String(repeating: " ", count: 8)
    var lines = ["  " + head]
    var line = indent
    for word in help.split(separator: " ") {
      if line.count + word.count > 99, line != indent {
        lines.append(line)
        line = indent
      }
      line += (line == indent ? "" : " ") + word
    }
    lines.append(line)
    return lines.joined(separator: "\n") + "\n"
  }
}
