/// Which of so many blocks a pass has touched: a bit each, as fio's random map. When all are, the next pass begins.
struct BlockMap {
  private let count: Int
  private var words: [UInt64]
  private var touchedCount = 0

  init(count: Int) {
    self.count = count
    words = [UInt64](repeating: 0, count: (count + 63) / 64)
  }

  private func isTouched(_ block: Int) -> Bool { words[block / 64] >> UInt64(block % 64) & 1 == 1 }

  /// The first block from `start` on, around the end, that was not touched.
  mutating func firstFree(from start: Int) -> Int {
    if touchedCount == count {
      touchedCount = 0
      for index in words.indices { words[index] = 0 }
    }
    var block = start
    while isTouched(block) {
      let rest = ~words[block / 64] >> UInt64(block % 64)
      block += rest == 0 ? 64 - block % 64 : rest.trailingZeroBitCount
      if block >= count { block = 0 }
    }
    return block
  }

  /// Touches `wanted` blocks from `first` on, `onlyFree`: as far as none of them was. Returns how many.
  mutating func touch(_ first: Int, _ wanted: Int, onlyFree: Bool) -> Int {
    var done = 0
    while done < wanted, first + done < count {
      let block = first + done
      if !isTouched(block) {
        words[block / 64] |= 1 << UInt64(block % 64)
        touchedCount += 1
      } else if onlyFree {
        break
      }
      done += 1
    }
    return done
  }
}
