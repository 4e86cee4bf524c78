// From paths to inodes. A lookup holds its directory's lock until it holds the inode; nobody holds two while walking.
internal import Ext2Format
internal import PageCache
internal import Reactor

extension Volume {
  /// Symbolic links that one path may lead through (include/linux/namei.h, MAXSYMLINKS).
  private static let symbolicLinkLimit = 40

  /// A name in a directory that the caller references.
  struct Position {
    let parent: Inode
    let name: [UInt8]
    /// It can only be a directory.
    let mustBeDirectory: Bool
    let text: String
    var isDots: Bool { name == Directory.dot || name == Directory.dotDot }
  }

  /// What a walk goes on with: names still to come, last first, and how many links it has followed.
  private struct Walk {
    var pending: [[UInt8]]
    var mustBeDirectory: Bool
    var linkCount = 0
    let text: String
    init(_ path: PathNames) {
      pending = path.names.reversed()
      mustBeDirectory = path.mustBeDirectory
      text = path.text
    }
  }

  /// The inode behind a path, with a reference for the caller.
  ///
  /// - Parameter followsLast: a symbolic link at the end is followed, too.
  func resolve(_ path: [UInt8], followsLast: Bool, _ ticket: MetadataTicket) async throws(Ext2Error) -> Inode {
    var walk = Walk(try PathNames(path))
    var inode = try await core.inodes.acquire(.root, ticket)
    do throws(Ext2Error) {
      stepNow(&inode, &walk, until: 0, followsLast: followsLast)
      while let name = walk.pending.popLast() {
        try await step(
          &inode, name, &walk, follows: !walk.pending.isEmpty || followsLast || walk.mustBeDirectory, ticket)
        stepNow(&inode, &walk, until: 0, followsLast: followsLast)
      }
      if walk.mustBeDirectory && inode.type != .directory { throw .notADirectory(walk.text) }
    } catch {
      core.inodes.release(inode)
      throw error
    }
    return inode
  }

  /// The directory that holds a path's last name, with a reference for the caller, and that name.
  func resolveParent(_ path: [UInt8], _ ticket: MetadataTicket) async throws(Ext2Error) -> Position {
    var walk = Walk(try PathNames(path))
    return try await finish(&walk, from: try await core.inodes.acquire(.root, ticket), ticket)
  }

  /// Where a symbolic link in a directory leads, if only to a name that does not exist yet; with a reference to the new
  /// parent for the caller.
  func follow(
    _ link: Inode, from parent: Inode, _ text: String, _ linkCount: inout Int, _ ticket: MetadataTicket
  ) async throws(Ext2Error) -> Position {
    let target = try await link.symbolicLinkTarget(ticket)
    noteRead(link)
    var walk = Walk(try PathNames(target))
    walk.linkCount = linkCount + 1
    guard walk.linkCount <= Self.symbolicLinkLimit else { throw .tooManySymbolicLinks(text) }
    let isAbsolute = target.first == UInt8(ascii: "/")
    let start = isAbsolute ? try await core.inodes.acquire(.root, ticket) : core.inodes.reference(parent)
    let position = try await finish(&walk, from: start, ticket)
    linkCount = walk.linkCount
    return position
  }

  /// Walks all names but the last. Takes the reference to `start` over.
  private func finish(
    _ walk: inout Walk, from start: Inode, _ ticket: MetadataTicket
  ) async throws(Ext2Error) -> Position {
    var inode = start
    do throws(Ext2Error) {
      stepNow(&inode, &walk, until: 1, followsLast: true)
      while walk.pending.count > 1, let name = walk.pending.popLast() {
        try await step(&inode, name, &walk, follows: true, ticket)
        stepNow(&inode, &walk, until: 1, followsLast: true)
      }
      guard inode.type == .directory else { throw .notADirectory(walk.text) }
    } catch {
      core.inodes.release(inode)
      throw error
    }
    let name = walk.pending.last ?? Directory.dot
    guard name.count <= DirectoryEntry.maximumNameLength else {
      core.inodes.release(inode)
      throw .nameTooLong(walk.text)
    }
    return Position(parent: inode, name: name, mustBeDirectory: walk.mustBeDirectory, text: walk.text)
  }

