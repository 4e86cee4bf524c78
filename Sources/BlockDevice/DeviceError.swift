public import SystemPackage

/// What one request asks of a device.
public enum Operation: UInt8, Sendable, CaseIterable, BitwiseCopyable {
  /// Bytes from the device into memory.
  case read
  /// Bytes from memory to the device.
  case write
  /// Makes durable every write that completed before it was submitted.
  case flush
  /// Tells the device that nobody needs the bytes of a range any more.
  case discard
  /// Makes a range read as zeroes.
  case writeZeroes

  /// Whether it changes the medium. Discard and write zeroes count as writes.
  public var isWrite: Bool { self == .write || self == .discard || self == .writeZeroes }
}

/// Why a request, or the opening of a device, did not succeed.
public enum DeviceError: Error, Equatable, Sendable {
  /// The device or the operating system reported this errno. `offset` in bytes.
  case io(Operation, offset: UInt64, Errno)
  /// The request was not complete at its deadline. It may still become so: its memory and tag stay taken until then.
  case timedOut(Operation, offset: UInt64)
  /// The range, in bytes, is not inside the device.
  case outOfBounds(Operation, offset: UInt64, byteCount: UInt64, deviceByteCount: UInt64)
  /// Offset or length is no multiple of the logical block size, or a segment's address of the memory alignment.
  case misaligned(Operation, offset: UInt64, byteCount: UInt64, alignment: Int)
  /// A write to a device that was opened for reading.
  case readOnly(Operation)
  /// The queue was closed while the request waited for its place.
  case closed
  /// The backing file could not be opened or prepared: which step failed, and how.
  case cannotOpen(path: String, step: String, Errno)
  /// The backing file is too small, not a whole number of logical blocks, or of a kind that holds no blocks.
  case unsuitable(path: String, reason: String)
  /// Somebody else writes to the backing file: who, as far as it is known.
  case inUse(path: String, by: String)
}

extension DeviceError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .io(let operation, let offset, let errno): "\(operation) at byte \(offset): \(errno)"
    case .timedOut(let operation, let offset): "\(operation) at byte \(offset): not complete at its deadline"
    case .outOfBounds(let operation, let offset, let byteCount, let deviceByteCount):
      "\(operation) of \(byteCount) bytes at byte \(offset): outside the device of \(deviceByteCount) bytes"
    case .misaligned(let operation, let offset, let byteCount, let alignment):
      "\(operation) of \(byteCount) bytes at byte \(offset): not aligned to \(alignment) bytes"
    case .readOnly(let operation): "\(operation): the device was opened read-only"
    case .closed: "the device was closed"
    case .cannotOpen(let path, let step, let errno): "\(path): \(step): \(errno)"
    case .unsuitable(let path, let reason): "\(path): \(reason)"
    case .inUse(let path, let by): "\(path): in use by \(by)"
    }
  }
}
