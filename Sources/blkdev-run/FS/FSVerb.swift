internal import ArgumentParser
internal import CLinux
internal import HostTree
internal import Logging
internal import SystemPackage
internal import Workload

/// `blkdev-run fs`: looks at and changes the files of an ext2 image, verb by verb, in the manner of debugfs and mtools.
///
/// Names are bytes, so its arguments are read by `FSOptions` and `VerbArguments`, not by the argument parser.
struct FSVerb: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fs", abstract: "Look at and change the files of an ext2 image: blkdev-run fs help tells more.",
    helpNames: [])

  @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

  func run() throws {
    // Before anything else: threads that exist already would not have the signals blocked.
    let interruption = Interruption()
    // Who reads our output may go away (`| head`); the image is to be left clean all the same.
    cl_ignore_pipe_signal()
    cl_raise_descriptor_limit()
    let options: FSOptions
    do {
      options = try FSOptions(Self.words(arguments))
      if options.wantsHelp { return try printHelp(options.words.first) }
      // What is wrong with a single verb is said before the image is touched.
      if options.words != [[UInt8(ascii: "-")]], let name = options.words.first {
        _ = try FSCommand.named(name).parse(Array(options.words.dropFirst()))
      }
    } catch let error as FSError {
      print("blkdev-run: fs: \("\(error)".withoutControls)", to: .standardError)
      throw ArgumentParser.ExitCode(error.exitCode)
    }
    let control = RunControl(
      logger: Logger(label: "blkdev-run") { label in StreamLogHandler.standardError(label: label) })
    let status = interruption.wait(for: control) { () async -> Int32 in await runFS(options, control) }
    if status != 0 { throw ArgumentParser.ExitCode(status) }
  }

  /// The words as the system handed them over: text, which the parser made of them, has lost what is no UTF-8.
  private static func words(_ arguments: [String]) -> [[UInt8]] {
    var raw: [[UInt8]] = []
    for index in 0..<Int(CommandLine.argc) {
      guard let word = unsafe CommandLine.unsafeArgv[index] else { continue }
      var bytes: [UInt8] = []
      while unsafe word[bytes.count] != 0 { bytes.append(UInt8(bitPattern: unsafe word[bytes.count])) }
      raw.append(bytes)
    }
    let tail = Array(raw.suffix(arguments.count))
    return tail.map { String(decoding: $0, as: UTF8.self) } == arguments ? tail : arguments.map { Array($0.utf8) }
  }

  private func printHelp(_ name: [UInt8]?) throws {
    if let name {
      let command = try FSCommand.named(name)
      print("\(command.name) \(command.usage)\n  \(command.summary)", to: .standardOutput)
      return
    }
    print(Self.help, to: .standardOutput, terminator: "")
  }

  private static var help: String {
    let verbs = FSCommand.all.map { "  \($0.name)\($0.usage.isEmpty ? "" : " ")\($0.usage)\n      \($0.summary)\n" }
      .joined()
    return """
      Usage: blkdev-run fs [OPTION…] IMAGE VERB …    one verb
             blkdev-run fs [OPTION…] IMAGE -         verbs from standard input, one a line

        -o OPTION,…             mount options, as mount(8) and the kernel's ext2 spell them
        --user UID[:GID]        on whose behalf: who owns what is made (default: the superuser)
        --output-format=FORMAT  normal or json (ls, stat, lsattr, df, dump)
        --fault=RULE, --fault-file=FILE, --strict, --volatile-cache[=SIZE], --latency=MODEL, --deadline=TIME,
        --write-log=FILE, --stack
                                layers between the volume and the image (blkdev-run --help tells more); what a rule has
                                damaged is in the image when the command ends
        --seed=N                the seed of what the layers draw
        -k, --keep-going        go on after an error with the next line, operand or file; the exit code stays

      Paths begin at the volume's root. Words of a script are split as a shell does: '…', "…", $'…' with C's escapes, a
      backslash takes the next byte as it is, \\xNN is a byte, # begins a comment. Names are printed so that they can be
      read back. Verbs that only look mount for reading and never write the image. Times are UTC; where
      E2FSPROGS_FAKE_TIME or SOURCE_DATE_EPOCH is set, in seconds since 1970, that is the time for all that is changed.

      Verbs:
      \(verbs)
      Exit codes: 0 done, 1 something failed, 2 wrong usage, 130 interrupted.

      """
  }
}

/// Runs one verb or a script. Returns what the command ends with.
func runFS(_ options: FSOptions, _ control: RunControl) async -> Int32 {
  let session = FSSession(options, control, ProgressPrinter())
  if session.isScript {
    await runScript(in: session)
  } else {
    session.context = options.words.first.map { String(decoding: $0, as: UTF8.self) } ?? ""
    do throws(FSError) { try await FSCommand.run(options.words, in: session) } catch { session.report(error) }
  }
  return await session.end()
}

private func runScript(in session: FSSession) async {
  var script = FSScript()
  while true {
    do throws(FSError) {
      session.context = ""
      try session.checkStop()
      let words = try script.next { session.control.isStopRequested }
      guard let words else { return }
      session.context = "line \(script.lineNumber): \(String(decoding: words[0], as: UTF8.self))"
      try await FSCommand.run(words, in: session)
    } catch {
      if session.context.isEmpty && script.lineNumber > 0 { session.context = "line \(script.lineNumber)" }
      session.report(error)
      if error.endsEverything || !session.options.keepsGoing { return }
    }
  }
}
