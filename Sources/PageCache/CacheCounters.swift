public import Reactor

/// How often what was wanted was in memory.
public struct CacheCounters: Equatable, Sendable {
  /// Nothing yet.
  public init() {}
  /// It was there, or on its way already.
  public var hits: UInt64 = 0
  /// It had to be read.
  public var misses: UInt64 = 0
}

/// How long pages were dirty before they were durable: from the first change that their write carried to the end of the
/// flush that covered that write.
public struct DirtyTime: Equatable, Sendable {
  /// Nothing yet.
  public init() {}
  /// Pages that became durable; one counts each time.
  public var pages: UInt64 = 0
  /// All their times together, in nanoseconds.
  public var totalNanoseconds: UInt64 = 0
  /// The longest, in nanoseconds.
  public var maximumNanoseconds: UInt64 = 0
}

/// Follows pages from their write to the flush that makes them durable, by sums: a page costs an addition.
public final class DurabilityClock {
  /// Pages that were written and are not durable yet.
  public struct Written {
    var pages: UInt64 = 0
    /// The sum of the instants at which they became dirty.
    var dirtySince: UInt128 = 0
    var earliest: Instant?
  }
  /// What became durable so far.
  public private(set) var time = DirtyTime()
  private var written = Written()

  init() {}

  /// A page was written that had been dirty since then.
  func noteWritten(dirtySince: Instant) {
    written.pages += 1
    written.dirtySince += UInt128(dirtySince.nanoseconds)
    written.earliest = min(written.earliest ?? dirtySince, dirtySince)
  }

  /// A flush is submitted: it covers what was written up to now.
  public func flushBegins() -> Written {
    defer { written = Written() }
    return written
  }

  /// The flush has ended. One that failed made nothing durable.
  public func flushEnded(_ covered: Written, isDurable: Bool, at now: Instant) {
    guard covered.pages > 0, let earliest = covered.earliest else { return }
    guard isDurable else {
      written.pages += covered.pages
      written.dirtySince += covered.dirtySince
      written.earliest = min(written.earliest ?? earliest, earliest)
      return
    }
    let sum = UInt128(now.nanoseconds) * UInt128(covered.pages) - covered.dirtySince
    time.pages += covered.pages
    time.totalNanoseconds += UInt64(clamping: sum)
    time.maximumNanoseconds = max(time.maximumNanoseconds, now.nanoseconds(since: earliest))
  }
}
