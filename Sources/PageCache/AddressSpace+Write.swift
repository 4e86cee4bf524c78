// Pages for writers, who hold the inode's write lock.

extension AddressSpace {
  /// The page at `index` for a writer, pinned. Valid when `mustBeRead`, or when it was cached; otherwise it is entered
  /// as filling, zeroed unless all of it `isOverwritten`, and the writer ends that with `finishWriting` or `abandonWriting`.
  public func pageForWriting(at index: PageIndex, mustBeRead: Bool, isOverwritten: Bool = false)
    async throws(PageCacheError) -> Page
  {
    while true {
      if let page = pages[index] {
        // A writer waits until its page is not filling: the read would overwrite what is written.
        if !page.isFilling || cache.configuration.switchedOff.contains(.writerWaitsForFill) {
          pin(page)
          return page
        }
        await page.waitForChange(cache.reactor)
        if let error = page.fillError, mustBeRead { throw error }
      } else if mustBeRead {
        // Past the end there is nothing to read: the page is made.
        if let page = try await validPage(at: index) {
          pin(page)
          return page
        }
        if let page = try await makePage(at: index, isZeroed: !isOverwritten) { return page }
      } else if let page = try await makePage(at: index, isZeroed: !isOverwritten) {
        return page
      }
    }
  }

  /// Enters a zeroed page that only its writer may look at yet, pinned; nil when somebody else entered one meanwhile.
  private func makePage(at index: PageIndex, isZeroed: Bool) async throws(PageCacheError) -> Page? {
    let previous = index.rawValue > 0 ? pages[PageIndex(index.rawValue - 1)]?.frame : nil
    let frame = try await cache.obtainFrame(after: previous)
    guard pages[index] == nil else {
      cache.arena.free(frame)
      return nil
    }
    let page = insertFilling(at: index, frame: frame)
    page.isBeingMade = true
    if isZeroed { page.zero(from: 0) }
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
