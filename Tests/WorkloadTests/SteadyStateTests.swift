import Testing

@testable import Workload

@Suite("Steady state")
struct SteadyStateTests {
  static let texts: [(String, String?)] = [
    ("iops:5%", "iops:5%"), ("bw_slope:0.25%", "bw_slope:0.25%"), ("bw:1000", "bw:1000"), ("iops", nil), ("iops:", nil),
    ("latency:5%", nil), ("iops:-1", nil), ("iops:5:6", nil), ("iops:nan", nil), ("", nil),
  ]

  @Test("criteria are those of fio", arguments: texts)
  func criteria(_ text: String, _ wanted: String?) {
    #expect(SteadyState.Criterion(text)?.text == wanted)
  }

  /// What comes of so many operations a second.
  private func state(_ criterion: String, _ seconds: [Int], duration: Int = 4, ramp: Int = 0) throws -> SteadyState {
    var state = SteadyState(try #require(SteadyState.Criterion(criterion)), duration: duration, ramp: ramp)
    for (second, count) in seconds.enumerated() {
      for index in 0..<count {
        state.note(bytes: 4096, at: UInt64(second) * 1_000_000_000 + UInt64(index) * 1_000_000_000 / UInt64(count))
      }
    }
    return state
  }

  @Test("a window is steady when none of its seconds is too far from the mean, or its line is flat")
  func windows() throws {
    // The last second has not ended.
    #expect(try state("iops:10%", [100, 100, 100, 100, 1]).isAttained)
    #expect(try !state("iops:10%", [100, 100, 100, 100]).isAttained)
    #expect(try !state("iops:10%", [100, 80, 120, 100, 1]).isAttained)
    let later = try state("iops:10%", [10, 400, 100, 95, 105, 100, 1])
    #expect(later.isAttained && later.operations == [100, 95, 105, 100] && later.deviation == 5)
    // Flat, but far from its mean; and steep.
    #expect(try state("iops_slope:1%", [100, 130, 130, 100, 1]).isAttained)
    #expect(try !state("iops_slope:1%", [100, 110, 120, 130, 1]).isAttained)
    let sloped = try state("iops_slope:10", [100, 110, 120, 130, 1])
    #expect(sloped.isAttained && sloped.deviation == 10)
    #expect(try state("bw:4096", [100, 101, 99, 100, 1]).isAttained)
    // What is before the ramp's end does not count.
    #expect(try !state("iops:10%", [100, 100, 100, 100, 1], ramp: 1).isAttained)
    // A pause is seconds without an operation.
    var paused = try state("iops:10%", [100, 100])
    paused.note(bytes: 1, at: 1_000_000_000_000)
    #expect(!paused.isAttained && paused.operations == [0, 0, 0, 0])
  }

  @Test("a job ends when its rate is steady, and the report says so")
  func run() async throws {
    let report = try await runJobs([
      "--name=a", "--ioengine=sim", "--rw=randread", "--size=1m", "--iodepth=2", "--rate_iops=300", "--runtime=60s",
      "--time_based", "--steadystate=iops:2%", "--ss_dur=3s", "--ss_ramp=1s",
    ])
    let state = try #require(report.groups[0].steadyState)
    #expect(state.isAttained && state.operations.count == 3)
    #expect(report.elapsedNanoseconds < 6_000_000_000 && report.elapsedNanoseconds > 3_900_000_000)
    let text = NormalReport.text(report)
    #expect(text.contains("  steadystate  : attained=yes, iops:2%, found="))
    #expect(text.contains("  rate         : read iops=") && text.contains("wanted=300, drift="))
    let document = try JSONChecker.parse(JSONReport.text(report, .test))
    guard case .array(let jobs)? = document["jobs"] else {
      Issue.record("no jobs")
      return
    }
    let steady = jobs[0]["steadystate"]
    #expect(steady?["attained"] == .number("1"))
    // As fio 3.33 writes it: bytes a second, and the distance in operations a second.
    #expect(steady?["data"]?["bw"] == .array(state.bytes.map { .number("\($0)") }))
    let sum = state.bytes.reduce(0, +)
    #expect(steady?["data"]?["bw_mean"] == .number("\(sum / 3)") && sum / 3 > 290 * 4096)
    #expect(steady?["max_deviation"] == .number(ReportNumber.sixDigits(state.distance)))
    #expect(steady?["slope"] == .number("0.000000"))
  }
}
