internal import Ext2
internal import Reactor

/// One file of an experiment and what it must contain.
final class ModelFile {
  let name: String
  let file: File
  /// Every byte, as all operations so far have left them.
  var expected: [UInt8] = []
  /// What an fsync has promised: contents that survive a cut, unless a later truncate or punch removes them.
  var promised: [UInt8] = []
  /// Bytes that were changed or removed since the promise: they may be old, new, or anything between.
  var unsettled: [Range<Int>] = []
  var isPromised = false
  /// A truncate or a punch took blocks away since the promise. With plain frees a cut may then show the file through
  /// pointers to blocks that were used again: ext2 orders nothing on the disk.
  var hasLostBlocks = false
  /// Pages that have a block now: those that were written and not cut off or punched since.
  private var mappedPages: Set<Int> = []
  /// Those that have had one since the promise.
  private var promisedPages: Set<Int> = []
  /// Pages that were written since the promise.
  private var writtenPages: Set<Int> = []
  private let blockSize: Int
  private static let directPageCount = 12
  /// Taken around each change and its note in the model, so that the model knows their order. Fsync, writeback, reads and
  /// other files go on beside it.
  let lock: AsyncLock

  init(_ name: String, _ file: File, blockSize: Int, _ reactor: Reactor) {
    self.blockSize = blockSize
    self.name = name
    self.file = file
    lock = AsyncLock(reactor, "the model of \(name)")
  }

  func noteWrite(_ bytes: [UInt8], at offset: Int) {
    guard !bytes.isEmpty else { return }
    let end = offset + bytes.count
    if expected.count < end { expected += [UInt8](repeating: 0, count: end - expected.count) }
    expected.replaceSubrange(offset..<end, with: bytes)
    unsettled.append(offset..<end)
    let pages = offset / blockSize...(end - 1) / blockSize
    mappedPages.formUnion(pages)
    writtenPages.formUnion(pages)
  }
  func noteTruncate(to size: Int) {
    if size < expected.count {
      unsettled.append(size..<expected.count)
      hasLostBlocks = true
      expected.removeLast(expected.count - size)
      unmap { $0 * blockSize >= size }
    } else {
      expected += [UInt8](repeating: 0, count: size - expected.count)
    }
  }
  func notePunch(_ range: Range<Int>) {
    let range = range.clamped(to: 0..<expected.count)
    guard !range.isEmpty else { return }
    expected.replaceSubrange(range, with: repeatElement(0, count: range.count))
    unsettled.append(range)
    hasLostBlocks = true
    // What a punch covers to the end of the file takes the last page whole.
    let end = range.upperBound == expected.count ? range.upperBound + blockSize - 1 : range.upperBound
    unmap { $0 * blockSize >= range.lowerBound && ($0 + 1) * blockSize <= end }
  }
  private func unmap(_ isGone: (Int) -> Bool) {
    mappedPages = mappedPages.filter { !isGone($0) }
    promisedPages = promisedPages.filter { !isGone($0) }
  }
  func notePromise(_ contents: [UInt8]) {
    promised = contents
    isPromised = true
    hasLostBlocks = false
    unsettled = []
    promisedPages = mappedPages
    writtenPages = []
  }

  /// Whether a cut may show anything in a page although fsync promised what is in it: it was a hole then or is cut off, and
  /// has got a block since, or hangs on a pointer block that was made since. Another file's fsync may have written the inode with
  /// the new pointer before what that points to; ext2 orders nothing on the disk.
  func isExposed(page: Int) -> Bool {
    if promisedPages.contains(page) { return false }
    return writtenPages.contains(page)
      || (page >= Self.directPageCount && writtenPages.contains { $0 >= Self.directPageCount })
  }

  /// The first byte where `found` breaks the promise; nil when it holds.
  func brokenPromise(_ found: [UInt8]) -> Int? {
    guard isPromised else { return nil }
    for index in promised.indices where !unsettled.contains(where: { $0.contains(index) }) {
      if index >= found.count {
        // A cut may show a truncate that was not promised; only what was never cut off must be there.
        if unsettled.contains(where: { $0.upperBound > index && $0.lowerBound <= found.count }) { continue }
        return index
      }
      if found[index] != promised[index] { return index }
    }
    return nil
  }
}
