// ACLs: attributes that go together with the mode.
//
// The group bits of a file's mode are the mask of its access ACL, if it has one. So whoever sets the one changes the
// other, in the same step. Sources: fs/ext2/acl.c, fs/posix_acl.c.
internal import Ext2Format
internal import Reactor

/// What a new inode inherits: its mode and the attributes it begins with.
struct InheritedAccess {
  /// The mode, with what the default ACL of the directory or the umask has taken from it.
  let mode: FileMode
  /// For `AttributeStore.prepare(_:forNew:extraSize:_:)`.
  let edits: [AttributeStore.Edit]
}

extension AttributeStore {
  /// An ACL of an inode, under its lock; nil when it has none. `name` is one of the two ACLs.
  func accessControlList(_ name: AttributeName, of inode: Inode) async throws(Ext2Error) -> AccessControlList? {
    try decodeACL(try await load(inode, nil).contents[name], inode.number)
  }

  private func decodeACL(_ value: [UInt8]?, _ inode: InodeNumber) throws(Ext2Error) -> AccessControlList? {
    guard let value else { return nil }
    do { return try AccessControlList.decode(diskBytes: value, at: .inode(inode)) } catch { throw Ext2Error(error) }
  }

  /// Sets or removes an ACL. An access ACL changes the mode with it, and is not stored when the mode says the same
  /// (fs/ext2/acl.c, ext2_set_acl). The set-group-ID bit stays: what a user may not keep is for the caller.
  ///
  /// Throws `notADirectoryForDefaultACL`, `unsupportedAttribute` on symbolic links, and what `set` does.
  func setAccessControlList(
    _ name: AttributeName, to acl: AccessControlList?, of inode: Inode
  ) async throws(Ext2Error) {
    let text = name.text ?? []
    try checkHasACLs(inode, text)
    guard name != .defaultACL || inode.type == .directory || acl == nil else { throw .notADirectoryForDefaultACL }
    let ticket = try await metadata.ticket()
    defer { ticket.end() }
    await inode.lock.lock()
    defer { inode.lock.unlock() }
    try inode.checkChangeable()
    try checkFlags(inode, text)
    let table = try await inodes.pinTable(of: inode.number, ticket)
    let isStored = acl.map { name == .defaultACL || !$0.isEquivalentToMode } ?? false
    let change = try await prepare([(name, isStored ? acl?.diskBytes : nil)], of: inode, ticket)
    if name == .accessACL, let acl { inode.record.mode = acl.applied(to: inode.record.mode) }
    commit(change, to: inode, table)
  }

  /// What chmod does to the access ACL of an inode, under its lock: nil when there is none (posix_acl_chmod). The caller
  /// sets the mode in the step in which it commits the change, without a suspension in between.
  ///
  /// Throws `noSpace` when a shared attribute block has to be copied and no block is free.
  func prepareModeChange(
    to mode: FileMode, of inode: Inode, _ ticket: MetadataTicket
  ) async throws(Ext2Error) -> AttributeChange? {
    guard inode.type != .symbolicLink, allowsAccessControlLists,
      let acl = try await accessControlList(.accessACL, of: inode)
    else { return nil }
    return try await prepare([(.accessACL, acl.changed(by: mode).diskBytes)], of: inode, ticket)
  }

  /// What a new inode inherits from a directory, whose lock the caller holds (fs/ext2/acl.c, ext2_init_acl). It reads
  /// the directory's attributes and changes nothing.
  ///
  /// - Parameters:
  ///   - mode: what the inode is to be created with, type and all.
  ///   - umask: counts only where the directory has no default ACL.
  func inherit(from directory: Inode, mode: FileMode, umask: UInt16) async throws(Ext2Error) -> InheritedAccess {
    // Symbolic links need no look at the directory.
    let isLink = mode.type == .symbolicLink
    let parent =
      isLink || !allowsAccessControlLists || isKnownToHaveNone(directory)
      ? nil : try await accessControlList(.defaultACL, of: directory)
    let (mode, access, byDefault) = AccessControlList.inherited(from: parent, mode: mode, umask: umask)
    var edits: [Edit] = []
    if let byDefault { edits.append((.defaultACL, byDefault.diskBytes)) }
    if let access { edits.append((.accessACL, access.diskBytes)) }
    return InheritedAccess(mode: mode, edits: edits)
  }

  /// Symbolic links have no ACLs: nobody's permissions on them count.
  func checkHasACLs(_ inode: Inode, _ text: [UInt8]) throws(Ext2Error) {
    guard inode.type != .symbolicLink else { throw .unsupportedAttribute(String(decoding: text, as: UTF8.self)) }
  }
}
