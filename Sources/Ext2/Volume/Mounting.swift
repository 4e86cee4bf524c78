internal import BlockDevice
internal import Ext2Format
internal import Logging
internal import PageCache
internal import Reactor

/// The steps of a mount. Reads and checks first; writes last.
struct Mounting {
  let reactor: Reactor
  init(_ reactor: Reactor) { self.reactor = reactor }

  func mount(_ device: any BlockDevice, _ options: VolumeOptions) async throws(Ext2Error) -> VolumeCore {
    let queue: RequestQueue
    do { queue = try RequestQueue(device: device, reactor: reactor, configuration: options.queue) } catch {
      throw .device(error)
    }
    do {
      return try await mount(queue, options)
    } catch {
      if !options.cache.switchedOff.contains(.failedMountLetsGo) { queue.closeWhenIdle() }
      throw error
    }
  }

  private func mount(_ queue: RequestQueue, _ options: VolumeOptions) async throws(Ext2Error) -> VolumeCore {
    let superblock = try await readSuperblock(queue, at: options.superblockLocation)
    let layout: VolumeLayout
    do { layout = try superblock.validate(deviceByteCount: queue.geometry.byteCount) } catch { throw Ext2Error(error) }
    guard layout.blockSize >= queue.geometry.logicalBlockSize else {
      throw .badOption(
        "blocks of \(layout.blockSize) bytes on a device with logical blocks of \(queue.geometry.logicalBlockSize)")
    }
    guard options.metadataSlotCount >= MetadataCache.minimumSlotCount else {
      throw .badOption(
        "a metadata cache of \(options.metadataSlotCount) blocks: at least \(MetadataCache.minimumSlotCount) are needed"
      )
    }
    let metadata = MetadataCache(
      reactor: reactor, queue: queue, blockSize: layout.blockSize, slotCount: options.metadataSlotCount,
      switchedOff: options.cache.switchedOff)
    guard options.superblockLocation == 1 || isCopy(options.superblockLocation * 1024, layout) else {
      throw .badOption("sb=\(options.superblockLocation): no copy of the superblock belongs there")
    }
    let descriptors = try await readDescriptors(
      layout, metadata, superblockByteOffset: options.superblockLocation * 1024)
    let isReadOnly = options.isReadOnly || superblock.mustBeReadOnly || queue.geometry.isReadOnly
    let core = try VolumeCore(
      queue: queue, options: options, superblock: superblock, layout: layout, descriptors: descriptors,
      metadata: metadata, isReadOnly: isReadOnly)
    guard let block = try await metadata.load(core.groups.superblockBlock, owner: .none, nil) else { throw .closed }
    metadata.makeResident(block)
    if superblock.mustBeReadOnly && !options.isReadOnly {
      let unknown = superblock.readOnlyCompatible.subtracting(.supported)
      options.logger.warning(
        "mounted read-only: writers must know \(unknown.isEmpty ? "revision \(superblock.revision)" : "\(unknown)")")
    }
    if superblock.compatible.contains(.hasJournal) {
      options.logger.warning("the journal of this ext3 volume is not used")
    }
    if !core.wasClean { options.logger.warning("the volume was not unmounted cleanly: run e2fsck") }
    try await checkRoot(core)
    if !isReadOnly { try await core.markNotClean(isMount: true) }
    return core
  }

  private func readSuperblock(_ queue: RequestQueue, at location: UInt64) async throws(Ext2Error) -> Superblock {
    let logicalBlockSize = UInt64(queue.geometry.logicalBlockSize)
    let (offset, overflow) = location.multipliedReportingOverflow(by: 1024)
    guard location >= 1, !overflow, queue.geometry.byteCount >= 1024, offset <= queue.geometry.byteCount - 1024 else {
      throw Ext2Error(
        FormatError.truncated(
          .superblock, neededBytes: Int(clamping: overflow ? .max : offset + 1024),
          availableBytes: Int(clamping: queue.geometry.byteCount)))
    }
    let start = offset / logicalBlockSize * logicalBlockSize
    let end = (offset + 1024 + logicalBlockSize - 1) / logicalBlockSize * logicalBlockSize
    let buffer = Buffer(byteCount: Int(end - start))
    do { try await queue.read(buffer, at: start) } catch { throw .device(error) }
    do {
      return try buffer.withBytes { bytes throws(FormatError) in
        try Superblock(decoding: bytes, at: Int(offset - start))
      }
    } catch { throw Ext2Error(error) }
  }

  /// Whether a copy of the superblock belongs at a byte offset: what follows it is taken for descriptors.
  private func isCopy(_ offset: UInt64, _ layout: VolumeLayout) -> Bool {
    layout.backupGroups.contains { layout.superblockByteOffset($0) == offset }
  }

  private func readDescriptors(
    _ layout: VolumeLayout, _ metadata: MetadataCache, superblockByteOffset: UInt64
  ) async throws(Ext2Error) -> [GroupDescriptor] {
    var descriptors: [GroupDescriptor] = []
    descriptors.reserveCapacity(Int(layout.groupCount))
    for index in 0..<layout.descriptorBlockCount {
      let number = layout.descriptorBlock(index, superblockByteOffset: superblockByteOffset)
      guard let block = try await metadata.load(number, owner: .none, nil) else { throw .closed }
      metadata.makeResident(block)
      let count = min(layout.descriptorsPerBlock, Int(layout.groupCount) - descriptors.count)
      do {
        try block.withBytes { bytes throws(FormatError) in
          for entry in 0..<count {
            descriptors.append(try GroupDescriptor(decoding: bytes, at: entry * GroupDescriptor.byteCount))
          }
        }
      } catch { throw Ext2Error(error) }
    }
    return descriptors
  }

  /// A volume whose root cannot be used is not mounted, let alone written (fs/ext2/super.c, ext2_fill_super).
  private func checkRoot(_ core: VolumeCore) async throws(Ext2Error) {
    let ticket = try await core.metadata.ticket()
    defer { ticket.end() }
    let root = try await core.inodes.acquire(.root, ticket)
    defer { core.inodes.release(root) }
    guard root.type == .directory, root.byteCount > 0, root.record.linkCount > 0 else {
      throw Ext2Error(
        FormatError.invalid(
          .inode, at: .inode(.root), field: "i_mode", value: UInt64(root.record.mode.rawValue),
          why: "the root is no directory, or an empty one"))
    }
  }

}
