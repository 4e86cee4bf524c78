// What an administrator does with a mounted volume: remount, label, UUID, trim.
internal import BlockDevice
internal import Ext2Format
internal import PageCache
internal import Reactor

extension Volume {
  /// Mounts for reading what was mounted for writing, or the other way round, without closing anything.
  ///
  /// - Throws: `busy` when a removed file is still open, and the volume cannot become clean on the disk (as mount(8));
  ///   `readOnly` when it may not be written: it has features that writers must know, its device cannot be written, or
  ///   corruption was found.
  public nonisolated func remount(isReadOnly: Bool) async throws(Ext2Error) {
    try await reactor.run { () async throws(Ext2Error) in try await self.remountHere(isReadOnly) }
  }

  /// Sets the label, at most 16 bytes, in the superblock and its copies.
  public nonisolated func setLabel(_ label: String) async throws(Ext2Error) {
    let bytes = Array(label.utf8)
    guard bytes.count <= 16, !bytes.contains(0) else { throw .invalidArgument("a label has at most 16 bytes") }
    try await reactor.run { () async throws(Ext2Error) in
      try await self.changeSuperblocks { $0.label = bytes }
    }
  }

  /// Sets the 16 bytes that identify the volume, in the superblock and its copies.
  public nonisolated func setUUID(_ uuid: [UInt8]) async throws(Ext2Error) {
    guard uuid.count == 16 else { throw .invalidArgument("a UUID has 16 bytes") }
    try await reactor.run { () async throws(Ext2Error) in
      try await self.changeSuperblocks { $0.uuid = uuid }
    }
  }

  /// Tells the device of all free blocks (FITRIM, fstrim(8)).
  ///
  /// - Parameter minimumByteCount: shorter runs of free blocks are left out.
  /// - Returns: how many bytes were discarded.
  public nonisolated func trim(minimumByteCount: UInt64 = 0) async throws(Ext2Error) -> UInt64 {
    try await reactor.run { () async throws(Ext2Error) in try await self.trimHere(minimumByteCount) }
  }

  // MARK: On the reactor

  private func remountHere(_ isReadOnly: Bool) async throws(Ext2Error) {
    try await beginCall()
    defer { core.calls.leave() }
    await core.gate.close()
    defer { core.gate.open() }
    try checkMounted()
    guard isReadOnly != core.isReadOnly else { return }
    if isReadOnly {
      await core.evictor.evictAll()
      await core.accessTimes.writeAll()
      if core.inodes.hasOrphans { throw .busy("a removed file is still open") }
      if let error = await sync() { throw error }
      if let error = await core.markClean() { throw error }
      core.isReadOnly = true
    } else {
      guard core.corruption == nil, !core.groups.superblock.mustBeReadOnly, !core.queue.geometry.isReadOnly else {
        throw .readOnly
      }
      try await core.markNotClean(isMount: true)
      core.isReadOnly = false
    }
  }

  private func changeSuperblocks(_ change: (inout Superblock) -> Void) async throws(Ext2Error) {
    try await changing { ticket async throws(Ext2Error) in
      let groups = core.groups, layout = groups.layout
      let copies = ([layout.group(0)] + layout.backupGroups).compactMap(layout.superblockByteOffset)
        .filter { $0 != groups.superblockByteOffset }
      // All are read before any is changed: one that cannot be read is no reason to change only some.
      for offset in copies { ticket.unpin(try await superblockCopy(at: offset, ticket)) }
      change(&groups.superblock)
      groups.encodeSuperblock(into: core.metadata)
      var blocks: Set<BlockNumber> = [groups.superblockBlock]
      for offset in copies {
        let block = try await superblockCopy(at: offset, ticket)
        let isChanged = block.withMutableBytes { bytes in
          let start = Int(offset) & (layout.blockSize - 1)
          // A copy that is damaged stays as it is: that is for e2fsck.
          guard var copy = try? Superblock(decoding: bytes.bytes, at: start) else { return false }
          change(&copy)
          copy.encode(into: &bytes, at: start)
          return true
        }
        if isChanged { core.metadata.markDirty(block) }
        blocks.insert(block.number)
        ticket.unpin(block)
      }
      if let error = await core.metadata.writeAll(where: { blocks.contains($0.number) }) { throw error }
      try await core.flushes.flush()
    }
  }

  private func superblockCopy(at offset: UInt64, _ ticket: MetadataTicket) async throws(Ext2Error) -> MetadataBlock {
    let number = BlockNumber(rawValue: UInt32(offset >> UInt64(core.groups.layout.blockSizeLog2)))
    guard let block = try await core.metadata.load(number, owner: .none, ticket) else { throw .closed }
    return block
  }

  private func trimHere(_ minimumByteCount: UInt64) async throws(Ext2Error) -> UInt64 {
    let blockSize = UInt64(core.groups.layout.blockSize)
    let (whole, rest) = minimumByteCount.quotientAndRemainder(dividingBy: blockSize)
    let minimum = Int(clamping: max(1, whole + (rest > 0 ? 1 : 0)))
    var count: UInt64 = 0
    for group in core.groups.layout.groups {
      if Task.isCancelled { throw .cancelled }
      count += try await changing { ticket async throws(Ext2Error) in
        let bitmap = try await core.allocator.blockBitmap(of: group, ticket)
        return UInt64(core.allocator.discardFree(in: group, bitmap, minimumCount: minimum))
      }
      // The discards of one group at a time: nobody waits long for blocks that are being discarded.
      if let error = await core.pendingFrees.drain() { throw error }
    }
    return count * blockSize
  }
}
