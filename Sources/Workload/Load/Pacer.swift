internal import Reactor

/// When the operations of a job with a rate are meant to begin: by the rate alone, however late the ones before are. What
/// is late then is reported as latency from the intended start, so that a slow device cannot slow down its own
/// measurement ("coordinated omission").
struct Pacer {
  private let schedule: Schedule
  private let hasRate: Bool
  /// When the next of each direction is due, in nanoseconds after the start.
  private var due = PerDirection<Double>(0)

  init(_ schedule: Schedule) {
    self.schedule = schedule
    hasRate = schedule.hasRate
  }

  /// Which direction is next at a time after the start, of a job of both, after one was drawn: that one, unless it is ahead
  /// of its rate and the other one is due earlier. Each has its rate so, whatever the mix, as with fio (its `rate_ddir`).
  func direction(drawn: Direction, at time: UInt64) -> Direction {
    if !hasRate || dueTime(drawn) <= Double(time) { return drawn }
    let other = drawn == .read ? Direction.write : .read
    return dueTime(other) < dueTime(drawn) ? other : drawn
  }

  private func dueTime(_ direction: Direction) -> Double {
    schedule.bytesPerSecond[direction] == nil && schedule.operationsPerSecond[direction] == nil ? 0 : due[direction]
  }

  /// When an operation of so many bytes is meant to begin, in nanoseconds after the start; nil: as soon as can be.
  mutating func takeTurn(_ direction: Direction, byteCount: Int, _ random: inout SeededGenerator) -> UInt64? {
    if !hasRate { return nil }
    let byBytes = schedule.bytesPerSecond[direction].map { Double(byteCount) * 1e9 / Double($0) }
    let byCount = schedule.operationsPerSecond[direction].map { 1e9 / Double($0) }
    guard let interval = [byBytes, byCount].compactMap(\.self).max() else { return nil }
    let turn = due[direction]
    due[direction] += schedule.rateProcess == .poisson ? interval * random.exponential() : interval
    return UInt64(min(turn, 9e18))
  }
}
