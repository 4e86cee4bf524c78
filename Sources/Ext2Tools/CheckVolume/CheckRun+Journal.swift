// The journal of a volume that once was ext3. Its contents are not looked at: a volume whose journal has to be replayed is
// refused before (e2fsck/journal.c, e2fsck_check_ext3_journal and e2fsck_get_journal).
internal import Ext2Format

extension CheckRun {
  /// Blocks of the smallest journal (JBD2_MIN_JOURNAL_BLOCKS).
  private static var smallestJournal: UInt64 { 1024 }

  /// Checks that there is a journal where the feature says so, and none where it does not.
  mutating func checkJournal() {
    if geometry.hasJournalIdentity {
      // Another device would have to be looked for.
      add(CheckFinding(.journal, field: "s_journal_uuid"))
      return
    }
    guard geometry.compatible.contains(.hasJournal) else {
      if geometry.journalInode != 0 {
        add(CheckFinding(.journal, field: "s_journal_inum", found: UInt64(geometry.journalInode), expected: 0))
      }
      return
    }
    let number = geometry.journalInode
    guard number >= 1, number <= geometry.inodeCount else {
      add(CheckFinding(.journal, field: "s_journal_inum", found: UInt64(number)))
      return
    }
    var first: UInt32 = 0
    var isFile = false
    var pointers: [UInt32] = []
    var blockCount: UInt64 = 0
    let isRead = withInode(number) { inode in
      let size =
        UInt64(inode.integer(at: 4, as: UInt32.self)) | UInt64(inode.integer(at: 108, as: UInt32.self)) << 32
      first = inode.integer(at: 40)
      pointers = (0..<15).map { inode.integer(at: 40 + 4 * $0) }
      // Rounded up without a sum, which hostile sizes would overflow.
      blockCount = (size >> UInt64(geometry.blockSizeLog2)) + (size & UInt64(geometry.blockSize - 1) == 0 ? 0 : 1)
      isFile =
        inode.integer(at: 26, as: UInt16.self) != 0 && inode.integer(at: 0, as: UInt16.self) >> 12 == 8
        && size >> UInt64(geometry.blockSizeLog2) >= Self.smallestJournal
    }
    guard isRead, isFile, geometry.contains(first) else {
      add(CheckFinding(.journal, inode: number, field: "i_block"))
      return
    }
    guard blockCount <= UInt64(geometry.blockCount), isWhole(pointers, blockCount) else {
      add(CheckFinding(.journal, inode: number, field: "i_block"))
      return
    }
    var wrong: (field: String, value: UInt64)?
    let isSuperblockRead = reader.blocks(first, .indirect) { block in
      func word(_ offset: Int) -> UInt32 { block.integer(at: offset, as: UInt32.self).byteSwapped }
      if word(0) != 0xC03B_3998 { wrong = ("h_magic", UInt64(word(0))) }
      if word(4) != 3 && word(4) != 4 { wrong = wrong ?? ("h_blocktype", UInt64(word(4))) }
      if word(12) != UInt32(geometry.blockSize) { wrong = wrong ?? ("s_blocksize", UInt64(word(12))) }
      // Where the log begins; zero: it is empty.
      if word(28) != 0 { wrong = wrong ?? ("s_start", UInt64(word(28))) }
    }
    if !isSuperblockRead || wrong != nil {
      add(CheckFinding(.journal, inode: number, block: first, field: wrong?.field, found: wrong?.value))
    }
  }

  /// Whether a file of that many blocks has all of them, in the volume: a journal has no holes.
  private func isWhole(_ pointers: [UInt32], _ blockCount: UInt64) -> Bool {
    var left = blockCount
    for index in 0..<15 where left > 0 {
      guard isWhole(pointers[index], max(0, index - 11), &left) else { return false }
    }
    return left == 0
  }

  private func isWhole(_ block: UInt32, _ depth: Int, _ left: inout UInt64) -> Bool {
    guard geometry.contains(block) else { return false }
    if depth == 0 {
      left -= 1
      return true
    }
    let use: BlockReader.Use = depth == 1 ? .indirect : depth == 2 ? .doubleIndirect : .tripleIndirect
    var isRight = true
    let isRead = reader.blocks(block, use) { list in
      var offset = 0
      while offset < list.byteCount, left > 0, isRight {
        isRight = isWhole(list.integer(at: offset), depth - 1, &left)
        offset += 4
      }
    }
    return isRead && isRight
  }
}
