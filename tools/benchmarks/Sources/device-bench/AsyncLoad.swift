internal import BlockDevice
internal import Reactor

/// The async face: as many tasks as the depth, each awaiting one transfer after another on the reactor.
actor AsyncLoad {
  nonisolated let reactor: Reactor
  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }
  private let queue: RequestQueue
  private let arguments: Arguments
  private var completedCount = 0

  init(
    _ reactor: Reactor, _ device: sending FileDevice, _ configuration: RequestQueue.Configuration,
    _ arguments: Arguments
  ) throws {
    self.reactor = reactor
    self.arguments = arguments
    queue = try RequestQueue(device: device, reactor: reactor, configuration: configuration)
  }

  func run() async throws -> Figures {
    let cpu = cpuMicroseconds(), start = reactor.now
    let end = start.advanced(byNanoseconds: arguments.nanoseconds)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for task in 0..<arguments.depth { group.addTask { try await self.transfer(task, until: end) } }
      try await group.waitForAll()
    }
    var figures = Figures()
    figures.operationCount = completedCount
    figures.nanoseconds = reactor.now.nanoseconds(since: start)
    figures.cpuMicroseconds = cpuMicroseconds() - cpu
    queue.close()
    return figures
  }

  private func transfer(_ task: Int, until end: Instant) async throws {
    let buffer = Buffer(byteCount: 4096)
    let blockCount = Int(queue.geometry.byteCount / 4096)
    var random = SeededGenerator(seed: UInt64(task))
    while completedCount % 64 != 0 || reactor.now < end {
      let offset = UInt64(random.below(blockCount)) * 4096
      if arguments.operation == .write {
        try await queue.write(buffer, at: offset)
      } else {
        try await queue.read(buffer, at: offset)
      }
      completedCount += 1
    }
  }
}
