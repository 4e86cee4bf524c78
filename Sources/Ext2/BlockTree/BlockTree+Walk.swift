// The walk: one function that everybody calls who follows pointers.
internal import Ext2Format
internal import PageCache

extension BlockTree {
  /// Where a walk ended: at the slot of the data pointer, or at an empty slot on the way.
  struct WalkEnd {
    let slot: Slot
    /// The level (1: the inode) whose pointer is missing, so that everything below is a hole; nil at a data pointer.
    let missingLevel: Int?
  }

  /// Follows a path from the inode to the slot of its data pointer.
  ///
  /// It notes the free sequence and compares it after every suspension: before it enters a block in the cache, queues
  /// its read, interprets a pointer or reports an error. When it moved, the pointer block under its feet may be
  /// somebody's data by now, and the walk begins again. With a ticket, every pointer block on the way is pinned; without
  /// one the result is true only until the next suspension.
  func walk(_ path: BlockPath, _ ticket: MetadataTicket?) async throws(Ext2Error) -> WalkEnd {
    restart: while true {
      let sequence = freeSequence
      let isTrue = { [self] in
        metadata.switchedOff.contains(.walkComparison) || freeSequence == sequence
      }
      var slot = Slot.inode(path.offsets[0])
      var level = 1
      while level < path.depth {
        let target = pointer(in: slot)
        if target == .none { return WalkEnd(slot: slot, missingLevel: level) }
        try check(target, in: slot)
        guard let block = try await metadata.load(target, owner: inode, ticket, isStillWanted: isTrue) else {
          continue restart
        }
        if block.owner == .none { block.owner = inode }
        slot = .block(block, path.offsets[level])
        level += 1
      }
      return WalkEnd(slot: slot, missingLevel: nil)
    }
  }
}
