// Writing a file's data.
//
// Budget and metadata slots are awaited with nothing held but the gate, before the inode's lock, in pieces of at most a
// quarter of the dirty limit; the lock is dropped between the pieces. Under it everything the step needs is found and
// pinned; then ONE step links the blocks, copies the data, marks the pages dirty, moves the block sequence and grows the
// size. So a dirty page always has a block, and writeback never allocates.
internal import Ext2Format
internal import PageCache
internal import Reactor

extension Inode {
  /// The most pages one piece of a write has.
  private static let largestPiece = 256

  /// What is written: bytes, or that many zeroes.
  enum Source {
    case bytes([UInt8])
    case zeroes(UInt64)
    var byteCount: UInt64 {
      switch self {
      case .bytes(let bytes): UInt64(bytes.count)
      case .zeroes(let count): count
      }
    }
  }

  /// Writes bytes at an offset, or at the end when there is none. Returns how many: fewer than all when the volume is
  /// full, the device fails or the task is cancelled after some were written.
  ///
  /// - Parameter keepsSize: what lies past the end of the file, wherever that is by then, is left out, and counts.
  func write(
    _ source: Source, at offset: UInt64?, mayUseReservedBlocks: Bool, keepsSize: Bool = false
  ) async throws(Ext2Error) -> UInt64 {
    var done: UInt64 = 0
    while done < source.byteCount {
      if Task.isCancelled && !table.switchedOff.contains(.cancellationEndsWrite) {
        if done == 0 { throw .cancelled }
        return done
      }
      do throws(Ext2Error) {
        done += UInt64(
          try await writePiece(
            source, from: done, at: offset.map { $0 + done }, mayUseReservedBlocks: mayUseReservedBlocks,
            keepsSize: keepsSize))
      } catch {
        if done == 0 { throw error }
        return done
      }
    }
    return done
  }

  /// Runs one piece of a change: budget for `reserved` pages and metadata slots are awaited first, then the inode's lock is
  /// taken. `body` counts the units of budget that it uses; the rest goes back.
  private func withPiece<R>(
    of reserved: Int, mayUseReservedBlocks: Bool,
    _ body: (MetadataTicket, inout Int) async throws(Ext2Error) -> R
  ) async throws(Ext2Error) -> R {
    let cache = space.cache
    if !cache.reserveDirtyNow(reserved) {
      do { try await cache.reserveDirty(reserved) } catch { throw Ext2Error(error) }
    }
    var used = 0
    defer { cache.releaseDirty(reserved - used) }
    let ticket: MetadataTicket
    if let now = table.metadata.ticketNow() { ticket = now } else { ticket = try await table.metadata.ticket() }
    defer { ticket.end() }
    ticket.mayUseReservedBlocks = mayUseReservedBlocks
    if !lock.tryLock() { await lock.lock() }
    defer { lock.unlock() }
    return try await body(ticket, &used)
  }

  private func writePiece(
    _ source: Source, from start: UInt64, at offset: UInt64?, mayUseReservedBlocks: Bool, keepsSize: Bool
  ) async throws(Ext2Error) -> Int {
    // One page more than the bytes fill: where the piece begins in its page is known only under the lock.
    let rest = source.byteCount - start
    let wanted = Int(min(rest / UInt64(blockSize), UInt64(Self.largestPiece))) + 2
    let reserved = min(Self.largestPiece, space.cache.largestReservation, wanted)
    return try await withPiece(of: reserved, mayUseReservedBlocks: mayUseReservedBlocks) {
      (ticket, used) async throws(Ext2Error) -> Int in
      guard !record.flags.contains(.immutable), !(offset != nil && record.flags.contains(.appendOnly)) else {
        throw .notPermitted("inode \(number)")
      }
      let position = offset ?? space.fileByteCount
      try checkSize(position, 1)
      if keepsSize && position >= space.fileByteCount { return Int(clamping: rest) }
      let limit = keepsSize ? space.fileByteCount : sizeLimit
      let pieceEnd = (position / UInt64(blockSize) + UInt64(reserved)) * UInt64(blockSize)
      // What crosses the largest size is cut there (mm/filemap.c, generic_write_check_limits).
      let count = Int(min(rest, pieceEnd - position, limit - position))
      let tableBlock = try await table.pinTable(of: number, ticket)
      if position / UInt64(blockSize) > space.fileByteCount / UInt64(blockSize) { try await cleanTail(ticket) }
      let pages: [Page]
      if let now = pagesNow(position, count) { pages = now } else { pages = try await self.pages(position, count) }
      let preparation = await tree.prepare(
        from: position / UInt64(blockSize), count: pages.count, ticket)
      guard preparation.preparedCount > 0 else {
        for page in pages { space.abandonWriting(page) }
        tree.abandon(preparation)
        throw preparation.error ?? .noSpace
      }
      if table.switchedOff.contains(.linkInOneStep) {
        _ = tree.link(preparation)
        await table.reactor.pass()
        return commit(
          source, start, count, position, pages, preparation, tableBlock, &used, isLinked: true)
      }
      if table.switchedOff.contains(.growInOneStep) {
        space.fileByteCount = max(space.fileByteCount, position + UInt64(count))
        await table.reactor.pass()
      }
      return commit(source, start, count, position, pages, preparation, tableBlock, &used)
    }
  }

