// Reading pages from their blocks.
//
// A page is in the address space, filling, before the lookup for it starts, so that it is read once however many want
// it, and a truncate that frees its block finds it and detaches it. The step that queues the read and the step that
// publishes it both check that the page is still attached; if not, its bytes are thrown away.
internal import BlockDevice

extension AddressSpace {
  /// The page at `index`, valid and attached at the moment of return; read if need be. Nil past the end of the file.
  ///
  /// `ahead`: how many pages after it to read along when it has to be read.
  public func validPage(at index: PageIndex, ahead: Int = 0) async throws(PageCacheError) -> Page? {
    var isMissing = false
    while index < endIndex {
      if let page = pages[index] {
        if !page.isFilling {
          if !isMissing { cache.counters.hits += 1 }
          if cache.clean.contains(page) { cache.clean.touch(page) }
          return page
        }
        await page.waitForChange(cache.reactor)
        if let error = page.fillError { throw error }
      } else {
        if !isMissing {
          isMissing = true
          cache.counters.misses += 1
        }
        // It may have failed before all reads were queued.
        if let error = try await fill(from: index, count: 1 + ahead)?.fillError { throw error }
      }
    }
    return nil
  }

  /// Starts reading up to `count` missing pages from `index` on. Returns when the reads are queued, not when they end: the
  /// first of the pages, if any is missing.
  @discardableResult
  public func fill(
    from index: PageIndex, count: Int, isReadAhead: Bool = false
  ) async throws(PageCacheError) -> Page? {
    var filling = try await enterFilling(from: index, count: count, isReadAhead: isReadAhead)[...]
    let entered = filling.first
    while let first = filling.first {
      do {
        switch try await mapper.lookUp(first.index, limit: filling.count) {
        case .hole(let count):
          for page in filling.prefix(max(1, count)) { publishZeroes(page) }
          filling = filling.dropFirst(max(1, count))
        case .mapped(let block, let count):
          let run = filling.prefix(max(1, count))
          if let request = isReadAhead ? await cache.queue.admitIfFree(.readAhead) : try await cache.admit() {
            queueRead(Array(run), at: block, request)
            filling = filling.dropFirst(run.count)
          } else {
            // No place for reading ahead: whoever wants these pages reads them then.
            for page in filling { abandon(page) }
            return entered
          }
        }
      } catch {
        // The others are read by whoever wants them: only the first is known to have no mapping, or no place.
        for page in filling.dropFirst() { abandon(page) }
        fail(first, error)
        if first.index == index && !isReadAhead { throw error }
        return entered
      }
    }
    return entered
  }

  /// Enters missing, contiguous pages inside the file as filling.
  private func enterFilling(from index: PageIndex, count: Int, isReadAhead: Bool) async throws(PageCacheError) -> [Page]
  {
    let previous = index.rawValue > 0 ? pages[PageIndex(index.rawValue - 1)]?.frame : nil
    var frame =
      isReadAhead ? cache.obtainFrameNow(after: previous) : try await cache.obtainFrame(after: previous)
    let limit = min(count, max(1, cache.queue.geometry.maximumTransfer / cache.pageByteCount))
    var entered: [Page] = []
    while let taken = frame.take() {
      let next = index + entered.count
      guard entered.count < limit, next < endIndex, pages[next] == nil else {
        cache.arena.free(taken)
        break
      }
      entered.append(insertFilling(at: next, frame: taken))
      frame = cache.obtainFrameNow(after: taken)
    }
    return entered
  }

  /// Queues one read for those pages that are still attached, in the step that received the admission.
  private func queueRead(_ pages: [Page], at block: DiskBlock, _ request: Request) {
    let isAttachmentChecked = !cache.configuration.switchedOff.contains(.fillChecksAttachment)
    let skipped = isAttachmentChecked ? pages.prefix { !$0.isAttached }.count : 0
    var wanted = pages.dropFirst(skipped)
    if isAttachmentChecked { wanted = wanted.prefix { $0.isAttached } }
    guard !wanted.isEmpty else {
      cache.queue.giveBack(request)
      return
    }
    let size = cache.pageByteCount
    request.prepare(.read, at: (block + skipped).rawValue &* UInt64(size))
    request.owner = owner
    request.isFileData = true
    request.ownerPage = wanted[wanted.startIndex].index.rawValue
    var taken: [Page] = []
    for page in wanted {
      guard unsafe request.append(Segment(base: page.memory, byteCount: size)) else { break }
      taken.append(page)
    }
    // What did not fit, or follows a page that left, is read by whoever wants it.
    for page in pages.dropFirst(skipped + taken.count) { abandon(page) }
    let fill = PageFill(self, taken)
    request.context = fill
    cache.queue.submit(request, handler: fill)
  }

  /// A page in a hole reads as zeroes.
  private func publishZeroes(_ page: Page) {
    guard page.isAttached else { return }
    page.zero(from: 0)
    publish(page)
  }

  func fail(_ page: Page, _ error: PageCacheError) {
    page.fillError = error
    detach(page)
    page.wakeWaiters()
  }

  /// Takes a filling page out again; whoever waits for it starts anew.
  private func abandon(_ page: Page) {
    if page.isAttached && page.isFilling { detach(page) }
  }
}

/// One read of contiguous pages, until the device lets go of their memory.
private final class PageFill: RequestHandler {
  private let space: AddressSpace
  private let pages: [Page]
  init(_ space: AddressSpace, _ pages: [Page]) {
    self.space = space
    self.pages = pages
  }

  func requestCompleted(_ request: Request) {
    let isAttachmentChecked = !space.cache.configuration.switchedOff.contains(.fillChecksAttachment)
    for page in pages where page.isAttached || !isAttachmentChecked {
      if let error = request.error {
        space.fail(page, .device(error))
        continue
      }
      // Bytes past the end of the file are zeroes, whatever the disk says: a later write past it must not show them.
      let start = page.index.rawValue &* UInt64(page.byteCount)
      if page.sizeAtFill < start &+ UInt64(page.byteCount),
        !space.cache.configuration.switchedOff.contains(.fillZeroesPastEnd)
      {
        page.zero(from: Int(page.sizeAtFill > start ? page.sizeAtFill - start : 0))
      }
      if isAttachmentChecked { space.publish(page) } else { space.publishDetached(page) }
    }
  }

  func requestTimedOut(_ request: Request) {
    for page in pages where page.isAttached {
      space.fail(page, .device(.timedOut(.read, offset: request.offset)))
    }
  }
}

extension AddressSpace {
  /// What the mutant does that ignores attachment: the page comes back with what was on its old block.
  fileprivate func publishDetached(_ page: Page) {
    if !page.isAttached {
      if let other = pages[page.index] { detach(other) }
      page.isAttached = true
      pages.insert(page)
    }
    publish(page)
  }
}
