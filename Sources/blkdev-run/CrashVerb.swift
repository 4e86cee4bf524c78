internal import ArgumentParser
internal import CLinux
internal import DeviceLayers
internal import Ext2
internal import FaultLab
internal import Glibc
internal import PageCache
internal import SystemPackage
internal import Workload

/// `blkdev-run crash`: cuts the power of a workload everywhere, and judges every state that the medium may then be in.
struct CrashVerb: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "crash", abstract: "Cut the power of a workload everywhere, and judge every state that may be left.",
    discussion: """
      Workloads: seq1, all operations on a small tree, each with every way to make it durable; seq2, all pairs of them; \
      seq3, three in a row, drawn by seed as long as --budget lasts; script:FILE, the verbs of blkdev-run fs, one a line, \
      on the same tree (script:- reads standard input); job:FILE, jobs on files in fio's language, which take turns, an \
      operation each.

      Every state is judged by our checker and by what fsync, fdatasync and sync promised; some also by e2fsck, by a \
      read-only mount, and by a repair whose power is cut as well. Ends with 0 when nothing was found, with 4 when a state \
      broke the contract, with 2 on wrong usage, with 5 when e2fsck is missing, with 130 when it is interrupted.
      """)

  @Option(help: ArgumentHelp("seq1, seq2, seq3, script:FILE or job:FILE.", valueName: "workload")) var workload = "seq1"
  @Option(
    help: ArgumentHelp("Which subsets of unflushed writes are tried: auto, exhaustive or sample:N.", valueName: "rule"))
  var subset = "auto"
  @Option(help: "What a state is judged by: ext2 or ordered.") var contract = "ext2"
  @Option(help: "When freed blocks may be used again: plain or ordered.") var frees = "plain"
  @Option(help: "Bytes of a block of the volume.") var blockSize = 1024
  @Option(help: "The seed of schedules and samples.") var seed: UInt64 = 1
  @Option(help: ArgumentHelp("Stop after that time, such as 60s or 10m.", valueName: "time")) var budget: String?
  @Option(name: .customLong("case"), help: ArgumentHelp("Only the sequence with that number.", valueName: "number"))
  var onlyCase: Int?
  @Option(help: ArgumentHelp("Stop after that many cases.", valueName: "number")) var cases: Int?
  @Option(help: ArgumentHelp("Stop after that many states.", valueName: "number")) var states: Int?
  @Option(
    help: ArgumentHelp(
      "Go on where the run that wrote this file stopped, and write it when stopping.", valueName: "file"))
  var resume: String?
  @Option(help: ArgumentHelp("Memory for the states that are known already, such as 1g.", valueName: "size"))
  var memory = "1g"
  @Option(
    help: ArgumentHelp(
      "Let requests of the workload fail by a rule, as write@data:EIO,nth=7; may be repeated.", valueName: "rule"))
  var fault: [String] = []
  @Option(help: ArgumentHelp("Rules from this file, one a line.", valueName: "file")) var faultFile: [String] = []
  @Option(help: ArgumentHelp("Switch a rule off, by its name in --list-mutants.", valueName: "name")) var mutant:
    String?
  @Flag(help: "Print the mutants that this verb has to catch, one a line.") var listMutants = false
  @Option(help: "What is printed: lines for people, or one JSON document.") var outputFormat = LabFormat.normal
  @Option(help: ArgumentHelp("How many violations to show in full.", valueName: "number")) var show = 3
  @Option(help: ArgumentHelp("Stop after that many violations.", valueName: "number")) var stopAfter: Int?
  @Option(
    help: ArgumentHelp("Write the first violating case, or the only one, as Chrome trace events.", valueName: "file"))
  var trace: String?

  func validate() throws {
    _ = try options()
  }

  func run() throws {
    if listMutants {
      for name in CrashOptions.mutants { print(name, to: .standardOutput) }
      return
    }
    Interruption.endAtOnce()
    cl_ignore_pipe_signal()
    var options = try options()
    do throws(FSError) {
      if workload.hasPrefix("script:") {
        options.workload = .steps(try CrashScript.read(String(workload.dropFirst(7))))
      } else if workload.hasPrefix("job:") {
        try readJobs(String(workload.dropFirst(4)), &options)
      }
    } catch {
      print("blkdev-run: crash: \("\(error)".withoutControls)", to: .standardError)
      throw ArgumentParser.ExitCode(2)
    }
    if let resume {
      options.firstCase = try CrashResume.read(resume, for: self)
      // One that cannot be written is an error before the work.
      try CrashResume.write(resume, options.firstCase, for: self)
    }
    let end = try LabEnd(budget: budget)
    let progress = WorkProgress(isShown: true)
    let report: CrashReport, explorer: CrashExplorer
    do {
      explorer = try CrashExplorer(options, now: { cl_monotonic_ns() }, stopReason: { end.reason })
      report = try explorer.run { report in
        progress.show(
          "crash: \(report.caseCount) cases, \(report.distinctStates) states, \(report.violatingStates) broken")
      }
    } catch {
      progress.clear()
      print("blkdev-run: crash: \(error)", to: .standardError)
      throw ArgumentParser.ExitCode(5)
    }
    progress.clear()
    if let resume, let next = report.nextCase { try CrashResume.write(resume, next, for: self) }
    try CrashPrinter(self, report, explorer).print()
    if let trace {
      let traced = report.violations.first?.number ?? onlyCase ?? options.firstCase
      try writeTrace(explorer.trace(ofCase: traced), to: trace)
    }
    if !report.violations.isEmpty { throw ArgumentParser.ExitCode(4) }
    if report.stopReason == LabEnd.interrupted { throw ArgumentParser.ExitCode(130) }
  }

  /// Reads a job file, and makes the volume as large as its files need.
  private func readJobs(_ path: String, _ options: inout CrashOptions) throws(FSError) {
    let (script, fileCount, fileBytes) = try CrashScript.read(jobs: path, seed: seed)
    options.workload = .steps(script)
    guard fileBytes <= 64 << 20 else {
      throw .usage(
        "\(path): its files have \(fileBytes) bytes; every state is a volume in memory, so 64 MiB are the most")
    }
    // Beside those of the tree that is there.
    options.inodeCount = max(options.inodeCount, fileCount + 48)
    // A quarter more for pointers, inodes and names, and the room that the smallest volume has.
    options.blockCount = (Int(fileBytes + fileBytes / 4) + fileCount * 768) / blockSize + 1024
  }

  /// What repeats this run, but for the case.
  var command: String {
    var words = ["blkdev-run", "crash", shellQuoted("--workload=\(workload)")]
    if seed != 1 { words.append("--seed \(seed)") }
    if subset != "auto" { words.append("--subset=\(subset)") }
    if contract != "ext2" { words.append("--contract=\(contract)") }
    if frees != "plain" { words.append("--frees=\(frees)") }
    if blockSize != 1024 { words.append("--block-size \(blockSize)") }
    words += fault.map { "--fault='\($0)'" } + faultFile.map { shellQuoted("--fault-file=\($0)") }
    if let mutant { words.append("--mutant '\(mutant)'") }
    return words.joined(separator: " ")
  }

  private func faults() throws -> [FaultRule] {
    let settings = fault.map { StackSetting(.fault, $0) } + faultFile.map { StackSetting(.faultFile, $0) }
    let rules: [FaultRule]
    do { rules = try StackDescription(settings, readText: readText).faults } catch { throw ValidationError("\(error)") }
    for rule in rules {
      if rule.action.damages {
        throw ValidationError(
          "--fault=\(rule.text): it damages what is stored, but states are made of what the device was asked to store;"
            + " wanted are rules that let requests fail, wait or lie")
      }
      if case .named = rule.place { throw ValidationError("--fault=\(rule.text): here ranges have no names") }
    }
    return rules
  }

  private func options() throws -> CrashOptions {
    var options: CrashOptions
    switch workload {
    case "seq1", "seq2", "seq3":
      let length = workload == "seq1" ? 1 : workload == "seq2" ? 2 : 3
      let count = CrashOptions.sequenceCount(length: length)
      if let onlyCase, !(0..<count).contains(onlyCase) {
        throw ValidationError("--case \(onlyCase): \(workload) has the cases 0 to \(count - 1)")
      }
      options = CrashOptions(workload: .sequences(length: length, only: onlyCase))
      options.sampling = .init(length: length)
      if length == 3 && budget == nil && cases == nil && states == nil && onlyCase == nil {
        throw ValidationError("seq3 has \(count) cases: --budget, --cases or --states is needed")
      }
    case _
    where workload.hasPrefix("script:") && workload.count > 7 || workload.hasPrefix("job:") && workload.count > 4:
      if let onlyCase { throw ValidationError("--case \(onlyCase): \(workload) is one case") }
      options = CrashOptions(workload: .steps(CrashScript([])))
    default:
      throw ValidationError("--workload=\(workload): there are seq1, seq2, seq3, script:FILE and job:FILE")
    }
    switch subset {
    case "auto": break
    case "exhaustive": options.subset = .exhaustive
    default:
      guard subset.hasPrefix("sample:"), let count: Int = parseNumber(String(subset.dropFirst(7))), count > 0 else {
        throw ValidationError("--subset=\(subset): there are auto, exhaustive and sample:N")
      }
      options.subset = .sample(count)
    }
    guard let contract = CrashContract(rawValue: contract) else {
      throw ValidationError("--contract=\(contract): there are ext2 and ordered")
    }
    options.contract = contract
    options.frees = try freesName(frees)
    guard (1024...65536).contains(blockSize), blockSize.nonzeroBitCount == 1 else {
      throw ValidationError("--block-size \(blockSize): a power of two from 1k to 64k is wanted")
    }
    options.blockSize = blockSize
    options.seed = seed
    options.caseLimit = cases
    options.stateLimit = states
    options.violationLimit = stopAfter
    guard let memory = parseByteCount(memory), memory >= 1 << 20 else {
      throw ValidationError("--memory \(memory): a size from 1m on is wanted")
    }
    options.memoryLimit = Int(clamping: memory)
    if let budget { options.shrinkingLimit = min(options.shrinkingLimit, try budgetNanoseconds(budget)) }
    options.faults = try faults()
    if let mutant { options.switchedOff = try switchedOffRule(named: mutant) }
    return options
  }
}
