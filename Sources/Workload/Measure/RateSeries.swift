/// How much was done in each half second, as fio samples it (its `bwavgtime` and `iopsavgtime`): kept for every job,
/// whoever asks for more with `log_avg_msec`. In bounded memory: beyond so many intervals, two neighbours become one.
package struct RateSeries: Sendable, Equatable {
  package struct Amount: Sendable, Equatable {
    package var count: UInt64 = 0
    package var byteCount: UInt64 = 0
  }

  private static let limit = 4096

  /// In nanoseconds.
  package private(set) var interval: UInt64 = 500_000_000
  /// One value for each interval that is over, from when the job counts.
  package private(set) var amounts = PerOperation<[Amount]>()
  /// Intervals that are over.
  private var length = 0
  /// What had been done when the last of them ended.
  private var totals = PerOperation<Amount>()

  package init() {}

  /// Nanoseconds from when the job counts to the end of the interval that goes on.
  var nextEnd: UInt64 { (UInt64(length) + 1) * interval }

  /// Ends the intervals that are over at `time`, in the first of which all was done that is new since the last call.
  mutating func close(until time: UInt64, _ done: PerOperation<Amount>) {
    var done: PerOperation<Amount>? = done
    while nextEnd <= time {
      length += 1
      if let now = done.take() {
        for (operation, total) in now.present {
          let before = totals[operation] ?? Amount()
          pad(operation, to: length)
          amounts[operation]?[length - 1] = Amount(
            count: total.count - min(total.count, before.count),
            byteCount: total.byteCount - min(total.byteCount, before.byteCount))
        }
        totals = now
      }
      if length == Self.limit { widen() }
    }
    for (operation, _) in amounts.present { pad(operation, to: length) }
  }

  /// Adds what another copy did in the same time.
  mutating func add(_ other: RateSeries) {
    var other = other
    while interval < other.interval { widen() }
    while other.interval < interval { other.widen() }
    length = max(length, other.length)
    for (operation, list) in other.amounts.present {
      pad(operation, to: length)
      for (index, amount) in list.enumerated() {
        amounts[operation]?[index].count += amount.count
        amounts[operation]?[index].byteCount += amount.byteCount
      }
    }
    for (operation, _) in amounts.present { pad(operation, to: length) }
  }

  private mutating func pad(_ operation: ReportedOperation, to length: Int) {
    var list = amounts[operation] ?? []
    amounts[operation] = nil
    list.append(contentsOf: repeatElement(Amount(), count: max(0, length - list.count)))
    amounts[operation] = list
  }

  /// Makes intervals twice as long. One without a second half is not over then.
  private mutating func widen() {
    interval *= 2
    length /= 2
    for (operation, list) in amounts.present {
      amounts[operation] = stride(from: 0, to: list.count / 2 * 2, by: 2).map { index in
        Amount(
          count: list[index].count + list[index + 1].count,
          byteCount: list[index].byteCount + list[index + 1].byteCount)
      }
    }
  }
}
