// Taking blocks away from a file: run by run, each in one step that detaches the pages, clears the pointers, moves both
// sequences, forgets freed pointer blocks and puts the blocks on the pending frees.
internal import Ext2Format
internal import PageCache

extension BlockTree {
  /// What the owner of the tree does in the same step in which blocks of a range of the file are freed.
  typealias StepEffects = (Range<UInt64>) -> Void

  /// Frees the file blocks from `range.lowerBound` up to `range.upperBound`, under the inode's write lock. The pointer
  /// blocks at the boundary should have been loaded before: what fails here is a subtree that cannot be read. Its slot
  /// is cleared and its blocks are lost until a check (as fs/ext2/inode.c, ext2_free_branches, does); the first such
  /// error is returned.
  ///
  /// `effects` is called in each step with the file blocks it frees: it detaches their pages and encodes the inode.
  func free(_ range: Range<UInt64>, _ ticket: MetadataTicket, effects: StepEffects) async -> Ext2Error? {
    var firstError: Ext2Error?
    freeDirect(range, effects)
    let fanout = UInt64(pointersPerBlock)
    var base: UInt64 = 12
    var span = fanout
    for level in 1...3 {
      if range.lowerBound < base + span && base < range.upperBound {
        let slot = Slot.inode(11 + level)
        if let error = await freeTree(slot, level: level, base: base, range, ticket, effects) {
          firstError = firstError ?? error
        }
      }
      base += span
      span *= fanout
    }
    return firstError
  }

  private func freeDirect(_ range: Range<UInt64>, _ effects: StepEffects) {
    guard range.lowerBound < 12 else { return }
    let end = min(12, range.upperBound)
    freeRun(Slot.inode(0), Int(range.lowerBound)..<Int(end), base: 0, effects)
  }

  /// One step: frees the data blocks behind some slots of the inode or of one leaf.
  private func freeRun(
    _ first: Slot, _ offsets: Range<Int>, base: UInt64, _ effects: StepEffects, isLeafFreed: (() -> Void)? = nil
  ) {
    var runStart = BlockNumber.none
    var runCount = 0
    var freed = 0
    for offset in offsets {
      let slot = first.advanced(by: offset)
      let target = pointer(in: slot)
      guard target != .none else { continue }
      setPointer(in: slot, to: .none)
      guard groups.map.isOwnable(target) else {
        allocator.pendingFrees.reportUnownable(target, inode)
        continue
      }
      freed += 1
      if holdsMetadata && !metadata.switchedOff.contains(.freedNamesAreForgotten) { metadata.forget(target) }
      if runCount > 0 && runStart.rawValue + UInt32(runCount) == target.rawValue {
        runCount += 1
      } else {
        if runCount > 0 { allocator.pendingFrees.add(runStart, count: runCount) }
        runStart = target
        runCount = 1
      }
    }
    sectorCount &-= min(sectorCount, UInt32(freed) &* sectorsPerBlock)
    isLeafFreed?()
    noteFree()
    effects(base + UInt64(offsets.lowerBound)..<base + UInt64(offsets.upperBound))
    if runCount > 0 { allocator.pendingFrees.add(runStart, count: runCount) }
  }

  /// Frees what lies in the range below one slot; the slot's own pointer block too when all of it does.
  private func freeTree(
    _ slot: Slot, level: Int, base: UInt64, _ range: Range<UInt64>, _ ticket: MetadataTicket, _ effects: StepEffects
  ) async -> Ext2Error? {
    let target = pointer(in: slot)
    guard target != .none else { return nil }
    let fanout = UInt64(pointersPerBlock)
    var childSpan: UInt64 = 1
    for _ in 1..<level { childSpan *= fanout }
    let isWhole = range.lowerBound <= base && base + childSpan * fanout <= range.upperBound
    let block: MetadataBlock
    do throws(Ext2Error) {
      try check(target, in: slot)
      // A tree that names one subtree many times would be walked for ever: its blocks are free after the first time.
      guard !allocator.isKnownToBeFree(target) else {
        throw Ext2Error(
          FormatError.invalid(
            .pointer, at: .inode(inode), field: "pointer to a pointer block", value: UInt64(target.rawValue),
            why: "names a block that is free"))
      }
      guard let loaded = try await metadata.load(target, owner: inode, ticket) else { return .closed }
      block = loaded
    } catch {
      setPointer(in: slot, to: .none)
      noteFree()
      effects(max(range.lowerBound, base)..<min(range.upperBound, base + childSpan * fanout))
      return error
    }
    let first = range.lowerBound > base ? Int((range.lowerBound - base) / childSpan) : 0
    let last = Int(min(fanout, (range.upperBound - base + childSpan - 1) / childSpan))
    var firstError: Ext2Error?
    if level == 1 {
      freeRun(.block(block, 0), first..<last, base: base, effects) { [self] in
        if isWhole { freePointerBlock(block, slot, ticket) }
      }
    } else {
      for child in first..<last where block.pointer(child) != .none {
        let error = await freeTree(
          .block(block, child), level: level - 1, base: base + UInt64(child) * childSpan, range, ticket, effects)
        firstError = firstError ?? error
      }
      if isWhole {
        freePointerBlock(block, slot, ticket)
        noteFree()
        effects(base..<base)
      }
    }
    ticket.unpin(block)
    return firstError
  }

  /// Part of a step: an empty pointer block leaves the tree and is forgotten.
  private func freePointerBlock(_ block: MetadataBlock, _ slot: Slot, _ ticket: MetadataTicket) {
    setPointer(in: slot, to: .none)
    guard block.isLive else { return allocator.pendingFrees.reportUnownable(block.number, inode) }
    sectorCount &-= min(sectorCount, sectorsPerBlock)
    metadata.forget(block.number)
    allocator.pendingFrees.add(block.number, count: 1)
  }
}
