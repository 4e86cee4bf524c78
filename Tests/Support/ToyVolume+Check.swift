internal import BlockDevice
internal import PageCache

extension ToyVolume {
  /// Reads a range of a file, page by page, and compares every page with the model in the step that has it. Returns the
  /// bytes; fewer when the file ends before.
  @discardableResult
  package func read(_ position: Int, at offset: Int, count: Int, ahead: Int = 0) async throws -> [UInt8] {
    let file = files[position], size = options.pageByteCount
    var bytes: [UInt8] = []
    while bytes.count < count {
      let start = offset + bytes.count
      guard let page = try await file.space.validPage(at: PageIndex(UInt64(start / size)), ahead: ahead) else { break }
      // The size is taken anew after each suspension.
      let end = min(offset + count, (start / size + 1) * size, file.byteCount)
      guard start < end else { break }
      if let wrong = difference(file, page) {
        fail("a reader of file \(file.number) found page \(start / size) \(wrong)")
      }
      bytes.append(contentsOf: contents(page)[start % size..<start % size + end - start])
    }
    return bytes
  }

  func contents(_ page: Page) -> [UInt8] {
    page.withBytes { span in unsafe span.withUnsafeBytes { unsafe Array($0) } }
  }

  /// What a page has to contain by the model: zeroes past the end of the file.
  func expected(_ file: ToyFile, _ page: Int) -> [UInt8] {
    let size = options.pageByteCount
    let range = (page * size..<(page + 1) * size).clamped(to: 0..<file.model.count)
    return Array(file.model[range]) + Array(repeating: 0, count: size - range.count)
  }

  func difference(_ file: ToyFile, _ page: Page) -> String? {
    ToyContent.difference(expected: expected(file, Int(page.index.rawValue)), found: contents(page))
  }

  /// After an fsync that threw nothing: every page that has not changed since its call is durable.
  func checkPromise(_ file: ToyFile, changesThrough promised: Int) {
    // A page that is clean though its write failed is durable nowhere, and Linux does not say so a second time.
    guard let disk, options.checksDurability, !options.marksFailedPagesClean, !file.isRemoved else { return }
    let size = options.pageByteCount
    for page in 0..<(file.byteCount + size - 1) / size
    where page < file.changedAt.count && file.changedAt[page] <= promised {
      guard let block = file.map[page] else { continue }
      let found = disk.durableBytes(in: block * size..<(block + 1) * size)
      if let wrong = ToyContent.difference(expected: expected(file, page), found: found) {
        fail("fsync of file \(file.number) promised page \(page), but durable is \(wrong)")
      }
    }
  }

  /// After everything was synced: model, cache, disk and bitmap agree, and nothing is left over.
  func checkEverything() {
    let size = options.pageByteCount
    var owned = 0
    for file in files {
      if file.byteCount != file.model.count { fail("file \(file.number) has the wrong size") }
      for page in 0..<max((file.model.count + size - 1) / size, file.map.pageCount) {
        if let cached = file.space.page(at: PageIndex(UInt64(page))) {
          if let wrong = difference(file, cached) { fail("file \(file.number) page \(page) in the cache: \(wrong)") }
          if cached.isDirty || cached.isUnderWriteback || cached.isFilling {
            fail("file \(file.number) page \(page) is not clean at the end")
          }
        }
        if let block = file.map[page] {
          owned += 1
          checkOnDisk(file, page, block)
        } else if expected(file, page).contains(where: { $0 != 0 }) {
          fail("file \(file.number) page \(page) has data and no block")
        }
      }
    }
    let set = blocks.states.count { $0 != .free }
    if set != owned { fail("\(set) bits are set, and \(owned) blocks are in files") }
    if cache.dirtyCount != 0 { fail("\(cache.dirtyCount) units of the dirty budget are lost") }
    if queue.outstandingCount != 0 { fail("\(queue.outstandingCount) requests are lost") }
  }

  private func checkOnDisk(_ file: ToyFile, _ page: Int, _ block: Int) {
    let size = options.pageByteCount
    if blocks.states[block] != .owned(file: file.number, page: UInt64(page)) {
      fail("file \(file.number) page \(page) is on block \(block), which is \(blocks.states[block])")
    }
    guard let disk else { return }
    let found = disk.bytes(in: block * size..<(block + 1) * size)
    if let wrong = ToyContent.difference(expected: expected(file, page), found: found) {
      fail("file \(file.number) page \(page) on block \(block) of the disk: \(wrong)")
    }
  }
}
