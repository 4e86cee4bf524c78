// Attributes by the number of an inode: what operations by path and by open file are made of.
internal import Ext2Format
internal import Reactor

extension Volume {
  /// The names of an inode's attributes (listxattr(2)).
  package nonisolated func attributeNames(ofInode number: UInt32) async throws(Ext2Error) -> [[UInt8]] {
    try await reactor.run { () async throws(Ext2Error) in
      try await self.inspect(number) { store, inode async throws(Ext2Error) in try await store.names(of: inode) }
    }
  }

  /// The value of an attribute (getxattr(2)).
  package nonisolated func attribute(_ name: String, ofInode number: UInt32) async throws(Ext2Error) -> [UInt8] {
    try await reactor.run { () async throws(Ext2Error) in
      try await self.inspect(number) { store, inode async throws(Ext2Error) in
        try await store.value(of: Array(name.utf8), of: inode)
      }
    }
  }

  /// Sets an attribute (setxattr(2)).
  package nonisolated func setAttribute(
    _ name: String, to value: [UInt8], if condition: AttributeCondition = .none, ofInode number: UInt32
  ) async throws(Ext2Error) {
    try await reactor.run { () async throws(Ext2Error) in
      try await self.change(number) { store, inode async throws(Ext2Error) in
        try await store.set(Array(name.utf8), to: value, if: condition, of: inode)
      }
    }
  }

  /// Removes an attribute (removexattr(2)).
  package nonisolated func removeAttribute(_ name: String, ofInode number: UInt32) async throws(Ext2Error) {
    try await reactor.run { () async throws(Ext2Error) in
      try await self.change(number) { store, inode async throws(Ext2Error) in
        try await store.remove(Array(name.utf8), of: inode)
      }
    }
  }

  /// Changes the permission bits of an inode's mode, and its access ACL with them (chmod(2)).
  package nonisolated func changePermissions(to permissions: UInt16, ofInode number: UInt32) async throws(Ext2Error) {
    try await reactor.run { () async throws(Ext2Error) in
      try await self.change(number) { store, inode async throws(Ext2Error) in
        let ticket = try await store.metadata.ticket()
        defer { ticket.end() }
        await inode.lock.lock()
        defer { inode.lock.unlock() }
        try inode.checkChangeable()
        var mode = inode.record.mode
        mode.permissions = permissions
        let table = try await store.inodes.pinTable(of: inode.number, ticket)
        let change = try await store.prepareModeChange(to: mode, of: inode, ticket)
        inode.record.mode = mode
        inode.record.changeTime = store.inodes.now
        if let change { store.commit(change, to: inode, table) } else { store.inodes.encode(inode, into: table) }
      }
    }
  }

  /// The mode of an inode.
  package nonisolated func mode(ofInode number: UInt32) async throws(Ext2Error) -> UInt16 {
    try await reactor.run { () async throws(Ext2Error) in
      try await self.inspect(number) { _, inode async throws(Ext2Error) in inode.record.mode.rawValue }
    }
  }

  // MARK: On the reactor

  private func inspect<R: Sendable>(
    _ number: UInt32, _ body: (AttributeStore, Inode) async throws(Ext2Error) -> R
  ) async throws(Ext2Error) -> R {
    try await beginCall()
    defer { core.calls.leave() }
    let inode = try await acquire(number)
    defer { core.inodes.release(inode) }
    return try await body(core.attributes, inode)
  }

  private func change<R: Sendable>(
    _ number: UInt32, _ body: (AttributeStore, Inode) async throws(Ext2Error) -> R
  ) async throws(Ext2Error) -> R {
    try checkWritable()
    try await beginCall()
    defer { core.calls.leave() }
    await core.gate.enter()
    defer { core.gate.leave() }
    try checkWritable()
    let inode = try await acquire(number)
    defer { core.inodes.release(inode) }
    return try await body(core.attributes, inode)
  }

  private func acquire(_ number: UInt32) async throws(Ext2Error) -> Inode {
    let ticket = try await core.metadata.ticket()
    defer { ticket.end() }
    return try await core.inodes.acquire(InodeNumber(rawValue: number), ticket)
  }
}
