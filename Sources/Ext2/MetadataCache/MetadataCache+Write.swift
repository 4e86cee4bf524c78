// Writing metadata.
//
// A block goes to the device from a copy made in the one step that checks that it is still live and dirty, marks it under
// writeback and queues it; never from a copy made before admission, because a block that was freed meanwhile may be
// somebody's data by then. It never has two writes in flight.
internal import BlockDevice
internal import Ext2Format
internal import PageCache
internal import Reactor

/// One call that waits for metadata to be written.
final class MetadataFlushCall {
  let horizon: UInt64
  private(set) var firstError: Ext2Error?
  init(horizon: UInt64) { self.horizon = horizon }
  func note(_ error: Ext2Error) {
    if firstError == nil { firstError = error }
  }
}

extension MetadataCache {
  /// Writes every matching block that is dirty or under writeback now, and returns when each is at the device, has
  /// failed, or is forgotten. Goes on past errors and returns the first.
  func writeAll(where matches: (MetadataBlock) -> Bool = { _ in true }) async -> Ext2Error? {
    flushCalls += 1
    let call = MetadataFlushCall(horizon: flushCalls)
    activeCalls.append(call)
    let wanted = unwritten(where: matches)
    if !switchedOff.contains(.lateMetadataCopy) { await writeTogether(wanted, call) }
    // What could not go with the others: under writeback then, or failed.
    for block in wanted {
      while block.isLive, block.isDirty, block.dirtiedAt < call.horizon {
        if let refusal {
          call.note(refusal)
          break
        }
        if isInFlight(block) {
          if block.isTimedOut { break }
          await block.waitForChange(reactor)
        } else if block.isFailed && block.attemptedAt >= call.horizon && !switchedOff.contains(.blockIsTriedOnce) {
          break
        } else {
          await write(block)
        }
      }
    }
    for block in wanted {
      while block.isLive, block.isUnderWriteback, !block.isTimedOut, block.dispatchedDirtiedAt < call.horizon {
        await block.waitForChange(reactor)
      }
      if block.isLive && block.isTimedOut {
        call.note(.device(.timedOut(.write, offset: UInt64(block.number.rawValue) &* UInt64(blockSize))))
      }
    }
    activeCalls.removeAll { $0 === call }
    return call.firstError
  }

  /// Blocks that are queued in one step at most: neighbours become one request, and each has a copy.
  private static let largestStep = 64

  /// Writes those blocks that can go now, many in one step. An admission is waited for; what is free besides is taken with
  /// it, and used or given back in the same step.
  private func writeTogether(_ blocks: [MetadataBlock], _ call: MetadataFlushCall) async {
    var index = 0
    func nextWritable() -> MetadataBlock? {
      while index < blocks.count, refusal == nil {
        let block = blocks[index]
        index += 1
        if block.isLive, block.isDirty, !isInFlight(block), !block.isFailed, block.dirtiedAt < call.horizon {
          return block
        }
      }
      return nil
    }
    while index < blocks.count, refusal == nil {
      // One that cannot be had is reported when the block's own turn comes.
      guard let first = try? await queue.admit(.writeback) else { return }
      var request: Request? = first
      var count = 0
      while let place = request, let block = nextWritable() {
        queueWrite(block, copyBuffer(of: block), place)
        count += 1
        request = count < Self.largestStep && index < blocks.count ? queue.admitNow(.writeback) : nil
      }
      if let request { queue.giveBack(request) }
    }
  }

  private func write(_ block: MetadataBlock) async {
    if switchedOff.contains(.lateMetadataCopy) {
      let copy = copyBuffer(of: block)
      if let request = try? await queue.admit(.writeback) { queueWrite(block, copy, request) }
      return
    }
    let request: Request
    do { request = try await queue.admit(.writeback) } catch {
      cannotBeQueued(block, error)
      return
    }
    guard block.isLive, block.isDirty, !isInFlight(block), refusal == nil else {
      queue.giveBack(request)
      return
    }
    queueWrite(block, copyBuffer(of: block), request)
  }

  /// Whether a write of it is queued or in flight: then it gets no other one.
  private func isInFlight(_ block: MetadataBlock) -> Bool {
    block.isUnderWriteback && !switchedOff.contains(.oneWriteABlock)
  }

  private func copyBuffer(of block: MetadataBlock) -> Buffer {
    let buffer =
      copyBuffers.popLast() ?? Buffer(byteCount: blockSize, alignment: queue.geometry.memoryAlignment)
    block.withBytes { source in
      buffer.withMutableBytes { target in target.copy(source) }
    }
    return buffer
  }

