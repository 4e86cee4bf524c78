import BlockDevice
import PageCache
import Reactor
import Support
import Testing

/// Sees whether a cache is still there. Sendable because one thread runs the script and looks afterwards.
private final class WeakCache: @unchecked Sendable {
  weak var cache: PageCache?
}

@Suite("Batches, failures and limits of writeback")
struct WritebackTests {
  @Test(
    "contiguous pages become as few batches as the cap allows, across pointer blocks too",
    arguments: [(1, 4, 8), (4, 4, 8), (23, 4, 8), (23, 16, 8), (23, 23, 5), (24, 8, 3), (30, 64, 1)])
  func batchCount(_ pages: Int, _ cap: Int, _ leaf: Int) {
    let options = ToyOptions.scripted.with {
      $0.batchPageLimit = cap
      $0.leafPageCount = leaf
      $0.dirtyPageLimit = 40
    }
    script(options) { volume in
      try await volume.write(0, at: 0, count: pages * pageSize)
      try await volume.fsync(volume.open(0))
      let counters = volume.cache.writeback.counters, batches = UInt64((pages + cap - 1) / cap)
      volume.expect(counters.batches == batches, "\(counters.batches) batches are \(batches)")
      volume.expect(volume.queue.counters.writes <= batches, "there are at most as many device writes")
      volume.expect(counters.pages == pages, "each page went once")
      volume.expect(counters.lookups <= UInt64((pages + leaf - 1) / leaf), "each pointer block was looked up once")
    }
  }

  @Test("a failed batch is written page by page, and only the page that fails alone is failed")
  func oneBadBlock() {
    script { volume in
      try await volume.write(0, at: 0, count: 4 * pageSize)
      let a = volume.open(0), b = volume.open(0)
      volume.treat { $0.writes(2) ? .failWithIOError : .proceed }
      await #expect(throws: PageCacheError.self) { try await volume.fsync(a) }
      volume.expect([0, 1, 3].allSatisfy { volume.page(0, $0)?.isDirty == false }, "the others are clean")
      volume.expect(volume.page(0, 2)?.isFailed == true, "page 2 is failed")
      await #expect(throws: PageCacheError.self) { try await volume.fsync(a) }
      volume.release()
      await #expect(throws: PageCacheError.self) { try await volume.fsync(b) }
      try await volume.fsync(a)
      try await volume.fsync(b)
      let late = volume.open(0)
      try await volume.fsync(late)
    }
  }

  @Test("a page that failed is written by itself when its time has come")
  func backOff() {
    script(ToyOptions().with { $0.backgroundPageCount = 0 }) { volume in
      volume.treat { $0.operation == .write ? .failWithIOError : .proceed }
      try await volume.write(0, at: 0, count: pageSize)
      try await volume.until("the page is failed") { volume.page(0, 0)?.isFailed == true }
      await volume.settle()
      // After one second, two more, four more: as often as the time has bits; from a minute on once a minute. (A
      // simulated clock may run ahead.)
      let seconds = volume.reactor.now.nanoseconds / 1_000_000_000
      let most = 2 + UInt64(64 - seconds.leadingZeroBitCount) + seconds / 60
      volume.expect(volume.queue.counters.writes <= most, "it is not tried in a loop")
      volume.release()
      for _ in 0..<70 where volume.page(0, 0)?.isDirty == true { await volume.pause(1_000_000_000) }
      volume.expect(volume.page(0, 0)?.isDirty == false, "it was written")
    }
  }

  @Test("a page that failed has no other file written before its time")
  func failedAlone() {
    // Where the clock does not run ahead of tasks that are held back.
    script(ToyOptions(), seeds: 0..<1) { volume in
      volume.treat { $0.writes(0) ? .failWithIOError : .proceed }
      try await volume.write(0, at: 0, count: pageSize)
      let handle = volume.open(0)
      await #expect(throws: PageCacheError.self) { try await volume.fsync(handle) }
      try await volume.write(1, at: 0, count: pageSize)
      await volume.pause(4_000_000_000)
      volume.expect(volume.page(0, 0)?.isFailed == true, "the page has been tried again in vain")
      volume.expect(volume.page(1, 0)?.isDirty == true, "the other file is dirty still")
    }
  }

