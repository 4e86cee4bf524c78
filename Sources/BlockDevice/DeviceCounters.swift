/// What a queue has dispatched to its device, requests after merging, and their bytes; and what came back that was none of
/// them.
public struct DeviceCounters: Equatable, Sendable {
  /// Nothing yet.
  public init() {}
  /// Read requests.
  public var reads: UInt64 = 0
  /// Write requests; discards and write zeroes are counted by themselves.
  public var writes: UInt64 = 0
  /// Flushes.
  public var flushes: UInt64 = 0
  /// Discards.
  public var discards: UInt64 = 0
  /// Write-zeroes requests.
  public var zeroings: UInt64 = 0
  /// Bytes of the reads.
  public var readBytes: UInt64 = 0
  /// Bytes of the writes.
  public var writeBytes: UInt64 = 0
  /// Completions of requests that were not at the device: it told an end twice. They change nothing.
  public var spuriousCompletions: UInt64 = 0

  mutating func count(_ request: Request) {
    switch request.operation {
    case .read:
      reads += 1
      readBytes += UInt64(request.transferByteCount)
    case .write:
      writes += 1
      writeBytes += UInt64(request.transferByteCount)
    case .flush: flushes += 1
    case .discard: discards += 1
    case .writeZeroes: zeroings += 1
    }
  }
}
