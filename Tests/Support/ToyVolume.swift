// A file system small enough to see through: block maps in memory, a bitmap, and the page cache's real writeback.
//
// It follows the rules of the write path exactly as a file system has to, and nothing else: what goes wrong here is the
// protocol. An oracle watches its disk, and a model of every file's bytes is changed in the same steps as the file.
package import BlockDevice
package import PageCache
package import Reactor
internal import SystemPackage

/// One file of a toy volume. Confined to the reactor.
package final class ToyFile {
  /// Its number: never used again after it was removed, unless a script says so.
  package let number: UInt64
  /// Where its pages live.
  package let map: ToyBlockMap
  /// Its cached pages.
  package let space: AddressSpace
  /// The inode's write lock.
  package let lock: AsyncLock
  /// What it has to contain.
  package internal(set) var model: [UInt8] = []
  /// When each page was last changed, by the volume's count of changes.
  var changedAt: [Int] = []
  package internal(set) var isRemoved = false

  init(number: UInt64, _ options: ToyOptions, _ cache: PageCache, random: SeededGenerator) {
    self.number = number
    map = ToyBlockMap(options, cache.reactor, random: random)
    space = AddressSpace(cache: cache, owner: number, mapper: map, fileByteCount: 0)
    lock = AsyncLock(cache.reactor, "the lock of file \(number)")
  }

  /// The file's size in bytes.
  package var byteCount: Int { Int(space.fileByteCount) }

  /// Notes that the pages in a range of bytes have changed.
  func noteChange(_ range: Range<Int>, _ pageByteCount: Int, at count: Int) {
    guard !range.isEmpty else { return }
    for page in range.lowerBound / pageByteCount...(range.upperBound - 1) / pageByteCount {
      while changedAt.count <= page { changedAt.append(0) }
      changedAt[page] = count
    }
  }
}

/// One opener of a toy file: what it has seen of errors.
struct ToyHandle {
  let file: ToyFile
  var cursor: ErrorSequence.Cursor
  var volumeCursor: ErrorSequence.Cursor
  /// Failed flushes that it has been told of, or that were before its time.
  var knownFlushFailures: Int
}

