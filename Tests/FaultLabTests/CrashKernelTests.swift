import BlockDevice
import DeviceLayers
import Ext2
import Ext2Tools
import FaultLab
import Reactor
import Support
import Testing

@Suite(
  "States after a power cut as the kernel sees them",
  .enabled(if: Kernel.obstacle == nil, "\(Kernel.obstacle ?? "")"))
struct CrashKernelTests {
  /// A volume with the tree that sequences begin with.
  private static func start() throws -> [UInt8] {
    try Images.prepared(try Images.empty(blockSize: 1024)) { rig in
      for step in Sequences.preparation(blockSize: 1024) { try await step.run(rig.volume) }
    }
  }

  /// The promised files by path, as a volume that is mounted for reading has them.
  private static func contents(of image: [UInt8]) throws -> [String: [UInt8]] {
    let reactor = SimulatedReactor(seed: 1)
    return try reactor.run {
      let options = VolumeOptions.quiet.with { $0.isReadOnly = true }
      let volume = try await Volume.mount(
        SimulatedDevice(reactor: reactor, image: image), on: reactor, options: options)
      var contents: [String: [UInt8]] = [:]
      for path in ["A/foo", "B/foo"] {
        let file = try await volume.open(path)
        contents[path] = try await file.read(at: 0, count: 1 << 20)
        await file.close()
      }
      try await volume.unmount()
      return contents
    }
  }

  @Test("files that were durable read the same through the kernel's mount and ours", arguments: [1, 16, 60, 100])
  func sample(number: Int) throws {
    let image = try Self.start()
    let steps = Sequences.steps(number, length: 1).filter { !$0.line.hasPrefix("rm ") && !$0.line.hasPrefix("mv ") }
    let recording = try CrashRecording(
      steps, on: image, seed: 1, options: CrashRecording.options(frees: .plain, seed: 1))
    let medium = MemoryBytes(image)
    var states = MediumStates(of: recording.history, on: image, rule: .sample(3))
    var seen: Set<UInt64> = []
    var sampled: [[UInt8]] = []
    states.forEach(on: medium) { state in
      if seen.insert(state.hash).inserted, seen.count % 3 == 1 { sampled.append(medium.bytes) }
      return sampled.count < 5
    }
    #expect(sampled.count >= 2)
    for bytes in sampled {
      let ours = try Self.contents(of: bytes)
      try Kernel.mounted(bytes, options: "loop,ro") { folder in
        for (path, expected) in ours {
          let theirs = try TemporaryFile.read("\(folder)/\(path)")
          #expect(theirs == expected, "\(path)")
        }
      }
    }
  }
}
