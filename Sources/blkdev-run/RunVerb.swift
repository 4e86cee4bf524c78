internal import ArgumentParser
internal import CLinux
internal import DeviceLayers
internal import Logging
internal import Reactor
internal import SystemPackage
internal import Workload

/// `blkdev-run run`: reads job files and options in fio's language, runs them, and prints a report.
///
/// Its arguments are fio's, so they are read by `RunArguments` and not by the argument parser.
struct RunVerb: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Run jobs (the default): blkdev-run --help tells more.", helpNames: [])

  @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

  func run() throws {
    Interruption.endAtOnce()
    // Who reads our output may go away (`| head`); the run is to leave a clean image all the same.
    cl_ignore_pipe_signal()
    guard let plan = try readPlan() else { return }
    let base = try plan.options.comparePath.map(readReport)
    let output = try plan.options.outputPath.map(openOutput) ?? .standardOutput
    let page = try plan.options.htmlPath.map(openOutput)
    let writer = ReportWriter(plan, output)
    let traces = try openTraces(plan.options.tracePath)
    let progress = ProgressPrinter(plan.options.eta)
    var show: (@Sendable (ProgressLine) -> Void)?
    if let progress { show = { line in progress.show(line) } }
    var showStack: (@Sendable (String) -> Void)?
    if plan.options.stack.isShown { showStack = { stack in print(stack, to: .standardError) } }
    var watch: (@Sendable (Reactor) -> () -> Void)?
    if let traces { watch = { reactor in traces.watch(reactor) } }
    // Before the run's threads: those that exist already would not have the signals blocked.
    let interruption = Interruption(answersStatus: true)
    let control = RunControl(
      logger: Logger(label: "blkdev-run") { label in StreamLogHandler.standardError(label: label) }, onProgress: show,
      onStack: showStack, provenance: Provenance(version: Version.current, commit: Version.commit),
      statusInterval: plan.options.statusInterval, onStatus: { snapshot in writer.note(snapshot) }, onReactor: watch)
    let status = interruption.wait(for: control) { () async -> Int32 in
      let code: Workload.ExitCode = await perform(plan, control, writer, progress, base: base, page: page)
      if let traces, !traces.write() { return Workload.ExitCode.jobError.rawValue }
      return code.rawValue
    }
    if status != 0 { throw ArgumentParser.ExitCode(status) }
  }

  /// The plan that the arguments describe; nil when they only ask for the help or the version, which is printed.
  private func readPlan() throws -> WorkloadPlan? {
    do {
      var parsed = try RunArguments(arguments)
      if parsed.wantsHelp {
        print(JobHelp.screen, to: .standardOutput, terminator: "")
        return nil
      }
      if let topic = parsed.helpTopic {
        guard let text = topic.isEmpty ? JobHelp.text : JobHelp.text(of: topic) else {
          throw ended(.usage, "--cmdhelp=\(topic): \(JobHelp.problem(with: topic))")
        }
        print(text, to: .standardOutput, terminator: "")
        return nil
      }
      if parsed.wantsVersion {
        print("blkdev-run \(Version.current)", to: .standardOutput)
        return nil
      }
      do { parsed.options.stack = try StackDescription(parsed.layers, readText: readText) } catch {
        throw ended(.usage, "\(error)")
      }
      var files: [JobFile] = []
      for path in parsed.jobFiles {
        let text: String
        do { text = try readText(path) } catch { throw ended(.usage, "\(path): the job file cannot be read: \(error)") }
        files.append(try JobFile(path: path, text: text, jobFileSurroundings))
      }
      let plan = try WorkloadPlan(parsed, files: files)
      if parsed.wantsJobs || parsed.wantsCommand {
        print(
          parsed.wantsJobs ? plan.jobFile : plan.commandLine + "\n", to: .standardOutput, terminator: "")
        return nil
      }
      // A seed of 32 bits is short to type.
      return plan.seeded(with: UInt64.random(in: 0...UInt64(UInt32.max)))
    } catch let error as JobError { throw ended(.usage, "\(error)") }
  }

  private func openOutput(_ path: String) throws -> ReportFile {
    do { return try ReportFile(path: path) } catch { throw ended(.jobError, "\(path): cannot be written: \(error)") }
  }

  private func openTraces(_ path: String?) throws -> RunTraces? {
    guard let path else { return nil }
    do { return try RunTraces(path: path) } catch {
      throw ended(.jobError, "--trace \(path): cannot be written: \(error)")
    }
  }

  private func ended(_ code: Workload.ExitCode, _ message: String) -> ArgumentParser.ExitCode {
    print("blkdev-run: \(message)", to: .standardError)
    return ArgumentParser.ExitCode(code.rawValue)
  }
}

/// Runs the plan and prints its report. Returns what the command ends with.
private func perform(
  _ plan: WorkloadPlan, _ control: RunControl, _ writer: ReportWriter, _ progress: ProgressPrinter?,
  base: [JSONValue]?, page: ReportFile?
) async -> Workload.ExitCode {
  do {
    var report = try await WorkloadRunner.run(plan, control: control)
    progress?.clear()
    for line in report.layers?.lines ?? [] { print("blkdev-run: \(line)", to: .standardError) }
    do throws(Errno) { try await writer.finish(&report, base: base) } catch {
      print(
        "blkdev-run: the report could not be written to \(writer.name): \(error); --output=FILE writes it to another place",
        to: .standardError)
      return .jobError
    }
    // Writing the report has added the comparison to it.
    let before = base.flatMap { RunCurves($0, name: plan.options.comparePath ?? "") }
    do throws(Errno) { try page?.write(PicturePage.text(report, base: before)) } catch {
      print(
        "blkdev-run: the page could not be written to \(page?.name ?? ""): \(error); --html=FILE writes it to another place",
        to: .standardError)
      return .jobError
    }
    return report.exitCode
  } catch {
    progress?.clear()
    print("blkdev-run: \(error)", to: .standardError)
    await writer.finish(error)
    return error.exitCode
  }
}
