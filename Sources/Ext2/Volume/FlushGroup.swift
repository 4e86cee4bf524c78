// Device flushes, shared by whoever needs one at the same time.
//
// A caller may share a flush only if that was submitted after the caller's last write completed: so it joins the next
// flush to be submitted, never one that is out. A flush that fails makes nothing durable: each of its callers gets the
// error, and every other opener with writes since the last good flush sees it once (the volume's error sequence).
internal import BlockDevice
internal import PageCache
internal import Reactor

final class FlushGroup {
  private final class Flush {
    let done: WaitQueue
    var isSubmitted = false
    var isDone = false
    var error: DeviceError?
    init(_ reactor: Reactor) { done = WaitQueue(reactor, "a flush") }
  }
  private let queue: RequestQueue
  private let durability: DurabilityClock
  private let switchedOff: SwitchedOffRules
  private var next: Flush?
  private var current: Flush?
  /// Told of each failed flush.
  var onError: ((DeviceError) -> Void)?

  init(_ queue: RequestQueue, _ durability: DurabilityClock, switchedOff: SwitchedOffRules) {
    self.queue = queue
    self.durability = durability
    self.switchedOff = switchedOff
  }

  /// Makes durable every write that was complete before the call.
  func flush() async throws(Ext2Error) {
    if switchedOff.contains(.flushAfterLastWrite), let current {
      await wait(for: current)
      return
    }
    if let next {
      await wait(for: next)
      if let error = next.error, !switchedOff.contains(.sharedFailureIsTold) { throw .device(error) }
      return
    }
    let flush = Flush(queue.reactor)
    next = flush
    do throws(DeviceError) {
      let request = try await queue.admit()
      // From here on newcomers need another one.
      next = nil
      current = flush
      flush.isSubmitted = true
      request.prepare(.flush, at: 0)
      let covered = durability.flushBegins()
      do throws(DeviceError) { try await queue.perform(request) } catch {
        durability.flushEnded(covered, isDurable: false, at: queue.reactor.now)
        throw error
      }
      durability.flushEnded(covered, isDurable: true, at: queue.reactor.now)
    } catch { flush.error = error }
    if next === flush { next = nil }
    flush.isDone = true
    if current === flush { current = nil }
    flush.done.wakeAll()
    if let error = flush.error {
      if !switchedOff.contains(.failedFlushIsRemembered) { onError?(error) }
      throw .device(error)
    }
  }

  private func wait(for flush: Flush) async {
    while !flush.isDone { await flush.done.wait() }
  }
}
