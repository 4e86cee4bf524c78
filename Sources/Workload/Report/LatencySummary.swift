/// How long operations of one kind took, in nanoseconds: what was counted, and the buckets of the histogram.
package struct LatencySummary: Sendable, Equatable {
  /// How many operations took `lowest...highest` nanoseconds.
  package struct Bucket: Sendable, Equatable {
    package let lowest: UInt64
    package let highest: UInt64
    package let count: UInt64

    package init(lowest: UInt64, highest: UInt64, count: UInt64) {
      self.lowest = lowest
      self.highest = highest
      self.count = count
    }
  }

  package let count: UInt64
  package let minimum: UInt64
  package let maximum: UInt64
  /// The mean and the standard deviation in picoseconds, rounded down: an operation on no device takes some nanoseconds.
  package let meanPicoseconds: UInt64
  package let deviationPicoseconds: UInt64
  /// Those with operations in them, from the shortest up.
  package let buckets: [Bucket]

  /// - Parameters:
  ///   - sum: of all latencies, from which comes the mean; the deviation comes from the buckets.
  ///   - buckets: at least one, none of them empty.
  package init(minimum: UInt64, maximum: UInt64, sum: UInt64, buckets: [Bucket]) {
    let count = buckets.reduce(0) { $0 + $1.count }
    self.count = count
    self.minimum = minimum
    self.maximum = maximum
    self.buckets = buckets
    meanPicoseconds = ReportNumber.scaled(sum, 1000, over: count)
    let mean = Double(sum) / Double(max(1, count))
    let squares = buckets.reduce(0.0) { squares, bucket in
      // What one bucket holds may be one value, which is then known.
      let middle = buckets.count == 1 ? mean : Double(bucket.lowest) / 2 + Double(bucket.highest) / 2
      return squares + Double(bucket.count) * (middle - mean) * (middle - mean)
    }
    deviationPicoseconds = UInt64(min(1e18, (squares / Double(max(2, count) - 1)).squareRoot() * 1000))
  }

  /// Several as one; nil of none.
  package init?(of parts: [LatencySummary]) {
    guard let minimum = parts.map(\.minimum).min(), let maximum = parts.map(\.maximum).max() else { return nil }
    var buckets: [Bucket] = []
    for bucket in parts.flatMap(\.buckets).sorted(by: { $0.lowest < $1.lowest }) {
      if let last = buckets.last, last.lowest == bucket.lowest {
        buckets[buckets.count - 1] = Bucket(
          lowest: last.lowest, highest: max(last.highest, bucket.highest), count: last.count + bucket.count)
      } else {
        buckets.append(bucket)
      }
    }
    let sum = parts.reduce(0.0) { $0 + Double($1.meanPicoseconds) * Double($1.count) / 1000 }
    self.init(minimum: minimum, maximum: maximum, sum: UInt64(min(1e19, sum)), buckets: buckets)
  }

  package var mean: UInt64 { meanPicoseconds / 1000 }

  /// The latency that so many operations do not exceed, in millionths of a percent.
  package func value(at percentile: UInt64) -> UInt64 {
    let product = count.multipliedFullWidth(by: min(percentile, Percentiles.whole))
    let (quotient, remainder) = Percentiles.whole.dividingFullWidth(product)
    let wanted = max(1, quotient + (remainder > 0 ? 1 : 0))
    var sum: UInt64 = 0
    for bucket in buckets {
      sum += bucket.count
      if sum >= wanted { return min(bucket.highest, maximum) }
    }
    return maximum
  }

  /// The median.
  package var p50: UInt64 { value(at: 50_000_000) }
  package var p99: UInt64 { value(at: 99_000_000) }
  package var p999: UInt64 { value(at: 99_900_000) }

  /// The operations in fio's buckets, each by the value that fio names it with. Ours lie within them.
  package var fioBins: [(value: UInt64, count: UInt64)] {
    buckets.reduce(into: []) { bins, bucket in
      let value = Self.fioBin(of: bucket.lowest)
      if bins.last?.value == value {
        bins[bins.count - 1].count += bucket.count
      } else {
        bins.append((value, bucket.count))
      }
    }
  }

  /// The value that stands for the bucket in which fio counts a latency: 64 buckets for each power of two, named by their
  /// middle, the last one for all that takes 17 seconds or longer (`plat_idx_to_val` in fio's stat.c).
  package static func fioBin(of nanoseconds: UInt64) -> UInt64 {
    let largest: UInt64 = 17_112_760_320
    guard nanoseconds >= 128 else { return nanoseconds }
    let width = UInt64(1) << UInt64(63 - nanoseconds.leadingZeroBitCount - 6)
    let start = nanoseconds / width * width
    return start >= largest ? largest : start + width / 2
  }
}

/// Which percentiles a job reports, and of what.
package struct Percentiles: Sendable, Equatable {
  /// A hundred percent in the unit of `list`.
  package static let whole: UInt64 = 100_000_000
  /// fio's default list, and p99.999.
  package static let usual: [UInt64] =
    [1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99].map { $0 * 1_000_000 }
    + [99_500_000, 99_900_000, 99_950_000, 99_990_000, 99_999_000]

  /// In millionths of a percent, from the smallest up.
  package var list = Percentiles.usual
  package var ofSubmission = false
  package var ofCompletion = true
  package var ofTotal = false

  package init() {}
}
