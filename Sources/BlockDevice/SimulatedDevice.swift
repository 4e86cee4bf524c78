// A disk on the virtual clock.
//
// Fault model: completions come in any order, after seeded latencies. A write's bytes are taken when it is started or
// when it completes, by seed: whoever changes them in between has a bug that half of the seeds show. Reads likewise
// deliver their bytes at one of the two times. Two contents are kept: what a reader sees, and what is durable: the
// writes that completed before the submission of a flush that succeeded.
public import Reactor
public import SystemPackage

/// A simulated disk: memory, virtual latencies, completions in a seeded order, and hooks for scripted cases.
public final class SimulatedDevice: BlockDevice {
  /// What a script does to a request.
  public enum Treatment: Sendable {
    /// Serve it as usual.
    case proceed
    /// Complete it with this errno; nothing is transferred.
    case fail(Errno)
    /// Complete it after that many bytes.
    case short(Int)
    /// Keep it until `release`.
    case hold
    /// Serve it after that many nanoseconds.
    case delay(UInt64)
  }

  /// What happens to a request when an observer is told of it.
  public enum Event: Sendable {
    /// The device takes it: from here on its bytes may reach the medium.
    case issued
    /// It is complete.
    case completed
  }

  public let geometry: Geometry
  public weak var sink: (any CompletionSink)?
  /// Told of each request, merged ones one by one, at issue and at completion: an oracle that knows who owns what.
  public var observer: ((Request, Event) -> Void)?
  /// Decides what happens to each started request; nil: everything proceeds.
  public var script: ((Request) -> Treatment)?
  /// Whether the bytes of a request are taken, or found, when it is started, or else when it completes; nil: by seed.
  public var takesBytesEarly: Bool?
  /// Latencies in nanoseconds: uniform from `.lowerBound` up to `.upperBound`.
  public var latency: ClosedRange<UInt64> = 1_000...100_000

  private let reactor: SimulatedReactor
  private let medium: Storage
  private let durable: Storage
  private var flights: [Flight] = []
  private var heldFlights: [Flight] = []
  /// Completed writes that no flush has covered yet, oldest first.
  private var volatileWrites: [(offset: Int, bytes: [UInt8])] = []
  private var durableWriteCount = 0
  private let keepsDurable: Bool

  /// A zeroed disk. `keepsDurable`: whether `durableImage` is kept up to date, which costs a copy of every write.
  public init(reactor: SimulatedReactor, geometry: Geometry, keepsDurable: Bool = true) {
    self.reactor = reactor
    self.geometry = geometry
    self.keepsDurable = keepsDurable
    medium = Storage(byteCount: Int(geometry.byteCount))
    durable = Storage(byteCount: keepsDurable ? Int(geometry.byteCount) : 0)
  }

  /// A disk that holds these bytes, durably.
  public convenience init(reactor: SimulatedReactor, image: [UInt8], keepsDurable: Bool = true) {
    let geometry = Geometry(byteCount: UInt64(image.count))
    self.init(reactor: reactor, geometry: geometry, keepsDurable: keepsDurable)
    medium.store(image, at: 0)
    if keepsDurable { durable.store(image, at: 0) }
  }

  /// What a reader of the whole disk would get now.
  public var image: [UInt8] { medium.bytes(in: 0..<Int(geometry.byteCount)) }
  /// What a reader of that range, in bytes, would get now.
  public func bytes(in range: Range<Int>) -> [UInt8] { medium.bytes(in: range) }
  /// What would be left of that range after a power cut that drops everything not flushed.
  public func durableBytes(in range: Range<Int>) -> [UInt8] { durable.bytes(in: range) }
  /// What would be left after a power cut that drops everything not flushed.
  public var durableImage: [UInt8] { durable.bytes(in: 0..<durable.byteCount) }
  /// How many requests the script holds.
  public var heldCount: Int { heldFlights.count }
  /// Overwrites a range behind the device's back, durably.
  public func corrupt(_ bytes: [UInt8], at offset: Int) {
    medium.store(bytes, at: offset)
    if keepsDurable { durable.store(bytes, at: offset) }
  }

  public func attach(to reactor: Reactor, tagCount: Int) throws(DeviceError) {
    precondition(reactor === self.reactor, "a simulated device runs on the reactor it was made for")
  }

  public func start(_ request: Request) {
    request.forEachMerged { observer?($0, .issued) }
    let flight = flights.popLast() ?? Flight(self)
    flight.begin(request, treatment: script?(request) ?? .proceed)
  }

  public func submit() {}
  public func reap() -> Bool { false }

