internal import ArgumentParser
internal import Ext2Tools
internal import Glibc
internal import Workload

/// What a volume is to be, in the words of the command line: long names, and mke2fs's letters.
struct MkfsOptions: ParsableArguments {
  @Option(help: "The volume's size; otherwise that of the file or device.", transform: bytes) var size: UInt64?
  @Option(
    name: [.customShort("b"), .long], help: "Bytes of a block: 1k, 2k, 4k, 8k, 16k, 32k or 64k.", transform: bytes)
  var blockSize: UInt64?
  @Option(
    name: [.customShort("I"), .long], help: "Bytes of an inode: 128 to the block size, at most 32k.", transform: bytes)
  var inodeSize: UInt64?
  @Option(name: [.customShort("N"), .long], help: "How many inodes, at least.") var inodes: UInt64?
  @Option(name: [.customShort("i"), .long], help: "One inode for so many bytes.", transform: bytes)
  var bytesPerInode: UInt64?
  @Option(name: [.customShort("m"), .long], help: "Blocks that only root may take, in percent.")
  var reservedPercent = 5.0
  @Option(name: [.customShort("L"), .long], help: "The volume's label, at most 16 bytes.") var label = ""
  @Option(name: [.customShort("U"), .long], help: "The volume's UUID, or random or clear.") var uuid = "random"
  @Option(name: [.customShort("r"), .long], help: "The format's revision, 0 or 1.") var revision: UInt32 = 1
  @Option(
    name: [.customShort("O"), .long],
    help: ArgumentHelp(
      "Features, separated by commas; ^NAME takes one away, none all: "
        + FeatureSet.knownNames.joined(separator: ", ") + ".", valueName: "list"))
  var features: [String] = []
  @Option(
    name: [.customShort("E"), .long],
    help: ArgumentHelp(
      "More, separated by commas: hash_seed=UUID, root_owner[=UID:GID], lazy_itable_init[=0|1] (0: inode tables take "
        + "their room now).", valueName: "list"))
  var extended: [String] = []

  /// Whether inode tables are to be written though they are zero.
  var writesTables: Bool { (try? extendedOptions())?.writesTables ?? false }

  func validate() throws { _ = try extendedOptions() }

  /// The library's options for a volume in that file, or in one to be made.
  func makeOptions(for file: FileBytes?) throws -> MakeOptions {
    let extended = try extendedOptions()
    var generator = SystemRandomNumberGenerator()
    let hashSeed = extended.hashSeed ?? .random(using: &generator)
    var options = MakeOptions(
      byteCount: try byteCount(of: file), uuid: try volumeUUID(), hashSeed: hashSeed,
      seconds: try GivenTime.secondsOrNow())
    options.blockSize = blockSize.map { Int(clamping: $0) }
    options.deviceBlockSize = file?.logicalBlockSize ?? 512
    options.inodeSize = inodeSize.map { Int(clamping: $0) }
    options.inodeCount = inodes
    options.bytesPerInode = bytesPerInode
    options.reservedPercent = reservedPercent
    options.label = label
    options.revision = revision
    (options.rootUser, options.rootGroup) = extended.rootOwner
    if !features.isEmpty {
      var set = revision == 0 ? FeatureSet() : .standard
      for list in features { try set.edit(list) }
      options.features = set
    }
    return options
  }

  /// The size that was told, or that of the file: then a whole number of pages of 4 KiB, as mke2fs takes it.
  private func byteCount(of file: FileBytes?) throws -> UInt64 {
    guard let file else {
      guard let size else { throw ValidationError("--size: a file that does not exist yet needs one") }
      return size
    }
    guard let size else {
      guard file.byteCount > 0 else { throw ValidationError("--size: \(file.path) is empty and needs one") }
      return file.byteCount & ~4095
    }
    guard file.logicalBlockSize == nil || size <= file.byteCount else {
      throw ValidationError("--size: the device has only \(file.byteCount) bytes")
    }
    return size
  }

  private func volumeUUID() throws -> VolumeUUID {
    switch uuid.lowercased() {
    case "random":
      var generator = SystemRandomNumberGenerator()
      return .random(using: &generator)
    case "clear", "null": return .null
    default:
      guard let uuid = VolumeUUID(uuid) else {
        throw ValidationError("--uuid: '\(uuid)': must be a UUID, random or clear")
      }
      return uuid
    }
  }

  /// What -E says.
  private func extendedOptions() throws -> (hashSeed: VolumeUUID?, rootOwner: (UInt32, UInt32), writesTables: Bool) {
    var hashSeed: VolumeUUID?
    var rootOwner: (UInt32, UInt32) = (0, 0)
    var writesTables = false
    for word in extended.flatMap({ $0.split(separator: ",") }) {
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      let value = parts.count == 2 ? parts[1] : nil
      switch (parts[0], value) {
      case ("hash_seed", let text?):
        guard let seed = VolumeUUID(text) else { throw ValidationError("--extended: hash_seed: '\(text)': not a UUID") }
        hashSeed = seed
      case ("root_owner", nil): rootOwner = (getuid(), getgid())
      case ("root_owner", let text?):
        let numbers = text.split(separator: ":", omittingEmptySubsequences: false).map { UInt32($0) }
        guard numbers.count == 2, let user = numbers[0], let group = numbers[1] else {
          throw ValidationError("--extended: root_owner: '\(text)': must be UID:GID, two numbers")
        }
        rootOwner = (user, group)
      case ("lazy_itable_init", nil), ("lazy_itable_init", "1"): writesTables = false
      case ("lazy_itable_init", "0"): writesTables = true
      case ("lazy_itable_init", let text?):
        throw ValidationError("--extended: lazy_itable_init: '\(text)': must be 0 or 1")
      default:
        let hint = Self.hint(parts[0], ["hash_seed", "root_owner", "lazy_itable_init"])
        throw ValidationError(
          "--extended: '\(word)': there are hash_seed=UUID, root_owner[=UID:GID], lazy_itable_init[=0|1]\(hint)")
      }
    }
    return (hashSeed, rootOwner, writesTables)
  }

  /// What to add to a message about a name that is not known: the nearest one, if one is near.
  static func hint(_ name: String, _ known: [String]) -> String {
    nearestName(to: name, among: known).map { "; did you mean \($0)?" } ?? ""
  }
}

/// Bytes as everywhere on the command line: a number and a suffix.
@Sendable func bytes(_ text: String) throws -> UInt64 {
  do {
    guard case .number(let number) = try JobOption.Kind.bytes(1...UInt64.max).parse(text) else { return 0 }
    return number
  } catch { throw ValidationError("\(error)") }
}
