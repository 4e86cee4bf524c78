public import Ext2Tools
internal import Workload

/// Fresh images and their judges.
public enum Images {
  /// Whether the machine has what these tests need.
  public static let isAvailable = ExternalTool("mke2fs") != nil && ExternalTool("e2fsck") != nil

  public struct Failure: Error {
    public let output: String
    public init(output: String) { self.output = output }
  }

  private static let uuid = "4d2c2a1e-0000-4000-8000-000000000001"
  private static let hashSeed = "4d2c2a1e-0000-4000-8000-000000000002"

  /// The bytes of a new volume, always the same for the same options.
  public static func make(
    blockSize: Int, byteCount: Int, _ change: (inout MakeOptions) throws -> Void = { _ in }
  ) throws -> [UInt8] {
    guard let uuid = VolumeUUID(uuid), let hashSeed = VolumeUUID(hashSeed) else {
      throw Failure(output: "a UUID that cannot be read")
    }
    // When the calendar clock of simulated runs begins.
    var options = MakeOptions(byteCount: UInt64(byteCount), uuid: uuid, hashSeed: hashSeed, seconds: 1_767_225_600)
    options.blockSize = blockSize
    try change(&options)
    let image = MemoryBytes([UInt8](repeating: 0, count: byteCount))
    try VolumePlan(options).write(to: image, isZeroed: true)
    return image.bytes
  }

  /// The bytes of a volume that mke2fs makes with these options, and with a fixed UUID and hash seed.
  public static func make(blockSize: Int, byteCount: Int, options: [String]) throws -> [UInt8] {
    try TemporaryFile.with(byteCount: byteCount) { path in
      guard let tool = ExternalTool("mke2fs"),
        let outcome = tool.run(
          [
            "-q", "-F", "-t", "ext2", "-b", "\(blockSize)", "-U", uuid,
            "-E", "hash_seed=\(hashSeed)",
          ] + options + [path])
      else { throw Failure(output: "mke2fs did not start") }
      guard outcome.exitCode == 0 else { throw Failure(output: outcome.output) }
      return try TemporaryFile.read(path)
    }
  }

  /// What `e2fsck -fn` says of an image: nil when it is clean.
  public static func check(_ image: [UInt8]) throws -> String? {
    try TemporaryFile.with(contents: image) { path in
      guard let outcome = ExternalTool("e2fsck")?.run(["-fn", path]) else { throw Failure(output: "no e2fsck") }
      return outcome.exitCode == 0 ? nil : outcome.output
    }
  }

  /// The bytes of one file of an image, as debugfs reads them.
  public static func dump(_ name: String, of image: [UInt8]) throws -> [UInt8] {
    try TemporaryFile.with(contents: image) { path in
      try TemporaryFile.with(byteCount: 0) { target in
        guard let outcome = ExternalTool("debugfs")?.run(["-R", "dump \(name) \(target)", path]) else {
          throw Failure(output: "no debugfs")
        }
        guard outcome.exitCode == 0 else { throw Failure(output: outcome.output) }
        return try TemporaryFile.read(target)
      }
    }
  }
}
