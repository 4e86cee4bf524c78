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
  /// Requests that went along with another one, to which they were adjacent.
  public var merges: UInt64 = 0
  /// How often somebody waited for a place in the queue.
  public var admissionWaits: UInt64 = 0
  /// For how long, all waits together, in nanoseconds.
  public var admissionWaitNanoseconds: UInt64 = 0
  /// What the device asked of the operating system.
  public var host = HostCalls()
  /// Completions of requests that were not at the device: it told an end twice. They change nothing.
  public var spuriousCompletions: UInt64 = 0

  /// Counts a request and those that are merged into it.
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

/// What a device asked of the operating system.
public struct HostCalls: Equatable, Sendable {
  /// Nothing yet.
  public init() {}
  /// System calls to submit and to complete requests.
  public var systemCalls: UInt64 = 0
  /// How often the kernel had no room for what was submitted (EAGAIN), so that it was submitted again later.
  public var requeues: UInt64 = 0
}
