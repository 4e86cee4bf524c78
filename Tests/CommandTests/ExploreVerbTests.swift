import Support
import Testing

@Suite("blkdev-run explore", .enabled(if: Images.isAvailable, "e2fsck is needed"))
struct ExploreVerbTests {
  private func run(_ arguments: [String]) throws -> (exitCode: Int32, output: String, errors: String) {
    let command = try Command()
    try command.start(["explore"] + arguments)
    let exitCode = try command.exitCode()
    return (exitCode, try command.output(), command.errors)
  }

  @Test("says what is wrong with its arguments, and what would be right")
  func usage() throws {
    for (arguments, text) in [
      (["--bound", "1", "--seeds", "1"], "exclude each other"), (["--bound", "-1"], "bound"),
      (["--race", "none"], "--list-races"), (["--schedule", "1:1"], "goes with --race"),
      (["--race", "truncate/completes/0", "--schedule", "x"], "such as 2:1,3:1"),
      (["--mutant", "none"], "--list-mutants"),
      (["--seed", "18446744073709551615", "--seeds", "2"], "no seeds beyond"), (["--budget", "soon"], "such as 60s"),
      (["--seeds", "1", "--trace", "/none/there"], "cannot be written"),
      (["--race", "truncate/completes/0", "--seeds", "1"], "exclude each other"),
      (["--race", "truncate/completes/0", "--schedule", "99999:1"], "99999:1 was never taken"),
      (["--race", "truncate/completes/0", "--schedule", "3:1,2:1"], "in the order of their points"),
    ] {
      let outcome = try run(arguments)
      #expect(outcome.exitCode == 2 && outcome.errors.contains(text), "\(arguments): \(outcome.errors)")
    }
  }

  @Test("a schedule that breaks a rule is printed with the command that repeats it, and is drawn")
  func broken() throws {
    let mutant = "no cookie comparison"
    #expect(try run(["--list-mutants"]).output.split(separator: "\n").contains { $0 == mutant })
    let trace = try TemporaryFile.make([])
    defer { TemporaryFile.remove(trace) }
    let outcome = try run(["--mutant", mutant, "--stop-after", "1", "--trace", trace])
    #expect(outcome.exitCode == 4)
    let command = try #require(
      outcome.output.split(separator: "\n").first { $0.hasPrefix("  repeat: blkdev-run explore ") })
    #expect(command.contains("--race ") && command.contains("--schedule '") && command.contains("--mutant '\(mutant)'"))
    let events = String(decoding: try TemporaryFile.read(trace), as: UTF8.self)
    for text in ["\"cat\": \"request\"", "\"cat\": \"batch\"", "\"name\": \"evictor\""] {
      #expect(events.contains(text))
    }
    // What the rule is for: the batch whose cookie went stale is drawn where it is discarded.
    let sound = try run(["--race", "truncate/completes/0", "--bound", "1", "--output-format=json", "--trace", trace])
    #expect(sound.exitCode == 0 && sound.output.contains("\"violations\" : []"))
    #expect(sound.output.contains("\"ordered_violations\" : "))
  }

  @Test("a seed runs again the same, and its stale batches are drawn")
  func seeds() throws {
    let trace = try TemporaryFile.make([]), again = try TemporaryFile.make([])
    defer {
      TemporaryFile.remove(trace)
      TemporaryFile.remove(again)
    }
    let first = try run(["--seed", "5", "--seeds", "1", "--trace", trace])
    let second = try run(["--seed", "5", "--seeds", "1", "--trace", again])
    #expect(first.exitCode == 0 && first.output == second.output)
    let events = String(decoding: try TemporaryFile.read(trace), as: UTF8.self)
    #expect(events.contains("stale: file ") && events.contains("\"name\": \"truncator 0\""))
    #expect(try TemporaryFile.read(trace) == TemporaryFile.read(again))
  }
}
