// The blocks of an inode: which it claims, and whether its size and its count of sectors agree with them (e2fsck/pass1.c,
// check_blocks and process_block).
internal import Ext2Format

extension CheckRun {
  /// The walk over the block tree of one inode.
  struct BlockWalk {
    let inode: UInt32
    let isDirectory: Bool
    let isRegular: Bool
    let isResize: Bool
    /// File blocks beyond this one make a directory too big.
    let lastDirectoryBlock: Int64
    /// Blocks from which on a file is too big.
    let blockLimit: UInt64
    /// Blocks it owns, pointer blocks and attribute block included.
    var blockCount: UInt64 = 0
    /// The last file block with a block; -1: none.
    var lastFileBlock: Int64 = -1
    /// The block before this one; 0: there was none.
    var previous: UInt32 = 0
    var isFragmented = false
    /// Whether pointers were left out, so that no count of what follows can be right.
    var isIncomplete = false
  }

  /// What is pointed to where it is no file block, as e2fsck counts: -1 to -3 are pointer blocks by their depth.
  private enum Level {
    static let translator: Int64 = -4
    static let doubleIndirect: Int64 = -2
  }

  /// Checks the blocks of an inode against its size and its count.
  mutating func checkBlocks(_ inode: InodeView, isBad: Bool, _ geometry: CheckGeometry) {
    let type = InodeType(rawValue: inode.type)
    let log2 = geometry.blockSizeLog2
    var walk = BlockWalk(
      inode: inode.number, isDirectory: type == .directory, isRegular: type == .regular,
      isResize: inode.number == InodeNumber.resize.rawValue,
      lastDirectoryBlock: inode.sizeHigh == 0 ? 1 << Int64(31 - log2) : .max,
      blockLimit: 1 << UInt64(41 - log2))
    if inode.attributeBlock != 0 && checkAttributeBlock(inode, geometry) { walk.blockCount += 1 }
    let isForeign = !inode.flags.isDisjoint(with: [.extents, .inlineData])
    if inode.hasPointers && !isForeign {
      walkTree(inode, &walk, geometry)
    } else if isForeign {
      walk.isIncomplete = inode.hasPointers || walk.isDirectory || walk.isRegular
    }
    if walk.isFragmented && walk.blockCount < UInt64(geometry.blocksPerGroup) { report.statistics.nonContiguous += 1 }
    if walk.isDirectory && !directories.isEmpty && directories[directories.count - 1].inode == inode.number {
      directories[directories.count - 1].blockCount =
        directoryBlocks.count - directories[directories.count - 1].firstBlock
      directories[directories.count - 1].fileBlockCount = walk.lastFileBlock + 1
    }
    if inode.flags.contains(.index) { checkIndexRoot(inode, geometry) }
    if walk.isIncomplete { return }
    if walk.isDirectory && walk.blockCount == 0 {
      add(CheckFinding(.emptyDirectory, inode: inode.number, field: "i_block"))
    }
    checkSize(inode, type, walk, geometry)
    let sectors = walk.blockCount << UInt64(log2 - 9)
    if !geometry.isHurd && sectors != UInt64(inode.sectorCount) {
      add(
        CheckFinding(
          .inodeBlocks, inode: inode.number, field: "i_blocks", found: UInt64(inode.sectorCount), expected: sectors))
    }
  }

  private mutating func checkSize(
    _ inode: InodeView, _ type: InodeType?, _ walk: BlockWalk, _ geometry: CheckGeometry
  ) {
    let size = inode.size
    let blocks = walk.lastFileBlock + 1
    var isWrong: Bool
    if walk.isDirectory {
      // e2fsck counts these in 32 bits.
      let sizeInBlocks = Int64(UInt32(truncatingIfNeeded: size >> UInt64(geometry.blockSizeLog2)))
      isWrong =
        size & UInt64(geometry.blockSize - 1) != 0 || sizeInBlocks > blocks
        || blocks - sizeInBlocks > Int64(geometry.extraDirectoryBlocks)
    } else {
      isWrong =
        walk.lastFileBlock >= 0 && size < UInt64(walk.lastFileBlock) << UInt64(geometry.blockSizeLog2)
        && !inode.flags.contains(.verity)
      isWrong = isWrong || size > BlockPath.treeByteLimit(blockSizeLog2: geometry.blockSizeLog2)
    }
    if isWrong && type != .symbolicLink {
      add(
        CheckFinding(
          .inodeSize, inode: inode.number, field: "i_size", found: size,
          expected: UInt64(blocks) << UInt64(geometry.blockSizeLog2)))
    }
    if type == .regular && size >= 1 << 31 { hasLargeFile = true }
  }

