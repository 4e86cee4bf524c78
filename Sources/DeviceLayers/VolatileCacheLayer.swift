// A disk's write cache: what is written is there for readers at once, and on the medium only after a flush, by forced
// unit access, or when the cache is full. A power cut takes what is left of it, or any part of that.
public import BlockDevice
public import Reactor

/// A write cache that a power cut empties.
public final class VolatileCacheLayer: DeviceLayer {
  /// Bytes that the cache holds; above it the cache destages.
  public let capacity: Int
  private var random: SeededGenerator
  /// Writes that are not on the medium, oldest first. A block may be in several: later ones hide earlier ones.
  private var writes: [CachedWrite] = []
  private var heldByteCount = 0
  private var ownRequests: [Request] = []
  /// Own requests that are free, by index.
  private var idle: [Int] = []
  /// Flushes of the queue that wait for destaging, with what is still out before each.
  private var flushes: [PendingFlush] = []
  private var clock: UInt64 = 0

  /// One write that the medium does not have yet.
  public struct CachedWrite: Sendable {
    /// Where, in bytes.
    public let offset: UInt64
    public let bytes: [UInt8]
    /// Its number among all writes.
    public let number: UInt64
    /// Zero while it is not on its way to the medium.
    fileprivate var isDestaging = false
  }

  private struct PendingFlush {
    let request: Request
    let horizon: UInt64
    var isIssued = false
  }

  private static let ownRequestLimit = 16

  /// A cache of that many bytes. `seed` decides what is destaged first.
  public init(_ inner: any BlockDevice, capacity: Int, seed: UInt64 = 1) {
    self.capacity = capacity
    random = SeededGenerator(seed: seed)
    super.init(inner)
  }

  public override var summary: String { "volatile cache of \(capacity) bytes" }
  /// Writes that a power cut now would take, oldest first.
  public var unflushed: [CachedWrite] { writes }

  /// A power cut: what is in the cache is lost but for the writes that are named by number. They reach `image`, the bytes
  /// of the device below, in their order.
  public func powerCut(keeping isKept: (UInt64) -> Bool, onto image: inout [UInt8]) {
    for write in writes where isKept(write.number) {
      image.replaceSubrange(Int(write.offset)..<Int(write.offset) + write.bytes.count, with: write.bytes)
    }
    writes = []
    heldByteCount = 0
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
    case .write:
      if request.isFUA {
        // Written through; older writes to the range are older than it in the cache too.
        keep(request)
        inner.start(request)
      } else {
        keep(request)
        answer(request, request.remainingByteCount)
        destageIfFull()
      }
    case .discard, .writeZeroes:
      // Their effect is the device's own; what the cache has of the range is not wanted any more.
      writes.removeAll { !$0.isDestaging && request.remainingRange.contains($0.offset, count: $0.bytes.count) }
      heldByteCount = writes.reduce(0) { $0 + $1.bytes.count }
      inner.start(request)
    case .flush:
      flushes.append(PendingFlush(request: request, horizon: clock))
      destage(limit: .max)
      issueFlushes()
    case .read: inner.start(request)
    }
  }

  private func keep(_ request: Request) {
    clock += 1
    let bytes = request.gather()
    writes.append(CachedWrite(offset: request.remainingOffset, bytes: bytes, number: clock))
    heldByteCount += bytes.count
  }

  private func destageIfFull() {
    if heldByteCount > capacity { destage(limit: heldByteCount - capacity) }
  }

  /// Sends writes to the medium, in any order but that of the same bytes, until so many bytes are on their way.
  private func destage(limit: Int) {
    var wanted = limit
    while wanted > 0, let place = idle.last {
      let ready = writes.indices.filter { index in
        !writes[index].isDestaging
          && !writes[..<index].contains { $0.range.overlaps(writes[index].range) }
      }
      guard !ready.isEmpty else { return }
      let index = ready[random.below(ready.count)]
      idle.removeLast()
      writes[index].isDestaging = true
      let write = writes[index]
      let buffer = Buffer(byteCount: write.bytes.count, alignment: max(512, geometry.memoryAlignment))
      buffer.withMutableBytes { target in
        for (offset, byte) in write.bytes.enumerated() {
          target.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
        }
      }
      let own = ownRequests[place]
      own.prepareOwn(.write, at: write.offset)
      _ = unsafe own.append(buffer.segment)
      own.context = Destaged(buffer, place, write.number)
      inner.start(own)
      wanted -= min(wanted, write.bytes.count)
    }
  }

  private final class Destaged {
    let buffer: Buffer
    let place: Int
    let number: UInt64
    init(_ buffer: Buffer, _ place: Int, _ number: UInt64) {
      self.buffer = buffer
      self.place = place
      self.number = number
    }
  }

  private func issueFlushes() {
    let oldest = writes.first?.number ?? .max
    for index in flushes.indices where !flushes[index].isIssued && oldest > flushes[index].horizon {
      flushes[index].isIssued = true
      inner.start(flushes[index].request)
    }
  }

  // MARK: What comes back

  public override func finished(_ request: Request, _ result: Int) {
    if let destaged = request.context as? Destaged, let tag = request.tag, tag >= tagCount {
      return destagingEnded(request, destaged, result)
    }
    switch request.operation {
    case .read:
      if result > 0 { overlay(request) }
    case .write:
      // By forced unit access: the medium has it.
      if result == request.remainingByteCount,
        let index = writes.lastIndex(where: { $0.offset == request.remainingOffset })
      {
        drop(at: index)
        issueFlushes()
      }
    case .flush: flushes.removeAll { $0.request === request }
    case .discard, .writeZeroes: break
    }
    tell(request, result)
  }

  private func destagingEnded(_ own: Request, _ destaged: Destaged, _ result: Int) {
    own.context = nil
    idle.append(destaged.place)
    if let index = writes.firstIndex(where: { $0.number == destaged.number }) {
      if result == writes[index].bytes.count {
        drop(at: index)
      } else {
        // The cache keeps what it could not store: whoever flushes is told.
        writes[index].isDestaging = false
        failFlushes(after: destaged.number, result < 0 ? result : -5)
        return
      }
    }
    if flushes.contains(where: { !$0.isIssued }) { destage(limit: .max) } else { destageIfFull() }
    issueFlushes()
  }

  private func failFlushes(after number: UInt64, _ result: Int) {
    let failed = flushes.filter { !$0.isIssued && $0.horizon >= number }
    flushes.removeAll { !$0.isIssued && $0.horizon >= number }
    for flush in failed { tell(flush.request, result) }
  }

  private func drop(at index: Int) {
    heldByteCount -= writes[index].bytes.count
    writes.remove(at: index)
  }

  /// A reader gets what the cache has.
  private func overlay(_ request: Request) {
    let range = request.remainingRange
    for write in writes where write.range.overlaps(range) {
      let common = write.range.clamped(to: range)
      let first = Int(common.lowerBound - write.offset)
      let bytes = Array(write.bytes[first..<first + common.count])
      request.scatter(bytes.span, at: Int(common.lowerBound - range.lowerBound))
    }
  }
}

extension VolatileCacheLayer.CachedWrite {
  /// The bytes of the device that it writes.
  public var range: Range<UInt64> { offset..<offset + UInt64(bytes.count) }
}

extension Range<UInt64> {
  fileprivate func contains(_ offset: UInt64, count: Int) -> Bool {
    lowerBound <= offset && offset + UInt64(count) <= upperBound
  }
}
