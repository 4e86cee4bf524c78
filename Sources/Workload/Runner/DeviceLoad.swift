// One copy of a job on devices: operations begin, complete and begin again in steps that nothing interrupts.
//
//   pump: begin what may begin ──> request queue ──> device ──> requestCompleted: record, free the slot ──> pump …
internal import BlockDevice
internal import Reactor
internal import SystemPackage

/// The operations in flight of one copy. Confined to its reactor.
final class DeviceLoad {
  let copy: JobCopy
  private let queues: [RequestQueue]
  private let names: [String]
  /// What failed: where a job goes on after errors, the first.
  private(set) var findings: [Finding] = []
  private let reactor: Reactor
  private let control: RunControl
  /// Called before each operation, where somebody follows the run.
  private let onTurn: (() -> Void)?
  private let slots: [Slot]
  /// The index of the first of the slots that are free, each of which knows the next; −1: none is.
  private var freeSlot = -1
  private var random: SeededGenerator
  /// The next operation, drawn and not begun: its time has not come, it overlaps one in flight, or there is no place.
  private var next: Step?
  /// What comes before the next: flushes that are due, and writes of what was trimmed.
  private var dueSteps: [Step] = []
  private(set) var inFlight = 0
  private var completedSincePump = 0, begunSincePump = 0
  private var isDraining = false
  private var hasStopped = false
  private var thoughtAt: UInt64 = 0
  private var issuedCount: UInt64 = 0, completedCount: UInt64 = 0
  private var thinksUntil: Instant?
  /// A request past its deadline keeps its memory: nobody waits for it any more.
  private(set) var isOverdue = false
  /// While completions are polled: when those of this turn were found, which is one look at the clock for all of them.
  private var completedAt: Instant?
  private var isPolling = false
  private let wake: WaitQueue
  /// Nil where nobody verifies.
  private let verifier: CopyVerifier?

  /// One operation in flight and its memory.
  fileprivate final class Slot {
    let index: Int
    let pieces: [Buffer]
    /// Of each but the last, which may be smaller.
    let pieceByteCount: Int
    var step = Step(operation: .read, file: 0, offset: 0, byteCount: 0, due: nil)
    var begunAt = Instant(nanoseconds: 0)
    var submittedAt: Instant?
    var outstanding = 0
    var error: DeviceError?
    var ticket: CopyVerifier.Ticket?
    var nextFree = -1

    init(_ index: Int, pieces: [Buffer]) {
      self.index = index
      self.pieces = pieces
      pieceByteCount = pieces[0].byteCount
    }

    func pieceCount(of byteCount: Int) -> Int {
      byteCount <= pieceByteCount ? 1 : (byteCount + pieceByteCount - 1) / pieceByteCount
    }
  }

  /// - Parameters:
  ///   - devices: of the copy's files, in their order, with their names.
  ///   - control: says when the run ends.
  ///   - onTurn: called before each operation, where somebody follows the run.
  init(
    _ copy: JobCopy, on devices: [(name: String, queue: RequestQueue)], _ reactor: Reactor,
    _ verifier: CopyVerifier? = nil, control: RunControl, onTurn: (() -> Void)?
  ) {
    self.copy = copy
    queues = devices.map(\.queue)
    names = devices.map(\.name)
    self.reactor = reactor
    self.verifier = verifier
    self.control = control
    self.onTurn = onTurn
    random = copy.generator(of: 0)
    wake = WaitQueue(reactor, "operations of \(copy.name)")
    let largestPiece = queues.map { $0.geometry.maximumTransfer }.min() ?? copy.job.largestBlock
    let sizes = stride(from: 0, to: copy.job.largestBlock, by: largestPiece).map {
      min(largestPiece, copy.job.largestBlock - $0)
    }
    slots = (0..<copy.job.queueing.depth).map { Slot($0, pieces: sizes.map { Buffer(byteCount: $0) }) }
    for slot in slots.reversed() { release(slot) }
    if fillsBuffers && copy.job.buffers != .zeroes { for slot in slots { fill(slot) } }
  }

  /// Everything that the copy does, to its end. `isPolled`: wait for completions in the device, when the copy has the
  /// reactor and one device to itself.
  func run(isPolled: Bool) async {
    copy.begin(at: reactor.now)
    if let verifier, verifier.isOnly {
      hasStopped = true
      return
    }
    await loop(isPolled: isPolled)
    if let verifier, !isOverdue, !copy.hasFailed {
      verifier.beginLastTrims()
      await loop(isPolled: isPolled)
    }
  }

