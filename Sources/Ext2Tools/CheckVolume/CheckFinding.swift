/// One thing that a check found: what it is, and the numbers that say where.
///
/// Which numbers are set depends on the kind; `description` is the sentence for people.
public struct CheckFinding: Equatable, Sendable {
  /// What is wrong.
  public let kind: Kind
  /// The inode that is wrong, or whose directory, index or blocks are.
  public var inode: UInt32?
  /// The other inode, such as the one an entry names.
  public var otherInode: UInt32?
  /// The block group.
  public var group: UInt32?
  /// The block of the volume; of a range the first one.
  public var block: UInt32?
  /// The last block of a range.
  public var lastBlock: UInt32?
  /// The block of the directory or file, counted from its beginning.
  public var fileBlock: Int64?
  /// The byte in the block.
  public var offset: Int?
  /// The field of the structure, by its name in fs/ext2/ext2.h.
  public var field: String?
  /// What the disk holds.
  public var found: UInt64?
  /// What it should hold.
  public var expected: UInt64?
  /// The name of a directory entry.
  public var name: [UInt8]?

  init(
    _ kind: Kind, inode: UInt32? = nil, otherInode: UInt32? = nil, group: UInt32? = nil, block: UInt32? = nil,
    lastBlock: UInt32? = nil, fileBlock: Int64? = nil, offset: Int? = nil, field: String? = nil,
    found: UInt64? = nil, expected: UInt64? = nil, name: [UInt8]? = nil
  ) {
    self.kind = kind
    self.inode = inode
    self.otherInode = otherInode
    self.group = group
    self.block = block
    self.lastBlock = lastBlock
    self.fileBlock = fileBlock
    self.offset = offset
    self.field = field
    self.found = found
    self.expected = expected
    self.name = name
  }

  /// The passes of a check, as e2fsck has them, and what goes before.
  public enum Pass: Int, Sendable, Comparable, CaseIterable {
    /// The superblock, the descriptors, the inode of blocks kept for more descriptors, the journal.
    case superblock = 0
    /// Inodes, their blocks, sizes and attributes.
    case inodes
    /// Directories and their indexes.
    case directories
    /// Whether every directory hangs on the root.
    case connectivity
    /// Link counts.
    case links
    /// Bitmaps and counts.
    case summary
    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
  }

  /// How much it weighs.
  public enum Weight: String, Sendable {
    /// Worth knowing; the volume counts as clean with it.
    case note
    /// An error that `e2fsck -p` would mend without asking, and that a repair mends.
    case mendable
    /// An error that someone has to decide about.
    case serious
  }

  /// What can be wrong. The raw value is what the JSON report calls it.
  public enum Kind: String, Sendable, CaseIterable {
    // Superblock and descriptors.
    case superblockReplaced = "superblock-replaced"
    case descriptorsReplaced = "descriptors-replaced"
    case superblockValue = "superblock-value"
    case volumeExceedsDevice = "volume-exceeds-device"
    case metadataMisplaced = "metadata-misplaced"
    case metadataUnreadable = "metadata-unreadable"
    case groupFlags = "group-flags"
    case resizeInode = "resize-inode"
    case journal = "journal"
    case orphanList = "orphan-list"

    // Inodes and blocks.
    case rootNotDirectory = "root-not-directory"
    case rootDeletionTime = "root-deletion-time"
    case reservedMode = "reserved-inode-mode"
    case reservedInUse = "reserved-inode-in-use"
    case badBlocksInode = "bad-blocks-inode"
    case badBlockInMetadata = "bad-block-in-metadata"
    case orphanDeletionTime = "orphan-deletion-time"
    case missingDeletionTime = "missing-deletion-time"
    case deletionTime = "deletion-time"
    case inodeFlag = "inode-flag"
    case inodeField = "inode-field"
    case attributeBlockHigh = "attribute-block-high"
    case inodeMode = "inode-mode"
    case extraSize = "inode-extra-size"
    case deviceInode = "device-inode"
    case specialSize = "special-file-size"
    case specialFlags = "special-file-flags"
    case symbolicLink = "symbolic-link"
    case blockOutOfRange = "block-out-of-range"
    case fileTooBig = "file-too-big"
    case blockShared = "block-shared"
    case blockUnreadable = "block-unreadable"
    case inodeSize = "inode-size"
    case inodeBlocks = "inode-blocks"
    case emptyDirectory = "empty-directory"
    case attributesInInode = "attributes-in-inode"
    case attributesOverlap = "attributes-overlap"
    case attributeBlock = "attribute-block"
    case attributeHash = "attribute-hash"
    case attributeReferences = "attribute-references"
    case attributeFeature = "attribute-feature"
    case largeFileFeature = "large-file-feature"

