internal import Ext2Format

/// Finds names that occur twice in one block of a directory, as e2fsck does; the kernel never looks further than the
/// first.
///
/// A hash table of places in the block, used again for the next block without being cleared.
struct NameTable {
  /// A generation in the upper 16 bits, and the place of an entry, divided by four, below.
  private var slots: [UInt32] = []
  private var generation: UInt32 = 0

  /// Makes room for the entries of a block: at most half of the slots are used.
  mutating func reset(blockSize: Int) {
    let needed = max(128, blockSize / 4)
    if slots.count < needed {
      slots = [UInt32](repeating: 0, count: needed)
      generation = 0
    }
  }

  /// Forgets the names.
  mutating func beginBlock() {
    generation += 1
    if generation == 1 << 16 {
      for index in slots.indices { slots[index] = 0 }
      generation = 1
    }
  }

  /// Enters the name of an entry. Returns whether the block has it already.
  mutating func insert(entryAt offset: Int, length: Int, in block: RawSpan) -> Bool {
    let mask = slots.count - 1
    var slot = Self.hash(block, offset + DirectoryEntry.headerByteCount, length) & mask
    while slots[slot] >> 16 == generation {
      let other = Int(slots[slot] & 0xFFFF) * 4
      if Self.areEqual(block, other, offset, length) { return true }
      slot = (slot + 1) & mask
    }
    slots[slot] = generation << 16 | UInt32(offset / 4)
    return false
  }

  /// A hash of no merit but speed.
  private static func hash(_ block: RawSpan, _ start: Int, _ length: Int) -> Int {
    var sum = UInt64(truncatingIfNeeded: length) &* 0x9E37_79B9_7F4A_7C15
    var position = 0
    while position + 8 <= length {
      sum = (sum ^ block.integer(at: start + position, as: UInt64.self)) &* 0xFF51_AFD7_ED55_8CCD
      sum ^= sum >> 32
      position += 8
    }
    while position < length {
      sum = (sum ^ UInt64(block.integer(at: start + position, as: UInt8.self))) &* 0x0000_0100_0000_01B3
      position += 1
    }
    sum ^= sum >> 29
    return Int(truncatingIfNeeded: sum &* 0xBF58_476D_1CE4_E5B9 >> 40)
  }

  private static func areEqual(_ block: RawSpan, _ first: Int, _ second: Int, _ length: Int) -> Bool {
    guard block.integer(at: first + 6, as: UInt8.self) == UInt8(length) else { return false }
    for index in DirectoryEntry.headerByteCount..<DirectoryEntry.headerByteCount + length
    where block.integer(at: first + index, as: UInt8.self) != block.integer(at: second + index, as: UInt8.self) {
      return false
    }
    return true
  }
}