  /// Follows the pointers of an inode, depth first.
  private mutating func walkTree(_ inode: InodeView, _ walk: inout BlockWalk, _ geometry: CheckGeometry) {
    if geometry.isHurd && inode.translator != 0 {
      _ = visit(inode.translator, Level.translator, &walk, geometry)
    }
    let before = directoryBlocks.count
    for index in 0..<12 {
      let block = inode.pointer(index)
      if block != 0 { _ = visit(block, Int64(index), &walk, geometry) }
    }
    let pointers = Int64(geometry.pointersPerBlock)
    var fileBlock: Int64 = 12
    for depth in 1...3 {
      let block = inode.pointer(11 + depth)
      if block != 0 { follow(block, depth, fileBlock, &walk, geometry) }
      fileBlock += depth == 1 ? pointers : pointers * pointers
    }
    // Block 0 has to be there, or "." and ".." are nowhere.
    if walk.isDirectory && walk.blockCount > 0 && directoryBlocks.count == before && !walk.isIncomplete {
      addHole(0, 1, walk)
    }
  }

  private mutating func addHole(_ first: Int64, _ count: Int64, _ walk: BlockWalk) {
    add(CheckFinding(.directoryHole, inode: walk.inode, fileBlock: first, found: UInt64(clamping: count)))
  }

  /// Claims a pointer block and follows what it holds.
  private mutating func follow(
    _ block: UInt32, _ depth: Int, _ firstFileBlock: Int64, _ walk: inout BlockWalk, _ geometry: CheckGeometry
  ) {
    guard visit(block, -Int64(depth), &walk, geometry) else {
      // Nobody knows what it held; or somebody else follows it.
      if !walk.isResize { walk.isIncomplete = true }
      return
    }
    // What keeps others from following a block twice does not hold for these, which were claimed before.
    if walk.isResize && walk.blockCount > geometry.blockCount {
      refuse(block, -Int64(depth), &walk, geometry)
      return
    }
    let use: BlockReader.Use = depth == 1 ? .indirect : depth == 2 ? .doubleIndirect : .tripleIndirect
    let pointers = Int64(geometry.pointersPerBlock)
    let stride = depth == 1 ? 1 : depth == 2 ? pointers : pointers * pointers
    let reader = self.reader
    let isRead = reader.blocks(block, use) { list in
      var offset = 0
      var fileBlock = firstFileBlock
      while offset < list.byteCount {
        let pointer = list.integer(at: offset, as: UInt32.self)
        if pointer == 0 && offset & 7 == 0 && list.integer(at: offset, as: UInt64.self) == 0 {
          // Most of a pointer block is empty, and goes by twice as fast.
          offset += 8
          fileBlock += 2 * stride
          continue
        }
        if pointer != 0 {
          if depth == 1 {
            _ = visit(pointer, fileBlock, &walk, geometry)
          } else {
            follow(pointer, depth - 1, fileBlock, &walk, geometry)
          }
        }
        offset += 4
        fileBlock += stride
      }
    }
    if !isRead {
      add(CheckFinding(.blockUnreadable, inode: walk.inode, block: block))
      walk.isIncomplete = true
    }
  }

  /// Claims one block. Returns whether it is a block that can be looked into, and is looked into for the first time.
  @inline(__always)
  private mutating func visit(
    _ block: UInt32, _ fileBlock: Int64, _ walk: inout BlockWalk, _ geometry: CheckGeometry
  ) -> Bool {
    if walk.previous != 0 && walk.previous &+ 1 != block && !walk.isResize { walk.isFragmented = true }
    guard geometry.contains(block), walk.blockCount + 1 < walk.blockLimit || !(walk.isDirectory || walk.isRegular),
      fileBlock <= (walk.isDirectory ? walk.lastDirectoryBlock : walk.isRegular ? .max : 0)
    else {
      refuse(block, fileBlock, &walk, geometry)
      return false
    }
    walk.blockCount += 1
    var isFirst = true
    // The blocks kept for descriptors were claimed with the groups; only the block that lists them is the inode's own.
    if !walk.isResize || fileBlock == Level.doubleIndirect {
      if blocks.claim(block, geometry, layout) {
        isFirst = false
        add(CheckFinding(.blockShared, inode: walk.inode, block: block, fileBlock: fileBlock))
      }
    }
    if fileBlock >= 0 {
      if walk.isDirectory { enter(block, isFirst, fileBlock, &walk) }
      walk.lastFileBlock = fileBlock
    }
    walk.previous = block
    return isFirst
  }

