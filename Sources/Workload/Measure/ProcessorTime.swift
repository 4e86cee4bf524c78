internal import Glibc

/// What work cost the processor.
package struct ProcessorTime: Sendable, Equatable {
  /// In nanoseconds.
  package var user: UInt64 = 0
  package var system: UInt64 = 0
  /// Context switches, those that were waits and those that were not.
  package var voluntarySwitches: UInt64 = 0
  package var involuntarySwitches: UInt64 = 0
  /// Page faults with and without a transfer.
  package var majorFaults: UInt64 = 0
  package var minorFaults: UInt64 = 0

  package init() {}

  package var contextSwitches: UInt64 { voluntarySwitches + involuntarySwitches }

  /// All that the calling thread has cost up to now: a reactor has a thread to itself.
  static var ofThread: ProcessorTime {
    var usage = rusage()
    // RUSAGE_THREAD (sys/resource.h), which the module map has only with _GNU_SOURCE.
    _ = unsafe getrusage(1, &usage)
    var time = timespec()
    _ = unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    var result = ProcessorTime(usage)
    // The clock counts each nanosecond; the split is a guess by the timer's ticks (getrusage(2)).
    let whole = UInt64(max(0, time.tv_sec)) * 1_000_000_000 + UInt64(max(0, time.tv_nsec))
    result.system = min(whole, result.system)
    result.user = whole - result.system
    return result
  }

  private init(_ usage: rusage) {
    func nanoseconds(_ time: timeval) -> UInt64 {
      UInt64(max(0, time.tv_sec)) * 1_000_000_000 + UInt64(max(0, time.tv_usec)) * 1000
    }
    user = nanoseconds(usage.ru_utime)
    system = nanoseconds(usage.ru_stime)
    voluntarySwitches = UInt64(max(0, usage.ru_nvcsw))
    involuntarySwitches = UInt64(max(0, usage.ru_nivcsw))
    majorFaults = UInt64(max(0, usage.ru_majflt))
    minorFaults = UInt64(max(0, usage.ru_minflt))
  }

  /// What was added since an earlier look.
  func since(_ earlier: ProcessorTime) -> ProcessorTime {
    var part = ProcessorTime()
    part.user = user - min(user, earlier.user)
    part.system = system - min(system, earlier.system)
    part.voluntarySwitches = voluntarySwitches - min(voluntarySwitches, earlier.voluntarySwitches)
    part.involuntarySwitches = involuntarySwitches - min(involuntarySwitches, earlier.involuntarySwitches)
    part.majorFaults = majorFaults - min(majorFaults, earlier.majorFaults)
    part.minorFaults = minorFaults - min(minorFaults, earlier.minorFaults)
    return part
  }

  /// The share of a copy that did so many of the operations.
  func share(_ part: UInt64, of whole: UInt64) -> ProcessorTime {
    guard whole > 0 else { return ProcessorTime() }
    func share(_ value: UInt64) -> UInt64 { UInt64(Double(value) * Double(part) / Double(whole)) }
    var result = ProcessorTime()
    result.user = share(user)
    result.system = share(system)
    result.voluntarySwitches = share(voluntarySwitches)
    result.involuntarySwitches = share(involuntarySwitches)
    result.majorFaults = share(majorFaults)
    result.minorFaults = share(minorFaults)
    return result
  }

  mutating func add(_ other: ProcessorTime) {
    user += other.user
    system += other.system
    voluntarySwitches += other.voluntarySwitches
    involuntarySwitches += other.involuntarySwitches
    majorFaults += other.majorFaults
    minorFaults += other.minorFaults
  }
}
