import Support
import SystemPackage
import Testing

@Suite("blkdev-run crash", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct CrashVerbTests {
  private func run(_ arguments: [String]) throws -> (exitCode: Int32, output: String, errors: String) {
    let command = try Command()
    try command.start(["crash"] + arguments)
    let exitCode = try command.exitCode()
    return (exitCode, try command.output(), command.errors)
  }

  private func withScript<R>(_ lines: String, _ body: (String) throws -> R) throws -> R {
    try TemporaryFile.with(contents: Array(lines.utf8), body)
  }

  /// The value of a key at the top level of a document, as text.
  private func value(_ key: String, in document: String) -> String? {
    document.split(separator: "\n").first { $0.hasPrefix("  \"\(key)\" : ") }.map {
      String($0.dropFirst(key.utf8.count + 7)).trimmingSuffix(",")
    }
  }

  @Test("says what is wrong with its arguments, and what would be right")
  func usage() throws {
    for (arguments, text) in [
      (["--workload=seq4"], "--workload=seq4: there are seq1, seq2, seq3, script:FILE and job:FILE"),
      (["--workload=script:"], "there are seq1"), (["--subset=most"], "there are auto, exhaustive and sample:N"),
      (["--subset=sample:0"], "sample:N"), (["--contract=ext3"], "there are ext2 and ordered"),
      (["--frees=never"], "there are plain and ordered"), (["--block-size", "1000"], "a power of two"),
      (["--budget", "soon"], "such as 60s"), (["--budget", "0"], "such as 60s"),
      (["--case", "100000"], "cases 0 to 227"),
      (["--workload=seq3"], "--budget, --cases or --states is needed"), (["--mutant", "none"], "--list-mutants"),
      (["--memory", "1k"], "from 1m on"), (["--workload=script:-", "--case", "7"], "script:- is one case"),
      (["--resume", "/none/there"], "cannot be written"), (["--workload=script:/none/there"], "/none/there: read"),
    ] {
      let outcome = try run(arguments)
      #expect(outcome.exitCode == 2 && outcome.output == "")
      #expect(outcome.errors.contains(text), "\(arguments): \(outcome.errors)")
    }
    for (line, text) in [("frobnicate /a", "no verb is named"), ("rm", "operand"), ("remount", "stays mounted")] {
      try withScript("# a comment\n\(line)\n") { path in
        let outcome = try run(["--workload=script:\(path)"])
        #expect(outcome.exitCode == 2 && outcome.errors.contains("\(path):2: "), "\(outcome.errors)")
        #expect(outcome.errors.contains(text), "\(outcome.errors)")
      }
    }
  }

  @Test("prints one JSON document, and of a broken state the command that shows it again")
  func document() throws {
    let sound = try run(["--cases", "3", "--output-format=json", "--seed", "7"])
    #expect(sound.exitCode == 0 && sound.errors == "")
    #expect(value("seed", in: sound.output) == "7" && value("violations", in: sound.output) == "[]")
    for key in ["states_per_second", "ordered_violations", "elapsed_ns"] {
      #expect(value(key, in: sound.output).flatMap(UInt64.init) != nil, "\(key)")
    }
    #expect(sound.output.contains("\"exhaustive\" : true") && sound.output.contains("\"distinct\" : "))
    let mutant = "fsync that leaves the inode out"
    let broken = try run(["--cases", "2", "--output-format=json", "--mutant", mutant])
    #expect(broken.exitCode == 4)
    #expect(broken.output.contains("\"command\" : \"blkdev-run crash --workload=seq1 --mutant '\(mutant)' --case 1\""))
    let again = try run(["--workload=seq1", "--mutant", mutant, "--case", "1"])
    #expect(again.exitCode == 4)
    for text in ["promise: inode", "fill -o 5000 -l 2000", "the power is cut", "blocks 0 to", "Shorter:", "Repeat: "] {
      #expect(again.output.contains(text), "\(text) in \(again.output)")
    }
    #expect(try run(["--list-mutants"]).output.split(separator: "\n").contains { $0 == mutant })
  }

  @Test("cuts the power of a script in the language of blkdev-run fs")
  func script() throws {
    try withScript("mkdir /C\nfill -l 3000 -s 5 /C/x\nfsync -d /C/x\nmv -T /C/x /A/bar\nfsync /A /B\nsync\n") { path in
      let outcome = try run(["--workload=script:\(path)"])
      #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
      #expect(outcome.output.contains("1 cases, ") && outcome.output.contains("0 states break the contract"))
      let broken = try run(["--workload=script:\(path)", "--mutant", "fsync without a flush", "--show", "1"])
      #expect(broken.exitCode == 4 && broken.output.contains("fsync -d /C/x"))
    }
  }

  @Test("cuts the power of jobs in fio's language, and draws what happens")
  func jobs() throws {
    let jobs = "[global]\ntarget=fs\nsize=8k\nbs=1k\n[a]\nrw=randwrite\nfsync=3\n[b]\nrw=write\nend_fsync=1\n"
    try withScript(jobs) { path in
      let trace = try TemporaryFile.make([])
      defer { TemporaryFile.remove(trace) }
      let outcome = try run(["--workload=job:\(path)", "--subset=sample:4", "--trace", trace])
      #expect(outcome.exitCode == 0 && outcome.output.contains("1 cases, "), "\(outcome.output)\(outcome.errors)")
      let events = String(decoding: try TemporaryFile.read(trace), as: UTF8.self)
      for text in [
        "\"traceEvents\": [", "\"cat\": \"step\"", "\"cat\": \"request\"", "\"cat\": \"batch\"", "\"cat\": \"wait\"",
        "fsync /a.0.0", "\"name\": \"background writeback\"",
      ] { #expect(events.contains(text), "\(text)") }
      let broken = try run(["--workload=job:\(path)", "--subset=sample:4", "--mutant", "fsync without a flush"])
      #expect(broken.exitCode == 4 && broken.output.contains("--workload=job:\(path)"))
    }
    let names = "fs_ops=create:2,append:4,fsync:4,unlink:2,rename:1,truncate:1\n"
    // 70 files are more than the inodes of the usual volume.
    for (count, size) in [(4, "24k"), (70, "210k")] {
      try withScript("[a]\ntarget=fs\nnrfiles=\(count)\nsize=\(size)\nbs=1k\n" + names) { path in
        let outcome = try run(["--workload=job:\(path)", "--subset=sample:2", "--states", "2000"])
        #expect(outcome.exitCode == 0 && outcome.output.contains("1 cases, "), "\(outcome.output)\(outcome.errors)")
        #expect(!outcome.output.contains("failed: "), "\(outcome.output)")
      }
    }
    for (text, error) in [
      ("[a]\nrw=write\nsize=1m\nfilename=x\ntarget=dev\n", "wanted are jobs on files"),
      ("[a]\ntarget=fs\nrw=write\n", "needs size"),
      ("[a]\ntarget=fs\nrw=read\nsize=8k\nbs=1k\nloops=1000000000\n", "operations together"),
      (
        String(repeating: "[a]\ntarget=fs\nnrfiles=2\nsize=8k\nbs=1k\nfs_ops=create:1,append:1,unlink:1\n", count: 2),
        "shares files with another job"
      ),
      ("[a]\ntarget=fs\nrw=write\nsize=1g\nbs=1m\n", "64 MiB are the most"),
      ("[a]\ntarget=fs\nrw=write\nsize=64m\nbs=1k\n", "operations together"), ("[a]\nrw=frobnicate\n", "rw"),
    ] {
      try withScript(text) { path in
        let outcome = try run(["--workload=job:\(path)"])
        #expect(outcome.exitCode == 2 && outcome.errors.contains(error), "\(text): \(outcome.errors)")
      }
    }
  }

  @Test(
    "a repair may take away a durable file that has no block and no name, or a new pointer block, truncated since or not",
    arguments: [
      "truncate -s 9700 /A/hole\nfsync /A/hole\n",
      "fill -l 8192 -s 6 /A/new\nfsync /A/new\nfill -o 16384 -l 8192 -s 19 /A/new\ntruncate -s 20282 /A/new\n",
    ])
  func taken(steps: String) throws {
    try withScript(steps + "fill -l 2000 -s 5 /B/foo\nfsync /B/foo\n") { path in
      let outcome = try run(["--workload=script:\(path)"])
      #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
    }
  }

  @Test("a repair may clear what it takes for pointers in a block that another file had for its pointers before")
  func cleared() throws {
    let steps =
      "touch /B/dir/n\nmkdir /B/dir/y\ntruncate -s 3500 /B/foo\nfill -a -l 13000 -s 442292 /A/foo\nfsync /A/foo\n"
    try withScript(steps) { path in
      for frees in ["plain", "ordered"] {
        let outcome = try run(["--workload=script:\(path)", "--frees=\(frees)"])
        #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
      }
      let broken = try run(["--workload=script:\(path)", "--mutant", "fsync without a flush"])
      #expect(broken.exitCode == 4 && broken.output.contains("promise"), "\(broken.output)\(broken.errors)")
    }
  }

  @Test("entries of directories may be torn, and blocks of a directory that are new may have any names")
  func directories() throws {
    let long = String(repeating: "n", count: 247)
    // The second name lies in two sectors; and then directories get a second block, and a pointer block.
    for (count, directory) in [(2, "/A/"), (12, "/A/"), (38, "/A/"), (38, "/")] {
      let lines = (100..<100 + count).map { "touch \(directory)\($0)\(long)" } + ["fsync /A/foo", ""]
      try withScript(lines.joined(separator: "\n")) { path in
        let outcome = try run(["--workload=script:\(path)", "--subset=sample:6"])
        #expect(outcome.exitCode == 0, "\(count): \(outcome.output)\(outcome.errors)")
      }
    }
  }

  @Test("tells which steps of a script failed")
  func failingSteps() throws {
    try withScript("rm /none\nfill -l 100 -s 1 /A/foo\n") { path in
      let outcome = try run(["--workload=script:\(path)"])
      #expect(outcome.exitCode == 0 && outcome.output.contains("failed: rm /none: "), "\(outcome.output)")
      let document = try run(["--workload=script:\(path)", "--output-format=json"])
      #expect(document.output.contains("\"failed_steps\" : ["), "\(document.output)")
    }
  }

  @Test("an fsync through symbolic links promises what they lead to")
  func links() throws {
    let long = "../A/" + String(repeating: "./", count: 50) + "new"
    let steps =
      "ln -s \(long) /B/link\nln -s /B/link /A/other\nfill -l 5000 -s 7 /A/other\nfsync /B/link\n"
      + "fill -l 5000 -s 9 /A/other\nfsync /A/other\n"
    try withScript(steps) { path in
      let outcome = try run(["--workload=script:\(path)"])
      #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
      let broken = try run(["--workload=script:\(path)", "--mutant", "fsync without a flush"])
      #expect(broken.exitCode == 4 && broken.output.contains("promise"), "\(broken.output)\(broken.errors)")
    }
  }

  @Test("lets requests of the workload fail by rules: what fails is not promised, and what lies is found out")
  func faults() throws {
    let failing = try run(["--cases", "30", "--fault=write:EIO,p=0.3", "--fault=read@bytes:EIO"])
    #expect(failing.exitCode == 2 && failing.errors.contains("column"), "\(failing.errors)")
    let sound = try run(["--cases", "30", "--fault=write:EIO,p=0.3", "--fault=discard:EIO"])
    #expect(sound.exitCode == 0 && sound.output.contains("--fault=write:EIO,p=0.3: fired "), "\(sound.output)")
    #expect(sound.output.contains("--fault=discard:EIO: never fired"))
    let lying = try run(["--cases", "30", "--fault=flush:lie", "--stop-after", "1"])
    #expect(lying.exitCode == 4 && lying.output.contains("--fault='flush:lie' --case "), "\(lying.output)")
    for (rule, text) in [("write:phantom", "damages what is stored"), ("write@bitmap:EIO", "have no names")] {
      let outcome = try run(["--fault=\(rule)"])
      #expect(outcome.exitCode == 2 && outcome.errors.contains(text), "\(outcome.errors)")
    }
  }

  @Test("goes on where it stopped, and refuses another run's file")
  func resume() throws {
    let path = try TemporaryFile.make([])
    TemporaryFile.remove(path)
    defer { TemporaryFile.remove(path) }
    let arguments = ["--workload=seq3", "--states", "100", "--resume", path]
    let first = try run(arguments)
    #expect(first.exitCode == 0 && first.output.contains("stopped: enough states; the next case is "))
    let file = String(decoding: try TemporaryFile.read(path), as: UTF8.self)
    #expect(file.hasPrefix("blkdev-run crash --workload=seq3\n"))
    #expect(try run(arguments).exitCode == 0)
    #expect(String(decoding: try TemporaryFile.read(path), as: UTF8.self) != file)
    let other = try run(arguments + ["--seed", "2"])
    #expect(other.exitCode == 2 && other.errors.contains("belongs to another run"))
    // As many cases as were asked for are done, and the next time those behind them.
    for next in [3, 5] {
      #expect(try run(["--workload=seq2", "--cases", next == 3 ? "3" : "2", "--resume", path + "2"]).exitCode == 0)
      let text = String(decoding: try TemporaryFile.read(path + "2"), as: UTF8.self)
      #expect(text == "blkdev-run crash --workload=seq2\n\(next)\n")
    }
    TemporaryFile.remove(path + "2")
    let unreadable = try run(["--workload=seq3", "--states", "100", "--resume", "/"])
    #expect(unreadable.exitCode == 2 && unreadable.errors.contains("cannot be read"))
  }
}

extension String {
  fileprivate func trimmingSuffix(_ suffix: String) -> String {
    hasSuffix(suffix) ? String(dropLast(suffix.count)) : self
  }
}
