internal import ArgumentParser
internal import SystemPackage
internal import Workload

/// `blkdev-run manual`: the manual page, made from the tables that drive parsing.
struct ManualVerb: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "manual", abstract: "Print the manual page: blkdev-run manual >blkdev-run.1; man ./blkdev-run.1")

  func run() throws { print(Self.page(CommandTable()), to: .standardOutput, terminator: "") }

  /// The page in man(7)'s language.
  static func page(_ table: CommandTable) -> String {
    var lines = [
      ".TH BLKDEV\\-RUN 1 \"\" \"blkdev \(Version.current)\" \"User Commands\"",
      ".SH NAME", "blkdev\\-run \\- run workloads on block devices and on ext2 volumes, and judge what is left",
      ".SH SYNOPSIS",
      ".nf", "blkdev\\-run [OPTION]... JOBFILE...", "blkdev\\-run [OPTION]... \\-\\-name=JOB [OPTION]...",
      "blkdev\\-run VERB ...", ".fi",
      ".SH DESCRIPTION",
    ]
    lines += paragraph(
      "Without a verb it runs jobs in fio's language, on a raw device or on files of a volume. An option is --key=value or "
        + "--key value; a boolean alone means 1. Sizes take the suffixes k, m, g and t, which are powers of 1024, times us, ms, "
        + "s, m, h and d. Options on the command line override every section of the job files; before a --name they are "
        + "defaults of the jobs that follow.")
    lines.append(".SH OPTIONS OF A JOB")
    lines += table.jobOptions.flatMap(entry)
    lines.append(".SH OPTIONS OF A RUN")
    lines += table.runOptions.flatMap(entry)
    lines.append(".SH LAYERS AROUND A DEVICE")
    lines += table.layerOptions.flatMap(entry)
    lines.append(".SH VERBS")
    for verb in table.verbs where verb.name != "run" {
      lines.append(".SS " + escaped("blkdev-run \(([verb.name] + verb.operands).joined(separator: " "))"))
      lines += paragraph(verb.abstract)
      lines += verb.options.flatMap(entry)
    }
    lines += [
      ".SH EXIT STATUS", ".TP", "0", "all held", ".TP", "1", "an I/O or job error", ".TP", "2", "wrong usage", ".TP",
      "3",
      "contents are not what was written", ".TP", "4", "an invariant or a judge failed", ".TP", "5",
      "the machine lacks something", ".TP", "6", "slower than what it is compared with", ".TP", "130", "interrupted",
      ".SH SEE ALSO", "fio(1), e2fsck(8), mke2fs(8)",
    ]
    return lines.joined(separator: "\n") + "\n"
  }

  private static func entry(_ option: CommandTable.Option) -> [String] {
    let head = option.spellings.map { "\\fB" + escaped($0) + "\\fR" }.joined(separator: ", ")
    let value = option.value.map { (option.spellings.last?.hasPrefix("--") == true ? "=" : " ") + escaped($0) } ?? ""
    return [".TP", head + value] + paragraph(option.help.isEmpty ? "See its \\-\\-help." : option.help)
  }

  private static func paragraph(_ text: String) -> [String] {
    text.split(separator: "\n").map { line in
      let escaped = escaped(String(line))
      // What begins with these would be a request.
      return escaped.hasPrefix(".") || escaped.hasPrefix("'") ? "\\&" + escaped : escaped
    }
  }

  private static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\e"
      case "-": result += "\\-"
      case _ where scalar.value > 126:
        let digits = String(scalar.value, radix: 16, uppercase: true)
        result += "\\[u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits + "]"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
