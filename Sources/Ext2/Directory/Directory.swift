// Directories: blocks of entries, in the metadata cache. Under the directory's lock throughout.
internal import Ext2Format
internal import PageCache

/// A directory that the caller references and whose lock it holds.
struct Directory {
  let inode: Inode
  private let format: DirectoryBlock
  private var metadata: MetadataCache { inode.table.metadata }

  init(_ inode: Inode) {
    self.inode = inode
    format = DirectoryBlock(layout: inode.table.groups.layout)
  }

  private var blockCount: UInt64 { inode.byteCount >> UInt64(inode.table.groups.layout.blockSizeLog2) }

  /// One block of the directory, pinned and checked.
  private func block(_ index: UInt64, _ ticket: MetadataTicket) async throws(Ext2Error) -> MetadataBlock {
    let layout = inode.table.groups.layout
    guard let path = BlockPath(fileBlock: index, blockSizeLog2: layout.blockSizeLog2) else { throw .closed }
    let end = try await inode.tree.walk(path, nil)
    let number = end.missingLevel == nil ? inode.tree.pointer(in: end.slot) : .none
    guard number != .none else {
      throw Ext2Error(
        FormatError.invalid(
          .inode, at: .inode(inode.number), field: "directory block \(index)", value: 0, why: "a directory has a hole"))
    }
    try inode.tree.check(number, in: end.slot)
    guard let block = try await metadata.load(number, owner: inode.number, ticket) else { throw .closed }
    if !block.isChecked {
      do throws(FormatError) {
        try block.withBytes { bytes throws(FormatError) in try format.check(bytes, block: number) }
      } catch { throw Ext2Error(error) }
      block.isChecked = true
    }
    return block
  }

  /// The entry with a name and its block, pinned; nil when there is none.
  func find(_ name: [UInt8], _ ticket: MetadataTicket) async throws(Ext2Error) -> (
    block: MetadataBlock, entry: DirectoryEntry
  )? {
    for index in 0..<blockCount {
      let block = try await block(index, ticket)
      if let entry = try entry(name, in: block) { return (block, entry) }
      ticket.unpin(block)
    }
    return nil
  }

  private func entry(_ name: [UInt8], in block: MetadataBlock) throws(Ext2Error) -> DirectoryEntry? {
    do throws(FormatError) {
      return try block.withBytes { bytes throws(FormatError) in
        try format.find(name.span, in: bytes, block: block.number)
      }
    } catch { throw Ext2Error(error) }
  }

  /// All names, with their inodes, in the order of the disk.
  func list(_ ticket: MetadataTicket) async throws(Ext2Error) -> [(name: [UInt8], inode: InodeNumber, type: FileType?)]
  {
    var names: [(name: [UInt8], inode: InodeNumber, type: FileType?)] = []
    for index in 0..<blockCount {
      let block = try await block(index, ticket)
      do throws(FormatError) {
        try block.withBytes { bytes throws(FormatError) in
          var offset = 0
          while let entry = try format.nextUsed(from: offset, in: bytes, block: block.number) {
            names.append((entry.name(in: bytes), entry.inode, entry.type))
            offset = entry.offset + entry.recordLength
          }
        }
      } catch { throw Ext2Error(error) }
      ticket.unpin(block)
    }
    return names
  }

  // MARK: Changing

  /// Room for one more entry: an existing block, or a new one that is not linked yet.
  struct Place {
    let block: MetadataBlock
    fileprivate let preparation: BlockTree.Preparation?
  }

  /// Finds room for a name, pinned; makes a block when no block has any.
  func findRoom(for name: [UInt8], _ ticket: MetadataTicket) async throws(Ext2Error) -> Place {
    for index in 0..<blockCount {
      let block = try await block(index, ticket)
      if hasRoom(for: name, in: block) { return Place(block: block, preparation: nil) }
      ticket.unpin(block)
    }
    let preparation = await inode.tree.prepare(from: blockCount, count: 1, ticket)
    guard preparation.preparedCount == 1, let number = inode.tree.preparedBlock(preparation) else {
      inode.tree.abandon(preparation)
      throw preparation.error ?? .noSpace
    }
    guard preparation.dataBlockCount == 1 else {
      inode.tree.abandon(preparation)
      throw Ext2Error(
        FormatError.invalid(
          .inode, at: .inode(inode.number), field: "directory block \(blockCount)", value: UInt64(number.rawValue),
          why: "lies beyond the directory's size"))
    }
    let block = metadata.makeFresh(number, owner: inode.number, ticket)
    block.withMutableBytes { bytes in format.initializeEmpty(&bytes) }
    block.isChecked = true
    return Place(block: block, preparation: preparation)
  }

  private func hasRoom(for name: [UInt8], in block: MetadataBlock) -> Bool {
    let needed = DirectoryEntry.neededLength(nameLength: name.count)
    return block.withBytes { bytes in
      var offset = 0
      while offset < format.blockSize, let entry = try? format.entry(at: offset, in: bytes, block: block.number) {
        let used = entry.isUsed ? DirectoryEntry.neededLength(nameLength: entry.nameLength) : 0
        if entry.recordLength - used >= needed { return true }
        offset += entry.recordLength
      }
      return false
    }
  }

  /// Whether a place that was found still has room: a corrupt file may have the directory's block among its own.
  func canInsert(_ name: [UInt8], at place: Place) -> Bool { hasRoom(for: name, in: place.block) }

  /// Gives back a place that is not used.
  func abandon(_ place: Place) {
    guard let preparation = place.preparation else { return }
    metadata.forget(place.block.number)
    inode.tree.abandon(preparation)
  }

  /// Enters a name, in one step with whatever else the caller changes.
  func insert(_ name: [UInt8], _ target: InodeNumber, _ type: FileType, at place: Place, _ table: MetadataBlock) {
    if let preparation = place.preparation {
      _ = inode.tree.link(preparation)
      inode.record.size += UInt64(format.blockSize)
      inode.noteShapeChange()
    }
    let isInserted = place.block.withMutableBytes { bytes in
      (try? format.insert(name.span, inode: target, type: type, into: &bytes, block: place.block.number)) ?? false
    }
    precondition(isInserted, "the room for a directory entry has gone")
    metadata.markDirty(place.block)
    noteChange(table)
  }

  /// Removes an entry, in one step with whatever else the caller changes.
  func remove(_ entry: DirectoryEntry, from block: MetadataBlock, _ table: MetadataBlock) throws(Ext2Error) {
    do throws(FormatError) {
      try block.withMutableBytes { bytes throws(FormatError) in
        try format.remove(entry, from: &bytes, block: block.number)
      }
    } catch { throw Ext2Error(error) }
    metadata.markDirty(block)
    noteChange(table)
  }

  /// A changed directory is no hash index any more, as the kernel's ext2 has it.
  private func noteChange(_ table: MetadataBlock) {
    inode.record.flags.remove(.index)
    inode.touchContents()
    inode.table.encode(inode, into: table)
  }
}
