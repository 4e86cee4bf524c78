import BlockDevice
import PageCache
import Support
import Testing

// The race tests are lettered as in the list of deterministic cases that the kernel's discussion of the truncate race
// leads to; E and F do not apply, since writeback allocates nothing and pages are not mapped into processes.

@Suite("Truncate against writeback")
struct RaceTests {
  /// Four batches of two pages are held at the device and fill the queue; the plan for pages 8 and 9 waits for a place.
  /// It is background writeback's: fsync would not touch pages that are written again after its call.
  static let queued = ToyOptions().with {
    $0.backgroundPageCount = 11
    $0.batchPageLimit = 2
    $0.placeCount = 4
    $0.leafPageCount = 32
  }

  /// Writes 12 pages of file 0 on blocks 0 to 11 and lets writeback come to where its fifth plan waits for admission.
  static func stopBeforeAdmission(_ volume: isolated ToyVolume) async throws {
    volume.hold { $0.operation == .write }
    try await volume.write(0, at: 0, count: 12 * pageSize)
    try await volume.until("the queue is full") { volume.queue.outstandingCount == 4 }
    await volume.settle()
  }

  @Test("A: a page truncated and written again while its batch waits goes to its new block")
  func canonical() {
    script(Self.queued) { volume in
      try await Self.stopBeforeAdmission(volume)
      try await volume.truncate(0, to: 8 * pageSize)
      volume.blocks.setRotor(8)
      try await volume.write(1, at: 0, count: 4 * pageSize)
      volume.expect(volume.files[1].map[0] == 8, "another file has got block 8")
      try await volume.write(0, at: 8 * pageSize, count: 2 * pageSize)
      volume.release()
      try await volume.until("the batch is discarded") { volume.cache.writeback.counters.staleBatches > 0 }
      try await volume.fsync(volume.open(0))
      let counters = volume.cache.writeback.counters
      volume.expect(counters.staleBatches == 1 && counters.staleAfterFree == 1, "one batch was stale after a free")
      volume.expect(counters.replannedPages == 2, "its two pages were planned again")
    }
  }

  @Test("B: a page that gets its old block back is written once, with its new bytes")
  func sameBlock() {
    script(Self.queued) { volume in
      try await Self.stopBeforeAdmission(volume)
      try await volume.truncate(0, to: 8 * pageSize)
      volume.blocks.setRotor(8)
      try await volume.write(0, at: 8 * pageSize, count: 2 * pageSize)
      volume.expect(volume.files[0].map[8] == 8, "page 8 is on its old block")
      let count = RequestCount()
      volume.treat { request in
        count.count(request)
        return .proceed
      }
      volume.disk?.release()
      try await volume.until("the batch is discarded") { volume.cache.writeback.counters.staleBatches > 0 }
      try await volume.fsync(volume.open(0))
      volume.expect(count.writes[8] == 1 && count.writes[9] == 1, "blocks 8 and 9 were written once")
      volume.expect(volume.cache.writeback.counters.staleAfterFree == 1, "the batch was stale")
    }
  }

  @Test(
    "C: a truncate during the lookup makes its extent stale",
    arguments: [ToyBlockMap.HoldPoint.beforeFinding, .afterFinding])
  func duringLookup(_ point: ToyBlockMap.HoldPoint) {
    script { volume in
      try await volume.write(0, at: 0, count: 4 * pageSize)
      let handle = volume.open(0), map = volume.files[0].map
      map.holdNext = point
      async let fsync: Void = volume.fsync(handle)
      try await volume.until("the lookup is held") { map.heldCount == 1 }
      try await volume.truncate(0, to: 0)
      volume.blocks.setRotor(0)
      try await volume.write(1, at: 0, count: 4 * pageSize)
      try await volume.write(0, at: 0, count: 2 * pageSize)
      map.releaseLookUps()
      try await fsync
      let counters = volume.cache.writeback.counters
      volume.expect(counters.staleBatches == counters.staleAfterFree, "allocations alone made nothing stale")
    }
  }

  @Test("D: a truncate does not wait for a write in flight; the block's bit does")
  func blockWaits() {
    script { volume in
      try await volume.write(0, at: 0, count: pageSize)
      volume.hold { $0.writes(0) }
      let handle = volume.open(0)
      let fsync = Task(executorPreference: volume.reactor) { try await volume.fsync(handle) }
      try await volume.until("the write is held") { volume.heldCount == 1 }
      try await volume.truncate(0, to: 0)
      volume.expect(volume.heldCount == 1, "truncate returned with the write in flight")
      volume.expect(volume.blocks.states[0] == .pending(file: 0, page: 0), "the block is pending")
      volume.expect(volume.cache.dirtyCount == 0, "the page has given its budget back")
      volume.blocks.setRotor(0)
      try await volume.write(1, at: 0, count: pageSize)
      volume.expect(volume.files[1].map[0] == 1, "nobody gets the block")
      volume.release()
      try await fsync.value
      try await volume.until("the block is free") { volume.blocks.states[0] == .free }
    }
  }

