internal import Reactor

/// The memory of all pages: one region, cut into frames of one page each, taken lazily from the system.
///
/// Pages of a sequential writer get neighbouring frames, so that a batch of them is few segments: a frame is looked for
/// right after the file's previous page, then at the start of 64 free ones, then anywhere.
@safe final class FrameArena {
  /// Whoever waits for a frame, or for a page to become one that may leave.
  let waiters: WaitQueue
  let frameByteCount: Int
  let count: Int
  private let base: UnsafeMutableRawPointer
  /// One bit a frame, set while it is taken.
  private var words: [UInt64]
  private var cursor = 0
  private(set) var freeCount: Int

  init(_ reactor: Reactor, frameByteCount: Int, count: Int) {
    waiters = WaitQueue(reactor, "a free page")
    self.frameByteCount = frameByteCount
    self.count = count
    unsafe base = .allocate(byteCount: frameByteCount * count, alignment: max(512, min(frameByteCount, 4096)))
    words = Array(repeating: 0, count: (count + 63) / 64)
    if count % 64 != 0 { words[words.count - 1] = ~0 << UInt64(count % 64) }
    freeCount = count
  }
  deinit { unsafe base.deallocate() }

  func pointer(_ frame: Int) -> UnsafeMutableRawPointer { unsafe base + frame * frameByteCount }

  /// A free frame, if possible right after `previous`; nil when there is none.
  func allocate(after previous: Int?) -> Int? {
    guard freeCount > 0 else { return nil }
    if let previous, previous + 1 < count, isFree(previous + 1) { return take(previous + 1) }
    if let word = findWord(where: { $0 == 0 }) { return take(word * 64) }
    guard let word = findWord(where: { $0 != ~0 }) else { return nil }
    return take(word * 64 + (~words[word]).trailingZeroBitCount)
  }

  func free(_ frame: Int) {
    words[frame >> 6] &= ~(1 << UInt64(frame & 63))
    freeCount += 1
    waiters.wakeOne()
  }

  private func isFree(_ frame: Int) -> Bool { words[frame >> 6] & 1 << UInt64(frame & 63) == 0 }

  private func take(_ frame: Int) -> Int {
    words[frame >> 6] |= 1 << UInt64(frame & 63)
    freeCount -= 1
    cursor = frame >> 6
    return frame
  }

  private func findWord(where matches: (UInt64) -> Bool) -> Int? {
    for step in 1...words.count {
      let index = (cursor + step) % words.count
      if matches(words[index]) { return index }
    }
    return nil
  }
}
