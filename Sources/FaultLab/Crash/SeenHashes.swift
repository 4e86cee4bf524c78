/// A set of hashes: 16 bytes an element and less, and no hashing of its own, since that is what they are.
struct SeenHashes {
  private var slots = [UInt64](repeating: 0, count: 1 << 12)
  private(set) var count = 0
  var byteCount: Int { slots.count * 8 }

  /// Returns whether it is new.
  mutating func insert(_ hash: UInt64) -> Bool {
    // 0 marks an empty slot.
    let hash = hash == 0 ? 1 : hash
    if (count + 1) * 4 > slots.count * 3 { grow() }
    var index = place(hash)
    while slots[index] != 0 {
      if slots[index] == hash { return false }
      index = (index + 1) & (slots.count - 1)
    }
    slots[index] = hash
    count += 1
    return true
  }

  private func place(_ hash: UInt64) -> Int {
    Int(truncatingIfNeeded: (hash &* 0x9E37_79B9_7F4A_7C15) >> 20) & (slots.count - 1)
  }

  private mutating func grow() {
    let old = slots
    slots = [UInt64](repeating: 0, count: old.count * 2)
    for hash in old where hash != 0 {
      var index = place(hash)
      while slots[index] != 0 { index = (index + 1) & (slots.count - 1) }
      slots[index] = hash
    }
  }
}
