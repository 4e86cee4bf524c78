// Fsync's part of writeback.
internal import BlockDevice
internal import Reactor

extension Writeback {
  /// Writes every page of the file that is dirty or under writeback now, and returns when each is at the device or has
  /// failed. What is dirtied later does not count; a page that is detached meanwhile counts as done; each is attempted
  /// at most once alone. Goes on past errors and returns the first. No device flush is part of it.
  public func writeAll(of space: AddressSpace) async -> PageCacheError? {
    cache.flushCalls += 1
    let call = FlushCall(horizon: cache.flushCalls)
    space.activeFlushes.append(call)
    let before = space.batchNumber
    let pass = Pass(space: space, horizon: call.horizon)
    repeat {
      var walk = pass
      await write(&walk)
      await waitForBatches(of: space, after: before, call)
    } while nextPage(pass) != nil && !cache.configuration.switchedOff.contains(.fsyncWaitsForWriteback)
    space.activeFlushes.removeAll { $0 === call }
    return call.firstError
  }

  /// Waits until every batch that holds a page of the call is complete or past its deadline, whoever dispatched it: the
  /// pages of a failed batch may go out again with background writeback before the call looks.
  private func waitForBatches(of space: AddressSpace, after first: UInt64, _ call: FlushCall) async {
    let ignoresEarlier = cache.configuration.switchedOff.contains(.fsyncWaitsForWriteback)
    func isAwaited(_ batch: WriteBatch) -> Bool {
      !batch.isTimedOut && !(ignoresEarlier && batch.number <= first)
        && batch.pages.contains { $0.isAttached && $0.dispatchedDirtiedAt < call.horizon }
    }
    while space.batchesInFlight.contains(where: isAwaited) { await space.batchDone.wait() }
    for batch in space.batchesInFlight where batch.isTimedOut {
      for page in batch.pages where page.isAttached && page.dispatchedDirtiedAt < call.horizon {
        call.note(.device(.timedOut(.write, offset: page.index.rawValue &* UInt64(page.byteCount))))
      }
    }
  }

  /// Writes until no page of the file that can be written is dirty or in flight: before its inode leaves memory.
  public func drain(_ space: AddressSpace) async {
    _ = await writeAll(of: space)
  }
}
