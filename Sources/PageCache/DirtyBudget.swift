internal import DequeModule
internal import Reactor

/// The rights to dirty a page: `limit` of them, granted first come first served.
///
/// A unit belongs to a page until the page is neither dirty nor under writeback, or is detached. Some steps may exceed
/// the limit (`force`): truncate dirties the page of the new end without waiting.
final class DirtyBudget {
  private struct Waiter {
    let count: Int
    let resumption: Resumption
  }
  let limit: Int
  private let reactor: Reactor
  private(set) var used = 0
  /// Units of pages that cannot be written: failed or past their deadline.
  private(set) var stuck = 0
  private var waiters = Deque<Waiter>()
  /// Called when somebody begins to wait: writeback has something to do.
  var onWait: (() -> Void)?

  init(_ reactor: Reactor, limit: Int) {
    self.reactor = reactor
    self.limit = limit
  }

  var hasWaiters: Bool { !waiters.isEmpty }

  /// Waits for `count` units. Returns false, with none taken, when everything that is used is stuck.
  func reserve(_ count: Int) async -> Bool {
    precondition(count <= limit, "a piece of work is larger than the dirty limit")
    if reserveNow(count) { return true }
    if isStuck { return false }
    let record = reactor.willWait("\(count) pages of the dirty limit")
    let outcome = await suspend {
      waiters.append(Waiter(count: count, resumption: $0))
      onWait?()
    }
    reactor.didWait(record)
    return outcome == 0
  }

  /// Takes `count` units if they are there and nobody comes before.
  func reserveNow(_ count: Int) -> Bool {
    guard waiters.isEmpty, used + count <= limit else { return false }
    used += count
    return true
  }

  func force() { used += 1 }

  func release(_ count: Int) {
    used -= count
    grant()
    if isStuck { refuseWaiters() }
  }

  func changeStuck(by count: Int) {
    stuck += count
    if isStuck { refuseWaiters() }
  }

  private func refuseWaiters() {
    while let waiter = waiters.popFirst() { reactor.resume(waiter.resumption, returning: 1) }
  }

  private var isStuck: Bool { used > 0 && stuck >= used }

  private func grant() {
    while let first = waiters.first, used + first.count <= limit {
      used += first.count
      waiters.removeFirst()
      reactor.resume(first.resumption)
    }
  }
}
