// The ways in which a request fails, and for how long. Each is one rule of a fault layer.
internal import BlockDevice
internal import DeviceLayers
internal import Ext2
internal import SystemPackage

/// One way to fail, as a rule of a fault layer without its number.
package struct SweepFault: Sendable {
  /// How long it goes on.
  package enum Persistence: String, Sendable, CaseIterable {
    /// One request.
    case once
    /// Three requests from the n-th on.
    case healing
    /// All requests from the n-th on, until faults are switched off.
    case forever
  }

  /// Its name in points.
  package let name: String
  /// The operations and the action of its rule.
  let rule: String
  package let persistences: [Persistence]
  /// What the volume may give as the cause of an error; nil: no call may fail.
  var errno: Errno?
  /// Whether a request passes its deadline.
  var isLate = false
  /// A request that is served in part is reported as failed.
  var isTorn = false
  /// The queue has as few places as it can.
  var hasSmallestQueue = false

  init(_ name: String, _ rule: String, _ persistences: [Persistence]) {
    self.name = name
    self.rule = rule
    self.persistences = persistences
  }

  /// The whole rule, for the n-th request from 1 on.
  func rule(_ number: Int, _ persistence: Persistence) throws(FaultRuleError) -> FaultRule {
    let when =
      switch persistence {
      case .once: ""
      case .healing: ",count=3"
      case .forever: ",every=1"
      }
    return try FaultRule("\(rule),nth=\(number)\(when)")
  }

  /// Whether an error of the volume fits the fault.
  func explains(_ error: Ext2Error) -> Bool {
    switch error {
    case .device(.io(_, _, let found)): found == errno
    case .device(.timedOut): isLate
    case .stuck: errno != nil || isLate
    default: false
    }
  }

  /// All of them. What block drivers report (block/blk-core.c, blk_errors) comes once each, EIO in every way.
  package static let all: [SweepFault] = {
    var faults: [SweepFault] = []
    func add(_ name: String, _ rule: String, _ persistences: [Persistence], _ change: (inout Self) -> Void = { _ in }) {
      var fault = SweepFault(name, rule, persistences)
      change(&fault)
      faults.append(fault)
    }
    add("EIO", "any:EIO", Persistence.allCases) { $0.errno = .ioError }
    let others: [(String, Errno)] = [
      ("ENOSPC", .noSpace), ("ETIMEDOUT", .timedOut), ("EREMOTEIO", Errno(rawValue: 121)),
      ("EILSEQ", .illegalByteSequence), ("ENODATA", Errno(rawValue: 61)), ("ENOLINK", Errno(rawValue: 67)),
    ]
    for (name, errno) in others { add(name, "any:\(name)", [.once]) { $0.errno = errno } }
    add("stored", "any!complete:EIO", [.once, .forever]) { $0.errno = .ioError }
    add("short", "read+write:short=512", [.once, .forever])
    add("no-progress", "read+write:short=0", [.once, .forever]) { $0.errno = .ioError }
    add("torn", "write:short=512", [.once, .healing]) {
      $0.errno = .ioError
      $0.isTorn = true
    }
    add("hang", "any:hang", Persistence.allCases) { $0.isLate = true }
    add("late", "any:delay=40s", [.once, .healing]) { $0.isLate = true }
    add("EAGAIN", "any:eagain", [.once, .healing])
    add("full", "any:delay=5ms", [.forever]) { $0.hasSmallestQueue = true }
    add("full-EIO", "any:EIO", [.once, .forever]) {
      $0.errno = .ioError
      $0.hasSmallestQueue = true
    }
    add("full-hang", "any:hang", [.once, .forever]) {
      $0.isLate = true
      $0.hasSmallestQueue = true
    }
    return faults
  }()
}

/// Which request fails how: with its operation, one point of a sweep.
package struct SweepPoint: Sendable, CustomStringConvertible {
  /// When the requests are counted.
  package enum Phase: String, Sendable, CaseIterable {
    /// While the operation runs.
    case call
    /// While a sync runs after it.
    case sync
    /// While the volume is unmounted after it.
    case unmount
  }
  package let phase: Phase
  /// From 1 on.
  package let number: Int
  package let fault: SweepFault
  package let persistence: SweepFault.Persistence

  package var description: String { "\(phase.rawValue):\(number):\(fault.name):\(persistence.rawValue)" }

  init(_ phase: Phase, _ number: Int, _ fault: SweepFault, _ persistence: SweepFault.Persistence) {
    self.phase = phase
    self.number = number
    self.fault = fault
    self.persistence = persistence
  }

  /// Reads what `description` writes; nil where it is no point.
  package init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 4, let phase = Phase(rawValue: parts[0]), let number = Int(parts[1]), number > 0,
      let fault = SweepFault.all.first(where: { $0.name == parts[2] }),
      let persistence = SweepFault.Persistence(rawValue: parts[3]), fault.persistences.contains(persistence)
    else { return nil }
    self.init(phase, number, fault, persistence)
  }
}
