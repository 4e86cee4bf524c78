// Truncate and punch.
//
// First what can fail: the tail page is read, the pointer blocks at the boundary are loaded and pinned; failure here
// changes nothing. Then one step zeroes the tail and shrinks the size, and one step for each run of at most one pointer
// block's worth frees its blocks. Nobody waits for writes in flight: a freed block's bit does (PendingFrees).
internal import Ext2Format
internal import PageCache
internal import Reactor

extension Inode {
  /// Makes the file `size` bytes long; without `mayShrink` only when it is shorter.
  func truncate(to size: UInt64, mayShrink: Bool = true) async throws(Ext2Error) {
    let limit = BlockPath.maximumFileSize(blockSizeLog2: table.groups.layout.blockSizeLog2)
    guard size <= limit else { throw .fileTooLarge(byteCount: size, limit: limit) }
    let ticket = try await table.metadata.ticket()
    defer { ticket.end() }
    await lock.lock()
    defer { lock.unlock() }
    try checkChangeable()
    try checkContentsMayChange()
    let tableBlock = try await table.pinTable(of: number, ticket)
    if size >= space.fileByteCount || !mayShrink {
      guard size >= space.fileByteCount else { return }
      if size > space.fileByteCount { try await cleanTail(ticket) }
      grow(to: size, tableBlock)
    } else {
      try await shrink(to: size, tableBlock, ticket)
    }
  }

  func checkContentsMayChange() throws(Ext2Error) {
    guard record.flags.isDisjoint(with: [.immutable, .appendOnly]) else { throw .notPermitted("inode \(number)") }
  }

  private func grow(to size: UInt64, _ tableBlock: MetadataBlock) {
    if size != space.fileByteCount { noteShapeChange() }
    space.fileByteCount = size
    noteLargeFile()
    touchContents()
    table.encode(self, into: tableBlock)
  }

  /// Before the file grows beyond its last page: what the disk holds past the old end, where a power cut left the bytes of a
  /// write and not its size, must not become part of the file. The fill zeroes it in memory; this makes it go to the disk.
  func cleanTail(_ ticket: MetadataTicket) async throws(Ext2Error) {
    guard let tail = try await tailPage(at: space.fileByteCount, ticket) else { return }
    space.unpin(tail)
    space.markDirtyUnconditionally(tail)
  }

  private func shrink(to size: UInt64, _ tableBlock: MetadataBlock, _ ticket: MetadataTicket) async throws(Ext2Error) {
    let blockSize = UInt64(blockSize)
    let firstFreed = (size + blockSize - 1) / blockSize
    try await loadBoundary(at: firstFreed, ticket)
    let tail = try await tailPage(at: size, ticket)
    // One step: the tail is zero and the file is shorter.
    if let tail {
      if !table.switchedOff.contains(.tailIsZeroed) {
        tail.withMutableBytes { bytes in
          bytes.zero(at: Int(size % blockSize), count: bytes.byteCount - Int(size % blockSize))
        }
      }
      space.unpin(tail)
      if !table.switchedOff.contains(.zeroedTailIsDirty) { space.markDirtyUnconditionally(tail) }
    }
    space.fileByteCount = size
    noteShapeChange()
    touchContents()
    table.encode(self, into: tableBlock)
    try await free(firstFreed..<UInt64.max, tableBlock, ticket)
  }

  /// Frees blocks run by run, then drops what is left of the range in the cache: pages of holes.
  func free(_ range: Range<UInt64>, _ tableBlock: MetadataBlock, _ ticket: MetadataTicket) async throws(Ext2Error) {
    table.allocator.dropWindow(of: number)
    tree.lastLinked = nil
    let limit = BlockPath.treeBlockLimit(blockSizeLog2: table.groups.layout.blockSizeLog2)
    let error = await tree.free(range.lowerBound..<min(range.upperBound, limit), ticket) { [self] freed in
      if !table.switchedOff.contains(.detachInOneStep) {
        space.detach(PageIndex(freed.lowerBound)..<PageIndex(freed.upperBound))
      }
      table.encode(self, into: tableBlock)
    }
    if table.switchedOff.contains(.detachInOneStep) { await table.reactor.pass() }
    space.detach(PageIndex(range.lowerBound)..<PageIndex(range.upperBound))
    if let error {
      table.onLostBlocks?(error)
      throw error
    }
  }

