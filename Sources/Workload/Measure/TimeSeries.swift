// What happened when: operations, counters and accesses by bins of time, in bounded memory.
//
// Every series has at most so many bins; when it needs more, two neighbours become one and its bins are twice as wide.

/// Latencies by eighths of an octave: a bucket's ends differ by an eighth at most, and it costs four bytes.
package struct LatencyBuckets: Sendable, Equatable {
  /// The number of the first bucket that is kept, and the counts from it on.
  private var first = 0
  private var counts: [UInt32] = []

  package init() {}

  /// The bucket of a latency: eight an octave.
  private static func bucket(of nanoseconds: UInt64) -> Int {
    if nanoseconds < 8 { return Int(nanoseconds) }
    let exponent = 63 - nanoseconds.leadingZeroBitCount
    return exponent * 8 - 16 + Int(nanoseconds >> UInt64(exponent - 3)) & 7
  }

  /// The largest latency of a bucket.
  private static func end(of bucket: Int) -> UInt64 {
    if bucket < 8 { return UInt64(bucket) }
    let exponent = bucket / 8 + 2, eighth = UInt64(bucket % 8)
    return (1 << UInt64(exponent)) + ((eighth + 1) << UInt64(exponent - 3)) - 1
  }

  package mutating func record(_ nanoseconds: UInt64) { add(1, to: Self.bucket(of: nanoseconds)) }

  private mutating func add(_ count: UInt32, to bucket: Int) {
    if counts.isEmpty {
      first = bucket
    } else if bucket < first {
      counts.insert(contentsOf: repeatElement(0, count: first - bucket), at: 0)
      first = bucket
    }
    let index = bucket - first
    if index >= counts.count { counts.append(contentsOf: repeatElement(0, count: index + 1 - counts.count)) }
    counts[index] &+= count
  }

  package mutating func add(_ other: LatencyBuckets) {
    for (index, count) in other.counts.enumerated() where count > 0 { add(count, to: other.first + index) }
  }

  /// The latency that so much of the operations do not exceed: the end of its bucket; 0 without any.
  package func value(atPercent percent: Double) -> UInt64 {
    let total = counts.reduce(0) { $0 + UInt64($1) }
    let wanted = UInt64((Double(total) * percent / 100).rounded(.up))
    var sum: UInt64 = 0
    for (index, count) in counts.enumerated() {
      sum += UInt64(count)
      if sum >= max(1, wanted) { return Self.end(of: first + index) }
    }
    return 0
  }
}

/// The operations of one kind that ended in one bin of time.
package struct TimeBin: Sendable, Equatable {
  package var count: UInt64 = 0
  package var byteCount: UInt64 = 0
  package var totalNanoseconds: UInt64 = 0
  package var maximumNanoseconds: UInt64 = 0
  package var latencies = LatencyBuckets()

  package init() {}

  package var meanNanoseconds: UInt64 { count == 0 ? 0 : totalNanoseconds / count }

  mutating func add(_ other: TimeBin) {
    count += other.count
    byteCount += other.byteCount
    totalNanoseconds += other.totalNanoseconds
    maximumNanoseconds = max(maximumNanoseconds, other.maximumNanoseconds)
    latencies.add(other.latencies)
  }
}

