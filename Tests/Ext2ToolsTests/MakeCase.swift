import Ext2Tools
import Support
import Workload

/// A volume to be made, by us and by mke2fs, and the command that makes it.
struct MakeCase: Sendable, CustomStringConvertible {
  var kibibytes: UInt64
  var blockSize: Int?
  var inodeSize: Int?
  var inodes: UInt64?
  var bytesPerInode: UInt64?
  var reserved: Double?
  var revision: UInt32 = 1
  /// As behind -O.
  var features: String?
  var label = ""
  var owner: (user: UInt32, group: UInt32)?

  static let uuid = "4d2c2a1e-0000-4000-8000-000000000001"
  static let hashSeed = "4d2c2a1e-1234-4000-8000-0000000000f2"
  static let seconds: Int64 = 1_700_000_000

  /// What mke2fs and we are told in the same words.
  private var arguments: [String] {
    var arguments: [String] = []
    if let blockSize { arguments += ["-b", "\(blockSize)"] }
    if let inodeSize { arguments += ["-I", "\(inodeSize)"] }
    if let inodes { arguments += ["-N", "\(inodes)"] }
    if let bytesPerInode { arguments += ["-i", "\(bytesPerInode)"] }
    if let reserved { arguments += ["-m", "\(reserved)"] }
    if revision == 0 { arguments += ["-r", "0"] }
    if let features { arguments += ["-O", features] }
    if !label.isEmpty { arguments += ["-L", label] }
    let root = owner.map { ",root_owner=\($0.user):\($0.group)" } ?? ""
    return arguments + ["-U", Self.uuid, "-E", "hash_seed=\(Self.hashSeed)\(root)"]
  }

  /// What repeats it.
  var description: String {
    "E2FSPROGS_FAKE_TIME=\(Self.seconds) blkdev-run mkfs IMAGE --size \(kibibytes)k " + arguments.joined(separator: " ")
  }

  func options() throws(MakeError) -> MakeOptions {
    guard let uuid = VolumeUUID(Self.uuid), let hashSeed = VolumeUUID(Self.hashSeed) else {
      preconditionFailure("a UUID that cannot be read")
    }
    var options = MakeOptions(byteCount: kibibytes << 10, uuid: uuid, hashSeed: hashSeed, seconds: Self.seconds)
    options.blockSize = blockSize
    options.inodeSize = inodeSize
    options.inodeCount = inodes
    options.bytesPerInode = bytesPerInode
    if let reserved { options.reservedPercent = reserved }
    options.revision = revision
    options.label = label
    if let owner { (options.rootUser, options.rootGroup) = owner }
    if let features {
      var set = revision == 0 ? FeatureSet() : .standard
      try set.edit(features)
      options.features = set
    }
    return options
  }

  /// Makes it in a new sparse file.
  func make(at path: String) throws {
    try VolumePlan(options()).write(to: FileBytes(path: path, isWritable: true), isZeroed: true)
  }

  /// Lets mke2fs make it, with its built-in defaults. What it says when it does not.
  func makeWithMke2fs(at path: String) throws -> String? {
    // Without a file of that name it has its own defaults, whatever this machine's /etc/mke2fs.conf says.
    let environment = ["E2FSPROGS_FAKE_TIME=\(Self.seconds)", "MKE2FS_CONFIG=/nonexistent"]
    guard let env = ExternalTool("env"), let mke2fs = ExternalTool("mke2fs"),
      let outcome = env.run(
        environment + [mke2fs.path, "-q", "-F", "-t", "ext2"] + arguments + [path, "\(kibibytes)k"])
    else { throw Images.Failure(output: "mke2fs did not start") }
    return outcome.exitCode == 0 ? nil : outcome.output
  }

  /// What mke2fs would make: how many blocks and inodes, and where superblock backups lie; nil when it refuses.
  func countsOfMke2fs() throws -> (blocks: UInt64, inodes: UInt64, backups: [UInt32])? {
    try TemporaryFile.with(byteCount: 0) { path in
      guard let env = ExternalTool("env"), let mke2fs = ExternalTool("mke2fs"),
        let outcome = env.run(
          ["LC_ALL=C", "MKE2FS_CONFIG=/nonexistent", mke2fs.path, "-n", "-F", "-t", "ext2"] + arguments
            + [path, "\(kibibytes)k"])
      else { throw Images.Failure(output: "mke2fs did not start") }
      if outcome.exitCode != 0 { return nil }
      // Creating filesystem with N 4k blocks and M inodes / … / Superblock backups stored on blocks: / \tN, N, …
      let lines = outcome.output.split(separator: "\n")
      let words = lines.first { $0.hasPrefix("Creating filesystem with ") }.map { $0.split(separator: " ") } ?? []
      guard words.count == 9, let blocks = UInt64(words[3]), let inodes = UInt64(words[7]) else {
        throw Images.Failure(output: outcome.output)
      }
      let backups = lines.filter { $0.hasPrefix("\t") }.joined().split { !$0.isNumber }.compactMap { UInt32($0) }
      return (blocks, inodes, backups)
    }
  }

  /// The first bytes that differ in two files of this size; nil when none does. A file may be longer than the volume.
  func difference(_ first: String, _ second: String) throws -> String? {
    let plan = try VolumePlan(options())
    let count = UInt64(plan.blockCount) * UInt64(plan.blockSize)
    guard let outcome = ExternalTool("cmp")?.run(["-n", "\(count)", "-b", first, second]) else {
      throw Images.Failure(output: "cmp did not start")
    }
    return outcome.exitCode == 0 ? nil : outcome.output
  }
}
