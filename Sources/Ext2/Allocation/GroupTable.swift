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
  private var changedDescriptorBlocks: Set<Int> = []

  init(superblock: Superblock, layout: VolumeLayout, descriptors: [GroupDescriptor]) throws(FormatError) {
    self.superblock = superblock
    self.layout = layout
    self.descriptors = descriptors
    map = try MetadataMap(layout: layout, descriptors: descriptors)
    freeBlockCount = descriptors.reduce(0) { $0 + UInt64($1.freeBlockCount) }
    freeInodeCount = descriptors.reduce(0) { $0 + UInt64($1.freeInodeCount) }
  }

  subscript(group: GroupNumber) -> GroupDescriptor { descriptors[Int(group.rawValue)] }

  func changeFreeBlocks(of group: GroupNumber, by count: Int) {
    let index = Int(group.rawValue)
    descriptors[index].freeBlockCount = UInt16(clamping: Int(descriptors[index].freeBlockCount) + count)
    freeBlockCount = UInt64(max(0, Int64(freeBlockCount) + Int64(count)))
    noteChange(of: group)
  }

  func changeFreeInodes(of group: GroupNumber, by count: Int) {
    let index = Int(group.rawValue)
    descriptors[index].freeInodeCount = UInt16(clamping: Int(descriptors[index].freeInodeCount) + count)
    freeInodeCount = UInt64(max(0, Int64(freeInodeCount) + Int64(count)))
    noteChange(of: group)
  }

  private func noteChange(of group: GroupNumber) {
    changedDescriptorBlocks.insert(layout.descriptorPosition(of: group).index)
  }

  /// Brings the superblock's and the descriptors' blocks up to date, in one step.
  func encode(into metadata: MetadataCache) {
    for index in changedDescriptorBlocks.sorted() {
      guard let block = metadata.cached(layout.descriptorBlock(index)) else { continue }
      let first = index * layout.descriptorsPerBlock
      block.withMutableBytes { bytes in
        for entry in first..<min(first + layout.descriptorsPerBlock, descriptors.count) {
          descriptors[entry].encode(into: &bytes, at: (entry - first) * GroupDescriptor.byteCount)
        }
      }
      metadata.markDirty(block)
    }
    changedDescriptorBlocks = []
    encodeSuperblock(into: metadata)
  }

  /// Brings the superblock's block up to date, in one step; nothing when it is.
  func encodeSuperblock(into metadata: MetadataCache) {
    superblock.freeBlockCount = UInt32(clamping: freeBlockCount)
    superblock.freeInodeCount = UInt32(clamping: freeInodeCount)
    guard let block = metadata.cached(superblockBlock) else { return }
    let offset = Superblock.primaryByteOffset & (layout.blockSize - 1)
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
    BlockNumber(rawValue: UInt32(Superblock.primaryByteOffset >> layout.blockSizeLog2))
  }
}
