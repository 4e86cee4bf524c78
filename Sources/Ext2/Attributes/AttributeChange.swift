// Changing an inode's attributes: everything that can fail is done first, then one step.
internal import Ext2Format
internal import PageCache

/// A change of one inode's attributes that cannot fail any more.
///
/// It holds until the next suspension, like everything that was found and not pinned: whoever prepares it commits or
/// abandons it in the same step.
struct AttributeChange {
  /// What becomes of the attribute block.
  enum Block {
    /// It stays, or there is none.
    case kept
    /// It is the inode's alone and gets other contents.
    case inPlace(MetadataBlock, AttributeSet)
    /// One that others have as well takes its place.
    case shared(MetadataBlock)
    /// A new one takes its place.
    case new(MetadataBlock)
    /// None is needed any more.
    case dropped
  }

  /// What the inode itself will hold; nil when that stays.
  fileprivate let inInode: AttributeSet?
  fileprivate let block: Block
  /// The block that the inode has now, pinned.
  fileprivate let old: MetadataBlock?
  /// Whether the inode has attributes afterwards.
  fileprivate let leavesAttributes: Bool
}

extension AttributeStore {
  /// An attribute to set, or to remove when there is no value.
  typealias Edit = (name: AttributeName, value: [UInt8]?)

  /// Finds and pins what a change of an inode's attributes needs, under its lock: the last thing before the step.
  ///
  /// Throws `noSpace` when the attributes do not fit inode and block, or no block is free; nothing is changed then.
  func prepare(_ edits: [Edit], of inode: Inode, _ ticket: MetadataTicket) async throws(Ext2Error) -> AttributeChange {
    let (contents, block) = try await load(inode, ticket)
    let change = try await prepare(
      edits, inode.number, extraSize: inode.record.extraSize, from: contents, block, ticket)
    do throws(Ext2Error) { try inode.checkChangeable() } catch {
      abandon(change)
      throw error
    }
    return change
  }

  /// The same for an inode that is being made: its number is taken, and nobody else knows it yet.
  ///
  /// - Parameter extraSize: of the record that the inode will have.
  func prepare(
    _ edits: [Edit], forNew number: InodeNumber, extraSize: Int, _ ticket: MetadataTicket
  ) async throws(Ext2Error) -> AttributeChange {
    try await prepare(edits, number, extraSize: extraSize, from: Contents(), nil, ticket)
  }

  private func prepare(
    _ edits: [Edit], _ number: InodeNumber, extraSize: Int, from before: Contents, _ old: MetadataBlock?,
    _ ticket: MetadataTicket
  ) async throws(Ext2Error) -> AttributeChange {
    var after = before
    for edit in edits { try apply(edit, to: &after, inodeRegion(number, extraSize: extraSize)) }
    let block = try await prepareBlock(number, before.inBlock, after.inBlock, old, ticket)
    return AttributeChange(
      inInode: after.inInode == before.inInode ? nil : after.inInode, block: block, old: old,
      leavesAttributes: !after.inInode.isEmpty || !after.inBlock.isEmpty)
  }

  /// Puts an attribute into the inode if it fits there, else into the block, and takes it out of the other
  /// (fs/ext4/xattr.c, ext4_xattr_set_handle).
  private func apply(_ edit: Edit, to contents: inout Contents, _ region: AttributeRegion?) throws(Ext2Error) {
    var (inode, block) = (contents.inInode, contents.inBlock)
    inode[edit.name] = edit.value
    block[edit.name] = nil
    if edit.value != nil && !(region.map(inode.fits) ?? false) {
      inode[edit.name] = nil
      block[edit.name] = edit.value
      guard block.fits(blockRegion) else { throw .noSpace }
    }
    (contents.inInode, contents.inBlock) = (inode, block)
  }

