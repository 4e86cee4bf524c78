internal import Ext2Format

// The first files of a volume, as libext2fs writes them.
extension VolumePlan {
  func writeContents(_ bytes: some VolumeBytes) throws(MakeError) {
    try writeBadBlocksInode(bytes)
    try writeDirectories(bytes)
    if let block = contents.resizeBlock { try writeResizeInode(block, bytes) }
  }

  /// The list of bad blocks is empty; its inode has times and nothing else (lib/ext2fs/bb_inode.c).
  private func writeBadBlocksInode(_ bytes: some VolumeBytes) throws(MakeError) {
    try write(InodeRecord(mode: FileMode(rawValue: 0), time: time, extraSize: 0), to: .badBlocks, bytes)
  }

  private func writeDirectories(_ bytes: some VolumeBytes) throws(MakeError) {
    let format = DirectoryBlock(layout: layout)
    var root = newInode(.directory, permissions: 0o755, blocks: 1)
    root.userID = options.rootUser
    root.groupID = options.rootGroup
    root.linkCount = 3
    root.size = UInt64(layout.blockSize)
    root.block[0] = contents.rootBlock.rawValue
    try write(root, to: .root, bytes)

    let name = Array("lost+found".utf8)
    try writeBlock(contents.rootBlock, bytes) { block in
      format.initializeDots(&block, directory: .root, parent: .root)
      let place = try? format.insert(
        name.span, inode: InitialContents.lostAndFound, type: .directory, into: &block, block: contents.rootBlock)
      precondition(place != nil, "an empty directory takes a name")
    }

    let blocks = contents.lostAndFoundBlocks
    var lostAndFound = newInode(.directory, permissions: 0o700, blocks: blocks.count)
    lostAndFound.linkCount = 2
    lostAndFound.size = UInt64(blocks.count * layout.blockSize)
    for (index, block) in blocks.enumerated() {
      lostAndFound.block[index] = block.rawValue
      try writeBlock(block, bytes) { contents in
        if index == 0 {
          format.initializeDots(&contents, directory: InitialContents.lostAndFound, parent: .root)
        } else {
          format.initializeEmpty(&contents)
        }
      }
    }
    try write(lostAndFound, to: InitialContents.lostAndFound, bytes)
  }

  /// The resize inode owns the blocks reserved for descriptors: its double-indirect block points to those of group 0,
  /// and each of them to its copies in the other groups (lib/ext2fs/res_gdt.c, ext2fs_create_resize_inode).
  private func writeResizeInode(_ doubleIndirect: BlockNumber, _ bytes: some VolumeBytes) throws(MakeError) {
    let backups = layout.backupGroups
    let reserved = layout.reservedDescriptorBlockCount
    var inode = newInode(.regular, permissions: 0o600, blocks: 1 + reserved * (1 + backups.count))
    inode.linkCount = 1
    inode.size = InitialContents.resizeInodeSize(layout)
    inode.block[13] = doubleIndirect.rawValue
    try write(inode, to: .resize, bytes)

    let first = layout.firstDataBlock.advanced(by: 1 + layout.descriptorBlockCount)
    try writeBlock(doubleIndirect, bytes) { block in
      for index in 0..<reserved {
        let slot = (layout.descriptorBlockCount + index) % (layout.blockSize / 4)
        block.store(first.advanced(by: index).rawValue, at: 4 * slot)
      }
    }
    for index in 0..<reserved {
      let indirect = first.advanced(by: index)
      try writeBlock(indirect, bytes) { block in
        for (slot, group) in backups.enumerated() {
          let copy = indirect.advanced(by: Int(group.rawValue) * Int(layout.blocksPerGroup))
          block.store(copy.rawValue, at: 4 * slot)
        }
      }
    }
  }

  private var time: Timestamp { Timestamp(seconds: options.seconds) }

  /// An inode made now that owns so many blocks.
  private func newInode(_ type: InodeType, permissions: UInt16, blocks: Int) -> InodeRecord {
    var inode = InodeRecord(
      mode: FileMode(type, permissions: permissions), time: time,
      extraSize: layout.inodeSize >= 256 ? Int(InitialContents.extraInodeSize) : 0)
    inode.sectorCount = UInt32(blocks * (layout.blockSize / 512))
    return inode
  }

  /// Writes an inode that had no bytes before.
  private func write(
    _ inode: InodeRecord, to number: InodeNumber, _ bytes: some VolumeBytes
  ) throws(MakeError) {
    let group = layout.group(of: number)
    let (block, offset) = layout.location(of: number, descriptor: descriptor(of: group))
    var record = [UInt8](repeating: 0, count: layout.inodeSize)
    record.change { inode.encode(into: &$0, inodeSize: layout.inodeSize, isNew: true) }
    try write(record, at: block.byteOffset(blockSizeLog2: layout.blockSizeLog2) + UInt64(offset), bytes)
  }

  /// Writes a block that `fill` stores into, zero before.
  private func writeBlock(
    _ block: BlockNumber, _ bytes: some VolumeBytes, _ fill: (inout MutableRawSpan) -> Void
  ) throws(MakeError) {
    var contents = [UInt8](repeating: 0, count: layout.blockSize)
    contents.change(fill)
    try write(contents, at: block.byteOffset(blockSizeLog2: layout.blockSizeLog2), bytes)
  }
}
