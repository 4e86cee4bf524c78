internal import Reactor

/// One timer for all deadlines of a queue. It is armed for the earliest, and looks at every place when it fires.
///
/// A deadline that passes ends waits and nothing else: the request keeps its tag, its place and its memory until the
/// device lets go of it.
final class DeadlineWatch: TimerHandler {
  unowned let reactor: Reactor
  weak var queue: RequestQueue?
  private(set) lazy var timer = Timer(handler: self)

  init(_ reactor: Reactor) { self.reactor = reactor }

  func watch(_ request: Request) {
    guard let timeout = queue?.configuration.timeoutNanoseconds else { return }
    let deadline = reactor.now.advanced(byNanoseconds: timeout)
    request.deadline = deadline
    if timer.deadline == nil { reactor.arm(timer, at: deadline) }
  }

  func timerFired(_ timer: Timer) {
    guard let queue else { return }
    let now = reactor.now
    for request in queue.places {
      if let deadline = request.deadline, deadline <= now {
        request.deadline = nil
        queue.timeOut(request)
      }
    }
    if let next = queue.places.lazy.compactMap(\.deadline).min() { reactor.arm(timer, at: next) }
  }
}

extension RequestQueue {
  fileprivate func timeOut(_ request: Request) {
    request.hasTimedOut = true
    if let handler = request.handler {
      handler.requestTimedOut(request)
    } else if let resumption = request.resumption.take() {
      reactor.resume(resumption, returning: 1)
    }
  }
}
