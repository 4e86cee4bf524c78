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
  /// Taken around each change and its note in the model, so that the model knows their order. Fsync, writeback, reads and
  /// other files go on beside it.
  let lock: AsyncLock

  init(_ name: String, _ file: File, _ reactor: Reactor) {
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
  }
  func noteTruncate(to size: Int) {
    if size < expected.count {
      unsettled.append(size..<expected.count)
      hasLostBlocks = true
      expected.removeLast(expected.count - size)
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
  }
  func notePromise(_ contents: [UInt8]) {
    promised = contents
    isPromised = true
    hasLostBlocks = false
    unsettled = []
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
