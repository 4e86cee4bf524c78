// Which blocks are free.
//
// Choosing a free bit and setting it is one step. Each file that grows has a *window*: blocks after its last one that
// other files leave alone while there is room elsewhere, so that files written side by side come out contiguous
// (fs/ext2/balloc.c, "reservation windows"). Windows are in memory only.
internal import BlockDevice
internal import Ext2Format
internal import PageCache
internal import Reactor

/// Where a new block is looked for when the file gives no better hint.
public enum AllocationPolicyName: String, Sendable, CaseIterable {
  /// From the start of the file's group.
  case firstFit = "first-fit"
  /// After the block that was allocated last, by anybody: a freed block is not reused at once.
  case nextFit = "next-fit"
}

final class BlockAllocator {
  static let smallestWindow = 8
  static let largestWindow = 1024
  /// Groups after the goal's that are searched for room for a whole window.
  private static let nearGroupCount = 8

  let groups: GroupTable
  let metadata: MetadataCache
  let pendingFrees: PendingFrees
  let policy: AllocationPolicyName
  /// Without it no file keeps blocks to itself.
  private let usesWindows: Bool
  private var windows = ReservationWindows(largestCount: largestWindow)
  /// Of each file's last window, and how many of its blocks the file has taken.
  private var windowSizes: [InodeNumber: (size: Int, used: Int)] = [:]
  private var lastAllocated: BlockNumber

  init(
    groups: GroupTable, metadata: MetadataCache, pendingFrees: PendingFrees, policy: AllocationPolicyName,
    usesWindows: Bool = true
  ) {
    self.usesWindows = usesWindows
    self.groups = groups
    self.metadata = metadata
    self.pendingFrees = pendingFrees
    self.policy = policy
    lastAllocated = groups.layout.firstDataBlock
  }

  private var layout: VolumeLayout { groups.layout }

  /// Where to look when a file has no block near.
  func startingGoal(for inode: InodeNumber) -> BlockNumber {
    switch policy {
    case .firstFit: layout.firstBlock(of: layout.group(of: inode))
    case .nextFit: lastAllocated
    }
  }

  /// Forgets a file's window: it was truncated, or nobody writes it any more.
  func dropWindow(of inode: InodeNumber) {
    windows[inode] = nil
    windowSizes[inode] = nil
  }

  /// Takes up to `count` contiguous free blocks, as near to `goal` as can be. The bitmap stays pinned by the ticket.
  ///
  /// Reports no space only when nothing waits to be freed.
  func allocate(_ count: Int, near goal: BlockNumber, for inode: InodeNumber, _ ticket: MetadataTicket)
    async throws(Ext2Error) -> (first: BlockNumber, count: Int)
  {
    let start = layout.contains(goal) ? goal : layout.firstDataBlock
    while true {
      let clearCount = pendingFrees.clearCount
      for search in available(count, ticket) > 0 ? Search.allCases : [] {
        if let run = try await run(of: count, from: start, inode, search, ticket) {
          return run
        }
      }
      // The search suspends: a block may have become free where it had looked already.
      if pendingFrees.clearCount != clearCount { continue }
      let waits = !metadata.switchedOff.contains(.spaceIsWaitedFor)
      guard waits, try await pendingFrees.waitForSome() else { throw .noSpace }
    }
  }

  /// How many of so many blocks may be taken now: all, or those that are not reserved for others.
  private func available(_ count: Int, _ ticket: MetadataTicket) -> Int {
    if ticket.mayUseReservedBlocks { return count }
    let free = groups.freeBlockCount, reserved = UInt64(groups.superblock.reservedBlockCount)
    return free > reserved ? min(count, Int(clamping: free - reserved)) : 0
  }

  /// What a search is content with, one after the other.
  private enum Search: CaseIterable {
    /// To go on at the goal, or room for a whole window in a group that is near.
    case wholeWindow
    /// Whatever other files do not keep for themselves.
    case outsideWindows
    case anywhere
  }

