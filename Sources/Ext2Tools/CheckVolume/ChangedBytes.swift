internal import Ext2Format
internal import SystemPackage

/// A volume with changes that are not written yet: what is read shows them, the volume itself stays as it was until
/// `writeBack`.
///
/// Memory: the changed pages, 4 KiB each.
final class ChangedBytes: VolumeBytes {
  private static let pageSize: UInt64 = 4096
  private let base: any VolumeBytes
  private var pages: [UInt64: [UInt8]] = [:]

  init(_ base: any VolumeBytes) { self.base = base }

  var byteCount: UInt64 { base.byteCount }
  /// Whether there is anything to write.
  var hasChanges: Bool { !pages.isEmpty }

  func read(at offset: UInt64, into buffer: inout MutableRawSpan) throws(VolumeBytesError) {
    try base.read(at: offset, into: &buffer)
    let end = offset + UInt64(buffer.byteCount)
    for (page, bytes) in pages(touching: offset..<end) {
      let start = page * Self.pageSize
      for position in max(offset, start)..<min(end, start + UInt64(bytes.count)) {
        buffer.storeBytes(of: bytes[Int(position - start)], toByteOffset: Int(position - offset), as: UInt8.self)
      }
    }
  }

  func write(_ source: RawSpan, at offset: UInt64) throws(VolumeBytesError) {
    let end = offset + UInt64(source.byteCount)
    guard offset <= byteCount, end <= byteCount else {
      throw VolumeBytesError(step: "write", offset: offset, byteCount: source.byteCount, errno: .invalidArgument)
    }
    for page in offset / Self.pageSize..<(end + Self.pageSize - 1) / Self.pageSize {
      let start = page * Self.pageSize
      if pages[page] == nil {
        var bytes = [UInt8](repeating: 0, count: Int(min(Self.pageSize, byteCount - start)))
        var failure: VolumeBytesError?
        unsafe bytes.withUnsafeMutableBytes { raw in
          var target = unsafe MutableRawSpan(_unsafeBytes: raw)
          do throws(VolumeBytesError) { try base.read(at: start, into: &target) } catch { failure = error }
        }
        if let failure { throw failure }
        pages[page] = bytes
      }
      for position in max(offset, start)..<min(end, start + Self.pageSize) {
        pages[page]![Int(position - start)] =
          unsafe source.unsafeLoad(fromByteOffset: Int(position - offset), as: UInt8.self)
      }
    }
  }

  func lendBytes(
    at offset: UInt64, count: Int, buffer: TransferBuffer, _ body: (RawSpan) -> Void
  ) throws(VolumeBytesError) {
    if pages(touching: offset..<offset + UInt64(count)).isEmpty {
      try base.lendBytes(at: offset, count: count, buffer: buffer, body)
    } else {
      try readIntoBuffer(at: offset, count: count, buffer: buffer, body)
    }
  }

  /// Writes the changes to the volume and makes them durable; those of the primary superblock, which may say that the
  /// volume is clean, only when all others are (as lib/ext2fs/closefs.c does, ext2fs_flush2).
  func writeBack() throws(VolumeBytesError) {
    let superblock = Superblock.primaryByteOffset..<Superblock.primaryByteOffset + Superblock.byteCount
    for page in pages.keys.sorted(by: >) where page > 0 { try write(page, 0..<Int(Self.pageSize)) }
    try write(0, 0..<superblock.lowerBound)
    try write(0, superblock.upperBound..<Int(Self.pageSize))
    try base.synchronize()
    try write(0, superblock)
    try base.synchronize()
    pages.removeAll()
  }

  /// Writes a part of a page, if that has changed.
  private func write(_ page: UInt64, _ range: Range<Int>) throws(VolumeBytesError) {
    guard let bytes = pages[page], range.lowerBound < bytes.count else { return }
    let part = Array(bytes[range.clamped(to: 0..<bytes.count)])
    try base.write(unsafe part.span.bytes, at: page * Self.pageSize + UInt64(range.lowerBound))
  }

  private func pages(touching range: Range<UInt64>) -> [(UInt64, [UInt8])] {
    if pages.isEmpty || range.isEmpty { return [] }
    let numbers = range.lowerBound / Self.pageSize...(range.upperBound - 1) / Self.pageSize
    return numbers.compactMap { number in pages[number].map { (number, $0) } }
  }
}
