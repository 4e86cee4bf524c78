/// The unit of a latency in a report: the largest that still tells the values apart, chosen as fio does.
enum LatencyUnit: UInt64 {
  case nanoseconds = 1
  case microseconds = 1_000
  case milliseconds = 1_000_000

  /// fio goes up when the smallest value is above 2 and the largest above 99.999 of the next unit.
  init(minimum: UInt64, maximum: UInt64) {
    if minimum > 2_000_000, maximum > 99_999_999 {
      self = .milliseconds
    } else if minimum > 2_000, maximum > 99_999 {
      self = .microseconds
    } else {
      self = .nanoseconds
    }
  }

  var name: String {
    switch self {
    case .nanoseconds: "nsec"
    case .microseconds: "usec"
    case .milliseconds: "msec"
    }
  }
}
