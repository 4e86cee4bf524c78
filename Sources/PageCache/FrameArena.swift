internal import Glibc
internal import Reactor

/// The memory of all pages: one region, cut into frames of one page each, taken lazily from the system.
///
/// Pages of a sequential writer get neighbouring frames, so that a batch of them is few segments: a frame is looked for
/// right after the file's previous page, then at the start of 64 free ones, then anywhere.
@safe final class FrameArena {
  /// Of the system, where it has any. It gives memory sooner in such pieces, which a small cache would not fill.
  private static let hugePageByteCount = 2 << 20
  /// Whoever waits for a frame, or for a page to become one that may leave.
  let waiters: WaitQueue
  let frameByteCount: Int
  let count: Int
  private let base: UnsafeMutableRawPointer
  /// One bit a frame, set while it is taken.
  private let words: UnsafeMutablePointer<UInt64>
  private let wordCount: Int
  /// Words without a bit.
  private var emptyWordCount: Int
  private var cursor = 0
  /// Frames whose memory the system has given, from the first on.
  private var populatedCount: Int
  private(set) var freeCount: Int

  init(_ reactor: Reactor, frameByteCount: Int, count: Int) {
    waiters = WaitQueue(reactor, "a free page")
    self.frameByteCount = frameByteCount
    self.count = count
    let isLarge = frameByteCount * count >= 8 * Self.hugePageByteCount
    unsafe base = .allocate(byteCount: frameByteCount * count, alignment: isLarge ? Self.hugePageByteCount : 4096)
    if isLarge { unsafe madvise(base, frameByteCount * count, Int32(MADV_HUGEPAGE)) }
    populatedCount = 0
    wordCount = (count + 63) / 64
    unsafe words = .allocate(capacity: wordCount)
    unsafe words.initialize(repeating: 0, count: wordCount)
    if count % 64 != 0 { unsafe words[wordCount - 1] = ~0 << UInt64(count % 64) }
    emptyWordCount = count / 64
    freeCount = count
  }
  deinit {
    unsafe base.deallocate()
    unsafe words.deallocate()
  }

  func pointer(_ frame: Int) -> UnsafeMutableRawPointer { unsafe base + frame * frameByteCount }

  /// A free frame, if possible right after `previous`; nil when there is none.
  func allocate(after previous: Int?) -> Int? {
    guard freeCount > 0 else { return nil }
    if let previous, previous + 1 < count, isFree(previous + 1) { return take(previous + 1) }
    if emptyWordCount > 0, let word = findWord(where: { $0 == 0 }) { return take(word * 64) }
    guard let word = findWord(where: { $0 != ~0 }) else { return nil }
    return take(word * 64 + (~(unsafe words[word])).trailingZeroBitCount)
  }

  func free(_ frame: Int) {
    unsafe words[frame >> 6] &= ~(1 << UInt64(frame & 63))
    if unsafe words[frame >> 6] == 0 { emptyWordCount += 1 }
    freeCount += 1
    waiters.wakeOne()
  }

  private func isFree(_ frame: Int) -> Bool { unsafe words[frame >> 6] & 1 << UInt64(frame & 63) == 0 }

  private func take(_ frame: Int) -> Int {
    if unsafe words[frame >> 6] == 0 { emptyWordCount -= 1 }
    unsafe words[frame >> 6] |= 1 << UInt64(frame & 63)
    freeCount -= 1
    cursor = frame >> 6
    if frame >= populatedCount { populate(through: frame) }
    return frame
  }

  /// Has the system give memory for 64 frames and more in one call: a page fault each costs several times as much. It is
  /// a hint; where it fails the faults happen.
  private func populate(through frame: Int) {
    let end = min(count, (frame | 63) + 1)
    let start = populatedCount * frameByteCount & ~4095
    unsafe madvise(base + start, end * frameByteCount - start, Int32(MADV_POPULATE_WRITE))
    populatedCount = end
  }

  private func findWord(where matches: (UInt64) -> Bool) -> Int? {
    for step in 1...wordCount {
      let index = (cursor + step) % wordCount
      if matches(unsafe words[index]) { return index }
    }
    return nil
  }
}
