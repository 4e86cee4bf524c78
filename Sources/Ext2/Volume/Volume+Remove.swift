// Link, unlink, rmdir.
internal import Ext2Format
internal import PageCache
internal import Reactor

extension Volume {
  /// Removes a name of anything but a directory. Its blocks are freed when it has no other name and nobody has it open.
  public nonisolated func unlink(_ path: some VolumePath) async throws(Ext2Error) {
    let bytes = path.volumePathBytes
    try await reactor.run { () async throws(Ext2Error) in try await self.unlinkHere(bytes) }
  }

  /// Removes an empty directory.
  public nonisolated func removeDirectory(_ path: some VolumePath) async throws(Ext2Error) {
    let bytes = path.volumePathBytes
    try await reactor.run { () async throws(Ext2Error) in try await self.removeDirectoryHere(bytes) }
  }

  /// Gives what is at `path` a further name. Directories have one name only; a symbolic link is not followed.
  public nonisolated func link(_ path: some VolumePath, to newPath: some VolumePath) async throws(Ext2Error) {
    let bytes = path.volumePathBytes, newBytes = newPath.volumePathBytes
    try await reactor.run { () async throws(Ext2Error) in try await self.linkHere(bytes, newBytes) }
  }

  /// The target of a symbolic link.
  public nonisolated func symbolicLinkTarget(_ path: some VolumePath) async throws(Ext2Error) -> [UInt8] {
    let bytes = path.volumePathBytes
    return try await reactor.run { () async throws(Ext2Error) in try await self.targetHere(bytes) }
  }

  // MARK: On the reactor

  private func unlinkHere(_ path: [UInt8]) async throws(Ext2Error) {
    try await changing { ticket async throws(Ext2Error) in
      try await withParent(of: path, ticket) { position, directory async throws(Ext2Error) in
        if position.isDots { throw .isADirectory(position.text) }
        guard let found = try await directory.find(position.name, ticket) else { throw .notFound(position.text) }
        let inode = try await core.inodes.acquire(found.entry.inode, ticket)
        defer { core.inodes.release(inode) }
        guard inode.type != .directory else { throw .isADirectory(position.text) }
        if position.mustBeDirectory { throw .notADirectory(position.text) }
        try checkMayRemove(inode, from: directory.inode, position.text)
        await inode.lock.lock()
        defer { inode.lock.unlock() }
        let parentTable = try await core.inodes.pinTable(of: directory.inode.number, ticket)
        let table = try await core.inodes.pinTable(of: inode.number, ticket)
        try directory.inode.checkChangeable()
        // One step: the name is gone, and the inode has one link less.
        try directory.remove(found, named: position.name)
        core.inodes.encode(directory.inode, into: parentTable)
        let lost: UInt16 = core.options.cache.switchedOff.contains(.oneLinkAName) ? 2 : 1
        inode.record.linkCount -= min(inode.record.linkCount, lost)
        inode.record.changeTime = core.inodes.now
        core.inodes.encode(inode, into: table)
        try await makeDurableIfAsked([directory.inode])
      }
    }
  }

  private func removeDirectoryHere(_ path: [UInt8]) async throws(Ext2Error) {
    try await changing { ticket async throws(Ext2Error) in
      try await withParent(of: path, ticket) { position, directory async throws(Ext2Error) in
        // As fs/namei.c, do_rmdir.
        if position.name == Directory.dot { throw .invalidName(position.text) }
        if position.name == Directory.dotDot { throw .notEmpty(position.text) }
        guard let found = try await directory.find(position.name, ticket) else { throw .notFound(position.text) }
        let inode = try await core.inodes.acquire(found.entry.inode, ticket)
        defer { core.inodes.release(inode) }
        guard inode.type == .directory, inode !== directory.inode else { throw .notADirectory(position.text) }
        if inode.number == .root { throw .busy(position.text) }
        try checkMayRemove(inode, from: directory.inode, position.text)
        try await checkEmpty(inode, position.text, ticket)
        try await checkParent(of: inode, directory.inode.number, ticket)
        await inode.lock.lock()
        defer { inode.lock.unlock() }
        try await checkEmpty(inode, position.text, ticket)
        let parentTable = try await core.inodes.pinTable(of: directory.inode.number, ticket)
        let table = try await core.inodes.pinTable(of: inode.number, ticket)
        try directory.inode.checkChangeable()
        // One step: the name is gone, and with it the directory's own link and its parent's.
        try directory.remove(found, named: position.name)
        if directory.inode.record.linkCount > 2 { directory.inode.record.linkCount -= 1 }
        core.inodes.encode(directory.inode, into: parentTable)
        core.inodes.noteRemovedDirectory(inode)
        core.inodes.encode(inode, into: table)
        try await makeDurableIfAsked([directory.inode])
      }
    }
  }

