internal import Reactor

/// The numbers from 0 up to a count, each once, in an order that a key chooses, without memory for each.
///
/// A Feistel network over the smallest even number of bits that holds the count; what falls outside is encrypted again
/// until it falls inside (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002: cycle walking), fewer than
/// four times on average. It takes the place of fio's random map, which keeps a bit for each block.
struct OffsetPermutation {
  let count: UInt64
  private let halfBits: UInt64
  private let keys: [UInt64]

  /// A permutation of `0..<count`. `count` is above 0.
  init(count: UInt64, generator: inout SeededGenerator) {
    precondition(count > 0)
    self.count = count
    let bits = UInt64(64 - (count - 1).leadingZeroBitCount)
    halfBits = max(1, (bits + 1) / 2)
    keys = (0..<4).map { _ in generator.next() }
  }

  /// The number at `index`, which is below `count`.
  func callAsFunction(_ index: UInt64) -> UInt64 {
    precondition(index < count)
    var value = index
    repeat { value = encrypt(value) } while value >= count
    return value
  }

  private func encrypt(_ value: UInt64) -> UInt64 {
    let mask = UInt64(1) << halfBits - 1
    var left = value >> halfBits, right = value & mask
    for key in keys {
      var bits = (right ^ key) &* 0x9E37_79B9_7F4A_7C15
      bits ^= bits >> 31
      bits = bits &* 0xBF58_476D_1CE4_E5B9
      (left, right) = (right, left ^ (bits >> 32) & mask)
    }
    return left << halfBits | right
  }
}
