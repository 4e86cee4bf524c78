// A device that fails by rules.
//
// The device below always holds what a good device would hold. What a faulty one shows instead lies beside it, block by
// block: so faults can be switched off, and the bytes are whole again.
public import BlockDevice
public import Reactor
internal import SystemPackage

/// Lets requests fail, lie, hang and rot, by rules and from a seed.
public final class FaultLayer: DeviceLayer {
  /// Whether rules and damage have an effect. Switched off, requests go through and reads get what was written.
  public var isEnabled = true { didSet { isActive = isEnabled && !triggers.isEmpty } }
  /// Whether there is anything to do: nothing is damaged before there are rules.
  private var isActive = false
  private var triggers: FaultTriggers
  private var random: SeededGenerator
  private let seed: UInt64
  private var opened = Instant(nanoseconds: 0)

  /// Blocks that read otherwise than the device below has them.
  private var damage: SectorMap
  /// Blocks as they were before their last write, where a rule wants stale reads.
  private var previous: SectorMap
  private var keepsPrevious = false

  private var isReadOnlyNow = false
  private var unpluggedUntil: Instant?
  /// What to do with each request at its end, by tag.
  private var plans: [Plan?] = []
  private var ownRequests: [Request] = []
  private var heldRequests: [Request] = []
  /// When what was refused is asked for again.
  private static let retryNanoseconds: UInt64 = 10_000
  private var alarms: [Alarm] = []

  /// What a request still needs.
  private struct Plan {
    var action: FaultRule.Action?
    var rule = 0
    var old: [UInt8] = []
    var new: [UInt8] = []
  }

  /// A layer that follows these rules.
  public init(_ inner: any BlockDevice, rules: [FaultRule] = [], seed: UInt64 = 1) {
    triggers = FaultTriggers(sectorByteCount: inner.geometry.logicalBlockSize)
    damage = SectorMap(sectorByteCount: inner.geometry.logicalBlockSize)
    previous = SectorMap(sectorByteCount: inner.geometry.logicalBlockSize)
    random = SeededGenerator(seed: seed)
    self.seed = seed
    super.init(inner)
    for rule in rules { add(rule) }
  }

  public override var summary: String {
    let texts = triggers.reports.map { $0.rule.text.isEmpty ? "\($0.rule.action)" : $0.rule.text }
    return "faults: \(texts.isEmpty ? "none" : texts.joined(separator: " "))"
  }

  /// One more rule, asked after the others.
  public func add(_ rule: FaultRule) {
    triggers.add(rule)
    isActive = isEnabled
    if rule.action == .stale { keepsPrevious = true }
  }
  /// Names of ranges, for rules about them.
  public var regions: [NamedRegion] {
    get { triggers.regions }
    set { triggers.regions = newValue }
  }
  /// What became of each rule.
  public var reports: [FaultReport] { triggers.reports }
  /// Logical blocks that read otherwise than they were written.
  public var damagedBlocks: [UInt64] { damage.sectors }
  /// What those blocks read, by the byte where each begins.
  public var damagedContents: [(offset: UInt64, bytes: [UInt8])] {
    damage.sectors.map { (UInt64(geometry.logicalBlockSize) * $0, damage[$0] ?? []) }
  }
  /// Forgets all damage: the blocks read as they were written.
  public func mend() { damage.removeAll() }
  /// Requests that hang.
  public var heldCount: Int { heldRequests.count }

  /// Lets go of what hangs: it is served now, whatever rules say.
  public func releaseHeld() {
    let held = heldRequests
    heldRequests = []
    for request in held { startNow(request) }
  }

  /// Brings what a reader of the whole device gets into bytes that were read below the layer.
  public func applyDamage(to bytes: inout [UInt8], at offset: UInt64 = 0) {
    if isEnabled { damage.apply(to: &bytes, at: offset) }
  }

  // MARK: BlockDevice

  public override func ownRequestCount(tagCount: Int) -> Int { tagCount }

  public override func attach(to reactor: Reactor, tagCount: Int) throws(DeviceError) {
    try super.attach(to: reactor, tagCount: tagCount)
    opened = reactor.now
    plans = Array(repeating: nil, count: tagCount)
    let segmentCapacity = min(geometry.maximumSegments, 1024)
    ownRequests = (0..<tagCount).map { Request(ownTag: tagCount + $0, segmentCapacity: segmentCapacity) }
  }

