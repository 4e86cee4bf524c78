internal import AllocationCounter
internal import BlockDevice
internal import Reactor
internal import SystemPackage
internal import Testing

@Suite(
  "Allocations", .enabled(if: allocation_counter_works(), "a sanitizer brings its own allocator"))
struct AllocationTests {
  /// A polled loop of random 4 KiB reads and writes at a fixed depth.
  private final class PolledLoad: RequestHandler {
    private let queue: RequestQueue
    private let buffer = Buffer(byteCount: 4096)
    private var random = SeededGenerator(seed: 1)
    private var completedCount = 0
    private(set) var failureCount = 0
    init(_ queue: RequestQueue) { self.queue = queue }

    func requestCompleted(_ request: Request) {
      completedCount += 1
      if request.error != nil { failureCount += 1 }
    }
    func requestTimedOut(_ request: Request) {}

    func run(count: Int, depth: Int) {
      let blockCount = Int(queue.geometry.byteCount / 4096)
      var issued = 0
      completedCount = 0
      while completedCount < count {
        while issued < count, issued - completedCount < depth, let request = queue.admitNow() {
          request.prepare(issued % 3 == 0 ? .write : .read, at: UInt64(random.below(blockCount)) * 4096)
          _ = unsafe request.append(buffer.segment)
          queue.submit(request, handler: self)
          issued += 1
        }
        let before = completedCount
        queue.endTurn()
        if completedCount == before { queue.device.waitForCompletion() }
      }
    }
  }

  /// Allocations of 1,000 and of 32,000 transfers, after a first round.
  private func polledAllocations(_ queue: RequestQueue, depth: Int) -> (few: UInt64, many: UInt64) {
    let load = PolledLoad(queue)
    load.run(count: 1000, depth: depth)
    let start = allocation_count()
    load.run(count: 1000, depth: depth)
    let middle = allocation_count()
    load.run(count: 32000, depth: depth)
    let end = allocation_count()
    #expect(load.failureCount == 0)
    return (middle - start, end - middle)
  }

  @Test("the counter counts")
  func counter() {
    let before = allocation_count()
    let array = [UInt8](repeating: 1, count: 100_000)
    #expect(allocation_count() > before)
    #expect(array.count == 100_000)
  }

  @Test("the polled core on the null device allocates nothing for a request", arguments: [1, 32])
  func null(depth: Int) async throws {
    try await onThreadReactor { reactor in
      let device = NullDevice(geometry: Geometry(byteCount: 1 << 20))
      let queue = try RequestQueue(device: device, reactor: reactor)
      let count = polledAllocations(queue, depth: depth)
      #expect(count.few == 0 && count.many == 0)
      queue.close()
    }
  }

  @Test("the polled core on a file allocates nothing for a request", arguments: Medium.allCases, [1, 32])
  func file(medium: Medium, depth: Int) async throws {
    let scratch = Scratch(medium)
    let path = try scratch.image()
    try await onThreadReactor { reactor in
      var options = FileDevice.Options()
      options.signalsCompletions = false
      let queue = try RequestQueue(device: try FileDevice(path: path, options: options), reactor: reactor)
      let count = polledAllocations(queue, depth: depth)
      #expect(count.few == 0 && count.many == 0)
      queue.close()
    }
  }

  @Test("what 32 tasks on the reactor allocate is reported, and optimised it does not grow with their reads")
  func facade() async throws {
    let scratch = Scratch(.tmpfs)
    try await withFile(try scratch.image()) { stage in
      let few = try await Self.readWithTasks(stage, readsPerTask: 32)
      let many = try await Self.readWithTasks(stage, readsPerTask: 1000)
      print("allocations of the async facade: \(few) for 1,024 reads by 32 tasks, \(many) for 32,000")
      // Without optimisation the asynchronous calls themselves allocate.
      #if !DEBUG
        #expect(many <= few + 320)
      #endif
    }
  }

  private static func readWithTasks(_ stage: isolated Stage, readsPerTask: Int) async throws -> UInt64 {
    let start = allocation_count()
    try await stage.concurrently(32) { stage, index in
      let buffer = Buffer(byteCount: 4096)
      for _ in 0..<readsPerTask { try await stage.queue.read(buffer, at: UInt64(index) * 8192) }
    }
    return allocation_count() - start
  }
}