  private func queueWrite(_ block: MetadataBlock, _ copy: Buffer, _ request: Request) {
    block.dispatchedDirtiedAt = block.dirtiedAt
    block.attemptedAt = flushCalls
    clearDirty(block)
    block.isUnderWriteback = true
    recount(block)
    request.prepare(.write, at: UInt64(block.number.rawValue) &* UInt64(blockSize))
    _ = unsafe request.append(copy.segment)
    request.owner = UInt64(block.owner.rawValue)
    let write = MetadataWrite(self, block, copy)
    request.context = write
    countWrite(block)
    queue.submit(request, handler: write)
  }

  /// Nothing may ever leave the queue: the attempt failed before it began.
  private func cannotBeQueued(_ block: MetadataBlock, _ error: DeviceError) {
    guard block.isLive, block.isDirty, !block.isUnderWriteback else { return }
    block.dispatchedDirtiedAt = block.dirtiedAt
    block.attemptedAt = flushCalls
    block.isFailed = true
    recount(block)
    report(block, .device(error))
  }

  fileprivate func writeEnded(_ block: MetadataBlock, error: DeviceError?) {
    block.isUnderWriteback = false
    block.isTimedOut = false
    guard block.isLive else { return }
    if let error {
      if !switchedOff.contains(.failedMetadataStaysDirty) {
        let dirtiedAt = block.dispatchedDirtiedAt
        markDirty(block)
        block.dirtiedAt = min(block.dirtiedAt, dirtiedAt)
        block.isFailed = true
      }
      report(block, .device(error))
    } else {
      block.hasReportedError = false
    }
    recount(block)
    block.wakeWaiters()
  }

  fileprivate func writeTimedOut(_ block: MetadataBlock, _ error: DeviceError) {
    block.isTimedOut = true
    recount(block)
    if block.isLive { report(block, .device(error)) }
    block.wakeWaiters()
  }

  /// Enters the failure into the owner's error sequence unless it is there already, and tells the calls that wait.
  private func report(_ block: MetadataBlock, _ error: Ext2Error) {
    if !block.hasReportedError {
      block.hasReportedError = true
      onError?(block.owner, error)
    }
    for call in activeCalls where block.dispatchedDirtiedAt < call.horizon { call.note(error) }
  }
}

/// The write of one block's copy.
private final class MetadataWrite: RequestHandler {
  private let cache: MetadataCache
  private let block: MetadataBlock
  private let copy: Buffer
  init(_ cache: MetadataCache, _ block: MetadataBlock, _ copy: Buffer) {
    self.cache = cache
    self.block = block
    self.copy = copy
  }
  func requestCompleted(_ request: Request) {
    cache.copyBuffers.append(copy)
    cache.writeEnded(block, error: request.error)
  }
  func requestTimedOut(_ request: Request) {
    cache.writeTimedOut(block, .timedOut(.write, offset: request.offset))
  }
}

/// Writes dirty metadata when slots run short, and some time after it became dirty.
final class MetadataWriter {
  private let reactor: Reactor
  weak var cache: MetadataCache?
  private let work: WaitQueue
  private let ended: WaitQueue
  private var isKicked = false
  private var isStopping = false
  private var isRunning = false
  private var dirtySince: Instant?
  private let expiryNanoseconds: UInt64 = 30_000_000_000

  init(_ reactor: Reactor) {
    self.reactor = reactor
    work = WaitQueue(reactor, "work for the metadata writer")
    ended = WaitQueue(reactor, "the end of the metadata writer")
  }

  func noteDirty() {
    if dirtySince == nil {
      dirtySince = reactor.now
      work.wakeAll()
    }
    if let cache, cache.dirtyCount > cache.slotCount / 2 { kick() }
  }

  func kick() {
    isKicked = true
    work.wakeAll()
  }

  /// Runs until `stop`.
  func run() async {
    guard let cache else { return }
    isRunning = true
    while !isStopping {
      let isDue = dirtySince.map { $0.advanced(byNanoseconds: expiryNanoseconds) <= reactor.now } ?? false
      if isKicked || isDue {
        isKicked = false
        dirtySince = nil
        _ = await cache.writeAll()
        if cache.dirtyCount > 0 && dirtySince == nil { dirtySince = reactor.now }
      } else if let since = dirtySince {
        _ = await work.waitInterruptibly(until: since.advanced(byNanoseconds: expiryNanoseconds))
      } else {
        await work.wait()
      }
    }
    isRunning = false
    ended.wakeAll()
  }

  func stop() async {
    isStopping = true
    kick()
    while isRunning { await ended.wait() }
  }
}