  public override func start(_ request: Request) {
    guard isActive, let reactor else { return inner.start(request) }
    // Of a request that ended while the layer was switched off.
    if let tag = request.tag { plans[tag] = nil }
    if let until = unpluggedUntil {
      if reactor.now < until { return answer(request, -Int(Errno.noDevice.rawValue)) }
      unpluggedUntil = nil
    }
    if isReadOnlyNow && request.operation.isWrite {
      return answer(request, -Int(Errno.readOnlyFileSystem.rawValue))
    }
    if let rule = triggers.fire(request, .start, reactor.now, opened: opened, &random) {
      apply(triggers.reports[rule].rule.action, rule, request, reactor)
    } else if keepsPrevious && request.operation == .write {
      readOld(request, Plan())
    } else {
      inner.start(request)
    }
  }

  private func apply(_ action: FaultRule.Action, _ rule: Int, _ request: Request, _ reactor: Reactor) {
    switch action {
    case .fail(let errno): answer(request, -Int(errno.rawValue))
    case .thin: answer(request, -Int(Errno.noSpace.rawValue))
    case .again: alarm(after: Self.retryNanoseconds) { [self] in startAgain(request) }
    case .lie: answer(request, 0)
    case .hang: heldRequests.append(request)
    case .delay(let law):
      alarm(after: law.draw(&random)) { [self] in startNow(request) }
    case .readOnly:
      isReadOnlyNow = true
      if request.operation.isWrite {
        answer(request, -Int(Errno.readOnlyFileSystem.rawValue))
      } else {
        inner.start(request)
      }
    case .unplug(let law):
      unpluggedUntil = reactor.now.advanced(byNanoseconds: law.draw(&random))
      answer(request, -Int(Errno.noDevice.rawValue))
    case .short(let count): startShort(request, count)
    // There is nothing to keep but what the device has, however much that is.
    case .phantom where request.operation != .write: answer(request, 0)
    case .torn, .phantom, .misdirect: readOld(request, Plan(action: action, rule: rule))
    case .rot, .stuck, .stale, .duplicate:
      setPlan(Plan(action: action, rule: rule), request)
      inner.start(request)
    }
  }

  /// As the queue would: rules are asked anew.
  private func startAgain(_ request: Request) {
    start(request)
    submit()
    _ = reap()
  }

  private func setPlan(_ plan: Plan, _ request: Request) {
    guard let tag = request.tag else { preconditionFailure("a request without a tag") }
    plans[tag] = plan
  }

  // MARK: Requests of its own

  /// Reads what a write is going to replace; then the write follows.
  private func readOld(_ request: Request, _ plan: Plan) {
    guard let tag = request.tag else { preconditionFailure("a request without a tag") }
    plans[tag] = plan
    let own = ownRequests[tag]
    let buffer = Buffer(byteCount: request.remainingByteCount, alignment: max(512, geometry.memoryAlignment))
    own.prepareOwn(.read, at: request.remainingOffset)
    _ = unsafe own.append(buffer.segment)
    own.context = OldContents(request, buffer)
    inner.start(own)
  }

  private final class OldContents {
    let request: Request
    let buffer: Buffer
    init(_ request: Request, _ buffer: Buffer) {
      self.request = request
      self.buffer = buffer
    }
  }
  private final class ShortPart {
    let request: Request
    let count: Int
    init(_ request: Request, _ count: Int) {
      self.request = request
      self.count = count
    }
  }

  /// Serves only the first bytes of a request.
  private func startShort(_ request: Request, _ count: Int) {
    guard let tag = request.tag, count < request.remainingByteCount else { return inner.start(request) }
    let whole = count / geometry.logicalBlockSize * geometry.logicalBlockSize
    guard whole > 0 else { return answer(request, count) }
    let own = ownRequests[tag]
    own.prepareOwn(request.operation, at: request.remainingOffset)
    var rest = whole
    for index in 0..<request.segmentCount where rest > 0 {
      var segment = unsafe request.segment(index)
      unsafe segment.byteCount = min(rest, segment.byteCount)
      _ = unsafe own.append(segment)
      unsafe rest -= segment.byteCount
    }
    own.owner = request.owner
    own.isFileData = request.isFileData
    own.context = ShortPart(request, count)
    inner.start(own)
  }

  // MARK: What comes back

  public override func finished(_ request: Request, _ result: Int) {
    // Told twice: the queue counts such ends.
    guard let tag = request.tag else { return tell(request, result) }
    if tag >= tagCount { return finishedOwn(request, result) }
    if isActive {
      finish(request, request, result, tag)
    } else {
      tell(request, result)
    }
  }

