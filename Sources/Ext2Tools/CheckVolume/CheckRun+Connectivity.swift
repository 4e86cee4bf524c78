// The third and fourth pass: whether every directory hangs on the root, and whether every inode is named as often as it
// says (e2fsck/pass3.c and e2fsck/pass4.c).
internal import Ext2Format

extension CheckRun {
  /// The highest count of links that e2fsck keeps; beyond it all are alike (lib/ext2fs/icount.c).
  private static var linkCountLimit: UInt32 { 65500 }
  /// Subdirectories from which on a directory says that it has one link (EXT2_LINK_MAX).
  private static var directoryLinkLimit: UInt32 { 65000 }

  /// Follows every directory up to the root.
  mutating func checkConnectivity() {
    let root = InodeNumber.root.rawValue
    guard let start = inodes.index(of: root, group: 0), inodes.entries[start].directory != UsedInodes.none else {
      // That it is no directory was said before.
      if inodes.index(of: root, group: 0) == nil { add(CheckFinding(.rootMissing, inode: root)) }
      return
    }
    directories[Int(inodes.entries[start].directory)].isConnected = true
    var path: [Int] = []
    for position in directories.indices where !directories[position].isConnected {
      path.removeAll(keepingCapacity: true)
      var next = position
      while !directories[next].isConnected {
        // Whatever it hangs on: it was looked at, and what is wrong with it is told once.
        directories[next].isConnected = true
        path.append(next)
        let parent = directories[next].parent
        if parent == 0 {
          add(CheckFinding(.directoryUnconnected, inode: directories[next].inode, otherInode: directories[next].dotDot))
          break
        }
        guard let above = place(ofDirectory: parent) else { break }
        if directories[above].isConnected {
          // Its own path: what hangs together in a circle hangs on nothing. e2fsck does not see it.
          if path.contains(above) {
            add(CheckFinding(.directoryLoop, inode: directories[next].inode, otherInode: parent))
          }
          break
        }
        next = above
      }
    }
    for directory in directories where directory.dotDot != directory.parent {
      add(
        CheckFinding(
          .dotDot, inode: directory.inode, otherInode: directory.dotDot, found: UInt64(directory.dotDot),
          expected: UInt64(directory.parent)))
    }
  }

  private func place(ofDirectory number: UInt32) -> Int? {
    guard let target = inodes.index(of: number, group: (number - 1) / geometry.inodesPerGroup) else { return nil }
    let directory = inodes.entries[target].directory
    return directory == UsedInodes.none ? nil : Int(directory)
  }

  /// Compares link counts.
  mutating func checkLinks() {
    let firstInode = geometry.firstInode
    for position in inodes.entries.indices {
      let entry = inodes.entries[position]
      if entry.number == 1 || entry.number > 2 && entry.number < firstInode { continue }
      if entry.flags.contains(.imagic) || entry.number == geometry.extraSystemInodes[2]
        || entry.number == geometry.extraSystemInodes[3]
      {
        continue
      }
      if entry.counted == 0 {
        add(
          CheckFinding(
            entry.flags.contains(.empty) ? .emptyInodeUnattached : .inodeUnattached, inode: entry.number))
        continue
      }
      let isDirectory = entry.directory != UsedInodes.none
      let stated = min(UInt32(entry.links), Self.linkCountLimit)
      var counted = min(entry.counted, Self.linkCountLimit)
      if isDirectory && counted > Self.directoryLinkLimit { counted = 1 }
      // A directory that once had too many links to count says 1.
      let isOverflow = isDirectory && counted > 1 && stated == 1 && entry.flags.contains(.index)
      if counted != stated && !isOverflow {
        add(
          CheckFinding(
            .linkCount, inode: entry.number, field: "i_links_count", found: UInt64(entry.links),
            expected: UInt64(counted)))
      }
    }
  }
}
