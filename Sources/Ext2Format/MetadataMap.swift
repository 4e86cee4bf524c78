/// What a block at a fixed place is for.
package enum FixedMetadata: Sendable {
  case superblock
  case groupDescriptors
  case reservedDescriptors
  case blockBitmap
  case inodeBitmap
  case inodeTable
}

/// Tells the blocks whose use was fixed when the volume was made from those that files may own.
///
/// A pointer of a file into fixed metadata, or out of the volume, is corruption; following it would let a file
/// overwrite the volume's structure (fs/ext2/balloc.c, ext2_data_block_valid and the "in system zone" checks).
/// Blocks reserved for descriptors to come belong to the resize inode alone and count as fixed.
///
/// Holds 24 bytes a group. A query is O(1); one about several blocks is O(groups it touches).
package final class MetadataMap: Sendable {
  /// The layout that the descriptors were checked against.
  package let layout: VolumeLayout
  private let descriptors: [GroupDescriptor]

  /// Checks every descriptor and keeps where it points. Throws the first thing wrong.
  package init(layout: VolumeLayout, descriptors: [GroupDescriptor]) throws(FormatError) {
    precondition(descriptors.count == Int(layout.groupCount), "one descriptor a group")
    for index in descriptors.indices {
      try descriptors[index].validate(group: layout.group(index), layout: layout)
    }
    self.layout = layout
    self.descriptors = descriptors
  }

  /// What a block of the volume is for, or nil when files may own it. The volume must contain the block.
  package func fixedUse(of block: BlockNumber) -> FixedMetadata? {
    let group = layout.group(of: block)
    let descriptor = descriptors[Int(group.rawValue)]
    let bit = layout.bitIndex(of: block)
    if bit < layout.leadingMetadataCount(of: group) {
      if bit == 0 && layout.hasSuperblock(group) { return .superblock }
      return layout.descriptorBlocks(in: group).contains(block) ? .groupDescriptors : .reservedDescriptors
    }
    if block == descriptor.blockBitmap { return .blockBitmap }
    if block == descriptor.inodeBitmap { return .inodeBitmap }
    let inTable = descriptor.inodeTable.distance(to: block)
    return inTable >= 0 && inTable < layout.inodeTableBlocksPerGroup ? .inodeTable : nil
  }

  /// Whether a file may own this block: it is in the volume and not fixed metadata.
  package func isOwnable(_ block: BlockNumber) -> Bool { layout.contains(block) && fixedUse(of: block) == nil }

  /// Whether a file may own all of `count` blocks from `first` on. Cannot overflow.
  package func isOwnable(_ first: BlockNumber, count: Int) -> Bool {
    guard layout.contains(first, count: count) else { return false }
    let begin = Int(first.rawValue)
    let end = begin + count
    func touches(_ start: Int, _ length: Int) -> Bool { begin < start + length && start < end }
    let last = layout.group(of: first.advanced(by: count - 1))
    for index in layout.group(of: first).rawValue...last.rawValue {
      let group = GroupNumber(rawValue: index)
      let descriptor = descriptors[Int(index)]
      if touches(Int(layout.firstBlock(of: group).rawValue), layout.leadingMetadataCount(of: group))
        || touches(Int(descriptor.blockBitmap.rawValue), 1) || touches(Int(descriptor.inodeBitmap.rawValue), 1)
        || touches(Int(descriptor.inodeTable.rawValue), layout.inodeTableBlocksPerGroup)
      {
        return false
      }
    }
    return true
  }

  /// Checks a pointer that a file holds. Zero is a hole and passes.
  ///
  /// - Parameters:
  ///   - location: where the pointer lies, for the message.
  ///   - field: its name there, such as `i_block`; put together only for a pointer that does not pass.
  package func checkPointer(
    _ block: BlockNumber, at location: FormatError.Location, field: @autoclosure () -> String
  ) throws(FormatError) {
    guard block != .none, !isOwnable(block) else { return }
    throw .invalid(
      .pointer, at: location, field: field(), value: UInt64(block.rawValue),
      why: layout.contains(block) ? "points into the volume's own metadata" : "points out of the volume")
  }
}
