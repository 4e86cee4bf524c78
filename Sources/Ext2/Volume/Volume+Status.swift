// What is known of a file, and changing it (getattr and setattr).
public import Ext2Format
internal import PageCache
public import Reactor

/// What is known of a file.
public struct FileStatus: Equatable, Sendable {
  /// The inode's number.
  public let inode: UInt32
  /// What it is.
  public let type: InodeType
  /// Set-id bits, sticky bit and permissions.
  public let permissions: UInt16
  /// How many names it has.
  public let linkCount: UInt16
  /// The owner.
  public let user: UInt32
  /// The owner's group.
  public let group: UInt32
  /// The size in bytes.
  public let byteCount: UInt64
  /// What its blocks take, pointer blocks and attribute block included, in units of 512 bytes.
  public let sectorCount: UInt32
  /// Of device files.
  public let device: DeviceNumber?
  /// The flags of chattr.
  public let flags: InodeFlags
  /// Tells apart the files that had this inode.
  public let generation: UInt32
  /// When its contents were last read, as far as the mount keeps it.
  public let accessTime: CalendarTime
  /// When its contents last changed.
  public let modificationTime: CalendarTime
  /// When its inode last changed.
  public let changeTime: CalendarTime
  /// When it was made, where the inode has room for that.
  public let creationTime: CalendarTime?

  init(_ inode: Inode) {
    let record = inode.record
    func time(_ time: Timestamp) -> CalendarTime {
      CalendarTime(seconds: time.seconds, nanoseconds: record.hasExtraTimes ? time.nanoseconds : 0)
    }
    self.inode = inode.number.rawValue
    // An inode without a known type is not read from the disk.
    type = inode.type ?? .regular
    permissions = record.mode.permissions
    linkCount = record.linkCount
    user = record.userID
    group = record.groupID
    byteCount = inode.byteCount
    sectorCount = inode.tree.sectorCount
    device = type == .blockDevice || type == .characterDevice ? DeviceNumber(decoding: record.block) : nil
    flags = record.flags
    generation = record.generation
    accessTime = time(record.accessTime)
    modificationTime = time(record.modificationTime)
    changeTime = time(record.changeTime)
    creationTime = record.creationTime.map(time)
  }
}

/// Changes of what is known of a file; nil leaves as it is.
public struct StatusChanges: Equatable, Sendable {
  /// chmod.
  public var permissions: UInt16?
  /// chown.
  public var user: UInt32?
  /// chgrp.
  public var group: UInt32?
  /// utimensat.
  public var accessTime: CalendarTime?
  /// utimensat.
  public var modificationTime: CalendarTime?
  /// chattr: only what `InodeFlags.changeable` has is taken over.
  public var flags: InodeFlags?
  public init(
    permissions: UInt16? = nil, user: UInt32? = nil, group: UInt32? = nil, accessTime: CalendarTime? = nil,
    modificationTime: CalendarTime? = nil, flags: InodeFlags? = nil
  ) {
    self.permissions = permissions
    self.user = user
    self.group = group
    self.accessTime = accessTime
    self.modificationTime = modificationTime
    self.flags = flags
  }
}

extension Volume {
  /// What is known of the file at a path. A symbolic link at its end is followed, unless told otherwise.
  public nonisolated func status(
    of path: some VolumePath, followsLink: Bool = true
  ) async throws(Ext2Error) -> FileStatus {
    let bytes = path.volumePathBytes
    return try await reactor.run { () async throws(Ext2Error) in
      try await self.statusHere(bytes, followsLink: followsLink)
    }
  }

  /// Changes permissions, owner, times or flags of the file at a path.
  ///
  /// A change of owner takes the set-id bits of a regular file away, as chown(2) does: set permissions after it, or in the
  /// same call. On an immutable or append-only file only the flags can be changed.
  public nonisolated func change(
    _ path: some VolumePath, _ changes: StatusChanges, followsLink: Bool = true
  ) async throws(Ext2Error) {
    let bytes = path.volumePathBytes
    try await reactor.run { () async throws(Ext2Error) in
      try await self.changeHere(bytes, changes, followsLink: followsLink)
    }
  }

  /// fsync of anything that has a path, a directory for example.
  public nonisolated func synchronize(_ path: some VolumePath) async throws(Ext2Error) {
    let bytes = path.volumePathBytes
    try await reactor.run { () async throws(Ext2Error) in try await self.synchronizeHere(bytes) }
  }

