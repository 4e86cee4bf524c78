internal import BlockDevice
internal import Ext2Format
internal import PageCache

/// The superblock and the group descriptors in memory, and what they say of the volume.
///
/// Their blocks stay in the metadata cache for as long as the volume is mounted; `encode` brings them up to date.
final class GroupTable {
  var superblock: Superblock
  let layout: VolumeLayout
  /// Which blocks are the volume's own.
  let map: MetadataMap
  private(set) var descriptors: [GroupDescriptor]
  private(set) var freeBlockCount: UInt64
  private(set) var freeInodeCount: UInt64
  private(set) var usedDirectoryCount: Int
  private var changedDescriptorBlocks: Set<Int> = []
  /// The one of them that was changed last.
  private var lastChangedBlock: Int?
  /// Where the superblock that is used lies on the device, in bytes; its descriptors follow it.
  let superblockByteOffset: UInt64

  init(
    superblock: Superblock, layout: VolumeLayout, descriptors: [GroupDescriptor], superblockByteOffset: UInt64
  ) throws(FormatError) {
    self.superblock = superblock
    self.superblockByteOffset = superblockByteOffset
    self.layout = layout
    self.descriptors = descriptors
    map = try MetadataMap(layout: layout, descriptors: descriptors)
    freeBlockCount = descriptors.reduce(0) { $0 + UInt64($1.freeBlockCount) }
    freeInodeCount = descriptors.reduce(0) { $0 + UInt64($1.freeInodeCount) }
    usedDirectoryCount = descriptors.reduce(0) { $0 + Int($1.usedDirectoryCount) }
  }

  /// What a block is that belongs to no inode.
  func kind(of block: BlockNumber) -> WritableKeyPath<WrittenBytes, UInt64> {
    let group = layout.group(of: block)
    let descriptor = descriptors[Int(group.rawValue)]
    if block == descriptor.blockBitmap || block == descriptor.inodeBitmap { return \.bitmaps }
    let table = descriptor.inodeTable.rawValue
    let isInTable = block.rawValue >= table && block.rawValue - table < UInt32(layout.inodeTableBlocksPerGroup)
    return isInTable ? \.inodes : \.superblock
  }

  subscript(group: GroupNumber) -> GroupDescriptor { descriptors[Int(group.rawValue)] }

  func changeFreeBlocks(of group: GroupNumber, by count: Int) {
    change(group) { $0.freeBlockCount = UInt16(clamping: Int($0.freeBlockCount) + count) }
    freeBlockCount = UInt64(max(0, Int64(freeBlockCount) + Int64(count)))
  }

  func changeFreeInodes(of group: GroupNumber, by count: Int) {
    change(group) { $0.freeInodeCount = UInt16(clamping: Int($0.freeInodeCount) + count) }
    freeInodeCount = UInt64(max(0, Int64(freeInodeCount) + Int64(count)))
  }

  func changeUsedDirectories(of group: GroupNumber, by count: Int) {
    change(group) { $0.usedDirectoryCount = UInt16(clamping: Int($0.usedDirectoryCount) + count) }
    usedDirectoryCount = max(0, usedDirectoryCount + count)
  }

  /// Bytes that new inodes use after byte 128: what the superblock wants, at least up to the creation time
  /// (fs/ext4/super.c, ext4_set_def_extra_isize), where inodes have them.
  var newExtraSize: Int {
    guard layout.inodeSize > InodeRecord.minimumByteCount else { return 0 }
    let wanted = Int(superblock.wantedExtraInodeSize) & ~3
    return min(max(28, wanted), layout.inodeSize - InodeRecord.minimumByteCount)
  }

  private func change(_ group: GroupNumber, _ body: (inout GroupDescriptor) -> Void) {
    body(&descriptors[Int(group.rawValue)])
    let block = layout.descriptorPosition(of: group).index
    if block != lastChangedBlock {
      lastChangedBlock = block
      changedDescriptorBlocks.insert(block)
    }
  }

  /// Brings the superblock's and the descriptors' blocks up to date, in one step.
  func encode(into metadata: MetadataCache) {
    for index in changedDescriptorBlocks.sorted() {
      let number = layout.descriptorBlock(index, superblockByteOffset: superblockByteOffset)
      guard let block = metadata.cached(number) else { continue }
      let first = index * layout.descriptorsPerBlock
      block.withMutableBytes { bytes in
        for entry in first..<min(first + layout.descriptorsPerBlock, descriptors.count) {
          descriptors[entry].encode(into: &bytes, at: (entry - first) * GroupDescriptor.byteCount)
        }
      }
      metadata.markDirty(block)
    }
    changedDescriptorBlocks = []
    lastChangedBlock = nil
    encodeSuperblock(into: metadata)
  }

  /// Brings the superblock's block up to date, in one step; nothing when it is.
  func encodeSuperblock(into metadata: MetadataCache) {
    superblock.freeBlockCount = UInt32(clamping: freeBlockCount)
    superblock.freeInodeCount = UInt32(clamping: freeInodeCount)
    guard let block = metadata.cached(superblockBlock) else { return }
    let offset = Int(superblockByteOffset) & (layout.blockSize - 1)
    let isChanged = block.withMutableBytes { bytes in
      let before = bytes.bytes.copy(at: offset, count: Superblock.byteCount)
      guard before != superblock.bytes else { return false }
      for (index, byte) in superblock.bytes.enumerated() { bytes.store(byte, at: offset + index) }
      return true
    }
    if isChanged { metadata.markDirty(block) }
  }

  /// The block that holds the superblock.
  var superblockBlock: BlockNumber {
    BlockNumber(rawValue: UInt32(superblockByteOffset >> UInt64(layout.blockSizeLog2)))
  }
}
