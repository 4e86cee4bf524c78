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
      queue.closeWhenIdle()
      throw error
    }
  }

  private func mount(_ queue: RequestQueue, _ options: VolumeOptions) async throws(Ext2Error) -> VolumeCore {
    let superblock = try await readSuperblock(queue)
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
    let descriptors = try await readDescriptors(layout, metadata)
    let isReadOnly = options.isReadOnly || superblock.mustBeReadOnly || queue.geometry.isReadOnly
    let core = try VolumeCore(
      queue: queue, options: options, superblock: superblock, layout: layout, descriptors: descriptors,
      metadata: metadata, isReadOnly: isReadOnly)
    guard let block = try await metadata.load(core.groups.superblockBlock, owner: .none, nil) else { throw .closed }
    metadata.makeResident(block)
    if superblock.mustBeReadOnly && !options.isReadOnly {
      options.logger.warning("mounted read-only: the volume has features that writers must know")
    }
    if !core.wasClean { options.logger.warning("the volume was not unmounted cleanly: run e2fsck") }
    try await checkRoot(core)
    if !isReadOnly { try await markNotClean(core) }
    return core
  }

  private func readSuperblock(_ queue: RequestQueue) async throws(Ext2Error) -> Superblock {
    let byteCount = max(2 * Superblock.byteCount, queue.geometry.logicalBlockSize)
    guard queue.geometry.byteCount >= UInt64(byteCount) else {
      throw Ext2Error(
        FormatError.truncated(
          .superblock, neededBytes: byteCount, availableBytes: Int(clamping: queue.geometry.byteCount)))
    }
    let buffer = Buffer(byteCount: byteCount)
    do { try await queue.read(buffer, at: 0) } catch { throw .device(error) }
    do {
      return try buffer.withBytes { bytes throws(FormatError) in
        try Superblock(
          decoding: bytes.extracting(
            Superblock.primaryByteOffset..<Superblock.primaryByteOffset + Superblock.byteCount))
      }
    } catch { throw Ext2Error(error) }
  }

  private func readDescriptors(_ layout: VolumeLayout, _ metadata: MetadataCache) async throws(Ext2Error)
    -> [GroupDescriptor]
  {
    var descriptors: [GroupDescriptor] = []
    descriptors.reserveCapacity(Int(layout.groupCount))
    for index in 0..<layout.descriptorBlockCount {
      guard let block = try await metadata.load(layout.descriptorBlock(index), owner: .none, nil) else { throw .closed }
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

  /// *Not clean* is durable before the first change.
  private func markNotClean(_ core: VolumeCore) async throws(Ext2Error) {
    core.groups.superblock.state.remove(.valid)
    core.groups.superblock.mountCount &+= 1
    core.groups.superblock.mountTime = UInt32(clamping: core.inodes.now.seconds)
    core.groups.encodeSuperblock(into: core.metadata)
    if let error = await core.metadata.writeAll() { throw error }
    try await core.flushes.flush()
  }
}
