internal import BlockDevice
package import PageCache
internal import Reactor

/// A flush that several callers wait for.
final class FlushTicket {
  let done: WaitQueue
  var isDone = false
  var error: PageCacheError?
  init(_ reactor: Reactor) { done = WaitQueue(reactor, "a flush") }
}

extension ToyVolume {
  /// Opens a file: what it has not seen of errors yet begins here. Returns the handle's number.
  package func open(_ position: Int) -> Int {
    let file = files[position]
    handles.append(
      ToyHandle(
        file: file, cursor: file.space.errors.sample(), volumeCursor: flushErrors.sample(),
        knownFlushFailures: flushFailures))
    return handles.count - 1
  }

  /// Makes durable what the file contains at the call. Goes on past errors and throws the first. When it returns without
  /// one, what it promised is compared with what the disk would keep at a power cut.
  package func fsync(_ handle: Int) async throws(PageCacheError) {
    let file = handles[handle].file
    let promised = changes
    var error = await cache.writeback.writeAll(of: file.space)
    let flushError = await flush()
    error = error ?? flushError
    let reported = file.space.errors.check(&handles[handle].cursor)
    let flushReported = flushErrors.check(&handles[handle].volumeCursor)
    let isAllFlushed = handles[handle].knownFlushFailures == flushFailures
    handles[handle].knownFlushFailures = flushFailures
    if let error = error ?? reported ?? flushReported { throw error }
    if !isAllFlushed { fail("an opener of file \(file.number) was not told of a failed flush") }
    checkPromise(file, changesThrough: promised)
  }

  /// A flush that was submitted after this call, shared with whoever asks before its submission.
  func flush() async -> PageCacheError? {
    if let ticket = joinable {
      while !ticket.isDone { await ticket.done.wait() }
      return ticket.error
    }
    let ticket = FlushTicket(reactor)
    joinable = ticket
    do throws(DeviceError) {
      let request = try await queue.admit()
      if !options.switchedOff.contains(.flushAfterLastWrite) { joinable = nil }
      request.prepare(.flush, at: 0)
      try await queue.perform(request)
    } catch {
      ticket.error = .device(error)
      flushFailures += 1
      if !options.switchedOff.contains(.failedFlushIsRemembered) { flushErrors.record(.device(error)) }
    }
    if joinable === ticket { joinable = nil }
    ticket.isDone = true
    ticket.done.wakeAll()
    return ticket.error
  }

  /// Discards freed blocks until it is told to stop and none is left.
  func runDiscards() async {
    while runsDiscards || blocks.hasPending {
      guard let range = blocks.nextDiscard() else {
        await blocks.discardWork.wait()
        continue
      }
      guard let request = try? await queue.admit() else {
        blocks.discardRefused(range)
        continue
      }
      request.prepare(
        .discard, at: UInt64(range.lowerBound * options.pageByteCount),
        byteCount: range.count * options.pageByteCount)
      blocks.discardQueued(range)
      var isStillOut = false
      do throws(DeviceError) { try await queue.perform(request) } catch {
        if case .timedOut = error { isStillOut = true }
      }
      blocks.discardEnded(range, isStillOut: isStillOut)
    }
  }
}
