internal import Reactor
internal import Synchronization

/// What a run has done so far. It becomes a report outside of the run's reactors.
package struct StatusSnapshot: Sendable {
  let copies: [CopyFigures]
  let elapsedNanoseconds: UInt64

  /// The report of what was done so far of this plan.
  package func report(of plan: WorkloadPlan) -> RunReport {
    var report = RunReport(
      command: plan.commandLine, seed: plan.jobs[0].randomSeed ?? 0, elapsedNanoseconds: elapsedNanoseconds)
    report.fill(copies.sorted { ($0.jobIndex, $0.copy) < ($1.jobIndex, $1.copy) }, of: plan)
    return report
  }
}

/// Where lanes, each on its thread, put what they have done at each interval of `--status-interval`. When all have come to
/// an interval, whoever asked is told.
final class StatusBoard: Sendable {
  private struct Lane {
    /// How many intervals it has noted; all that there may be when it has ended.
    var count = 0
    var copies: [CopyFigures] = []
    var elapsedNanoseconds: UInt64 = 0
  }
  private struct State {
    var lanes: [Lane] = []
    var toldCount = 0
    var ended: [CopyFigures] = []
    var endedNanoseconds: UInt64 = 0
  }
  // Lanes meet nowhere else. It is held while some values are put together, once an interval.
  private let state = Mutex(State())
  private let onStatus: (@Sendable (StatusSnapshot) -> Void)?
  let intervalNanoseconds: UInt64?

  init(_ control: RunControl) {
    onStatus = control.onStatus
    intervalNanoseconds = control.onStatus == nil ? nil : control.statusInterval
  }

  /// Lanes begin, after those before them have ended.
  func begin(laneCount: Int) {
    state.withLock { state in
      state.ended += state.lanes.flatMap(\.copies)
      state.endedNanoseconds += state.lanes.map(\.elapsedNanoseconds).max() ?? 0
      state.lanes = Array(repeating: Lane(), count: laneCount)
      state.toldCount = 0
    }
  }

  /// Notes what a lane has done at its interval of this number, from 1; or, nil, when it has ended.
  func note(_ lane: Int, interval: Int?, _ copies: [CopyFigures], elapsedNanoseconds: UInt64) {
    guard let onStatus else { return }
    state.withLock { state in
      state.lanes[lane] = Lane(count: interval ?? .max, copies: copies, elapsedNanoseconds: elapsedNanoseconds)
      let least = state.lanes.map(\.count).min() ?? .max
      guard least > state.toldCount, least < .max else { return }
      state.toldCount = least
      onStatus(
        StatusSnapshot(
          copies: state.ended + state.lanes.flatMap(\.copies),
          elapsedNanoseconds: state.endedNanoseconds + (state.lanes.map(\.elapsedNanoseconds).max() ?? 0)))
    }
  }
}

/// When a lane is to note what it has done.
struct StatusClock {
  private let interval: UInt64?
  private var nextAt: Instant
  /// The interval that is due next.
  private(set) var number = 1

  init(_ board: StatusBoard, from start: Instant) {
    interval = board.intervalNanoseconds
    nextAt = start.advanced(byNanoseconds: interval ?? 0)
  }

  /// Whether an interval is over; it is taken. Those that were missed are left out.
  mutating func takeDue(at now: Instant) -> Int? {
    guard let interval, interval > 0, now >= nextAt else { return nil }
    let passed = now.nanoseconds(since: nextAt) / interval
    number += Int(passed)
    nextAt = nextAt.advanced(byNanoseconds: interval * (passed + 1))
    defer { number += 1 }
    return number
  }

  /// The earlier of an instant and the end of the interval.
  func earliest(_ instant: Instant) -> Instant { interval == nil ? instant : min(instant, nextAt) }
}
