// Rename.
//
// One rename at a time on a volume: so no other can move the directories whose order decides which lock comes first, and
// no two can make a loop of two directories. Locks: the two parents, of which one above the other comes first; then what
// is replaced. What is moved needs none: its parents' locks keep it in place, and its ".." changes in the one step.
internal import Ext2Format
internal import PageCache
internal import Reactor

/// The flags of renameat2(2).
public struct RenameOptions: OptionSet, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  /// Fail when the new name exists (RENAME_NOREPLACE).
  public static let noReplace = RenameOptions(rawValue: 1)
}

extension Volume {
  /// Gives what is at `path` the name `newPath` instead; what had that name is replaced: a directory only by a directory
  /// and only when it is empty, anything else by anything but a directory. Symbolic links are not followed.
  public nonisolated func rename(
    _ path: some VolumePath, to newPath: some VolumePath, _ options: RenameOptions = []
  ) async throws(Ext2Error) {
    let bytes = path.volumePathBytes, newBytes = newPath.volumePathBytes
    try await reactor.run { () async throws(Ext2Error) in try await self.renameHere(bytes, newBytes, options) }
  }

  /// Slots of one rename: what two operations on names pin, and the block of "..".
  private static let renameSlots = 32

  private func renameHere(
    _ path: [UInt8], _ newPath: [UInt8], _ options: RenameOptions
  ) async throws(Ext2Error) {
    try await changing(slots: Self.renameSlots) { ticket async throws(Ext2Error) in
      await core.renames.lock()
      defer { core.renames.unlock() }
      let source = try await resolveParent(path, ticket)
      defer { core.inodes.release(source.parent) }
      let target = try await resolveParent(newPath, ticket)
      defer { core.inodes.release(target.parent) }
      // As fs/namei.c, do_renameat2.
      if source.isDots || target.isDots { throw .busy(source.isDots ? source.text : target.text) }
      let sourceAncestors = try await ancestors(of: source.parent, source.text, ticket)
      let targetAncestors = try await ancestors(of: target.parent, target.text, ticket)
      // Others who hold the locks of two directories take that of the parent first, so no other order counts.
      var first = source.parent, second = target.parent
      if sourceAncestors.contains(second.number), !core.options.cache.switchedOff.contains(.ancestorIsLockedFirst) {
        swap(&first, &second)
      }
      await first.lock.lock()
      defer { first.lock.unlock() }
      if second !== first { await second.lock.lock() }
      defer { if second !== first { second.lock.unlock() } }
      guard source.parent.record.linkCount > 0 else { throw .notFound(source.text) }
      guard target.parent.record.linkCount > 0 else { throw .notFound(target.text) }
      try await move(
        Move(source: source, target: target, sourceAncestors: sourceAncestors, targetAncestors: targetAncestors),
        options, ticket)
    }
  }

  /// The numbers of a directory and of all directories above it. True while the rename lock is held.
  private func ancestors(of inode: Inode, _ text: String, _ ticket: MetadataTicket) async throws(Ext2Error) -> Set<
    InodeNumber
  > {
    var numbers: Set<InodeNumber> = [inode.number]
    var current = core.inodes.reference(inode)
    defer { core.inodes.release(current) }
    while current.number != .root {
      let parent = try await withLocked(current, text) { directory async throws(Ext2Error) in
        try await directory.parent(ticket)
      }
      guard numbers.insert(parent).inserted else {
        throw Ext2Error(
          FormatError.invalid(
            .inode, at: .inode(current.number), field: "entry '..'", value: UInt64(parent.rawValue),
            why: "a directory above itself"))
      }
      let (next, table) = try await core.inodes.acquireWithTable(parent, ticket)
      if let table { ticket.unpin(table) }
      core.inodes.release(current)
      current = next
      guard next.type == .directory else { throw .notADirectory(text) }
    }
    return numbers
  }

  private struct Move {
    let source: Position, target: Position
    let sourceAncestors: Set<InodeNumber>, targetAncestors: Set<InodeNumber>
  }