  /// Goes as far as what is in memory leads, in one step, which needs no lock; until so many names are left. What it
  /// cannot do, or finds wrong, is for `step`.
  private func stepNow(_ inode: inout Inode, _ walk: inout Walk, until left: Int, followsLast: Bool) {
    while walk.pending.count > left, let name = walk.pending.last, inode.type == .directory,
      inode.record.linkCount > 0, name.count <= DirectoryEntry.maximumNameLength
    {
      if name == Directory.dot || name == Directory.dotDot && inode.number == .root {
        walk.pending.removeLast()
        continue
      }
      guard case .found(_, _, let entry) = Directory(inode).findNow(name),
        let next = core.inodes.acquireNow(entry.inode)
      else { return }
      let follows = walk.pending.count > 1 || followsLast || walk.mustBeDirectory
      if next.type == .symbolicLink && follows {
        core.inodes.release(next)
        return
      }
      walk.pending.removeLast()
      core.inodes.release(inode)
      inode = next
    }
  }

  /// The inode behind a path, if what is in memory leads there and no error is met; with a reference for the caller.
  func resolveNow(_ path: [UInt8], followsLast: Bool) -> Inode? {
    guard let names = try? PathNames(path), var inode = core.inodes.acquireNow(.root) else { return nil }
    var walk = Walk(names)
    stepNow(&inode, &walk, until: 0, followsLast: followsLast)
    if walk.pending.isEmpty && !(walk.mustBeDirectory && inode.type != .directory) { return inode }
    core.inodes.release(inode)
    return nil
  }

  /// Goes from a directory to what a name in it means. The reference moves along; on an error it stays.
  private func step(
    _ inode: inout Inode, _ name: [UInt8], _ walk: inout Walk, follows: Bool, _ ticket: MetadataTicket
  ) async throws(Ext2Error) {
    guard inode.type == .directory else { throw .notADirectory(walk.text) }
    if name == Directory.dot || name == Directory.dotDot && inode.number == .root { return }
    let next = try await child(of: inode, name, walk.text, ticket)
    guard next.type == .symbolicLink && follows else {
      core.inodes.release(inode)
      inode = next
      return
    }
    defer { core.inodes.release(next) }
    walk.linkCount += 1
    guard walk.linkCount <= Self.symbolicLinkLimit else { throw .tooManySymbolicLinks(walk.text) }
    let target = try await next.symbolicLinkTarget(ticket)
    noteRead(next)
    let names = try PathNames(target)
    if walk.pending.isEmpty && names.mustBeDirectory { walk.mustBeDirectory = true }
    walk.pending += names.names.reversed()
    if target.first == UInt8(ascii: "/") {
      let root = try await core.inodes.acquire(.root, ticket)
      core.inodes.release(inode)
      inode = root
    }
  }

  private func child(
    of inode: Inode, _ name: [UInt8], _ text: String, _ ticket: MetadataTicket
  ) async throws(Ext2Error) -> Inode {
    if !inode.lock.tryLock() { await inode.lock.lock() }
    defer { inode.lock.unlock() }
    guard inode.record.linkCount > 0 else { throw .notFound(text) }
    guard name.count <= DirectoryEntry.maximumNameLength else { throw .nameTooLong(text) }
    guard let found = try await Directory(inode).lookUp(name, ticket) else { throw .notFound(text) }
    // However deep the path is, it holds no more than one directory's blocks.
    defer { ticket.unpin(found.block) }
    let (inode, table) = try await core.inodes.acquireWithTable(found.entry.inode, ticket)
    if let table { ticket.unpin(table) }
    return inode
  }

  /// Runs `body` with the parent of a path locked, and the name in it.
  func withParent<R>(
    of path: [UInt8], _ ticket: MetadataTicket, _ body: (Position, Directory) async throws(Ext2Error) -> R
  ) async throws(Ext2Error) -> R {
    let position = try await resolveParent(path, ticket)
    defer { core.inodes.release(position.parent) }
    return try await withLocked(position.parent, position.text) { directory async throws(Ext2Error) in
      try await body(position, directory)
    }
  }

  /// Runs `body` under the lock of a directory that still has links.
  func withLocked<R>(
    _ inode: Inode, _ text: String, _ body: (Directory) async throws(Ext2Error) -> R
  ) async throws(Ext2Error) -> R {
    if !inode.lock.tryLock() { await inode.lock.lock() }
    defer { inode.lock.unlock() }
    guard inode.record.linkCount > 0 else { throw .notFound(text) }
    return try await body(Directory(inode))
  }
}
