import Support
import Testing

@Suite("blkdev-run sweep", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct SweepVerbTests {
  private static func run(_ arguments: [String]) throws -> (code: Int32, output: String, errors: String) {
    let command = try Command()
    try command.start(["sweep"] + arguments)
    let code = try command.exitCode()
    return (code, try command.output(), command.errors)
  }

  @Test(
    "what cannot be meant is wrong usage",
    arguments: [
      ["--operation", "nothing"], ["--point", "call:1:EIO:once"], ["--operation", "create", "--point", "call:1"],
      ["--mutant", "nothing"], ["--frees", "never"], ["--budget", "soon"], ["--output-format", "xml"],
      ["--seed", "many"], ["--operation", "freeze", "--point", "call:900:EIO:once"],
    ])
  func usage(arguments: [String]) throws {
    let (code, output, errors) = try Self.run(arguments)
    #expect(code == 2 && output.isEmpty && errors.contains(arguments.last ?? ""), "\(errors)")
  }

  @Test("the lists have one name a line")
  func lists() throws {
    let mutants = try Self.run(["--list-mutants"])
    #expect(mutants.code == 0 && mutants.output.split(separator: "\n").contains("a failed flush forgotten"))
    let operations = try Self.run(["--list-operations"])
    #expect(operations.code == 0 && operations.output.split(separator: "\n").contains("rename-over-file"))
  }

  @Test("one point, as JSON")
  func json() throws {
    let (code, output, _) = try Self.run([
      "--operation", "mount", "--point", "call:1:EIO:once", "--seed", "7", "--output-format", "json",
    ])
    #expect(code == 0)
    for part in [
      "\"seed\" : 7", "\"points\" : 1", "\"ordered_violations\" : ", "\"runs\" : 1", "\"violations\" : []",
      "\"elapsed_ns\" : ",
      "\"failed_calls\" : 1",
    ] { #expect(output.contains(part), "\(part) in \(output)") }
  }

  @Test("a violation is shown with the command that repeats it, and ends with 4")
  func violation() throws {
    let (code, output, errors) = try Self.run([
      "--operation", "sync", "--mutant", "a failed flush forgotten", "--stop-after", "1",
    ])
    #expect(code == 4, "\(output)\(errors)")
    let command = try #require(output.split(separator: "\n").first { $0.hasPrefix("  Repeat: blkdev-run sweep ") })
    let point = try #require(command.split(separator: " ").first { $0.hasPrefix("call:") })
    let again = try Self.run([
      "--operation", "sync", "--point", String(point), "--mutant", "a failed flush forgotten",
    ])
    #expect(again.code == 4 && again.output.split(separator: "\n").first == output.split(separator: "\n").first)
  }
}
