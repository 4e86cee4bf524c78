// How dirty pages find their blocks and their place in the queue. CookiePolicy, the default, is in Writeback.swift.
internal import BlockDevice

/// How writeback finds the blocks of what it writes, and when it asks for a place in the queue.
///
/// An experiment passes one of its own at mount (`PageCacheConfiguration.policy`). It is put together from what `Writeback`
/// offers: `plan`, `admit`, `validateAndDispatch`, `planAndDispatch`. Each of those keeps the rules by itself, so that a
/// policy may be slow but cannot write to a block that its file does not own.
public protocol WritebackPolicy: Sendable {
  /// Dispatches `page`, the next one of a pass, and whatever it takes along; or nothing, when the world has changed: it
  /// is called again while the pass has pages. Throws when the page's block cannot be found: the page *failed* then.
  func write(_ page: Page, _ pass: inout Writeback.Pass, _ writeback: Writeback) async throws(PageCacheError)
}

/// Take the place in the queue first, then plan and dispatch in one step: nothing can become stale in between. Where a
/// pointer block has to be read, the place goes back for that long.
public struct AdmitFirstPolicy: WritebackPolicy {
  /// Pages of a batch at most; the cache's cap may be smaller.
  public var pageLimit: Int
  /// The policy, with a limit of its own for experiments.
  public init(pageLimit: Int = .max) { self.pageLimit = pageLimit }
  public func write(
    _ page: Page, _ pass: inout Writeback.Pass, _ writeback: Writeback
  ) async throws(PageCacheError) {
    let request = try await writeback.admit()
    if let unread = writeback.planAndDispatch(request, &pass, limit: pageLimit) {
      _ = try await pass.space.mapper.lookUp(unread.index, limit: 1)
    }
  }
}

/// The policies that come with the library, by the names that the command line has for them.
public enum WritebackPolicyName: String, Sendable, CaseIterable {
  /// Map once, keep the extent with its cookie, compare before dispatch.
  case cookie
  /// Map each page when it is written; no batches but those that the queue merges.
  case perPage = "per-page"
  /// Take the place in the queue first, then plan and dispatch in one step.
  case admitFirst = "admit-first"

  /// The policy of that name.
  public var policy: any WritebackPolicy {
    switch self {
    case .cookie: CookiePolicy()
    case .perPage: AdmitFirstPolicy(pageLimit: 1)
    case .admitFirst: AdmitFirstPolicy()
    }
  }
}
