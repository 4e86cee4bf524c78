internal import Glibc
internal import Reactor

/// Numbers from 0 up to a count, of which the n-th is drawn 1/n^theta as often as the first.
///
/// Rejection-inversion (Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone discrete
/// distributions", ACM TOMACS 6, 1996): exact for every theta above 0, without a table and without a sum over all ranks.
struct ZipfRanks {
  private let count: UInt64
  private let theta: Double
  private let integralOfFirst: Double
  private let integralOfAll: Double
  private let acceptance: Double

  /// `count` is above 0.
  init(count: UInt64, theta: Double) {
    self.count = count
    self.theta = theta
    integralOfFirst = Self.integral(1.5, theta) - 1
    integralOfAll = Self.integral(Double(count) + 0.5, theta)
    acceptance = 2 - Self.inverse(Self.integral(2.5, theta) - pow(2, -theta), theta)
  }

  func draw(_ random: inout SeededGenerator) -> UInt64 {
    while true {
      let point = integralOfAll + random.unit() * (integralOfFirst - integralOfAll)
      let x = Self.inverse(point, theta)
      let rank = min(max(1, x.rounded()), Double(count))
      if rank - x <= acceptance || point >= Self.integral(rank + 0.5, theta) - pow(rank, -theta) {
        return min(UInt64(rank), count) - 1
      }
    }
  }

  /// Of x^-theta, up to a constant; and its inverse. Both go over into logarithm and exponential at 1.
  private static func integral(_ x: Double, _ theta: Double) -> Double {
    let exponent = 1 - theta, logarithm = log(x)
    return abs(exponent * logarithm) < 1e-8 ? logarithm : expm1(exponent * logarithm) / exponent
  }
  private static func inverse(_ y: Double, _ theta: Double) -> Double {
    let exponent = 1 - theta
    return abs(exponent * y) < 1e-8 ? exp(y) : exp(log1p(max(-1, exponent * y)) / exponent)
  }
}

extension SeededGenerator {
  /// From 0 to below 1.
  mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
  /// Drawn from the exponential law of mean 1.
  mutating func exponential() -> Double { -log1p(-unit()) }
}
