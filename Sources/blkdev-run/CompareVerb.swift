internal import ArgumentParser
internal import SystemPackage
internal import Workload

/// `blkdev-run compare`: the report of one run beside that of another.
struct CompareVerb: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare", abstract: "Compare two reports in JSON, ours or fio's.",
    discussion: """
      Prints ratios of bandwidth, IOPS and completion latencies by job and operation, and where a report has several
      samples, the interval in which the ratio lies at 95%: several runs in one file, lines of --status-interval, or the
      histograms of json+. Ends with 6 when a figure is slower than the bound allows with all of its interval.
      """)

  @Argument(help: "The report to compare with.") var base: String
  @Argument(help: "The report to judge.") var now: String
  @Option(help: "How much slower is a regression, in percent.") var compareBound = "5"
  @Option(help: "Seed of what is drawn for the intervals.") var seed: UInt64 = 1
  @Option(help: "What is printed: lines for people, or one JSON document.") var outputFormat = LabFormat.normal

  func run() throws {
    guard case .list(let list) = try? JobOption.Kind.percentages(count: 1).parse(compareBound),
      let bound = list.first ?? nil
    else {
      throw ValidationError("--compare-bound: '\(compareBound)': must be a percentage above 0, at most 100")
    }
    let comparison = Comparison(base: try readReport(base), now: try readReport(now), bound: bound, seed: seed)
    let text =
      switch outputFormat {
      case .normal: comparison.lines.joined(separator: "\n")
      case .json: comparison.document.text()
      }
    guard print(text, to: .standardOutput) else { throw ArgumentParser.ExitCode(1) }
    if comparison.rows.isEmpty { throw ArgumentParser.ExitCode(Workload.ExitCode.usage.rawValue) }
    if comparison.hasRegression { throw ArgumentParser.ExitCode(Workload.ExitCode.regression.rawValue) }
  }
}
