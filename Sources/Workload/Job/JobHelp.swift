internal import DeviceLayers

/// The help of `run`, made from the tables that also drive parsing.
package enum JobHelp {
  /// The whole text, with lines of at most 100 columns, ending with a newline.
  package static var text: String {
    var text = """
      usage: blkdev-run [run] [OPTION]… JOBFILE…
             blkdev-run [run] [OPTION]… --name=JOB [OPTION]… [--name=JOB [OPTION]…]…
             blkdev-run fs IMAGE VERB …     (look at and change files of an image; blkdev-run fs help)
             blkdev-run replay LOG IMAGE    (a log of writes; has its own --help)
             blkdev-run explore [OPTION]…   (a volume in simulation, seed by seed; has its own --help)

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
      let unit = flag.kind == .boolean ? "" : "=" + (flag == .output || flag == .trace ? "FILE" : flag.kind.unit)
      text += entry("--\(flag.rawValue)\(unit)", flag.help)
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
      judge failed; 5 environment; 130 interrupted.

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