    // Directories.
    case directoryHole = "directory-hole"
    case directoryEntry = "directory-entry"
    case dotMissing = "dot-missing"
    case dotWrong = "dot-wrong"
    case dotLong = "dot-long"
    case entryInode = "entry-inode"
    case entryUnusedInode = "entry-unused-inode"
    case entryInUnusedPart = "entry-in-unused-part"
    case entryToItself = "entry-to-itself"
    case entryToRoot = "entry-to-root"
    case entryToDirectory = "entry-to-directory"
    case entryDot = "entry-dot"
    case entryNameEmpty = "entry-name-empty"
    case entryName = "entry-name"
    case entryType = "entry-type"
    case entryTypeMissing = "entry-type-missing"
    case entryTypeUnexpected = "entry-type-unexpected"
    case duplicateName = "duplicate-name"
    case indexFlag = "index-flag"
    case indexRoot = "index-root"
    case indexNode = "index-node"
    case indexTree = "index-tree"

    // Connectivity and links.
    case rootMissing = "root-missing"
    case directoryUnconnected = "directory-unconnected"
    case directoryLoop = "directory-loop"
    case dotDot = "dot-dot"
    case inodeUnattached = "inode-unattached"
    case emptyInodeUnattached = "empty-inode-unattached"
    case linkCount = "link-count"

    // Bitmaps and counts.
    case blockMarkedUsed = "block-marked-used"
    case blockMarkedFree = "block-marked-free"
    case inodeMarkedUsed = "inode-marked-used"
    case inodeMarkedFree = "inode-marked-free"
    case bitmapPadding = "bitmap-padding"
    case groupFreeBlocks = "group-free-blocks"
    case groupFreeInodes = "group-free-inodes"
    case groupDirectories = "group-directories"
    case freeBlocks = "free-blocks"
    case freeInodes = "free-inodes"
  }
}

extension CheckFinding.Kind {
  /// The pass that finds it.
  public var pass: CheckFinding.Pass {
    switch self {
    case .superblockReplaced, .descriptorsReplaced, .superblockValue, .volumeExceedsDevice, .metadataMisplaced,
      .metadataUnreadable, .groupFlags, .resizeInode, .journal, .orphanList:
      .superblock
    case .rootNotDirectory, .rootDeletionTime, .reservedMode, .reservedInUse, .badBlocksInode, .badBlockInMetadata,
      .orphanDeletionTime, .missingDeletionTime, .deletionTime, .inodeFlag, .extraSize, .specialSize, .specialFlags,
      .blockOutOfRange, .fileTooBig, .blockShared, .blockUnreadable, .inodeSize, .inodeBlocks, .emptyDirectory,
      .attributesInInode, .attributesOverlap, .attributeBlock, .attributeHash, .attributeReferences, .attributeFeature,
      .indexFlag, .indexRoot, .attributeBlockHigh:
      .inodes
    // Fields that make no sense together: e2fsck notes them in its first pass, and asks when an entry names the inode.
    case .inodeField, .inodeMode, .deviceInode, .symbolicLink, .largeFileFeature, .directoryHole, .directoryEntry,
      .dotMissing, .dotWrong, .dotLong, .entryInode, .entryUnusedInode, .entryInUnusedPart, .entryToItself,
      .entryToRoot, .entryToDirectory, .entryDot, .entryNameEmpty, .entryName, .entryType, .entryTypeMissing,
      .entryTypeUnexpected, .duplicateName, .indexNode, .indexTree:
      .directories
    case .rootMissing, .directoryUnconnected, .directoryLoop, .dotDot: .connectivity
    case .inodeUnattached, .emptyInodeUnattached, .linkCount: .links
    case .blockMarkedUsed, .blockMarkedFree, .inodeMarkedUsed, .inodeMarkedFree, .bitmapPadding, .groupFreeBlocks,
      .groupFreeInodes, .groupDirectories, .freeBlocks, .freeInodes:
      .summary
    }
  }

  /// How much it weighs: a note where e2fsck's table of problems says PR_NO_OK, mendable where it says PR_PREEN_OK
  /// (e2fsck/problem.c).
  public var weight: CheckFinding.Weight {
    switch self {
    case .superblockReplaced, .descriptorsReplaced, .orphanList, .specialFlags, .dotLong, .entryTypeMissing,
      .freeBlocks,
      .freeInodes:
      .note
    case .groupFlags, .rootDeletionTime, .reservedMode, .reservedInUse, .missingDeletionTime, .deletionTime, .extraSize,
      .specialSize, .inodeSize, .inodeBlocks, .attributesInInode, .largeFileFeature, .entryUnusedInode,
      .entryInUnusedPart, .entryTypeUnexpected, .indexFlag, .indexRoot, .indexNode, .emptyInodeUnattached, .linkCount,
      .blockMarkedUsed, .blockMarkedFree, .inodeMarkedUsed, .inodeMarkedFree, .bitmapPadding, .groupFreeBlocks,
      .groupFreeInodes, .groupDirectories, .emptyDirectory, .attributeBlockHigh, .attributeHash, .attributeFeature:
      .mendable
    default: .serious
    }
  }
}