  /// The largest size of a file, in bytes.
  var sizeLimit: UInt64 { BlockPath.maximumFileSize(blockSizeLog2: table.groups.layout.blockSizeLog2) }

  private func checkSize(_ position: UInt64, _ count: UInt64) throws(Ext2Error) {
    try checkChangeable()
    let (end, overflow) = position.addingReportingOverflow(count)
    guard !overflow, end <= sizeLimit else {
      throw .fileTooLarge(byteCount: overflow ? .max : end, limit: sizeLimit)
    }
  }

  /// As `pages`, for a range within one page, without suspending; nil where that would have to wait.
  private func pagesNow(_ position: UInt64, _ count: Int) -> [Page]? {
    let size = UInt64(blockSize), index = position / size
    guard (position + UInt64(count) - 1) / size == index else { return nil }
    let isPartial = position % size != 0 || UInt64(count) < size
    let mustBeRead = isPartial && index * size < space.fileByteCount
    return space.pageForWritingNow(at: PageIndex(index), mustBeRead: mustBeRead, isOverwritten: !isPartial).map { [$0] }
  }

  /// The pages under a range of bytes, pinned; those that are changed only in part are read first.
  private func pages(_ position: UInt64, _ count: Int) async throws(Ext2Error) -> [Page] {
    let size = UInt64(blockSize), end = position + UInt64(count)
    var pages: [Page] = []
    pages.reserveCapacity(count / blockSize + 2)
    var index = position / size
    while index * size < end {
      let isPartial = index * size < position || (index + 1) * size > end
      // The bytes past the end of the file are zeroes anyway.
      let mustBeRead = isPartial && index * size < space.fileByteCount
      if let page = space.pageForWritingNow(
        at: PageIndex(index), mustBeRead: mustBeRead, isOverwritten: !isPartial)
      {
        pages.append(page)
        index += 1
        continue
      }
      do {
        pages.append(
          try await space.pageForWriting(
            at: PageIndex(index), mustBeRead: mustBeRead, isOverwritten: !isPartial))
      } catch {
        for page in pages { space.abandonWriting(page) }
        throw Ext2Error(error)
      }
      index += 1
    }
    return pages
  }

  /// The step. Returns how many bytes it wrote: those whose pages have a block.
  private func commit(
    _ source: Source, _ start: UInt64, _ count: Int, _ position: UInt64, _ pages: [Page],
    _ preparation: BlockTree.Preparation, _ tableBlock: MetadataBlock, _ used: inout Int, isLinked: Bool = false,
    sizeLimit: UInt64 = .max
  ) -> Int {
    let isShapeChanged = isLinked || tree.link(preparation)
    let size = UInt64(blockSize)
    var done = 0
    for (step, page) in pages.enumerated() {
      guard step < preparation.preparedCount else {
        space.abandonWriting(page)
        continue
      }
      let inPage = Int((position + UInt64(done)) % size)
      let length = min(count - done, blockSize - inPage)
      page.withMutableBytes { target in
        switch source {
        case .bytes(let bytes):
          target.copy(bytes, Int(start) + done..<Int(start) + done + length, at: inPage)
        case .zeroes: target.zero(at: inPage, count: length)
        }
      }
      if space.finishWriting(page) { used += 1 }
      done += length
    }
    let end = min(position + UInt64(done), sizeLimit)
    if end > space.fileByteCount {
      space.fileByteCount = end
      noteShapeChange()
    }
    if isShapeChanged && !table.switchedOff.contains(.filledHoleIsShape) { noteShapeChange() }
    noteLargeFile()
    touchContents()
    table.encode(self, into: tableBlock)
    return done
  }

