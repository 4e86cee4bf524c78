// Pages that cannot be written, and when they are tried again.
internal import BlockDevice
internal import Reactor

extension Writeback {
  /// A page whose block cannot be found fails alone, and the pass goes on; unless it went meanwhile.
  func cannotBeMapped(_ page: Page, of space: AddressSpace, _ error: PageCacheError) {
    guard page.isAttached && page.isDirty && !page.isUnderWriteback else { return }
    page.dispatchedDirtiedAt = page.dirtiedAt
    page.attemptedAt = cache.flushCalls
    becameFailed(page, of: space, error)
  }

  /// Remembers the page whose failure, or whose deadline, comes first of those that cannot be written now.
  func noteStuck(_ page: Page, of space: AddressSpace) {
    if cache.budget.stuck == 0 { firstStuck = (space.owner, page.index) }
  }

  /// A page's write failed when it was alone. It stays dirty, and background writeback leaves it alone for a while:
  /// one second, then twice as long each time, a minute at most.
  func becameFailed(_ page: Page, of space: AddressSpace, _ error: PageCacheError) {
    noteStuck(page, of: space)
    page.mustGoAlone = false
    page.retryDelayNanoseconds = min(max(1_000_000_000, page.retryDelayNanoseconds * 2), 60_000_000_000)
    if cache.configuration.switchedOff.contains(.failedPageWaits) { page.retryDelayNanoseconds = 0 }
    page.retryAt = cache.reactor.now.advanced(byNanoseconds: page.retryDelayNanoseconds)
    space.noteRetry(at: page.retryAt)
    space.setFailed(page, true)
    space.report(page, error, dirtiedAt: page.dispatchedDirtiedAt)
    kick()
  }

  /// What the mutant does that retries where the batch went, without a plan.
  func retryOutsideThePlan(_ page: Page, of space: AddressSpace, near first: PageIndex) {
    guard let extent = space.cachedExtent, extent.covers(page.index), let request = cache.queue.admitNow(.writeback)
    else { return }
    request.prepare(.write, at: extent.block(of: page.index).rawValue &* UInt64(cache.pageByteCount))
    _ = unsafe request.append(Segment(base: page.memory, byteCount: cache.pageByteCount))
    page.isUnderWriteback = true
    let batch = WriteBatch(space, [page])
    space.batchesInFlight.append(batch)
    request.owner = space.owner
    request.ownerPage = page.index.rawValue
    request.isFileData = true
    request.context = batch
    cache.queue.submit(request, handler: batch)
  }
}