  private func prepareBlock(
    _ inode: InodeNumber, _ before: AttributeSet, _ after: AttributeSet, _ old: MetadataBlock?, _ ticket: MetadataTicket
  ) async throws(Ext2Error) -> AttributeChange.Block {
    if after.isEmpty { return old == nil ? .kept : .dropped }
    if after == before { return .kept }
    var bytes = [UInt8](repeating: 0, count: blockRegion.end)
    var elements = bytes.mutableSpan
    var span = unsafe elements.mutableBytes
    after.encode(into: &span, blockRegion)
    let hash = blockRegion.storedHash(in: span.bytes)
    if let equal = await findEqual(after, hash: hash, ticket) {
      return .shared(equal)
    }
    if let old, old.isLive, referenceCount(of: old) == 1 { return .inPlace(old, after) }
    let (number, _) = try await allocator.allocate(
      1, near: allocator.startingGoal(for: inode), for: .none, ticket)
    let block = metadata.makeFresh(number, owner: .none, ticket)
    block.withMutableBytes { target in target.copy(bytes, 0..<bytes.count, at: 0) }
    return .new(block)
  }

  /// A block that holds just these attributes and that one more inode may share, pinned: in the step in which the caller
  /// goes on.
  private func findEqual(_ set: AttributeSet, hash: UInt32, _ ticket: MetadataTicket) async -> MetadataBlock? {
    if hash == 0 { return nil }
    for number in shareable.candidates(hash: hash) {
      // While it waits for its turn or is read it may be freed, and somebody else's: then it is not noted any more, and
      // must not get a home here. One that cannot be read is not shared; whoever has it will be told.
      let block = try? await metadata.load(
        number, owner: .none, ticket, isStillWanted: { self.shareable.contains(number, hash: hash) })
      guard let block else { continue }
      if shareable.contains(number, hash: hash), referenceCount(of: block) < AttributeRegion.maximumReferenceCount,
        let found = try? decode(block, blockRegion, at: .block(number)), found == set
      {
        return block
      }
      ticket.unpin(block)
    }
    return nil
  }

  /// Makes a prepared change, in one step with whatever else the caller changes of the inode, and encodes the inode.
  ///
  /// - Parameter table: the pinned block of the table that holds the inode. A new inode was encoded into it before.
  func commit(_ change: AttributeChange, to inode: Inode, _ table: MetadataBlock) {
    if let set = change.inInode, let region = inodeRegion(inode.number, extraSize: inode.record.extraSize) {
      table.withMutableBytes { bytes in set.encode(into: &bytes, region) }
    }
    switch change.block {
    case .kept: break
    case .inPlace(let block, let set):
      block.withMutableBytes { bytes in set.encode(into: &bytes, blockRegion) }
      metadata.markDirty(block)
      note(block)
    case .shared(let block):
      let isCounted = !metadata.switchedOff.contains(.sharersAreCounted)
      setReferenceCount(referenceCount(of: block) + (isCounted ? 1 : 0), of: block)
      replace(change.old, by: block, inode)
    case .new(let block):
      if !metadata.switchedOff.contains(.newAttributesAreDirty) { metadata.markDirty(block) }
      note(block)
      replace(change.old, by: block, inode)
    case .dropped:
      if let old = change.old { release(old, of: inode.number) }
      inode.record.attributeBlock = .none
      inode.tree.sectorCount &-= min(inode.tree.sectorCount, inode.tree.sectorsPerBlock)
    }
    if change.leavesAttributes { noteFeature() }
    inode.record.changeTime = inodes.now
    inodes.encode(inode, into: table)
  }

  private func replace(_ old: MetadataBlock?, by block: MetadataBlock, _ inode: Inode) {
    inode.record.attributeBlock = block.number
    if let old {
      release(old, of: inode.number)
    } else {
      inode.tree.sectorCount &+= inode.tree.sectorsPerBlock
    }
  }

  /// A volume with attributes says so (ext2_xattr_update_super_block), in the same step, so that fsync of the inode makes
  /// it durable as well.
  private func noteFeature() {
    let groups = inodes.groups
    guard groups.superblock.compatible.insert(.extendedAttributes).inserted else { return }
    groups.superblock.raiseToDynamicRevision()
    groups.encodeSuperblock(into: metadata)
  }

  /// Gives back what was prepared and is not wanted. Reads nothing.
  func abandon(_ change: AttributeChange) {
    guard case .new(let block) = change.block else { return }
    metadata.forget(block.number)
    allocator.giveBack(block.number, count: 1)
  }
}
