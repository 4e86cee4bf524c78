// What a job says about verification, in fio's words.

/// How a block is recognized when it is read back (`verify`).
package enum VerifyMethod: String, CaseIterable, Sendable {
  /// A header, and a checksum over the payload.
  case crc32c, crc32
  /// XXH64, where fio has XXH32.
  case xxhash
  /// A header, and nothing about the payload.
  case meta
  /// `verify_pattern` and nothing else: no header, so nobody can tell who wrote a block, and when.
  case pattern

  /// Whether blocks have a header.
  var hasHeader: Bool { self != .pattern }
  /// The number that stands for it in a header.
  var code: UInt8 {
    switch self {
    case .meta: 0
    case .crc32c: 1
    case .crc32: 2
    case .xxhash: 3
    case .pattern: 255
    }
  }
  init?(code: UInt8) {
    guard let method = Self.allCases.first(where: { $0.code == code && $0.hasHeader }) else { return nil }
    self = method
  }

  /// fio's other values.
  static let knownToFioOnly = [
    "null", "md5", "crc64", "crc16", "crc7", "sha1", "sha256", "sha512", "sha3-224", "sha3-256", "sha3-384", "sha3-512",
    "pattern_hdr",
  ]
}

/// How a job on devices verifies what it wrote.
package struct VerifyOptions: Sendable, Equatable {
  package var method: VerifyMethod
  /// The payload; nil: bytes that tell where they belong.
  package var pattern: VerifyPattern?
  /// Read everything back when the job has done its work.
  package var readsBack: Bool
  /// Write nothing, and compare with what an earlier run of the same job left.
  package var isOnly: Bool
  /// Verify after so many writes; 0: at the end.
  package var backlog: UInt64
  /// Of these, so many blocks; nil: all.
  package var backlogBatch: UInt64?
  /// The first mismatch ends the job.
  package var isFatal: Bool
  /// Bytes from one header to the next; nil: the largest that fits all blocks.
  package var interval: Int?
  package var savesState: Bool
  package var loadsState: Bool
  package var trim: TrimOptions
}

/// The bytes that `verify_pattern` describes: as in fio hexadecimal digits behind `0x`, a decimal number, text between
/// double quotes, and `%o` for the block's offset in 8 bytes, the lowest first.
package struct VerifyPattern: Sendable, Equatable {
  enum Part: Sendable, Equatable {
    case bytes([UInt8])
    case offset
  }
  let parts: [Part]
  /// As it was written.
  package let text: String
  private static let byteLimit = 4096

  /// Nil for what is no pattern, or has no bytes or more than 4096.
  package init?(_ text: String) {
    self.text = text
    var parts: [Part] = []
    var rest = Array(text.utf8)[...]
    while let first = rest.first {
      if first == UInt8(ascii: "\"") {
        guard let end = rest.dropFirst().firstIndex(of: UInt8(ascii: "\"")) else { return nil }
        parts.append(.bytes(Array(rest[(rest.startIndex + 1)..<end])))
        rest = rest[(end + 1)...]
      } else if rest.starts(with: Array("%o".utf8)) {
        parts.append(.offset)
        rest = rest.dropFirst(2)
      } else if rest.starts(with: Array("0x".utf8)) || rest.starts(with: Array("0X".utf8)) {
        rest = rest.dropFirst(2)
        var digits: [UInt8] = []
        while let digit = rest.first.flatMap(Self.hexadecimal) {
          digits.append(digit)
          rest = rest.dropFirst()
        }
        if digits.isEmpty { return nil }
        if digits.count % 2 == 1 { digits.insert(0, at: 0) }
        parts.append(.bytes(stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }))
      } else {
        var number: UInt32 = 0, count = 0
        while let digit = rest.first, digit >= 48, digit < 58 {
          let (product, overflow) = number.multipliedReportingOverflow(by: 10)
          let (sum, carry) = product.addingReportingOverflow(UInt32(digit - 48))
          if overflow || carry { return nil }
          number = sum
          count += 1
          rest = rest.dropFirst()
        }
        if count == 0 { return nil }
        var bytes: [UInt8] = []
        repeat {
          bytes.append(UInt8(truncatingIfNeeded: number))
          number >>= 8
        } while number > 0
        parts.append(.bytes(bytes))
      }
    }
    self.parts = parts
    guard (1...Self.byteLimit).contains(byteCount) else { return nil }
  }

  private static func hexadecimal(_ character: UInt8) -> UInt8? {
    switch character {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  var byteCount: Int {
    parts.reduce(0) { sum, part in
      switch part {
      case .bytes(let bytes): sum + bytes.count
      case .offset: sum + 8
      }
    }
  }

  /// The bytes once through, for the block at that offset.
  func bytes(at offset: UInt64) -> [UInt8] {
    parts.flatMap { part -> [UInt8] in
      switch part {
      case .bytes(let bytes): bytes
      case .offset: (0..<8).map { UInt8(truncatingIfNeeded: offset >> (8 * $0)) }
      }
    }
  }
}