  /// Lets go of what the script holds, all of it or the requests that match. They complete after a usual latency.
  public func release(where matches: (Request) -> Bool = { _ in true }) {
    let released = heldFlights.filter { matches($0.request) }
    heldFlights.removeAll { matches($0.request) }
    for flight in released { flight.schedule(after: drawLatency()) }
  }

  private func drawLatency() -> UInt64 {
    latency.lowerBound + UInt64(reactor.random.below(Int(latency.upperBound - latency.lowerBound) + 1))
  }

  /// One request at the device.
  fileprivate final class Flight: TimerHandler {
    unowned let device: SimulatedDevice
    private var current: Request?
    /// Itself, while it has a request: its timer does not keep it alive.
    private var inFlight: Flight?
    private lazy var timer = Timer(handler: self)
    private var treatment = Treatment.proceed
    /// The bytes as they were at the start, where the seed says that they are taken then.
    private var early: [UInt8]?
    /// How many writes had completed, ever, when the request was started: what a flush makes durable.
    private var covered = 0

    init(_ device: SimulatedDevice) { self.device = device }
    var request: Request {
      guard let current else { preconditionFailure("a flight without a request") }
      return current
    }

    func begin(_ request: Request, treatment: Treatment) {
      current = request
      inFlight = self
      self.treatment = treatment
      covered = device.durableWriteCount + device.volatileWrites.count
      early = nil
      let range = Int(request.remainingOffset)..<Int(request.remainingOffset) + request.remainingByteCount
      if device.takesBytesEarly ?? device.reactor.random.oneIn(2) {
        if request.operation == .write { early = gather(request) }
        if request.operation == .read { early = device.medium.bytes(in: range) }
      }
      switch treatment {
      case .hold: device.heldFlights.append(self)
      case .delay(let nanoseconds): schedule(after: nanoseconds)
      case .proceed, .fail, .short: schedule(after: device.drawLatency())
      }
    }

    func schedule(after nanoseconds: UInt64) {
      device.reactor.arm(timer, at: device.reactor.now.advanced(byNanoseconds: nanoseconds))
    }

    private func gather(_ request: Request) -> [UInt8] {
      var bytes: [UInt8] = []
      bytes.reserveCapacity(request.remainingByteCount)
      for index in 0..<request.segmentCount {
        let segment = unsafe request.segment(index)
        unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(start: segment.base, count: segment.byteCount))
      }
      return bytes
    }

    func timerFired(_ timer: Timer) {
      let request = request
      var result = request.remainingByteCount
      switch treatment {
      case .fail(let errno): result = -Int(errno.rawValue)
      case .short(let count):
        result = min(result, count)
        if result > 0 { transfer(request, limit: result) }
      case .proceed, .hold, .delay: transfer(request, limit: result)
      }
      device.reactor.note(UInt64(request.operation.rawValue) &+ request.offset &* 8 &+ UInt64(request.segmentCount))
      request.forEachMerged { device.observer?($0, .completed) }
      current = nil
      inFlight = nil
      early = nil
      device.flights.append(self)
      device.sink?.completed(request, result: result)
    }

    private func transfer(_ request: Request, limit: Int) {
      let offset = Int(request.remainingOffset)
      switch request.operation {
      case .flush: device.makeDurable(covered)
      case .discard, .writeZeroes: write([UInt8](repeating: 0, count: limit), at: offset, isFUA: false)
      case .write: write([UInt8]((early ?? gather(request)).prefix(limit)), at: offset, isFUA: request.isFUA)
      case .read:
        var bytes = (early ?? device.medium.bytes(in: offset..<offset + limit))[...]
        for index in 0..<request.segmentCount {
          let segment = unsafe request.segment(index)
          let piece = unsafe bytes.prefix(segment.byteCount)
          unsafe segment.base.copyMemory(from: Array(piece), byteCount: piece.count)
          bytes = bytes.dropFirst(piece.count)
        }
      }
    }

    private func write(_ bytes: [UInt8], at offset: Int, isFUA: Bool) {
      device.medium.store(bytes, at: offset)
      guard device.keepsDurable else { return }
      // Also noted as volatile: an older write to the range, flushed later, must not undo it.
      device.volatileWrites.append((offset, bytes))
      if isFUA { device.durable.store(bytes, at: offset) }
    }
  }

  /// The first `total` writes ever completed are durable from now on.
  private func makeDurable(_ total: Int) {
    let count = max(0, total - durableWriteCount)
    for write in volatileWrites.prefix(count) { durable.store(write.bytes, at: write.offset) }
    volatileWrites.removeFirst(count)
    durableWriteCount += count
  }
}
