/// One entry of an attribute block or of the attributes in an inode, found by `AttributeRegion`; name and value stay
/// where they are.
///
///     offset size field
///          0    1 e_name_len
///          1    1 e_name_index: the prefix of the name
///          2    2 e_value_offs: from the start of the block, or from the first entry in an inode
///          4    4 e_value_block, always 0 (the inode of a large value in ext4)
///          8    4 e_value_size
///         12    4 e_hash: of name and value; in an inode 0 as a rule
///         16    n e_name, padded to a multiple of four bytes
///
/// A word of zeroes follows the last entry. Values are padded to a multiple of four bytes as well, and lie from the end
/// downwards. Source: fs/ext2/xattr.h, fs/ext4/xattr.h.
package struct AttributeEntry: Equatable, Sendable {
  /// Bytes before the name.
  package static let headerByteCount = 16

  /// Where the entry begins in the bytes it was found in.
  package let offset: Int
  /// The family of the name.
  package let namespace: AttributeNamespace
  /// Bytes of the name without its prefix.
  package let nameLength: Int
  /// Where the value begins in the bytes the entry was found in; meaningless when it is empty.
  package let valueStart: Int
  /// Bytes of the value.
  package let valueLength: Int
  /// The hash that the disk holds.
  package let storedHash: UInt32

  /// Where the name lies.
  package var nameRange: Range<Int> { offset + Self.headerByteCount..<offset + Self.headerByteCount + nameLength }
  /// Where the value lies.
  package var valueRange: Range<Int> { valueLength == 0 ? 0..<0 : valueStart..<valueStart + valueLength }
  /// The value with its padding.
  var paddedValueRange: Range<Int> {
    valueLength == 0 ? 0..<0 : valueStart..<valueStart + Self.padded(valueLength)
  }
  /// Where the next entry begins.
  package var end: Int { offset + Self.neededLength(nameLength: nameLength) }

  /// A copy of the name.
  package func name(in bytes: RawSpan) -> AttributeName {
    AttributeName(namespace, bytes.copy(at: nameRange.lowerBound, count: nameLength))
  }
  /// A copy of the value. The region was checked.
  package func value(in bytes: RawSpan) -> [UInt8] {
    bytes.copy(at: valueRange.lowerBound, count: valueLength)
  }
  /// Whether this is the entry of a name.
  package func hasName(_ name: AttributeName, in bytes: RawSpan) -> Bool {
    guard namespace == name.namespace, nameLength == name.suffix.count else { return false }
    let start = nameRange.lowerBound
    return name.suffix.indices.allSatisfy { bytes.integer(at: start + $0, as: UInt8.self) == name.suffix[$0] }
  }

  /// How a kernel took the bytes of a name into the hash: as `char`, whose sign depended on the machine until Linux 6.2
  /// and is unsigned since (fs/ext4/xattr.c, ext4_xattr_hash_entry_signed).
  package enum HashSign: Sendable, CaseIterable {
    case unsigned
    case signed
  }

  /// The hash that name and value should have (fs/ext2/xattr.c, ext2_xattr_hash_entry). The region was checked.
  package func hash(in bytes: RawSpan, sign: HashSign = .unsigned) -> UInt32 {
    Self.hash(name: nameRange, paddedValue: paddedValueRange, in: bytes, sign: sign)
  }

  /// The same of a name and a value whose places were checked; the value's with its padding.
  package static func hash(
    name: Range<Int>, paddedValue: Range<Int>, in bytes: RawSpan, sign: HashSign
  ) -> UInt32 {
    var hash: UInt32 = 0
    for index in name {
      let byte: UInt8 = bytes.integer(at: index)
      hash =
        hash << 5 ^ hash >> 27 ^ (sign == .signed ? UInt32(truncatingIfNeeded: Int8(bitPattern: byte)) : UInt32(byte))
    }
    // The padding of the value counts too: it is zero wherever a kernel wrote it.
    for index in stride(from: paddedValue.lowerBound, to: paddedValue.upperBound, by: 4) {
      hash = hash << 16 ^ hash >> 16 ^ bytes.integer(at: index, as: UInt32.self)
    }
    return hash
  }

  /// Bytes that an entry needs for a name of this length (`EXT2_XATTR_LEN`).
  package static func neededLength(nameLength: Int) -> Int { padded(headerByteCount + nameLength) }
  /// Bytes that a value takes (`EXT2_XATTR_SIZE`).
  package static func padded(_ byteCount: Int) -> Int { (byteCount + 3) & ~3 }
}
