import Support
import Testing
import Workload

@Suite("The trace of a run", .enabled(if: ExternalTool("jq") != nil, "jq is needed"))
struct RunTraceTests {
  /// What jq prints of the trace of a run with these arguments.
  private func jq(_ filter: String, _ arguments: [String]) throws -> String {
    let trace = try TemporaryFile.make([])
    defer { TemporaryFile.remove(trace) }
    let command = try Command()
    try command.start(arguments + ["--trace=\(trace)"])
    let code = try command.exitCode()
    #expect(code == 0, "\(command.errors)")
    let outcome = try #require(ExternalTool("jq")?.run(["-r", filter, trace]))
    #expect(outcome.exitCode == 0, "\(outcome.output)")
    return outcome.output
  }

  @Test("has each request of a device, on every reactor")
  func device() throws {
    let requests = "[.traceEvents[] | select(.cat == \"request\")] | length, (map(.pid) | unique | length)"
    let output = try jq(
      requests, ["--name=a", "--ioengine=null", "--size=64k", "--numjobs=2", "--rw=randwrite", "--bs=4k"])
    #expect(output == "32\n2\n")
  }

  @Test("has the batches of a volume's writeback", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
  func volume() throws {
    let output = try jq(
      "[.traceEvents[] | select(.cat == \"batch\")] | length > 4",
      [
        "--name=a", "--target=fs", "--ioengine=sim", "--image_size=8m", "--size=1m", "--rw=write", "--bs=64k",
        "--fsync=2",
      ])
    #expect(output == "true\n")
  }

  @Test("keeps the first events of a long run, and says how many it left out")
  func bounded() throws {
    let output = try jq(
      "(.traceEvents | length < 110000), ([.traceEvents[] | select(.args.name? // \"\" | contains(\"left out\"))] | length > 0)",
      ["--name=a", "--ioengine=null", "--size=512m", "--iodepth=8", "--rw=randread"])
    #expect(output == "true\ntrue\n")
  }

  @Test("that cannot be written is an error before the run")
  func unwritable() throws {
    let command = try Command()
    try command.start(["--name=a", "--ioengine=null", "--size=64k", "--trace=/nowhere/trace"])
    #expect(try command.exitCode() == 1)
    #expect(command.errors.contains("--trace /nowhere/trace: cannot be written: No such file or directory"))
  }
}