  @Test("as Linux does: failed pages are clean, and each failure is reported once")
  func marksClean() {
    script(.scripted.with { $0.marksFailedPagesClean = true }) { volume in
      let handle = volume.open(0)
      for _ in 0..<2 {
        volume.treat { $0.operation == .write ? .failWithIOError : .proceed }
        try await volume.write(0, at: 0, count: 2 * pageSize)
        await #expect(throws: PageCacheError.self) { try await volume.fsync(handle) }
        volume.expect(volume.page(0, 0)?.isDirty == false, "the page is clean")
        volume.release()
        try await volume.fsync(handle)
      }
      // Failures of writes nobody waited for are in the error sequence alone.
      volume.treat { $0.operation == .write ? .failWithIOError : .proceed }
      try await volume.write(0, at: 0, count: pageSize)
      _ = await volume.cache.writeback.writeAll(of: volume.files[0].space)
      volume.release()
      await #expect(throws: PageCacheError.self) { try await volume.fsync(handle) }
      try await volume.write(0, at: 0, count: 2 * pageSize)
    }
  }

  @Test("on a dead device writers and fsync end with the error")
  func deadDevice() {
    let options = ToyOptions().with {
      $0.dirtyPageLimit = 8
      $0.backgroundPageCount = 0
    }
    script(options) { volume in
      volume.treat { $0.operation == .read ? .proceed : .failWithIOError }
      await #expect(throws: PageCacheError.self) { try await volume.write(0, at: 0, count: 30 * pageSize) }
      await #expect(throws: PageCacheError.self) { try await volume.fsync(volume.open(0)) }
      await #expect(throws: PageCacheError.self) { try await volume.write(1, at: 0, count: 8 * pageSize) }
    }
  }

  @Test("a deadline ends waits and nothing else: the block stays taken until the write lands")
  func deadline() {
    script(.scripted.with { $0.timeoutNanoseconds = 1_000_000 }) { volume in
      try await volume.write(0, at: 0, count: pageSize)
      volume.hold { $0.writes(0) }
      let handle = volume.open(0)
      await #expect(throws: PageCacheError.self) { try await volume.fsync(handle) }
      volume.expect(volume.heldCount == 1, "the write is still out")
      try await volume.truncate(0, to: 0)
      volume.blocks.setRotor(0)
      try await volume.write(1, at: 0, count: 4 * pageSize)
      volume.expect(volume.blocks.states[0] == .pending(file: 0, page: 0), "its block is nobody's")
      volume.release()
      try await volume.until("the block is free") { volume.blocks.states[0] == .free }
    }
  }

  @Test("a page past its deadline that lands later is clean, and what was written to it since is written too")
  func lateLanding() {
    script(ToyOptions().with { $0.timeoutNanoseconds = 1_000_000 }) { volume in
      try await volume.write(0, at: 0, count: pageSize)
      volume.hold { $0.writes(0) }
      let handle = volume.open(0)
      await #expect(throws: PageCacheError.self) { try await volume.fsync(handle) }
      try await volume.write(0, at: 0, count: 100)
      await #expect(throws: PageCacheError.self) { try await volume.fsync(handle) }
      volume.release()
      try await volume.until("the write has landed") { volume.page(0, 0)?.isUnderWriteback == false }
      try await volume.fsync(handle)
    }
  }

  @Test("writers that wait for the dirty limit behind a write past its deadline end with the error")
  func stuckBehindDeadline() {
    let options = ToyOptions().with {
      $0.timeoutNanoseconds = 1_000_000
      $0.dirtyPageLimit = 8
      $0.backgroundPageCount = 0
    }
    script(options) { volume in
      volume.hold { $0.operation == .write }
      do {
        try await volume.write(1, at: 0, count: 20 * pageSize)
        volume.fail("the write went through")
      } catch PageCacheError.stuck(let owner, _) {
        volume.expect(owner == 1, "the error names the file")
      }
    }
  }

  @Test("a lookup that fails further on does not fail the page before it")
  func lookUpFailsFurtherOn() {
    script(.scripted.with { $0.leafPageCount = 2 }) { volume in
      try await volume.write(0, at: 0, count: 4 * pageSize)
      volume.files[0].map.failingPages = 2..<4
      let handle = volume.open(0)
      await #expect(throws: PageCacheError.self) { try await volume.fsync(handle) }
      volume.expect(
        volume.page(0, 0)?.isDirty == false && volume.page(0, 1)?.isDirty == false, "pages 0, 1 are written")
      volume.expect(volume.page(0, 2)?.isFailed == true, "page 2 is failed")
      volume.files[0].map.failingPages = 0..<0
      try await volume.fsync(handle)
    }
  }

