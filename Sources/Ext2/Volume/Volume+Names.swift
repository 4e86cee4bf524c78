// Names: open, create, unlink, list. A lookup holds its directory's lock until it holds the inode.
internal import Ext2Format
internal import PageCache
internal import Reactor

extension Volume {
  /// Opens the regular file at a path from the root. `create` makes it when there is none.
  public nonisolated func open(_ path: String, create: Bool = false) async throws(Ext2Error) -> File {
    let handle = try await reactor.run { () async throws(Ext2Error) in try await self.openHere(path, create: create) }
    return File(volume: self, handle: handle)
  }

  /// Removes the name of a regular file. Its blocks are freed when nobody has it open.
  public nonisolated func unlink(_ path: String) async throws(Ext2Error) {
    try await reactor.run { () async throws(Ext2Error) in try await self.unlinkHere(path) }
  }

  /// The names in a directory, without "." and "..", in the order of the disk. Bytes that are no UTF-8 are repaired.
  public nonisolated func list(_ path: String = "/") async throws(Ext2Error) -> [String] {
    try await reactor.run { () async throws(Ext2Error) in try await self.listHere(path) }
  }

  // MARK: On the reactor

  private func openHere(_ path: String, create: Bool) async throws(Ext2Error) -> Int {
    try await beginCall()
    defer { core.calls.leave() }
    if create {
      try checkWritable()
      await core.gate.enter()
    }
    defer { if create { core.gate.leave() } }
    if create { try checkWritable() }
    let (parents, name) = try split(path)
    let ticket = try await core.metadata.ticket()
    defer { ticket.end() }
    let parent = try await directory(parents, ticket)
    defer { core.inodes.release(parent) }
    await parent.lock.lock()
    defer { parent.lock.unlock() }
    guard parent.record.linkCount > 0 else { throw .notFound(path) }
    let directory = Directory(parent)
    let inode: Inode
    if let found = try await directory.find(name, ticket) {
      inode = try await core.inodes.acquire(found.entry.inode, ticket)
    } else if create {
      inode = try await makeFile(name, in: directory, ticket)
    } else {
      throw .notFound(path)
    }
    guard inode.type == .regular else {
      core.inodes.release(inode)
      throw .notARegularFile(path)
    }
    return addHandle(OpenFile(inode, volumeErrors: core.errors.sample()))
  }

  private func makeFile(_ name: [UInt8], in directory: Directory, _ ticket: MetadataTicket) async throws(Ext2Error)
    -> Inode
  {
    let inodes = core.inodes
    let parentTable = try await inodes.pinTable(of: directory.inode.number, ticket)
    let access = try await core.attributes.inherit(
      from: directory.inode, mode: FileMode(.regular, permissions: 0o644), umask: 0)
    let layout = core.groups.layout
    let extraSize =
      layout.inodeSize > InodeRecord.minimumByteCount
      ? min(
        max(28, Int(core.groups.superblock.wantedExtraInodeSize)) & ~3, layout.inodeSize - InodeRecord.minimumByteCount)
      : 0
    let place = try await directory.findRoom(for: name, ticket)
    let number: InodeNumber
    let table: MetadataBlock
    var attributes: AttributeChange?
    do throws(Ext2Error) {
      number = try await inodes.inodeAllocator.allocate(near: directory.inode.number, ticket)
    } catch {
      directory.abandon(place)
      throw error
    }
    do throws(Ext2Error) {
      table = try await inodes.pinTable(of: number, ticket)
      if !access.edits.isEmpty {
        attributes = try await core.attributes.prepare(access.edits, forNew: number, extraSize: extraSize, ticket)
      }
      guard directory.canInsert(name, at: place) else {
        throw Ext2Error(
          FormatError.invalid(
            .directoryBlock, at: .block(place.block.number), field: "rec_len", value: 0, why: "changed under its lock"))
      }
      guard inodes.cached(number) == nil else {
        throw Ext2Error(
          FormatError.invalid(
            .bitmap, at: .inode(number), field: "inode bit", value: 0, why: "says that an inode in use is free"))
      }
    } catch {
      directory.abandon(place)
      if let attributes { core.attributes.abandon(attributes) }
      if inodes.cached(number) != nil { throw error }
      if let bitmap = core.metadata.cached(core.groups[core.groups.layout.group(of: number)].inodeBitmap) {
        _ = inodes.inodeAllocator.free(number, bitmap)
      }
      throw error
    }
    // One step: the inode is in the table, and its name in the directory.
    var record = InodeRecord(mode: access.mode, time: inodes.now, extraSize: extraSize)
    record.linkCount = 1
    record.generation = core.nextGeneration()
    let inode = inodes.enter(number, record)
    inode.noteShapeChange()
    inodes.encode(inode, into: table, isNew: true)
    if let attributes { core.attributes.commit(attributes, to: inode, table) }
    directory.insert(name, number, .regular, at: place, parentTable)
    return inode
  }

