/// A fair lock held across suspensions. Confined to one reactor; it is no thread lock.
public final class AsyncLock {
  private let queue: WaitQueue
  /// Whether somebody holds it.
  public private(set) var isLocked = false

  /// An open lock. `name` completes the sentence "task waits for …", with `number` after it where there is one.
  public init(_ reactor: Reactor, _ name: String, _ number: UInt64? = nil) { queue = WaitQueue(reactor, name, number) }

  /// Takes the lock, after everybody who asked before.
  public func lock() async {
    if isLocked { await queue.wait() } else { isLocked = true }
  }

  /// Takes the lock if it is free, without waiting.
  public func tryLock() -> Bool {
    if isLocked { return false }
    isLocked = true
    return true
  }

  /// As `lock`, but ends early when the task is cancelled. Returns whether the lock is held.
  public func lockInterruptibly() async -> Bool {
    if !isLocked {
      isLocked = true
      return true
    }
    return await queue.waitInterruptibly() == .woken
  }

  /// Gives the lock to the next waiter, or opens it. Only the holder may call it.
  public func unlock() {
    precondition(isLocked, "unlock of an open lock")
    if !queue.wakeOne() { isLocked = false }
  }
}