  private func linkHere(_ path: [UInt8], _ newPath: [UInt8]) async throws(Ext2Error) {
    try await changing { ticket async throws(Ext2Error) in
      let inode = try await resolve(path, followsLast: false, ticket)
      defer { core.inodes.release(inode) }
      let text = String(decoding: path, as: UTF8.self)
      guard inode.type != .directory else { throw .notPermitted(text) }
      guard inode.record.flags.isDisjoint(with: [.immutable, .appendOnly]) else { throw .notPermitted(text) }
      try await withParent(of: newPath, ticket) { position, directory async throws(Ext2Error) in
        if position.isDots { throw .exists(position.text) }
        if try await directory.find(position.name, ticket) != nil { throw .exists(position.text) }
        if position.mustBeDirectory { throw .notFound(position.text) }
        try directory.inode.checkMayChangeNames(position.text, removes: false)
        guard inode.record.linkCount < Inode.largestLinkCount else { throw .tooManyLinks(text) }
        let parentTable = try await core.inodes.pinTable(of: directory.inode.number, ticket)
        let table = try await core.inodes.pinTable(of: inode.number, ticket)
        let place = try await directory.findRoom(for: position.name, ticket)
        do throws(Ext2Error) {
          try directory.inode.checkChangeable()
          // Its last name may have gone while we looked.
          guard inode.isLive, inode.record.linkCount > 0 else { throw .notFound(text) }
          guard inode.record.linkCount < Inode.largestLinkCount else { throw .tooManyLinks(text) }
          guard directory.canInsert(position.name, at: place), let type = inode.type else {
            throw directory.changed(place)
          }
          // One step: the inode has one link more, and its name is there.
          directory.insert(position.name, inode.number, type, at: place)
        } catch {
          directory.abandon(place)
          throw error
        }
        core.inodes.encode(directory.inode, into: parentTable)
        inode.record.linkCount += 1
        inode.record.changeTime = core.inodes.now
        core.inodes.encode(inode, into: table)
        try await makeDurableIfAsked([inode, directory.inode])
      }
    }
  }

  private func targetHere(_ path: [UInt8]) async throws(Ext2Error) -> [UInt8] {
    try await reading { ticket async throws(Ext2Error) in
      let inode = try await resolve(path, followsLast: false, ticket)
      defer { core.inodes.release(inode) }
      guard inode.type == .symbolicLink else { throw .notASymbolicLink(String(decoding: path, as: UTF8.self)) }
      let target = try await inode.symbolicLinkTarget(ticket)
      noteRead(inode)
      return target
    }
  }

  /// Whether a directory may go. Asked before its lock is taken as well: on a corrupt volume it may lie above the directory
  /// whose lock is held, and is not empty then.
  func checkEmpty(_ inode: Inode, _ text: String, _ ticket: MetadataTicket) async throws(Ext2Error) {
    guard try await Directory(inode).isEmpty(ticket) else { throw .notEmpty(text) }
  }

  /// Whether a directory lies where it was found. On a corrupt volume it may have a second name; the locks of a rename go by
  /// what its ".." says.
  private func checkParent(
    of inode: Inode, _ number: InodeNumber, _ ticket: MetadataTicket
  ) async throws(Ext2Error) {
    let parent = try await Directory(inode).parent(ticket)
    guard parent == number else {
      throw Ext2Error(
        FormatError.invalid(
          .inode, at: .inode(inode.number), field: "entry '..'", value: UInt64(parent.rawValue),
          why: "has a name in inode \(number)"))
    }
  }

  /// Whether a name of an inode may be taken from a directory (fs/namei.c, may_delete).
  func checkMayRemove(_ inode: Inode, from directory: Inode, _ text: String) throws(Ext2Error) {
    try directory.checkMayChangeNames(text, removes: true)
    guard inode.record.flags.isDisjoint(with: [.immutable, .appendOnly]) else { throw .notPermitted(text) }
  }
}

extension Inode {
  /// Whether names may be added to this directory, or removed from it.
  func checkMayChangeNames(_ text: String, removes: Bool) throws(Ext2Error) {
    guard !record.flags.contains(.immutable), !(removes && record.flags.contains(.appendOnly)) else {
      throw .notPermitted(text)
    }
  }
}

extension InodeTable {
  /// Part of the step that removes a directory's last name.
  func noteRemovedDirectory(_ inode: Inode) {
    inode.record.linkCount = 0
    inode.record.changeTime = now
    nameIndexes.drop(inode)
  }
}