  private func statusHere(_ path: [UInt8], followsLink: Bool) async throws(Ext2Error) -> FileStatus {
    // What is in memory is looked at in one step.
    if try beginCallNow() {
      defer { core.calls.leave() }
      if let inode = resolveNow(path, followsLast: followsLink) {
        defer { core.inodes.release(inode) }
        return FileStatus(inode)
      }
    }
    return try await reading { ticket async throws(Ext2Error) in
      let inode = try await resolve(path, followsLast: followsLink, ticket)
      defer { core.inodes.release(inode) }
      return FileStatus(inode)
    }
  }

  private func changeHere(_ path: [UInt8], _ changes: StatusChanges, followsLink: Bool) async throws(Ext2Error) {
    try await changing { ticket async throws(Ext2Error) in
      let inode = try await resolve(path, followsLast: followsLink, ticket)
      defer { core.inodes.release(inode) }
      try await inode.change(changes, String(decoding: path, as: UTF8.self), core.attributes, ticket)
      try await makeDurableIfAsked([inode])
    }
  }

  private func synchronizeHere(_ path: [UInt8]) async throws(Ext2Error) {
    let inode = try await reading { ticket async throws(Ext2Error) in
      try await resolve(path, followsLast: true, ticket)
    }
    defer { core.inodes.release(inode) }
    try await beginCall()
    defer { core.calls.leave() }
    if core.isReadOnly && core.corruption == nil { return }
    await core.accessTimes.writeUnlessFrozen(inode)
    if let error = await core.synchronise(inode, dataOnly: false) { throw error }
  }
}

extension Inode {
  /// setattr, but for the size: see `truncate`.
  func change(
    _ changes: StatusChanges, _ text: String, _ attributes: AttributeStore, _ ticket: MetadataTicket
  ) async throws(Ext2Error) {
    await lock.lock()
    defer { lock.unlock() }
    let tableBlock = try await table.pinTable(of: number, ticket)
    // The access ACL goes with the mode.
    var change: AttributeChange?
    if let permissions = changes.permissions {
      var mode = record.mode
      mode.permissions = permissions & 0o7777
      change = try await attributes.prepareModeChange(to: mode, of: self, ticket)
    }
    do throws(Ext2Error) { try apply(changes, text) } catch {
      if let change { attributes.abandon(change) }
      throw error
    }
    if let change {
      attributes.commit(change, to: self, tableBlock)
    } else if !table.switchedOff.contains(.statusIsEncoded) {
      table.encode(self, into: tableBlock)
    }
  }

  /// Part of the step.
  private func apply(_ changes: StatusChanges, _ text: String) throws(Ext2Error) {
    try checkChangeable()
    let isFlagsOnly = changes == StatusChanges(flags: changes.flags)
    guard isFlagsOnly || record.flags.isDisjoint(with: [.immutable, .appendOnly]) else { throw .notPermitted(text) }
    if changes.user != nil || changes.group != nil {
      record.userID = changes.user ?? record.userID
      record.groupID = changes.group ?? record.groupID
      // fs/attr.c, setattr_should_drop_suidgid.
      if type == .regular {
        record.mode.permissions &= ~FileMode.setUserID
        if record.mode.permissions & FileMode.groupExecute != 0 { record.mode.permissions &= ~FileMode.setGroupID }
      }
    }
    if let permissions = changes.permissions { record.mode.permissions = permissions & 0o7777 }
    let hasExtra = record.hasExtraTimes
    if let time = changes.accessTime { record.accessTime = Timestamp(clamping: time).rounded(hasExtra: hasExtra) }
    if let time = changes.modificationTime {
      record.modificationTime = Timestamp(clamping: time).rounded(hasExtra: hasExtra)
    }
    if let flags = changes.flags {
      let changeable = InodeFlags.changeable.masked(for: type ?? .regular)
      record.flags = record.flags.subtracting(changeable).union(flags.intersection(changeable))
    }
    record.changeTime = table.now
  }
}

extension Timestamp {
  init(clamping time: CalendarTime) {
    self.init(seconds: time.seconds, nanoseconds: min(time.nanoseconds, 999_999_999))
  }
}
