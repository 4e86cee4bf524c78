// The root of a directory's hash index, as the first pass looks at it (e2fsck/pass1.c, handle_htree).
internal import Ext2Format

extension CheckRun {
  /// Checks that a directory with the flag has the root of an index.
  mutating func checkIndexRoot(_ inode: InodeView, _ geometry: CheckGeometry) {
    let number = inode.number
    guard inode.type == InodeType.directory.rawValue, geometry.compatible.contains(.directoryIndex) else {
      add(CheckFinding(.indexFlag, inode: number, field: "i_flags", found: UInt64(inode.flags.rawValue)))
      return
    }
    let block = inode.pointer(0)
    guard geometry.contains(block) else {
      add(CheckFinding(.indexRoot, inode: number, block: block, fileBlock: 0))
      return
    }
    var wrong: (field: String, value: UInt64)?
    let isRead = reader.blocks(block, .indirect) { bytes in
      let root = HashIndexRoot(decoding: bytes)
      if root.reserved != 0 { wrong = ("reserved_zero", UInt64(root.reserved)) }
      if root.byteCount < 8 { wrong = wrong ?? ("info_length", UInt64(root.byteCount)) }
      if DirectoryHash(rawValue: root.hashVersion) == nil {
        wrong = wrong ?? ("hash_version", UInt64(root.hashVersion))
      }
      if root.flags & 1 != 0 { wrong = wrong ?? ("unused_flags", UInt64(root.flags)) }
      if root.levelCount > 3 { wrong = wrong ?? ("indirect_levels", UInt64(root.levelCount)) }
    }
    if let wrong {
      add(
        CheckFinding(.indexRoot, inode: number, block: block, fileBlock: 0, field: wrong.field, found: wrong.value))
    } else if !isRead {
      add(CheckFinding(.blockUnreadable, inode: number, block: block, fileBlock: 0))
    }
  }
}
