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
    if !(try beginCallNow()) { try await beginCall() }
    defer { core.calls.leave() }
    let ticket = try await ticket(MetadataCache.slotsPerOperation)
    defer { ticket.end() }
    do throws(Ext2Error) { return try await body(ticket) } catch { throw noted(error) }
  }

  private func ticket(_ count: Int) async throws(Ext2Error) -> MetadataTicket {
    if let ticket = core.metadata.ticketNow(count) { return ticket }
    return try await core.metadata.ticket(count)
  }

  /// Notes that an inode's contents were read, in the step that ends the read: a file's, a directory's, or a link's that
  /// was followed (fs/namei.c, pick_link).
  func noteRead(_ inode: Inode) {
    if !core.isReadOnly { core.accessTimes.note(inode) }
  }

  /// Corruption that an operation meets is the volume's, too.
  func noted(_ error: Ext2Error) -> Ext2Error {
    if case .corrupt(let corruption) = error { core.noteCorruption(corruption.error) }
    return error
  }

  /// Runs `body`, and notes the corruption that it meets.
  func notingCorruption<R>(_ body: () async throws(Ext2Error) -> R) async throws(Ext2Error) -> R {
    do throws(Ext2Error) { return try await body() } catch { throw noted(error) }
  }

  /// Runs an operation that changes something: inside the gate, with metadata slots of its own.
  func changing<R>(
    as credentials: Credentials = .root, slots: Int = MetadataCache.slotsPerOperation,
    _ body: (MetadataTicket) async throws(Ext2Error) -> R
  ) async throws(Ext2Error) -> R {
    try checkWritable()
    if !(try beginCallNow()) { try await beginCall() }
    defer { core.calls.leave() }
    if !core.gate.tryEnter() { await core.gate.enter() }
    defer { core.gate.leave() }
    try checkWritable()
    try await core.beginChange()
    let ticket = try await ticket(slots)
    defer { ticket.end() }
    ticket.mayUseReservedBlocks = core.mayUseReservedBlocks(credentials)
    do throws(Ext2Error) { return try await body(ticket) } catch { throw noted(error) }
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
