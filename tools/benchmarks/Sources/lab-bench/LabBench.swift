// The small figures of tools/bench lab.
//
//     lab-bench scheduler ROUNDS    steps that the simulated scheduler takes a second
//     lab-bench layers ROUNDS       what layers with nothing to do cost a request: with and without them, in turn
//
// Prints `name value` lines: medians over the rounds.
internal import BlockDevice
internal import DeviceLayers
internal import Glibc
internal import Reactor

@main
enum LabBench {
  static func main() throws {
    let words = CommandLine.arguments
    guard words.count == 3, let rounds = Int(words[2]), rounds > 0, ["scheduler", "layers"].contains(words[1]) else {
      print("usage: lab-bench scheduler|layers ROUNDS")
      exit(2)
    }
    if words[1] == "scheduler" {
      let rates = try (0..<rounds).map { try stepRate(seed: UInt64($0)) }
      print("steps_per_second \(Int(median(rates)))")
      return
    }
    var bare: [Double] = [], layered: [Double] = []
    for _ in 0..<rounds {
      bare.append(try requestTime(isLayered: false))
      layered.append(try requestTime(isLayered: true))
    }
    print("bare_ns \(median(bare))\nlayered_ns \(median(layered))")
    print("layers_ns \(median(zip(layered, bare).map { $0 - $1 }))")
  }

  /// Eight tasks that do nothing but let each other go first.
  private static func stepRate(seed: UInt64) throws -> Double {
    let reactor = SimulatedReactor(seed: seed, policy: .uniform)
    let begin = now()
    try reactor.run {
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<8 {
          group.addTask { for _ in 0..<100_000 { await reactor.pass() } }
        }
      }
    }
    return Double(reactor.steps) / ((now() - begin) / 1e9)
  }

  /// Nanoseconds a request on a device that does nothing at all.
  private static func requestTime(isLayered: Bool) throws -> Double {
    let reactor = SimulatedReactor(seed: 1, policy: .uniform)
    return try reactor.run {
      let bare = NullDevice(geometry: Geometry(byteCount: 1 << 30))
      let device: any BlockDevice =
        isLayered ? StatisticsLayer(FaultLayer(LatencyLayer(bare, LatencyModel()), rules: [])) : bare
      let load = Load(
        try RequestQueue(device: device, reactor: reactor, configuration: RequestQueue.Configuration(tagCount: 32)))
      return load.run()
    }
  }

  fileprivate static func now() -> Double {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
  }

  private static func median(_ figures: [Double]) -> Double { figures.sorted()[figures.count / 2] }
}

/// Requests of 4 KiB, 32 at once, that do not merge.
@safe private final class Load: RequestHandler {
  private let queue: RequestQueue
  private let memory = unsafe UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 4096)
  private var completedCount = 0
  init(_ queue: RequestQueue) { self.queue = queue }
  deinit { unsafe memory.deallocate() }

  func requestCompleted(_ request: Request) { completedCount += 1 }
  func requestTimedOut(_ request: Request) {}

  func run() -> Double {
    let count = 2_000_000
    let begin = LabBench.now()
    var offset: UInt64 = 0
    while completedCount < count {
      for _ in 0..<32 {
        guard let request = queue.admitNow() else { preconditionFailure("no place") }
        request.prepare(.read, at: offset)
        _ = unsafe request.append(Segment(base: memory, byteCount: 4096))
        offset = (offset + 8192) % (1 << 30)
        queue.submit(request, handler: self)
      }
      while queue.outstandingCount > 0 { queue.endTurn() }
    }
    let time = (LabBench.now() - begin) / Double(count)
    queue.close()
    return time
  }
}
