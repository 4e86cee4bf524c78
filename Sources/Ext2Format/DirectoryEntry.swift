/// One entry of a directory block, found by `DirectoryBlock`; its name stays in the block.
///
///     offset size field
///          0    4 inode (0: unused)
///          4    2 rec_len: bytes to the next entry
///          6    1 name_len
///          7    1 file_type (with the filetype feature; else the upper half of a 16-bit name_len, always 0)
///          8    n name, without a NUL, padded to a multiple of four bytes
///
/// Source: fs/ext2/ext2.h, struct ext2_dir_entry_2.
package struct DirectoryEntry: Equatable, Sendable {
  /// Bytes before the name.
  package static let headerByteCount = 8
  /// Bytes of the longest name.
  package static let maximumNameLength = 255
  /// Bytes of the smallest entry.
  package static let minimumRecordLength = 12

  /// Where the entry begins in its block.
  package let offset: Int
  /// Bytes to the next entry, or to the end of the block.
  package let recordLength: Int
  /// What the entry names; `none` in an unused one.
  package let inode: InodeNumber
  /// Bytes of the name.
  package let nameLength: Int
  /// The type of the inode as the entry tells it; nil when it does not.
  package let type: InodeType?

  /// Where the name lies in the block.
  package var nameRange: Range<Int> { offset + Self.headerByteCount..<offset + Self.headerByteCount + nameLength }
  /// Whether the entry names something.
  package var isUsed: Bool { inode != .none }

  /// Bytes behind the name that another entry may take; all of an unused one.
  package var spareLength: Int { recordLength - (isUsed ? Self.neededLength(nameLength: nameLength) : 0) }

  /// Bytes an entry needs for a name of this length (`EXT2_DIR_REC_LEN`).
  @inline(__always)
  package static func neededLength(nameLength: Int) -> Int { (headerByteCount + nameLength + 3) & ~3 }

  /// A copy of the name.
  package func name(in bytes: RawSpan) -> [UInt8] { bytes.copy(at: nameRange.lowerBound, count: nameLength) }
}
