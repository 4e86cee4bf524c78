/// Checks ext2 volumes that are not mounted, without changing them, as `e2fsck -fn` does.
///
/// It goes over the volume in e2fsck's passes: inodes and their blocks, directories and their indexes, connectivity,
/// link counts, bitmaps and counts. It agrees with e2fsck 1.47 on whether a volume is clean; where it does not, it is
/// because e2fsck overlooks something, and `CheckCorpusTests` lists each case.
///
/// - Complexity: linear in the inode tables, the pointer blocks, the directories and the bitmaps; the contents of files
///   are not read. A pointer block is followed once, however many point to it, so that the work is bounded by the size
///   of the volume whatever the bytes say.
/// - Memory: a bit for each block of the groups in which files own some, 16 bytes an inode in use, 20 a directory, 12 a
///   block of a directory, 20 a group.
///
/// A checker keeps its memory from one check to the next: whoever checks many images keeps one.
public final class VolumeChecker {
  /// What to check with.
  public struct Options: Sendable {
    /// The block of a superblock to use instead of the primary one, as `e2fsck -b` takes it.
    public var superblock: UInt32?
    /// The block size that goes with `superblock`; nil: try all.
    public var blockSize: Int?
    /// Findings to keep; what is found beyond is counted.
    public var keptFindings = 1000
    public init() {}
  }

  var run = CheckRun()
  public init() {}

  /// Checks a volume.
  ///
  /// - Parameter progress: called now and then with the part that is done, from 0 to 1.
  /// - Throws: why nothing could be checked.
  public func check(
    _ volume: any VolumeBytes, options: Options = Options(), progress: ((Double) -> Void)? = nil
  ) throws(CheckFailure) -> CheckReport {
    try run.check(volume, options, progress)
  }
}
