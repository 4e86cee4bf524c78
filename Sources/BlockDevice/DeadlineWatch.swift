internal import Reactor

/// One timer for all deadlines of a queue. It is armed for the earliest, and looks at every place when it fires.
///
/// A deadline that passes ends waits and nothing else: the request keeps its tag, its place and its memory until the
/// device lets go of it.
final class DeadlineWatch: TimerHandler {
  unowned let reactor: Reactor
  /// Owned by the queue. Not weak: objects that are weakly referenced count their references more slowly.
  unowned var queue: RequestQueue?
  private(set) lazy var timer = Timer(handler: self)

  init(_ reactor: Reactor) { self.reactor = reactor }

  /// A request has this deadline.
  func watch(_ deadline: Instant) {
    if timer.deadline == nil { reactor.arm(timer, at: deadline) }
  }

  func timerFired(_ timer: Timer) {
    guard let queue else { return }
    let now = reactor.now
    for request in queue.places {
      if let deadline = request.flight.deadline, deadline <= now {
        request.flight.deadline = nil
        queue.timeOut(request)
      }
    }
    queue.refuseWaitersIfHung()
    if let next = queue.places.lazy.compactMap(\.flight.deadline).min() { reactor.arm(timer, at: next) }
  }
}

extension RequestQueue {
  fileprivate func timeOut(_ request: Request) {
    guard request.phase == .plugged || request.phase == .dispatched else { return }
    request.flight.hasTimedOut = true
    timedOutCount += 1
    if let handler = request.handler {
      handler.requestTimedOut(request)
    } else if let resumption = request.resumption.take() {
      reactor.resume(resumption, returning: 1)
    }
  }
}