  /// What follows once both parents are locked.
  private func move(_ move: Move, _ options: RenameOptions, _ ticket: MetadataTicket) async throws(Ext2Error) {
    let source = move.source, target = move.target
    let from = Directory(source.parent), to = Directory(target.parent)
    guard let found = try await from.find(source.name, ticket) else { throw .notFound(source.text) }
    let inode = try await core.inodes.acquire(found.entry.inode, ticket)
    defer { core.inodes.release(inode) }
    let isDirectory = inode.type == .directory
    if (source.mustBeDirectory || target.mustBeDirectory) && !isDirectory { throw .notADirectory(source.text) }
    if isDirectory && move.sourceAncestors.contains(inode.number) {
      throw Ext2Error(
        FormatError.invalid(
          .directoryBlock, at: .blockByte(found.block.number, offset: found.entry.offset), field: "inode",
          value: UInt64(inode.number.rawValue), why: "a directory below itself"))
    }
    // Into a subtree of itself.
    if isDirectory && move.targetAncestors.contains(inode.number) { throw .intoItself(source.text) }
    let replacedEntry = try await to.find(target.name, ticket)
    var replaced: Inode?
    if let replacedEntry { replaced = try await core.inodes.acquire(replacedEntry.entry.inode, ticket) }
    defer { if let replaced { core.inodes.release(replaced) } }
    if replaced != nil && options.contains(.noReplace) { throw .exists(target.text) }
    // Two names of one file: both stay (rename(2)).
    if replaced === inode { return }
    try checkMayRemove(inode, from: from.inode, source.text)
    try to.inode.checkMayChangeNames(target.text, removes: replaced != nil)
    if let replaced {
      try checkMayRemove(replaced, from: to.inode, target.text)
      if isDirectory && replaced.type != .directory { throw .notADirectory(target.text) }
      if !isDirectory && replaced.type == .directory { throw .isADirectory(target.text) }
      // It holds what is moved.
      if move.sourceAncestors.contains(replaced.number) { throw .notEmpty(target.text) }
    } else if isDirectory, from.inode !== to.inode, to.inode.record.linkCount >= Inode.largestLinkCount {
      throw .tooManyLinks(target.text)
    }
    if let replaced, replaced.type == .directory { try await checkEmpty(replaced, target.text, ticket) }
    if let replaced { await replaced.lock.lock() }
    defer { if let replaced { replaced.lock.unlock() } }
    if let replaced, replaced.type == .directory { try await checkEmpty(replaced, target.text, ticket) }

    // Pin what the step changes.
    let table = try await core.inodes.pinTable(of: inode.number, ticket)
    let fromTable = try await core.inodes.pinTable(of: from.inode.number, ticket)
    let toTable = try await core.inodes.pinTable(of: to.inode.number, ticket)
    var replacedTable: MetadataBlock?
    if let replaced { replacedTable = try await core.inodes.pinTable(of: replaced.number, ticket) }
    var parentEntry: Directory.Found?
    if isDirectory && from.inode !== to.inode {
      parentEntry = try await Directory(inode).find(Directory.dotDot, ticket)
      if parentEntry == nil {
        throw Ext2Error(
          FormatError.invalid(
            .inode, at: .inode(inode.number), field: "entry '..'", value: 0, why: "a directory without its parent"))
      }
    }
    var place: Directory.Place?
    if replaced == nil { place = try await to.findRoom(for: target.name, ticket) }
    do throws(Ext2Error) {
      try from.inode.checkChangeable()
      if let place, !to.canInsert(target.name, at: place) { throw to.changed(place) }
      if let replacedEntry, !to.holds(replacedEntry, named: target.name) { throw to.changed(replacedEntry.block) }
      if let parentEntry, !Directory(inode).holds(parentEntry, named: Directory.dotDot) {
        throw to.changed(parentEntry.block)
      }
      guard from.holds(found, named: source.name), let type = inode.type else { throw from.changed(found.block) }

      // One step.
      if let place {
        to.insert(target.name, inode.number, type, at: place)
      } else if let replacedEntry {
        to.setTarget(replacedEntry, to: inode.number, type)
      }
      try from.remove(found, named: source.name)
      if let parentEntry {
        Directory(inode).setTarget(parentEntry, to: to.inode.number, .directory)
        from.inode.record.linkCount -= from.inode.record.linkCount > 2 ? 1 : 0
        // The link of what is replaced becomes its own.
        if replaced == nil { to.inode.record.linkCount += 1 }
      }
      if let replaced, let replacedTable {
        if replaced.type == .directory {
          if parentEntry == nil { to.inode.record.linkCount -= to.inode.record.linkCount > 2 ? 1 : 0 }
          core.inodes.noteRemovedDirectory(replaced)
        } else if replaced.record.linkCount > 0 {
          replaced.record.linkCount -= 1
          replaced.record.changeTime = core.inodes.now
        }
        core.inodes.encode(replaced, into: replacedTable)
      }
      inode.record.changeTime = core.inodes.now
      core.inodes.encode(inode, into: table)
      core.inodes.encode(from.inode, into: fromTable)
      core.inodes.encode(to.inode, into: toTable)
    } catch {
      if let place { to.abandon(place) }
      throw error
    }
    var changed = from.inode === to.inode ? [to.inode] : [to.inode, from.inode]
    // With its "..".
    if parentEntry != nil { changed.append(inode) }
    try await makeDurableIfAsked(changed)
  }
}