  // MARK: Allocating

  /// Gives the holes of a range of bytes blocks of zeroes, and makes the file reach to its end; with `keepsSize` only as
  /// far as the file reaches.
  func allocate(_ range: Range<UInt64>, mayUseReservedBlocks: Bool, keepsSize: Bool) async throws(Ext2Error) {
    let size = UInt64(blockSize)
    var index = range.lowerBound / size
    let end = (range.upperBound - 1) / size + 1
    while index < end {
      if Task.isCancelled && !table.switchedOff.contains(.cancellationEndsAllocation) { throw .cancelled }
      index = try await allocatePiece(
        from: index, to: end, byteLimit: range.upperBound, mayUseReservedBlocks, keepsSize)
    }
    if !keepsSize && byteCount < range.upperBound { try await truncate(to: range.upperBound, mayShrink: false) }
  }

  /// Returns the block to go on with.
  private func allocatePiece(
    from index: UInt64, to end: UInt64, byteLimit: UInt64, _ mayUseReservedBlocks: Bool, _ keepsSize: Bool
  ) async throws(Ext2Error) -> UInt64 {
    let reserved = min(Self.largestPiece, space.cache.largestReservation, Int(clamping: end - index))
    return try await withPiece(of: reserved, mayUseReservedBlocks: mayUseReservedBlocks) {
      (ticket, used) async throws(Ext2Error) -> UInt64 in
      try checkContentsMayChange()
      let position = index * UInt64(blockSize)
      try checkSize(position, byteLimit - position)
      // Where the file ends now: it may have been cut since the last piece.
      let byteLimit = keepsSize ? min(byteLimit, space.fileByteCount) : byteLimit
      guard position < byteLimit else { return end }
      let limit = min(reserved, Int(clamping: (byteLimit - 1) / UInt64(blockSize) - index + 1))
      let mapping: Mapping
      do throws(PageCacheError) { mapping = try await tree.lookUp(PageIndex(index), limit: limit) } catch {
        throw Ext2Error(error)
      }
      guard case .hole(let count) = mapping else {
        if case .mapped(_, let count) = mapping { return index + UInt64(count) }
        return index + 1
      }
      let tableBlock = try await table.pinTable(of: number, ticket)
      if position > space.fileByteCount { try await cleanTail(ticket) }
      let byteCount = count * blockSize
      let pages = try await pages(position, byteCount)
      let preparation = await tree.prepare(from: index, count: pages.count, ticket)
      guard preparation.preparedCount > 0 else {
        for page in pages { space.abandonWriting(page) }
        tree.abandon(preparation)
        throw preparation.error ?? .noSpace
      }
      let done = commit(
        .zeroes(UInt64(byteCount)), 0, byteCount, position, pages, preparation, tableBlock, &used, sizeLimit: byteLimit)
      return index + UInt64(done / blockSize)
    }
  }

  /// A file of more than 2 GiB less a byte needs the volume's large_file feature (fs/ext2/inode.c, __ext2_write_inode).
  func noteLargeFile() {
    guard space.fileByteCount > 0x7FFF_FFFF else { return }
    // In the same step, so that the file's own fsync writes it too.
    if table.groups.superblock.readOnlyCompatible.contains(.largeFile) { return }
    table.groups.superblock.raiseToDynamicRevision()
    table.groups.superblock.readOnlyCompatible.insert(.largeFile)
    table.groups.encodeSuperblock(into: table.metadata)
  }
}
