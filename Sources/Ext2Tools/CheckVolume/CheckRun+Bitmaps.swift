// The last pass: the bitmaps and the counts of what is free (e2fsck/pass5.c).
internal import Ext2Format

extension CheckRun {
  /// Compares the bitmaps of every group with what the passes before have met, and the counts with the bitmaps.
  mutating func checkBitmaps() {
    let geometry = self.geometry!
    var totals = (freeBlocks: UInt64(0), freeInodes: UInt64(0))
    var paddings = (blocks: false, inodes: false)
    var directoryPosition = 0
    for group in 0..<geometry.groupCount {
      let place = layout.places[Int(group)]
      let freeBlocks = checkBlockBitmap(group, place, &paddings.blocks, geometry)
      let (freeInodes, directories) = checkInodeBitmap(group, place, &paddings.inodes, &directoryPosition, geometry)
      totals.freeBlocks += UInt64(freeBlocks)
      totals.freeInodes += UInt64(freeInodes)
      compare(.groupFreeBlocks, group, "bg_free_blocks_count", place.freeBlocks, freeBlocks)
      compare(.groupFreeInodes, group, "bg_free_inodes_count", place.freeInodes, freeInodes)
      compare(.groupDirectories, group, "bg_used_dirs_count", place.directories, directories)
      if group & 255 == 255 { show(0.95, 0.05, group, of: geometry.groupCount) }
    }
    report.statistics.usedBlocks = UInt64(geometry.blockCount) - totals.freeBlocks
    // Nobody keeps these while a volume is mounted: they are the sums of the others.
    if totals.freeBlocks != UInt64(geometry.freeBlockCount) {
      add(
        CheckFinding(
          .freeBlocks, field: "s_free_blocks_count", found: UInt64(geometry.freeBlockCount),
          expected: totals.freeBlocks))
    }
    if totals.freeInodes != UInt64(geometry.freeInodeCount) {
      add(
        CheckFinding(
          .freeInodes, field: "s_free_inodes_count", found: UInt64(geometry.freeInodeCount),
          expected: totals.freeInodes))
    }
  }

  @inline(__always)
  private mutating func compare(
    _ kind: CheckFinding.Kind, _ group: UInt32, _ field: String, _ found: UInt16, _ expected: Int
  ) {
    if Int(found) == expected { return }
    add(CheckFinding(kind, group: group, field: field, found: UInt64(found), expected: UInt64(expected)))
  }

  /// Returns how many blocks of the group are free by what the passes have met.
  private mutating func checkBlockBitmap(
    _ group: UInt32, _ place: GroupLayout.Place, _ isPaddingTold: inout Bool, _ geometry: CheckGeometry
  ) -> Int {
    let count = Int(geometry.blockCount(of: group))
    var differs = false
    var used = 0
    var hasPadding = true
    let reader = self.reader
    let isRead = reader.blocks(place.blockBitmap, .table) { bitmap in
      (differs, used) = blocks.withWords(of: group, geometry, layout) { words in
        Self.compare(words, bitmap, count)
      }
      hasPadding = Bitmap.isAllSet(count..<bitmap.byteCount * 8, of: bitmap)
      if differs { tellBlocks(group, bitmap, count, geometry) }
    }
    if !isRead {
      add(CheckFinding(.metadataUnreadable, group: group, block: place.blockBitmap, field: "block bitmap"))
    }
    if !hasPadding && !isPaddingTold {
      isPaddingTold = true
      add(CheckFinding(.bitmapPadding, group: group, block: place.blockBitmap, field: "block bitmap"))
    }
    return count - used
  }

  /// Whether a bitmap differs from the words in its first `count` bits, and how many of the words' bits are set.
  @inline(__always)
  private static func compare(_ words: Span<UInt64>, _ bitmap: RawSpan, _ count: Int) -> (differs: Bool, used: Int) {
    var difference: UInt64 = 0
    var used = 0
    var index = 0
    while 64 * (index + 1) <= count {
      let word = words[index]
      difference |= word ^ bitmap.integer(at: 8 * index, as: UInt64.self)
      used += word.nonzeroBitCount
      index += 1
    }
    if 64 * index < count {
      let mask = (~0 as UInt64) >> UInt64(64 * (index + 1) - count)
      difference |= (words[index] ^ bitmap.integer(at: 8 * index, as: UInt64.self)) & mask
      used += (words[index] & mask).nonzeroBitCount
    }
    return (difference != 0, used)
  }

