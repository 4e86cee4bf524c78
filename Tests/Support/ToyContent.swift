/// What toy files are filled with: every 16 bytes say to which file and page they belong and which write put them there,
/// so that bytes in the wrong place give themselves away.
///
///     0      4      8           12     16
///     ├ file ┼ page ┼ generation ┼ mark ┤      little-endian, the mark is 0x59_4F_54_21 ("!TOY")
package enum ToyContent {
  private static let mark: UInt32 = 0x594F_5421

  /// The bytes that write number `generation` puts at `range` of a file, offsets in bytes.
  package static func bytes(file: UInt64, generation: UInt32, range: Range<Int>, pageByteCount: Int) -> [UInt8] {
    let start = range.lowerBound & ~15, end = (range.upperBound + 15) & ~15
    var lanes: [SIMD4<UInt32>] = []
    var offset = start
    while offset < end {
      let page = offset / pageByteCount, next = min(end, (page + 1) * pageByteCount)
      let lane = SIMD4(UInt32(truncatingIfNeeded: file), UInt32(page), generation, mark)
      lanes.append(contentsOf: Array(repeating: lane, count: (next - offset) / 16))
      offset = next
    }
    // Byte by byte this would be most of the time of a debug run. (All machines we run on are little-endian.)
    var bytes = unsafe lanes.withUnsafeBytes { unsafe Array($0) }
    bytes.removeLast(offset - range.upperBound)
    bytes.removeFirst(range.lowerBound - start)
    return bytes
  }

  /// In words, where two pages differ first and what is there. Nil when they are equal.
  package static func difference(expected: [UInt8], found: [UInt8]) -> String? {
    if expected == found { return nil }
    guard let position = zip(expected, found).enumerated().first(where: { $0.element.0 != $0.element.1 })?.offset else {
      return "\(expected.count) bytes expected, \(found.count) found"
    }
    let lane = position & ~15
    return "at byte \(position): expected \(describe(expected, lane)), found \(describe(found, lane))"
  }

  private static func describe(_ bytes: [UInt8], _ lane: Int) -> String {
    guard lane + 16 <= bytes.count else { return "a part of a lane" }
    if bytes[lane..<lane + 16].allSatisfy({ $0 == 0 }) { return "zeroes" }
    func word(_ index: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(bytes[lane + index * 4 + $1]) << UInt32($1 * 8) }
    }
    guard word(3) == mark else { return "a mixed lane \(Array(bytes[lane..<lane + 16]))" }
    return "file \(word(0)) page \(word(1)) generation \(word(2))"
  }
}
