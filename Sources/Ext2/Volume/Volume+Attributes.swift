// Extended attributes, by path and by open file. An ACL is the value of `system.posix_acl_access` or
// `system.posix_acl_default`, in the form of system calls (include/uapi/linux/posix_acl_xattr.h).
internal import Ext2Format
internal import PageCache
internal import Reactor

extension Volume {
  /// The whole names of a file's attributes, in order (listxattr(2)). A symbolic link at the end of the path is followed,
  /// unless told otherwise.
  public nonisolated func attributeNames(
    of path: some VolumePath, followsLink: Bool = true
  ) async throws(Ext2Error) -> [[UInt8]] {
    let bytes = path.volumePathBytes
    return try await reactor.run { () async throws(Ext2Error) in
      try await self.inspectAttributes(bytes, followsLink) { store, inode, ticket async throws(Ext2Error) in
        try await store.names(of: inode, ticket)
      }
    }
  }

  /// The value of an attribute, such as `user.comment` (getxattr(2)).
  ///
  /// - Throws: `noAttribute`; `attributeOutOfRange`, `invalidArgument` or `notSupported` for what is no name.
  public nonisolated func attribute(
    _ name: [UInt8], of path: some VolumePath, followsLink: Bool = true
  ) async throws(Ext2Error) -> [UInt8] {
    let bytes = path.volumePathBytes
    return try await reactor.run { () async throws(Ext2Error) in
      try await self.inspectAttributes(bytes, followsLink) { store, inode, ticket async throws(Ext2Error) in
        try await store.value(of: name, of: inode, ticket)
      }
    }
  }

  /// Sets an attribute (setxattr(2)). An access ACL changes the permissions with it; one without entries is removed.
  ///
  /// - Throws: `exists` or `noAttribute` by the condition; `noSpace` when inode and attribute block have no room, or no
  ///   block is free; `notPermitted` for attributes of users on anything but files and directories, and on immutable and
  ///   append-only files; `accessDenied` for a default ACL on anything but a directory; `attributeOutOfRange`,
  ///   `invalidArgument` or `notSupported` for what is no name or no value.
  public nonisolated func setAttribute(
    _ name: [UInt8], to value: [UInt8], of path: some VolumePath, if condition: AttributeCondition = .none,
    followsLink: Bool = true, as credentials: Credentials = .root
  ) async throws(Ext2Error) {
    let bytes = path.volumePathBytes
    try await reactor.run { () async throws(Ext2Error) in
      try await self.changeAttributes(bytes, followsLink, credentials) { store, inode, ticket async throws(Ext2Error) in
        try await store.set(name, to: value, if: condition, of: inode, ticket)
      }
    }
  }

  /// Removes an attribute (removexattr(2)). Throws `noAttribute` when there is none, but for an ACL; else as
  /// `setAttribute`.
  public nonisolated func removeAttribute(
    _ name: [UInt8], of path: some VolumePath, followsLink: Bool = true, as credentials: Credentials = .root
  ) async throws(Ext2Error) {
    let bytes = path.volumePathBytes
    try await reactor.run { () async throws(Ext2Error) in
      try await self.changeAttributes(bytes, followsLink, credentials) { store, inode, ticket async throws(Ext2Error) in
        try await store.remove(name, of: inode, ticket)
      }
    }
  }

  // MARK: On the reactor

  /// What an operation does with an inode's attributes, with metadata slots of its own.
  private typealias Body<R> = (AttributeStore, Inode, MetadataTicket) async throws(Ext2Error) -> R

  private func inspectAttributes<R: Sendable>(
    _ path: [UInt8], _ followsLink: Bool, _ body: Body<R>
  ) async throws(Ext2Error) -> R {
    try await reading { ticket async throws(Ext2Error) in
      let inode = try await resolve(path, followsLast: followsLink, ticket)
      defer { core.inodes.release(inode) }
      return try await body(core.attributes, inode, ticket)
    }
  }

  private func changeAttributes(
    _ path: [UInt8], _ followsLink: Bool, _ credentials: Credentials, _ body: Body<Void>
  ) async throws(Ext2Error) {
    try await changing(as: credentials) { ticket async throws(Ext2Error) in
      let inode = try await resolve(path, followsLast: followsLink, ticket)
      defer { core.inodes.release(inode) }
      try await body(core.attributes, inode, ticket)
      try await makeDurableIfAsked([inode])
    }
  }

  fileprivate func inspectAttributes<R: Sendable>(
    _ handle: Int, _ body: (AttributeStore, Inode, MetadataTicket) async throws(Ext2Error) -> R
  ) async throws(Ext2Error) -> R {
    try await reading { ticket async throws(Ext2Error) in
      let inode = core.inodes.reference(try file(handle).inode)
      defer { core.inodes.release(inode) }
      return try await body(core.attributes, inode, ticket)
    }
  }

  fileprivate func changeAttributes(
    _ handle: Int, _ body: (AttributeStore, Inode, MetadataTicket) async throws(Ext2Error) -> Void
  ) async throws(Ext2Error) {
    let credentials = try file(handle).credentials
    try await changing(as: credentials) { ticket async throws(Ext2Error) in
      let inode = core.inodes.reference(try file(handle).inode)
      defer { core.inodes.release(inode) }
      try await body(core.attributes, inode, ticket)
      try await makeDurableIfAsked([inode])
    }
  }
}

extension File {
  /// The whole names of the file's attributes; see `Volume.attributeNames`.
  public func attributeNames() async throws(Ext2Error) -> [[UInt8]] {
    try await volume.reactor.run { () async throws(Ext2Error) in
      try await volume.inspectAttributes(handle) { store, inode, ticket async throws(Ext2Error) in
        try await store.names(of: inode, ticket)
      }
    }
  }

  /// The value of an attribute; see `Volume.attribute`.
  public func attribute(_ name: [UInt8]) async throws(Ext2Error) -> [UInt8] {
    try await volume.reactor.run { () async throws(Ext2Error) in
      try await volume.inspectAttributes(handle) { store, inode, ticket async throws(Ext2Error) in
        try await store.value(of: name, of: inode, ticket)
      }
    }
  }

  /// Sets an attribute; see `Volume.setAttribute`.
  public func setAttribute(
    _ name: [UInt8], to value: [UInt8], if condition: AttributeCondition = .none
  ) async throws(Ext2Error) {
    try await volume.reactor.run { () async throws(Ext2Error) in
      try await volume.changeAttributes(handle) { store, inode, ticket async throws(Ext2Error) in
        try await store.set(name, to: value, if: condition, of: inode, ticket)
      }
    }
  }

  /// Removes an attribute; see `Volume.removeAttribute`.
  public func removeAttribute(_ name: [UInt8]) async throws(Ext2Error) {
    try await volume.reactor.run { () async throws(Ext2Error) in
      try await volume.changeAttributes(handle) { store, inode, ticket async throws(Ext2Error) in
        try await store.remove(name, of: inode, ticket)
      }
    }
  }
}
