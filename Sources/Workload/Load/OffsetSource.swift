internal import Reactor

/// Where the operations of one copy of a job go in one of its files.
struct OffsetSource {
  /// The part of the file that the copy works on, in bytes.
  let range: Range<UInt64>
  private let load: Load
  private let smallest: UInt64
  /// Random offsets are multiples of it, counted from the start of the range; sequential lengths are cut to multiples of
  /// the smallest block.
  private let align: UInt64
  private var choice: BlockChoice?
  /// Of a pass of several sizes: the blocks that it has touched.
  private var touched: BlockMap?
  /// Where the next sequential operation begins.
  private var position: UInt64
  /// Operations until a random pattern draws again.
  private var followers: UInt64 = 0

  /// `range` has at least a block. `align` is above 0.
  init(_ load: Load, range: Range<UInt64>, smallest: Int, align: Int, _ generator: inout SeededGenerator) {
    self.load = load
    self.range = range
    self.smallest = UInt64(smallest)
    self.align = UInt64(align)
    position = range.lowerBound
    if load.pattern.isRandom {
      let count = (UInt64(range.count) - self.smallest) / self.align + 1
      choice = BlockChoice(
        load.distribution, count: count, align: align, mayRepeat: load.offsetsMayRepeat, &generator)
      let isOfOneSize = Direction.allCases.allSatisfy { load.blockSizes[$0].largest == smallest }
      // 32 MiB of map at most; beyond, a pass goes on without one, as with fio's `softrandommap`.
      let mapCount = Int(range.count) / smallest, isMapped = mapCount <= 1 << 28
      if load.distribution == .random, !load.offsetsMayRepeat, !isOfOneSize, align == smallest, isMapped {
        touched = BlockMap(count: mapCount)
      }
    }
  }

  /// Whether a sequential pattern has come to the end of the file.
  var isAtEnd: Bool { range.upperBound - min(position, range.upperBound) < smallest }

  /// The next place for an operation of so many bytes, which may have to be shorter.
  mutating func next(
    byteCount: Int, _ direction: Direction, _ random: inout SeededGenerator, _ generator: inout SeededGenerator
  ) -> (offset: UInt64, byteCount: Int) {
    let isRandom = choice != nil && drawsAnew(direction, &random)
    if isRandom {
      position = range.lowerBound + (choice?.next(&random, &generator) ?? 0) * align
    } else if isAtEnd {
      position = range.lowerBound
    }
    if isRandom, let free = touched?.firstFree(from: Int((position - range.lowerBound) / smallest)) {
      position = range.lowerBound + UInt64(free) * smallest
    }
    let offset = position
    let room = (range.upperBound - offset) / smallest * smallest
    var length = min(UInt64(byteCount), room)
    if touched != nil {
      // As with fio, an operation ends where the pass has been.
      let first = Int((offset - range.lowerBound) / smallest), count = Int((length + smallest - 1) / smallest)
      let free = touched?.touch(first, count, onlyFree: isRandom) ?? count
      length = min(length, UInt64(free) * smallest)
    }
    position = offset + length
    if choice == nil, let skip = load.patternModifier { position += skip }
    return (offset, Int(length))
  }

  private mutating func drawsAnew(_ direction: Direction, _ random: inout SeededGenerator) -> Bool {
    if followers > 0 && !isAtEnd {
      followers -= 1
      return false
    }
    let percent = load.randomPercent[direction]
    if percent < 100 && random.below(100) >= percent && !isAtEnd { return false }
    followers = (load.patternModifier ?? 1) - 1
    return true
  }
}
