internal import BlockDevice
internal import Reactor

/// What a simulated disk was asked for.
struct Dispatched: Equatable, CustomStringConvertible {
  let operation: Operation
  let range: Range<UInt64>
  let segmentCount: Int
  var description: String { "\(operation) \(range) in \(segmentCount)" }
}

/// A log of what a device was given, filled by the device's script.
final class DispatchLog {
  var entries: [Dispatched] = []
  func note(_ request: Request) {
    entries.append(
      Dispatched(operation: request.operation, range: request.byteRange, segmentCount: request.segmentCount))
  }
}

extension Stage {
  /// The simulated disk behind the queue.
  var disk: SimulatedDevice {
    guard let disk = queue.device as? SimulatedDevice else { preconditionFailure("not on a simulated disk") }
    return disk
  }

  /// Logs what the disk is given from now on.
  func logDispatches() -> DispatchLog {
    let log = DispatchLog()
    disk.script = { request in
      log.note(request)
      return .proceed
    }
    return log
  }
}

/// Runs `body` on a simulated reactor with a queue on a simulated disk.
func simulate<T: Sendable>(
  seed: UInt64 = 1, policy: SimulatedReactor.Policy? = .uniform, geometry: Geometry = Geometry(byteCount: 1 << 20),
  configuration: RequestQueue.Configuration = .init(),
  _ body: @escaping @Sendable (isolated Stage) async throws -> T
) throws -> T {
  let reactor = SimulatedReactor(seed: seed, policy: policy)
  return try reactor.run {
    let stage = try Stage(reactor, SimulatedDevice(reactor: reactor, geometry: geometry), configuration)
    return try await stage.play { stage in
      defer { if stage.queue.outstandingCount == 0 { stage.queue.close() } }
      return try await body(stage)
    }
  }
}

extension RequestQueue.Configuration {
  /// A queue of that size.
  static func sized(
    tags: Int, places: Int, reserve: Int = 1, order: RequestQueue.Order = .ascending, timeoutNanoseconds: UInt64? = nil
  ) -> Self {
    var configuration = Self(tagCount: tags, order: order)
    configuration.placeCount = places
    configuration.writebackReserve = reserve
    configuration.timeoutNanoseconds = timeoutNanoseconds
    return configuration
  }
}
