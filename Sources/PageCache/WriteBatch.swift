internal import BlockDevice
internal import Reactor

/// Contiguous dirty pages planned as one write under one cookie. Its pages are neither locked nor under writeback: the
/// step that dispatches it looks each of them up again.
public struct Plan: Sendable {
  /// The first page.
  public let first: PageIndex
  /// How many pages.
  public let count: Int
  /// The block of the first.
  public let block: DiskBlock
  /// The sequence before the first lookup that it rests on.
  public let cookie: ValidityCookie
}

/// One fsync: which pages it answers for, and the first error it met.
final class FlushCall {
  /// It answers for pages that became dirty before this count of calls.
  let horizon: UInt64
  private(set) var firstError: PageCacheError?
  init(horizon: UInt64) { self.horizon = horizon }
  func note(_ error: PageCacheError) {
    if firstError == nil { firstError = error }
  }
}

/// A dispatched batch: keeps its pages, and their memory, until the device lets go of them.
final class WriteBatch: RequestHandler {
  let space: AddressSpace
  let pages: [Page]
  let number: UInt64
  private(set) var isTimedOut = false

  init(_ space: AddressSpace, _ pages: [Page]) {
    self.space = space
    self.pages = pages
    space.batchNumber += 1
    number = space.batchNumber
  }

  /// The last step of writeback: ends the pages' writeback and wakes whoever waits for it. Pages of a failed batch are
  /// dirty again, to be planned one by one, once; a page that fails alone is *failed*.
  func requestCompleted(_ request: Request) {
    space.batchesInFlight.removeAll { $0 === self }
    space.cache.reactor.onTrace?(TraceEvent(.batch, .end, traceNumber))
    var released = 0
    for page in pages {
      page.isUnderWriteback = false
      if !page.isAttached { continue }
      space.setFailed(page, page.isFailed)
      if let error = request.error {
        released += fail(page, .device(error))
      } else {
        page.mustGoAlone = false
        page.hasReportedError = false
        page.retryDelayNanoseconds = 0
        space.cache.durability.noteWritten(dirtySince: page.dispatchedDirtySince)
        released += settle(page)
      }
      page.wakeWaiters()
    }
    space.cache.budget.release(released)
    space.batchDone.wakeAll()
    space.cache.writeback.batchEnded(failed: request.error != nil, of: space)
  }

  /// Its number among those of all files.
  private var traceNumber: UInt64 { space.owner << 32 | number & 0xFFFF_FFFF }

  /// Tells whoever draws it that its write is on its way.
  func traceBegin(_ plan: Plan) {
    space.cache.reactor.onTrace?(
      TraceEvent(
        .batch, .begin, traceNumber, "file \(space.owner) pages \(plan.first.rawValue) +\(pages.count)",
        details: ["block": "\(plan.block.rawValue)", "cookie": "\(plan.cookie.blockSequence)"]))
  }

  func requestTimedOut(_ request: Request) {
    isTimedOut = true
    let error = PageCacheError.device(.timedOut(.write, offset: request.offset))
    for page in pages where page.isAttached {
      space.cache.writeback.noteStuck(page, of: space)
      space.setFailed(page, page.isFailed, isTimedOut: true)
      report(page, error)
      page.wakeWaiters()
    }
    space.batchDone.wakeAll()
    space.cache.writeback.batchEnded(failed: false, of: space)
  }

  /// Ends the writeback of a page that counts as written. Returns the units of the budget to give back.
  private func settle(_ page: Page) -> Int {
    space.setFailed(page, false)
    if space.cache.configuration.switchedOff.contains(.redirtiedStaysDirty) { space.clearDirty(page) }
    if page.isDirty { return 0 }
    space.cache.touch(page)
    return space.takeBudget(page)
  }

  private func fail(_ page: Page, _ error: PageCacheError) -> Int {
    let cache = space.cache
    if cache.configuration.marksFailedPagesClean {
      report(page, error)
      // It counts as written: its next failure is a new one.
      page.hasReportedError = false
      return settle(page)
    }
    if cache.configuration.switchedOff.contains(.retryOnNormalPath), pages.count > 1 {
      cache.writeback.retryOutsideThePlan(page, of: space, near: pages[0].index)
      return 0
    }
    if cache.configuration.switchedOff.contains(.failedPageStaysDirty), pages.count == 1 {
      report(page, error)
      return settle(page)
    }
    // It answers for whatever was dirty when it was dispatched, also when newer bytes came since.
    let dirtiedAt = page.dispatchedDirtiedAt
    _ = space.markDirty(page)
    page.dirtiedAt = min(page.dirtiedAt, dirtiedAt)
    if pages.count > 1 {
      page.mustGoAlone = true
      space.hasRetries = true
    } else {
      cache.writeback.becameFailed(page, of: space, error)
    }
    return 0
  }

  /// Enters the failure into the error sequence unless this page's is there already, and tells the calls that wait.
  func report(_ page: Page, _ error: PageCacheError) { space.report(page, error, dirtiedAt: page.dispatchedDirtiedAt) }
}

extension AddressSpace {
  func report(_ page: Page, _ error: PageCacheError, dirtiedAt: UInt64) {
    if !page.hasReportedError || cache.configuration.switchedOff.contains(.failureIsReportedOnce) {
      page.hasReportedError = true
      if !cache.configuration.switchedOff.contains(.errorIsTold) { errors.record(error) }
    }
    for call in activeFlushes where dirtiedAt < call.horizon { call.note(error) }
  }
}
