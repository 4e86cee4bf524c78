// The numbers ext2 counts in. They are distinct types so that a block number cannot be used as an inode number.

/// A position in the volume, counted in file-system blocks from the start of the device.
///
/// In a pointer (`i_block`, an indirect block, `i_file_acl`) zero means that there is no block.
package struct BlockNumber: RawRepresentable, Hashable, Strideable, Sendable {
  /// The number as the disk stores it.
  package let rawValue: UInt32

  /// Takes any 32-bit number; whether the volume has that block is for `VolumeLayout.contains`.
  @inline(__always)
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The pointer that points nowhere.
  package static let none = BlockNumber(rawValue: 0)

  @inline(__always)
  package static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }

  @inlinable @inline(__always)
  package func _rawHashValue(seed: Int) -> Int { quickHash(of: rawValue, seed: seed) }

  @inline(__always)
  package func distance(to other: Self) -> Int { Int(other.rawValue) - Int(rawValue) }

  /// The block `distance` blocks further on. Leaving the 32-bit range is a mistake of the program: check first.
  @inline(__always)
  package func advanced(by distance: Int) -> Self { Self(rawValue: UInt32(Int(rawValue) + distance)) }

  /// The first byte of this block on the device. Cannot overflow: 2^32 blocks of at most 2^16 bytes.
  @inline(__always)
  package func byteOffset(blockSizeLog2: Int) -> UInt64 { UInt64(rawValue) << UInt64(blockSizeLog2) }
}

/// The number of an inode, counted from one; zero in a directory entry means that the entry is unused.
package struct InodeNumber: RawRepresentable, Hashable, Comparable, Sendable {
  /// The number as the disk stores it.
  package let rawValue: UInt32

  /// Takes any 32-bit number; whether the volume has that inode is for `VolumeLayout.contains`.
  @inline(__always)
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  /// No inode.
  package static let none = InodeNumber(rawValue: 0)
  /// The list of blocks that do not work.
  package static let badBlocks = InodeNumber(rawValue: 1)
  /// The root directory.
  package static let root = InodeNumber(rawValue: 2)
  /// Quota of users (of ext4; `EXT2_ACL_IDX_INO` of old).
  package static let userQuota = InodeNumber(rawValue: 3)
  /// Quota of groups (of ext4; `EXT2_ACL_DATA_INO` of old).
  package static let groupQuota = InodeNumber(rawValue: 4)
  /// The boot loader.
  package static let bootLoader = InodeNumber(rawValue: 5)
  /// The undelete directory, never used.
  package static let undeleteDirectory = InodeNumber(rawValue: 6)
  /// The owner of the blocks reserved for group descriptors to come (`resize_inode`).
  package static let resize = InodeNumber(rawValue: 7)
  /// The journal of ext3.
  package static let journal = InodeNumber(rawValue: 8)
  /// The first inode not reserved in revision 0, and in practice in revision 1 as well.
  package static let firstInRevisionZero = InodeNumber(rawValue: 11)

  @inlinable @inline(__always)
  package func _rawHashValue(seed: Int) -> Int { quickHash(of: rawValue, seed: seed) }

  @inline(__always)
  package static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
}

/// The number of a block group, counted from zero.
package struct GroupNumber: RawRepresentable, Hashable, Comparable, Sendable {
  /// The number, counted from zero.
  package let rawValue: UInt32

  /// Takes any 32-bit number; whether the volume has that group follows from `VolumeLayout.groupCount`.
  @inline(__always)
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  @inline(__always)
  package static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
}

/// The hash of a number in tables with blocks or inodes for keys, which are asked at every step of every operation: one
/// multiplication in place of the standard library's some hundred instructions. The table's seed makes it hard for a
/// hostile disk to choose numbers that meet; and tables with such keys are bounded by what is in memory.
@inlinable @inline(__always)
package func quickHash(of number: UInt32, seed: Int) -> Int {
  let mixed = UInt64(number) ^ UInt64(truncatingIfNeeded: seed)
  let product = mixed.multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
  return Int(truncatingIfNeeded: product.high ^ product.low)
}

extension BlockNumber: CustomStringConvertible {
  package var description: String { "\(rawValue)" }
}
extension InodeNumber: CustomStringConvertible {
  package var description: String { "\(rawValue)" }
}
extension GroupNumber: CustomStringConvertible {
  package var description: String { "\(rawValue)" }
}
