// What a volume may use that the first ext2 did not have. The three words differ in what a driver does about a bit it
// does not know: ignore it, mount read-only, or refuse (Documentation/filesystems/ext4, "The Super Block").
//
// Names are those of e2fsprogs (lib/e2p/feature.c); an unknown bit prints as FEATURE_C12 does there.

/// A feature word whose bits have the names e2fsprogs gives them.
package protocol FeatureWord: OptionSet, Sendable, CustomStringConvertible where RawValue == UInt32 {
  /// C, I or R: what stands before the bit's number when the bit has no name.
  static var letter: String { get }
  /// Bit number to name.
  static var names: [(bit: Int, name: String)] { get }
}

extension FeatureWord {
  /// The names of the bits that are set, from the lowest bit up.
  package var featureNames: [String] {
    (0..<32).filter { rawValue & (1 << UInt32($0)) != 0 }.map { bit in
      Self.names.first { $0.bit == bit }?.name ?? "FEATURE_\(Self.letter)\(bit)"
    }
  }

  package var description: String { isEmpty ? "(none)" : featureNames.joined(separator: " ") }

  /// The bit with a name of e2fsprogs, or nil.
  package init?(named name: String) {
    guard let bit = Self.names.first(where: { $0.name == name })?.bit else { return nil }
    self.init(rawValue: 1 << UInt32(bit))
  }
}

/// Features a driver may ignore when it does not know them.
package struct CompatibleFeatures: FeatureWord {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Blocks are preallocated for directories.
  package static let directoryPreallocation = Self(rawValue: 0x1)
  /// Some inodes are AFS directories.
  package static let imagicInodes = Self(rawValue: 0x2)
  /// There is a journal (ext3). A driver without one may mount a volume whose journal is empty.
  package static let hasJournal = Self(rawValue: 0x4)
  /// There are extended attributes.
  package static let extendedAttributes = Self(rawValue: 0x8)
  /// Blocks after the group descriptors are reserved for more of them.
  package static let resizeInode = Self(rawValue: 0x10)
  /// Directories may carry a hash index, hidden from who reads linearly.
  package static let directoryIndex = Self(rawValue: 0x20)

  /// What this project knows the meaning of. Others are left alone.
  package static let supported: Self = [.extendedAttributes, .resizeInode, .directoryIndex]

  package static let letter = "C"
  package static let names: [(bit: Int, name: String)] = [
    (0, "dir_prealloc"), (1, "imagic_inodes"), (2, "has_journal"), (3, "ext_attr"), (4, "resize_inode"),
    (5, "dir_index"), (6, "lazy_bg"), (8, "snapshot_bitmap"), (9, "sparse_super2"), (10, "fast_commit"),
    (11, "stable_inodes"), (12, "orphan_file"),
  ]
}

/// Features without which the volume cannot be understood: an unknown one means that it is not mounted.
package struct IncompatibleFeatures: FeatureWord {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  /// File contents are compressed.
  package static let compression = Self(rawValue: 0x1)
  /// Directory entries tell the type of what they name.
  package static let fileType = Self(rawValue: 0x2)
  /// The journal holds changes that were not replayed.
  package static let needsRecovery = Self(rawValue: 0x4)
  /// The device holds nothing but a journal.
  package static let journalDevice = Self(rawValue: 0x8)
  /// Group descriptors lie in the groups they describe.
  package static let metaBlockGroups = Self(rawValue: 0x10)
  /// Files are mapped by extents (ext4).
  package static let extents = Self(rawValue: 0x40)
  /// Block numbers have 64 bits (ext4).
  package static let sixtyFourBit = Self(rawValue: 0x80)
  /// Bitmaps and inode tables lie anywhere (ext4).
  package static let flexibleBlockGroups = Self(rawValue: 0x200)

  /// What can be mounted; as in the kernel's ext2 (`EXT2_FEATURE_INCOMPAT_SUPP`).
  package static let supported: Self = [.fileType, .metaBlockGroups]

  package static let letter = "I"
  package static let names: [(bit: Int, name: String)] = [
    (0, "compression"), (1, "filetype"), (2, "needs_recovery"), (3, "journal_dev"), (4, "meta_bg"), (6, "extent"),
    (7, "64bit"), (8, "mmp"), (9, "flex_bg"), (10, "ea_inode"), (12, "dirdata"), (13, "metadata_csum_seed"),
    (14, "large_dir"), (15, "inline_data"), (16, "encrypt"), (17, "casefold"),
  ]
}

/// Features a driver must know before it writes: with an unknown one the volume is read-only.
package struct ReadOnlyCompatibleFeatures: FeatureWord {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Only some groups hold copies of superblock and descriptors: 0, 1 and the powers of 3, 5 and 7.
  package static let sparseSuper = Self(rawValue: 0x1)
  /// Some file is larger than 2 GiB - 1.
  package static let largeFile = Self(rawValue: 0x2)
  /// Directories are B-trees: planned, never used; the kernel accepts the bit.
  package static let btreeDirectories = Self(rawValue: 0x4)

  /// What can be written to; as in the kernel's ext2 (`EXT2_FEATURE_RO_COMPAT_SUPP`).
  package static let supported: Self = [.sparseSuper, .largeFile, .btreeDirectories]

  package static let letter = "R"
  package static let names: [(bit: Int, name: String)] = [
    (0, "sparse_super"), (1, "large_file"), (2, "btree_dir"), (3, "huge_file"), (4, "uninit_bg"), (5, "dir_nlink"),
    (6, "extra_isize"), (7, "snapshot"), (8, "quota"), (9, "bigalloc"), (10, "metadata_csum"), (11, "replica"),
    (12, "read-only"), (13, "project"), (14, "shared_blocks"), (15, "verity"), (16, "orphan_present"),
  ]
}
