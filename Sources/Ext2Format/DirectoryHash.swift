/// How a directory with a hash index hashes the names in it.
///
/// The raw value is what the root of an index holds. Each has two variants that differ in how bytes above 127 count: as
/// negative numbers, as on the machines where the format was made, or as positive ones. Which of them a volume uses
/// says a flag of its superblock.
///
/// Source: lib/ext2fs/dirhash.c (ext2fs_dirhash), fs/ext4/hash.c.
package enum DirectoryHash: UInt8, Sendable, CaseIterable {
  /// The first one, made for the prototype.
  case legacy = 0
  /// MD4 cut to three rounds of eight steps, 32 bytes of the name at a time.
  case halfMD4 = 1
  /// The Tiny Encryption Algorithm as a hash, 16 bytes of the name at a time.
  case tea = 2
}

/// Hashes the names of a volume.
package struct DirectoryHasher: Sendable {
  private let algorithm: DirectoryHash
  private let countsBytesAsUnsigned: Bool
  private let start: SIMD4<UInt32>

  /// - Parameters:
  ///   - seed: `s_hash_seed`; where it is all zeros, the start value of MD4 stands in.
  ///   - countsBytesAsUnsigned: whether `s_flags` has `EXT2_FLAGS_UNSIGNED_HASH`.
  package init(_ algorithm: DirectoryHash, seed: SIMD4<UInt32>, countsBytesAsUnsigned: Bool) {
    self.algorithm = algorithm
    self.countsBytesAsUnsigned = countsBytesAsUnsigned
    start = seed == .zero ? [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476] : seed
  }

  /// The hash of the name in `count` bytes from an offset. Its lowest bit is zero: in an index that bit tells that a
  /// hash goes on from the block before.
  package func hash(_ bytes: RawSpan, at offset: Int, count: Int) -> UInt32 {
    switch algorithm {
    case .legacy: legacy(bytes, offset, count) & ~1
    case .halfMD4: halfMD4(bytes, offset, count) & ~1
    case .tea: tea(bytes, offset, count) & ~1
    }
  }

  /// One byte of the name as the 32-bit number it counts for.
  @inline(__always)
  private func value(_ bytes: RawSpan, _ offset: Int) -> UInt32 {
    let byte = bytes.integer(at: offset, as: UInt8.self)
    return countsBytesAsUnsigned ? UInt32(byte) : UInt32(bitPattern: Int32(Int8(bitPattern: byte)))
  }

  private func legacy(_ bytes: RawSpan, _ offset: Int, _ count: Int) -> UInt32 {
    var last: UInt32 = 0x12A3_FE2D
    var lastButOne: UInt32 = 0x37AB_E8F9
    for index in 0..<count {
      var next = lastButOne &+ (last ^ (value(bytes, offset + index) &* 7_152_373))
      if next & 0x8000_0000 != 0 { next &-= 0x7FFF_FFFF }
      lastButOne = last
      last = next
    }
    return last << 1
  }

  /// The words that stand for the part of a name from `position` on: four bytes each, the first one highest. What the
  /// name leaves free is filled with the length of that part.
  @inline(__always)
  private func word(_ index: Int, _ bytes: RawSpan, _ offset: Int, _ left: Int) -> UInt32 {
    let length = UInt32(truncatingIfNeeded: left)
    var word = length | length << 8
    word |= word << 16
    for position in 4 * index..<max(4 * index, min(4 * index + 4, left)) {
      word = value(bytes, offset + position) &+ word << 8
    }
    return word
  }

  private func halfMD4(_ bytes: RawSpan, _ offset: Int, _ count: Int) -> UInt32 {
    var state = start
    var done = 0
    while done < count {
      var input = SIMD8<UInt32>()
      for index in 0..<8 { input[index] = word(index, bytes, offset + done, count - done) }
      state &+= Self.halfMD4(state, input)
      done += 32
    }
    return state[1]
  }

  private static func halfMD4(_ state: SIMD4<UInt32>, _ input: SIMD8<UInt32>) -> SIMD4<UInt32> {
    var (a, b, c, d) = (state[0], state[1], state[2], state[3])
    /// One step, after which the four words change places.
    @inline(__always)
    func step(_ mixed: UInt32, _ index: Int, _ constant: UInt32, _ shift: UInt32) {
      let sum = a &+ mixed &+ input[index] &+ constant
      (a, b, c, d) = (d, sum << shift | sum >> (32 - shift), b, c)
    }
    let firstShifts: SIMD4<UInt32> = [3, 7, 11, 19]
    for index in 0..<8 { step(d ^ (b & (c ^ d)), index, 0, firstShifts[index & 3]) }
    let secondOrder: SIMD8<Int> = [1, 3, 5, 7, 0, 2, 4, 6]
    let secondShifts: SIMD4<UInt32> = [3, 5, 9, 13]
    for index in 0..<8 {
      step((b & c) &+ ((b ^ c) & d), secondOrder[index], 0x5A82_7999, secondShifts[index & 3])
    }
    let thirdOrder: SIMD8<Int> = [3, 7, 2, 6, 1, 5, 0, 4]
    let thirdShifts: SIMD4<UInt32> = [3, 9, 11, 15]
    for index in 0..<8 { step(b ^ c ^ d, thirdOrder[index], 0x6ED9_EBA1, thirdShifts[index & 3]) }
    return [a, b, c, d]
  }

  private func tea(_ bytes: RawSpan, _ offset: Int, _ count: Int) -> UInt32 {
    var (high, low) = (start[0], start[1])
    var done = 0
    while done < count {
      let key = SIMD4<UInt32>(
        word(0, bytes, offset + done, count - done), word(1, bytes, offset + done, count - done),
        word(2, bytes, offset + done, count - done), word(3, bytes, offset + done, count - done))
      var (first, second) = (high, low)
      var sum: UInt32 = 0
      for _ in 0..<16 {
        sum &+= 0x9E37_79B9
        first &+= (second << 4 &+ key[0]) ^ (second &+ sum) ^ (second >> 5 &+ key[1])
        second &+= (first << 4 &+ key[2]) ^ (first &+ sum) ^ (first >> 5 &+ key[3])
      }
      high &+= first
      low &+= second
      done += 16
    }
    return high
  }
}
