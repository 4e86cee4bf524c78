internal import Ext2Format

/// What a new volume holds: the root directory, lost+found with room for names, and the resize inode.
///
/// Blocks are taken as libext2fs takes them: the first free ones from the group of the inode on. No file has pointer
/// blocks here but the resize inode.
struct InitialContents: Sendable {
  /// The inode of /lost+found.
  static let lostAndFound = InodeNumber(rawValue: 11)
  /// Bytes in use after byte 128 of inodes that are larger (`struct ext2_inode_large`).
  static let extraInodeSize: UInt16 = 32

  /// The only block of the root directory.
  let rootBlock: BlockNumber
  /// The blocks of /lost+found.
  let lostAndFoundBlocks: [BlockNumber]
  /// The pointers of the resize inode to its pointer blocks, which are the reserved descriptor blocks of group 0.
  let resizeBlock: BlockNumber?
  /// How many of all these blocks lie in which group.
  let blocksByGroup: [GroupNumber: Int]

  /// Finds room for all; nil when there is none.
  init?(_ layout: VolumeLayout, hasResizeInode: Bool) {
    var allocator = Allocator(layout)
    guard let root = allocator.allocate(near: layout.group(of: .root)) else { return nil }
    rootBlock = root

    // 16 KiB, at least two blocks, and no more than an inode points to itself (misc/mke2fs.c, create_lost_and_found).
    let count = min(12, max(2, (16 * 1024 + layout.blockSize - 1) / layout.blockSize))
    var blocks: [BlockNumber] = []
    for _ in 0..<count {
      let group = blocks.last.map { layout.group(of: $0) } ?? layout.group(of: Self.lostAndFound)
      guard let block = allocator.allocate(near: group) else { return nil }
      blocks.append(block)
    }
    lostAndFoundBlocks = blocks
    if hasResizeInode {
      guard let block = allocator.allocate(near: layout.group(0)) else { return nil }
      resizeBlock = block
    } else {
      resizeBlock = nil
    }
    blocksByGroup = allocator.taken
  }

  /// How many blocks it takes.
  var blockCount: Int { 1 + lostAndFoundBlocks.count + (resizeBlock == nil ? 0 : 1) }

  /// Inodes of a group that are in use: the reserved ones and lost+found are the first eleven of the volume.
  func inodeCount(in group: GroupNumber, _ layout: VolumeLayout) -> Int {
    let before = UInt64(group.rawValue) * UInt64(layout.inodesPerGroup)
    let used = UInt64(Self.lostAndFound.rawValue)
    return before >= used ? 0 : Int(min(used - before, UInt64(layout.inodesPerGroup)))
  }

  /// Directories among the inodes of a group.
  func directoryCount(in group: GroupNumber, _ layout: VolumeLayout) -> Int {
    (layout.group(of: .root) == group ? 1 : 0) + (layout.group(of: Self.lostAndFound) == group ? 1 : 0)
  }

  /// The size of the resize inode: all that its double-indirect block could map (lib/ext2fs/res_gdt.c).
  static func resizeInodeSize(_ layout: VolumeLayout) -> UInt64 {
    let pointers = UInt64(layout.blockSize / 4)
    return (pointers * pointers + pointers + 12) << UInt64(layout.blockSizeLog2)
  }

  /// Blocks of a group that no file can have, all at its beginning.
  static func metadataBlockCount(of group: GroupNumber, _ layout: VolumeLayout) -> Int {
    layout.leadingMetadataCount(of: group) + 2 + layout.inodeTableBlocksPerGroup
  }

  /// Gives out blocks of a volume whose groups have nothing but metadata.
  private struct Allocator {
    let layout: VolumeLayout
    private(set) var taken: [GroupNumber: Int] = [:]

    init(_ layout: VolumeLayout) { self.layout = layout }

    /// The first free block from a group on, and from group 0 again after the last one.
    mutating func allocate(near group: GroupNumber) -> BlockNumber? {
      for offset in 0..<Int(layout.groupCount) {
        let group = layout.group((Int(group.rawValue) + offset) % Int(layout.groupCount))
        let bit = InitialContents.metadataBlockCount(of: group, layout) + taken[group, default: 0]
        if bit < layout.blockCount(of: group) {
          taken[group, default: 0] += 1
          return layout.block(in: group, bit: bit)
        }
      }
      return nil
    }
  }
}
