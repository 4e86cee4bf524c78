public import BlockDevice
internal import Reactor

/// How long requests take, and how many bytes and requests go through a second.
public struct LatencyModel: Equatable, Sendable {
  /// Times of reads.
  public var read: TimeDistribution?
  /// Times of writes, discards and zeroings.
  public var write: TimeDistribution?
  /// Times of flushes.
  public var flush: TimeDistribution?
  /// Nanoseconds a request takes longer for each byte between the end of the last one and its beginning, as a disk's head that
  /// has to move; in nanoseconds a MiB.
  public var seekNanosecondsPerMebibyte: UInt64 = 0
  /// Times by which a request takes longer that does not begin where the last one ended: a disk's head moves, and its platter
  /// turns.
  public var jump: TimeDistribution?
  /// How many requests are worked on at once, while the others wait; nil: all.
  public var parallel: Int?
  /// Requests a second; nil: as many as there are.
  public var requestRate: UInt64?
  /// Bytes a second; nil: as many as there are.
  public var byteRate: UInt64?
  /// What may go through at once after a pause, in nanoseconds of the rates.
  public var burstNanoseconds: UInt64 = 10_000_000
  /// Everything at once.
  public init() {}
  fileprivate var isInstant: Bool {
    read == nil && write == nil && flush == nil && seekNanosecondsPerMebibyte == 0 && jump == nil && requestRate == nil
      && byteRate == nil
  }

  /// Models with a name, of the order of magnitude of what they are named after, and of no product: a disk of 7,200
  /// revolutions a minute, whose head takes 4 to 12 ms to a place and where 0 to 8.3 ms pass until its platter is there, and
  /// an NVMe drive that reads from flash and writes into a cache.
  public static let named = [
    "disk": "read=50us,write=50us,flush=uniform:4ms:20ms,jump=uniform:4ms:20ms,parallel=1,rate=160m",
    "ssd": "read=lognormal:80us:0.2,write=lognormal:20us:0.3,flush=1ms,parallel=64,rate=2g",
  ]
}

/// Delays requests as a model says.
public final class LatencyLayer: DeviceLayer {
  /// The model, which may change at any time.
  public var model: LatencyModel { didSet { isInstant = model.isInstant } }
  private var isInstant: Bool
  private var random: SeededGenerator
  private var head: UInt64 = 0
  /// When the rates are used up to, in nanoseconds of the reactor's clock.
  private var requestsPaid: UInt64 = 0
  private var bytesPaid: UInt64 = 0
  /// Until when those who work are busy, in nanoseconds of the reactor's clock.
  private var busyUntil: [UInt64] = []
  private var delayed: [Delayed] = []

  /// A layer that delays by a model, with times drawn from a seed.
  public init(_ inner: any BlockDevice, _ model: LatencyModel, seed: UInt64 = 1) {
    self.model = model
    isInstant = model.isInstant
    random = SeededGenerator(seed: seed)
    super.init(inner)
  }

  public override var summary: String {
    "latency: \(model)"
  }

  private final class Delayed: TimerHandler {
    unowned let layer: LatencyLayer
    var request: Request?
    lazy var timer = Timer(handler: self)
    init(_ layer: LatencyLayer) { self.layer = layer }
    func timerFired(_ timer: Timer) {
      guard let request = request.take() else { return }
      layer.startNow(request)
    }
  }

  public override func start(_ request: Request) {
    guard !isInstant, let reactor else { return inner.start(request) }
    let delay = delay(of: request, reactor.now.nanoseconds)
    if delay == 0 { return inner.start(request) }
    let place = delayed.first { $0.request == nil } ?? Delayed(self)
    if place.request == nil, !delayed.contains(where: { $0 === place }) { delayed.append(place) }
    place.request = request
    reactor.arm(place.timer, at: reactor.now.advanced(byNanoseconds: delay))
  }

