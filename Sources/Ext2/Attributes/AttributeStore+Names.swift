// Attributes as system calls know them: by their whole names, with the rules of each family.
internal import Ext2Format
internal import Reactor

/// Whether an attribute may or must exist when it is set (setxattr(2)).
public enum AttributeCondition: Sendable {
  /// Either way.
  case none
  /// It must not (`XATTR_CREATE`).
  case mustBeNew
  /// It must (`XATTR_REPLACE`).
  case mustExist
}

extension AttributeStore {
  /// The names of an inode's attributes, whole and in order (listxattr(2)). Those of unknown families are left out.
  func names(of inode: Inode) async throws(Ext2Error) -> [[UInt8]] {
    await inode.lock.lock()
    defer { inode.lock.unlock() }
    return try await load(inode, nil).contents.names.filter(isAllowed).compactMap(\.text)
  }

  /// The value of an attribute (getxattr(2)); that of an ACL in the form of system calls.
  ///
  /// Throws `noAttribute`, or what is wrong with the name: `attributeOutOfRange`, `invalidAttribute`,
  /// `unsupportedAttribute`.
  func value(of text: [UInt8], of inode: Inode) async throws(Ext2Error) -> [UInt8] {
    let name = try parse(text)
    await inode.lock.lock()
    defer { inode.lock.unlock() }
    if name.namespace.isWholeName {
      try checkHasACLs(inode, text)
      guard let acl = try await accessControlList(name, of: inode) else { throw missing(text) }
      return acl.transferBytes
    }
    guard hasUserAttributes(inode) || name.namespace != .user, let value = try await load(inode, nil).contents[name]
    else { throw missing(text) }
    return value
  }

  /// Sets an attribute (setxattr(2)). The value of an ACL has the form of system calls; one without entries removes it.
  ///
  /// Throws `exists` and `noAttribute` by the condition, `noSpace` when inode and block have no room, `notPermitted` on
  /// files that are immutable or append-only and for `user.` on anything but files and directories, and what is wrong
  /// with name or value. Nothing is changed then.
  func set(
    _ text: [UInt8], to value: [UInt8], if condition: AttributeCondition, of inode: Inode
  ) async throws(Ext2Error) {
    let name = try parse(text)
    guard value.count <= blockRegion.end else {
      throw .attributeOutOfRange("a value of \(value.count) bytes, larger than a block")
    }
    if name.namespace.isWholeName {
      let acl: AccessControlList?
      do { acl = try AccessControlList.decode(transferBytes: value) } catch {
        if case .unsupportedVersion = error { throw .unsupportedAttribute("\(error)") }
        throw .invalidAttribute("\(error)")
      }
      return try await setAccessControlList(name, to: acl, of: inode)
    }
    try await change(inode) { (contents) throws(Ext2Error) in
      try self.checkMayChange(name, text, inode)
      let isPresent = contents[name] != nil
      if condition == .mustBeNew && isPresent { throw .exists(self.string(text)) }
      if condition == .mustExist && !isPresent { throw self.missing(text) }
      return [(name, value)]
    }
  }

  /// Removes an attribute (removexattr(2)). Throws `noAttribute` when there is none, but for an ACL, where that is no
  /// error (fs/posix_acl.c, vfs_remove_acl); else as `set`.
  func remove(_ text: [UInt8], of inode: Inode) async throws(Ext2Error) {
    let name = try parse(text)
    if name.namespace.isWholeName { return try await setAccessControlList(name, to: nil, of: inode) }
    try await change(inode) { (contents) throws(Ext2Error) in
      try self.checkMayChange(name, text, inode)
      guard contents[name] != nil else { throw self.missing(text) }
      return [(name, nil)]
    }
  }

  /// An operation that changes attributes alone. `edits` says which, under the lock, and whether they may be.
  private func change(
    _ inode: Inode, _ edits: (Contents) throws(Ext2Error) -> [Edit]
  ) async throws(Ext2Error) {
    let ticket = try await metadata.ticket()
    defer { ticket.end() }
    await inode.lock.lock()
    defer { inode.lock.unlock() }
    try inode.checkChangeable()
    let table = try await inodes.pinTable(of: inode.number, ticket)
    let wanted = try edits(try await load(inode, ticket).contents)
    let change = try await prepare(wanted, of: inode, ticket)
    commit(change, to: inode, table)
  }

  // MARK: Rules

  /// Whether the mount has this family of attributes.
  private func isAllowed(_ name: AttributeName) -> Bool {
    name.namespace.isWholeName ? allowsAccessControlLists : name.namespace != .user || allowsUserAttributes
  }

  private func parse(_ text: [UInt8]) throws(Ext2Error) -> AttributeName {
    do throws(AttributeName.ParseError) {
      let name = try AttributeName(parsing: text)
      guard isAllowed(name) else { throw .unknownPrefix }
      return name
    } catch {
      switch error {
      case .badLength: throw .attributeOutOfRange("a name of \(text.count) bytes; 1 to 255 are possible")
      case .malformed: throw .invalidAttribute("\(string(text)): not the name of an attribute")
      case .unknownPrefix: throw .unsupportedAttribute(string(text))
      }
    }
  }

  /// Only files and directories have attributes of users: permissions of others mean something else (fs/xattr.c,
  /// xattr_permission).
  private func hasUserAttributes(_ inode: Inode) -> Bool { inode.type == .regular || inode.type == .directory }

  private func checkMayChange(_ name: AttributeName, _ text: [UInt8], _ inode: Inode) throws(Ext2Error) {
    try checkFlags(inode, text)
    guard name.namespace != .user || hasUserAttributes(inode) else { throw .notPermitted(string(text)) }
  }

  /// Nothing of a file that may not change or may only grow is changed (fs/xattr.c, xattr_permission).
  func checkFlags(_ inode: Inode, _ text: [UInt8]) throws(Ext2Error) {
    guard inode.record.flags.isDisjoint(with: [.immutable, .appendOnly]) else { throw .notPermitted(string(text)) }
  }

  private func missing(_ text: [UInt8]) -> Ext2Error { .noAttribute(string(text)) }
  private func string(_ text: [UInt8]) -> String { String(decoding: text, as: UTF8.self) }
}
