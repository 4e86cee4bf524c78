internal import Reactor

/// How many bytes an operation has.
package enum BlockSizes: Sendable, Equatable {
  /// Always the same (`bs`).
  case fixed(Int)
  /// Any multiple of the smallest up to the largest (`bsrange`).
  case range(ClosedRange<Int>)
  /// Sizes with their shares, in percent, which sum to 100 (`bssplit`).
  case split([Share])

  package struct Share: Sendable, Equatable {
    package let byteCount: Int
    package let percent: Int
    package init(_ byteCount: Int, percent: Int) {
      self.byteCount = byteCount
      self.percent = percent
    }
  }

  package var smallest: Int {
    switch self {
    case .fixed(let size): size
    case .range(let sizes): sizes.lowerBound
    case .split(let shares): shares.map(\.byteCount).min() ?? 0
    }
  }
  package var largest: Int {
    switch self {
    case .fixed(let size): size
    case .range(let sizes): sizes.upperBound
    case .split(let shares): shares.map(\.byteCount).max() ?? 0
    }
  }

  /// Every size, or of a range its step and its end.
  var all: [Int] {
    switch self {
    case .fixed(let size): [size]
    case .range(let sizes): [sizes.lowerBound, sizes.upperBound]
    case .split(let shares): shares.map(\.byteCount)
    }
  }

  /// The size of the next operation.
  func draw(_ random: inout SeededGenerator) -> Int {
    switch self {
    case .fixed(let size): return size
    case .range(let sizes):
      return sizes.lowerBound * (1 + random.below(sizes.upperBound / sizes.lowerBound))
    case .split(let shares):
      var point = random.below(100)
      for share in shares {
        if point < share.percent { return share.byteCount }
        point -= share.percent
      }
      return shares[shares.count - 1].byteCount
    }
  }
}