  @inline(never)
  private mutating func refuse(
    _ block: UInt32, _ fileBlock: Int64, _ walk: inout BlockWalk, _ geometry: CheckGeometry
  ) {
    let kind: CheckFinding.Kind = geometry.contains(block) ? .fileTooBig : .blockOutOfRange
    add(CheckFinding(kind, inode: walk.inode, block: block, fileBlock: fileBlock))
    walk.isIncomplete = true
  }

  /// Lists a block of a directory for the second pass, which also learns of the holes before it.
  private mutating func enter(_ block: UInt32, _ isFirst: Bool, _ fileBlock: Int64, _ walk: inout BlockWalk) {
    let missing = fileBlock - walk.lastFileBlock - 1
    if missing > 0 && !walk.isIncomplete {
      addHole(walk.lastFileBlock + 1, missing, walk)
    }
    if !isFirst {
      // A block may be read once for each directory that claims it, but not for every pointer that hostile bytes hold.
      guard sharedDirectoryBlocks < geometry.blockCount else { return }
      sharedDirectoryBlocks += 1
    }
    directoryBlocks.append(DirectoryBlockRecord(block: block, fileBlock: UInt32(truncatingIfNeeded: fileBlock)))
  }

  /// The list of blocks that do not work: an inode with nothing but blocks (process_bad_block).
  mutating func checkBadBlocks(_ inode: InodeView, _ geometry: CheckGeometry) {
    let number = inode.number
    inodes.append(
      UsedInodes.Entry(number: number, directory: UsedInodes.none, links: 0, typeCode: 0, flags: .reserved))
    report.statistics.usedInodes += 1
    if inode.mode != 0 || inode.half(2) != 0 || inode.half(24) != 0 || inode.links != 0 || inode.attributeBlock != 0
      || inode.flags.contains(.inlineData)
    {
      add(CheckFinding(.badBlocksInode, inode: number))
    }
    if !inode.flags.isDisjoint(with: [.inlineData, .extents]) { return }
    for index in 0..<12 where inode.pointer(index) != 0 { claimBad(inode.pointer(index), number, geometry) }
    for depth in 1...3 where inode.pointer(11 + depth) != 0 {
      followBad(inode.pointer(11 + depth), depth, number, geometry)
    }
  }

  private mutating func followBad(_ block: UInt32, _ depth: Int, _ number: UInt32, _ geometry: CheckGeometry) {
    guard geometry.contains(block) else {
      add(CheckFinding(.blockOutOfRange, inode: number, block: block))
      return
    }
    if blocks.claim(block, geometry, layout) {
      add(CheckFinding(.badBlockInMetadata, inode: number, block: block))
      return
    }
    let use: BlockReader.Use = depth == 1 ? .indirect : depth == 2 ? .doubleIndirect : .tripleIndirect
    let reader = self.reader
    let isRead = reader.blocks(block, use) { list in
      var offset = 0
      while offset < list.byteCount {
        let pointer = list.integer(at: offset, as: UInt32.self)
        offset += 4
        if pointer == 0 { continue }
        if depth == 1 {
          claimBad(pointer, number, geometry)
        } else {
          followBad(pointer, depth - 1, number, geometry)
        }
      }
    }
    if !isRead { add(CheckFinding(.blockUnreadable, inode: number, block: block)) }
  }

  private mutating func claimBad(_ block: UInt32, _ number: UInt32, _ geometry: CheckGeometry) {
    guard geometry.contains(block) else {
      add(CheckFinding(.blockOutOfRange, inode: number, block: block))
      return
    }
    if blocks.claim(block, geometry, layout) {
      // A copy of superblock or descriptors may lie on a block that does not work: it is only a copy.
      let group = (block - geometry.firstDataBlock) / geometry.blocksPerGroup
      let bit = UInt64(block - geometry.firstBlock(of: group))
      let isCopy = group > 0 && bit < geometry.leadingBlocks(of: group)
      let isKept =
        group == 0 && bit > UInt64(geometry.descriptorBlocks) && bit < geometry.leadingBlocks(of: group)
      if !isCopy && !isKept { add(CheckFinding(.badBlockInMetadata, inode: number, block: block)) }
    }
  }
}
