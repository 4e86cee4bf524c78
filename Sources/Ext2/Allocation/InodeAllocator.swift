internal import Ext2Format
internal import PageCache

/// Which inode numbers are free. Choosing a bit and setting it is one step.
final class InodeAllocator {
  private let groups: GroupTable
  private let metadata: MetadataCache

  init(groups: GroupTable, metadata: MetadataCache) {
    self.groups = groups
    self.metadata = metadata
  }

  private func bitmap(of group: GroupNumber, _ ticket: MetadataTicket) async throws(Ext2Error) -> MetadataBlock {
    guard let bitmap = try await metadata.load(groups[group].inodeBitmap, owner: .none, ticket) else { throw .closed }
    return bitmap
  }

  /// Takes a free inode, in the parent's group if it has one, else by a quadratic search from there, else the first
  /// there is (fs/ext2/ialloc.c, find_group_other). The bitmap stays pinned by the ticket.
  func allocate(near parent: InodeNumber, _ ticket: MetadataTicket) async throws(Ext2Error) -> InodeNumber {
    let layout = groups.layout
    let count = Int(layout.groupCount), home = Int(layout.group(of: parent).rawValue)
    var order = [home]
    var step = 1, index = home
    while step < count {
      index = (index + step) % count
      order.append(index)
      step <<= 1
    }
    order += (0..<count).map { (home + $0) % count }
    for group in order.map(layout.group) where groups[group].freeInodeCount > 0 {
      let bitmap = try await bitmap(of: group, ticket)
      if let bit = take(bitmap, group) { return layout.inode(in: group, bit: bit) }
      ticket.unpin(bitmap)
    }
    throw .noSpace
  }

  private func take(_ bitmap: MetadataBlock, _ group: GroupNumber) -> Int? {
    let layout = groups.layout
    // Inodes below the first are the volume's own, whatever the bitmap says.
    let reserved = Int(layout.firstInode.rawValue) - 1
    let start = group.rawValue == 0 ? min(reserved, Int(layout.inodesPerGroup)) : 0
    let range = start..<Int(layout.inodesPerGroup)
    guard let bit = bitmap.withBytes({ bytes in Bitmap.firstZero(in: range, of: bytes) }) else { return nil }
    bitmap.withMutableBytes { bytes in _ = Bitmap.set(bit, in: &bytes) }
    metadata.markDirty(bitmap)
    groups.changeFreeInodes(of: group, by: -1)
    return bit
  }

  /// The bitmap that holds an inode's bit, pinned: before the step that frees the inode.
  func pinBitmap(of inode: InodeNumber, _ ticket: MetadataTicket) async throws(Ext2Error) -> MetadataBlock {
    try await bitmap(of: groups.layout.group(of: inode), ticket)
  }

  /// Clears an inode's bit, the last step of its life. Returns false when it was clear before: corruption.
  func free(_ inode: InodeNumber, _ bitmap: MetadataBlock) -> Bool {
    let bit = groups.layout.indexInGroup(of: inode)
    let wasSet = bitmap.withMutableBytes { bytes in Bitmap.clear(bit, in: &bytes) }
    if wasSet {
      metadata.markDirty(bitmap)
      groups.changeFreeInodes(of: groups.layout.group(of: inode), by: 1)
    }
    return wasSet
  }
}
