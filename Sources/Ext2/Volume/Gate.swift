internal import PageCache
internal import Reactor

/// What a changing operation enters and freeze closes. Nobody inside waits for anybody who waits to enter.
final class Gate {
  private let entrance: WaitQueue
  private let emptied: WaitQueue
  private var inside = 0
  private(set) var isClosed = false
  private let switchedOff: SwitchedOffRules

  init(_ reactor: Reactor, switchedOff: SwitchedOffRules) {
    self.switchedOff = switchedOff
    entrance = WaitQueue(reactor, "the end of a freeze")
    emptied = WaitQueue(reactor, "running operations")
  }

  func enter() async {
    while isClosed { await entrance.wait() }
    inside += 1
  }
  /// Enters if nobody has closed the gate, without waiting.
  func tryEnter() -> Bool {
    if isClosed { return false }
    inside += 1
    return true
  }
  func leave() {
    inside -= 1
    if inside == 0 { emptied.wakeAll() }
  }

  /// Closes the gate and waits for the operations inside.
  func close() async {
    while isClosed { await entrance.wait() }
    isClosed = true
    if switchedOff.contains(.freezeWaits) { return }
    while inside > 0 { await emptied.wait() }
  }
  func open() {
    isClosed = false
    entrance.wakeAll()
  }
}