  /// Reads back what has to be there, and compares.
  func verify(isPolled: Bool) async {
    guard let verifier, !isOverdue else { return }
    verifier.beginReadingBack()
    await loop(isPolled: isPolled)
  }

  /// Whether writes have what is drawn, and not what verification puts there.
  private var fillsBuffers: Bool { verifier?.stampsWrites != true }

  private func loop(isPolled: Bool) async {
    var rounds = 0
    while true {
      let due = pump()
      if isOver { return }
      if isPolled && due == nil {
        isPolling = true
        endTurn(queues[0])
        while inFlight > 0 && !isReady {
          completedAt = nil
          queues[0].device.waitForCompletion()
          // What was transferred in part goes on.
          endTurn(queues[0])
        }
        isPolling = false
        rounds += 1
        // Timers, and whoever looks at the progress.
        if rounds % 256 == 0 { await reactor.pass() }
      } else if let due, let finding = RunControl.clockFinding(due, copy, on: reactor) {
        (hasStopped, next, thinksUntil) = (true, nil, nil)
        copy.stop(errorNumber: Errno.overflow.rawValue)
        findings.append(finding)
      } else if !isReady {
        _ = await wake.waitInterruptibly(until: due.map(nextLook))
      }
    }
  }

  private func endTurn(_ queue: RequestQueue) {
    completedAt = nil
    queue.endTurn()
  }

  /// When to look again, on the way to an instant: somebody may have stopped the run. Nobody does while virtual time
  /// passes.
  private func nextLook(before instant: Instant) -> Instant {
    reactor is SimulatedReactor ? instant : min(instant, reactor.now.advanced(byNanoseconds: 100_000_000))
  }

  /// Flushes each device of the copy, after its last operation.
  func flushAll(isPolled: Bool) async {
    for file in queues.indices {
      dueSteps.append(Step(operation: .flush, file: file, offset: 0, byteCount: 0, due: nil))
    }
    await loop(isPolled: isPolled)
  }

  private var isOver: Bool { hasStopped && (inFlight == 0 && dueSteps.isEmpty || isOverdue) }

  /// Whether enough has completed since `pump` for more to begin.
  private var isReady: Bool {
    if isOverdue { return true }
    if isDraining { return inFlight <= lowDepth }
    return completedSincePump >= min(max(1, copy.job.queueing.batchCompleteMin), completedSincePump + inFlight)
      && completedSincePump > 0
  }
  /// Below the depth: else nothing would have to complete.
  private var lowDepth: Int {
    let queueing = copy.job.queueing
    return min(queueing.lowDepth ?? queueing.depth, queueing.depth - 1)
  }

  // MARK: Beginning

  /// Begins what may begin. Returns when it is to be called again at the latest; nil: when something completes.
  private func pump() -> Instant? {
    let queueing = copy.job.queueing
    if isDraining && inFlight <= lowDepth { isDraining = false }
    if isDraining { return nil }
    let completed = completedSincePump
    completedSincePump = 0
    begunSincePump = 0
    defer {
      if begunSincePump + completed > 0 { copy.recorder.noteRound(begun: begunSincePump, completed: completed) }
    }
    var begun = 0
    while freeSlot >= 0 && !isOverdue {
      let isEnding = control.isEndRequested
      if dueSteps.isEmpty, let verifier, !isEnding, let step = verifier.takeStep() { dueSteps.append(step) }
      if let step = dueSteps.first {
        guard begin(step, at: reactor.now) else { return nil }
        dueSteps.removeFirst()
        continue
      }
      if let until = thinksUntil, !isEnding {
        // A pause begins when what is in flight has ended.
        if inFlight > 0 || reactor.now < until { return inFlight > 0 ? nil : until }
        thinksUntil = nil
      }
      if copy.job.schedule.thinkTime.isOneAtATime && inFlight > 0 { return nil }
      // What begins first takes the place of what has just completed, at the same instant.
      let now = completedAt ?? reactor.now
      completedAt = nil
      if isEnding || verifier?.hasEnded == true { next = nil }
      if next == nil {
        onTurn?()
        guard !hasStopped, !isEnding, verifier?.hasEnded != true, copy.takeTurn(at: now) else {
          hasStopped = true
          return nil
        }
        // Moved out and back: the copy could not be proved to leave it alone, and each access would be tracked.
        var random = random
        next = copy.nextStep(&random, at: now)
        self.random = random
      }
      guard let step = next else { return nil }
      if let due = step.due {
        let instant = copy.startedAt.advanced(byNanoseconds: due)
        if let end = copy.timeEnd, instant >= end {
          if now < end { return end }
          // Its time will never come.
          next = nil
          continue
        }
        if now < instant { return instant }
      }
      if step.waitsForAll && inFlight > 0 { return nil }
      if copy.job.queueing.serializesOverlap && overlapsFlight(step) { return nil }
      guard begin(step, at: now) else { return nil }
      next = nil
      begun += 1
      issuedCount += 1
      thinkIfDue(.issue, issuedCount)
      if begun == queueing.batchSubmit {
        begun = 0
        endTurn(queues[step.file])
      }
    }
    if freeSlot < 0, queueing.lowDepth != nil { isDraining = true }
    return nil
  }

