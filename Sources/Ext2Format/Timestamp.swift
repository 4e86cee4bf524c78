/// A moment: seconds since 1970 and nanoseconds.
///
/// An inode of 128 bytes stores 32 signed bits of seconds (1901 to 2038). A larger inode may have 32 extra bits for
/// each time (fs/ext4/ext4.h, ext4_encode_extra_time):
///
///     bit 31                            2  1     0
///         | nanoseconds (30 bits)        | epoch |      seconds = signed 32 bits + epoch * 2^32  (to 2446)
package struct Timestamp: Hashable, Comparable, Sendable {
  /// Seconds since 1970-01-01, negative before.
  package var seconds: Int64
  /// 0 to 999,999,999, counted forward from `seconds`.
  package var nanoseconds: UInt32

  /// A moment; nanoseconds of a second or more are a mistake of the program.
  package init(seconds: Int64, nanoseconds: UInt32 = 0) {
    precondition(nanoseconds < 1_000_000_000, "nanoseconds of a full second")
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }

  package static func < (lhs: Self, rhs: Self) -> Bool {
    (lhs.seconds, lhs.nanoseconds) < (rhs.seconds, rhs.nanoseconds)
  }

  /// Decodes the words of an inode. `extra` is nil where the inode has no room for one. Nanoseconds that no clock
  /// can show are cut to the last one: a wrong time is no reason to refuse a file.
  init(word: UInt32, extra: UInt32?) {
    let extra = extra ?? 0
    seconds = Int64(Int32(bitPattern: word)) + Int64(extra & 3) << 32
    nanoseconds = min(extra >> 2, 999_999_999)
  }

  /// The earliest moment an inode can hold.
  package static let earliest = Timestamp(seconds: Int64(Int32.min))
  /// The latest moment that fits without extra bits.
  package static let latestWithoutExtra = Timestamp(seconds: Int64(Int32.max))
  /// The latest moment that fits with extra bits.
  package static let latestWithExtra = Timestamp(seconds: Int64(Int32.max) + 3 << 32, nanoseconds: 999_999_999)

  /// What is left of this moment after it was stored and read again (the kernel's timestamp_truncate).
  package func rounded(hasExtra: Bool) -> Timestamp {
    if self < .earliest { return .earliest }
    if hasExtra { return min(self, .latestWithExtra) }
    return min(Timestamp(seconds: seconds), .latestWithoutExtra)
  }

  /// The words of an inode; a moment out of range becomes the nearest that fits.
  func encoded(hasExtra: Bool) -> (word: UInt32, extra: UInt32) {
    let moment = rounded(hasExtra: hasExtra)
    let word = Int32(truncatingIfNeeded: moment.seconds)
    let epoch = UInt32((moment.seconds - Int64(word)) >> 32)
    return (UInt32(bitPattern: word), moment.nanoseconds << 2 | epoch)
  }
}
