// A disk's write cache: what is written is there for readers at once, and on the medium only after a flush, by forced
// unit access, or when the cache is full. A power cut takes what is left of it, or any part of that.
//
// Writes of the same bytes reach the medium in their order, all others in any.
public import BlockDevice
public import Reactor

/// A write cache that a power cut empties.
public final class VolatileCacheLayer: DeviceLayer {
  /// Bytes that the cache holds; above it the cache destages.
  public let capacity: Int
  private var random: SeededGenerator
  /// What the medium does not have yet, oldest first. A block may be in several: later ones hide earlier ones.
  private var writes: [CachedWrite] = []
  private var ownRequests: [Request] = []
  /// Own requests that are free, by index.
  private var idle: [Int] = []
  /// Flushes of the queue: each waits for the writes up to a number.
  private var flushes: [PendingFlush] = []
  /// Requests by forced unit access, by the number of their write.
  private var forced: [UInt64: Request] = [:]
  private var clock: UInt64 = 0

  /// One write, discard or zeroing that the medium does not have yet.
  public struct CachedWrite: Sendable {
    public let operation: Operation
    /// The bytes of the device that it changes.
    public let range: Range<UInt64>
    /// What is written; empty for a discard or a zeroing, which leave zeroes.
    public let bytes: [UInt8]
    /// Its number among all of them.
    public let number: UInt64
    fileprivate var isFileData = false
    fileprivate var isDestaging = false
    /// The medium has refused it: it stays until somebody waits for it again.
    fileprivate var hasFailed = false

    fileprivate func byte(at offset: UInt64) -> UInt8 {
      bytes.isEmpty ? 0 : bytes[Int(offset - range.lowerBound)]
    }
  }

  private struct PendingFlush {
    let request: Request
    let horizon: UInt64
    var isIssued = false
  }

  private static let ownRequestLimit = 16
  /// Of how many of the oldest that may be destaged one is chosen: to look at all would cost the square of their number.
  private static let choiceCount = 64

  /// A cache of that many bytes. `seed` decides what is destaged first.
  public init(_ inner: any BlockDevice, capacity: Int, seed: UInt64 = 1) {
    self.capacity = capacity
    random = SeededGenerator(seed: seed)
    super.init(inner)
  }

  public override var summary: String { "volatile cache of \(sizeText(UInt64(capacity)))" }
  /// Writes that a power cut now would take, oldest first.
  public var unflushed: [CachedWrite] { writes }

  /// Whether some of it is on its way to the medium: nobody waits for it, but the device below cannot be closed.
  public var isDestaging: Bool { idle.count < ownRequests.count }

  /// A power cut: what is in the cache is lost but for the writes that are named by number. They reach `image`, the bytes
  /// of the device below, in their order.
  public func powerCut(keeping isKept: (UInt64) -> Bool, onto image: inout [UInt8]) {
    for write in writes where isKept(write.number) || switchedOff.contains(.cutTakesCache) {
      for offset in write.range { image[Int(offset)] = write.byte(at: offset) }
    }
    writes = []
  }

  // MARK: BlockDevice

  public override func ownRequestCount(tagCount: Int) -> Int { Self.ownRequestLimit }

  public override func attach(to reactor: Reactor, tagCount: Int) throws(DeviceError) {
    try super.attach(to: reactor, tagCount: tagCount)
    ownRequests = (0..<Self.ownRequestLimit).map { Request(ownTag: tagCount + $0, segmentCapacity: 1) }
    idle = Array(ownRequests.indices.reversed())
  }

  public override func start(_ request: Request) {
    switch request.operation {
    case .read: inner.start(request)
    case .flush:
      flushes.append(PendingFlush(request: request, horizon: clock))
      for index in writes.indices { writes[index].hasFailed = false }
      goOn()
    case .write, .discard, .writeZeroes:
      clock += 1
      writes.append(
        CachedWrite(
          operation: request.operation, range: request.remainingRange,
          bytes: request.operation == .write ? request.gather() : [], number: clock, isFileData: request.isFileData))
      if request.isFUA && !switchedOff.contains(.forcedWritesAreStored) {
        forced[clock] = request
        let needed = closure(of: clock)
        for index in writes.indices where needed.contains(writes[index].number) { writes[index].hasFailed = false }
      } else {
        answer(request, request.remainingByteCount)
      }
      goOn()
    }
  }

  // MARK: Destaging

  /// The writes that have to reach the medium for one of them: itself, and earlier ones of the same bytes, and so on.
  private func closure(of number: UInt64) -> Set<UInt64> {
    var ranges: [Range<UInt64>] = []
    var numbers: Set<UInt64> = []
    for write in writes.reversed() where write.number <= number {
      if write.number == number || ranges.contains(where: write.range.overlaps) {
        ranges.append(write.range)
        numbers.insert(write.number)
      }
    }
    return numbers
  }

