// Reads inodes, blocks and names straight from the bytes of a volume that is not mounted: what a cut has left, whatever it
// is. Every pointer is checked before it is followed.
package import Ext2Format
internal import Workload

/// The geometry of a volume, and where its inode tables lie: neither changes while it is in use.
package struct RawVolume {
  package let layout: VolumeLayout
  /// Gets the sectors that are looked at.
  package var reads: SectorSet?
  private let inodeTables: [BlockNumber]
  private let blockBitmaps: [BlockNumber]
  private let directoryBlock: DirectoryBlock
  package var blockSize: Int { layout.blockSize }

  /// Of an image whose superblock and descriptors are right.
  package init(_ image: [UInt8]) throws(FormatError) {
    let bytes = unsafe image.span.bytes
    let superblock = try Superblock(decoding: bytes, at: Superblock.primaryByteOffset)
    layout = try superblock.validate(deviceByteCount: UInt64(image.count))
    directoryBlock = DirectoryBlock(layout: layout)
    let start = (Int(layout.firstDataBlock.rawValue) + 1) * layout.blockSize
    var tables: [BlockNumber] = [], bitmaps: [BlockNumber] = []
    for group in layout.groups {
      let descriptor = try GroupDescriptor(
        decoding: bytes, at: start + Int(group.rawValue) * GroupDescriptor.byteCount)
      tables.append(descriptor.inodeTable)
      bitmaps.append(descriptor.blockBitmap)
    }
    inodeTables = tables
    blockBitmaps = bitmaps
  }

  /// Whether the superblock says that the volume was unmounted and no error was found.
  package static func isMarkedClean(_ image: RawSpan) -> Bool {
    // s_state: EXT2_VALID_FS and nothing else.
    image.integer(at: Superblock.primaryByteOffset + 58, as: UInt16.self) == 1
  }

  /// An inode in the table.
  package struct RawInode {
    fileprivate let start: Int
    package let mode: UInt16
    package let byteCount: UInt64
    package let linkCount: UInt16
    package let user: UInt32
    package let group: UInt32
    package let attributeBlock: UInt32
    package let deletionTime: UInt32
    package var type: InodeType? { FileMode(rawValue: mode).type }
    /// Whether it is a file's.
    package var isUsed: Bool { mode != 0 && linkCount > 0 && deletionTime == 0 }
  }

  package func inode(_ number: UInt32, in image: RawSpan) -> RawInode? {
    guard number >= 1, number <= layout.inodeCount else { return nil }
    let group = Int((number - 1) / layout.inodesPerGroup), index = Int((number - 1) % layout.inodesPerGroup)
    let start = Int(inodeTables[group].rawValue) * blockSize + index * layout.inodeSize
    guard start + layout.inodeSize <= image.byteCount else { return nil }
    note(start, layout.inodeSize)
    func half(_ offset: Int) -> UInt16 { image.integer(at: start + offset) }
    func word(_ offset: Int) -> UInt32 { image.integer(at: start + offset) }
    let mode = half(0)
    let isRegular = FileMode(rawValue: mode).type == .regular
    return RawInode(
      start: start, mode: mode, byteCount: UInt64(word(4)) | (isRegular ? UInt64(word(108)) << 32 : 0),
      linkCount: half(26), user: UInt32(half(2)) | UInt32(half(120)) << 16,
      group: UInt32(half(24)) | UInt32(half(122)) << 16, attributeBlock: word(104), deletionTime: word(20))
  }

  /// The disk block of a file's block: 0 in a hole, nil where a pointer leads out of the volume.
  package func block(_ fileBlock: Int, of inode: RawInode, in image: RawSpan) -> UInt32? {
    guard let path = BlockPath(fileBlock: UInt64(fileBlock), blockSizeLog2: layout.blockSizeLog2) else { return nil }
    var pointer = image.integer(at: inode.start + 40 + 4 * path.offsets[0], as: UInt32.self)
    var level = 1
    while level < path.depth {
      if pointer == 0 { return 0 }
      guard let start = offset(of: pointer, in: image) else { return nil }
      note(start + 4 * path.offsets[level], 4)
      pointer = image.integer(at: start + 4 * path.offsets[level])
      level += 1
    }
    return pointer == 0 || offset(of: pointer, in: image) != nil ? pointer : nil
  }

  /// Every block that some inode in use has for a pointer block, whatever it holds.
  package func pointerBlocks(in image: RawSpan) -> Set<UInt32> {
    var blocks: Set<UInt32> = []
    // By height above the data: what holds other contents may lead to a block at one height and at another.
    var seen: Set<UInt64> = []
    func follow(_ pointer: UInt32, _ height: Int) {
      guard height > 0, let start = offset(of: pointer, in: image) else { return }
      guard seen.insert(UInt64(pointer) << 2 | UInt64(height)).inserted else { return }
      blocks.insert(pointer)
      for index in 0..<blockSize / 4 { follow(image.integer(at: start + 4 * index), height - 1) }
    }
    for number in 1...layout.inodeCount {
      guard let inode = inode(number, in: image), inode.isUsed else { continue }
      // A short symbolic link has its target in the place of pointers.
      guard inode.type == .regular || inode.type == .directory || inode.type == .symbolicLink && inode.byteCount >= 60
      else { continue }
      for height in 1...3 { follow(image.integer(at: inode.start + 40 + 4 * (11 + height)), height) }
    }
    return blocks
  }

  private func note(_ start: Int, _ count: Int) { reads?.insert(bytes: start..<start + count) }

  /// The blocks that the bitmaps say are free.
  package func freeBlocks(in image: RawSpan) -> [UInt32] {
    var free: [UInt32] = []
    for group in layout.groups {
      guard let bitmap = offset(of: blockBitmaps[Int(group.rawValue)].rawValue, in: image) else { continue }
      let bits = image.extracting(bitmap..<bitmap + blockSize)
      let blocks = layout.blocks(of: group)
      for (bit, block) in (blocks.lowerBound.rawValue..<blocks.upperBound.rawValue).enumerated()
      where !Bitmap.isSet(bit, in: bits) {
        free.append(block)
      }
    }
    return free
  }

  /// Fills the free blocks with what looks as if it had been a file's: with bytes of no write, and no zeroes.
  package func makeFreeBlocksUsed(in image: inout [UInt8], seed: UInt64) {
    let free = freeBlocks(in: unsafe image.span.bytes)
    let stamp = ContentStamp(seed: ~seed)
    for block in free {
      let start = Int(block) * blockSize
      stamp.fill(&image, start..<start + blockSize, file: 0xFFFFFF, position: UInt64(start), generation: 1)
    }
  }

  /// Where a block's bytes begin; nil when the volume has no such block.
  package func offset(of block: UInt32, in image: RawSpan) -> Int? {
    guard layout.contains(BlockNumber(rawValue: block)) else { return nil }
    let start = Int(block) * blockSize
    return start + blockSize <= image.byteCount ? start : nil
  }

  /// The names of a directory without "." and "..", and what each refers to; nil where it is none. Where a block cannot be
  /// made out, one that a directory has just got for example, its names are missing.
  package func entries(of inode: RawInode, in image: RawSpan) -> [[UInt8]: UInt32]? {
    guard inode.type == .directory, inode.byteCount <= layout.byteCount else { return nil }
    var entries: [[UInt8]: UInt32] = [:]
    forEachEntry(of: inode, in: image) { name, number, _ in
      let isDots = name.count <= 2 && name.allSatisfy { $0 == 0x2E }
      if !isDots { entries[name] = number }
    }
    return entries
  }

  /// Names of a directory whose entries lie in two sectors: of these a cut may leave one from now and one from before.
  package func splitNames(of inode: RawInode, in image: RawSpan) -> Set<[UInt8]> {
    var names: Set<[UInt8]> = []
    forEachEntry(of: inode, in: image) { name, _, offset in
      let last = offset + DirectoryEntry.neededLength(nameLength: name.count) - 1
      if offset / 512 != last / 512 { names.insert(name) }
    }
    return names
  }

  /// Visits name, inode and place in its block of each entry that can be made out.
  private func forEachEntry(
    of inode: RawInode, in image: RawSpan, _ visit: ([UInt8], UInt32, Int) -> Void
  ) {
    for index in 0..<Int(inode.byteCount) / blockSize {
      guard let block = block(index, of: inode, in: image), block != 0, let start = offset(of: block, in: image) else {
        continue
      }
      note(start, blockSize)
      let bytes = image.extracting(start..<start + blockSize)
      var offset = 0
      while offset < blockSize {
        guard let entry = try? directoryBlock.entry(at: offset, in: bytes, block: BlockNumber(rawValue: block)) else {
          break
        }
        if entry.isUsed { visit(entry.name(in: bytes), entry.inode.rawValue, offset) }
        offset += entry.recordLength
      }
    }
  }

  /// The attributes in a file's attribute block and inode, by name, as getxattr(2) has them; nil where they cannot be read.
  package func attributes(of inode: RawInode, in image: RawSpan) -> [[UInt8]: [UInt8]]? {
    var found: [[UInt8]: [UInt8]] = [:]
    let location = FormatError.Location.block(BlockNumber(rawValue: inode.attributeBlock))
    func add(_ bytes: RawSpan, _ region: AttributeRegion) throws(FormatError) {
      for attribute in try AttributeSet(decoding: bytes, region, at: location).attributes {
        guard let name = attribute.name.text else { continue }
        let isList = attribute.name == .accessACL || attribute.name == .defaultACL
        found[name] =
          isList
          ? try AccessControlList.decode(diskBytes: attribute.value, at: location)?.transferBytes : attribute.value
      }
    }
    do {
      if inode.attributeBlock != 0 {
        guard let start = offset(of: inode.attributeBlock, in: image) else { return nil }
        note(start, blockSize)
        let bytes = image.extracting(start..<start + blockSize)
        let region = AttributeRegion(blockSize: blockSize)
        try region.checkHeader(bytes, at: location)
        try add(bytes, region)
      }
      if layout.inodeSize > 128 {
        let bytes = image.extracting(inode.start..<inode.start + layout.inodeSize)
        let extra = Int(bytes.integer(at: 128, as: UInt16.self))
        if let region = AttributeRegion(inodeAt: 0, inodeSize: layout.inodeSize, extraSize: extra),
          region.isPresent(in: bytes)
        {
          try add(bytes, region)
        }
      }
    } catch { return nil }
    return found
  }
}
