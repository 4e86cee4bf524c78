import FaultLab
import PageCache
import Support
import Testing

@Suite("Failing requests", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct SweepTests {
  private static func run(_ options: SweepOptions) throws -> SweepReport {
    try Sweeper(options, now: { 0 }, stopReason: { nil }).run()
  }

  private static func text(_ report: SweepReport) -> String {
    report.violations.map { "\($0.operation) \($0.point): \($0.finding)" }.joined(separator: "\n")
  }

  // Operations and ways to fail, so that each comes up; blkdev-run sweep runs all of each.
  @Test(
    "whichever request fails: the tree is old or new, errors are told once, and all is written when the fault is gone",
    arguments: [
      ("mount", "EIO"), ("remount-read-only", "stored"), ("freeze", "torn"), ("thaw", "EIO"), ("read", "no-progress"),
      ("overwrite", "short"), ("append-indirect", "full-EIO"), ("truncate-indirect", "late"),
      ("create-in-full-block", "EIO"), ("unlink", "EIO"), ("rename-over-directory", "EAGAIN"),
      ("symlink-long", "EILSEQ"),
      ("setxattr-replace", "full"), ("fsync", "hang"), ("sync", "full-hang"),
    ])
  func part(operation: String, fault: String) throws {
    var options = SweepOptions()
    options.operation = operation
    options.faults = [fault]
    options.cleanSampling = 10
    let report = try Self.run(options)
    #expect(report.violations.isEmpty, "\(Self.text(report))")
    #expect(report.points > 2 && report.runCount > report.points && report.cleanImages > 0)
    #expect(report.operationCount == 1 && report.stopReason == nil)
    #expect((report.failedCount > 0) == !["short", "EAGAIN", "full"].contains(fault))
  }

  @Test("what an unmount has left that threw is mended by e2fsck and judged again, for a reader and after a power cut")
  func unfinished() throws {
    var options = SweepOptions()
    options.operation = "append-indirect"
    options.point = "unmount:2:EIO:forever"
    options.cleanSampling = 1
    let report = try Self.run(options)
    #expect(report.violations.isEmpty && report.points == 1, "\(Self.text(report))")
    // What the disk shows and what it would keep differ.
    #expect(report.repairedImages == 2)
  }

  /// Where each mutant shows, so that no whole sweep is needed to see it.
  private static let places: [String: (operation: String, fault: String)] = [
    "fsync that ignores pages under writeback": ("overwrite", "EIO"),
    "a failed flush forgotten": ("sync", "EIO"),
    "a failed batch retried outside the plan": ("unmount", "EIO"),
    "a failed page dropped": ("sync", "EIO"),
    "failed metadata dropped": ("thaw", "EIO"),
    "an error of writeback told to nobody": ("freeze", "EIO"),
    "an error of writeback told again and again": ("freeze", "EIO"),
    "what a failed operation took not given back": ("mkdir", "EIO"),
    "a volume marked clean although something was not written": ("thaw", "EIO"),
    "a change after a failed freeze on a volume marked clean": ("freeze", "EIO"),
    "a removed file that could not be freed given up": ("unlink", "EIO"),
  ]

  @Test("a rule of error handling that does not hold is noticed", arguments: SweepOptions.mutants)
  func mutants(name: String) throws {
    let place = try #require(Self.places[name])
    var options = SweepOptions()
    options.switchedOff = try #require(SwitchedOffRules.all.first { $0.name == name }?.rule)
    options.operation = place.operation
    options.faults = [place.fault]
    options.violationLimit = 1
    let reason: StaticString = "what a volume without the rule holds, or waits for, for ever"
    let violation = try #require(try leaving(reason) { try Self.run(options).violations.first })
    // The same point shows it again.
    options.faults = nil
    options.point = violation.point
    let again = try leaving(reason) { try Self.run(options) }
    #expect(again.runCount == 1 && again.violations.first?.finding == violation.finding)
  }

  @Test("a sweep that is stopped says so")
  func stopping() throws {
    var options = SweepOptions()
    options.faults = ["EIO"]
    var count = 0
    let report = try Sweeper(
      options, now: { 0 },
      stopReason: {
        count += 1
        return count > 5 ? "interrupted" : nil
      }
    ).run()
    #expect(report.stopReason == "interrupted" && report.runCount == 5)
  }

  @Test("points are read as they are written")
  func points() {
    for text in ["call:1:EIO:once", "sync:12:full-hang:forever", "unmount:3:torn:healing"] {
      #expect(SweepOptions.isPoint(text))
    }
    for text in [
      "", "call", "call:0:EIO:once", "call:1:EIO", "call:1:EAGAIN:forever", "call:1:EIO:once:", "x:1:EIO:once",
    ] {
      #expect(!SweepOptions.isPoint(text))
    }
    #expect(Set(SweepOptions.operations).count == SweepOptions.operations.count)
  }
}
