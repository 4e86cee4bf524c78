internal import CLinux
internal import Glibc

/// What other threads hand to a reactor.
enum Entry {
  case job(UnownedJob)
  case cancelWait(UInt64)
}

/// The way in for other threads, guarded by the only thread lock of the program.
///
/// A pthread mutex and not `Synchronization.Mutex`: the thread sanitizer does not see the latter's futex and reports
/// races that are none.
///
/// Sendable because the mutex guards all that changes; the descriptor never does.
@safe final class EntryQueue: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private var entries: [Entry] = []
  private var isSleeping = false
  /// The event descriptor that ends the reactor's sleep.
  let wakeDescriptor: Int32

  init() {
    unsafe mutex = .allocate(capacity: 1)
    unsafe pthread_mutex_init(mutex, nil)
    wakeDescriptor = cl_eventfd()
    precondition(wakeDescriptor >= 0, "eventfd failed with errno \(-wakeDescriptor)")
  }
  deinit {
    unsafe pthread_mutex_destroy(mutex)
    unsafe mutex.deallocate()
    close(wakeDescriptor)
  }

  private func withLock<R>(_ body: () -> R) -> R {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    return body()
  }

  /// From any thread: the reactor will take `entry` on its next turn.
  func append(_ entry: Entry) {
    let mustSignal = withLock {
      entries.append(entry)
      return isSleeping
    }
    if mustSignal { signal() }
  }

  /// Ends the reactor's sleep, or its next one.
  func signal() {
    var one: UInt64 = 1
    _ = unsafe write(wakeDescriptor, &one, 8)
  }

  /// Swaps the entries with `taken`, which must be empty, so that neither array is allocated anew.
  func take(into taken: inout [Entry]) { withLock { swap(&entries, &taken) } }

  /// Announces a sleep. Returns false when there is an entry to take first.
  func prepareToSleep() -> Bool {
    withLock {
      isSleeping = entries.isEmpty
      return isSleeping
    }
  }

  /// Sleeps until somebody writes to the descriptor or the time is over, and reads the descriptor empty.
  func sleep(timeoutNanoseconds: Int64) {
    _ = cl_wait_readable(wakeDescriptor, timeoutNanoseconds)
    withLock { isSleeping = false }
    var count: UInt64 = 0
    _ = unsafe read(wakeDescriptor, &count, 8)
  }
}
