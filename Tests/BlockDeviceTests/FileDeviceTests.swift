internal import BlockDevice
internal import Glibc
internal import Reactor
internal import SystemPackage
internal import Testing

@Suite("A file through libaio")
struct FileDeviceTests {
  @Test("what was written is read back, also after the file was closed", arguments: Medium.allCases)
  func readsBack(medium: Medium) async throws {
    let scratch = Scratch(medium)
    let path = try scratch.image()
    let bytes = pattern(64 << 10, seed: 1)
    try await withFile(path) { stage in
      let queue = stage.queue
      try await queue.write(Buffer(bytes), at: 8192)
      let back = Buffer(byteCount: bytes.count)
      try await queue.read(back, at: 8192)
      #expect(back.bytes == bytes)
    }
    try await withFile(path) { stage in
      let queue = stage.queue
      let back = Buffer(byteCount: bytes.count)
      try await queue.read(back, at: 8192)
      #expect(back.bytes == bytes)
    }
  }

  @Test("a request of many segments goes to the kernel as one vector", arguments: Medium.allCases)
  func vectored(medium: Medium) async throws {
    let scratch = Scratch(medium)
    try await withFile(try scratch.image()) { stage in
      let queue = stage.queue
      let pieces = (0..<16).map { Buffer(pattern(4096, seed: UInt64($0))) }
      let request = try await queue.admit()
      request.prepare(.write, at: 4096)
      // Backwards, so that no two neighbours in memory join.
      for piece in pieces.reversed() { #expect(unsafe request.append(piece.segment)) }
      try await queue.perform(request)
      let back = Buffer(byteCount: 16 * 4096)
      try await queue.read(back, at: 4096)
      #expect(back.bytes == pieces.reversed().flatMap(\.bytes))
      #expect(queue.counters.writes == 1)
    }
  }

  @Test("many more tasks than tags are all served, with the right bytes", arguments: Medium.allCases)
  func depth(medium: Medium) async throws {
    let scratch = Scratch(medium)
    let path = try scratch.image(4 << 20)
    try await withFile(path, configuration: .init(tagCount: 8)) { stage in
      let queue = stage.queue
      let blocks = 256
      let whole = pattern(blocks * 4096, seed: 7)
      for start in stride(from: 0, to: whole.count, by: 1 << 18) {
        try await queue.write(Buffer(Array(whole[start..<start + 1 << 18])), at: UInt64(start))
      }
      try await stage.concurrently(blocks) { stage, block in
        let buffer = Buffer(byteCount: 4096)
        try await stage.queue.read(buffer, at: UInt64(block) * 4096)
        #expect(buffer.bytes == Array(whole[block * 4096..<(block + 1) * 4096]))
      }
    }
  }

  @Test("when the kernel's ring is full, requests wait and are served", arguments: Medium.allCases)
  func fullRing(medium: Medium) async throws {
    let scratch = Scratch(medium)
    var configuration = RequestQueue.Configuration(tagCount: 1024, order: .arrival)
    configuration.placeCount = 1100
    try await withFile(try scratch.image(8 << 20), configuration: configuration, { $0.ringEventCount = 1 }) { stage in
      let queue = stage.queue
      // Every second block, so that nothing merges.
      try await stage.concurrently(1000) { stage, index in
        try await stage.queue.read(Buffer(byteCount: 4096), at: UInt64(index) * 8192)
      }
      #expect(queue.counters.reads == 1000)
    }
  }

  @Test("a request that io_submit refuses fails alone", arguments: Medium.allCases)
  func refused(medium: Medium) async throws {
    let scratch = Scratch(medium)
    try await withFile(try scratch.image(), configuration: .init(tagCount: 8, order: .arrival)) { stage in
      let queue = stage.queue
      let log = CompletionLog()
      let buffer = Buffer(byteCount: 4096)
      for index in 0..<3 {
        let request = try #require(queue.admitNow())
        request.prepare(.read, at: UInt64(index) * 16384)
        // An address of the kernel's half is refused before the request is queued.
        var segment = unsafe buffer.segment
        if index == 1 { unsafe segment.base = UnsafeMutableRawPointer(bitPattern: 0xFFFF_8000_0000_0000 as UInt)! }
        _ = unsafe request.append(segment)
        queue.submit(request, handler: log)
      }
      while queue.outstandingCount > 0 { await queue.reactor.pass() }
      #expect(
        log.entries.sorted { $0.offset < $1.offset }.map(\.error) == [
          nil, .io(.read, offset: 16384, .badAddress), nil,
        ])
    }
  }

  @Test("flush and forced unit access succeed", arguments: Medium.allCases, [false, true])
  func durable(medium: Medium, withoutDurableWrites: Bool) async throws {
    let scratch = Scratch(medium)
    try await withFile(try scratch.image(), { $0.refusesDurableWrites = withoutDurableWrites }) { stage in
      let queue = stage.queue
      let bytes = pattern(8192, seed: 3)
      try await queue.write(Buffer(bytes), at: 0, isFUA: true)
      try await queue.write(Buffer(bytes), at: 16384, isFUA: true)
      try await queue.flush()
      let back = Buffer(byteCount: 8192)
      try await queue.read(back, at: 16384)
      #expect(back.bytes == bytes)
    }
  }