  @Test("the page whose pointer block cannot be read is the one that fails", arguments: WritebackPolicyName.allCases)
  func rightPageFails(_ policy: WritebackPolicyName) {
    let options = ToyOptions.scripted.with {
      $0.leafPageCount = 2
      $0.policy = policy.policy
    }
    script(options) { volume in
      try await volume.write(0, at: 0, count: 4 * pageSize)
      volume.files[0].map.missingLeaves = [0, 1]
      volume.files[0].map.failingPages = 2..<4
      let handle = volume.open(0)
      await #expect(throws: PageCacheError.self) { try await volume.fsync(handle) }
      volume.expect(
        volume.page(0, 0)?.isDirty == false && volume.page(0, 1)?.isDirty == false, "pages 0, 1 are written")
      volume.expect(volume.page(0, 2)?.isFailed == true && volume.page(0, 3)?.isFailed == true, "pages 2, 3 are failed")
      volume.files[0].map.failingPages = 0..<0
      try await volume.fsync(handle)
    }
  }

  @Test("an appender that writeback keeps up with gets full batches", arguments: WritebackPolicyName.allCases)
  func appender(_ policy: WritebackPolicyName) {
    let options = ToyOptions().with {
      $0.backgroundPageCount = 1
      $0.batchPageLimit = 8
      $0.leafPageCount = 64
      $0.blockCount = 96
      $0.policy = policy.policy
    }
    // Where the clock does not run ahead of tasks that are held back, and pages do not become old.
    script(options, seeds: 0..<1) { volume in
      for page in 0..<64 {
        try await volume.write(0, at: page * pageSize, count: pageSize)
        await volume.reactor.pass()
      }
      try await volume.fsync(volume.open(0))
      let most: UInt64 = policy == .perPage ? 64 : 10
      volume.expect(volume.cache.writeback.counters.batches <= most, "the file's end waited for more")
    }
  }

  @Test("the end of a file that does not grow any more does not wait")
  func endedAppender() {
    script(ToyOptions().with { $0.backgroundPageCount = 1 }) { volume in
      for page in 0..<4 { try await volume.write(0, at: page * pageSize, count: pageSize) }
      try await volume.until("all is written") { volume.cache.dirtyCount <= 1 }
    }
  }

  @Test("the end of a file waits for no batch that is past its deadline", arguments: [1, 2])
  func endBehindDeadline(growths: Int) {
    let options = ToyOptions().with {
      $0.backgroundPageCount = 0
      $0.batchPageLimit = 8
      $0.timeoutNanoseconds = 1_000_000
    }
    script(options) { volume in
      volume.hold { $0.writes(0) }
      try await volume.write(0, at: 0, count: pageSize)
      try await volume.until("the first page is at the device") { volume.heldCount == 1 }
      for page in 1...growths {
        try await volume.write(0, at: page * pageSize, count: pageSize)
        // A tenth of the age at which pages are written whatever the thresholds say.
        var waited = 0
        while volume.page(0, page)?.isDirty == true && waited < 3000 {
          await volume.pause(1_000_000)
          waited += 1
        }
        volume.expect(volume.page(0, page)?.isDirty == false, "page \(page) did not wait for it")
      }
      volume.expect(volume.heldCount == 1, "the first page is still out")
    }
  }

  @Test("pages apart from each other near the end of a file do not wait for one another")
  func scatteredNearTheEnd() {
    let options = ToyOptions().with {
      $0.backgroundPageCount = 0
      $0.batchPageLimit = 8
    }
    script(options) { volume in
      try await volume.write(0, at: 0, count: 6 * pageSize)
      try await volume.fsync(volume.open(0))
      volume.hold { $0.operation == .write }
      for page in [0, 2, 4] { try await volume.write(0, at: page * pageSize, count: pageSize) }
      try await volume.until("all three are at the device") { volume.heldCount == 3 }
      volume.release()
    }
  }

