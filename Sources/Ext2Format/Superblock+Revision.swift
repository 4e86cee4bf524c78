extension Superblock {
  /// Makes a volume of revision 0 one of revision 1, as a feature needs that it gets while it is mounted (fs/ext2/super.c,
  /// ext2_update_dynamic_rev). What revision 0 takes for granted is written down.
  package mutating func raiseToDynamicRevision() {
    guard revision == 0 else { return }
    revision = 1
    firstInode = .firstInRevisionZero
    inodeSize = UInt16(InodeRecord.minimumByteCount)
  }
}
