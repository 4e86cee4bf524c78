// What every call on a volume has around it.
internal import Ext2Format
internal import PageCache
internal import Reactor

/// On whose behalf something is done: who owns what is made, with which permissions, and whether reserved blocks may be
/// taken. Nobody is refused on account of permissions.
public struct Credentials: Hashable, Sendable {
  /// The user, 32 bits.
  public var user: UInt32
  /// The user's group, 32 bits.
  public var group: UInt32
  /// Permissions that files which are made do not get, where no default ACL says what they get (umask(2)).
  public var umask: UInt16
  /// A user and a group.
  public init(user: UInt32, group: UInt32, umask: UInt16 = 0) {
    self.user = user
    self.group = group
    self.umask = umask
  }
  /// The superuser.
  public static let root = Credentials(user: 0, group: 0)
}

extension Volume {
  /// Runs an operation that reads, with metadata slots of its own.
  func reading<R>(
    _ body: (MetadataTicket) async throws(Ext2Error) -> R
  ) async throws(Ext2Error) -> R {
    try await beginCall()
    defer { core.calls.leave() }
    let ticket = try await core.metadata.ticket()
    defer { ticket.end() }
    return try await notingCorruption { () async throws(Ext2Error) in try await body(ticket) }
  }

  /// Corruption that an operation meets is the volume's, too.
  func notingCorruption<R>(
    _ body: () async throws(Ext2Error) -> R
  ) async throws(Ext2Error) -> R {
    do throws(Ext2Error) { return try await body() } catch {
      if case .corrupt(let corruption) = error { core.noteCorruption(corruption.error) }
      throw error
    }
  }

  /// Runs an operation that changes something: inside the gate, with metadata slots of its own.
  func changing<R>(
    as credentials: Credentials = .root, slots: Int = MetadataCache.slotsPerOperation,
    _ body: (MetadataTicket) async throws(Ext2Error) -> R
  ) async throws(Ext2Error) -> R {
    try checkWritable()
    try await beginCall()
    defer { core.calls.leave() }
    await core.gate.enter()
    defer { core.gate.leave() }
    try checkWritable()
    let ticket = try await core.metadata.ticket(slots)
    defer { ticket.end() }
    ticket.mayUseReservedBlocks = core.mayUseReservedBlocks(credentials)
    return try await notingCorruption { () async throws(Ext2Error) in try await body(ticket) }
  }

  /// Makes changed inodes durable before the call returns, where the mount or their flags ask for it.
  func makeDurableIfAsked(_ inodes: [Inode]) async throws(Ext2Error) {
    let options = core.options
    let isAsked = inodes.contains { inode in
      options.isSynchronous || inode.record.flags.contains(.synchronous)
        || inode.type == .directory
          && (options.isDirectorySynchronous || inode.record.flags.contains(.directorySynchronous))
    }
    guard isAsked else { return }
    for inode in inodes { if let error = await core.synchronise(inode, dataOnly: false) { throw error } }
  }
}

extension VolumeCore {
  /// fs/ext2/balloc.c, ext2_has_free_blocks.
  func mayUseReservedBlocks(_ credentials: Credentials) -> Bool {
    credentials.user == 0 || credentials.user == reservedUser
      || reservedGroup != 0 && credentials.group == reservedGroup
  }
}