  private func unlinkHere(_ path: String) async throws(Ext2Error) {
    try checkWritable()
    try await beginCall()
    defer { core.calls.leave() }
    await core.gate.enter()
    defer { core.gate.leave() }
    try checkWritable()
    let (parents, name) = try split(path)
    let ticket = try await core.metadata.ticket()
    defer { ticket.end() }
    let parent = try await directory(parents, ticket)
    defer { core.inodes.release(parent) }
    await parent.lock.lock()
    defer { parent.lock.unlock() }
    let directory = Directory(parent)
    guard let found = try await directory.find(name, ticket) else { throw .notFound(path) }
    let inode = try await core.inodes.acquire(found.entry.inode, ticket)
    defer { core.inodes.release(inode) }
    guard inode.type != .directory else { throw .notARegularFile(path) }
    await inode.lock.lock()
    defer { inode.lock.unlock() }
    let parentTable = try await core.inodes.pinTable(of: parent.number, ticket)
    let table = try await core.inodes.pinTable(of: inode.number, ticket)
    // One step: the name is gone, and the inode has one link less.
    try directory.remove(found.entry, from: found.block, parentTable)
    if inode.record.linkCount > 0 { inode.record.linkCount -= 1 }
    inode.record.changeTime = core.inodes.now
    core.inodes.encode(inode, into: table)
  }

  private func listHere(_ path: String) async throws(Ext2Error) -> [String] {
    try await beginCall()
    defer { core.calls.leave() }
    let ticket = try await core.metadata.ticket()
    defer { ticket.end() }
    let inode = try await directory(components(path), ticket)
    defer { core.inodes.release(inode) }
    await inode.lock.lock()
    defer { inode.lock.unlock() }
    return try await Directory(inode).list(ticket).map { String(decoding: $0.name, as: UTF8.self) }
      .filter { $0 != "." && $0 != ".." }
  }

  // MARK: Paths

  private func components(_ path: String) -> [[UInt8]] {
    path.utf8.split(separator: UInt8(ascii: "/")).map(Array.init)
  }

  private func split(_ path: String) throws(Ext2Error) -> (parents: [[UInt8]], name: [UInt8]) {
    var parents = components(path)
    guard let name = parents.popLast(), name.count <= DirectoryEntry.maximumNameLength, !name.contains(0),
      name != Array(".".utf8), name != Array("..".utf8)
    else { throw .invalidName(path) }
    return (parents, name)
  }

  /// The directory behind some names from the root, with a reference for the caller.
  private func directory(_ names: [[UInt8]], _ ticket: MetadataTicket) async throws(Ext2Error) -> Inode {
    var inode = try await core.inodes.acquire(.root, ticket)
    for name in names {
      let next = try await child(of: inode, name, ticket)
      core.inodes.release(inode)
      inode = next
    }
    guard inode.type == .directory else {
      core.inodes.release(inode)
      throw .notADirectory(names.last.map { String(decoding: $0, as: UTF8.self) } ?? "/")
    }
    return inode
  }

  private func child(of inode: Inode, _ name: [UInt8], _ ticket: MetadataTicket) async throws(Ext2Error) -> Inode {
    let text = String(decoding: name, as: UTF8.self)
    guard inode.type == .directory else {
      core.inodes.release(inode)
      throw .notADirectory(text)
    }
    await inode.lock.lock()
    defer { inode.lock.unlock() }
    do throws(Ext2Error) {
      guard let found = try await Directory(inode).find(name, ticket) else { throw .notFound(text) }
      // However deep the path is, it holds no more than one directory's blocks.
      defer { ticket.unpin(found.block) }
      let (inode, table) = try await core.inodes.acquireWithTable(found.entry.inode, ticket)
      if let table { ticket.unpin(table) }
      return inode
    } catch {
      core.inodes.release(inode)
      throw error
    }
  }
}