  @Test("G: a writer on a full volume waits for the write to a freed block, and then gets the block")
  func fullVolume() {
    script(.scripted.with { $0.blockCount = 20 }) { volume in
      try await volume.write(0, at: 0, count: 20 * pageSize)
      volume.hold { $0.writes(0) }
      let handle = volume.open(0)
      let fsync = Task(executorPreference: volume.reactor) { try await volume.fsync(handle) }
      try await volume.until("the write is held") { volume.heldCount == 1 }
      try await volume.truncate(0, to: 0)
      let write = Task(executorPreference: volume.reactor) { try await volume.write(1, at: 0, count: pageSize) }
      await volume.settle()
      volume.expect(volume.files[1].byteCount == 0 || volume.files[1].map[0] != 0, "the block is nobody's yet")
      volume.release()
      try await fsync.value
      try await write.value
    }
  }

  @Test("ENOSPC is reported when nothing is pending, and takes nothing with it")
  func noSpace() {
    script(.scripted.with { $0.blockCount = 20 }) { volume in
      try await volume.write(0, at: 0, count: 20 * pageSize)
      await #expect(throws: ToyError.noSpace) { try await volume.write(1, at: 0, count: pageSize) }
      try await volume.read(0, at: 0, count: 20 * pageSize)
    }
  }

  @Test("H: a stale batch that fails when it goes again is written page by page")
  func failureAfterStale() {
    script(Self.queued) { volume in
      try await Self.stopBeforeAdmission(volume)
      try await volume.truncate(0, to: 8 * pageSize)
      volume.blocks.setRotor(8)
      try await volume.write(1, at: 0, count: 4 * pageSize)
      try await volume.write(0, at: 8 * pageSize, count: 2 * pageSize)
      var failuresLeft = 1
      volume.treat { request in
        guard request.writes(12), failuresLeft > 0 else { return .proceed }
        failuresLeft -= 1
        return .failWithIOError
      }
      volume.disk?.release()
      try await volume.until("the batch is discarded") { volume.cache.writeback.counters.staleBatches > 0 }
      try await volume.fsync(volume.open(0))
      volume.expect(failuresLeft == 0, "the batch has failed")
      volume.expect(volume.cache.writeback.counters.staleBatches == 1, "the batch was stale before")
    }
  }

  @Test("I: fsync, background writeback and truncates of one file end", arguments: WritebackPolicyName.allCases)
  func twoWritebacks(_ policy: WritebackPolicyName) {
    let options = ToyOptions().with {
      $0.policy = policy.policy
      $0.backgroundPageCount = 0
      $0.tagCount = 1
      $0.placeCount = 4
      $0.lookUpReadsOneIn = 2
    }
    script(options, seeds: 0..<32) { volume in
      let handle = volume.open(0)
      async let syncs: Void = { for _ in 0..<6 { try await volume.fsync(handle) } }()
      for round in 0..<12 {
        try await volume.write(0, at: 0, count: 10 * pageSize)
        await volume.pause(UInt64(round) * 7_000)
        try await volume.truncate(0, to: round % 3 * pageSize + round)
      }
      try await syncs
    }
  }

  @Test("an allocation while a batch waits discards it once, and nothing is lost")
  func allocationOnly() {
    script(Self.queued) { volume in
      try await Self.stopBeforeAdmission(volume)
      try await volume.write(0, at: 20 * pageSize, count: pageSize)
      volume.release()
      try await volume.fsync(volume.open(0))
      let counters = volume.cache.writeback.counters
      volume.expect(counters.staleAfterAllocation == 1 && counters.staleAfterFree == 0, "stale after an allocation")
    }
  }

  @Test("changes of one file make no batch of another stale")
  func otherFile() {
    script(Self.queued) { volume in
      try await volume.write(1, at: 0, count: 4 * pageSize)
      try await volume.fsync(volume.open(1))
      try await Self.stopBeforeAdmission(volume)
      try await volume.truncate(1, to: 0)
      try await volume.write(1, at: 0, count: 2 * pageSize)
      volume.release()
      try await volume.fsync(volume.open(0))
      volume.expect(volume.cache.writeback.counters.staleBatches == 0, "nothing was stale")
    }
  }

  @Test("a cached extent is not used under a newer cookie")
  func cachedExtent() {
    script { volume in
      try await volume.write(0, at: 0, count: 8 * pageSize)
      try await volume.fsync(volume.open(0))
      try await volume.truncate(0, to: pageSize)
      volume.blocks.setRotor(1)
      try await volume.write(1, at: 0, count: 7 * pageSize)
      try await volume.write(0, at: pageSize, count: 3 * pageSize)
      try await volume.fsync(volume.open(0))
      volume.expect(volume.cache.writeback.counters.staleBatches == 0, "the extent was looked up anew before any batch")
    }
  }

  @Test("a file removed and its number given to another while fsync waits harms neither")
  func reusedNumber() {
    script { volume in
      try await volume.write(0, at: 0, count: 4 * pageSize)
      volume.hold { $0.operation == .write }
      let handle = volume.open(0)
      let fsync = Task(executorPreference: volume.reactor) { try await volume.fsync(handle) }
      try await volume.until("the write is held") { volume.heldCount == 1 }
      try await volume.replace(0, number: 0)
      try await volume.write(0, at: 0, count: 4 * pageSize)
      await volume.settle()
      volume.release()
      try await fsync.value
      try await volume.fsync(volume.open(0))
    }
  }
}
