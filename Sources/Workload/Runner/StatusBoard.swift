internal import Reactor
internal import Synchronization

/// What a run has done so far. It becomes a report outside of the run's reactors.
package struct StatusSnapshot: Sendable {
  let copies: [CopyFigures]
  let elapsedNanoseconds: UInt64
  /// Whether somebody asked for it just now; it is no interval's.
  package let isRequested: Bool

  /// The report of what was done so far of this plan.
  package func report(of plan: WorkloadPlan) -> RunReport {
    var report = RunReport(
      command: plan.commandLine, seed: plan.jobs[0].randomSeed ?? 0, elapsedNanoseconds: elapsedNanoseconds)
    report.fill(copies.sorted { ($0.jobIndex, $0.copy) < ($1.jobIndex, $1.copy) }, of: plan)
    return report
  }
}

/// How much of what is to be noted has been: intervals of `--status-interval`, and requests.
struct StatusPoint: Sendable {
  var intervals = 0
  var requests = 0

  /// A lane that has ended holds nobody up.
  static let end = StatusPoint(intervals: .max, requests: .max)
}

/// Where lanes, each on its thread, put what they have done at each interval of `--status-interval` and when somebody asks.
/// When all have come to an interval, or have answered, whoever looks is told.
final class StatusBoard: Sendable {
  private struct Lane {
    var point: StatusPoint
    var copies: [CopyFigures] = []
    var elapsedNanoseconds: UInt64 = 0
  }
  private struct State {
    var lanes: [Lane] = []
    var told = StatusPoint()
    var ended: [CopyFigures] = []
    var endedNanoseconds: UInt64 = 0
  }
  // Lanes meet nowhere else. It is held while some values are put together, once an interval.
  private let state = Mutex(State())
  private let control: RunControl
  let intervalNanoseconds: UInt64?

  init(_ control: RunControl) {
    self.control = control
    intervalNanoseconds = control.onStatus == nil ? nil : control.statusInterval
  }

  /// Whether there is anybody to tell.
  var isWatched: Bool { control.onStatus != nil }
  /// How often somebody has asked, and how many of these requests have been answered.
  var requestCount: Int { control.statusRequestCount }
  var answeredCount: Int { state.withLock { $0.told.requests } }

  /// Lanes begin, after those before them have ended.
  func begin(laneCount: Int) {
    state.withLock { state in
      state.ended += state.lanes.flatMap(\.copies)
      state.endedNanoseconds += state.lanes.map(\.elapsedNanoseconds).max() ?? 0
      state.told.intervals = 0
      state.lanes = Array(repeating: Lane(point: state.told), count: laneCount)
    }
  }

  /// Notes what a lane has done when it has come to a point.
  func note(_ lane: Int, at point: StatusPoint, _ copies: [CopyFigures], elapsedNanoseconds: UInt64) {
    guard let onStatus = control.onStatus else { return }
    state.withLock { state in
      state.lanes[lane] = Lane(point: point, copies: copies, elapsedNanoseconds: elapsedNanoseconds)
      let told = state.told
      func tell(_ part: WritableKeyPath<StatusPoint, Int>, isRequested: Bool) {
        let least = state.lanes.map { $0.point[keyPath: part] }.min() ?? .max
        guard least > told[keyPath: part], least < .max else { return }
        state.told[keyPath: part] = least
        onStatus(
          StatusSnapshot(
            copies: state.ended + state.lanes.flatMap(\.copies),
            elapsedNanoseconds: state.endedNanoseconds + (state.lanes.map(\.elapsedNanoseconds).max() ?? 0),
            isRequested: isRequested))
      }
      tell(\.intervals, isRequested: false)
      tell(\.requests, isRequested: true)
    }
  }
}

/// When a lane is to note what it has done.
struct StatusClock {
  private let board: StatusBoard
  private var nextAt: Instant
  private var point: StatusPoint

  init(_ board: StatusBoard, from start: Instant) {
    self.board = board
    nextAt = start.advanced(byNanoseconds: board.intervalNanoseconds ?? 0)
    point = StatusPoint(requests: board.answeredCount)
  }

  /// The point that the lane has come to, if there is a new one; it is taken. Intervals that were missed are left out.
  mutating func takeDue(at now: Instant) -> StatusPoint? {
    var isDue = false
    if let interval = board.intervalNanoseconds, interval > 0, now >= nextAt {
      let passed = now.nanoseconds(since: nextAt) / interval + 1
      point.intervals += Int(passed)
      nextAt = nextAt.advanced(byNanoseconds: interval * passed)
      isDue = true
    }
    let requests = board.requestCount
    if requests > point.requests {
      point.requests = requests
      isDue = true
    }
    return isDue ? point : nil
  }

  /// The earlier of an instant and the end of the interval.
  func earliest(_ instant: Instant) -> Instant { board.intervalNanoseconds == nil ? instant : min(instant, nextAt) }
}
