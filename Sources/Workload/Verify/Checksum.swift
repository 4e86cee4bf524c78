// The checksums of verified blocks. Tables of eight bytes a step ("slicing by 8": Kounavis and Berry, 2005).

/// A cyclic redundancy check of 32 bits, reflected, with all bits turned over at both ends.
struct CyclicChecksum: Sendable {
  private let tables: [[UInt32]]

  /// Castagnoli's polynomial, as of iSCSI (RFC 3720), ext4 and fio's crc32c.
  static let castagnoli = CyclicChecksum(0x82F6_3B78)
  /// The polynomial of Ethernet and zlib.
  static let ethernet = CyclicChecksum(0xEDB8_8320)

  /// - Parameter polynomial: with its bits in reverse.
  private init(_ polynomial: UInt32) {
    var tables = [
      (0..<256).map { byte -> UInt32 in
        (0..<8).reduce(UInt32(byte)) { sum, _ in sum & 1 == 1 ? sum >> 1 ^ polynomial : sum >> 1 }
      }
    ]
    for step in 1..<8 {
      tables.append(tables[step - 1].map { tables[0][Int($0 & 255)] ^ $0 >> 8 })
    }
    self.tables = tables
  }

  /// The checksum of bytes.
  func value(of bytes: RawSpan) -> UInt32 {
    var sum = ~UInt32(0), index = 0
    while index + 8 <= bytes.byteCount {
      let word = word(bytes, index) ^ UInt64(sum)
      sum =
        tables[7][Int(word & 255)] ^ tables[6][Int(word >> 8 & 255)] ^ tables[5][Int(word >> 16 & 255)]
        ^ tables[4][Int(word >> 24 & 255)]
      sum ^=
        tables[3][Int(word >> 32 & 255)] ^ tables[2][Int(word >> 40 & 255)] ^ tables[1][Int(word >> 48 & 255)]
        ^ tables[0][Int(word >> 56)]
      index += 8
    }
    while index < bytes.byteCount {
      sum = tables[0][Int((sum ^ UInt32(byte(bytes, index))) & 255)] ^ sum >> 8
      index += 1
    }
    return ~sum
  }
}

/// XXH64 with seed 0, as its specification says (Collet, "xxHash fast digest algorithm", 0.1.1).
enum XXHash64 {
  private static let primes: (UInt64, UInt64, UInt64, UInt64, UInt64) = (
    0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 0x85EB_CA77_C2B2_AE63, 0x27D4_EB2F_1656_67C5
  )

  /// The checksum of bytes.
  static func value(of bytes: RawSpan) -> UInt64 {
    let (one, two, three, four, five) = primes
    func round(_ lane: UInt64, _ input: UInt64) -> UInt64 { rotated(lane &+ input &* two, 31) &* one }
    func merged(_ sum: UInt64, _ lane: UInt64) -> UInt64 { (sum ^ round(0, lane)) &* one &+ four }
    var index = 0
    var sum = five
    if bytes.byteCount >= 32 {
      var a = one &+ two, b = two, c: UInt64 = 0, d = 0 &- one
      while index + 32 <= bytes.byteCount {
        a = round(a, word(bytes, index))
        b = round(b, word(bytes, index + 8))
        c = round(c, word(bytes, index + 16))
        d = round(d, word(bytes, index + 24))
        index += 32
      }
      sum = rotated(a, 1) &+ rotated(b, 7) &+ rotated(c, 12) &+ rotated(d, 18)
      for lane in [a, b, c, d] { sum = merged(sum, lane) }
    }
    sum &+= UInt64(bytes.byteCount)
    while index + 8 <= bytes.byteCount {
      sum = rotated(sum ^ round(0, word(bytes, index)), 27) &* one &+ four
      index += 8
    }
    if index + 4 <= bytes.byteCount {
      let half = (0..<4).reduce(UInt64(0)) { $0 | UInt64(byte(bytes, index + $1)) << UInt64(8 * $1) }
      sum = rotated(sum ^ half &* one, 23) &* two &+ three
      index += 4
    }
    while index < bytes.byteCount {
      sum = rotated(sum ^ UInt64(byte(bytes, index)) &* five, 11) &* one
      index += 1
    }
    sum = (sum ^ sum >> 33) &* two
    sum = (sum ^ sum >> 29) &* three
    return sum ^ sum >> 32
  }

  private static func rotated(_ word: UInt64, _ count: UInt64) -> UInt64 { word << count | word >> (64 - count) }
}

/// The 8 bytes at `index`, the lowest first.
func word(_ bytes: RawSpan, _ index: Int) -> UInt64 {
  UInt64(littleEndian: unsafe bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self))
}
/// The byte at `index`.
func byte(_ bytes: RawSpan, _ index: Int) -> UInt8 {
  unsafe bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)
}

extension VerifyMethod {
  /// The checksum of a payload, as a header has it.
  func checksum(of payload: RawSpan) -> UInt64 {
    switch self {
    case .crc32c: UInt64(CyclicChecksum.castagnoli.value(of: payload))
    case .crc32: UInt64(CyclicChecksum.ethernet.value(of: payload))
    case .xxhash: XXHash64.value(of: payload)
    case .meta, .pattern: 0
    }
  }
}