  @Test("pages of writers that take turns lie side by side in memory: a batch has few segments")
  func segments() {
    let options = ToyOptions.scripted.with {
      $0.cachePageCount = 256
      $0.blockCount = 96
      $0.dirtyPageLimit = 96
      $0.leafPageCount = 64
    }
    script(options) { volume in
      for page in 0..<32 {
        for file in 0..<2 {
          if page == 0 { volume.blocks.setRotor(40 * file) }
          try await volume.write(file, at: page * pageSize, count: pageSize)
        }
      }
      var pages = 0, segments = 0
      volume.treat { request in
        if request.operation == .write {
          pages += request.transferByteCount / pageSize
          segments += request.segmentCount
        }
        return .proceed
      }
      for file in 0..<2 { try await volume.fsync(volume.open(file)) }
      let batches = Int(volume.cache.writeback.counters.batches)
      volume.expect(pages == 64 && segments <= batches, "\(segments) segments for \(pages) pages in \(batches) batches")
    }
  }

  /// Takes its place first and never sends more than two pages at once.
  private struct InPairs: WritebackPolicy {
    func write(_ page: Page, _ pass: inout Writeback.Pass, _ writeback: Writeback) async throws(PageCacheError) {
      let request = try await writeback.admit()
      if let unread = writeback.planAndDispatch(request, &pass, limit: 2) {
        _ = try await pass.space.mapper.lookUp(unread.index, limit: 1)
      }
    }
  }

  @Test("an experiment's own policy decides how pages become batches")
  func ownPolicy() {
    script(ToyOptions.scripted.with { $0.policy = InPairs() }) { volume in
      try await volume.write(0, at: 0, count: 6 * pageSize)
      try await volume.fsync(volume.open(0))
      volume.expect(volume.cache.writeback.counters.batches == 3, "six pages went in pairs")
    }
  }

  @Test("a write larger than the dirty limit goes through in pieces", arguments: [8, 12])
  func pieces(_ limit: Int) {
    let options = ToyOptions().with {
      $0.dirtyPageLimit = limit
      $0.cachePageCount = 16
    }
    script(options) { volume in
      async let other: Void = volume.write(1, at: 100, count: 12 * pageSize)
      try await volume.write(0, at: 0, count: 24 * pageSize)
      try await other
      try await volume.read(0, at: 0, count: 24 * pageSize)
    }
  }

  @Test("bytes past the end of the file are zeroes on the disk and after the file grows")
  func tailIsZero() { script { volume in try await Self.tail(volume) } }

  static func tail(_ volume: isolated ToyVolume) async throws {
    try await volume.write(0, at: 0, count: 500)
    try await volume.fsync(volume.open(0))
    try await volume.truncate(0, to: 100)
    try await volume.truncate(0, to: 400)
    let bytes = try await volume.read(0, at: 100, count: 300)
    volume.expect(bytes == Array(repeating: 0, count: 300), "the grown part reads as zeroes")
    try await volume.fsync(volume.open(0))
    // What a disk holds past the end of the file shows in no way.
    volume.disk?.corrupt(Array(repeating: 0xAA, count: 112), at: 400)
    volume.dropPages(0)
    try await volume.truncate(0, to: 500)
    volume.expect(try await volume.read(0, at: 400, count: 100) == Array(repeating: 0, count: 100), "zeroes again")
    try await volume.write(0, at: 450, count: 10)
  }

  @Test("nothing keeps a cache whose volume has ended") func lifetime() {
    let cache = WeakCache()
    script(ToyOptions(), seeds: 0..<1) { volume in
      cache.cache = volume.cache
      try await volume.write(0, at: 0, count: 4 * pageSize)
      // Background writeback looks at the file while it is dirty, and not again.
      await volume.settle()
    }
    #expect(cache.cache == nil)
  }

  @Test("a discard in flight keeps its block from being taken")
  func discardInFlight() {
    script(.scripted.with { $0.discardsFreedBlocks = true }) { volume in
      try await volume.write(0, at: 0, count: pageSize)
      try await volume.fsync(volume.open(0))
      volume.hold { $0.operation == .discard }
      try await volume.truncate(0, to: 0)
      try await volume.until("the discard is held") { volume.heldCount == 1 }
      volume.blocks.setRotor(0)
      try await volume.write(1, at: 0, count: pageSize)
      volume.expect(volume.files[1].map[0] == 1, "the block is not taken")
      volume.release()
      try await volume.until("the block is free") { volume.blocks.states[0] == .free }
    }
  }
}
