internal import PageCache
internal import Reactor

extension ToyVolume {
  /// Writes `count` bytes at `offset` of a file, in bytes.
  package func write(_ position: Int, at offset: Int, count: Int) async throws {
    try await write(files[position], at: offset, count: count)
  }

  /// Writes `count` bytes at the end of a file, wherever that is by then.
  package func append(_ position: Int, count: Int) async throws {
    try await write(files[position], at: nil, count: count)
  }

  private func write(_ file: ToyFile, at offset: Int?, count: Int) async throws {
    generation += 1
    let generation = generation, size = options.pageByteCount
    var done = 0
    while done < count {
      // The right to dirty pages is waited for with nothing held, in pieces.
      let pages = min(cache.largestReservation, (count - done + size - 1) / size + 1)
      try await cache.reserveDirty(pages)
      var unused = pages
      await file.lock.lock()
      defer {
        file.lock.unlock()
        cache.releaseDirty(unused)
      }
      if file.isRemoved { throw ToyError.noSuchFile }
      // An append takes the size anew.
      var start = offset.map { $0 + done } ?? file.byteCount
      let end = min(start + count - done, (start / size + pages) * size)
      if start / size > file.byteCount / size { try await cleanTail(file, before: start) }
      while start < end {
        let piece = start..<min(end, (start / size + 1) * size)
        try await writePage(file, piece, generation, &unused)
        start = piece.upperBound
        done += piece.count
      }
    }
  }

  /// Writes a part of one page, holding the inode's lock.
  private func writePage(_ file: ToyFile, _ piece: Range<Int>, _ generation: UInt32, _ unused: inout Int) async throws {
    let size = options.pageByteCount, space = file.space
    let page = piece.lowerBound / size
    var block: Int?
    if options.switchedOff.contains(.linkInOneStep), file.map[page] == nil {
      let early = try await allocate(after: page > 0 ? file.map[page - 1] : nil)
      file.map.link(early, at: page)
      blocks.link(early, file: file.number, page: page)
      await reactor.pass()
    }
    // What the write leaves of the page has to be there first.
    let isWhole = piece.lowerBound % size == 0 && (piece.upperBound % size == 0 || piece.upperBound >= file.byteCount)
    let cached = try await space.pageForWriting(
      at: PageIndex(UInt64(page)), mustBeRead: !isWhole && page * size < file.byteCount)
    if file.map[page] == nil {
      do { block = try await allocate(after: page > 0 ? file.map[page - 1] : nil) } catch {
        space.abandonWriting(cached)
        throw error
      }
    }
    let isUsed = store(file, piece, generation, cached, block)
    if isUsed { unused -= 1 }
    if options.switchedOff.contains(.growInOneStep), piece.upperBound > file.byteCount {
      await reactor.pass()
      file.space.fileByteCount = UInt64(piece.upperBound)
    }
  }

  /// The step of a write: links the block, copies the data, marks the page dirty, moves the block sequence, grows the
  /// size. The model changes with it. Returns whether a unit of the budget was used.
  private func store(_ file: ToyFile, _ piece: Range<Int>, _ generation: UInt32, _ page: Page, _ block: Int?) -> Bool {
    let size = options.pageByteCount
    let bytes = ToyContent.bytes(file: file.number, generation: generation, range: piece, pageByteCount: size)
    if let block {
      file.map.link(block, at: piece.lowerBound / size)
      blocks.link(block, file: file.number, page: piece.lowerBound / size)
    }
    page.withMutableBytes { span in
      unsafe span.withUnsafeMutableBytes { memory in
        unsafe UnsafeMutableRawBufferPointer(rebasing: memory[(piece.lowerBound % size)...]).copyBytes(from: bytes)
      }
    }
    let isUsed = file.space.finishWriting(page)
    if piece.upperBound > file.byteCount, !options.switchedOff.contains(.growInOneStep) {
      file.space.fileByteCount = UInt64(piece.upperBound)
    }
    let grown = piece.upperBound - file.model.count
    changes += 1
    if grown > 0 {
      file.noteChange(file.model.count..<piece.upperBound, size, at: changes)
      file.model.append(contentsOf: [UInt8](repeating: 0, count: grown))
    }
    file.model.replaceSubrange(piece, with: bytes)
    file.noteChange(piece, size, at: changes)
    return isUsed
  }

  /// A free block with its bit set, in no file yet. No space is only reported when nothing is pending.
  private func allocate(after previous: Int?) async throws(ToyError) -> Int {
    while true {
      if let block = blocks.take(after: previous) { return block }
      guard blocks.hasPending else { throw .noSpace }
      await blocks.freed.wait()
    }
  }
}
