internal import Ext2Format

/// The hash index of the directory that is being checked (e2fsck/pass2.c, parse_int_node and the end of e2fsck_pass2).
///
/// While the blocks of the directory go by it notes which of them the index points to, with which range of hashes, and
/// which hashes the names in them have. `finish` compares.
struct HashIndexCheck {
  /// One block of the directory.
  private struct Node {
    enum Kind { case absent, root, inner, leaf }
    var kind = Kind.absent
    /// The block of the index that points here first, and the entry before the one that does.
    var parent: UInt32 = 0
    var previous: UInt32 = 0
    /// The range of hashes that the entry allows.
    var lowest: UInt32 = 0
    var highest: UInt32 = 0
    /// The range that was found.
    var least: UInt32 = 0
    var greatest: UInt32 = 0
    var isFirst = false
    var isLast = false
    var references: UInt8 = 0
  }

  /// Whether the directory has an index that is worth comparing.
  private(set) var isActive = false
  private var nodes: [Node] = []
  private var hasher: DirectoryHasher?
  private var depth = 0
  private var current = 0
  private var isLeaf = false
  private var least: UInt32 = .max
  private var greatest: UInt32 = 0
  private var root: HashIndexRoot?

  mutating func begin(blockCount: Int) {
    isActive = blockCount > 0
    nodes.removeAll(keepingCapacity: true)
    if isActive { nodes.append(contentsOf: repeatElement(Node(), count: blockCount)) }
    hasher = nil
    root = nil
    depth = 0
  }

  mutating func end() { isActive = false }

  /// Begins a block. Returns the field of the index's root that is wrong, or nil.
  mutating func enter(_ bytes: RawSpan, _ fileBlock: UInt32, _ geometry: CheckGeometry) -> String? {
    current = Int(fileBlock)
    (least, greatest) = (.max, 0)
    isLeaf = false
    if fileBlock == 0 {
      let root = HashIndexRoot(decoding: bytes)
      self.root = root
      depth = Int(root.levelCount) + 1
      nodes[0].kind = .root
      nodes[0].isFirst = true
      nodes[0].isLast = true
      if let algorithm = DirectoryHash(rawValue: root.hashVersion) {
        hasher = DirectoryHasher(
          algorithm, seed: geometry.hashSeed, countsBytesAsUnsigned: geometry.countsBytesAsUnsigned)
      }
      if root.reserved != 0 { return "reserved_zero" }
      if root.byteCount < 8 { return "info_length" }
      return root.levelCount >= 2 ? "indirect_levels" : nil
    }
    let length = bytes.integer(at: 4, as: UInt16.self)
    let coversBlock =
      Int(length) == bytes.byteCount || bytes.byteCount == 65536 && (length == 0xFFFF || length == 0)
    nodes[current].kind = coversBlock && HashIndexNode.isInner(bytes) ? .inner : .leaf
    isLeaf = nodes[current].kind == .leaf
    return nil
  }

  /// Notes the name of an entry.
  @inline(__always)
  mutating func count(_ bytes: RawSpan, _ offset: Int, _ length: Int) {
    guard isLeaf, let hasher else { return }
    let hash = hasher.hash(bytes, at: offset, count: length)
    least = min(least, hash)
    greatest = max(greatest, hash)
  }

  /// Ends a block; of a block of the index the entries are noted. Returns what is wrong with it, or nil.
  mutating func leave(_ bytes: RawSpan, _ fileBlock: UInt32) -> (what: String, value: UInt64)? {
    nodes[current].least = least
    nodes[current].greatest = greatest
    if isLeaf { return nil }
    let node = HashIndexNode(decoding: bytes, root: fileBlock == 0 ? root : nil)
    var wrong: (what: String, value: UInt64)?
    if node.limit != node.capacity { wrong = ("limit", UInt64(node.limit)) }
    if node.count > node.capacity { wrong = wrong ?? ("count", UInt64(node.count)) }
    let count = min(node.count, node.capacity)
    var (least, greatest): (UInt32, UInt32) = (.max, 0)
    var previousHash: UInt32 = 0
    for position in 0..<count {
      let hash = node.hash(position, in: bytes)
      let block = node.block(position, in: bytes)
      guard block < UInt32(nodes.count) else {
        wrong = wrong ?? ("block", UInt64(block))
        continue
      }
      if hash < previousHash { wrong = wrong ?? ("hash", UInt64(hash)) }
      previousHash = hash
      let target = Int(block)
      if nodes[target].references == 0 { nodes[target].parent = fileBlock }
      nodes[target].references = min(2, nodes[target].references + 1)
      nodes[target].previous = position == 0 ? 0 : node.block(position - 1, in: bytes)
      least = min(least, hash)
      greatest = max(greatest, hash)
      nodes[target].lowest = hash
      nodes[target].highest = position + 1 < count ? node.hash(position + 1, in: bytes) : 0xFFFF_FFFE
      if position + 1 == count { nodes[target].isLast = true }
      if position == 0 { nodes[target].isFirst = true }
    }
    nodes[current].least = least
    nodes[current].greatest = greatest
    return wrong
  }

  /// Compares. Returns the first block that is not as the index says, and what of it.
  mutating func finish() -> (block: Int64, what: String)? {
    nodes[0].references = min(2, nodes[0].references + 1)
    passUp(.leaf)
    passUp(.inner)
    for number in nodes.indices {
      let node = nodes[number]
      if !node.isFirst && node.least < node.lowest { return (Int64(number), "lowest hash") }
      if node.kind == .leaf && levels(above: number) != depth { return (Int64(number), "depth") }
      if number > 0 && node.greatest > node.highest { return (Int64(number), "highest hash") }
      if node.references == 0 { return (Int64(number), "not referenced") }
      if node.references > 1 { return (Int64(number), "referenced twice") }
    }
    return nil
  }

  /// Gives the ranges of the first and last blocks below a block of the index to it.
  private mutating func passUp(_ kind: Node.Kind) {
    for number in nodes.indices where nodes[number].kind == kind {
      let node = nodes[number]
      let parent = Int(node.parent)
      if node.isFirst {
        nodes[parent].least = node.least
        let previous = Int(nodes[parent].previous)
        if previous != 0 && previous < nodes.count { nodes[previous].highest = nodes[parent].least }
      }
      if node.isLast { nodes[parent].greatest = node.greatest }
    }
  }

  /// Steps from a block to the root; too many when there is a circle.
  private func levels(above number: Int) -> Int {
    var steps = 0
    var position = number
    while nodes[position].kind != .root && steps <= 4 {
      position = Int(nodes[position].parent)
      steps += 1
    }
    return steps
  }
}
