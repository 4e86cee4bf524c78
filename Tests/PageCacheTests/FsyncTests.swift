import BlockDevice
import PageCache
import Reactor
import Support
import Testing

@Suite("Fsync")
struct FsyncTests {
  @Test("waits for pages that are under writeback at the call")
  func waitsForWriteback() {
    script { volume in
      try await volume.write(0, at: 0, count: pageSize)
      volume.hold { $0.writes(0) }
      let first = volume.open(0), second = volume.open(0)
      let one = Task(executorPreference: volume.reactor) { try await volume.fsync(first) }
      try await volume.until("the write is held") { volume.heldCount == 1 }
      let flushes = volume.queue.counters.flushes
      let two = Task(executorPreference: volume.reactor) { try await volume.fsync(second) }
      await volume.settle()
      volume.expect(volume.queue.counters.flushes == flushes, "neither has come to its flush")
      volume.release()
      try await one.value
      try await two.value
    }
  }

  @Test("a page dirtied while under writeback is written once more, after the first write")
  func onceMore() {
    script { volume in
      try await volume.write(0, at: 0, count: pageSize)
      let count = RequestCount()
      volume.treat { request in
        count.count(request)
        return request.writes(0) && count.writes[0] == 1 ? .hold : .proceed
      }
      let first = volume.open(0), second = volume.open(0)
      let one = Task(executorPreference: volume.reactor) { try await volume.fsync(first) }
      try await volume.until("the write is held") { volume.heldCount == 1 }
      try await volume.write(0, at: 0, count: pageSize)
      let two = Task(executorPreference: volume.reactor) { try await volume.fsync(second) }
      await volume.settle()
      volume.expect(count.writes[0] == 1, "there is one write in flight")
      volume.disk?.release()
      try await one.value
      try await two.value
      volume.expect(count.writes[0] == 2, "the page was written twice in all")
    }
  }

  @Test("what is dirtied after the call does not count")
  func laterPages() {
    script { volume in
      try await volume.write(0, at: 0, count: 4 * pageSize)
      volume.hold { $0.writes(0) }
      let handle = volume.open(0)
      let fsync = Task(executorPreference: volume.reactor) { try await volume.fsync(handle) }
      try await volume.until("the write is held") { volume.heldCount == 1 }
      try await volume.write(0, at: 10 * pageSize, count: pageSize)
      volume.release()
      try await fsync.value
      volume.expect(volume.page(0, 10)?.isDirty == true, "the later page is dirty still")
    }
  }

  @Test("a page that is truncated during the call counts as done")
  func detachedPage() {
    script { volume in
      try await volume.write(0, at: 0, count: pageSize)
      volume.hold { $0.writes(0) }
      let handle = volume.open(0)
      let fsync = Task(executorPreference: volume.reactor) { try await volume.fsync(handle) }
      try await volume.until("the write is held") { volume.heldCount == 1 }
      try await volume.truncate(0, to: 0)
      try await fsync.value
      volume.expect(volume.heldCount == 1, "fsync has ended before the write")
    }
  }

  @Test("ends though the block tree never stands still, and an admission costs at most one discard")
  func steadyChanges() {
    script(.scripted.with { $0.batchPageLimit = 1 }, seeds: 0..<16) { volume in
      try await volume.write(0, at: 0, count: 8 * pageSize)
      let handle = volume.open(0)
      let changes = Task(executorPreference: volume.reactor) { await volume.changeWithoutEnd() }
      try await volume.fsync(handle)
      changes.cancel()
      volume.expect(await changes.value < 5_000, "fsync ended while the tree was changing")
      let counters = volume.cache.writeback.counters
      volume.expect(counters.staleBatches <= counters.batches, "no admission cost more than one discard")
    }
  }

  @Test("pages of a failed batch that background writeback takes up are waited for")
  func failedBatchTakenUp() {
    let options = ToyOptions().with { $0.backgroundPageCount = 0 }
    script(options, seeds: 0..<64) { volume in
      var failuresLeft = 2
      volume.treat { request in
        guard request.operation == .write, request.transferByteCount > pageSize, failuresLeft > 0 else {
          return .proceed
        }
        failuresLeft -= 1
        return .failWithIOError
      }
      try await volume.write(0, at: 0, count: 4 * pageSize)
      try await volume.fsync(volume.open(0))
    }
  }

  @Test("flushes that fail are told to every opener once")
  func failedFlush() {
    script { volume in
      try await volume.write(0, at: 0, count: pageSize)
      try await volume.write(1, at: 0, count: pageSize)
      let a = volume.open(0), b = volume.open(1)
      volume.treat { $0.operation == .flush ? .failWithIOError : .proceed }
      await #expect(throws: PageCacheError.self) { try await volume.fsync(a) }
      volume.release()
      await #expect(throws: PageCacheError.self) { try await volume.fsync(b) }
      try await volume.fsync(a)
      try await volume.fsync(b)
    }
  }
}

extension ToyVolume {
  /// Adds and frees a block far behind in file 0 until it is cancelled. Returns how often.
  fileprivate func changeWithoutEnd() async -> Int {
    var rounds = 0
    while rounds < 5_000, !Task.isCancelled {
      try? await write(0, at: 20 * pageSize, count: pageSize)
      await pause(1_000)
      try? await truncate(0, to: 20 * pageSize)
      await pause(1_000)
      rounds += 1
    }
    return rounds
  }
}
