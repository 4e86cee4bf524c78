/// Pages by index: a radix tree of 64-way nodes that also knows which pages are dirty, as the kernel's page cache.
///
/// Looking a page up costs one step a level (one level for 64 pages, two for 4,096, …); the next dirty page is found by
/// the marks on the way, however sparse the file is.
struct PageTree {
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

  private func covers(_ index: PageIndex) -> Bool { bits >= 64 || index.rawValue >> bits == 0 }

  subscript(index: PageIndex) -> Page? {
    guard covers(index) else { return nil }
    var node = root
    var shift = bits - 6
    while shift > 0 {
      guard let child = node.slots[Int(index.rawValue >> shift & 63)] else { return nil }
      node = unsafe unsafeDowncast(child, to: Node.self)
      shift -= 6
    }
    guard let page = node.slots[Int(index.rawValue & 63)] else { return nil }
    return unsafe unsafeDowncast(page, to: Page.self)
  }

  /// Adds a page at an index that has none.
  mutating func insert(_ page: Page) {
    while !covers(page.index) { grow() }
    var node = root
    var shift = bits - 6
    while shift > 0 {
      let slot = Int(page.index.rawValue >> shift & 63)
      if node.slots[slot] == nil {
        node.slots[slot] = Node()
        node.used |= 1 << UInt64(slot)
      }
      guard let child = node.slots[slot] else { return }
      node = unsafe unsafeDowncast(child, to: Node.self)
      shift -= 6
    }
    let slot = Int(page.index.rawValue & 63)
    precondition(node.slots[slot] == nil, "two pages at one index")
    node.slots[slot] = page
    node.used |= 1 << UInt64(slot)
    count += 1
  }

  private mutating func grow() {
    let top = Node()
    if root.used != 0 {
      top.slots[0] = root
      top.used = 1
      top.dirty = root.dirty != 0 ? 1 : 0
    }
    root = top
    bits += 6
  }

  /// Takes the page at `index` out, with its mark.
  mutating func remove(at index: PageIndex) {
    guard covers(index), remove(index, from: root, shift: bits - 6) else { return }
    count -= 1
  }

  private func remove(_ index: PageIndex, from node: Node, shift: UInt64) -> Bool {
    let slot = Int(index.rawValue >> shift & 63)
    guard let child = node.slots[slot] else { return false }
    if shift > 0 {
      let below = unsafe unsafeDowncast(child, to: Node.self)
      guard remove(index, from: below, shift: shift - 6) else { return false }
      if below.dirty == 0 { node.dirty &= ~(1 << UInt64(slot)) }
      if below.used != 0 { return true }
    }
    node.slots[slot] = nil
    node.used &= ~(1 << UInt64(slot))
    node.dirty &= ~(1 << UInt64(slot))
    return true
  }

  /// Marks the page at `index` dirty or not.
  func setDirty(_ isDirty: Bool, at index: PageIndex) {
    if covers(index) { _ = setDirty(isDirty, index, node: root, shift: bits - 6) }
  }

  /// Returns whether anything below `node` is dirty afterwards.
  private func setDirty(_ isDirty: Bool, _ index: PageIndex, node: Node, shift: UInt64) -> Bool {
    let slot = index.rawValue >> shift & 63
    guard let child = node.slots[Int(slot)] else { return node.dirty != 0 }
    let isSlotDirty =
      shift == 0
      ? isDirty : setDirty(isDirty, index, node: unsafe unsafeDowncast(child, to: Node.self), shift: shift - 6)
    if isSlotDirty { node.dirty |= 1 << slot } else { node.dirty &= ~(1 << slot) }
    return node.dirty != 0
  }

  /// The first page at or after `index`.
  func first(from index: PageIndex) -> Page? { find(from: index, \.used) }
  /// The first dirty page at or after `index`.
  func firstDirty(from index: PageIndex) -> Page? { find(from: index, \.dirty) }

  private func find(from index: PageIndex, _ marks: (Node) -> UInt64) -> Page? {
    guard covers(index) else { return nil }
    return find(index.rawValue, in: root, shift: bits - 6, marks)
  }

  private func find(_ index: UInt64, in node: Node, shift: UInt64, _ marks: (Node) -> UInt64) -> Page? {
    let start = index >> shift & 63
    var candidates = marks(node) & ~0 << start
    while candidates != 0 {
      let slot = candidates.trailingZeroBitCount
      candidates &= candidates - 1
      guard let child = node.slots[slot] else { continue }
      if shift == 0 { return unsafe unsafeDowncast(child, to: Page.self) }
      // In every subtree after the first the search begins at its first page.
      let rest = UInt64(slot) == start ? index & ((1 << shift) - 1) : 0
      if let page = find(rest, in: unsafe unsafeDowncast(child, to: Node.self), shift: shift - 6, marks) {
        return page
      }
    }
    return nil
  }
}
