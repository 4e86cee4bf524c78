internal import Ext2Tools

/// A set of sectors of an image: those that have changed, or those that a judge has looked at.
package final class SectorSet {
  package static let byteCount = 512
  private var words: [UInt64]

  /// None, of an image of so many bytes.
  package init(imageByteCount: Int) { words = [UInt64](repeating: 0, count: imageByteCount / Self.byteCount / 64 + 1) }

  package func removeAll() {
    for index in words.indices { words[index] = 0 }
  }

  /// Adds the sectors of a range of bytes.
  package func insert(bytes range: Range<Int>) {
    if range.isEmpty { return }
    let last = (range.upperBound - 1) / Self.byteCount
    var sector = range.lowerBound / Self.byteCount
    while sector <= last {
      // All that lie in one word at once.
      let end = min(last, sector | 63), count = end - sector + 1
      words[sector / 64] |= (UInt64.max >> UInt64(64 - count)) << UInt64(sector % 64)
      sector = end + 1
    }
  }

  package func isDisjoint(with other: SectorSet) -> Bool {
    var common: UInt64 = 0
    for index in words.indices { common |= words[index] & other.words[index] }
    return common == 0
  }
}

/// An answer about an image, which holds until a sector changes that was looked at for it.
struct Watched<Answer> {
  private let reads: SectorSet
  private var answer: Answer?

  init(imageByteCount: Int) { reads = SectorSet(imageByteCount: imageByteCount) }

  mutating func forget(after changes: SectorSet) {
    if answer != nil && !reads.isDisjoint(with: changes) { answer = nil }
  }

  /// The answer; `look` finds it, if it is not known, and notes what it looks at.
  mutating func value(_ look: (SectorSet) -> Answer) -> Answer {
    if let answer { return answer }
    reads.removeAll()
    let new = look(reads)
    answer = new
    return new
  }
}

/// An image in memory that notes what is looked at.
final class WatchedBytes: VolumeBytes {
  let image: MemoryBytes
  let reads: SectorSet
  init(_ image: MemoryBytes, _ reads: SectorSet) {
    self.image = image
    self.reads = reads
  }

  var byteCount: UInt64 { image.byteCount }
  func read(at offset: UInt64, into buffer: inout MutableRawSpan) throws(VolumeBytesError) {
    try image.read(at: offset, into: &buffer)
    note(offset, buffer.byteCount)
  }
  func write(_ bytes: RawSpan, at offset: UInt64) throws(VolumeBytesError) { try image.write(bytes, at: offset) }
  func lendBytes(
    at offset: UInt64, count: Int, buffer: TransferBuffer, _ body: (RawSpan) -> Void
  ) throws(VolumeBytesError) {
    try image.lendBytes(at: offset, count: count, buffer: buffer, body)
    note(offset, count)
  }
  // A transfer that succeeded lies inside the image.
  private func note(_ offset: UInt64, _ count: Int) { reads.insert(bytes: Int(offset)..<Int(offset) + count) }
}
