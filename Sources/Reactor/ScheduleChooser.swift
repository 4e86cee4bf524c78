/// Makes the choices of a simulated run: the first one everywhere, but where it was told to deviate. So the runs of an
/// experiment can be enumerated by the number of their deviations (Musuvathi and Qadeer, "Iterative Context Bounding for
/// Systematic Testing of Multithreaded Programs", PLDI 2007).
///
/// Sendable because it is one reactor's, whose thread alone makes choices; who made it reads `counts` when the run has
/// ended, and turns it on and off from a task of that run.
public final class ScheduleChooser: @unchecked Sendable {
  /// A choice that is not the first one.
  public struct Deviation: Equatable, Sendable, CustomStringConvertible {
    /// The number of the choice, from 0 on, among those made while the chooser was on.
    public let point: Int
    /// Which of what there is to choose from, from 1 on.
    public let choice: Int
    public var description: String { "\(point):\(choice)" }
    public init(point: Int, choice: Int) {
      self.point = point
      self.choice = choice
    }

    /// "point:choice", as `description` has it; nil for anything else.
    public init?(_ text: some StringProtocol) {
      let parts = text.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
      guard parts.count == 2, let point = parts[0], let choice = parts[1], point >= 0, choice >= 1 else { return nil }
      self.init(point: point, choice: choice)
    }
  }

  /// How soon a timer has to be due to be among the choices, in nanoseconds.
  public let horizon: UInt64
  /// Off, it takes the first choice everywhere and counts nothing.
  public var isOn = false
  private var deviations: ArraySlice<Deviation>
  /// How many choices there were at each point so far.
  public private(set) var counts: [Int] = []

  /// Deviations in ascending order of their points.
  public init(_ deviations: [Deviation] = [], horizon: UInt64 = 200_000) {
    self.deviations = deviations[...]
    self.horizon = horizon
  }

  func choose(among count: Int) -> Int {
    guard isOn, count > 1 else { return 0 }
    counts.append(count)
    guard let next = deviations.first, next.point == counts.count - 1 else { return 0 }
    deviations.removeFirst()
    return min(next.choice, count - 1)
  }
}

/// Enumerates all runs with at most so many deviations, each once.
public struct ScheduleEnumerator {
  private let bound: Int
  /// Runs that are to be handed out, by how many deviations they have.
  private var waiting: [[[ScheduleChooser.Deviation]]] = [[[]]]
  /// Runs that were handed out.
  public private(set) var count = 0

  /// Runs with at most `bound` deviations.
  public init(bound: Int) { self.bound = bound }

  /// The deviations of the next run; nil when there is none left that has at most `limit` of them. Those with more come
  /// first, so that what waits stays short.
  public mutating func next(atMost limit: Int = .max) -> [ScheduleChooser.Deviation]? {
    for level in waiting.indices.reversed() where level <= limit {
      guard let run = waiting[level].popLast() else { continue }
      count += 1
      return run
    }
    return nil
  }

  /// Notes how many choices there were at each point of a run: what follows from it is handed out later.
  public mutating func note(_ counts: [Int], of run: [ScheduleChooser.Deviation]) {
    guard run.count < bound else { return }
    let first = run.last.map { $0.point + 1 } ?? 0
    guard first < counts.count else { return }
    if waiting.count == run.count + 1 { waiting.append([]) }
    for point in (first..<counts.count).reversed() {
      for choice in (1..<counts[point]).reversed() {
        waiting[run.count + 1].append(run + [ScheduleChooser.Deviation(point: point, choice: choice)])
      }
    }
  }
}
