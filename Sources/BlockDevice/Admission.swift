internal import DequeModule
internal import Reactor

/// Who asks for a place in the queue.
public enum AdmissionClass: Sendable {
  /// A read or a write that somebody waits for.
  case ordinary
  /// Writing dirty memory: may take the places held in reserve.
  case writeback
  /// Nobody waits for it yet: it leaves a quarter of the places alone.
  case readAhead
}

struct AdmissionWaiter {
  let admissionClass: AdmissionClass
  let resumption: Resumption
}

extension RequestQueue {
  /// Waits for a place in the queue, first come first served among those who may have one. It always costs a turn, so
  /// that a caller cannot come to depend on it not suspending.
  ///
  /// The world may have changed when this returns. The request is to be submitted or given back in that same step.
  ///
  /// Throws `timedOut` when every place that could come back belongs to a request past its deadline: nobody knows
  /// whether any of them ever does.
  public func admit(_ admissionClass: AdmissionClass = .ordinary) async throws(DeviceError) -> Request {
    if let request = admitNow(admissionClass) {
      await reactor.pass()
      return request
    }
    if isHung {
      await reactor.pass()
      throw hungError
    }
    let record = reactor.willWait("a place in the queue")
    let asked = reactor.now
    let place = await suspend {
      admissionWaiters.append(AdmissionWaiter(admissionClass: admissionClass, resumption: $0))
      admissionWaiterCount += 1
    }
    reactor.didWait(record)
    noteAdmissionWait(nanoseconds: reactor.now.nanoseconds(since: asked))
    guard place >= 0 else { throw hungError }
    return places[place]
  }

  /// As `admit`, but returns nil, after a turn, when there is no place now.
  public func admitIfFree(_ admissionClass: AdmissionClass) async -> Request? {
    let request = admitNow(admissionClass)
    await reactor.pass()
    return request
  }

  /// A place without a turn, for polled use and for work that is itself a step; nil when there is none.
  public func admitNow(_ admissionClass: AdmissionClass = .ordinary) -> Request? {
    guard mayHavePlace(admissionClass), !isSomebodyFirst(admissionClass) else { return nil }
    return takePlace(admissionClass)
  }

  /// Gives an admission back unused, or ends the use of a place.
  public func giveBack(_ request: Request) {
    if request.admissionClass != .writeback { unreservedCount -= 1 }
    if request.hasTimedOut { timedOutCount -= 1 }
    request.reset()
    idle.append(request.place)
    if admissionWaiterCount > 0 { admitWaiters() }
  }

  /// What is past its deadline and still out, if anything is: the first of it.
  public var timedOut: DeviceError? {
    guard timedOutCount > 0, let request = places.first(where: \.hasTimedOut) else { return nil }
    return .timedOut(request.operation, offset: request.offset)
  }

  /// Whether every place that is not idle belongs to a request past its deadline.
  private var isHung: Bool { timedOutCount > 0 && idle.count + timedOutCount == places.count }
  private var hungError: DeviceError { timedOut ?? .timedOut(.read, offset: 0) }

  /// The reserve bounds what others than writeback hold, not what is idle: else writeback, which may take the last place,
  /// would take each one that comes back, and a reader would wait for as long as there is something to write.
  private func mayHavePlace(_ admissionClass: AdmissionClass) -> Bool {
    switch admissionClass {
    case .writeback: idle.count > 0
    case .ordinary: idle.count > 0 && unreservedCount < configuration.placeCount - configuration.writebackReserve
    case .readAhead: idle.count > max(configuration.writebackReserve, configuration.placeCount / 4)
    }
  }

  /// Whether a waiter who could have the place comes before a newcomer of this class.
  private func isSomebodyFirst(_ admissionClass: AdmissionClass) -> Bool {
    admissionWaiterCount > 0 && admissionWaiters.contains { mayHavePlace($0.admissionClass) }
  }

  private func takePlace(_ admissionClass: AdmissionClass) -> Request {
    let request = places[idle.removeLast()]
    request.phase = .admitted
    request.admissionClass = admissionClass
    if admissionClass != .writeback { unreservedCount += 1 }
    return request
  }

  private func admitWaiters() {
    while let index = admissionWaiters.firstIndex(where: { mayHavePlace($0.admissionClass) }) {
      let waiter = admissionWaiters.remove(at: index)
      admissionWaiterCount -= 1
      let request = takePlace(waiter.admissionClass)
      reactor.resume(waiter.resumption, returning: request.place)
    }
    refuseWaitersIfHung()
  }

  /// Ends the wait of those to whom no place may ever come.
  func refuseWaitersIfHung() {
    while isHung, let waiter = admissionWaiters.popFirst() {
      admissionWaiterCount -= 1
      reactor.resume(waiter.resumption, returning: -1)
    }
  }
}