/// The operations of a job over time, by kind.
package struct TimeSeries: Sendable, Equatable {
  /// Bins are so wide, in nanoseconds.
  package private(set) var binNanoseconds: UInt64
  /// One value a bin, from the begin of the run on; each kind's list ends with its last operation.
  package private(set) var bins = PerOperation<[TimeBin]>()
  private let limit: Int

  /// - Parameter limit: the most bins; an even number.
  package init(binNanoseconds: UInt64, limit: Int = 8192) {
    self.binNanoseconds = max(1, binNanoseconds)
    self.limit = limit
  }

  /// Notes an operation that ended so long after the begin of the run.
  package mutating func record(
    _ operation: ReportedOperation, at time: UInt64, bytes: Int, nanoseconds: UInt64
  ) {
    while time / binNanoseconds >= UInt64(limit) { widen() }
    let index = Int(time / binNanoseconds)
    var list = bins[operation] ?? []
    bins[operation] = nil
    if index >= list.count { list.append(contentsOf: repeatElement(TimeBin(), count: index + 1 - list.count)) }
    list[index].count += 1
    list[index].byteCount += UInt64(bytes)
    list[index].totalNanoseconds += nanoseconds
    list[index].maximumNanoseconds = max(list[index].maximumNanoseconds, nanoseconds)
    list[index].latencies.record(nanoseconds)
    bins[operation] = list
  }

  /// Makes bins twice as wide.
  private mutating func widen() {
    binNanoseconds *= 2
    for (operation, list) in bins.present {
      bins[operation] = stride(from: 0, to: list.count, by: 2).map { index in
        var bin = list[index]
        if index + 1 < list.count { bin.add(list[index + 1]) }
        return bin
      }
    }
  }

  /// Adds what another copy did over the same time.
  package mutating func add(_ other: TimeSeries) {
    var other = other
    while binNanoseconds < other.binNanoseconds { widen() }
    while other.binNanoseconds < binNanoseconds { other.widen() }
    for (operation, list) in other.bins.present {
      var sum = bins[operation] ?? []
      if sum.count < list.count { sum.append(contentsOf: repeatElement(TimeBin(), count: list.count - sum.count)) }
      for (index, bin) in list.enumerated() { sum[index].add(bin) }
      bins[operation] = sum
    }
  }
}

/// Counters over time: what each has grown by in each bin.
package struct CounterSeries: Sendable, Equatable {
  package private(set) var binNanoseconds: UInt64
  package let names: [String]
  /// A row a bin: what each counter has grown by.
  package private(set) var rows: [[UInt64]] = []
  private var last: [UInt64]
  private var lastTime: UInt64
  private let limit: Int

  /// - Parameters:
  ///   - values: what the counters are at the begin.
  ///   - time: when that is; later than 0 where other jobs came first.
  package init(binNanoseconds: UInt64, names: [String], values: [UInt64], from time: UInt64 = 0, limit: Int = 8192) {
    precondition(names.count == values.count)
    self.binNanoseconds = max(1, binNanoseconds)
    self.names = names
    last = values
    lastTime = time
    self.limit = limit
  }

  /// Whether a sample at this time would fall into a bin that has none.
  package func isDue(at time: UInt64) -> Bool { time / binNanoseconds >= UInt64(rows.count) }

  /// Enters what the counters are now. What they have grown by since the last sample belongs to the bin of that one: who
  /// samples once a bin does so at its begin, and what is new then was done in the bin before.
  package mutating func sample(_ values: [UInt64], at time: UInt64) {
    while time / binNanoseconds >= UInt64(limit) { widen() }
    while rows.count <= Int(time / binNanoseconds) { rows.append([UInt64](repeating: 0, count: names.count)) }
    let index = Int(min(lastTime, time) / binNanoseconds)
    for column in names.indices {
      rows[index][column] += values[column] - min(values[column], last[column])
    }
    last = values
    lastTime = time
  }

  private mutating func widen() {
    binNanoseconds *= 2
    rows = stride(from: 0, to: rows.count, by: 2).map { index in
      index + 1 < rows.count ? zip(rows[index], rows[index + 1]).map { $0 + $1 } : rows[index]
    }
  }

  /// Adds the counters of another lane over the same time.
  package mutating func add(_ other: CounterSeries) {
    precondition(names == other.names)
    var other = other
    while binNanoseconds < other.binNanoseconds { widen() }
    while other.binNanoseconds < binNanoseconds { other.widen() }
    while rows.count < other.rows.count { rows.append([UInt64](repeating: 0, count: names.count)) }
    for (index, row) in other.rows.enumerated() {
      for column in names.indices { rows[index][column] += row[column] }
    }
  }
}
