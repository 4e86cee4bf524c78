internal import BlockDevice
internal import Reactor

/// A queue on a reactor and the tasks of a test that use it at the same time.
actor Stage {
  nonisolated let reactor: Reactor
  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }
  let queue: RequestQueue

  /// A queue on `device`. To be made on the reactor.
  init(
    _ reactor: Reactor, _ device: sending any BlockDevice, _ configuration: RequestQueue.Configuration = .init()
  ) throws(DeviceError) {
    self.reactor = reactor
    queue = try RequestQueue(device: device, reactor: reactor, configuration: configuration)
  }

  /// Runs `body` isolated to the stage, as a step between suspensions.
  func play<T: Sendable>(_ body: @Sendable (isolated Stage) async throws -> T) async throws -> T {
    try await body(self)
  }

  /// Runs `count` tasks at once, named by their number, and waits for all.
  func concurrently(
    _ count: Int, _ body: @escaping @Sendable (isolated Stage, Int) async throws -> Void
  ) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for index in 0..<count { group.addTask(name: "task \(index)") { try await body(self, index) } }
      try await group.waitForAll()
    }
  }

  /// Queues a request without waiting for it.
  func submit(
    _ operation: Operation, at offset: UInt64, _ buffer: Buffer? = nil, byteCount: Int = 0,
    isFUA: Bool = false, handler: (any RequestHandler)? = nil
  ) {
    guard let request = queue.admitNow() else { preconditionFailure("no place") }
    if let buffer {
      request.prepare(operation, at: offset, isFUA: isFUA)
      request.context = buffer
      _ = unsafe request.append(buffer.segment)
    } else {
      request.prepare(operation, at: offset, byteCount: byteCount)
    }
    queue.submit(request, handler: handler)
  }

  /// Waits until every request is complete, ten seconds at most.
  func drain() async {
    let limit = reactor.now.advanced(byNanoseconds: 10_000_000_000)
    while queue.outstandingCount > 0, reactor.now < limit {
      let deadline = reactor.now.advanced(byNanoseconds: 10_000)
      await reactor.sleep(until: deadline)
    }
  }
}

/// Notes the end of requests in the order in which they complete.
final class CompletionLog: RequestHandler {
  struct Entry: Equatable {
    let operation: Operation
    let offset: UInt64
    let error: DeviceError?
  }
  private(set) var entries: [Entry] = []
  private(set) var timeouts: [UInt64] = []
  func requestCompleted(_ request: Request) {
    entries.append(Entry(operation: request.operation, offset: request.offset, error: request.error))
  }
  func requestTimedOut(_ request: Request) { timeouts.append(request.offset) }
}

/// Runs `body` with a queue on a file, on a reactor with a thread of its own.
func withFile<T: Sendable>(
  _ path: String, options: FileDevice.Options = .init(), configuration: RequestQueue.Configuration = .init(),
  _ prepare: @Sendable (FileDevice) -> Void = { _ in }, _ body: @Sendable (isolated Stage) async throws -> T
) async throws -> T {
  try await onThreadReactor { reactor in
    let device = try FileDevice(path: path, options: options)
    prepare(device)
    let stage = try Stage(reactor, device, configuration)
    return try await stage.play { stage in
      defer { stage.queue.close() }
      return try await body(stage)
    }
  }
}
