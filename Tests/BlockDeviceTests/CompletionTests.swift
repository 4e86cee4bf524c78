internal import BlockDevice
internal import Reactor
internal import SystemPackage
internal import Testing

@Suite("Completion, deadlines and errors")
struct CompletionTests {
  /// How a device treats the attempts of one transfer of eight blocks, and how the transfer ends.
  struct ShortCase: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let attempts: [Int]
    let error: DeviceError?
    let starts: [UInt64]
  }
  static let shortCases: [ShortCase] = [
    .init(testDescription: "in one piece", attempts: [4096], error: nil, starts: [0]),
    .init(testDescription: "after three blocks", attempts: [1536], error: nil, starts: [0, 1536]),
    .init(testDescription: "in the middle of a block", attempts: [1537], error: nil, starts: [0, 1536]),
    .init(testDescription: "block by block", attempts: [512, 512, 512], error: nil, starts: [0, 512, 1024, 1536]),
    .init(testDescription: "once nothing", attempts: [0], error: nil, starts: [0, 0]),
    .init(testDescription: "less than a block, then all", attempts: [511], error: nil, starts: [0, 0]),
    .init(
      testDescription: "twice nothing", attempts: [0, 0], error: .io(.write, offset: 8192, .ioError), starts: [0, 0]),
    .init(
      testDescription: "twice nothing after some", attempts: [1024, 0, 100],
      error: .io(.write, offset: 8192 + 1024, .ioError), starts: [0, 1024, 1024]),
    .init(
      testDescription: "nothing, some, nothing, the rest", attempts: [0, 512, 0], error: nil, starts: [0, 0, 512, 512]),
  ]

  @Test("a short transfer goes on from its last whole block, for reads and writes", arguments: shortCases, [1, 4])
  func short(_ example: ShortCase, pieceCount: Int) throws {
    for operation in [Operation.write, .read] {
      try simulate(seed: 3) { stage in
        let content = pattern(4096, seed: 9)
        if operation == .read { stage.disk.corrupt(content, at: 8192) }
        let attempts = Attempts(example.attempts)
        stage.disk.script = { attempts.next($0) }
        let pieces = (0..<pieceCount).map { index in
          let size = 4096 / pieceCount
          return Buffer(
            operation == .read ? [UInt8](repeating: 0, count: size) : Array(content[index * size..<(index + 1) * size]))
        }
        let request = try await stage.queue.admit()
        request.prepare(operation, at: 8192)
        for piece in pieces.reversed().reversed() { _ = unsafe request.append(piece.segment) }
        var error: DeviceError?
        do throws(DeviceError) { try await stage.queue.perform(request) } catch let thrown { error = thrown }
        if case .io(_, let offset, let errno) = example.error {
          #expect(error == .io(operation, offset: offset, errno))
        } else {
          #expect(error == nil)
          #expect(pieces.flatMap(\.bytes) == content)
          #expect(stage.disk.bytes(in: 8192..<8192 + 4096) == content)
        }
        #expect(attempts.starts == example.starts.map { $0 + 8192 })
      }
    }
  }

  private final class Attempts {
    private var rest: ArraySlice<Int>
    private(set) var starts: [UInt64] = []
    init(_ counts: [Int]) { rest = counts[...] }
    func next(_ request: Request) -> SimulatedDevice.Treatment {
      starts.append(request.remainingOffset)
      return rest.popFirst().map { .short($0) } ?? .proceed
    }
  }

  @Test(
    "a merged transfer that fails is taken apart: only the part that cannot be done fails",
    arguments: [Operation.read, .write], [0, 512, 700, 1536])
  func mergedError(operation: Operation, done: Int) throws {
    try simulate { stage in
      // Block 3 of 5 is broken; the first attempt may be short before it.
      var isFirst = true
      stage.disk.script = { request in
        if isFirst && done > 0 {
          isFirst = false
          return .short(done)
        }
        let range = request.byteRange
        return range.contains(3 * 512) ? .fail(.ioError) : .proceed
      }
      let log = CompletionLog()
      for block in 0..<5 as Range<UInt64> {
        let buffer = Buffer(byteCount: 512)
        buffer.withMutableBytes { bytes in bytes.storeBytes(of: UInt64(block) + 1, as: UInt64.self) }
        stage.submit(operation, at: block * 512, buffer, handler: log)
      }
      await stage.drain()
      let failed = log.entries.filter { $0.error != nil }
      #expect(failed.map(\.offset) == [3 * 512])
      #expect(failed.first?.error == .io(operation, offset: 3 * 512, .ioError))
      #expect(log.entries.map(\.offset).sorted() == (0..<5).map { $0 * 512 })
      if operation == .write {
        let image = stage.disk.image
        for block in 0..<5 { #expect(image[block * 512] == (block == 3 ? 0 : UInt8(block) + 1)) }
      }
    }
  }

  @Test(
    "at its deadline a wait ends; the request keeps tag, place and memory until it completes",
    arguments: [Operation.write, .discard])
  func deadline(operation: Operation) throws {
    try simulate(configuration: .sized(tags: 1, places: 8, timeoutNanoseconds: 1_000_000)) { stage in
      let queue = stage.queue
      stage.disk.script = { _ in .hold }
      weak var memory: Buffer?
      let start = stage.reactor.now
      do {
        if operation == .write {
          let buffer = Buffer(byteCount: 512)
          memory = buffer
          try await queue.write(buffer, at: 512)
        } else {
          try await queue.discard(at: 512, byteCount: 512)
        }
        Issue.record("no time-out")
      } catch { #expect(error as? DeviceError == .timedOut(operation, offset: 512)) }
      #expect(stage.reactor.now.nanoseconds(since: start) == 1_000_000)
      #expect(queue.outstandingCount == 1)
      #expect(queue.hasOutstandingWrite(overlapping: 0..<1024))
      if operation == .write { #expect(memory != nil) }

      // The only tag is taken: another request waits for it, and times out too without ever having been dispatched.
      let log = CompletionLog()
      stage.submit(.read, at: 0, Buffer(byteCount: 512), handler: log)
      await stage.reactor.sleep(until: stage.reactor.now.advanced(byNanoseconds: 1_500_000))
      #expect(log.timeouts == [0] && log.entries.isEmpty)
      #expect(queue.counters.reads == 0)

      stage.disk.script = nil
      var completions = 0
      queue.onWriteCompleted = { completions += 1 }
      stage.disk.release()
      await stage.drain()
      #expect(!queue.hasOutstandingWrite(overlapping: 0..<1024))
      #expect(memory == nil)
      #expect(completions == 1)
      #expect(log.entries == [.init(operation: .read, offset: 0, error: nil)])
    }
  }

  @Test("a request that completes in time has no time-out, also long after")
  func noLateTimeout() throws {
    try simulate(configuration: .sized(tags: 4, places: 8, timeoutNanoseconds: 1_000_000)) { stage in
      let log = CompletionLog()
      for _ in 0..<5 {
        stage.submit(.read, at: 0, Buffer(byteCount: 512), handler: log)
        await stage.reactor.sleep(until: stage.reactor.now.advanced(byNanoseconds: 700_000))
      }
      await stage.reactor.sleep(until: stage.reactor.now.advanced(byNanoseconds: 5_000_000))
      #expect(log.entries.count == 5 && log.timeouts.isEmpty)
    }
  }

  @Test("writes, discards and zeroings are outstanding from submission to completion, reads never")
  func outstanding() throws {
    for operation in Operation.allCases where operation != .flush {
      try simulate { stage in
        let queue = stage.queue
        stage.disk.script = { _ in .hold }
        let hasMemory = operation == .read || operation == .write
        stage.submit(
          operation, at: 1024, hasMemory ? Buffer(byteCount: 1024) : nil, byteCount: hasMemory ? 0 : 1024)
        // Plugged, then at the device.
        for _ in 0..<2 {
          #expect(queue.hasOutstandingWrite(overlapping: 1024..<1536) == operation.isWrite)
          #expect(queue.hasOutstandingWrite(overlapping: 2047..<2048) == operation.isWrite)
          #expect(!queue.hasOutstandingWrite(overlapping: 0..<1024))
          #expect(!queue.hasOutstandingWrite(overlapping: 2048..<4096))
          await stage.reactor.sleep(until: stage.reactor.now.advanced(byNanoseconds: 10))
        }
        stage.disk.release()
        await stage.drain()
        #expect(!queue.hasOutstandingWrite(overlapping: 0..<1 << 20))
      }
    }
  }

  struct BadCase: Sendable, CustomTestStringConvertible {
    let testDescription: String
    var operation = Operation.read
    let offset: UInt64
    var byteCount = 512
    var shift = 0
    let error: DeviceError
  }
  static let capacity: UInt64 = 1 << 20
  static let badCases: [BadCase] = [
    .init(
      testDescription: "behind the end", offset: capacity,
      error: .outOfBounds(.read, offset: capacity, byteCount: 512, deviceByteCount: capacity)),
    .init(
      testDescription: "across the end", operation: .write, offset: capacity - 512, byteCount: 1024,
      error: .outOfBounds(.write, offset: capacity - 512, byteCount: 1024, deviceByteCount: capacity)),
    .init(
      testDescription: "at the largest offset there is", offset: UInt64.max - 511,
      error: .outOfBounds(.read, offset: UInt64.max - 511, byteCount: 512, deviceByteCount: capacity)),
    .init(
      testDescription: "a discard across the end", operation: .discard, offset: capacity - 512, byteCount: 1024,
      error: .outOfBounds(.discard, offset: capacity - 512, byteCount: 1024, deviceByteCount: capacity)),
    .init(
      testDescription: "an odd offset", offset: 100,
      error: .misaligned(.read, offset: 100, byteCount: 512, alignment: 512)),
    .init(
      testDescription: "an odd length", operation: .write, offset: 0, byteCount: 1000,
      error: .misaligned(.write, offset: 0, byteCount: 1000, alignment: 512)),
    .init(
      testDescription: "nothing at all", operation: .discard, offset: 0, byteCount: 0,
      error: .misaligned(.discard, offset: 0, byteCount: 0, alignment: 512)),
    .init(
      testDescription: "odd memory", offset: 512, shift: 8,
      error: .misaligned(.read, offset: 512, byteCount: 512, alignment: 512)),
  ]

  @Test("what the device cannot be asked is refused, and nothing reaches it", arguments: badCases)
  func bad(_ example: BadCase) throws {
    try simulate(geometry: Geometry(byteCount: Self.capacity)) { stage in
      let log = stage.logDispatches()
      let request = try await stage.queue.admit()
      let buffer = Buffer(byteCount: 8192)
      if example.operation == .read || example.operation == .write {
        request.prepare(example.operation, at: example.offset)
        _ = unsafe request.append(Segment(base: buffer.segment.base + example.shift, byteCount: example.byteCount))
      } else {
        request.prepare(example.operation, at: example.offset, byteCount: example.byteCount)
      }
      await #expect(throws: example.error) { try await stage.queue.perform(request) }
      #expect(log.entries.isEmpty)
      #expect(stage.queue.outstandingCount == 0)
    }
  }

  @Test("a device for reading serves reads and flushes and refuses the rest")
  func readOnly() throws {
    try simulate(geometry: Geometry(byteCount: 1 << 20, isReadOnly: true)) { stage in
      let queue = stage.queue
      try await queue.read(Buffer(byteCount: 512), at: 0)
      try await queue.flush()
      await #expect(throws: DeviceError.readOnly(.write)) { try await queue.write(Buffer(byteCount: 512), at: 0) }
      await #expect(throws: DeviceError.readOnly(.discard)) { try await queue.discard(at: 0, byteCount: 512) }
      await #expect(throws: DeviceError.readOnly(.writeZeroes)) {
        try await queue.writeZeroes(at: 0, byteCount: 512)
      }
    }
  }
}
