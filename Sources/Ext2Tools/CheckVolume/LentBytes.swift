internal import SystemPackage

/// Memory for the bytes of a volume that does not lie in memory, kept between transfers.
public final class TransferBuffer {
  fileprivate var bytes: [UInt8] = []
  public init() {}
}

extension VolumeBytes {
  /// Reads into the buffer, which grows to the longest transfer and stays so.
  public func lendBytes(
    at offset: UInt64, count: Int, buffer: TransferBuffer, _ body: (RawSpan) -> Void
  ) throws(VolumeBytesError) {
    try readIntoBuffer(at: offset, count: count, buffer: buffer, body)
  }

  /// What `lendBytes` does for bytes that do not lie in memory.
  func readIntoBuffer(
    at offset: UInt64, count: Int, buffer: TransferBuffer, _ body: (RawSpan) -> Void
  ) throws(VolumeBytesError) {
    if buffer.bytes.count < count { buffer.bytes = [UInt8](repeating: 0, count: count) }
    var failure: VolumeBytesError?
    unsafe buffer.bytes.withUnsafeMutableBytes { raw in
      var target = unsafe MutableRawSpan(_unsafeBytes: UnsafeMutableRawBufferPointer(rebasing: raw[..<count]))
      do throws(VolumeBytesError) { try read(at: offset, into: &target) } catch { failure = error }
    }
    if let failure { throw failure }
    unsafe buffer.bytes.withUnsafeBytes { raw in
      let lent = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: raw[..<count]))
      body(lent)
    }
  }
}

extension MemoryBytes {
  /// Lends the image itself.
  public func lendBytes(
    at offset: UInt64, count: Int, buffer: TransferBuffer, _ body: (RawSpan) -> Void
  ) throws(VolumeBytesError) {
    guard offset <= byteCount, UInt64(count) <= byteCount - offset else {
      throw VolumeBytesError(step: "read", offset: offset, byteCount: count, errno: .invalidArgument)
    }
    unsafe bytes.withUnsafeBytes { raw in
      let range = Int(offset)..<Int(offset) + count
      let lent = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: raw[range]))
      body(lent)
    }
  }
}
