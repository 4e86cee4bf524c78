/// The random numbers of an experiment: the same seed gives the same numbers, in every process.
///
/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). It passes the usual test
/// batteries, its state is one word, and any seed is a good one.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// A generator that starts at `seed`.
  public init(seed: UInt64) { state = seed }

  /// The next 64 random bits.
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var bits = state
    bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
    bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
    return bits ^ (bits >> 31)
  }

  /// A number from 0 up to, but not including, `bound`. `bound` is above zero.
  ///
  /// The multiplication's high word: its bias is below `bound` / 2^64, and it costs no division.
  public mutating func below(_ bound: Int) -> Int {
    Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// True once in `count` draws on average; never when `count` is 0.
  public mutating func oneIn(_ count: Int) -> Bool { count > 0 && below(count) == 0 }

  /// An independent generator for one part of an experiment, named by a number.
  public func split(_ stream: UInt64) -> SeededGenerator {
    var child = SeededGenerator(seed: state ^ (stream &+ 1) &* 0xD1B5_4A32_D192_ED03)
    return SeededGenerator(seed: child.next())
  }
}