  private func run(
    of count: Int, from goal: BlockNumber, _ inode: InodeNumber, _ search: Search, _ ticket: MetadataTicket
  ) async throws(Ext2Error) -> (first: BlockNumber, count: Int)? {
    let first = Int(layout.group(of: goal).rawValue), groupCount = Int(layout.groupCount)
    let wanted = inode == .none ? count : max(count, nextWindowSize(of: inode))
    // The goal's group is visited twice: from the goal on, and at the end from its start.
    for step in 0...(search == .wholeWindow ? min(Self.nearGroupCount, groupCount) : groupCount) {
      let group = layout.group((first + step) % groupCount)
      if groups[group].freeBlockCount < (search == .wholeWindow && step > 0 ? wanted : 1) { continue }
      let bitmap: MetadataBlock
      if let now = metadata.cached(groups[group].blockBitmap), now.isChecked {
        ticket.pin(now)
        bitmap = now
      } else {
        bitmap = try await blockBitmap(of: group, ticket)
      }
      let startBit = step == 0 ? layout.bitIndex(of: goal) : 0
      // Others may have taken some while we read.
      let count = available(count, ticket)
      if count > 0, let run = take(count, in: group, bitmap, from: startBit, inode, wanted: wanted, search) {
        return run
      }
      ticket.unpin(bitmap)
      if count == 0 { return nil }
    }
    return nil
  }

  /// A group's block bitmap, checked and pinned.
  func blockBitmap(of group: GroupNumber, _ ticket: MetadataTicket) async throws(Ext2Error) -> MetadataBlock {
    let number = groups[group].blockBitmap
    guard let bitmap = try await metadata.load(number, owner: .none, ticket) else { throw .closed }
    if !bitmap.isChecked {
      try check(bitmap, of: group)
      bitmap.isChecked = true
    }
    return bitmap
  }

  /// The volume's own blocks are marked used, or the bitmap is not one (fs/ext2/balloc.c, ext2_valid_block_bitmap).
  private func check(_ bitmap: MetadataBlock, of group: GroupNumber) throws(Ext2Error) {
    let descriptor = groups[group], layout = layout
    let table = layout.bitIndex(of: descriptor.inodeTable)
    let isValid = bitmap.withBytes { bytes in
      Bitmap.isAllSet(0..<layout.leadingMetadataCount(of: group), of: bytes)
        && Bitmap.isSet(layout.bitIndex(of: descriptor.blockBitmap), in: bytes)
        && Bitmap.isSet(layout.bitIndex(of: descriptor.inodeBitmap), in: bytes)
        && Bitmap.isAllSet(table..<table + layout.inodeTableBlocksPerGroup, of: bytes)
    }
    guard isValid else {
      throw Ext2Error(
        FormatError.invalid(
          .bitmap, at: .block(bitmap.number), field: "bits of group \(group)'s own blocks", value: 0,
          why: "marks blocks of the volume's own metadata as free"))
    }
  }

  // MARK: Choosing: one step

  /// Chooses free bits and sets them.
  private func take(
    _ count: Int, in group: GroupNumber, _ bitmap: MetadataBlock, from startBit: Int, _ inode: InodeNumber,
    wanted: Int, _ search: Search
  ) -> (first: BlockNumber, count: Int)? {
    let endsWithVolume = !metadata.switchedOff.contains(.lastGroupEnds)
    let bits = endsWithVolume ? layout.blockCount(of: group) : Int(layout.blocksPerGroup)
    let base = layout.firstBlock(of: group).rawValue
    var start = startBit
    var chosen: Range<Int>?
    while start < bits, chosen == nil {
      let found = bitmap.withBytes { bytes in
        choose(bytes, start..<bits, base, inode, wanted: wanted, count, search)
      }
      guard let run = found else { return nil }
      // A block marked free that is somebody's metadata is corruption: it is reported and left alone.
      let free = run.prefix { !metadata.holds(BlockNumber(rawValue: base + UInt32($0))) }
      if free.isEmpty {
        pendingFrees.onCorruption?(
          .invalid(
            .bitmap, at: .block(bitmap.number), field: "bit \(run.lowerBound)", value: 0,
            why: "says that a block of metadata in use is free"))
        start = run.lowerBound + 1
      } else {
        chosen = free
      }
    }
    guard let run = chosen else { return nil }
    bitmap.withMutableBytes { bytes in Bitmap.set(run, in: &bytes) }
    metadata.markDirty(bitmap)
    groups.changeFreeBlocks(of: group, by: -run.count)
    let first = base + UInt32(run.lowerBound)
    moveWindow(of: inode, past: first..<first + UInt32(run.count), limit: base + UInt32(bits))
    lastAllocated = BlockNumber(rawValue: first + UInt32(run.count) - 1)
    return (BlockNumber(rawValue: first), run.count)
  }

  private func choose(
    _ bytes: RawSpan, _ range: Range<Int>, _ base: UInt32, _ inode: InodeNumber, wanted: Int, _ count: Int,
    _ search: Search
  ) -> Range<Int>? {
    let respectsWindows = search != .anywhere
    // Right at the goal, however few: the file goes on where it ended.
    if let first = usableRun(bytes, from: range.lowerBound, in: range, base, inode, respectsWindows),
      first.lowerBound == range.lowerBound
    {
      return cut(first, count)
    }
    // Then where a whole window fits, else the longest run.
    var longest: Range<Int>?
    var start = range.lowerBound
    while start < range.upperBound, let run = usableRun(bytes, from: start, in: range, base, inode, respectsWindows) {
      if run.count >= wanted { return cut(run, count) }
      if run.count > longest?.count ?? 0 { longest = run }
      start = run.upperBound
    }
    return search == .wholeWindow ? nil : longest.map { cut($0, count) }
  }

