import Ext2Format
import Reactor
import Testing

@testable import Ext2

@Suite("Reservation windows")
struct ReservationWindowsTests {
  @Test("the first window in the way is the one that a look at all of them finds", arguments: [UInt64](0..<20))
  func likeAll(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var windows = ReservationWindows(largestCount: 32)
    var all: [UInt32: Range<UInt32>] = [:]
    for _ in 0..<2_000 {
      let owner = UInt32(random.below(60))
      let start = UInt32(random.below(500))
      let blocks = start..<start + UInt32(random.below(33))
      if random.oneIn(3) {
        let window = random.oneIn(4) ? nil : blocks
        windows[InodeNumber(rawValue: owner)] = window
        all[owner] = window?.isEmpty == false ? window : nil
      } else {
        let expected = all.filter { $0.key != owner && $0.value.overlaps(blocks) }.map(\.value)
          .min { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }
        #expect(windows.first(touching: blocks, notOf: InodeNumber(rawValue: owner)) == expected)
      }
      #expect(windows[InodeNumber(rawValue: owner)] == all[owner])
    }
  }

  @Test("windows at both ends of the volume are found")
  func ends() {
    var windows = ReservationWindows(largestCount: 1024)
    windows[InodeNumber(rawValue: 12)] = 0..<8
    windows[InodeNumber(rawValue: 13)] = UInt32.max - 8..<UInt32.max
    #expect(windows.first(touching: 0..<1, notOf: .none) == 0..<8)
    #expect(windows.first(touching: 7..<2000, notOf: .none) == 0..<8)
    #expect(windows.first(touching: 8..<2000, notOf: .none) == nil)
    #expect(windows.first(touching: UInt32.max - 1..<UInt32.max, notOf: .none) == UInt32.max - 8..<UInt32.max)
    #expect(windows.first(touching: 0..<1, notOf: InodeNumber(rawValue: 12)) == nil)
  }

  @Test(
    "a window has room up to the end of its group, to the next window, or to its size, at the end of the largest volume, too"
  )
  func room() {
    var windows = ReservationWindows(largestCount: 1024)
    let own = InodeNumber(rawValue: 12), other = InodeNumber(rawValue: 13)
    windows[other] = 100..<108
    #expect(windows.room(from: 80, limit: 200, count: 8, notOf: own) == 80..<88)
    #expect(windows.room(from: 80, limit: 84, count: 8, notOf: own) == 80..<84)
    #expect(windows.room(from: 96, limit: 200, count: 8, notOf: own) == 96..<100)
    #expect(windows.room(from: 104, limit: 200, count: 8, notOf: own).isEmpty)
    #expect(windows.room(from: 104, limit: 200, count: 8, notOf: other) == 104..<112)
    #expect(windows.room(from: 80, limit: 80, count: 8, notOf: own).isEmpty)
    #expect(windows.room(from: UInt32.max - 3, limit: UInt32.max, count: 1024, notOf: own).count == 3)
  }
}
