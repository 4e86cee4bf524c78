// Pages for writers, who hold the inode's write lock.

extension AddressSpace {
  /// The page at `index` for a writer, pinned. Valid when `mustBeRead`, or when it was cached; otherwise it is entered
  /// as filling, zeroed unless all of it `isOverwritten`, and the writer ends that with `finishWriting` or `abandonWriting`.
  public func pageForWriting(at index: PageIndex, mustBeRead: Bool, isOverwritten: Bool = false)
    async throws(PageCacheError) -> Page
  {
    while true {
      if let page = pageForWritingNow(at: index, mustBeRead: mustBeRead, isOverwritten: isOverwritten) { return page }
      if let page = pages[index] {
        await page.waitForChange(cache.reactor)
        if let error = page.fillError, mustBeRead { throw error }
      } else if mustBeRead && index < endIndex {
        _ = try await validPage(at: index)
      } else {
        // It goes back at once, and the next round takes one in the step that looks for the page.
        cache.arena.free(try await cache.obtainFrame(after: nil))
      }
    }
  }

  /// As `pageForWriting`, without suspending; nil where that would have to wait.
  public func pageForWritingNow(at index: PageIndex, mustBeRead: Bool, isOverwritten: Bool = false) -> Page? {
    if let page = pages[index] {
      // A writer waits until its page is not filling: the read would overwrite what is written.
      if page.isFilling && !cache.configuration.switchedOff.contains(.writerWaitsForFill) { return nil }
      pin(page)
      return page
    }
    // Past the end there is nothing to read: the page is made.
    if mustBeRead && index < endIndex { return nil }
    let previous = index.rawValue > 0 ? pages[PageIndex(index.rawValue - 1)]?.frame : nil
    guard let frame = cache.obtainFrameNow(after: previous) else { return nil }
    // Only its writer may look at it yet.
    let page = insertFilling(at: index, frame: frame)
    page.isBeingMade = true
    if !isOverwritten && !cache.configuration.switchedOff.contains(.freshPageIsZeroed) { page.zero(from: 0) }
    pin(page)
    return page
  }

  /// Ends a writer's use of a page that it did not change.
  public func abandonWriting(_ page: Page) {
    unpin(page)
    if page.isBeingMade {
      page.isBeingMade = false
      if page.isAttached { detach(page) }
    }
  }

  /// Marks a page dirty and valid, in the step that has linked its block and copied the data. Returns whether a unit of
  /// the caller's budget was used.
  public func finishWriting(_ page: Page) -> Bool {
    unpin(page)
    let isUsed = markDirty(page)
    if page.isBeingMade {
      page.isBeingMade = false
      publish(page)
    }
    return isUsed
  }
}
