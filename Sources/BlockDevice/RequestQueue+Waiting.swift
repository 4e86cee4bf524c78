internal import Reactor

/// Memory that a device may transfer to and from, zeroed when it is made.
///
/// A class, so that a request can keep it alive: one that timed out still owns its memory.
@safe public final class Buffer {
  let base: UnsafeMutableRawPointer
  /// The buffer's size in bytes.
  public let byteCount: Int

  /// Zeroed memory. `alignment`, in bytes, is a power of two.
  public init(byteCount: Int, alignment: Int = 4096) {
    unsafe base = .allocate(byteCount: byteCount, alignment: alignment)
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    self.byteCount = byteCount
  }
  deinit { unsafe base.deallocate() }

  /// Reads the bytes.
  public func withBytes<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
    try body(unsafe RawSpan(_unsafeStart: base, byteCount: byteCount))
  }
  /// Changes the bytes.
  public func withMutableBytes<R, E: Error>(_ body: (inout MutableRawSpan) throws(E) -> R) throws(E) -> R {
    var span = unsafe MutableRawSpan(_unsafeStart: base, byteCount: byteCount)
    return try body(&span)
  }
  /// All of it, as a segment of a request.
  public var segment: Segment { unsafe Segment(base: base, byteCount: byteCount) }
}

// The async face: one call a request. Each ends with the device's answer or at the deadline, never before.
extension RequestQueue {
  /// Submits an admitted, filled-in request and waits for its end.
  public func perform(_ request: Request) async throws(DeviceError) {
    let operation = request.operation, offset = request.offset
    let record = reactor.willWait("\(operation) at byte \(offset)")
    let outcome = await suspend {
      request.resumption = $0
      submit(request, handler: nil)
    }
    reactor.didWait(record)
    if outcome == 1 { throw .timedOut(operation, offset: offset) }
    let error = request.error
    giveBack(request)
    if let error { throw error }
  }

  /// Fills `buffer` from `offset`, in bytes.
  public func read(_ buffer: Buffer, at offset: UInt64) async throws(DeviceError) {
    try await transfer(.read, buffer, at: offset, isFUA: false)
  }

  /// Writes `buffer` at `offset`, in bytes; durable on return when `isFUA`.
  public func write(_ buffer: Buffer, at offset: UInt64, isFUA: Bool = false) async throws(DeviceError) {
    try await transfer(.write, buffer, at: offset, isFUA: isFUA)
  }

  private func transfer(_ operation: Operation, _ buffer: Buffer, at offset: UInt64, isFUA: Bool)
    async throws(DeviceError)
  {
    let request = try await admit()
    request.prepare(operation, at: offset, isFUA: isFUA)
    request.context = buffer
    _ = unsafe request.append(buffer.segment)
    try await perform(request)
  }

  /// Makes durable every write that was complete before this call.
  public func flush() async throws(DeviceError) {
    let request = try await admit()
    request.prepare(.flush, at: 0)
    try await perform(request)
  }

  /// Tells the device that a range, in bytes, is not needed any more.
  public func discard(at offset: UInt64, byteCount: Int) async throws(DeviceError) {
    let request = try await admit()
    request.prepare(.discard, at: offset, byteCount: byteCount)
    try await perform(request)
  }

  /// Makes a range, in bytes, read as zeroes.
  public func writeZeroes(at offset: UInt64, byteCount: Int) async throws(DeviceError) {
    let request = try await admit()
    request.prepare(.writeZeroes, at: offset, byteCount: byteCount)
    try await perform(request)
  }
}
