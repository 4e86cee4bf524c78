import Ext2Format
import Testing

@Suite("Bitmap")
struct BitmapTests {
  /// Ranges around the edges of bytes and words.
  static let ranges = [
    0..<0, 0..<1, 0..<64, 0..<65, 1..<64, 63..<64, 63..<65, 7..<9, 60..<200, 64..<128, 5..<1024, 1023..<1024,
  ]

  /// A bitmap whose bits are set with a probability of `density` percent, and the same as an array.
  static func random(density: Int, seed: UInt64) -> (bytes: [UInt8], bits: [Bool]) {
    var generator = SplitMix64(seed: seed)
    let bits = (0..<1024).map { _ in Int.random(in: 0..<100, using: &generator) < density }
    var bytes = [UInt8](repeating: 0, count: 128)
    for (index, bit) in bits.enumerated() where bit { bytes[index / 8] |= 1 << UInt8(index % 8) }
    return (bytes, bits)
  }

  @Test("searches and counts agree with looking at each bit", arguments: [0, 3, 50, 97, 100], ranges)
  func searches(density: Int, range: Range<Int>) {
    let (bytes, bits) = Self.random(density: density, seed: UInt64(density))
    bytes.reading { span in
      let zeros = Bitmap.zeroCount(in: range, of: span)
      let firstZero = Bitmap.firstZero(in: range, of: span)
      let firstSet = Bitmap.firstSet(in: range, of: span)
      let isSet = range.map { Bitmap.isSet($0, in: span) }
      #expect(isSet == Array(bits[range]))
      #expect(zeros == bits[range].count { !$0 })
      #expect(firstZero == range.first { !bits[$0] })
      #expect(firstSet == range.first { bits[$0] })
      #expect(Bitmap.isAllClear(range, of: span) == bits[range].allSatisfy { !$0 })
      #expect(Bitmap.isAllSet(range, of: span) == bits[range].allSatisfy { $0 })
    }
  }

  @Test(
    "a run of clear bits is the first that is long enough, cut to its limit", arguments: [0, 10, 50, 90, 100], ranges)
  func runs(density: Int, range: Range<Int>) {
    let (bytes, bits) = Self.random(density: density, seed: UInt64(density) + 100)
    for (minimum, maximum) in [(1, 1), (1, Int.max), (2, 3), (8, 64), (70, 70)] {
      var expected: Range<Int>?
      for begin in range where expected == nil {
        let end = bits[begin..<range.upperBound].firstIndex(of: true) ?? range.upperBound
        if end - begin >= minimum { expected = begin..<begin + min(maximum, end - begin) }
      }
      let found = bytes.reading {
        Bitmap.firstZeroRun(in: range, minimumCount: minimum, maximumCount: maximum, of: $0)
      }
      #expect(found == expected, "\(minimum)...\(maximum)")
    }
  }

  @Test("setting and clearing a range changes no other bit", arguments: ranges)
  func changes(range: Range<Int>) {
    let (bytes, bits) = Self.random(density: 50, seed: 9)
    var (ones, zeros) = (bytes, bytes)
    ones.changing { Bitmap.set(range, in: &$0) }
    zeros.changing { Bitmap.clear(range, in: &$0) }
    for index in bits.indices {
      #expect(ones.reading { Bitmap.isSet(index, in: $0) } == (range.contains(index) || bits[index]))
      #expect(zeros.reading { Bitmap.isSet(index, in: $0) } == (!range.contains(index) && bits[index]))
    }
  }

  @Test("setting a taken bit and clearing a free one are told")
  func twice() {
    var bytes = [UInt8](repeating: 0, count: 8)
    #expect(bytes.changing { Bitmap.set(13, in: &$0) })
    #expect(!bytes.changing { Bitmap.set(13, in: &$0) })
    #expect(bytes == [0, 0x20, 0, 0, 0, 0, 0, 0])
    #expect(bytes.changing { Bitmap.clear(13, in: &$0) })
    #expect(!bytes.changing { Bitmap.clear(13, in: &$0) })
  }
}
