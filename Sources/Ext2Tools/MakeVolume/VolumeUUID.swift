/// The 16 bytes that tell a volume from all others, or the seed of its directory hashes.
public struct VolumeUUID: Hashable, Sendable, CustomStringConvertible {
  /// The bytes, in the order in which they are written and stored.
  public let bytes: [UInt8]

  /// Sixteen zeros: a volume without a UUID.
  public static let null = VolumeUUID(unchecked: [UInt8](repeating: 0, count: 16))

  private init(unchecked bytes: [UInt8]) { self.bytes = bytes }

  /// A random one: version 4, variant 1 (RFC 9562).
  public static func random(using generator: inout some RandomNumberGenerator) -> VolumeUUID {
    var bytes = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    bytes[6] = bytes[6] & 0x0F | 0x40
    bytes[8] = bytes[8] & 0x3F | 0x80
    return VolumeUUID(unchecked: bytes)
  }

  /// The usual text, 8-4-4-4-12 hexadecimal digits; nil for any other.
  public init?(_ text: String) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.map(\.utf8.count) == [8, 4, 4, 4, 12] else { return nil }
    let digits = parts.joined().map(\.hexDigitValue)
    guard digits.count == 32, !digits.contains(nil) else { return nil }
    bytes = stride(from: 0, to: 32, by: 2).map { UInt8((digits[$0] ?? 0) << 4 | (digits[$0 + 1] ?? 0)) }
  }

  public var description: String {
    let digits = bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }
    return [0..<4, 4..<6, 6..<8, 8..<10, 10..<16].map { digits[$0].joined() }.joined(separator: "-")
  }
}
