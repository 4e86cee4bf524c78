public import SystemPackage

/// The bytes of a volume that is not mounted: of an image in memory, of a file or of a block device.
///
/// Everything here is synchronous: who makes or checks a volume has nothing else to do meanwhile.
public protocol VolumeBytes: AnyObject {
  /// How many there are.
  var byteCount: UInt64 { get }
  /// Fills `buffer` with the bytes from `offset` on. Reading past the end is an error of the caller.
  func read(at offset: UInt64, into buffer: inout MutableRawSpan) throws(VolumeBytesError)
  /// Writes bytes at `offset`, inside the volume.
  func write(_ bytes: RawSpan, at offset: UInt64) throws(VolumeBytesError)
  /// Calls `body` with bytes from `offset` on, which are valid during the call alone. Bytes that lie in memory are lent
  /// as they are, others are read into the buffer.
  func lendBytes(
    at offset: UInt64, count: Int, buffer: TransferBuffer, _ body: (RawSpan) -> Void
  ) throws(VolumeBytesError)
  /// Makes bytes read as zero, where that is possible without writing them.
  func zero(at offset: UInt64, byteCount: UInt64) throws(VolumeBytesError)
  /// Makes durable what was written before.
  func synchronize() throws(VolumeBytesError)
  /// Makes all bytes read as zero, where that is possible without writing them; else changes nothing and returns false.
  func discardAll() throws(VolumeBytesError) -> Bool
}

extension VolumeBytes {
  /// Writes zeros, at most 1 MiB at a time.
  public func writeZeros(at offset: UInt64, byteCount: UInt64) throws(VolumeBytesError) {
    let zeros = [UInt8](repeating: 0, count: Int(min(byteCount, 1 << 20)))
    var done: UInt64 = 0
    while done < byteCount {
      let count = Int(min(byteCount - done, UInt64(zeros.count)))
      try write(unsafe zeros.span.bytes.extracting(first: count), at: offset + done)
      done += UInt64(count)
    }
  }

  public func zero(at offset: UInt64, byteCount: UInt64) throws(VolumeBytesError) {
    try writeZeros(at: offset, byteCount: byteCount)
  }

  public func synchronize() throws(VolumeBytesError) {}

  public func discardAll() throws(VolumeBytesError) -> Bool { false }
}

/// A transfer that failed: which, where, and why.
public struct VolumeBytesError: Error, Equatable, Sendable, CustomStringConvertible {
  /// "read" or "write", "open" and so on.
  public let step: String
  /// The byte where the transfer began.
  public let offset: UInt64
  /// Bytes of the transfer.
  public let byteCount: Int
  /// Why.
  public let errno: Errno
  public init(step: String, offset: UInt64 = 0, byteCount: Int = 0, errno: Errno) {
    self.step = step
    self.offset = offset
    self.byteCount = byteCount
    self.errno = errno
  }
  public var description: String {
    byteCount == 0 ? "\(step): \(errno)" : "\(step) of \(byteCount) bytes at byte \(offset): \(errno)"
  }
}

/// An image in memory.
public final class MemoryBytes: VolumeBytes {
  /// The image.
  public private(set) var bytes: [UInt8]
  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  public var byteCount: UInt64 { UInt64(bytes.count) }

  public func read(at offset: UInt64, into buffer: inout MutableRawSpan) throws(VolumeBytesError) {
    let start = try check("read", offset, buffer.byteCount)
    let count = buffer.byteCount
    unsafe buffer.withUnsafeMutableBytes { target in
      unsafe bytes.withUnsafeBytes { source in
        unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[start..<start + count]))
      }
    }
  }

  public func write(_ source: RawSpan, at offset: UInt64) throws(VolumeBytesError) {
    let start = try check("write", offset, source.byteCount)
    unsafe source.withUnsafeBytes { source in
      unsafe bytes.withUnsafeMutableBytes { target in
        unsafe UnsafeMutableRawBufferPointer(rebasing: target[start..<start + source.count]).copyMemory(from: source)
      }
    }
  }

  /// Stores bytes at `offset`, inside the image.
  package func store(_ source: ArraySlice<UInt8>, at offset: Int) {
    precondition(offset >= 0 && offset <= bytes.count - source.count, "bytes outside the image")
    unsafe source.withUnsafeBytes { source in
      unsafe bytes.withUnsafeMutableBytes { target in
        unsafe UnsafeMutableRawBufferPointer(rebasing: target[offset..<offset + source.count]).copyMemory(from: source)
      }
    }
  }

  public func discardAll() -> Bool {
    bytes = [UInt8](repeating: 0, count: bytes.count)
    return true
  }

  private func check(_ step: String, _ offset: UInt64, _ count: Int) throws(VolumeBytesError) -> Int {
    guard offset <= byteCount, UInt64(count) <= byteCount - offset else {
      throw VolumeBytesError(step: step, offset: offset, byteCount: count, errno: .invalidArgument)
    }
    return Int(offset)
  }
}
