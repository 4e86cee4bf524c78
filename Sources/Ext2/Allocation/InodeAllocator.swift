// Which inode numbers are free. Choosing a bit and setting it is one step.
//
// Files go near their directory. Directories are spread by Orlov's rule: those below the root (and below directories
// with the T flag) far apart, others near their parent unless its group has many already (fs/ext2/ialloc.c,
// find_group_orlov and find_group_other).
internal import Ext2Format
internal import PageCache
internal import Reactor

final class InodeAllocator {
  private let groups: GroupTable
  private let metadata: MetadataCache
  private var generator: SeededGenerator
  /// Directories made in a group lately, less the files made there since: what keeps a group for its directories' files.
  private var debts: [GroupNumber: Int] = [:]

  private static let inodeCost = 64
  private static let blockCost = 256
  private static let largestDebt = 255

  init(groups: GroupTable, metadata: MetadataCache, seed: UInt64) {
    self.groups = groups
    self.metadata = metadata
    generator = SeededGenerator(seed: seed)
  }

  private var layout: VolumeLayout { groups.layout }
  private var groupCount: Int { Int(layout.groupCount) }

  private func bitmap(of group: GroupNumber, _ ticket: MetadataTicket) async throws(Ext2Error) -> MetadataBlock {
    guard let bitmap = try await metadata.load(groups[group].inodeBitmap, owner: .none, ticket) else { throw .closed }
    return bitmap
  }

  /// Takes a free inode for a file or a directory in a directory. The bitmap stays pinned by the ticket.
  ///
  /// - Parameter isSpread: the directory is to lie far from its parent.
  func allocate(
    near parent: InodeNumber, isDirectory: Bool, isSpread: Bool, _ ticket: MetadataTicket
  ) async throws(Ext2Error) -> InodeNumber {
    let home = Int(layout.group(of: parent).rawValue)
    let wanted =
      isDirectory ? groupForDirectory(home, isSpread: isSpread) : groupForFile(home, parent: Int(parent.rawValue))
    // A count may say more than its bitmap: the other groups follow.
    for step in 0..<groupCount {
      let group = layout.group(((wanted ?? home) + step) % groupCount)
      guard groups[group].freeInodeCount > 0 else { continue }
      let bitmap: MetadataBlock
      if let now = metadata.pinNow(groups[group].inodeBitmap, ticket) {
        bitmap = now
      } else {
        bitmap = try await self.bitmap(of: group, ticket)
      }
      if let bit = take(bitmap, group, isDirectory: isDirectory) { return layout.inode(in: group, bit: bit) }
      ticket.unpin(bitmap)
    }
    throw .noSpace
  }

  // MARK: Choosing a group

  private func groupForFile(_ home: Int, parent: Int) -> Int? {
    func isGood(_ group: Int) -> Bool {
      let descriptor = groups[layout.group(group)]
      return descriptor.freeInodeCount > 0 && descriptor.freeBlockCount > 0
    }
    if isGood(home) { return home }
    // Files of one directory go to the same other group.
    var group = (home + parent) % groupCount
    var step = 1
    while step < groupCount {
      group = (group + step) % groupCount
      if isGood(group) { return group }
      step <<= 1
    }
    return nil
  }

