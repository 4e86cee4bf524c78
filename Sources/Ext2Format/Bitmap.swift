/// Bits of a block or inode bitmap: bit `n` is bit `n % 8` of byte `n / 8`; set means in use.
///
/// All ranges count bits and must lie inside the span; the caller clips them to the group, whose last bytes are padding
/// that mke2fs sets. Searches and counts go 64 bits at a time; the span's length is a multiple of 8 bytes, as every
/// block's is.
package enum Bitmap {
  /// Whether a bit is set.
  @inline(__always)
  package static func isSet(_ bit: Int, in bytes: RawSpan) -> Bool {
    precondition(bit >= 0, "a negative bit")
    return bytes.integer(at: bit >> 3, as: UInt8.self) & (1 << UInt8(bit & 7)) != 0
  }

  /// Sets a bit. Returns whether it was clear before: false when the bit was taken already.
  @inline(__always)
  package static func set(_ bit: Int, in bytes: inout MutableRawSpan) -> Bool {
    precondition(bit >= 0, "a negative bit")
    let old = bytes.integer(at: bit >> 3, as: UInt8.self)
    bytes.store(old | 1 << UInt8(bit & 7), at: bit >> 3)
    return old & (1 << UInt8(bit & 7)) == 0
  }

  /// Clears a bit. Returns whether it was set before: false means that something was freed twice.
  @inline(__always)
  package static func clear(_ bit: Int, in bytes: inout MutableRawSpan) -> Bool {
    precondition(bit >= 0, "a negative bit")
    let old = bytes.integer(at: bit >> 3, as: UInt8.self)
    bytes.store(old & ~(1 << UInt8(bit & 7)), at: bit >> 3)
    return old & (1 << UInt8(bit & 7)) != 0
  }

  /// Sets all bits of a range, whatever they were.
  package static func set(_ range: Range<Int>, in bytes: inout MutableRawSpan) {
    change(range, in: &bytes) { $0 | $1 }
  }

  /// Clears all bits of a range, whatever they were.
  package static func clear(_ range: Range<Int>, in bytes: inout MutableRawSpan) {
    change(range, in: &bytes) { $0 & ~$1 }
  }

  /// How many bits of a range are clear.
  package static func zeroCount(in range: Range<Int>, of bytes: RawSpan) -> Int {
    var count = 0
    var start = range.lowerBound
    while start < range.upperBound {
      let (word, mask, next) = words(start, range.upperBound, bytes)
      count += (~word & mask).nonzeroBitCount
      start = next
    }
    return count
  }

  /// Whether every bit of a range is clear.
  package static func isAllClear(_ range: Range<Int>, of bytes: RawSpan) -> Bool {
    firstSet(in: range, of: bytes) == nil
  }

  /// Whether every bit of a range is set.
  package static func isAllSet(_ range: Range<Int>, of bytes: RawSpan) -> Bool {
    firstZero(in: range, of: bytes) == nil
  }

  /// The first clear bit of a range, or nil.
  package static func firstZero(in range: Range<Int>, of bytes: RawSpan) -> Int? {
    first(in: range, of: bytes, flip: ~0)
  }

  /// The first set bit of a range, or nil.
  package static func firstSet(in range: Range<Int>, of bytes: RawSpan) -> Int? {
    first(in: range, of: bytes, flip: 0)
  }

  /// The first run of at least `minimumCount` clear bits in a range, cut to `maximumCount`; nil when there is none.
  ///
  /// Complexity: O(range / 64 + runs).
  package static func firstZeroRun(
    in range: Range<Int>, minimumCount: Int = 1, maximumCount: Int = .max, of bytes: RawSpan
  ) -> Range<Int>? {
    precondition(minimumCount >= 1 && maximumCount >= minimumCount, "not a length of a run")
    var start = range.lowerBound
    while let begin = firstZero(in: start..<range.upperBound, of: bytes) {
      let limit = maximumCount < range.upperBound - begin ? begin + maximumCount : range.upperBound
      let end = firstSet(in: begin..<limit, of: bytes) ?? limit
      if end - begin >= minimumCount { return begin..<end }
      guard end < range.upperBound else { return nil }
      start = end
    }
    return nil
  }

  /// The 64-bit word that holds a bit, a mask of its bits from `start` to `end`, and where the next word starts.
  @inline(__always)
  private static func words(_ start: Int, _ end: Int, _ bytes: RawSpan) -> (word: UInt64, mask: UInt64, next: Int) {
    precondition(start >= 0, "a negative bit")
    let next = (start | 63) + 1
    let word = bytes.integer(at: (start >> 6) << 3, as: UInt64.self)
    return (word, mask(start, min(end, next), next), next)
  }

  /// Bits `start ..< end` of the word that ends before bit `next`; the three are of one word and `start < end`.
  @inline(__always)
  private static func mask(_ start: Int, _ end: Int, _ next: Int) -> UInt64 {
    (~0 << UInt64(start & 63)) & (~0 >> UInt64(next - end))
  }

  @inline(__always)
  private static func first(in range: Range<Int>, of bytes: RawSpan, flip: UInt64) -> Int? {
    var start = range.lowerBound
    while start < range.upperBound {
      let (word, mask, next) = words(start, range.upperBound, bytes)
      let hits = (word ^ flip) & mask
      if hits != 0 { return next - 64 + hits.trailingZeroBitCount }
      start = next
    }
    return nil
  }

  @inline(__always)
  private static func change(
    _ range: Range<Int>, in bytes: inout MutableRawSpan, _ combine: (UInt64, UInt64) -> UInt64
  ) {
    var start = range.lowerBound
    while start < range.upperBound {
      let (word, mask, next) = words(start, range.upperBound, bytes.bytes)
      bytes.store(combine(word, mask), at: (next - 64) >> 3)
      start = next
    }
  }
}
