// Extended attributes and ACLs, by path and by the number of an inode.
public import Ext2Format
internal import PageCache
internal import Reactor

extension Volume {
  /// The names of a file's attributes (listxattr(2)). They need not be UTF-8.
  public nonisolated func attributeNames(
    of path: some VolumePath, followsLink: Bool = true
  ) async throws(Ext2Error) -> [[UInt8]] {
    try await inspect(.path(path.volumePathBytes, followsLink)) { store, inode async throws(Ext2Error) in
      try await store.names(of: inode)
    }
  }

  /// The value of an attribute (getxattr(2)), such as `user.comment`. That of an ACL has the form of system calls; see
  /// also `accessControlList`. Throws `noAttribute` when the file has none of that name.
  public nonisolated func attribute(
    _ name: some VolumePath, of path: some VolumePath, followsLink: Bool = true
  ) async throws(Ext2Error) -> [UInt8] {
    let name = name.volumePathBytes
    return try await inspect(.path(path.volumePathBytes, followsLink)) { store, inode async throws(Ext2Error) in
      try await store.value(of: name, of: inode)
    }
  }

  /// Sets an attribute (setxattr(2)). The families are user., trusted., security. and the two ACLs, system.posix_acl_access
  /// and system.posix_acl_default. All attributes of a file have to fit into what its inode has left and one block.
  public nonisolated func setAttribute(
    _ name: some VolumePath, to value: [UInt8], if condition: AttributeCondition = .none, of path: some VolumePath,
    followsLink: Bool = true
  ) async throws(Ext2Error) {
    let name = name.volumePathBytes
    try await change(.path(path.volumePathBytes, followsLink)) { store, inode async throws(Ext2Error) in
      try await store.set(name, to: value, if: condition, of: inode)
    }
  }

  /// Removes an attribute (removexattr(2)).
  public nonisolated func removeAttribute(
    _ name: some VolumePath, of path: some VolumePath, followsLink: Bool = true
  ) async throws(Ext2Error) {
    let name = name.volumePathBytes
    try await change(.path(path.volumePathBytes, followsLink)) { store, inode async throws(Ext2Error) in
      try await store.remove(name, of: inode)
    }
  }

  /// The ACL of a file, or the one that what is made in a directory inherits; nil when there is none.
  public nonisolated func accessControlList(
    of path: some VolumePath, isDefault: Bool = false
  ) async throws(Ext2Error) -> AccessControlList? {
    try await inspect(.path(path.volumePathBytes, true)) { store, inode async throws(Ext2Error) in
      try store.checkHasACLs(inode, path.volumePathBytes)
      await inode.lock.lock()
      defer { inode.lock.unlock() }
      return try await store.accessControlList(isDefault ? .defaultACL : .accessACL, of: inode)
    }
  }

  /// Sets an ACL, or removes it. The access ACL and the mode change together.
  public nonisolated func setAccessControlList(
    _ list: AccessControlList?, of path: some VolumePath, isDefault: Bool = false
  ) async throws(Ext2Error) {
    try await change(.path(path.volumePathBytes, true)) { store, inode async throws(Ext2Error) in
      try await store.setAccessControlList(isDefault ? .defaultACL : .accessACL, to: list, of: inode)
    }
  }

  // MARK: By the number of an inode

  /// As `attributeNames(of:)`.
  package nonisolated func attributeNames(ofInode number: UInt32) async throws(Ext2Error) -> [[UInt8]] {
    try await inspect(.number(number)) { store, inode async throws(Ext2Error) in try await store.names(of: inode) }
  }

  /// As `attribute(_:of:)`.
  package nonisolated func attribute(_ name: String, ofInode number: UInt32) async throws(Ext2Error) -> [UInt8] {
    try await inspect(.number(number)) { store, inode async throws(Ext2Error) in
      try await store.value(of: Array(name.utf8), of: inode)
    }
  }

  /// As `setAttribute(_:to:if:of:)`.
  package nonisolated func setAttribute(
    _ name: String, to value: [UInt8], if condition: AttributeCondition = .none, ofInode number: UInt32
  ) async throws(Ext2Error) {
    try await change(.number(number)) { store, inode async throws(Ext2Error) in
      try await store.set(Array(name.utf8), to: value, if: condition, of: inode)
    }
  }

  /// As `removeAttribute(_:of:)`.
  package nonisolated func removeAttribute(_ name: String, ofInode number: UInt32) async throws(Ext2Error) {
    try await change(.number(number)) { store, inode async throws(Ext2Error) in
      try await store.remove(Array(name.utf8), of: inode)
    }
  }

  /// chmod.
  package nonisolated func changePermissions(to permissions: UInt16, ofInode number: UInt32) async throws(Ext2Error) {
    try await change(.number(number)) { store, inode async throws(Ext2Error) in
      let ticket = try await store.metadata.ticket()
      defer { ticket.end() }
      try await inode.change(StatusChanges(permissions: permissions), "inode \(number)", store, ticket)
    }
  }

  /// The mode of an inode, its type included.
  package nonisolated func mode(ofInode number: UInt32) async throws(Ext2Error) -> UInt16 {
    try await inspect(.number(number)) { _, inode async throws(Ext2Error) in inode.record.mode.rawValue }
  }

  // MARK: On the reactor

  private enum Target: Sendable {
    case path([UInt8], _ followsLink: Bool)
    case number(UInt32)
  }

  private nonisolated func inspect<R: Sendable>(
    _ target: Target, _ body: @Sendable (AttributeStore, Inode) async throws(Ext2Error) -> R
  ) async throws(Ext2Error) -> R {
    try await reactor.run { () async throws(Ext2Error) in try await self.inspectHere(target, body) }
  }
  private func inspectHere<R: Sendable>(
    _ target: Target, _ body: @Sendable (AttributeStore, Inode) async throws(Ext2Error) -> R
  ) async throws(Ext2Error) -> R {
    let inode = try await reading { ticket async throws(Ext2Error) in try await acquire(target, ticket) }
    defer { core.inodes.release(inode) }
    try await beginCall()
    defer { core.calls.leave() }
    do throws(Ext2Error) { return try await body(core.attributes, inode) } catch { throw noted(error) }
  }

  private nonisolated func change(
    _ target: Target, _ body: @Sendable (AttributeStore, Inode) async throws(Ext2Error) -> Void
  ) async throws(Ext2Error) {
    try await reactor.run { () async throws(Ext2Error) in try await self.changeHere(target, body) }
  }
  private func changeHere(
    _ target: Target, _ body: @Sendable (AttributeStore, Inode) async throws(Ext2Error) -> Void
  ) async throws(Ext2Error) {
    let inode = try await changing { ticket async throws(Ext2Error) in try await acquire(target, ticket) }
    defer { core.inodes.release(inode) }
    // A ticket of its own: nobody waits for slots while he holds others.
    try await changing(slots: 0) { _ async throws(Ext2Error) in
      try await body(core.attributes, inode)
      try await makeDurableIfAsked([inode])
    }
  }

  private func acquire(_ target: Target, _ ticket: MetadataTicket) async throws(Ext2Error) -> Inode {
    switch target {
    case .path(let path, let followsLink): try await resolve(path, followsLast: followsLink, ticket)
    case .number(let number): try await core.inodes.acquire(InodeNumber(rawValue: number), ticket)
    }
  }
}
