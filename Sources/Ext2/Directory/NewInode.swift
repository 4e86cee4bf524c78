// Making an inode and its first name.
//
// First what can fail: room in the directory, a free inode, its block if it needs one; each is given back when a later
// one fails. Then one step: the inode is in the table, its name in the directory.
internal import Ext2Format
internal import PageCache

/// What a new inode is to be.
struct NewInode {
  var type: InodeType
  /// Set-id bits, sticky bit and permissions.
  var permissions: UInt16
  var owner: Credentials
  /// Of device files.
  var device = DeviceNumber(major: 0, minor: 0)
  /// Of symbolic links.
  var target: [UInt8] = []
  var generation: UInt32
  /// Permissions that the creator does not want, where no default ACL says what they are.
  var umask: UInt16
  /// Files get the group of their directory (the mount option grpid).
  var takesGroupOfDirectory: Bool
}

extension Inode {
  /// Names that one inode may have (fs/ext2/ext2.h, EXT2_LINK_MAX).
  static let largestLinkCount: UInt16 = 32000

  /// The target of a symbolic link, which this must be.
  func symbolicLinkTarget(_ ticket: MetadataTicket) async throws(Ext2Error) -> [UInt8] {
    if record.isFastSymlink(blockSize: blockSize) { return record.fastSymlinkTarget }
    let number = BlockNumber(rawValue: tree.pointers[0])
    try tree.check(number, in: .inode(0))
    guard number != .none else {
      throw Ext2Error(
        FormatError.invalid(
          .inode, at: .inode(self.number), field: "i_block[0]", value: 0, why: "a symbolic link without its target"))
    }
    guard let block = try await table.metadata.load(number, owner: self.number, ticket) else { throw .closed }
    defer { ticket.unpin(block) }
    return block.withBytes { bytes in bytes.copy(at: 0, count: min(Int(clamping: byteCount), blockSize)) }
  }
}

extension Directory {
  /// Makes an inode and enters it here under a name that does not exist; with a reference for the caller. It inherits
  /// the directory's default ACL.
  func make(
    _ new: NewInode, named name: [UInt8], _ text: String, _ attributes: AttributeStore, _ ticket: MetadataTicket
  ) async throws(Ext2Error) -> Inode {
    let inodes = inode.table
    let isDirectory = new.type == .directory
    let access = try await attributes.inherit(
      from: inode, mode: FileMode(new.type, permissions: new.permissions), umask: new.umask)
    guard !isDirectory || inode.record.linkCount < Inode.largestLinkCount else { throw .tooManyLinks(text) }
    let parentTable = try await inodes.pinTable(of: inode.number, ticket)
    let place = try await findRoom(for: name, ticket)
    let number: InodeNumber
    do throws(Ext2Error) {
      number = try await inodes.inodeAllocator.allocate(
        near: inode.number, isDirectory: isDirectory,
        isSpread: inode.number == .root || inode.record.flags.contains(.topDirectory), ticket)
    } catch {
      abandon(place)
      throw error
    }
    guard inodes.cached(number) == nil else {
      abandon(place)
      throw Ext2Error(
        FormatError.invalid(
          .bitmap, at: .inode(number), field: "inode bit", value: 0, why: "says that an inode in use is free"))
    }
    let child = Inode(number, record(of: new, mode: access.mode), inodes)
    let table: MetadataBlock
    let content: Content?
    do throws(Ext2Error) {
      table = try await inodes.pinTableOfNew(number, ticket)
      content = try await child.prepareContent(new, parent: inode.number, format, ticket)
    } catch {
      abandon(place)
      inodes.inodeAllocator.giveBack(number, isDirectory: isDirectory)
      throw error
    }
    var change: AttributeChange?
    do throws(Ext2Error) {
      // The last that may suspend: what it finds holds until the next suspension.
      if !access.edits.isEmpty {
        change = try await attributes.prepare(
          access.edits, forNew: number, extraSize: child.record.extraSize, ticket)
      }
      try inode.checkChangeable()
      guard canInsert(name, at: place) else { throw changed(place) }
    } catch {
      if let change { attributes.abandon(change) }
      if let content { child.abandon(content) }
      abandon(place)
      inodes.inodeAllocator.giveBack(number, isDirectory: isDirectory)
      throw error
    }
    // The step.
    if let content { child.link(content) }
    insert(name, number, new.type, at: place)
    if isDirectory { inode.record.linkCount += 1 }
    inodes.encode(inode, into: parentTable)
    _ = inodes.enter(child)
    child.noteShapeChange()
    inodes.encode(child, into: table, isNew: true)
    if let change { attributes.commit(change, to: child, table) }
    return child
  }

  func changed(_ place: Place) -> Ext2Error { changed(place.block) }
  func changed(_ block: MetadataBlock) -> Ext2Error {
    Ext2Error(
      FormatError.invalid(
        .directoryBlock, at: .block(block.number), field: "rec_len", value: 0, why: "changed under its lock"))
  }

  private func record(of new: NewInode, mode: FileMode) -> InodeRecord {
    let parent = inode.record, groups = inode.table.groups
    var record = InodeRecord(
      mode: mode, time: inode.table.now, extraSize: groups.newExtraSize)
    record.userID = new.owner.user
    record.groupID = new.owner.group
    let hasSetGroup = parent.mode.permissions & FileMode.setGroupID != 0
    if hasSetGroup || new.takesGroupOfDirectory {
      record.groupID = parent.groupID
      if hasSetGroup && new.type == .directory { record.mode.permissions |= FileMode.setGroupID }
    }
    record.linkCount = new.type == .directory ? 2 : 1
    record.flags = parent.flags.intersection(.inherited).masked(for: new.type)
    record.generation = new.generation
    if new.type == .characterDevice || new.type == .blockDevice { record.block = new.device.encoded }
    if new.type == .symbolicLink && new.target.count < InodeRecord.fastSymlinkLimit {
      record.setFastSymlinkTarget(new.target)
    }
    return record
  }
}

/// The first block of a new directory, or the target of a symbolic link that is too long for the inode.
private struct Content {
  let preparation: BlockTree.Preparation
  let block: MetadataBlock
  let byteCount: UInt64
}

extension Inode {
  fileprivate func prepareContent(
    _ new: NewInode, parent: InodeNumber, _ format: DirectoryBlock, _ ticket: MetadataTicket
  ) async throws(Ext2Error) -> Content? {
    let isLongLink = new.type == .symbolicLink && new.target.count >= InodeRecord.fastSymlinkLimit
    guard new.type == .directory || isLongLink else { return nil }
    let preparation = await tree.prepare(from: 0, count: 1, ticket)
    guard preparation.preparedCount == 1, let number = tree.preparedBlock(preparation) else {
      tree.abandon(preparation)
      throw preparation.error ?? .noSpace
    }
    let block = table.metadata.makeFresh(number, owner: self.number, ticket)
    block.withMutableBytes { bytes in
      if isLongLink {
        bytes.store(new.target.span, at: 0)
      } else {
        format.initializeDots(&bytes, directory: self.number, parent: parent)
      }
    }
    block.isChecked = !isLongLink
    return Content(
      preparation: preparation, block: block, byteCount: UInt64(isLongLink ? new.target.count : format.blockSize))
  }

  fileprivate func link(_ content: Content) {
    _ = tree.link(content.preparation)
    table.metadata.markDirty(content.block)
    record.size = content.byteCount
  }

  fileprivate func abandon(_ content: Content) {
    table.metadata.forget(content.block.number)
    tree.abandon(content.preparation)
  }
}