  /// Sends on what somebody waits for, and what the cache has no room for; then the flushes that wait for nothing more.
  private func goOn() {
    let needed = forced.keys.sorted().reduce(into: Set<UInt64>()) { $0.formUnion(closure(of: $1)) }
    let horizon = flushes.filter { !$0.isIssued }.map(\.horizon).max() ?? 0
    var excess =
      switchedOff.contains(.cacheIsBounded)
      ? 0 : writes.reduce(-capacity) { $0 + ($1.isDestaging ? 0 : $1.bytes.count) }
    while let place = idle.last {
      var ready: [Int] = []
      for index in writes.indices {
        let write = writes[index]
        guard !write.isDestaging, !write.hasFailed,
          write.number <= horizon || needed.contains(write.number) || excess > 0,
          switchedOff.contains(.overlapsKeepOrder)
            || !writes[..<index].contains(where: { $0.range.overlaps(write.range) })
        else { continue }
        ready.append(index)
        if ready.count == Self.choiceCount { break }
      }
      guard !ready.isEmpty else { break }
      idle.removeLast()
      let index = ready[random.below(ready.count)]
      excess -= writes[index].bytes.count
      destage(index, place)
    }
    let oldest = switchedOff.contains(.flushWaitsForWrites) ? .max : writes.first?.number ?? .max
    for index in flushes.indices where !flushes[index].isIssued && oldest > flushes[index].horizon {
      flushes[index].isIssued = true
      if switchedOff.contains(.flushGoesOn) {
        answer(flushes[index].request, 0)
      } else {
        inner.start(flushes[index].request)
      }
    }
  }

  private func destage(_ index: Int, _ place: Int) {
    writes[index].isDestaging = true
    let write = writes[index], own = ownRequests[place]
    var buffer: Buffer?
    if write.operation == .write {
      let memory = Buffer(byteCount: write.bytes.count, alignment: max(512, geometry.memoryAlignment))
      memory.withMutableBytes { target in
        for (offset, byte) in write.bytes.enumerated() {
          target.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
        }
      }
      own.prepareOwn(.write, at: write.range.lowerBound, isFUA: forced[write.number] != nil)
      _ = unsafe own.append(memory.segment)
      buffer = memory
    } else {
      own.prepareOwn(write.operation, at: write.range.lowerBound, byteCount: write.range.count)
    }
    own.isFileData = write.isFileData
    own.context = Destaged(buffer, place, write.number)
    inner.start(own)
  }

  private final class Destaged {
    let buffer: Buffer?
    let place: Int
    let number: UInt64
    init(_ buffer: Buffer?, _ place: Int, _ number: UInt64) {
      self.buffer = buffer
      self.place = place
      self.number = number
    }
  }

  // MARK: What comes back

  public override func finished(_ request: Request, _ result: Int) {
    if let destaged = request.context as? Destaged, let tag = request.tag, tag >= tagCount {
      request.context = nil
      idle.append(destaged.place)
      destagingEnded(destaged.number, result)
      return goOn()
    }
    if request.operation == .read && result > 0 && !switchedOff.contains(.readersSeeCache) { overlay(request) }
    if request.operation == .flush { flushes.removeAll { $0.request === request } }
    tell(request, result)
  }

  private func destagingEnded(_ number: UInt64, _ result: Int) {
    // After a power cut there is nothing left to keep.
    guard let index = writes.firstIndex(where: { $0.number == number }) else { return }
    if result == writes[index].range.count || switchedOff.contains(.refusalIsTold) {
      let count = writes.remove(at: index).range.count
      if let request = forced.removeValue(forKey: number) { tell(request, count) }
      return
    }
    // The cache keeps what it could not store; whoever waits for it is told.
    let result = result < 0 ? result : -5
    let failedForced = forced.keys.sorted().filter { closure(of: $0).contains(number) }
    writes[index].isDestaging = false
    writes[index].hasFailed = true
    for key in failedForced {
      if let request = forced.removeValue(forKey: key) { tell(request, result) }
    }
    let failed = flushes.filter { !$0.isIssued && $0.horizon >= number }
    flushes.removeAll { !$0.isIssued && $0.horizon >= number }
    for flush in failed { tell(flush.request, result) }
  }

  /// A reader gets what the cache has.
  private func overlay(_ request: Request) {
    let range = request.remainingRange
    for write in writes where write.range.overlaps(range) {
      let common = write.range.clamped(to: range)
      let bytes = common.map(write.byte)
      request.scatter(bytes.span, at: Int(common.lowerBound - range.lowerBound))
    }
  }
}
