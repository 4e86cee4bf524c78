internal import ArgumentParser
internal import CLinux
internal import SystemPackage
internal import Workload

/// Writes the reports of a run: those of `--status-interval` and of SIGUSR1 while it goes on, and the one at its end.
///
/// Whoever reads may be slow, and the run must not wait for that: what is noted is written by a task of its own.
final class ReportWriter: Sendable {
  private let plan: WorkloadPlan
  private let output: ReportFile
  private let snapshots: AsyncStream<StatusSnapshot>.Continuation
  /// What was written before the end.
  private struct Written {
    /// For the comparison, which takes its samples from them.
    var documents: [JSONValue] = []
    /// Whether the names of the columns stand there.
    var hasHeader = false
    /// Why something could not be written.
    var failure: Errno?
  }
  /// Writes what comes, and returns when no more does.
  private let writing: Task<Written, Never>

  init(_ plan: WorkloadPlan, _ output: ReportFile) {
    self.plan = plan
    self.output = output
    let (stream, continuation) = AsyncStream.makeStream(of: StatusSnapshot.self)
    snapshots = continuation
    writing = Task.detached {
      var written = Written()
      for await snapshot in stream {
        let report = snapshot.report(of: plan), stamp = Self.stamp(plan)
        if snapshot.isRequested {
          written.failure = written.failure ?? Self.answer(report, plan.options, stamp, output)
          continue
        }
        let text = Self.text(report, plan.options, stamp, isInterim: true, hasHeader: !written.hasHeader)
        written.hasHeader = true
        do throws(Errno) { try output.write(text) } catch { written.failure = written.failure ?? error }
        if plan.options.comparePath != nil {
          written.documents.append(JSONReport.document(report, stamp, .init(isInterim: true)))
        }
      }
      return written
    }
  }

  /// Writes what somebody asked for: a line among the documents, or the jobs to the standard error. Returns why it could not
  /// be written.
  private static func answer(
    _ report: RunReport, _ options: RunOptions, _ stamp: ReportStamp, _ output: ReportFile
  ) -> Errno? {
    guard options.hasJSON else {
      print(NormalReport.status(report), to: .standardError, terminator: "")
      return nil
    }
    let style = JSONReport.Style(hasBins: options.outputFormats.contains(.jsonPlus), isLine: true, isInterim: true)
    do throws(Errno) { try output.write(JSONReport.text(report, stamp, style)) } catch { return error }
    return nil
  }

  /// Where they go, for messages.
  var name: String { output.name }

  /// Notes what was done so far.
  func note(_ snapshot: StatusSnapshot) { snapshots.yield(snapshot) }

  /// Compares the report with that of an earlier run, if there is one, and writes it. Throws why something could not be
  /// written.
  func finish(_ report: inout RunReport, base: [JSONValue]?) async throws(Errno) {
    snapshots.finish()
    let before = await writing.value
    let stamp = Self.stamp(plan)
    if let base {
      let now = before.documents + [JSONReport.document(report, stamp, .init(hasBins: true))]
      report.comparison = Comparison(base: base, now: now, bound: plan.options.compareBound)
      if !plan.options.outputFormats.contains(.normal), !plan.options.hasJSON {
        for line in report.comparison?.lines ?? [] { print(line, to: .standardError) }
      }
    }
    try output.write(Self.text(report, plan.options, stamp, isInterim: false, hasHeader: !before.hasHeader))
    if let failure = before.failure { throw failure }
  }

  /// Writes the report of a run that has none.
  func finish(_ error: RunError) async {
    snapshots.finish()
    _ = await writing.value
    guard plan.options.hasJSON else { return }
    let style = JSONReport.Style(isLine: plan.options.statusInterval != nil)
    // What went wrong stands on the standard error in any case.
    try? output.write(JSONReport.text(error, of: plan, Self.stamp(plan), style))
  }

  /// Every format that was asked for, one behind the other.
  private static func text(
    _ report: RunReport, _ options: RunOptions, _ stamp: ReportStamp, isInterim: Bool, hasHeader: Bool
  ) -> String {
    let formats = options.outputFormats
    let style = JSONReport.Style(
      hasBins: formats.contains(.jsonPlus), isLine: options.statusInterval != nil, isInterim: isInterim)
    var text = ""
    if formats.contains(.terse) { text += TerseReport.text(report, stamp, version: options.terseVersion) }
    if formats.contains(.csv) { text += CSVReport.text(report, hasHeader: hasHeader) }
    if options.hasJSON { text += JSONReport.text(report, stamp, style) }
    if formats.contains(.normal) { text += isInterim ? NormalReport.status(report) : NormalReport.text(report) }
    return text
  }

  /// Who writes this, and when. In simulation everything in a report follows from the seed.
  private static func stamp(_ plan: WorkloadPlan) -> ReportStamp {
    if plan.jobs[0].engine == .simulated { return ReportStamp(version: Version.current) }
    let given = (try? GivenTime.seconds()).flatMap { $0 }
    let milliseconds = given.map { UInt64($0) * 1000 } ?? cl_calendar_ns() / 1_000_000
    let time = CivilTime(secondsSince1970: Int64(milliseconds / 1000))
    return ReportStamp(version: Version.current, milliseconds: milliseconds, time: time.fioText)
  }
}

extension CivilTime {
  /// As `ctime` has it: `Fri Nov 27 08:47:33 2026`.
  fileprivate var fioText: String {
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let clock = [hour, minute, second].map { padded($0, 2) }.joined(separator: ":")
    return "\(days[dayOfWeek]) \(months[month - 1]) \(day < 10 ? " " : "")\(day) \(clock) \(year)"
  }
}

/// The documents of a report in JSON.
func readReport(_ path: String) throws -> [JSONValue] {
  let problem: String
  do {
    let documents = try JSONValue.documents(in: readText(path))
    if documents.contains(where: { $0["jobs"] != nil }) { return documents }
    problem = "is no report of a run: it has no jobs"
  } catch let error as Errno { problem = "the report cannot be read: \(error)" } catch { problem = "\(error)" }
  print("blkdev-run: \(path): \(problem); --output-format=json+ writes one that can be compared", to: .standardError)
  throw ArgumentParser.ExitCode(Workload.ExitCode.usage.rawValue)
}