  /// Loads the pointer blocks on the way to the first block that goes.
  private func loadBoundary(at index: UInt64, _ ticket: MetadataTicket) async throws(Ext2Error) {
    guard let path = BlockPath(fileBlock: index, blockSizeLog2: table.groups.layout.blockSizeLog2) else { return }
    _ = try await tree.walk(path, ticket)
  }

  /// The page that keeps some of its bytes, valid and pinned; nil when the cut is between pages or in a hole.
  private func tailPage(at size: UInt64, _ ticket: MetadataTicket) async throws(Ext2Error) -> Page? {
    let blockSize = UInt64(blockSize)
    guard size % blockSize != 0,
      let path = BlockPath(fileBlock: size / blockSize, blockSizeLog2: table.groups.layout.blockSizeLog2)
    else { return nil }
    let end = try await tree.walk(path, ticket)
    guard end.missingLevel == nil, tree.pointer(in: end.slot) != .none else { return nil }
    do { return try await space.pageForWriting(at: PageIndex(size / blockSize), mustBeRead: true) } catch {
      throw Ext2Error(error)
    }
  }

  /// Makes a range of bytes a hole; the size stays. Blocks that lie in it whole are freed, the rest is zeroed.
  func punch(_ range: Range<UInt64>) async throws(Ext2Error) {
    let cache = space.cache
    do { try await cache.reserveDirty(2) } catch { throw Ext2Error(error) }
    var used = 0
    defer { cache.releaseDirty(2 - used) }
    let ticket = try await table.metadata.ticket()
    defer { ticket.end() }
    await lock.lock()
    defer { lock.unlock() }
    try checkChangeable()
    try checkContentsMayChange()
    let size = UInt64(blockSize)
    let end = min(range.upperBound, (space.fileByteCount + size - 1) / size * size)
    guard range.lowerBound < end else { return }
    let tableBlock = try await table.pinTable(of: number, ticket)
    let whole = (range.lowerBound + size - 1) / size..<max((range.lowerBound + size - 1) / size, end / size)
    var edges: [(page: Page, bytes: Range<Int>)] = []
    do throws(Ext2Error) {
      if !whole.isEmpty {
        try await loadBoundary(at: whole.lowerBound, ticket)
        try await loadBoundary(at: whole.upperBound - 1, ticket)
      }
      for part in edgeRanges(range.lowerBound, end) {
        if let page = try await tailPage(
          at: part.lowerBound % size == 0 ? part.lowerBound + 1 : part.lowerBound, ticket)
        {
          let start = part.lowerBound % size
          edges.append((page, Int(start)..<Int(start) + part.count))
        }
      }
    } catch {
      for edge in edges { space.abandonWriting(edge.page) }
      throw error
    }
    for edge in edges {
      edge.page.withMutableBytes { bytes in bytes.zero(at: edge.bytes.lowerBound, count: edge.bytes.count) }
      if space.finishWriting(edge.page) { used += 1 }
    }
    noteShapeChange()
    touchContents()
    table.encode(self, into: tableBlock)
    if !whole.isEmpty { try await free(whole, tableBlock, ticket) }
  }

  /// The parts of a range of bytes that cover a page only in part.
  private func edgeRanges(_ start: UInt64, _ end: UInt64) -> [Range<UInt64>] {
    let size = UInt64(blockSize)
    if start / size == (end - 1) / size { return start % size == 0 && end % size == 0 ? [] : [start..<end] }
    var edges: [Range<UInt64>] = []
    if start % size != 0 { edges.append(start..<(start / size + 1) * size) }
    if end % size != 0 { edges.append(end / size * size..<end) }
    return edges
  }
}
