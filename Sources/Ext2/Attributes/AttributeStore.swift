// Extended attributes of inodes.
//
// An attribute lies in the inode, behind `i_extra_isize`, where it has room there, else in the inode's attribute block,
// which inodes with equal attributes share. The block is metadata of nobody in particular (owner `.none`). All attributes
// of an inode have room in these two places, or setting one fails for want of space. They change under the inode's lock,
// in steps for which everything has been found and pinned before.
//
// Sources: fs/ext2/xattr.c (the block), fs/ext4/xattr.c (the inode, and which of the two).
internal import Ext2Format

/// The attributes of a volume's inodes. Confined to its reactor.
final class AttributeStore {
  let inodes: InodeTable
  /// Blocks that may be shared.
  var shareable = ShareableBlocks()

  /// Whether attributes of users, and ACLs, are there for whoever asks (the mount options user_xattr and acl).
  let allowsUserAttributes: Bool
  let allowsAccessControlLists: Bool

  init(_ inodes: InodeTable, _ options: VolumeOptions) {
    self.inodes = inodes
    allowsUserAttributes = options.allowsUserAttributes
    allowsAccessControlLists = options.allowsAccessControlLists
  }

  var metadata: MetadataCache { inodes.metadata }
  var allocator: BlockAllocator { inodes.allocator }
  private var layout: VolumeLayout { inodes.groups.layout }

  /// Where attributes lie in a block.
  var blockRegion: AttributeRegion { AttributeRegion(blockSize: layout.blockSize) }

  /// Where attributes lie in an inode, counted from the start of its block of the table; nil where it has no room.
  func inodeRegion(_ number: InodeNumber, extraSize: Int) -> AttributeRegion? {
    AttributeRegion(
      inodeAt: inodes.location(of: number).byteOffset, inodeSize: layout.inodeSize, extraSize: extraSize)
  }

  /// The attributes of one inode. A name that is in both places counts in the inode.
  struct Contents: Equatable {
    var inInode = AttributeSet()
    var inBlock = AttributeSet()

    subscript(name: AttributeName) -> [UInt8]? { inInode[name] ?? inBlock[name] }

    /// Every name, in order.
    var names: [AttributeName] { Set((inInode.attributes + inBlock.attributes).map(\.name)).sorted() }
  }

  /// What an inode has, under its lock; and its attribute block, pinned if there is a ticket.
  func load(_ inode: Inode, _ ticket: MetadataTicket?) async throws(Ext2Error) -> (
    contents: Contents, block: MetadataBlock?
  ) {
    var contents = Contents()
    if let region = inodeRegion(inode.number, extraSize: inode.record.extraSize) {
      let place = inodes.location(of: inode.number).block
      guard let table = try await metadata.load(place, owner: .none, ticket) else { throw .closed }
      if table.withBytes({ bytes in region.isPresent(in: bytes) }) {
        contents.inInode = try decode(table, region, at: .inode(inode.number))
      }
    }
    let block = try await loadBlock(of: inode, ticket)
    if let block {
      contents.inBlock = try decode(block, blockRegion, at: .block(block.number))
      note(block)
    }
    return (contents, block)
  }

  /// Whether an inode has no attributes at all, as far as that can be told without suspending.
  func isKnownToHaveNone(_ inode: Inode) -> Bool {
    guard inode.record.attributeBlock == .none else { return false }
    guard let region = inodeRegion(inode.number, extraSize: inode.record.extraSize) else { return true }
    guard let table = metadata.cached(inodes.location(of: inode.number).block) else { return false }
    return table.withBytes { bytes in !region.isPresent(in: bytes) }
  }

  func decode(
    _ block: MetadataBlock, _ region: AttributeRegion, at location: FormatError.Location
  ) throws(Ext2Error) -> AttributeSet {
    do throws(FormatError) {
      return try block.withBytes { bytes throws(FormatError) in
        try AttributeSet(decoding: bytes, region, at: location)
      }
    } catch { throw Ext2Error(error) }
  }

  /// The block of an inode's attributes, pinned if there is a ticket; nil when it has none. Its contents were not looked
  /// at.
  private func loadBlock(of inode: Inode, _ ticket: MetadataTicket?) async throws(Ext2Error) -> MetadataBlock? {
    let number = inode.record.attributeBlock
    guard number != .none else { return nil }
    do throws(FormatError) {
      try inodes.groups.map.checkPointer(number, at: .inode(inode.number), field: "i_file_acl")
    } catch { throw Ext2Error(error) }
    guard let block = try await metadata.load(number, owner: .none, ticket) else { throw .closed }
    return block
  }

  // MARK: References to a block

  /// Notes a block as one that may be shared, in the step in which it was found to be whole.
  func note(_ block: MetadataBlock) {
    let (hash, count) = block.withBytes { bytes in
      (blockRegion.storedHash(in: bytes), blockRegion.referenceCount(in: bytes))
    }
    // A hash of zero forbids it.
    if hash != 0 && count < AttributeRegion.maximumReferenceCount {
      shareable.insert(block.number, hash: hash)
    } else {
      shareable.remove(block.number)
    }
  }

  /// How many inodes share a block.
  func referenceCount(of block: MetadataBlock) -> UInt32 {
    block.withBytes { bytes in blockRegion.referenceCount(in: bytes) }
  }

  func setReferenceCount(_ count: UInt32, of block: MetadataBlock) {
    block.withMutableBytes { bytes in blockRegion.setReferenceCount(count, in: &bytes) }
    metadata.markDirty(block)
    note(block)
  }

  /// Part of a step: one inode less has the block; the last one frees it.
  func release(_ block: MetadataBlock, of inode: InodeNumber) {
    // Gone already: a corrupt inode has the block as one of its own, and has freed it.
    guard block.isLive else { return allocator.pendingFrees.reportUnownable(block.number, inode) }
    let count = referenceCount(of: block)
    if count > 1 {
      setReferenceCount(count - 1, of: block)
    } else {
      shareable.remove(block.number)
      metadata.forget(block.number)
      allocator.pendingFrees.add(block.number, count: 1)
    }
  }

  /// Lets go of the attribute block of an inode that is being freed (ext2_xattr_delete_inode). The caller encodes the
  /// inode. Throws when the block cannot be read or is none: it is lost until a check. What its attributes are does not
  /// matter.
  func releaseAll(of inode: Inode, _ ticket: MetadataTicket) async throws(Ext2Error) {
    guard let block = try await loadBlock(of: inode, ticket) else { return }
    do throws(FormatError) {
      try block.withBytes { bytes throws(FormatError) in
        try blockRegion.checkHeader(bytes, at: .block(block.number))
      }
    } catch { throw Ext2Error(error) }
    release(block, of: inode.number)
    inode.record.attributeBlock = .none
    inode.tree.sectorCount &-= min(inode.tree.sectorCount, inode.tree.sectorsPerBlock)
  }
}
