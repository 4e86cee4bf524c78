// The structures of a mounted volume, as they are: for who looks at them with a tool.
internal import BlockDevice
package import Ext2Format
internal import PageCache
internal import Reactor

/// One group of a volume.
package struct GroupInspection: Sendable {
  package let group: GroupNumber
  /// What its descriptor says now.
  package let descriptor: GroupDescriptor
  /// Runs of clear bits in its block bitmap, in ascending order. A block that waits to be freed counts as used.
  package let freeBlocks: [Range<BlockNumber>]
  /// Runs of clear bits in its inode bitmap, from the first number to the last.
  package let freeInodes: [ClosedRange<UInt32>]
}

/// One inode of a volume.
package struct InodeInspection: Sendable {
  /// What the inode table, or the inode in memory, says; it may be in use or not.
  package let record: InodeRecord
  /// Whether the inode bitmap says that it is in use.
  package let isMarkedUsed: Bool
  /// The block of the inode table that holds it, and where in the block it begins.
  package let block: BlockNumber
  package let byteOffset: Int
}

extension Volume {
  /// What the indexes of large directories take in memory now, in bytes.
  package var nameIndexByteCount: Int { core.inodes.nameIndexes.byteCount }

  /// Blocks of metadata in memory; the superblock's and the descriptors' among them.
  package var metadataBlocksInMemory: Int { core.metadata.blocks.count }

  /// The inodes in memory, in ascending order.
  package var inodesInMemory: [InodeNumber] { core.inodes.all.map(\.number) }

  /// Pages that are dirty or under writeback.
  package var dirtyPageCount: Int { core.cache.dirtyCount }

  /// The superblock as it is in memory, with the sums of the descriptors as its free counts, and the layout it describes.
  package nonisolated func superblock() async throws(Ext2Error) -> (Superblock, VolumeLayout) {
    try await reactor.run { () async throws(Ext2Error) in try await self.superblockHere() }
  }

  /// What a group's descriptor and bitmaps say.
  package nonisolated func inspect(_ group: GroupNumber) async throws(Ext2Error) -> GroupInspection {
    try await reactor.run { () async throws(Ext2Error) in try await self.inspectHere(group) }
  }

  /// What the inode table says of an inode, in use or not.
  ///
  /// - Throws: `invalidArgument` when the volume has no such inode.
  package nonisolated func inspect(_ inode: InodeNumber) async throws(Ext2Error) -> InodeInspection {
    try await reactor.run { () async throws(Ext2Error) in try await self.inspectHere(inode) }
  }

  /// The bytes of a block and what it is for, when the volume has a fixed use of it: as they are in memory if they are there
  /// as metadata, else as they are on the device. A file's dirty pages are not looked at: call `synchronize` first.
  ///
  /// - Throws: `invalidArgument` when the volume has no such block.
  package nonisolated func inspect(
    _ block: BlockNumber
  ) async throws(Ext2Error) -> (bytes: [UInt8], fixedUse: FixedMetadata?, isMarkedUsed: Bool?) {
    try await reactor.run { () async throws(Ext2Error) in try await self.inspectHere(block) }
  }

  // MARK: On the reactor

  private func superblockHere() async throws(Ext2Error) -> (Superblock, VolumeLayout) {
    try await beginCall()
    defer { core.calls.leave() }
    var superblock = core.groups.superblock
    superblock.freeBlockCount = UInt32(clamping: core.groups.freeBlockCount)
    superblock.freeInodeCount = UInt32(clamping: core.groups.freeInodeCount)
    return (superblock, core.groups.layout)
  }

  private func inspectHere(_ group: GroupNumber) async throws(Ext2Error) -> GroupInspection {
    let layout = core.groups.layout
    guard group.rawValue < layout.groupCount else { throw .invalidArgument("group \(group)") }
    return try await reading { ticket async throws(Ext2Error) in
      let blocks = try await core.allocator.blockBitmap(of: group, ticket)
      guard let inodes = try await core.metadata.load(core.groups[group].inodeBitmap, owner: .none, ticket) else {
        throw .closed
      }
      let first = layout.firstBlock(of: group), firstInode = layout.inode(in: group, bit: 0).rawValue
      return GroupInspection(
        group: group, descriptor: core.groups[group],
        freeBlocks: Self.runs(layout.blockCount(of: group), blocks).map {
          first.advanced(by: $0.lowerBound)..<first.advanced(by: $0.upperBound)
        },
        freeInodes: Self.runs(Int(layout.inodesPerGroup), inodes).map {
          firstInode + UInt32($0.lowerBound)...firstInode + UInt32($0.upperBound - 1)
        })
    }
  }

  private static func runs(_ count: Int, _ bitmap: MetadataBlock) -> [Range<Int>] {
    bitmap.withBytes { bytes in
      var runs: [Range<Int>] = []
      var start = 0
      while let run = Bitmap.firstZeroRun(in: start..<count, of: bytes) {
        runs.append(run)
        start = run.upperBound
      }
      return runs
    }
  }

  private func inspectHere(_ number: InodeNumber) async throws(Ext2Error) -> InodeInspection {
    let layout = core.groups.layout
    guard layout.contains(number) else { throw .invalidArgument("inode \(number)") }
    return try await reading { ticket async throws(Ext2Error) in
      let group = layout.group(of: number)
      let (block, offset) = core.inodes.location(of: number)
      guard let table = try await core.metadata.load(block, owner: .none, ticket),
        let bitmap = try await core.metadata.load(core.groups[group].inodeBitmap, owner: .none, ticket)
      else { throw .closed }
      let isUsed = bitmap.withBytes { Bitmap.isSet(layout.indexInGroup(of: number), in: $0) }
      do throws(FormatError) {
        let record = try table.withBytes { bytes throws(FormatError) in
          try InodeRecord(decoding: bytes, at: offset, inodeSize: layout.inodeSize)
        }
        return InodeInspection(record: record, isMarkedUsed: isUsed, block: block, byteOffset: offset)
      } catch { throw Ext2Error(error) }
    }
  }

  private func inspectHere(
    _ number: BlockNumber
  ) async throws(Ext2Error) -> (bytes: [UInt8], fixedUse: FixedMetadata?, isMarkedUsed: Bool?) {
    let layout = core.groups.layout
    guard number.rawValue < layout.blockCount else { throw .invalidArgument("block \(number)") }
    return try await reading { ticket async throws(Ext2Error) in
      var fixedUse: FixedMetadata?, isMarkedUsed: Bool?
      if layout.contains(number) {
        fixedUse = core.groups.map.fixedUse(of: number)
        let bitmap = try await core.allocator.blockBitmap(of: layout.group(of: number), ticket)
        isMarkedUsed = bitmap.withBytes { Bitmap.isSet(layout.bitIndex(of: number), in: $0) }
      }
      if let block = core.metadata.cached(number) {
        return (block.withBytes { $0.copy(at: 0, count: layout.blockSize) }, fixedUse, isMarkedUsed)
      }
      let buffer = Buffer(byteCount: layout.blockSize)
      do throws(DeviceError) {
        try await core.queue.read(buffer, at: number.byteOffset(blockSizeLog2: layout.blockSizeLog2))
      } catch { throw .device(error) }
      return (buffer.withBytes { $0.copy(at: 0, count: layout.blockSize) }, fixedUse, isMarkedUsed)
    }
  }
}
