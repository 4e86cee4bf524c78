/// What a check found.
public struct CheckReport: Sendable {
  /// The findings that were kept, in the order in which they were met.
  public internal(set) var findings: [CheckFinding] = []
  /// Findings that are errors, kept or not. A volume without any is clean.
  public internal(set) var errorCount: UInt64 = 0
  /// Those of the errors that a repair would not mend.
  public internal(set) var seriousCount: UInt64 = 0
  /// Findings that are none, kept or not.
  public internal(set) var noteCount: UInt64 = 0
  /// Counts of what is in use.
  public internal(set) var statistics = CheckStatistics()

  /// All findings, kept or not.
  public var total: UInt64 { errorCount + noteCount }

  /// Whether nothing is wrong: what `e2fsck -fn` says by exiting with 0.
  public var isClean: Bool { errorCount == 0 }

  public init() {}
}

/// What a volume holds, as counted by a check.
public struct CheckStatistics: Equatable, Sendable {
  /// Bytes of a block.
  public internal(set) var blockSize = 0
  /// Inodes of the volume.
  public internal(set) var inodeCount: UInt64 = 0
  /// Inodes in use, reserved ones included.
  public internal(set) var usedInodes: UInt64 = 0
  /// Blocks of the volume.
  public internal(set) var blockCount: UInt64 = 0
  /// Blocks in use, and those before the first group.
  public internal(set) var usedBlocks: UInt64 = 0
  /// Directories.
  public internal(set) var directories: UInt64 = 0
  /// Regular files.
  public internal(set) var regularFiles: UInt64 = 0
  /// Symbolic links.
  public internal(set) var symbolicLinks: UInt64 = 0
  /// Device files, pipes and sockets.
  public internal(set) var specialFiles: UInt64 = 0
  /// Files and directories whose blocks do not follow each other on the disk.
  public internal(set) var nonContiguous: UInt64 = 0
  /// Whether the superblock says that the volume was unmounted cleanly.
  public internal(set) var isMarkedClean = false
  /// Whether the superblock says that errors were found.
  public internal(set) var isMarkedWithErrors = false

  /// Tenths of a percent of the inodes in use that are not contiguous, rounded as e2fsck does.
  public var nonContiguousPermille: UInt64 {
    usedInodes == 0 ? 0 : (10_000 * nonContiguous / usedInodes + 5) / 10
  }
}

/// Why a volume could not be checked at all.
public enum CheckFailure: Error, Equatable, Sendable {
  /// There is no ext2 volume; the magic number is this one.
  case notExt2(magic: UInt16)
  /// Fewer bytes than a superblock needs.
  case tooSmall(byteCount: UInt64)
  /// The copy of the superblock that was asked for would be behind the last byte.
  case beyondEnd(block: UInt32)
  /// A revision later than 1.
  case revision(UInt32)
  /// Features that are not checked here, by their names in e2fsprogs.
  case unsupportedFeatures([String])
  /// A field of the superblock without which nothing can be found, and no copy to take its place.
  case superblock(field: String, value: UInt64)
  /// The superblock could not be read.
  case unreadable(VolumeBytesError)
}

extension CheckFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .notExt2(let magic):
      "not an ext2 volume: the magic number is 0x\(String(magic, radix: 16)), expected 0xef53"
    case .tooSmall(let count): "not an ext2 volume: \(count) bytes have no room for a superblock"
    case .beyondEnd(let block): "no superblock is in block \(block): the volume ends before it"
    case .revision(let revision): "the volume has revision \(revision), later than any that is known"
    case .unsupportedFeatures(let names):
      (names.contains("needs_recovery")
        ? "needs_recovery: the journal holds changes that were not replayed: run e2fsck; " : "")
        + "the volume uses features that are not checked here: " + names.joined(separator: " ")
    case .superblock(let field, let value):
      "the superblock is damaged: \(field) is \(value), and there is no copy to take its place"
    case .unreadable(let error): "the superblock cannot be read: \(error)"
    }
  }
}
