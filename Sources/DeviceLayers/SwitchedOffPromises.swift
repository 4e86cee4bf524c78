/// Promises of the layers that an experiment switches off, to see that somebody notices: the layers' mutants.
///
/// Empty in every real run. What the rules of faults promise has no switch: a rule with a word left out is the mutant.
package struct SwitchedOffPromises: OptionSet, Sendable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  // Strict.
  package static let reportsMisplaced = Self(rawValue: 1 << 0)
  package static let reportsOverlaps = Self(rawValue: 1 << 1)
  package static let poisonsReads = Self(rawValue: 1 << 2)
  package static let reportsUnwritten = Self(rawValue: 1 << 3)
  package static let reportsSecondEnds = Self(rawValue: 1 << 4)
  package static let reportsOverdone = Self(rawValue: 1 << 5)

  // Volatile cache.
  package static let readersSeeCache = Self(rawValue: 1 << 6)
  package static let flushWaitsForWrites = Self(rawValue: 1 << 7)
  package static let flushGoesOn = Self(rawValue: 1 << 8)
  package static let forcedWritesAreStored = Self(rawValue: 1 << 9)
  package static let cacheIsBounded = Self(rawValue: 1 << 10)
  package static let overlapsKeepOrder = Self(rawValue: 1 << 11)
  package static let cutTakesCache = Self(rawValue: 1 << 12)
  package static let refusalIsTold = Self(rawValue: 1 << 13)

  // Latency, statistics, history.
  package static let timesHold = Self(rawValue: 1 << 14)
  package static let ratesHold = Self(rawValue: 1 << 15)
  package static let distanceCosts = Self(rawValue: 1 << 16)
  package static let failuresAreCounted = Self(rawValue: 1 << 17)
  package static let depthIsCounted = Self(rawValue: 1 << 18)
  package static let failuresAreRecorded = Self(rawValue: 1 << 19)
  package static let workersAreBusy = Self(rawValue: 1 << 20)

  /// Every promise with what its mutant does, for tables.
  package static let all: [(name: String, promise: SwitchedOffPromises)] = [
    ("strict: a misplaced request not reported", .reportsMisplaced),
    ("strict: overlapping writes not reported", .reportsOverlaps),
    ("strict: a read that nobody served returns what was in memory", .poisonsReads),
    ("strict: a read of what nobody has written not reported", .reportsUnwritten),
    ("strict: a second end not reported", .reportsSecondEnds),
    ("strict: more done than asked not reported", .reportsOverdone),
    ("volatile cache: readers get what the medium has", .readersSeeCache),
    ("volatile cache: a flush does not wait for writes", .flushWaitsForWrites),
    ("volatile cache: a flush ends here", .flushGoesOn),
    ("volatile cache: a forced write is answered at once", .forcedWritesAreStored),
    ("volatile cache: grows without bound", .cacheIsBounded),
    ("volatile cache: writes of the same bytes overtake one another", .overlapsKeepOrder),
    ("volatile cache: a power cut takes nothing", .cutTakesCache),
    ("volatile cache: a refused write counts as stored", .refusalIsTold),
    ("latency: requests come early", .timesHold),
    ("latency: no rate is kept", .ratesHold),
    ("latency: the head moves in no time", .distanceCosts),
    ("latency: all are worked on at once", .workersAreBusy),
    ("statistics: failures count as done", .failuresAreCounted),
    ("statistics: the depth stays", .depthIsCounted),
    ("history: failed writes count as done", .failuresAreRecorded),
  ]
}
