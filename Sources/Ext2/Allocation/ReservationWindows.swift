internal import Ext2Format

/// Blocks that files which grow would like to have next: at most one window a file, of at most `largestCount` blocks.
///
/// Where there is no room elsewhere, a file takes blocks of another's window. Windows are kept in order, so that a search
/// among those of thousands of files looks at the few that are near.
struct ReservationWindows {
  /// The most blocks a window may have.
  let largestCount: Int
  private struct Entry {
    let window: Range<UInt32>
    /// The inode's number, as a plain integer: it is compared more often than anything else here.
    let owner: UInt32
  }
  private var entries: [Entry] = []
  private var windows: [InodeNumber: Range<UInt32>] = [:]

  /// How many files have one.
  var count: Int { windows.count }

  init(largestCount: Int) { self.largestCount = largestCount }

  /// A file's window; nil, or an empty one, for none.
  subscript(owner: InodeNumber) -> Range<UInt32>? {
    get { windows[owner] }
    set {
      if let old = windows.removeValue(forKey: owner) {
        var index = position(of: old.lowerBound)
        while entries[index].owner != owner.rawValue { index += 1 }
        entries.remove(at: index)
      }
      guard let newValue, !newValue.isEmpty else { return }
      precondition(newValue.count <= largestCount, "a window larger than any may be")
      windows[owner] = newValue
      entries.insert(Entry(window: newValue, owner: owner.rawValue), at: position(of: newValue.lowerBound))
    }
  }

  /// The window of another file that begins first among those that touch these blocks. O(log n) and what is near.
  func first(touching blocks: Range<UInt32>, notOf owner: InodeNumber) -> Range<UInt32>? {
    // What begins earlier than that ends before the blocks do begin.
    let earliest = blocks.lowerBound - min(blocks.lowerBound, UInt32(largestCount))
    let owner = owner.rawValue
    var first: Range<UInt32>?
    for entry in entries[position(of: earliest)...] {
      if entry.window.lowerBound >= blocks.upperBound { break }
      if let first, entry.window.lowerBound > first.lowerBound { break }
      guard entry.owner != owner, entry.window.overlaps(blocks) else { continue }
      // Of those that begin together, the shortest.
      if first.map({ entry.window.upperBound < $0.upperBound }) ?? true { first = entry.window }
    }
    return first
  }

  /// What a file's window may be that begins at `start`: up to `count` blocks, before `limit` and before the next window.
  /// No two windows overlap: what two files claim neither could use.
  func room(from start: UInt32, limit: UInt32, count: Int, notOf owner: InodeNumber) -> Range<UInt32> {
    // Not `start + count`: the last block of the largest volume is the last number but one.
    let blocks = start..<start + UInt32(min(count, Int(limit - start)))
    guard let other = first(touching: blocks, notOf: owner) else { return blocks }
    return start..<max(start, other.lowerBound)
  }

  /// Where the windows begin that begin at `start` or after it.
  private func position(of start: UInt32) -> Int {
    var low = 0, high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].window.lowerBound < start { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