  /// Tells the runs of bits that differ.
  @inline(never)
  private mutating func tellBlocks(_ group: UInt32, _ bitmap: RawSpan, _ count: Int, _ geometry: CheckGeometry) {
    let first = geometry.firstBlock(of: group)
    let runs = blocks.withWords(of: group, geometry, layout) { words in
      Self.runs(bitmap, count) { words[$0 >> 6] & 1 << UInt64($0 & 63) != 0 }
    }
    for run in runs {
      add(
        CheckFinding(
          run.isUsed ? .blockMarkedFree : .blockMarkedUsed, group: group, block: first + UInt32(run.bits.lowerBound),
          lastBlock: first + UInt32(run.bits.upperBound - 1)))
    }
  }

  /// The runs in which the bits of a bitmap are not what `isUsed` says.
  private static func runs(
    _ bitmap: RawSpan, _ count: Int, _ isUsed: (Int) -> Bool
  ) -> [(bits: Range<Int>, isUsed: Bool)] {
    var runs: [(bits: Range<Int>, isUsed: Bool)] = []
    for bit in 0..<count {
      let used = isUsed(bit)
      if used == Bitmap.isSet(bit, in: bitmap) { continue }
      if let last = runs.last, last.bits.upperBound == bit, last.isUsed == used {
        runs[runs.count - 1].bits = last.bits.lowerBound..<bit + 1
      } else {
        runs.append((bit..<bit + 1, used))
      }
    }
    return runs
  }

  /// Returns how many inodes of the group are free by what the passes have met, and how many are directories.
  private mutating func checkInodeBitmap(
    _ group: UInt32, _ place: GroupLayout.Place, _ isPaddingTold: inout Bool, _ directoryPosition: inout Int,
    _ geometry: CheckGeometry
  ) -> (free: Int, directories: Int) {
    let count = Int(geometry.inodesPerGroup)
    let range = inodes.range(of: group)
    let first = group * geometry.inodesPerGroup + 1
    var hasPadding = true
    let reader = self.reader
    let isRead = reader.blocks(place.inodeBitmap, .table) { bitmap in
      // As many bits are set as there are inodes, and each inode's is.
      var isSame = count - Bitmap.zeroCount(in: 0..<count, of: bitmap) == range.count
      for position in range where isSame {
        isSame = Bitmap.isSet(Int(inodes.entries[position].number - first), in: bitmap)
      }
      hasPadding = Bitmap.isAllSet(count..<bitmap.byteCount * 8, of: bitmap)
      if !isSame { tellInodes(group, first, bitmap, count, range) }
    }
    if !isRead {
      add(CheckFinding(.metadataUnreadable, group: group, block: place.inodeBitmap, field: "inode bitmap"))
    }
    if !hasPadding && !isPaddingTold {
      isPaddingTold = true
      add(CheckFinding(.bitmapPadding, group: group, block: place.inodeBitmap, field: "inode bitmap"))
    }
    let before = directoryPosition
    while directoryPosition < directories.count, directories[directoryPosition].inode < first + UInt32(count) {
      directoryPosition += 1
    }
    return (count - range.count, directoryPosition - before)
  }

  @inline(never)
  private mutating func tellInodes(
    _ group: UInt32, _ first: UInt32, _ bitmap: RawSpan, _ count: Int, _ range: Range<Int>
  ) {
    var position = range.lowerBound
    let entries = inodes.entries
    let runs = Self.runs(bitmap, count) { bit in
      guard position < range.upperBound, entries[position].number == first + UInt32(bit) else { return false }
      position += 1
      return true
    }
    for run in runs {
      for bit in run.bits {
        add(
          CheckFinding(
            run.isUsed ? .inodeMarkedFree : .inodeMarkedUsed, inode: first + UInt32(bit), group: group))
      }
    }
  }
}
