/// `i_flags`; chattr shows most of them (fs/ext2/ext2.h, `EXT2_*_FL`).
public struct InodeFlags: OptionSet, Sendable {
  /// The word as the disk stores it.
  public let rawValue: UInt32
  /// Takes any 32 bits.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Overwrite on removal; not done by any driver.
  public static let secureDeletion = Self(rawValue: 0x1)
  /// Keep for undeletion; not done by any driver.
  public static let undelete = Self(rawValue: 0x2)
  /// Compress; not done here.
  public static let compress = Self(rawValue: 0x4)
  /// Each change goes to the disk before the call returns.
  public static let synchronous = Self(rawValue: 0x8)
  /// May not change.
  public static let immutable = Self(rawValue: 0x10)
  /// May only grow.
  public static let appendOnly = Self(rawValue: 0x20)
  /// Not to be dumped.
  public static let noDump = Self(rawValue: 0x40)
  /// Access times are not kept.
  public static let noAccessTime = Self(rawValue: 0x80)
  /// The directory has a hash index (`EXT2_BTREE_FL`, `EXT2_INDEX_FL`).
  ///
  /// Reading linearly works over the index. Whoever changes the directory without keeping the index must clear this
  /// flag **first**: `DirectoryBlock.insert` uses space in which the index hides.
  public static let index = Self(rawValue: 0x1000)
  /// AFS directory.
  public static let imagic = Self(rawValue: 0x2000)
  /// The file's data goes through the journal (ext3).
  public static let journalData = Self(rawValue: 0x4000)
  /// The file's tail may not be merged with others'.
  public static let noTail = Self(rawValue: 0x8000)
  /// Changes of the directory's entries go to the disk before the call returns.
  public static let directorySynchronous = Self(rawValue: 0x1_0000)
  /// Subdirectories are spread over the volume, like those of the root.
  public static let topDirectory = Self(rawValue: 0x2_0000)
  /// Blocks are counted in file-system blocks (ext4, `huge_file`).
  public static let hugeFile = Self(rawValue: 0x4_0000)
  /// Mapped by extents (ext4).
  public static let extents = Self(rawValue: 0x8_0000)
  /// The contents lie in the inode (ext4).
  public static let inlineData = Self(rawValue: 0x1000_0000)

  /// Flags that e2fsprogs' chattr may change (`EXT2_FL_USER_MODIFIABLE`), and what a mount does with them here.
  public static let changeable: Self = [
    .secureDeletion, .undelete, .compress, .synchronous, .immutable, .appendOnly, .noDump, .noAccessTime, .journalData,
    .noTail, .directorySynchronous, .topDirectory,
  ]
  /// What a new file takes over from its directory (`EXT2_FL_INHERITED`).
  public static let inherited: Self = [
    .secureDeletion, .undelete, .compress, .synchronous, .noDump, .noAccessTime, .journalData, .noTail,
    .directorySynchronous, Self(rawValue: 0x100), Self(rawValue: 0x200), Self(rawValue: 0x400),
  ]
  /// Of the inherited flags, those that mean something for a file of a type (`ext2_mask_flags`).
  public func masked(for type: InodeType) -> Self {
    switch type {
    case .directory: self
    case .regular: subtracting([.directorySynchronous, .topDirectory])
    default: intersection([.noDump, .noAccessTime])
    }
  }
}
