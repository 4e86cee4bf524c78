/// What a workload writes: a function of the seed, the file, the byte's position and the write that put it there. So a
/// byte that is found where another is expected tells where it comes from.
///
/// A *lane* is 16 bytes at a multiple of 16 of the file:
///
///     word 0   file (24 bits) │ lane (40 bits: its position in the file / 16)
///     word 1   check (32 bits, of everything and the seed) │ generation (32 bits)
///
/// A *generation* numbers the writes to one file, from 1 on. Generation 0 is what nobody has written: zeroes.
package struct ContentStamp: Sendable, Equatable {
  package static let laneByteCount = 16
  /// The generation of bytes that read as zeroes.
  package static let zeroes: UInt32 = 0

  /// Who wrote some bytes.
  package struct Origin: Sendable, Equatable {
    package let file: UInt32
    package let generation: UInt32
    /// Where in the file the bytes belong.
    package let byteOffset: UInt64
  }

  private let seed: UInt64

  package init(seed: UInt64) { self.seed = seed }

  private func check(_ place: UInt64, _ generation: UInt32) -> UInt64 {
    var bits = (place ^ seed) &* 0x9E37_79B9_7F4A_7C15
    bits = (bits ^ (bits >> 29) ^ UInt64(generation)) &* 0xBF58_476D_1CE4_E5B9
    return bits >> 32
  }

  /// The two words of a lane, as they lie in memory.
  func words(_ file: UInt32, _ lane: UInt64, _ generation: UInt32) -> (UInt64, UInt64) {
    if generation == Self.zeroes { return (0, 0) }
    let place = UInt64(file & 0xFF_FFFF) << 40 | lane & 0xFF_FFFF_FFFF
    return (place.littleEndian, (check(place, generation) << 32 | UInt64(generation)).littleEndian)
  }

  /// Fills `range` of `bytes` with what generation `generation` of a file has from byte `position` on.
  package func fill(
    _ bytes: inout [UInt8], _ range: Range<Int>, file: UInt32, position: UInt64, generation: UInt32
  ) {
    precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count)
    let size = Self.laneByteCount
    unsafe bytes.withUnsafeMutableBytes { target in
      var index = range.lowerBound
      var position = position
      while index < range.upperBound {
        let (low, high) = words(file, position / UInt64(size), generation)
        let skip = Int(position % UInt64(size))
        let count = min(size - skip, range.upperBound - index)
        if count == size {
          unsafe target.storeBytes(of: low, toByteOffset: index, as: UInt64.self)
          unsafe target.storeBytes(of: high, toByteOffset: index + 8, as: UInt64.self)
        } else {
          for byte in skip..<skip + count {
            let word = byte < 8 ? low : high
            unsafe target[index + byte - skip] = UInt8(
              truncatingIfNeeded: UInt64(littleEndian: word) >> UInt64(byte % 8 * 8))
          }
        }
        index += count
        position += UInt64(count)
      }
    }
  }

  /// What generation `generation` of a file has in `count` bytes from `position` on.
  package func bytes(_ count: Int, at position: UInt64, file: UInt32 = 0, generation: UInt32 = 1) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    fill(&bytes, 0..<count, file: file, position: position, generation: generation)
    return bytes
  }

  /// Who wrote the 16 bytes at `index` of `bytes`; nil when they are no lane of this seed. Zeroes are nobody's.
  package func origin(of bytes: [UInt8], at index: Int) -> Origin? {
    guard index >= 0, index + Self.laneByteCount <= bytes.count else { return nil }
    var low: UInt64 = 0, high: UInt64 = 0
    for byte in (0..<8).reversed() {
      low = low << 8 | UInt64(bytes[index + byte])
      high = high << 8 | UInt64(bytes[index + 8 + byte])
    }
    let generation = UInt32(truncatingIfNeeded: high)
    guard generation != Self.zeroes, high >> 32 == check(low, generation) else { return nil }
    return Origin(
      file: UInt32(low >> 40), generation: generation,
      byteOffset: (low & 0xFF_FFFF_FFFF) * UInt64(Self.laneByteCount))
  }
}