  private func release(_ slot: Slot) {
    slot.nextFree = freeSlot
    freeSlot = slot.index
  }

  private func overlapsFlight(_ step: Step) -> Bool {
    step.byteCount > 0
      && slots.contains { $0.outstanding > 0 && $0.step.file == step.file && $0.step.range.overlaps(step.range) }
  }

  private func thinkIfDue(_ counts: ThinkTimeCount, _ count: UInt64) {
    let think = copy.job.schedule.thinkTime
    guard think.nanoseconds > 0, think.counts == counts, count >= thoughtAt + think.operationCount else { return }
    thoughtAt = count
    let now = reactor.now
    thinksUntil = now.advanced(byNanoseconds: think.nanoseconds)
    // Virtual time stands still while somebody is busy.
    if think.spinNanoseconds > 0 && !(reactor is SimulatedReactor) {
      let end = now.advanced(byNanoseconds: min(think.nanoseconds, think.spinNanoseconds))
      while reactor.now < end {}
    }
  }

  /// Hands an operation to its device; false: there is no place for it.
  private func begin(_ step: Step, at now: Instant) -> Bool {
    guard freeSlot >= 0 else { return false }
    let queue = queues[step.file]
    guard let first = queue.admitNow() else { return false }
    let slot = slots[freeSlot]
    freeSlot = slot.nextFree
    slot.step = step
    slot.begunAt = now
    slot.submittedAt = nil
    // Seldom set, and to clear it costs more than to look.
    if slot.error != nil { slot.error = nil }
    inFlight += 1
    copy.noteBegin(step, at: slot.begunAt)
    begunSincePump += 1
    if !step.isVerification { copy.recorder.noteDepth(inFlight) }
    if step.operation == .write && fillsBuffers {
      switch copy.job.buffers {
      case .zeroes: break
      case .random: fill(slot)
      case .randomOnce: scramble(slot, step.byteCount)
      }
    }
    if let verifier { slot.ticket = verifier.begin(step, slot.pieces) }
    guard step.operation == .read || step.operation == .write else {
      slot.outstanding = 1
      first.prepare(step.operation, at: step.offset, byteCount: step.byteCount)
      submit(first, slot, queue)
      return true
    }
    slot.outstanding = slot.pieceCount(of: step.byteCount)
    submitPiece(0, first, slot, queue)
    for index in 1..<slot.outstanding {
      guard let request = queue.admitNow() else {
        // There is a place for each piece of each slot, but those past their deadline keep theirs.
        slot.error = queue.timedOut ?? .closed
        slot.outstanding = index
        break
      }
      submitPiece(index, request, slot, queue)
    }
    return true
  }

  /// Hands over one piece of an operation that moves memory.
  private func submitPiece(_ index: Int, _ request: Request, _ slot: Slot, _ queue: RequestQueue) {
    let step = slot.step, start = index * slot.pieceByteCount
    request.prepare(
      step.operation, at: step.offset + UInt64(start),
      isFUA: step.operation == .write && (step.isForcedUnitAccess || copy.job.writeSync != .none))
    let count = min(slot.pieceByteCount, step.byteCount - start)
    _ = unsafe request.append(Segment(base: slot.pieces[index].segment.base, byteCount: count))
    submit(request, slot, queue)
  }

  private func submit(_ request: Request, _ slot: Slot, _ queue: RequestQueue) {
    request.context = slot
    queue.submit(request, handler: self, at: slot.begunAt)
  }

  /// Changes a word of each logical block, so that no two writes are alike, as fio's `scramble_buffers` does: what finds
  /// equal blocks is to find none.
  private func scramble(_ slot: Slot, _ byteCount: Int) {
    let seed = random.next()
    var rest = byteCount
    for piece in slot.pieces where rest > 0 {
      let count = min(rest, piece.byteCount)
      piece.withMutableBytes { bytes in
        for start in stride(from: 0, to: count - 7, by: 512) {
          bytes.storeBytes(of: seed &+ UInt64(rest - start), toByteOffset: start, as: UInt64.self)
        }
      }
      rest -= count
    }
  }

