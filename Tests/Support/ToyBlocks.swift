package import BlockDevice
internal import PageCache
package import Reactor

/// A broken promise about a disk block, found by the oracle.
package enum ToyViolation: Sendable, CustomStringConvertible {
  /// A write to a block by somebody who does not own it at that moment.
  case notOwner(Operation, atCompletion: Bool, block: Int, file: UInt64, page: UInt64, state: ToyBlocks.State)
  /// A second write to a block while one is in flight.
  case twoWrites(block: Int, file: UInt64, page: UInt64)
  /// A bit cleared while a write or a discard to its block is queued or in flight.
  case freedInFlight(block: Int)

  package var description: String {
    switch self {
    case .notOwner(let operation, let atCompletion, let block, let file, let page, let state):
      "\(operation) to block \(block) \(atCompletion ? "completed" : "issued") for file \(file) page \(page), "
        + "but the block is \(state)"
    case .twoWrites(let block, let file, let page):
      "a second write to block \(block), for file \(file) page \(page), while one is in flight"
    case .freedInFlight(let block): "block \(block) was freed with a write to it queued or in flight"
    }
  }
}

/// The toy's bitmap, its pending frees, and the oracle that knows who owns each block *now*. Confined to the reactor.
package final class ToyBlocks {
  /// What a block is.
  package enum State: Equatable, Sendable, CustomStringConvertible {
    /// Its bit is clear.
    case free
    /// Its bit is set; it is in no file yet.
    case taken
    /// It is that page of that file.
    case owned(file: UInt64, page: UInt64)
    /// It is in no file any more; its bit is not clear yet.
    case pending(file: UInt64, page: UInt64)
    /// As pending, and being discarded.
    case discarding(file: UInt64, page: UInt64)

    package var description: String {
      switch self {
      case .free: "free"
      case .taken: "taken and in no file"
      case .owned(let file, let page): "page \(page) of file \(file)"
      case .pending(let file, let page): "pending, once page \(page) of file \(file)"
      case .discarding(let file, let page): "being discarded, once page \(page) of file \(file)"
      }
    }
  }

  /// What each block is now.
  package private(set) var states: [State]
  /// What the oracle has found.
  package private(set) var violations: [ToyViolation] = []
  /// Woken when a block becomes free, or nothing is pending any more.
  package let freed: WaitQueue
  /// Woken when there is something to discard.
  package let discardWork: WaitQueue
  private let options: ToyOptions
  private let queue: RequestQueue
  private var pending: [Int] = []
  private var toDiscard: [Int] = []
  private var discarding = 0
  private var rotor = 0
  private var writesInFlight: [Int]

  init(_ options: ToyOptions, queue: RequestQueue) {
    self.options = options
    self.queue = queue
    states = Array(repeating: .free, count: options.blockCount)
    writesInFlight = Array(repeating: 0, count: options.blockCount)
    freed = WaitQueue(queue.reactor, "a free block")
    discardWork = WaitQueue(queue.reactor, "something to discard")
  }

  /// Whether blocks are on their way to become free.
  package var hasPending: Bool { !pending.isEmpty || !toDiscard.isEmpty || discarding > 0 }
  /// How many bits are clear.
  package var freeCount: Int { states.count { $0 == .free } }

  /// Chooses a free block and sets its bit, in one step; nil when none is free.
  func take(after previous: Int?) -> Int? {
    var start = 0
    switch options.allocator {
    case .firstFit: break
    case .nextFit: start = rotor
    case .contiguous: start = previous.map { $0 + 1 } ?? rotor
    }
    for step in 0..<states.count {
      let block = (start + step) % states.count
      if states[block] == .free {
        states[block] = .taken
        rotor = (block + 1) % states.count
        return block
      }
    }
    return nil
  }

  /// Scripts that want a certain layout: the next blocks are looked for from here on.
  package func setRotor(_ block: Int) { rotor = block }

  /// The block is a page of a file from now on.
  func link(_ block: Int, file: UInt64, page: Int) { states[block] = .owned(file: file, page: UInt64(page)) }

  /// Gives back a block that was taken and not linked.
  func giveBack(_ block: Int) {
    states[block] = .free
    freed.wakeAll()
  }

  /// The block is in no file any more: its bit is cleared when no write to it is queued or in flight.
  func drop(_ block: Int, file: UInt64, page: Int) {
    if options.switchedOff.contains(.pendingFrees) {
      clear(block)
    } else {
      states[block] = .pending(file: file, page: UInt64(page))
      pending.append(block)
    }
  }

  private func range(_ block: Int) -> Range<UInt64> {
    let start = UInt64(block * options.pageByteCount)
    return start..<start + UInt64(options.pageByteCount)
  }

  private func clear(_ block: Int) {
    if queue.hasOutstandingWrite(overlapping: range(block)) { violations.append(.freedInFlight(block: block)) }
    states[block] = .free
    freed.wakeAll()
  }

  /// Looks at every pending block again: after each completed write, and after a truncate.
  func settle() {
    guard !pending.isEmpty else { return }
    pending.removeAll { block in
      if queue.hasOutstandingWrite(overlapping: range(block)) { return false }
      if options.discardsFreedBlocks, case .pending(let file, let page) = states[block] {
        states[block] = .discarding(file: file, page: page)
        toDiscard.append(block)
        discardWork.wakeAll()
      } else {
        clear(block)
      }
      return true
    }
    if !hasPending {
      freed.wakeAll()
      discardWork.wakeAll()
    }
  }

  // MARK: Discards

  /// Contiguous blocks to discard; they count as being discarded until `discarded`.
  func nextDiscard() -> Range<Int>? {
    guard !toDiscard.isEmpty else { return nil }
    toDiscard.sort()
    let first = toDiscard.removeFirst()
    var end = first + 1
    while toDiscard.first == end {
      toDiscard.removeFirst()
      end += 1
    }
    discarding += end - first
    return first..<end
  }

  /// The discard of that range has been queued: with the rule off, it does not count.
  func discardQueued(_ range: Range<Int>) {
    if options.switchedOff.contains(.discardCountsAsWrite) { finishDiscard(range) }
  }

  /// The discard has ended; one past its deadline is still out, and its blocks pending.
  func discardEnded(_ range: Range<Int>, isStillOut: Bool) {
    if options.switchedOff.contains(.discardCountsAsWrite) { return }
    if isStillOut { discarding -= range.count } else { finishDiscard(range) }
    if isStillOut {
      pending.append(contentsOf: range)
      // It may have ended for good since its deadline, and nothing else will look.
      settle()
    }
  }

  /// The queue has no place for the discard of that range: a discard is a hint, the blocks are free without.
  func discardRefused(_ range: Range<Int>) { finishDiscard(range) }

  private func finishDiscard(_ range: Range<Int>) {
    discarding -= range.count
    for block in range {
      // With the rule off the request is not queued yet at this moment, so the check inside has nothing to say.
      clear(block)
    }
    freed.wakeAll()
    discardWork.wakeAll()
  }

  // MARK: The oracle

  /// Called for each request at issue and at completion: whoever writes a block owns it now.
  func observe(_ request: Request, isCompletion: Bool) {
    guard request.operation.isWrite else { return }
    let first = Int(request.offset) / options.pageByteCount
    for position in 0..<request.byteCount / options.pageByteCount {
      let block = first + position
      let file = request.owner, page = request.ownerPage + UInt64(position)
      if isCompletion {
        writesInFlight[block] -= 1
      } else {
        if writesInFlight[block] > 0 { violations.append(.twoWrites(block: block, file: file, page: page)) }
        writesInFlight[block] += 1
      }
      if !mayWrite(request.operation, states[block], file, page) {
        violations.append(
          .notOwner(
            request.operation, atCompletion: isCompletion, block: block, file: file, page: page, state: states[block]))
      }
    }
  }

  /// The owner may write. So may a write that was on its way when its page was detached: the block is pending then.
  private func mayWrite(_ operation: Operation, _ state: State, _ file: UInt64, _ page: UInt64) -> Bool {
    switch state {
    case .owned(file, page), .pending(file, page): operation == .write
    case .discarding: operation == .discard
    case .pending: operation == .discard
    default: false
    }
  }
}
