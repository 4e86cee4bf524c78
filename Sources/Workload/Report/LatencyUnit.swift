/// The unit of a latency in a report: the largest that still tells the values apart, chosen as fio does.
enum LatencyUnit: UInt64 {
  case nanoseconds = 1
  case microseconds = 1_000
  case milliseconds = 1_000_000

  /// fio goes up when the smallest value is above 2 and the largest above 99.999 of the next unit; of values with
  /// a deviation, when that is above 1 of it too.
  init(minimum: UInt64, maximum: UInt64, deviation: UInt64 = .max) {
    if minimum > 2_000_000, maximum > 99_999_999, deviation > 1_000_000 {
      self = .milliseconds
    } else if minimum > 2_000, maximum > 99_999, deviation > 1_000 {
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
