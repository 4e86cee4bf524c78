internal import BlockDevice
internal import Histogram
internal import Reactor

/// The synchronous core, driven as device-twin drives the kernel.
final class PolledLoad: RequestHandler {
  private let queue: RequestQueue
  private let arguments: Arguments
  private let memory: Buffer
  private var nextBuffer = 0
  private var issuedCount = 0
  private var completedCount = 0
  private var histogram = Histogram<UInt64>(highestTrackableValue: 60_000_000_000, numberOfSignificantValueDigits: .two)
  private let recordsLatency: Bool

  init(_ queue: RequestQueue, _ arguments: Arguments) {
    self.queue = queue
    self.arguments = arguments
    recordsLatency = arguments.mode == .latency
    memory = Buffer(byteCount: arguments.depth * 4096)
  }

  func requestCompleted(_ request: Request) {
    precondition(request.error == nil, "a transfer failed")
    completedCount += 1
    if recordsLatency {
      histogram.record(queue.reactor.now.nanoseconds(since: Instant(nanoseconds: request.owner)))
    }
  }
  func requestTimedOut(_ request: Request) { preconditionFailure("a transfer timed out") }

  /// Queues one random block.
  private func issue(at offset: UInt64) {
    guard let request = queue.admitNow() else { preconditionFailure("no place") }
    request.prepare(arguments.operation, at: offset)
    if recordsLatency { request.owner = queue.reactor.now.nanoseconds }
    unsafe issue(request, memory.segment.base + nextBuffer * 4096)
    nextBuffer = nextBuffer + 1 == arguments.depth ? 0 : nextBuffer + 1
    issuedCount += 1
  }
  private func issue(_ request: Request, _ base: UnsafeMutableRawPointer) {
    _ = unsafe request.append(Segment(base: base, byteCount: 4096))
    queue.submit(request, handler: self)
  }

  func run() -> Figures {
    let blockCount = Int(queue.geometry.byteCount / 4096)
    let depth = arguments.depth, batch = arguments.batch
    let cpu = cpuMicroseconds(), start = queue.reactor.now
    let end = start.advanced(byNanoseconds: arguments.nanoseconds)
    var random = SeededGenerator(seed: 1)
    var round = 0
    while round % 64 != 0 || queue.reactor.now < end {
      var queued = 0
      // At most `depth` a round: where transfers complete within io_submit there is always room for one more.
      let limit = issuedCount + depth
      while issuedCount < limit, issuedCount - completedCount < depth {
        issue(at: UInt64(random.below(blockCount)) * 4096)
        queued += 1
        if queued == batch {
          queue.endTurn()
          queued = 0
        }
      }
      if queued > 0 { queue.endTurn() }
      if issuedCount - completedCount == depth { queue.device.waitForCompletion() }
      round += 1
    }
    var figures = Figures()
    figures.operationCount = completedCount
    figures.nanoseconds = queue.reactor.now.nanoseconds(since: start)
    figures.cpuMicroseconds = cpuMicroseconds() - cpu
    if recordsLatency {
      figures.percentiles = [histogram.valueAtPercentile(50), histogram.valueAtPercentile(99)]
    }
    while queue.outstandingCount > 0 {
      queue.device.waitForCompletion()
      // What was transferred in part goes on.
      queue.endTurn()
    }
    return figures
  }
}