  /// Fills a slot's memory with what is drawn.
  private func fill(_ slot: Slot) {
    for piece in slot.pieces {
      piece.withMutableBytes { bytes in
        for start in stride(from: 0, to: bytes.byteCount - 7, by: 8) {
          bytes.storeBytes(of: random.next(), toByteOffset: start, as: UInt64.self)
        }
      }
    }
  }
}

extension DeviceLoad: RequestHandler {
  func requestCompleted(_ request: Request) {
    guard let slot = request.context as? Slot else { return }
    if let error = request.error, slot.error == nil { slot.error = error }
    if let dispatched = request.dispatchedAt, slot.submittedAt == nil { slot.submittedAt = dispatched }
    slot.outstanding -= 1
    if slot.outstanding == 0 { end(slot) }
  }

  func requestTimedOut(_ request: Request) {
    guard let slot = request.context as? Slot else { return }
    isOverdue = true
    hasStopped = true
    copy.fail(isWrite: slot.step.isWrite, errorNumber: Errno.timedOut.rawValue)
    note(.timedOut(request.operation, offset: request.offset), slot.step)
    wake.wakeAll()
  }

  /// The last request of an operation is done.
  private func end(_ slot: Slot) {
    let step = slot.step
    inFlight -= 1
    release(slot)
    completedSincePump += 1
    if let ticket = slot.ticket {
      slot.ticket = nil
      verifier?.end(step, slot.pieces, ticket, isDone: slot.error == nil, at: reactor.now)
    }
    if let error = slot.error {
      if copy.fail(isWrite: step.isWrite, errorNumber: error.number) { hasStopped = true }
      note(error, step)
    } else {
      if !step.isVerification { record(slot) }
      let sync = step.operation == .write ? copy.syncDueAfterWrite() : (isDue: false, isDataOnly: false)
      if sync.isDue {
        dueSteps.append(
          Step(
            operation: .flush, file: step.file, offset: 0, byteCount: 0, due: nil, isDataOnly: sync.isDataOnly))
      }
      // Also when the job ends meanwhile: no block is left trimmed.
      if step.isWrittenNext {
        dueSteps.append(
          Step(operation: .write, file: step.file, offset: step.offset, byteCount: step.byteCount, due: nil))
      }
    }
    if step.operation != .flush && !step.isVerification {
      completedCount += 1
      thinkIfDue(.complete, completedCount)
    }
    if isReady || inFlight == 0 { wake.wakeAll() }
  }

  private func record(_ slot: Slot) {
    let now = completedAt ?? reactor.now, step = slot.step
    if isPolling { completedAt = now }
    let total = now.nanoseconds(since: slot.begunAt)
    copy.record(
      ReportedOperation(step.operation), bytes: step.byteCount, offset: step.offset, nanoseconds: total,
      submission: slot.submittedAt.map { $0.nanoseconds(since: slot.begunAt) },
      lateness: copy.lateness(of: step, begunAt: slot.begunAt), at: now)
    if let limit = copy.job.maximumLatency, total > limit {
      copy.fail(isWrite: step.isWrite, errorNumber: Errno.timedOut.rawValue)
      hasStopped = true
      findings.append(
        Finding(
          .ioError, context: "max_latency of \(copy.name)", file: names[step.file],
          found: "\(step.operation) at byte \(step.offset) took \(total) ns"))
    }
  }

  private func note(_ error: DeviceError, _ step: Step) {
    guard findings.count < 100 else { return }
    let what = step.operation == .flush ? "fsync" : "\(step.operation)"
    findings.append(
      Finding(.ioError, context: "\(what) of \(copy.name)", file: names[step.file], found: "\(error)"))
  }
}

extension ReportedOperation {
  /// How a request of a device is reported.
  init(_ operation: Operation) {
    self =
      switch operation {
      case .read: .read
      case .write: .write
      case .flush: .fsync
      case .discard: .trim
      case .writeZeroes: .writeZeroes
      }
  }
}

extension DeviceError {
  /// What a kernel would return.
  fileprivate var number: Int32 {
    switch self {
    case .io(_, offset: _, let errno): errno.rawValue
    case .timedOut: Errno.timedOut.rawValue
    default: Errno.ioError.rawValue
    }
  }
}
