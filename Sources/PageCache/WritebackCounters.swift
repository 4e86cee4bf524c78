/// What writeback has done since the cache was made.
public struct WritebackCounters: Equatable, Sendable {
  /// Nothing yet.
  public init() {}
  /// Batches dispatched.
  public var batches: UInt64 = 0
  /// Pages in them.
  public var pages: UInt64 = 0
  /// Bytes in them.
  public var bytes: UInt64 = 0
  /// Bytes of the largest.
  public var largestBatchBytes: UInt64 = 0
  /// How many had at least 2^i bytes and fewer than twice that, by i.
  public var batchSizes: [UInt64] = []
  /// Lookups of extents.
  public var lookups: UInt64 = 0
  /// Batches discarded because their cookie was stale.
  public var staleBatches: UInt64 = 0
  /// Those of them where a block of the inode had been freed since the sample.
  public var staleAfterFree: UInt64 = 0
  /// Those of them where blocks had been allocated only.
  public var staleAfterAllocation: UInt64 = 0
  /// Pages of discarded batches that were still dirty and in the file: they were planned again.
  public var replannedPages: UInt64 = 0
}
