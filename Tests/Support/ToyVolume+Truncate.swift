internal import PageCache
internal import Reactor

extension ToyVolume {
  /// Sets a file's size, in bytes.
  package func truncate(_ position: Int, to byteCount: Int) async throws {
    let file = files[position]
    await file.lock.lock()
    defer { file.lock.unlock() }
    if file.isRemoved { throw ToyError.noSuchFile }
    if byteCount < file.byteCount {
      try await shrink(file, to: byteCount)
    } else {
      try await cleanTail(file, before: byteCount)
      grow(file, to: byteCount)
    }
  }

  /// Before a file grows past its last page: what the disk holds behind the old end, left there by a crash or by
  /// somebody else, must not become part of the file. A fill has zeroed it in memory; this makes it go to the disk.
  func cleanTail(_ file: ToyFile, before newEnd: Int) async throws(PageCacheError) {
    guard newEnd > file.byteCount, let tail = try await edgePage(file, at: file.byteCount) else { return }
    file.space.markDirtyUnconditionally(tail)
    file.space.unpin(tail)
  }

  private func grow(_ file: ToyFile, to byteCount: Int) {
    changes += 1
    file.noteChange(file.model.count..<byteCount, options.pageByteCount, at: changes)
    file.model.append(contentsOf: [UInt8](repeating: 0, count: byteCount - file.model.count))
    file.space.fileByteCount = UInt64(byteCount)
  }

  private func shrink(_ file: ToyFile, to byteCount: Int) async throws {
    let size = options.pageByteCount
    // What can fail comes first, and changes nothing.
    let tail = try await edgePage(file, at: byteCount)
    cutTail(file, tail, byteCount)
    try await free(file, (byteCount + size - 1) / size..<max(file.map.pageCount, (byteCount + size - 1) / size)) { _ in
    }
  }

  /// The page in which `offset` lies, unless it begins there or is a hole: read, pinned, and to be unpinned.
  private func edgePage(_ file: ToyFile, at offset: Int) async throws(PageCacheError) -> Page? {
    let size = options.pageByteCount
    guard offset % size != 0, file.map[offset / size] != nil else { return nil }
    guard let page = try await file.space.validPage(at: PageIndex(UInt64(offset / size))) else { return nil }
    file.space.pin(page)
    return page
  }

  /// One step: zeroes the tail of the last block, marks its page dirty and shrinks the size.
  private func cutTail(_ file: ToyFile, _ tail: Page?, _ byteCount: Int) {
    let size = options.pageByteCount
    if let tail { zero(file, tail, byteCount % size..<size) }
    changes += 1
    if byteCount % size != 0 { file.noteChange(byteCount..<byteCount + 1, size, at: changes) }
    file.model.removeLast(file.model.count - byteCount)
    file.space.fileByteCount = UInt64(byteCount)
  }

  private func zero(_ file: ToyFile, _ page: Page, _ range: Range<Int>) {
    _ = unsafe page.withMutableBytes { span in
      unsafe span.withUnsafeMutableBytes { memory in
        unsafe UnsafeMutableRawBufferPointer(rebasing: memory[range]).initializeMemory(as: UInt8.self, repeating: 0)
      }
    }
    file.space.markDirtyUnconditionally(page)
    file.space.unpin(page)
  }

  /// Makes a range of a file, in bytes, a hole; its size stays.
  package func punch(_ position: Int, _ range: Range<Int>) async throws {
    let size = options.pageByteCount, file = files[position]
    await file.lock.lock()
    defer { file.lock.unlock() }
    if file.isRemoved { throw ToyError.noSuchFile }
    let range = range.clamped(to: 0..<file.byteCount)
    if range.isEmpty { return }
    let firstWhole = (range.lowerBound + size - 1) / size
    // The last page is gone whole when the range reaches the end of the file.
    let endWhole = range.upperBound == file.byteCount ? (range.upperBound + size - 1) / size : range.upperBound / size
    let left = try await edgePage(file, at: range.lowerBound)
    let right: Page?
    do {
      right =
        endWhole * size < range.upperBound && endWhole >= firstWhole
        ? try await edgePage(file, at: range.upperBound) : nil
    } catch {
      if let left { file.space.unpin(left) }
      throw error
    }
    zeroEdges(file, range, left, right)
    if firstWhole < endWhole {
      try await free(file, firstWhole..<endWhole) { run in
        let bytes = (run.lowerBound * size..<run.upperBound * size).clamped(to: 0..<file.model.count)
        file.model.replaceSubrange(bytes, with: [UInt8](repeating: 0, count: bytes.count))
        file.noteChange(bytes, size, at: self.changes)
      }
    }
  }

  /// One step: zeroes the parts of pages at the range's ends and marks them dirty.
  private func zeroEdges(_ file: ToyFile, _ range: Range<Int>, _ left: Page?, _ right: Page?) {
    let size = options.pageByteCount
    changes += 1
    func clear(_ bytes: Range<Int>) {
      guard !bytes.isEmpty else { return }
      file.model.replaceSubrange(bytes, with: [UInt8](repeating: 0, count: bytes.count))
      file.noteChange(bytes, size, at: changes)
    }
    let leftEnd = min(range.upperBound, (range.lowerBound / size + 1) * size)
    if range.lowerBound % size != 0 { clear(range.lowerBound..<leftEnd) }
    if let left {
      let start = range.lowerBound % size
      zero(file, left, start..<start + leftEnd - range.lowerBound)
    }
    let rightStart = max(range.lowerBound, range.upperBound / size * size)
    if rightStart % size == 0, range.upperBound < file.byteCount { clear(rightStart..<range.upperBound) }
    if let right { zero(file, right, 0..<range.upperBound % size) }
  }

  /// Frees the blocks of a range of pages, at most one pointer block's worth in a step.
  private func free(_ file: ToyFile, _ pages: Range<Int>, _ alsoInStep: (Range<Int>) -> Void) async throws {
    var start = pages.lowerBound
    while start < pages.upperBound {
      let end = min(pages.upperBound, (start / options.leafPageCount + 1) * options.leafPageCount)
      freeRun(file, start..<end, alsoInStep)
      start = end
      if start < pages.upperBound { await reactor.pass() }
    }
  }

  /// The step of a truncate: detaches the pages, clears the pointers, moves both sequences, puts the blocks on the
  /// pending frees.
  private func freeRun(_ file: ToyFile, _ run: Range<Int>, _ alsoInStep: (Range<Int>) -> Void) {
    changes += 1
    file.space.detach(PageIndex(UInt64(run.lowerBound))..<PageIndex(UInt64(run.upperBound)))
    for (page, block) in file.map.unlink(run) { blocks.drop(block, file: file.number, page: page) }
    alsoInStep(run)
    blocks.settle()
  }

  /// Removes a file and puts a fresh one in its place. Whoever holds the old one finds it removed.
  package func replace(_ position: Int, number: UInt64) async throws {
    let file = files[position]
    await file.lock.lock()
    defer { file.lock.unlock() }
    if file.isRemoved { throw ToyError.noSuchFile }
    file.isRemoved = true
    files[position] = ToyFile(number: number, options, cache, random: random.split(number))
    try await shrink(file, to: 0)
  }
}
