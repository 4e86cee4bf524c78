/// `i_flags`; chattr shows most of them (fs/ext2/ext2.h, `EXT2_*_FL`).
package struct InodeFlags: OptionSet, Sendable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Overwrite on removal; not done by any driver.
  package static let secureDeletion = Self(rawValue: 0x1)
  /// Keep for undeletion; not done by any driver.
  package static let undelete = Self(rawValue: 0x2)
  /// Compress; not done here.
  package static let compress = Self(rawValue: 0x4)
  /// Each change goes to the disk before the call returns.
  package static let synchronous = Self(rawValue: 0x8)
  /// May not change.
  package static let immutable = Self(rawValue: 0x10)
  /// May only grow.
  package static let appendOnly = Self(rawValue: 0x20)
  /// Not to be dumped.
  package static let noDump = Self(rawValue: 0x40)
  /// Access times are not kept.
  package static let noAccessTime = Self(rawValue: 0x80)
  /// The directory has a hash index (`EXT2_BTREE_FL`, `EXT2_INDEX_FL`).
  ///
  /// Reading linearly works over the index. Whoever changes the directory without keeping the index must clear this
  /// flag **first**: `DirectoryBlock.insert` uses space in which the index hides.
  package static let index = Self(rawValue: 0x1000)
  /// AFS directory.
  package static let imagic = Self(rawValue: 0x2000)
  /// The file's data goes through the journal (ext3).
  package static let journalData = Self(rawValue: 0x4000)
  /// The file's tail may not be merged with others'.
  package static let noTail = Self(rawValue: 0x8000)
  /// Changes of the directory's entries go to the disk before the call returns.
  package static let directorySynchronous = Self(rawValue: 0x1_0000)
  /// Subdirectories are spread over the volume, like those of the root.
  package static let topDirectory = Self(rawValue: 0x2_0000)
  /// Blocks are counted in file-system blocks (ext4, `huge_file`).
  package static let hugeFile = Self(rawValue: 0x4_0000)
  /// Mapped by extents (ext4).
  package static let extents = Self(rawValue: 0x8_0000)
  /// The contents lie in the inode (ext4).
  package static let inlineData = Self(rawValue: 0x1000_0000)

  /// What a new file takes over from its directory (`EXT2_FL_INHERITED`).
  package static let inherited: Self = [
    .secureDeletion, .undelete, .compress, .synchronous, .noDump, .noAccessTime, .journalData, .noTail,
    .directorySynchronous, Self(rawValue: 0x100), Self(rawValue: 0x200), Self(rawValue: 0x400),
  ]
  /// Of the inherited flags, those that mean something for a file of a type (`ext2_mask_flags`).
  package func masked(for type: FileType) -> Self {
    switch type {
    case .directory: self
    case .regular: subtracting([.directorySynchronous, .topDirectory])
    default: intersection([.noDump, .noAccessTime])
    }
  }
}