  private func finishedOwn(_ own: Request, _ result: Int) {
    let context = own.context
    own.context = nil
    if let part = context as? ShortPart {
      guard let tag = part.request.tag else { preconditionFailure("a request without a tag") }
      finish(part.request, own, result < 0 ? result : min(result, part.count), tag)
    } else if let contents = context as? OldContents {
      guard let tag = contents.request.tag else { preconditionFailure("a request without a tag") }
      guard result >= 0 else {
        plans[tag] = nil
        return tell(contents.request, result)
      }
      var old = contents.buffer.withBytes { bytes in (0..<bytes.byteCount).map { bytes.byte($0) } }
      damage.apply(to: &old, at: contents.request.remainingOffset)
      plans[tag]?.old = old
      if case .misdirect? = plans[tag]?.action { plans[tag]?.new = contents.request.gather() }
      inner.start(contents.request)
    }
  }

  /// The end of a request of the queue, of which `served` was done.
  private func finish(_ request: Request, _ served: Request, _ result: Int, _ tag: Int) {
    let plan = plans[tag]
    plans[tag] = nil
    if result >= 0 { noteServed(served, result, plan) }
    if let reactor, let rule = triggers.fire(request, .complete, reactor.now, opened: opened, &random) {
      switch triggers.reports[rule].rule.action {
      case .fail(let errno): return tell(request, -Int(errno.rawValue))
      case .delay(let law): return alarm(after: law.draw(&random)) { [self] in tell(request, result) }
      case .duplicate:
        tell(request, result)
        return tell(request, result)
      default: break
      }
    }
    tell(request, result)
    if plan?.action == .duplicate { tell(request, result) }
  }

  private func noteServed(_ request: Request, _ result: Int, _ plan: Plan?) {
    let start = request.remainingOffset
    let size = UInt64(geometry.logicalBlockSize)
    switch request.operation {
    case .read: changeRead(request, plan)
    case .flush: break
    case .discard, .writeZeroes:
      triggers.noteDiscarded(request.remainingRange)
      damage.remove(request.remainingRange)
    case .write:
      let stored = start..<start + UInt64(result) / size * size
      damage.remove(stored)
      triggers.noteStored(stored)
      guard let plan else { return }
      if keepsPrevious { previous.store(plan.old[...], at: start) }
      if let action = plan.action { damageWrite(action, plan, start) }
    }
  }

  private func damageWrite(_ action: FaultRule.Action, _ plan: Plan, _ start: UInt64) {
    let size = geometry.logicalBlockSize
    let count = plan.old.count / size
    func keepOld(_ index: Int) {
      damage.store(plan.old[index * size..<(index + 1) * size], at: start + UInt64(index * size))
    }
    switch action {
    case .phantom: (0..<count).forEach(keepOld)
    case .torn(let blocks): for index in 0..<count where !blocks.contains(index, of: count) { keepOld(index) }
    case .misdirect(let distance):
      (0..<count).forEach(keepOld)
      // What would lie outside of the device is lost.
      let target = Int64(clamping: start) + Int64(distance) * Int64(size)
      guard target >= 0, UInt64(target) + UInt64(plan.new.count) <= geometry.byteCount else { return }
      damage.store(plan.new[...], at: UInt64(target))
    default: break
    }
  }

  private func changeRead(_ request: Request, _ plan: Plan?) {
    guard !damage.isEmpty || plan != nil else { return }
    var bytes = request.gather()
    let start = request.remainingOffset
    let size = geometry.logicalBlockSize
    damage.apply(to: &bytes, at: start)
    switch plan?.action {
    case .stale?: previous.apply(to: &bytes, at: start)
    case .rot(let count)?:
      for _ in 0..<count {
        let bit = random.below(bytes.count * 8)
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        let sector = bit / 8 / size
        damage.store(bytes[sector * size..<(sector + 1) * size], at: start + UInt64(sector * size))
      }
    case .stuck(let count)?:
      for sector in 0..<bytes.count / size {
        var places = SeededGenerator(seed: seed ^ (start / UInt64(size) + UInt64(sector)) &* 0x9E37_79B9_7F4A_7C15)
        for _ in 0..<count {
          let bit = places.below(size * 8)
          bytes[sector * size + bit / 8] |= 1 << UInt8(bit % 8)
        }
      }
    default: break
    }
    request.scatter(bytes.span, at: 0)
  }

  // MARK: Time

  private final class Alarm: TimerHandler {
    private var body: (() -> Void)?
    var timer: Timer?
    init(_ body: @escaping () -> Void) { self.body = body }
    func timerFired(_ timer: Timer) { body.take()?() }
  }

  private func alarm(after nanoseconds: UInt64, _ body: @escaping () -> Void) {
    guard let reactor else { return }
    let alarm = Alarm(body)
    let timer = Timer(handler: alarm)
    alarm.timer = timer
    alarms.removeAll { $0.timer?.deadline == nil }
    alarms.append(alarm)
    reactor.arm(timer, at: reactor.now.advanced(byNanoseconds: nanoseconds))
  }
}

extension RawSpan {
  fileprivate func byte(_ offset: Int) -> UInt8 { unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self) }
}
