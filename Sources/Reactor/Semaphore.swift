/// Counted rights, granted first come first served. Confined to one reactor.
public final class Semaphore {
  private let queue: WaitQueue
  /// Rights nobody holds.
  public private(set) var available: Int

  /// A semaphore with `count` rights. `name` completes the sentence "task waits for …".
  public init(_ reactor: Reactor, _ name: String, count: Int) {
    available = count
    queue = WaitQueue(reactor, name)
  }

  /// Takes one right, waiting for it if need be.
  public func acquire() async {
    if available > 0 { available -= 1 } else { await queue.wait() }
  }

  /// As `acquire`, but ends early when the task is cancelled. Returns whether a right was taken.
  public func acquireInterruptibly() async -> Bool {
    if available > 0 {
      available -= 1
      return true
    }
    return await queue.waitInterruptibly() == .woken
  }

  /// Gives one right back; it goes straight to the first waiter.
  public func release() {
    if !queue.wakeOne() { available += 1 }
  }
}
