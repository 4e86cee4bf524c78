/// Pages by index: a radix tree of 64-way nodes that also knows which pages are dirty, as the kernel's page cache.
///
/// Looking a page up costs one step a level (one level for 64 pages, two for 4,096, …), and one step in all for a page in
/// the leaf that was used last, as most are. The next dirty page is found by the marks on the way, however sparse the file
/// is. A class, because a struct's changes would be checked for exclusive access at run time, once a page.
final class PageTree {
  private final class Node {
    var slots: [64 of AnyObject?] = .init(repeating: nil)
    /// Slots that hold something.
    var used: UInt64 = 0
    /// Slots that are a dirty page or have one below.
    var dirty: UInt64 = 0
  }
  private var root = Node()
  /// Bits of the index that the tree resolves.
  private var bits: UInt64 = 6
  /// Pages in the tree.
  private(set) var count = 0
  /// The leaf that was used last, and which 64 indexes are its.
  private var recentLeaf: Node?
  private var recentNumber: UInt64 = 0

  private func covers(_ index: PageIndex) -> Bool { bits >= 64 || index.rawValue >> bits == 0 }

  /// The leaf that holds the slot of `index`; nil when there is none.
  private func leaf(of index: PageIndex) -> Node? {
    if recentNumber == index.rawValue >> 6, let recentLeaf { return recentLeaf }
    guard covers(index) else { return nil }
    var node = root
    var shift = bits - 6
    while shift > 0 {
      guard let child = node.slots[Int(index.rawValue >> shift & 63)] else { return nil }
      node = unsafe unsafeDowncast(child, to: Node.self)
      shift -= 6
    }
    recentLeaf = node
    recentNumber = index.rawValue >> 6
    return node
  }

  subscript(index: PageIndex) -> Page? {
    guard let leaf = leaf(of: index), let page = leaf.slots[Int(index.rawValue & 63)] else { return nil }
    return unsafe unsafeDowncast(page, to: Page.self)
  }

  /// How many pages from `index` on, without a gap and at most `limit`, satisfy `condition`.
  func runLength(from index: PageIndex, limit: Int, while condition: (Page) -> Bool) -> Int {
    var count = 0
    while count < limit, let leaf = leaf(of: index + count) {
      var slot = Int((index + count).rawValue & 63)
      while slot < 64 && count < limit {
        guard let child = leaf.slots[slot], condition(unsafe unsafeDowncast(child, to: Page.self)) else { return count }
        slot += 1
        count += 1
      }
    }
    return count
  }

  /// Adds a page at an index that has none.
  func insert(_ page: Page) {
    let leaf = leaf(of: page.index) ?? makeLeaf(for: page.index)
    let slot = Int(page.index.rawValue & 63)
    precondition(leaf.slots[slot] == nil, "two pages at one index")
    leaf.slots[slot] = page
    leaf.used |= 1 << UInt64(slot)
    count += 1
  }

  private func makeLeaf(for index: PageIndex) -> Node {
    while !covers(index) { grow() }
    var node = root
    var shift = bits - 6
    while shift > 0 {
      let slot = Int(index.rawValue >> shift & 63)
      if let child = node.slots[slot] {
        node = unsafe unsafeDowncast(child, to: Node.self)
      } else {
        let child = Node()
        node.slots[slot] = child
        node.used |= 1 << UInt64(slot)
        node = child
      }
      shift -= 6
    }
    recentLeaf = node
    recentNumber = index.rawValue >> 6
    return node
  }

  private func grow() {
    let top = Node()
    if root.used != 0 {
      top.slots[0] = root
      top.used = 1
      top.dirty = root.dirty != 0 ? 1 : 0
    } else {
      // The empty root goes, and it may be the recent leaf.
      recentLeaf = nil
    }
    root = top
    bits += 6
  }

  /// Takes the page at `index` out, with its mark.
  func remove(at index: PageIndex) {
    let bit = UInt64(1) << (index.rawValue & 63)
    guard let leaf = leaf(of: index), leaf.used & bit != 0 else { return }
    count -= 1
    if leaf.used != bit && leaf.dirty & bit == 0 {
      leaf.slots[Int(index.rawValue & 63)] = nil
      leaf.used &= ~bit
    } else {
      remove(index, from: root, shift: bits - 6)
      recentLeaf = nil
    }
  }

  /// Takes a page out, and each node on the way that is empty then.
  private func remove(_ index: PageIndex, from node: Node, shift: UInt64) {
    let slot = Int(index.rawValue >> shift & 63)
    guard let child = node.slots[slot] else { return }
    if shift > 0 {
      let below = unsafe unsafeDowncast(child, to: Node.self)
      remove(index, from: below, shift: shift - 6)
      if below.dirty == 0 { node.dirty &= ~(1 << UInt64(slot)) }
      if below.used != 0 { return }
    }
    node.slots[slot] = nil
    node.used &= ~(1 << UInt64(slot))
    node.dirty &= ~(1 << UInt64(slot))
  }

  /// Marks the page at `index` dirty or not.
  func setDirty(_ isDirty: Bool, at index: PageIndex) {
    guard let leaf = leaf(of: index) else { return }
    let bit = UInt64(1) << (index.rawValue & 63)
    let marks = isDirty ? leaf.dirty | bit : leaf.dirty & ~bit
    // The nodes above know only whether there is any mark in the leaf.
    let isSeenAbove = (marks == 0) != (leaf.dirty == 0)
    leaf.dirty = marks
    if isSeenAbove && bits > 6 { markAbove(index, node: root, shift: bits - 6) }
  }

  /// Brings the marks of the nodes above a leaf up to date.
  private func markAbove(_ index: PageIndex, node: Node, shift: UInt64) {
    let slot = index.rawValue >> shift & 63
    guard shift > 0, let child = node.slots[Int(slot)] else { return }
    let below = unsafe unsafeDowncast(child, to: Node.self)
    markAbove(index, node: below, shift: shift - 6)
    if below.dirty != 0 { node.dirty |= 1 << slot } else { node.dirty &= ~(1 << slot) }
  }

  /// The first page at or after `index`.
  func first(from index: PageIndex) -> Page? { find(from: index, dirtyOnly: false) }
  /// The first dirty page at or after `index`.
  func firstDirty(from index: PageIndex) -> Page? { find(from: index, dirtyOnly: true) }

  private func find(from index: PageIndex, dirtyOnly: Bool) -> Page? {
    guard covers(index) else { return nil }
    return find(index.rawValue, in: root, shift: bits - 6, dirtyOnly)
  }

  private func find(_ index: UInt64, in node: Node, shift: UInt64, _ dirtyOnly: Bool) -> Page? {
    let start = index >> shift & 63
    var candidates = (dirtyOnly ? node.dirty : node.used) & ~0 << start
    while candidates != 0 {
      let slot = candidates.trailingZeroBitCount
      candidates &= candidates - 1
      guard let child = node.slots[slot] else { continue }
      if shift == 0 { return unsafe unsafeDowncast(child, to: Page.self) }
      // In every subtree after the first the search begins at its first page.
      let rest = UInt64(slot) == start ? index & ((1 << shift) - 1) : 0
      if let page = find(rest, in: unsafe unsafeDowncast(child, to: Node.self), shift: shift - 6, dirtyOnly) {
        return page
      }
    }
    return nil
  }
}
