/// What the root of a directory's hash index says of the whole index; it hides in block 0 behind the entry "..".
///
///     offset size field of block 0                 offset size field of an inner block
///          0   12 the entry "."                         0    8 an unused entry that covers the block
///         12   12 the entry "..", up to the end         8    . limit, count and entries, as behind the root's info
///         24    4 reserved, zero
///         28    1 hash_version
///         29    1 info_length: 8
///         30    1 indirect_levels: 0 or 1
///         31    1 unused_flags
///         32    2 limit: entries that fit, this one included
///         34    2 count: entries in use, this one included
///         36    4 block of the entries with the lowest hashes
///         40    8 for each further entry: the lowest hash, and the block
///
/// Blocks are those of the directory. Source: lib/ext2fs/ext2_fs.h (struct ext2_dx_root_info), fs/ext4/namei.c.
package struct HashIndexRoot: Sendable {
  /// Where it lies in block 0.
  package static let byteOffset = 24

  /// Zero.
  package let reserved: UInt32
  /// A `DirectoryHash`.
  package let hashVersion: UInt8
  /// Bytes of this structure, 8; the entries follow.
  package let byteCount: UInt8
  /// Blocks of the index between the root and the blocks with names.
  package let levelCount: UInt8
  /// Zero; the lowest bit says that nobody who does not know better may use the index.
  package let flags: UInt8

  /// Takes the root from block 0, which is a whole block.
  package init(decoding block: RawSpan) {
    reserved = block.integer(at: Self.byteOffset)
    hashVersion = block.integer(at: Self.byteOffset + 4)
    byteCount = block.integer(at: Self.byteOffset + 5)
    levelCount = block.integer(at: Self.byteOffset + 6)
    flags = block.integer(at: Self.byteOffset + 7)
  }
}

/// The entries of one block of a hash index, read where they lie.
package struct HashIndexNode: Sendable {
  /// Bytes of an entry.
  package static let entryByteCount = 8
  /// Where the entries of an inner block begin.
  package static let innerByteOffset = 8

  /// Where the entries begin in the block.
  package let byteOffset: Int
  /// How many the block says that it can hold; `capacity` is how many it can.
  package let limit: Int
  /// How many it says are in use.
  package let count: Int
  /// How many entries there is room for between `byteOffset` and the end of the block.
  package let capacity: Int

  /// Takes the entries of a block. `root` is nil for an inner one. A root's length that leaves no room for an entry
  /// gives a node that holds none.
  package init(decoding block: RawSpan, root: HashIndexRoot?) {
    byteOffset = root.map { HashIndexRoot.byteOffset + Int($0.byteCount) } ?? Self.innerByteOffset
    capacity = max(0, (block.byteCount - byteOffset) / Self.entryByteCount)
    limit = capacity > 0 ? Int(block.integer(at: byteOffset, as: UInt16.self)) : 0
    count = capacity > 0 ? Int(block.integer(at: byteOffset + 2, as: UInt16.self)) : 0
  }

  /// Whether a block of an indexed directory is an inner block: one unused entry, and the limit that only those have.
  package static func isInner(_ block: RawSpan) -> Bool {
    block.integer(at: 0, as: UInt32.self) == 0 && block.integer(at: 6, as: UInt8.self) == 0
      && Int(block.integer(at: innerByteOffset, as: UInt16.self))
        == (block.byteCount - innerByteOffset) / entryByteCount
  }

  /// The lowest hash of an entry's block, without the bit that says that it goes on from the block before; zero for the
  /// first one, which has none. The index must be below `capacity`.
  package func hash(_ index: Int, in block: RawSpan) -> UInt32 {
    index == 0 ? 0 : block.integer(at: byteOffset + Self.entryByteCount * index, as: UInt32.self) & ~1
  }

  /// The block of the directory to which an entry points. The upper four bits are kept free.
  package func block(_ index: Int, in block: RawSpan) -> UInt32 {
    block.integer(at: byteOffset + Self.entryByteCount * index + 4, as: UInt32.self) & 0x0FFF_FFFF
  }
}
