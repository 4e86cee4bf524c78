/// The volume that is being checked, with a buffer for each depth of reading, which stay from one volume to the next.
final class BlockReader {
  /// The volume; nil between two checks.
  var volume: (any VolumeBytes)?
  private let buffers = (0..<Use.allCases.count).map { _ in TransferBuffer() }
  /// Log2 of the block size, when it is known.
  var blockSizeLog2 = 10
  var byteCount: UInt64 { volume?.byteCount ?? 0 }

  /// What is being read; each has a buffer of its own, because one is read while another is looked at.
  enum Use: Int, CaseIterable {
    case table, attributes, indirect, doubleIndirect, tripleIndirect
  }

  /// Calls `body` with bytes of the volume. Returns false, without calling it, when they cannot be read.
  @inline(__always)
  func bytes(at offset: UInt64, count: Int, _ use: Use, _ body: (RawSpan) -> Void) -> Bool {
    guard let volume else { return false }
    do {
      try volume.lendBytes(at: offset, count: count, buffer: buffers[use.rawValue], body)
      return true
    } catch { return false }
  }

  /// The same for whole blocks.
  @inline(__always)
  func blocks(_ first: UInt32, count: Int = 1, _ use: Use, _ body: (RawSpan) -> Void) -> Bool {
    bytes(at: UInt64(first) << UInt64(blockSizeLog2), count: count << blockSizeLog2, use, body)
  }

  /// What went wrong the last time `bytes` returned false for these.
  func failure(at offset: UInt64, count: Int) -> VolumeBytesError? {
    do {
      try volume?.lendBytes(at: offset, count: count, buffer: buffers[Use.table.rawValue]) { _ in }
      return nil
    } catch { return error }
  }
}
