internal import BlockDevice
internal import Ext2
internal import Ext2Tools
internal import Reactor
internal import SystemPackage
internal import Workload

#if canImport(Glibc)
  internal import Glibc
#endif

/// Why scenarios cannot be run here.
public enum ExplorerError: Error, Sendable, CustomStringConvertible {
  /// e2fsck is missing.
  case missingTool(String)
  /// A tool or a temporary file failed.
  case failed(String)
  public var description: String {
    switch self {
    case .missingTool(let name): "\(name) is not installed: apt-get install e2fsprogs"
    case .failed(let what): what
    }
  }
}

/// Small images; the judge sees them through temporary files, because that is what e2fsprogs reads.
enum ScratchImage {
  /// A volume of that many blocks; without a number 512, or 1,024 of the smallest.
  static func make(
    blockSize: Int, blockCount: Int? = nil, inodeCount: Int = 64
  ) throws(ExplorerError) -> [UInt8] {
    guard ExternalTool("e2fsck") != nil else { throw .missingTool("e2fsck") }
    guard let uuid = VolumeUUID("6f1c9c1e-0000-4000-8000-000000000001"),
      let hashSeed = VolumeUUID("6f1c9c1e-0000-4000-8000-000000000002")
    else { preconditionFailure("a UUID that cannot be read") }
    let byteCount = (blockCount ?? (blockSize == 1024 ? 1024 : 512)) * blockSize
    // When the calendar clock of simulated runs begins.
    var options = MakeOptions(
      byteCount: UInt64(byteCount), uuid: uuid, hashSeed: hashSeed, seconds: 1_767_225_600)
    options.blockSize = blockSize
    options.inodeCount = UInt64(inodeCount)
    options.reservedPercent = 0
    let image = MemoryBytes([UInt8](repeating: 0, count: byteCount))
    do { try VolumePlan(options).write(to: image, isZeroed: true) } catch { throw .failed("\(error)") }
    return image.bytes
  }

  /// A volume that is filled in simulation and unmounted; and what `fill` has returned.
  static func prepared<R: Sendable>(
    blockSize: Int, blockCount: Int? = nil, inodeCount: Int = 64, seed: UInt64,
    _ fill: @escaping @Sendable (Volume) async throws -> R
  ) throws -> (image: [UInt8], result: R) {
    let empty = try make(blockSize: blockSize, blockCount: blockCount, inodeCount: inodeCount)
    let reactor = SimulatedReactor(seed: seed, policy: .uniform)
    return try reactor.run {
      let device = SimulatedDevice(reactor: reactor, image: empty)
      let volume = try await Volume.mount(
        device, on: reactor, options: CrashRecording.options(frees: .plain, seed: seed))
      let result = try await fill(volume)
      try await volume.unmount()
      return (await volume.withDevice { ($0 as? SimulatedDevice)?.durableImage ?? [] }, result)
    }
  }

  static func check(_ image: [UInt8]) throws(ExplorerError) -> String? {
    try withFile(image) { path throws(ExplorerError) in
      let outcome = try run("e2fsck", ["-fn", path])
      return outcome.exitCode == 0 ? nil : outcome.output
    }
  }

  /// What `e2fsck -fy` makes of an image.
  static func repaired(_ image: [UInt8]) throws(ExplorerError) -> [UInt8] {
    try withFile(image) { path throws(ExplorerError) in
      let outcome = try run("e2fsck", ["-fy", path])
      guard outcome.exitCode & ~3 == 0 else { throw .failed("e2fsck -fy: \(outcome.output)") }
      do {
        let file = try FileBytes(path: path)
        var bytes = [UInt8](repeating: 0, count: Int(file.byteCount))
        var span = bytes.mutableSpan
        var target = unsafe span.mutableBytes
        try file.read(at: 0, into: &target)
        return bytes
      } catch { throw .failed("\(path): \(error)") }
    }
  }

  private static func run(_ name: String, _ arguments: [String]) throws(ExplorerError) -> ExternalTool.Outcome {
    guard let tool = ExternalTool(name) else { throw .missingTool(name) }
    guard let outcome = tool.run(arguments) else { throw .failed("\(name) could not be started") }
    return outcome
  }

  private static func withFile<R>(
    _ bytes: [UInt8], _ body: (String) throws(ExplorerError) -> R
  ) throws(ExplorerError) -> R {
    let folder = unsafe access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    var template = Array("\(folder)/blkdev-XXXXXX".utf8CString)
    let descriptor = unsafe mkstemp(&template)
    guard descriptor >= 0 else { throw .failed("\(folder): no temporary file: \(Errno(rawValue: errno))") }
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { unsafe unlink(path) }
    let file = FileDescriptor(rawValue: descriptor)
    do { try file.closeAfter { _ = try file.writeAll(bytes) } } catch { throw .failed("\(path): \(error)") }
    return try body(path)
  }

}
