// Looking a name up by the hash index that a directory has on the disk (dir_index of ext3 and ext4): two or three blocks
// are read instead of all.
//
// It helps who looks up a few names in a large directory that nobody has read yet. A directory that is changed loses the
// index's flag, as with the kernel's ext2, and has an index in memory from then on. What the index says is checked; where
// it is not as it should be all blocks are looked through instead. Source: fs/ext4/namei.c, dx_probe.
internal import Ext2Format

extension Directory {
  /// What the index on the disk says of a name.
  enum Hashed {
    case found(Found)
    case absent
    /// There is no index, or not one to go by.
    case unusable
  }

  /// Looks a name up by the index on the disk.
  func findHashed(_ name: [UInt8], _ ticket: MetadataTicket) async throws(Ext2Error) -> Hashed {
    guard inode.record.flags.contains(.index), inode.names == nil, blockCount >= 3 else { return .unusable }
    let rootBlock = try await block(0, ticket)
    defer { ticket.unpin(rootBlock) }
    let root = rootBlock.withBytes { bytes in HashIndexRoot(decoding: bytes) }
    guard root.reserved == 0, root.byteCount == 8, root.levelCount <= 1, root.flags == 0,
      let algorithm = DirectoryHash(rawValue: root.hashVersion)
    else { return .unusable }
    let hash = hasher(algorithm).hash(unsafe name.span.bytes, at: 0, count: name.count)
    guard let first = rootBlock.withBytes({ bytes in leaves(for: hash, in: bytes, root) }) else { return .unusable }
    if root.levelCount == 0 { return try await search(name, in: first, ticket) }
    // Names of one hash that go on in the next inner block are left to the search of all blocks.
    guard first.count == 1, first[0] > 0, UInt64(first[0]) < blockCount else { return .unusable }
    let inner = try await block(UInt64(first[0]), ticket)
    defer { ticket.unpin(inner) }
    let blocks = inner.withBytes { bytes in
      HashIndexNode.isInner(bytes) ? leaves(for: hash, in: bytes, nil) : nil
    }
    guard let blocks else { return .unusable }
    return try await search(name, in: blocks, ticket)
  }

  private func hasher(_ algorithm: DirectoryHash) -> DirectoryHasher {
    let superblock = inode.table.groups.superblock
    let seed = superblock.hashSeed
    return DirectoryHasher(
      algorithm, seed: [seed[0], seed[1], seed[2], seed[3]], countsBytesAsUnsigned: superblock.flags & 2 != 0)
  }

  /// The blocks below a node in which names of a hash may lie: one, and those after it that go on with the same hash. Nil
  /// when the node is not as it should be.
  private func leaves(for hash: UInt32, in bytes: RawSpan, _ root: HashIndexRoot?) -> [UInt32]? {
    let node = HashIndexNode(decoding: bytes, root: root)
    guard node.count >= 1, node.count <= node.limit, node.limit <= node.capacity else { return nil }
    var low = 1, high = node.count
    while low < high {
      let middle = (low + high) / 2
      if node.hash(middle, in: bytes) <= hash { low = middle + 1 } else { high = middle }
    }
    var blocks = [node.block(low - 1, in: bytes)]
    // An entry of this very hash may begin in the middle of the names that have it.
    var earlier = low - 1
    while earlier > 0, node.hash(earlier, in: bytes) == hash {
      earlier -= 1
      blocks.append(node.block(earlier, in: bytes))
    }
    return blocks
  }

  private func search(
    _ name: [UInt8], in blocks: [UInt32], _ ticket: MetadataTicket
  ) async throws(Ext2Error) -> Hashed {
    for index in blocks {
      guard index > 0, UInt64(index) < blockCount else { return .unusable }
      let block = try await block(UInt64(index), ticket)
      if let entry = try entry(name, in: block) {
        return .found(Found(block: block, blockIndex: UInt64(index), entry: entry))
      }
      ticket.unpin(block)
    }
    return .absent
  }
}