  /// Nanoseconds from `now` until the request goes on.
  private func delay(of request: Request, _ now: UInt64) -> UInt64 {
    let law =
      switch request.operation {
      case .read: model.read
      case .flush: model.flush
      case .write, .discard, .writeZeroes: model.write
      }
    var time = law?.draw(&random) ?? 0
    if switchedOff.contains(.timesHold) { time /= 2 }
    if let jump = model.jump, request.operation != .flush, request.remainingRange.lowerBound != head {
      time += jump.draw(&random)
    }
    let movesHead = model.seekNanosecondsPerMebibyte > 0 || model.jump != nil
    if movesHead && request.operation != .flush && !switchedOff.contains(.distanceCosts) {
      let range = request.remainingRange
      let distance = range.lowerBound > head ? range.lowerBound - head : head - range.lowerBound
      time += UInt64(Double(distance) / 1_048_576 * Double(model.seekNanosecondsPerMebibyte))
      head = range.upperBound
    }
    if let parallel = model.parallel, parallel > 0, !switchedOff.contains(.workersAreBusy) {
      if busyUntil.count != parallel { busyUntil = [UInt64](repeating: 0, count: parallel) }
      let first = busyUntil.indices.min { busyUntil[$0] < busyUntil[$1] } ?? 0
      busyUntil[first] = max(now, busyUntil[first]) + time
      time = busyUntil[first] - now
    }
    return max(
      time, wait(&requestsPaid, 1, model.requestRate, now),
      wait(&bytesPaid, UInt64(request.operation == .flush ? 0 : request.remainingByteCount), model.byteRate, now))
  }

  /// Pays for `amount` at a rate a second; what was not used lasts for a burst.
  private func wait(_ paid: inout UInt64, _ amount: UInt64, _ rate: UInt64?, _ now: UInt64) -> UInt64 {
    guard let rate, rate > 0, !switchedOff.contains(.ratesHold) else { return 0 }
    let earliest = now > model.burstNanoseconds ? now - model.burstNanoseconds : 0
    paid = max(paid, earliest) + UInt64(Double(amount) / Double(rate) * 1e9)
    return paid > now ? paid - now : 0
  }
}

// As it is written: `read=100us,write=lognormal:200us:0.8,rate=100m`, with fio's names for the rates; a law alone is
// that of all operations; or a name.
extension LatencyModel: CustomStringConvertible {
  private static let names = "read=, write=, flush=, seek=, jump=, parallel=, rate=, rate_iops= or burst="

  /// Reads a model. Throws as a rule does.
  public init(_ text: String) throws(FaultRuleError) {
    self.init()
    if let model = Self.named[text] {
      self = try LatencyModel(model)
      return
    }
    if !text.contains("=") {
      let law = try TimeDistribution(text)
      (read, write, flush) = (law, law, law)
      return
    }
    var scanner = RuleScanner(text)
    repeat {
      let start = scanner.column
      let name = scanner.word("=,")
      guard ["read", "write", "flush", "seek", "jump", "parallel", "rate", "rate_iops", "burst"].contains(name) else {
        throw scanner.error(Self.names, at: start)
      }
      try scanner.expect("=", "'=' and a value")
      switch name {
      case "read": read = try scanner.distribution()
      case "write": write = try scanner.distribution()
      case "flush": flush = try scanner.distribution()
      case "seek": seekNanosecondsPerMebibyte = try scanner.time()
      case "jump": jump = try scanner.distribution()
      case "parallel":
        let start = scanner.column
        guard case let count = try scanner.positive(), count <= 4096 else {
          throw scanner.error("a number from 1 to 4096", at: start)
        }
        parallel = Int(count)
      case "burst": burstNanoseconds = try scanner.time()
      case "rate_iops": requestRate = UInt64(try scanner.positive())
      default:
        let start = scanner.column
        let rate = try scanner.size().number
        guard rate > 0 else { throw scanner.error("a number from 1 on", at: start) }
        byteRate = rate
      }
    } while scanner.skip(",")
    guard scanner.isAtEnd else { throw scanner.error("',' and one more of \(Self.names), or the end") }
  }

  public var description: String {
    var parts = [("read", read), ("write", write), ("flush", flush)].compactMap { name, law in
      law.map { "\(name)=\($0)" }
    }
    if seekNanosecondsPerMebibyte > 0 { parts.append("seek=\(timeText(seekNanosecondsPerMebibyte))") }
    if let jump { parts.append("jump=\(jump)") }
    if let parallel { parts.append("parallel=\(parallel)") }
    if let byteRate { parts.append("rate=\(sizeText(byteRate))") }
    if let requestRate { parts.append("rate_iops=\(requestRate)") }
    if burstNanoseconds != LatencyModel().burstNanoseconds { parts.append("burst=\(timeText(burstNanoseconds))") }
    return parts.joined(separator: ",")
  }
}
