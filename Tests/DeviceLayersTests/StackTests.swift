import BlockDevice
import DeviceLayers
import Reactor
import Support
import SystemPackage
import Testing

@Suite("A stack of layers")
struct StackTests {
  private static func description(
    _ settings: [StackSetting], files: [String: String] = [:]
  ) throws(StackOptionError) -> StackDescription {
    try StackDescription(settings) { path throws(Errno) in
      guard let text = files[path] else { throw .noSuchFileOrDirectory }
      return text
    }
  }

  @Test("is described by options, and describes itself so that the same comes out again")
  func options() throws {
    let first = try Self.description(
      [
        StackSetting(.fault, "write:EIO,nth=3"), StackSetting(.faultFile, "rules"), StackSetting(.strict, nil),
        StackSetting(.volatileCache, nil),
        StackSetting(.latency, "read=lognormal:200us:0.8,seek=1ms,rate=100m,burst=0ns"),
        StackSetting(.deadline, "500ms"), StackSetting(.fault, "flush:lie"),
      ], files: ["rules": "# none\n\n \tread@7:EIO,heal=write # a bad block\r\nany:eagain,p=0.5"])
    #expect(first.faults.map(\.text) == ["write:EIO,nth=3", "read@7:EIO,heal=write", "any:eagain,p=0.5", "flush:lie"])
    #expect(first.isStrict && first.volatileCacheByteCount == 16 << 20 && first.deadlineNanoseconds == 500_000_000)
    #expect(first.latency?.byteRate == 100 << 20 && first.latency?.burstNanoseconds == 0)
    let again = try Self.description(
      first.arguments.map { argument in
        let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1).map(String.init)
        return StackSetting(try #require(StackOption(rawValue: parts[0])), parts.count == 2 ? parts[1] : nil)
      })
    #expect(again == first)
  }

  @Test("has a model of latencies in its own words: a law for all, or one for each and rates")
  func latency() throws {
    let one = try LatencyModel("exponential:1ms")
    #expect(one.read == .exponential(mean: 1_000_000) && one.write == one.read && one.flush == one.read)
    for (name, model) in LatencyModel.named { #expect(try "\(LatencyModel(name))" == model) }
    let many = try LatencyModel("write=uniform:1us:2us,rate_iops=500,rate=1m")
    #expect(many.read == nil && many.write == .uniform(1000, 2000) && many.requestRate == 500)
    for (text, column) in [
      ("read", 1), ("read=", 6), ("read=5", 7), ("red=5ms", 1), ("rate=0", 6), ("rate_iops=0", 11), ("read=5ms;", 7),
      ("read=5ms,", 10), ("parallel=0", 10), ("parallel=5000", 10), ("jump=5", 7),
    ] {
      let error = #expect(throws: FaultRuleError.self, "\(text)") { try LatencyModel(text) }
      #expect(error?.column == column, "\(text): \(error?.description ?? "")")
    }
  }

  /// Runs `body` on a memory device below a stack.
  private static func run(
    _ settings: [StackSetting], _ body: @Sendable @escaping (LayerRig, DeviceStack) async throws -> Void
  ) throws {
    let description = try Self.description(settings)
    try LayerRig.run({
      // Within the device: both stay on the reactor of the rig.
      let stack = try? DeviceStack(description)
      return (try? stack?.stacked(on: $0)).map { Holder($0, stack) } ?? $0
    }) { (rig: LayerRig) async throws in
      guard let holder = rig.queue.device as? Holder, let stack = holder.stack else { throw Errno.ioError }
      try await body(rig, stack)
    }
  }
  private final class Holder: DeviceLayer {
    let stack: DeviceStack?
    init(_ inner: any BlockDevice, _ stack: DeviceStack?) {
      self.stack = stack
      super.init(inner)
    }
  }

  @Test(
    "logs what reaches the device under all other layers, flushes where they were submitted, and replays to its bytes",
    arguments: 1...10)
  func log(seed: UInt64) throws {
    let path = try TemporaryFile.make([])
    defer { TemporaryFile.remove(path) }
    try Self.run([
      StackSetting(.writeLog, path), StackSetting(.volatileCache, "4k"), StackSetting(.latency, "uniform:1us:900us"),
      StackSetting(.fault, "write:short=512,every=3"), StackSetting(.fault, "write:eagain,p=0.2"),
    ]) { (rig: LayerRig, stack: DeviceStack) async throws in
      let before = rig.memory.image
      var random = SeededGenerator(seed: seed)
      for round in 0..<30 {
        try await rig.write(random.below(56), count: 1 + random.below(8), UInt8(100 + round), isFUA: random.oneIn(5))
        if random.oneIn(4) { try await rig.queue.flush() }
        if round == 15 { #expect(stack.mark("middle")) }
      }
      try await rig.queue.flush()
      let report = stack.end()
      #expect(report.logError == nil && report.lostWriteCount == 0)
      let log = try WriteLog(bytes: TemporaryFile.read(path))
      #expect(log.truncation == nil)
      var image = before
      #expect(log.replay(onto: &image) == log.entries.count)
      #expect(image == rig.memory.image)
      #expect(log.entries.filter { $0.flags == .flush }.count > 3)
      #expect(log.entries.contains { $0.markName == "middle" })
    }
  }

  @Test("ends its log at the first error of its file, says so, and serves the device all the same")
  func fullLog() throws {
    try Self.run([StackSetting(.writeLog, "/dev/full")]) { (rig: LayerRig, stack: DeviceStack) async throws in
      try await rig.write(3, 200)
      #expect(rig.stored(3) == 200)
      let report = stack.end()
      #expect(report.logError?.contains("/dev/full: No space left") == true && report.hasFailed)
    }
  }

  @Test("keeps what rules have counted and damaged from one opening of its device to the next")
  func reopened() throws {
    let description = try Self.description([
      StackSetting(.fault, "write:phantom,nth=1"), StackSetting(.fault, "read:EIO,nth=2"),
    ])
    let reactor = SimulatedReactor(seed: 1)
    try reactor.run {
      let stack = try DeviceStack(description)
      let memory = MemoryDevice(image: [UInt8](repeating: 1, count: 4096))
      var errnos: [Errno?] = []
      for opening in 0..<2 {
        let queue = try RequestQueue(device: stack.stacked(on: memory), reactor: reactor)
        if opening == 0 {
          try await queue.write(Buffer(byteCount: 512), at: 0)
        }
        let buffer = Buffer(byteCount: 512)
        errnos.append(try await errno { () async throws(DeviceError) in try await queue.read(buffer, at: 0) })
        if opening == 0 {
          let byte = buffer.withBytes { unsafe $0.unsafeLoad(as: UInt8.self) }
          #expect(byte == 1)
        }
        // Still attached: no second queue for the same layers.
        #expect(throws: DeviceError.self) { try stack.stacked(on: memory) }
        queue.close()
      }
      #expect(errnos == [nil, .ioError])
      #expect(stack.end().rules.map(\.fireCount) == [1, 1])
      #expect(stack.faults?.damagedContents.map(\.offset) == [0])
    }
  }
}
