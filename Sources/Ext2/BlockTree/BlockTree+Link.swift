// Giving a file blocks: find and pin everything first, then link it in one step.
internal import Ext2Format
internal import PageCache

extension BlockTree {
  /// Blocks that were taken for a range of a file and are in no tree yet.
  struct Preparation {
    /// Contiguous slots that will name contiguous blocks.
    fileprivate struct Link {
      let slot: Slot
      let target: BlockNumber
      let count: Int
    }
    fileprivate var links: [Link] = []
    fileprivate var freshPointerBlocks: [MetadataBlock] = []
    fileprivate(set) var dataBlockCount = 0
    fileprivate var lastLinked: (index: UInt64, block: BlockNumber)?
    /// How many file blocks from the start of the range are mapped or will be.
    var preparedCount = 0
    /// Why it ended before the end of the range.
    var error: Ext2Error?
  }

  /// Finds blocks for those of `count` file blocks from `start` on that have none, and pins every pointer block on the
  /// way. Under the inode's write lock. When it can prepare only part, it says how much and why.
  func prepare(from start: UInt64, count: Int, _ ticket: MetadataTicket) async -> Preparation {
    var preparation = Preparation()
    do throws(Ext2Error) {
      while preparation.preparedCount < count {
        let index = start + UInt64(preparation.preparedCount)
        guard let path = BlockPath(fileBlock: index, blockSizeLog2: blockSizeLog2) else {
          throw .fileTooLarge(
            byteCount: (index + 1) << UInt64(blockSizeLog2),
            limit: BlockPath.treeByteLimit(blockSizeLog2: blockSizeLog2))
        }
        // A piece of work has the slots for two paths. What would need more is left to the next piece.
        if preparation.preparedCount > 0 && ticket.remaining < 8 { break }
        let leaf = try await leaf(of: path, at: index, &preparation, ticket)
        let length = min(count - preparation.preparedCount, path.countToLeafEnd)
        try await fillLeaf(leaf, from: index, count: length, &preparation, ticket)
      }
    } catch {
      preparation.error = error
    }
    return preparation
  }

  /// The slot of a path's data pointer, with fresh pointer blocks where they are missing.
  private func leaf(
    of path: BlockPath, at index: UInt64, _ preparation: inout Preparation, _ ticket: MetadataTicket
  ) async throws(Ext2Error) -> Slot {
    let end = try await walk(path, ticket)
    guard var level = end.missingLevel else { return end.slot }
    var slot = end.slot
    // A fresh block of this same preparation may hang on the missing slot already.
    while level < path.depth {
      if let pending = preparation.links.last(where: { $0.slot.isSame(as: slot) }),
        let block = preparation.freshPointerBlocks.first(where: { $0.number == pending.target })
      {
        slot = .block(block, path.offsets[level])
      } else {
        let run = try await allocator.allocate(1, near: goal(for: index, slot, preparation), for: windowOwner, ticket)
        let block = metadata.makeFresh(run.first, owner: inode, ticket)
        preparation.freshPointerBlocks.append(block)
        preparation.links.append(.init(slot: slot, target: run.first, count: 1))
        preparation.lastLinked = (index, run.first)
        slot = .block(block, path.offsets[level])
      }
      level += 1
    }
    return slot
  }

  private func fillLeaf(
    _ leaf: Slot, from index: UInt64, count: Int, _ preparation: inout Preparation, _ ticket: MetadataTicket
  ) async throws(Ext2Error) {
    var done = 0
    while done < count {
      // Each of many short runs may pin another group's bitmap.
      if preparation.preparedCount > 0 && ticket.remaining < 8 { return }
      let slot = leaf.advanced(by: done)
      let present = pointer(in: slot)
      if present != .none {
        try check(present, in: slot)
        done += 1
        preparation.preparedCount += 1
        preparation.lastLinked = (index + UInt64(done) - 1, present)
        continue
      }
      let wanted = runLength(from: slot, limit: count - done)
      let goal = goal(for: index + UInt64(done), slot, preparation)
      let run = try await allocator.allocate(wanted, near: goal, for: windowOwner, ticket)
      preparation.links.append(.init(slot: slot, target: run.first, count: run.count))
      preparation.dataBlockCount += run.count
      preparation.lastLinked = (index + UInt64(done + run.count) - 1, run.first.advanced(by: run.count - 1))
      done += run.count
      preparation.preparedCount += run.count
    }
  }

  /// Where the block for `index` is wanted: after the one before it, near the pointer that will name it, or at the
  /// start of the inode's group (fs/ext2/inode.c, ext2_find_goal). With next-fit a file that does not simply go on goes
  /// where nobody has been for longest.
  private func goal(for index: UInt64, _ slot: Slot, _ preparation: Preparation) -> BlockNumber {
    if let last = preparation.lastLinked ?? lastLinked, index == last.index || index == last.index + 1 {
      return last.block.advanced(by: 1)
    }
    if allocator.policy == .nextFit { return allocator.startingGoal(for: inode) }
    switch slot {
    case .inode(let position):
      for earlier in stride(from: min(position, 12) - 1, through: 0, by: -1) {
        let neighbour = BlockNumber(rawValue: pointers[earlier])
        if groups.map.isOwnable(neighbour) { return neighbour.advanced(by: 1) }
      }
    case .block(let block, let position):
      for earlier in stride(from: position - 1, through: 0, by: -1) {
        let neighbour = block.pointer(earlier)
        if groups.map.isOwnable(neighbour) { return neighbour.advanced(by: 1) }
      }
      return block.number.advanced(by: 1)
    }
    return allocator.startingGoal(for: inode)
  }

  /// Links what was prepared, in one step with whatever else the caller changes. Returns whether the inode has to be
  /// encoded: its pointers or its block count changed.
  func link(_ preparation: Preparation) -> Bool {
    guard !preparation.links.isEmpty else { return false }
    for block in preparation.freshPointerBlocks { metadata.markDirty(block) }
    for link in preparation.links { setPointers(from: link.slot, to: link.target, count: link.count) }
    let blocks = preparation.dataBlockCount + preparation.freshPointerBlocks.count
    sectorCount &+= UInt32(blocks) &* sectorsPerBlock
    lastLinked = preparation.lastLinked
    noteAllocation()
    return true
  }

  /// The last data block that was prepared.
  func preparedBlock(_ preparation: Preparation) -> BlockNumber? { preparation.lastLinked?.block }

  /// Gives back what was prepared and not linked.
  func abandon(_ preparation: Preparation) {
    for block in preparation.freshPointerBlocks { metadata.forget(block.number) }
    for link in preparation.links { allocator.giveBack(link.target, count: link.count) }
  }
}

extension BlockTree.Slot {
  func isSame(as other: Self) -> Bool {
    switch (self, other) {
    case (.inode(let left), .inode(let right)): left == right
    case (.block(let left, let leftIndex), .block(let right, let rightIndex)): left === right && leftIndex == rightIndex
    default: false
    }
  }
}
