// Changing a directory: find room or the entry first, then change it in one step with whatever else changes.
internal import Ext2Format
internal import PageCache

extension Directory {
  /// Room for one more entry: in an existing block, or in a new one that is not linked yet.
  struct Place {
    let block: MetadataBlock
    let blockIndex: UInt64
    /// The entry behind which there is room.
    fileprivate let offset: Int
    fileprivate let preparation: BlockTree.Preparation?
  }

  /// Finds room for a name, pinned; makes a block when no block has any.
  func findRoom(for name: [UInt8], _ ticket: MetadataTicket) async throws(Ext2Error) -> Place {
    if let names = try await index(ticket) {
      let needed = DirectoryEntry.neededLength(nameLength: name.count)
      while let candidate = names.blockWithRoom(for: needed) {
        let block = try await block(UInt64(candidate), ticket)
        if let offset = room(for: name, in: block) {
          return Place(block: block, blockIndex: UInt64(candidate), offset: offset, preparation: nil)
        }
        // The index had it larger than it is.
        let largest = block.withBytes { bytes in try? format.largestRoom(in: bytes, block: block.number) }
        names.setRoom(min(largest ?? 0, needed - 1), of: candidate)
        ticket.unpin(block)
      }
    } else {
      for index in 0..<blockCount {
        let block = try await block(index, ticket)
        if let offset = room(for: name, in: block) {
          return Place(block: block, blockIndex: index, offset: offset, preparation: nil)
        }
        ticket.unpin(block)
      }
    }
    return try await makeBlock(ticket)
  }

  private func makeBlock(_ ticket: MetadataTicket) async throws(Ext2Error) -> Place {
    // The size of a directory has 32 bits on the disk.
    let limit = UInt64(UInt32.max) / UInt64(format.blockSize) * UInt64(format.blockSize)
    guard inode.byteCount < limit else { throw .fileTooLarge(byteCount: inode.byteCount, limit: limit) }
    let index = blockCount
    let preparation = await inode.tree.prepare(from: index, count: 1, ticket)
    guard preparation.preparedCount == 1, let number = inode.tree.preparedBlock(preparation) else {
      inode.tree.abandon(preparation)
      throw preparation.error ?? .noSpace
    }
    guard preparation.dataBlockCount == 1 else {
      inode.tree.abandon(preparation)
      throw Ext2Error(
        FormatError.invalid(
          .inode, at: .inode(inode.number), field: "directory block \(index)", value: UInt64(number.rawValue),
          why: "lies beyond the directory's size"))
    }
    let block = metadata.makeFresh(number, owner: inode.number, ticket)
    block.withMutableBytes { bytes in format.initializeEmpty(&bytes) }
    block.isChecked = true
    return Place(block: block, blockIndex: index, offset: 0, preparation: preparation)
  }

  private func room(for name: [UInt8], in block: MetadataBlock) -> Int? {
    block.withBytes { bytes in try? format.room(forNameLength: name.count, in: bytes, block: block.number) }
  }

  /// Whether a place that was found still has room: a corrupt file may have the directory's block among its own, and a
  /// corrupt directory may have a block twice.
  func canInsert(_ name: [UInt8], at place: Place) -> Bool {
    guard place.block.isLive else { return false }
    return place.block.withBytes { bytes in
      let entry = try? format.entry(at: place.offset, in: bytes, block: place.block.number)
      return entry.map { $0.spareLength >= DirectoryEntry.neededLength(nameLength: name.count) } ?? false
    }
  }

  /// Gives back a place that is not used.
  func abandon(_ place: Place) {
    guard let preparation = place.preparation else { return }
    metadata.forget(place.block.number)
    inode.tree.abandon(preparation)
  }

  /// Enters a name, in one step with whatever else the caller changes; `canInsert` was asked in this step.
  func insert(_ name: [UInt8], _ target: InodeNumber, _ type: InodeType, at place: Place) {
    if let preparation = place.preparation {
      _ = inode.tree.link(preparation)
      if !metadata.switchedOff.contains(.directoryGrows) { inode.record.size += UInt64(format.blockSize) }
      inode.noteShapeChange()
      inode.names?.appendBlock(room: format.blockSize)
    }
    let hasTypes = !metadata.switchedOff.contains(.entryHasType)
    let offset = place.block.withMutableBytes { bytes in
      try? format.insert(
        name.span, inode: target, type: hasTypes ? type : .regular, at: place.offset, into: &bytes,
        block: place.block.number)
    }
    guard let offset = offset ?? nil else { preconditionFailure("the room for a directory entry has gone") }
    metadata.markDirty(place.block)
    if let names = inode.names {
      let hasGrown = names.insert(hash: names.hash(name), at: position(place.blockIndex, offset))
      if hasGrown { pool.noteGrowth(of: inode) }
    }
    noteChange()
  }

  /// Removes an entry, in one step with whatever else the caller changes.
  func remove(_ found: Found, named name: [UInt8]) throws(Ext2Error) {
    let room: Int
    do throws(FormatError) {
      room = try found.block.withMutableBytes { bytes throws(FormatError) in
        try format.remove(found.entry, from: &bytes, block: found.block.number)
      }
    } catch { throw Ext2Error(error) }
    metadata.markDirty(found.block)
    if let names = inode.names {
      names.remove(hash: names.hash(name), at: position(found.blockIndex, found.entry))
      names.raiseRoom(to: room, of: Int(found.blockIndex))
    }
    noteChange()
  }

  /// Lets an entry name another inode, in one step with whatever else the caller changes.
  func setTarget(_ found: Found, to target: InodeNumber, _ type: InodeType) {
    found.block.withMutableBytes { bytes in
      format.setTarget(of: found.entry, inode: target, type: type, in: &bytes)
    }
    metadata.markDirty(found.block)
    noteChange()
  }

  /// Whether an entry is still there, in the step that is to change it: see `canInsert`.
  func holds(_ found: Found, named name: [UInt8]) -> Bool {
    guard found.block.isLive else { return false }
    return found.block.withBytes { bytes in
      let entry = try? format.entry(
        named: name.span, at: found.entry.offset, in: bytes, block: found.block.number)
      return entry?.inode == found.entry.inode
    }
  }

  /// A changed directory is no hash index any more, as the kernel's ext2 has it. The caller encodes the inode.
  private func noteChange() {
    if !metadata.switchedOff.contains(.changeEndsIndex) { inode.record.flags.remove(.index) }
    inode.touchContents()
  }
}
