// The two clocks of a reactor. Nothing below the command line reads any other.

/// A point on a reactor's monotonic clock, in nanoseconds. Virtual in simulation.
public struct Instant: Comparable, Hashable, Sendable {
  /// Nanoseconds since an origin that means nothing.
  public let nanoseconds: UInt64

  /// The instant that many nanoseconds after the origin.
  public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

  /// The instant `nanoseconds` later; the last one there is when that overflows.
  public func advanced(byNanoseconds nanoseconds: UInt64) -> Instant {
    let (sum, overflow) = self.nanoseconds.addingReportingOverflow(nanoseconds)
    return Instant(nanoseconds: overflow ? .max : sum)
  }

  /// Nanoseconds from `earlier` to this instant; 0 when `earlier` is later.
  public func nanoseconds(since earlier: Instant) -> UInt64 {
    nanoseconds > earlier.nanoseconds ? nanoseconds - earlier.nanoseconds : 0
  }
}

/// A time of the calendar: what a file system writes into an inode.
public struct CalendarTime: Comparable, Hashable, Sendable {
  /// Whole seconds since 1970-01-01 00:00 UTC.
  public let seconds: Int64
  /// The rest, below one second.
  public let nanoseconds: UInt32

  /// A time from its two parts.
  public init(seconds: Int64, nanoseconds: UInt32) {
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }

  /// A time from nanoseconds since 1970.
  public init(nanosecondsSince1970 total: UInt64) {
    seconds = Int64(total / 1_000_000_000)
    nanoseconds = UInt32(total % 1_000_000_000)
  }

  public static func < (left: CalendarTime, right: CalendarTime) -> Bool {
    (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
  }
}
