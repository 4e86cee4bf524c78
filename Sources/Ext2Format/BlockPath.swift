/// The way from an inode to the pointer of one file block.
///
/// `i_block` holds twelve pointers to data and one each to a tree of one, two and three levels of pointer blocks. With
/// `p` pointers in a block (block size / 4):
///
///     file blocks                        path                                           depth
///     0 ..< 12                           i_block[n]                                     1
///     next p                             i_block[12] → [n]                              2
///     next p²                            i_block[13] → [n / p] → [n % p]                3
///     next p³                            i_block[14] → [n / p²] → [n / p % p] → [n % p] 4
///
/// Source: fs/ext2/inode.c, ext2_block_to_path and fs/ext2/super.c, ext2_max_size.
package struct BlockPath: Sendable {
  /// Pointers on the way, 1 to 4. `offsets[0]` indexes `i_block`, the others a pointer block each.
  package let depth: Int
  /// Entries beyond `depth` are zero.
  package let offsets: [4 of Int]
  /// File blocks from this one to the end of the leaf (the last block of pointers), this one included; at least 1.
  package let countToLeafEnd: Int

  /// The path of a file block, or nil when it lies beyond what the tree can map.
  @inline(__always)
  package init?(fileBlock: UInt64, blockSizeLog2: Int) {
    let pointerBits = UInt64(blockSizeLog2 - 2)
    let pointers = UInt64(1) << pointerBits
    let mask = pointers - 1
    if fileBlock < 12 {
      depth = 1
      offsets = [Int(fileBlock), 0, 0, 0]
      countToLeafEnd = 12 - Int(fileBlock)
      return
    }
    var rest = fileBlock - 12
    if rest < pointers {
      depth = 2
      offsets = [12, Int(rest), 0, 0]
    } else {
      rest -= pointers
      if rest < pointers << pointerBits {
        depth = 3
        offsets = [13, Int(rest >> pointerBits), Int(rest & mask), 0]
      } else {
        rest -= pointers << pointerBits
        guard rest < pointers << (2 * pointerBits) else { return nil }
        depth = 4
        offsets = [14, Int(rest >> (2 * pointerBits)), Int(rest >> pointerBits & mask), Int(rest & mask)]
      }
    }
    countToLeafEnd = Int(pointers - (rest & mask))
  }

  /// File blocks from this one to the end of what hangs on the pointer at a level of the path, this one included: the
  /// length of the hole when that pointer is zero.
  package func countBelow(level: Int, blockSizeLog2: Int) -> UInt64 {
    let pointerBits = UInt64(blockSizeLog2 - 2)
    var within: UInt64 = 0
    for step in level..<max(level, depth) { within = within << pointerBits | UInt64(offsets[step]) }
    return 1 << (pointerBits * UInt64(depth - level)) - within
  }

  /// File blocks an inode can map: 12 + p + p² + p³.
  package static func treeBlockLimit(blockSizeLog2: Int) -> UInt64 {
    let pointers = UInt64(1) << UInt64(blockSizeLog2 - 2)
    return 12 + pointers + pointers * pointers + pointers * pointers * pointers
  }

  /// Bytes an inode can map; at most 2^58 and a little.
  package static func treeByteLimit(blockSizeLog2: Int) -> UInt64 {
    treeBlockLimit(blockSizeLog2: blockSizeLog2) << UInt64(blockSizeLog2)
  }

  /// The largest file a driver makes, in bytes: the tree, or what the 32 bits of `i_blocks` can count in units of 512
  /// bytes for a file without holes, its pointer blocks included.
  package static func maximumFileSize(blockSizeLog2: Int) -> UInt64 {
    let pointers = UInt64(1) << UInt64(blockSizeLog2 - 2)
    let countable = UInt64(UInt32.max) >> UInt64(blockSizeLog2 - 9)
    let tree = treeBlockLimit(blockSizeLog2: blockSizeLog2)
    let allPointerBlocks = 1 + (1 + pointers) + (1 + pointers + pointers * pointers)
    if tree + allPointerBlocks <= countable { return tree << UInt64(blockSizeLog2) }

    func leaves(_ blocks: UInt64) -> UInt64 { (blocks + pointers - 1) / pointers }
    // Of all countable blocks, find how many are needed to point to the others, level by level. The kernel takes the
    // pointer blocks for data here, which costs a few blocks at the end and is kept, to agree on the limit.
    var rest = countable - 12 - pointers
    var pointerBlocks: UInt64 = 1
    if rest < pointers * pointers {
      pointerBlocks += 1 + leaves(rest)
    } else {
      rest -= pointers * pointers
      pointerBlocks += 1 + pointers
      pointerBlocks += 1 + leaves(rest) + (rest + pointers * pointers - 1) / (pointers * pointers)
    }
    return (countable - pointerBlocks) << UInt64(blockSizeLog2)
  }
}