/// A volume of toy files on one reactor.
package actor ToyVolume {
  package nonisolated let reactor: Reactor
  package nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }
  package nonisolated let options: ToyOptions

  /// The simulated disk, where there is one.
  package let disk: SimulatedDevice?
  package let queue: RequestQueue
  package let cache: PageCache
  package let blocks: ToyBlocks
  /// The files, by position.
  package internal(set) var files: [ToyFile] = []
  /// What is wrong, in words, apart from what the oracle has found.
  package private(set) var failures: [String] = []
  var handles: [ToyHandle] = []
  var random: SeededGenerator
  /// Counts changes of any file.
  var changes = 0
  var generation: UInt32 = 0
  /// Errors of flushes.
  var flushErrors = ErrorSequence()
  /// Flushes that have failed.
  var flushFailures = 0
  /// The flush that can still be shared.
  var joinable: FlushTicket?
  var runsDiscards = true
  private var backgroundCount = 0
  private let backgroundEnded: WaitQueue
  private let ended: WaitQueue
  private var hasEnded = false

  /// A fresh volume on a simulated disk.
  package init(simulated reactor: SimulatedReactor, _ options: ToyOptions) throws(DeviceError) {
    let geometry = Geometry(
      logicalBlockSize: options.pageByteCount, byteCount: UInt64(options.blockCount * options.pageByteCount),
      memoryAlignment: options.pageByteCount)
    let disk = SimulatedDevice(reactor: reactor, geometry: geometry, keepsDurable: options.checksDurability)
    try self.init(reactor, disk, disk, options, random: reactor.random.split(7))
  }

  /// A fresh volume on a disk in memory, on any reactor. No oracle watches it.
  package init(inMemory reactor: Reactor, _ options: ToyOptions, seed: UInt64) throws(DeviceError) {
    let geometry = Geometry(
      logicalBlockSize: options.pageByteCount, byteCount: UInt64(options.blockCount * options.pageByteCount),
      memoryAlignment: options.pageByteCount)
    try self.init(reactor, MemoryDevice(geometry: geometry), nil, options, random: SeededGenerator(seed: seed))
  }

  private init(
    _ reactor: Reactor, _ device: any BlockDevice, _ disk: SimulatedDevice?, _ options: ToyOptions,
    random: SeededGenerator
  ) throws(DeviceError) {
    self.reactor = reactor
    self.options = options
    self.disk = disk
    self.random = random
    var queueing = RequestQueue.Configuration(tagCount: options.tagCount, order: options.order)
    queueing.placeCount = options.placeCount
    queueing.writebackReserve = 2
    queueing.timeoutNanoseconds = options.timeoutNanoseconds
    queue = try RequestQueue(device: device, reactor: reactor, configuration: queueing)
    var caching = PageCacheConfiguration()
    let size = options.pageByteCount
    caching.cacheByteCount = options.cachePageCount * size
    caching.dirtyLimitByteCount = options.dirtyPageLimit * size
    caching.backgroundByteCount = options.backgroundPageCount * size
    caching.batchByteCount = options.batchPageLimit * size
    caching.policy = options.policy
    caching.marksFailedPagesClean = options.marksFailedPagesClean
    caching.switchedOff = options.switchedOff
    cache = PageCache(reactor: reactor, queue: queue, pageByteCount: size, configuration: caching)
    let blocks = ToyBlocks(options, queue: queue)
    self.blocks = blocks
    backgroundEnded = WaitQueue(reactor, "the end of the volume's tasks")
    ended = WaitQueue(reactor, "the end of the run")
    disk?.observer = { [unowned blocks] request, event in
      blocks.observe(request, isCompletion: event == .completed)
    }
    queue.onWriteCompleted = { [unowned blocks] in blocks.settle() }
    for number in 0..<options.fileCount {
      files.append(ToyFile(number: UInt64(number), options, cache, random: random.split(UInt64(number))))
    }
  }

  /// Notes that something is wrong.
  package func fail(_ what: String) { failures.append(what) }

  /// Everything that is wrong: what the oracle has found first.
  package var allFailures: [String] { blocks.violations.map(\.description) + failures }

  // MARK: A run

  private func startTask(_ name: String, _ body: @escaping @Sendable (ToyVolume) async -> Void) {
    backgroundCount += 1
    Task(name: name, executorPreference: reactor) {
      await body(self)
      await self.taskEnded()
    }
  }

  private func taskEnded() {
    backgroundCount -= 1
    if backgroundCount == 0 { backgroundEnded.wakeAll() }
  }

  /// Runs a script with the volume's own tasks beside it, then stops the faults, syncs, and checks everything. Returns
  /// what is wrong.
  package func run(_ script: @escaping @Sendable (isolated ToyVolume) async throws -> Void) async -> [String] {
    if options.runsBackground { startTask("background writeback") { await $0.runBackground() } }
    if options.discardsFreedBlocks { startTask("discards") { await $0.runDiscards() } }
    Task(name: "script", executorPreference: reactor) {
      await self.runScript(script)
    }
    if options.isWatched {
      // In many small steps: a simulated clock may pass a task that is held back, though not often in a row.
      for _ in 0..<60 where !hasEnded {
        _ = await ended.waitInterruptibly(until: reactor.now.advanced(byNanoseconds: 60_000_000_000))
      }
      if !hasEnded { fail("the run did not end within an hour") }
    } else {
      while !hasEnded { await ended.wait() }
    }
    return allFailures
  }

  private func runScript(_ script: (isolated ToyVolume) async throws -> Void) async {
    do { try await script(self) } catch { fail("the script ended with \(error)") }
    await finish()
    hasEnded = true
    ended.wakeAll()
  }

  private func runBackground() async { await cache.writeback.runBackground() }

  private func finish() async {
    if let disk {
      disk.script = nil
      disk.release()
    }
    for file in files {
      file.map.failingPages = 0..<0
      file.map.holdNext = nil
      file.map.releaseLookUps()
    }
    await syncUntilClean()
    await cache.writeback.stopBackground()
    runsDiscards = false
    blocks.discardWork.wakeAll()
    while blocks.hasPending { await blocks.freed.wait() }
    while backgroundCount > 0 { await backgroundEnded.wait() }
    while queue.outstandingCount > 0 { await reactor.sleep(until: reactor.now.advanced(byNanoseconds: 100_000)) }
    checkEverything()
    if queue.outstandingCount == 0 { queue.close() }
  }

  private func syncUntilClean() async {
    for _ in 0..<4 {
      var hasFailed = false
      for file in files where await cache.writeback.writeAll(of: file.space) != nil { hasFailed = true }
      if await flush() != nil { hasFailed = true }
      if !hasFailed { return }
      // What was late may be out still.
      await pause(10_000_000)
    }
    fail("fsync goes on failing after the faults have stopped")
  }

  /// Waits, in virtual time, until a script's condition holds.
  package func until(_ what: String, _ condition: () -> Bool) async throws {
    for _ in 0..<2_000 {
      if condition() { return }
      await reactor.sleep(until: reactor.now.advanced(byNanoseconds: 10_000))
    }
    throw ToyError.neverHappened(what)
  }

  /// Notes what a script expected and did not find.
  package func expect(_ condition: Bool, _ what: String) {
    if !condition { fail("not so: \(what)") }
  }

  /// Lets everything run that can.
  package func settle() async {
    for _ in 0..<200 { await pause(10_000) }
  }

  /// Decides what happens to requests from now on.
  package func treat(_ script: @escaping (Request) -> SimulatedDevice.Treatment) { disk?.script = script }

  /// Holds every request that matches.
  package func hold(_ matches: @escaping (Request) -> Bool) { treat { matches($0) ? .hold : .proceed } }

  /// Holds and delays nothing any more, and lets go of what is held.
  package func release() {
    disk?.script = nil
    disk?.release()
  }

  /// How many requests are held.
  package var heldCount: Int { disk?.heldCount ?? 0 }

  /// Takes every page of a file out of the cache, as eviction does; they are clean.
  package func dropPages(_ position: Int) {
    files[position].space.detach(PageIndex(0)..<PageIndex(.max))
  }

  /// The page of a file, if it is cached.
  package func page(_ position: Int, _ index: Int) -> Page? { files[position].space.page(at: PageIndex(UInt64(index))) }

  /// Lets that many nanoseconds pass.
  package func pause(_ nanoseconds: UInt64) async {
    await reactor.sleep(until: reactor.now.advanced(byNanoseconds: nanoseconds))
  }
}

extension SimulatedDevice.Treatment {
  /// Completes the request with EIO; nothing is transferred.
  package static var failWithIOError: Self { .fail(.ioError) }
}

/// Runs a script on a fresh volume in simulation and returns what is wrong: nothing, if all is well.
package func simulate(
  _ options: ToyOptions = ToyOptions(), seed: UInt64 = 0,
  _ script: @escaping @Sendable (isolated ToyVolume) async throws -> Void
) -> [String] {
  simulateTraced(options, seed: seed, script).failures
}

/// As `simulate`, and also the run's trace: equal traces mean equal runs.
package func simulateTraced(
  _ options: ToyOptions, seed: UInt64, _ script: @escaping @Sendable (isolated ToyVolume) async throws -> Void
) -> (failures: [String], trace: UInt64) {
  let reactor = SimulatedReactor(seed: seed)
  // Far more than any run takes: a mutant may go round in circles without letting the clock move.
  reactor.stepLimit = 1_000_000
  do {
    let failures = try reactor.run {
      let volume = try ToyVolume(simulated: reactor, options)
      return await volume.run(script)
    }
    return (failures, reactor.trace)
  } catch {
    return (["\(error)"], reactor.trace)
  }
}