  private func cut(_ run: Range<Int>, _ count: Int) -> Range<Int> {
    run.lowerBound..<min(run.upperBound, run.lowerBound + count)
  }

  /// The next run of free bits, outside other files' windows.
  private func usableRun(
    _ bytes: RawSpan, from start: Int, in range: Range<Int>, _ base: UInt32, _ inode: InodeNumber,
    _ respectsWindows: Bool
  ) -> Range<Int>? {
    var start = start
    while start < range.upperBound,
      let run = Bitmap.firstZeroRun(
        in: start..<range.upperBound, maximumCount: Self.largestWindow, of: bytes)
    {
      let blocks = base + UInt32(run.lowerBound)..<base + UInt32(run.upperBound)
      if respectsWindows, let other = windows.first(touching: blocks, notOf: inode) {
        if other.lowerBound > blocks.lowerBound {
          return run.lowerBound..<Int(other.lowerBound - base)
        }
        start = Int(other.upperBound - base)
        continue
      }
      return run
    }
    return nil
  }

  /// The size of the window that a file gets when it needs a new one: twice that of one that it has used for the most part
  /// (fs/ext2/balloc.c, alloc_new_reservation); but all windows together leave half of the free space.
  private func nextWindowSize(of inode: InodeNumber) -> Int {
    guard let last = windowSizes[inode] else { return Self.smallestWindow }
    let share = Int(clamping: groups.freeBlockCount) / (2 * (windows.count + 1))
    let size = last.used * 2 > last.size ? last.size * 2 : last.size
    return max(Self.smallestWindow, min(Self.largestWindow, share, size))
  }

  /// The file goes on in what is left of its window, or gets a new one from its new blocks on.
  private func moveWindow(of inode: InodeNumber, past blocks: Range<UInt32>, limit: UInt32) {
    guard inode != .none, usesWindows else { return }
    let end = blocks.upperBound
    if let window = windows[inode], (window.lowerBound...window.upperBound).contains(end) {
      windows[inode] = end..<window.upperBound
      windowSizes[inode]?.used += blocks.count
      return
    }
    let size = nextWindowSize(of: inode)
    windows[inode] = windows.room(from: end, limit: limit, count: max(0, size - blocks.count), notOf: inode)
    windowSizes[inode] = (size, blocks.count)
  }

  /// Whether a block is free, or waits to be freed, as far as that can be told from what is in memory.
  func isKnownToBeFree(_ block: BlockNumber) -> Bool {
    let bitmap = metadata.cached(groups[layout.group(of: block)].blockBitmap)
    let isClear = bitmap?.withBytes { bytes in !Bitmap.isSet(layout.bitIndex(of: block), in: bytes) } ?? false
    return isClear || pendingFrees.contains(block)
  }

  // MARK: Discarding

  /// Takes the free runs of a group out of use until the device was told of them: one step. Returns how many blocks.
  func discardFree(in group: GroupNumber, _ bitmap: MetadataBlock, minimumCount: Int) -> Int {
    let bits = layout.blockCount(of: group)
    var start = 0
    var count = 0
    while start < bits {
      let found = bitmap.withBytes { bytes in
        Bitmap.firstZeroRun(in: start..<bits, minimumCount: minimumCount, of: bytes)
      }
      guard let run = found else { break }
      start = run.upperBound
      let first = layout.block(in: group, bit: run.lowerBound)
      // A block that is somebody's metadata, though it is marked free, is left alone.
      guard !run.contains(where: { metadata.holds(first.advanced(by: $0 - run.lowerBound)) }) else { continue }
      bitmap.withMutableBytes { bytes in Bitmap.set(run, in: &bytes) }
      groups.changeFreeBlocks(of: group, by: -run.count)
      metadata.markDirty(bitmap)
      pendingFrees.addDiscard(first, count: run.count)
      count += run.count
    }
    return count
  }

  // MARK: Giving back

  /// Gives back blocks that were taken but never linked. Reads nothing: their bitmap is pinned by the ticket.
  func giveBack(_ first: BlockNumber, count: Int) {
    if !metadata.switchedOff.contains(.failureGivesBack) { pendingFrees.add(first, count: count) }
  }
}