  private func groupForDirectory(_ home: Int, isSpread: Bool) -> Int? {
    let averageInodes = Int(groups.freeInodeCount) / groupCount
    let averageBlocks = Int(groups.freeBlockCount) / groupCount
    if isSpread {
      let start = Int(generator.next() % UInt64(groupCount))
      var best: Int?
      var fewest = Int(layout.inodesPerGroup)
      for step in 0..<groupCount {
        let group = (start + step) % groupCount
        let descriptor = groups[layout.group(group)]
        if descriptor.freeInodeCount > 0, Int(descriptor.usedDirectoryCount) < fewest,
          Int(descriptor.freeInodeCount) >= averageInodes, Int(descriptor.freeBlockCount) >= averageBlocks
        {
          best = group
          fewest = Int(descriptor.usedDirectoryCount)
        }
      }
      if let best { return best }
      return groupWithInodes(from: start, averageInodes)
    }
    let directories = max(1, groups.usedDirectoryCount)
    let perGroup = Int(layout.inodesPerGroup), blocksPerGroup = Int(layout.blocksPerGroup)
    let blocksPerDirectory = max(0, Int(layout.blockCount) - Int(groups.freeBlockCount)) / directories
    let mostDirectories = directories / groupCount + perGroup / 16
    let leastInodes = averageInodes - perGroup / 4, leastBlocks = averageBlocks - blocksPerGroup / 4
    let debt = min(
      blocksPerGroup / max(blocksPerDirectory, Self.blockCost), perGroup / Self.inodeCost, Self.largestDebt)
    for step in 0..<groupCount {
      let group = (home + step) % groupCount
      let descriptor = groups[layout.group(group)]
      if descriptor.freeInodeCount > 0, debts[layout.group(group)] ?? 0 < max(1, debt),
        Int(descriptor.usedDirectoryCount) < mostDirectories, Int(descriptor.freeInodeCount) >= leastInodes,
        Int(descriptor.freeBlockCount) >= leastBlocks
      {
        return group
      }
    }
    return groupWithInodes(from: home, averageInodes)
  }

  private func groupWithInodes(from start: Int, _ average: Int) -> Int? {
    (0..<groupCount).lazy.map { (start + $0) % self.groupCount }.first { group in
      let free = Int(groups[layout.group(group)].freeInodeCount)
      return free > 0 && free >= average
    }
  }

  // MARK: Bits

  private func take(_ bitmap: MetadataBlock, _ group: GroupNumber, isDirectory: Bool) -> Int? {
    // Inodes below the first are the volume's own, whatever the bitmap says.
    let reserved = Int(layout.firstInode.rawValue) - 1
    let start = max(0, reserved - Int(group.rawValue) * Int(layout.inodesPerGroup))
    guard start < Int(layout.inodesPerGroup) else { return nil }
    let range = start..<Int(layout.inodesPerGroup)
    guard let bit = bitmap.withBytes({ bytes in Bitmap.firstZero(in: range, of: bytes) }) else { return nil }
    bitmap.withMutableBytes { bytes in _ = Bitmap.set(bit, in: &bytes) }
    metadata.markDirty(bitmap)
    groups.changeFreeInodes(of: group, by: -1)
    let debt = debts[group] ?? 0
    if isDirectory {
      groups.changeUsedDirectories(of: group, by: 1)
      debts[group] = min(debt + 1, Self.largestDebt)
    } else if debt > 0 {
      debts[group] = debt == 1 ? nil : debt - 1
    }
    return bit
  }

  /// The bitmap that holds an inode's bit, pinned: before the step that frees the inode.
  func pinBitmap(of inode: InodeNumber, _ ticket: MetadataTicket) async throws(Ext2Error) -> MetadataBlock {
    try await bitmap(of: layout.group(of: inode), ticket)
  }

  /// Clears an inode's bit, the last step of its life. Returns false when it was clear before: corruption.
  func free(_ inode: InodeNumber, isDirectory: Bool, _ bitmap: MetadataBlock) -> Bool {
    let bit = layout.indexInGroup(of: inode), group = layout.group(of: inode)
    let wasSet = bitmap.withMutableBytes { bytes in Bitmap.clear(bit, in: &bytes) }
    if wasSet {
      metadata.markDirty(bitmap)
      groups.changeFreeInodes(of: group, by: 1)
      if isDirectory { groups.changeUsedDirectories(of: group, by: -1) }
    }
    return wasSet
  }

  /// Gives back an inode that was taken and not used. Reads nothing: its bitmap is pinned by the ticket.
  func giveBack(_ inode: InodeNumber, isDirectory: Bool) {
    guard let bitmap = metadata.cached(groups[layout.group(of: inode)].inodeBitmap),
      !metadata.switchedOff.contains(.failureGivesBack)
    else { return }
    _ = free(inode, isDirectory: isDirectory, bitmap)
  }
}