  @Test(
    "a discarded or zeroed range reads as zeroes, its neighbours stay", arguments: Medium.allCases,
    [Operation.discard, .writeZeroes])
  func zeroes(medium: Medium, operation: Operation) async throws {
    let scratch = Scratch(medium)
    try await withFile(try scratch.image()) { stage in
      let queue = stage.queue
      let bytes = pattern(1 << 20, seed: 4)
      try await queue.write(Buffer(bytes), at: 0)
      if operation == .discard {
        try await queue.discard(at: 65536, byteCount: 300 << 10)
      } else {
        try await queue.writeZeroes(at: 65536, byteCount: 300 << 10)
      }
      let back = Buffer(byteCount: 1 << 20)
      try await queue.read(back, at: 0)
      var expected = bytes
      for index in 65536..<65536 + 300 << 10 { expected[index] = 0 }
      #expect(back.bytes == expected)
    }
  }

  @Test("more discards than fit into the pipe to the helper thread are all done")
  func manyDiscards() async throws {
    let scratch = Scratch(.tmpfs)
    var configuration = RequestQueue.Configuration(tagCount: 600, order: .arrival)
    configuration.placeCount = 700
    try await withFile(try scratch.image(), configuration: configuration) { stage in
      let queue = stage.queue
      let log = CompletionLog()
      for index in 0..<600 {
        let request = try #require(queue.admitNow())
        request.prepare(.discard, at: UInt64(index) * 512, byteCount: 512)
        queue.submit(request, handler: log)
      }
      while queue.outstandingCount > 0 { try await queue.flush() }
      #expect(log.entries.count == 600)
      #expect(log.entries.allSatisfy { $0.error == nil })
    }
  }

  @Test("polled, reads and discards complete without any wake-up", arguments: Medium.allCases)
  func polled(medium: Medium) async throws {
    let scratch = Scratch(medium)
    var options = FileDevice.Options()
    options.signalsCompletions = false
    try await withFile(try scratch.image(), options: options) { stage in
      let queue = stage.queue
      let log = CompletionLog()
      let buffer = Buffer(byteCount: 4096)
      for index in 0..<64 {
        let request = try #require(queue.admitNow())
        switch index % 4 {
        case 0: request.prepare(.discard, at: UInt64(index) * 4096, byteCount: 4096)
        case 1: request.prepare(.flush, at: 0)
        default:
          request.prepare(.read, at: UInt64(index) * 4096)
          _ = unsafe request.append(buffer.segment)
        }
        queue.submit(request, handler: log)
      }
      while queue.outstandingCount > 0 {
        queue.endTurn()
        if queue.outstandingCount > 0 { queue.device.waitForCompletion() }
      }
      #expect(log.entries.count == 64)
      #expect(log.entries.allSatisfy { $0.error == nil })
    }
  }

  @Test("asking for more events than the machine has is an error that says so")
  func tooManyEvents() async throws {
    let scratch = Scratch(.tmpfs)
    let path = try scratch.image()
    try await onThreadReactor { reactor in
      let device = try FileDevice(path: path)
      let error = #expect(throws: DeviceError.self) { try device.attach(to: reactor, tagCount: 1 << 22) }
      guard case .cannotOpen(_, let step, let errno) = error else {
        Issue.record("another error: \(String(describing: error))")
        return
      }
      #expect(step.contains("aio-max-nr"))
      #expect(errno == .resourceTemporarilyUnavailable || errno == .invalidArgument)
    }
  }

  @Test("a write across the file size limit is short, goes on and ends with an error; the process lives")
  func fileSizeLimit() async {
    await #expect(processExitsWith: .exitCode(7)) {
      let scratch = Scratch(.tmpfs)
      let path = try scratch.image(1 << 16)
      var limit = rlimit(rlim_cur: 8192, rlim_max: rlim_t.max)
      // 1 is RLIMIT_FSIZE.
      guard unsafe setrlimit(.init(1), &limit) == 0 else { exit(2) }
      let bytes = pattern(16384, seed: 5)
      let isRight = try await withFile(path) { stage in
        let queue = stage.queue
        var error: DeviceError?
        do throws(DeviceError) { try await queue.write(Buffer(bytes), at: 0) } catch let thrown { error = thrown }
        let back = Buffer(byteCount: 16384)
        try await queue.read(back, at: 0)
        return error == .io(.write, offset: 8192, .fileTooLarge)
          && back.bytes == bytes[..<8192] + [UInt8](repeating: 0, count: 8192)
      }
      scratch.remove()
      exit(isRight ? 7 : 3)
    }
  }
}
