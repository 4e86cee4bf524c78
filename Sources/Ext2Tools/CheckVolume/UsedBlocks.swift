/// Which blocks something claims: a bit a block, in pieces of one group that are made when the first block in them is
/// claimed. A group in which no file owns a block costs four bytes.
struct UsedBlocks {
  private var words: [UInt64] = []
  /// Where the words of a group begin; -1 for a group without any.
  private var starts: [Int32] = []
  private var wordsPerGroup = 0
  private var firstBlock: UInt32 = 0
  private var blocksPerGroup: UInt32 = 1
  /// Blocks that the device has: no memory is spent on what a volume claims beyond.
  private var limit: UInt32 = 0
  // The group that was used last: the next block is nearly always in it.
  private var recentBegin: UInt32 = 1
  private var recentEnd: UInt32 = 0
  private var recentStart = 0

  /// Forgets everything and keeps the memory.
  mutating func reset(_ geometry: CheckGeometry, deviceBlocks: UInt64) {
    limit = UInt32(min(UInt64(geometry.blockCount), deviceBlocks))
    words.removeAll(keepingCapacity: true)
    let groups = Int(geometry.groupCount)
    if starts.count == groups {
      for index in 0..<groups { starts[index] = -1 }
    } else {
      starts = [Int32](repeating: -1, count: groups)
    }
    wordsPerGroup = Int((geometry.blocksPerGroup + 63) / 64)
    firstBlock = geometry.firstDataBlock
    blocksPerGroup = geometry.blocksPerGroup
    (recentBegin, recentEnd) = (1, 0)
  }

  /// Claims a block of the volume. Returns whether something had claimed it before.
  @inline(__always)
  mutating func claim(_ block: UInt32, _ geometry: CheckGeometry, _ layout: GroupLayout) -> Bool {
    if block < recentBegin || block >= recentEnd {
      guard block < limit else { return false }
      select(block, geometry, layout)
    }
    let bit = Int(block - recentBegin)
    let index = recentStart + bit >> 6
    let mask: UInt64 = 1 << UInt64(bit & 63)
    let old = words[index]
    words[index] = old | mask
    return old & mask != 0
  }

  /// Calls `body` with the words of a group; those of a group that nobody touched are put together on the spot.
  mutating func withWords<R>(
    of group: UInt32, _ geometry: CheckGeometry, _ layout: GroupLayout, _ body: (Span<UInt64>) -> R
  ) -> R {
    let start = Int(starts[Int(group)])
    if start >= 0 { return body(words.span.extracting(start..<start + wordsPerGroup)) }
    let end = words.count
    appendFixed(group, geometry, layout)
    let result = body(words.span.extracting(end..<end + wordsPerGroup))
    words.removeLast(wordsPerGroup)
    return result
  }

  @inline(never)
  private mutating func select(_ block: UInt32, _ geometry: CheckGeometry, _ layout: GroupLayout) {
    let group = (block - firstBlock) / blocksPerGroup
    if starts[Int(group)] < 0 {
      // Counted in 64-bit words: 2^31 of them are more than 2^32 blocks need.
      starts[Int(group)] = Int32(words.count)
      appendFixed(group, geometry, layout)
    }
    recentStart = Int(starts[Int(group)])
    recentBegin = firstBlock + group * blocksPerGroup
    let (end, overflow) = recentBegin.addingReportingOverflow(blocksPerGroup)
    recentEnd = overflow ? .max : end
  }

  /// Adds the words of a group, with nothing in use but what was fixed when the volume was made.
  private mutating func appendFixed(_ group: UInt32, _ geometry: CheckGeometry, _ layout: GroupLayout) {
    let start = words.count
    for _ in 0..<wordsPerGroup { words.append(0) }
    func mark(_ range: Range<UInt32>) {
      for bit in range { words[start + Int(bit >> 6)] |= 1 << UInt64(bit & 63) }
    }
    let begin = geometry.firstBlock(of: group)
    let count = geometry.blockCount(of: group)
    mark(0..<UInt32(min(geometry.leadingBlocks(of: group), UInt64(count))))
    let place = layout.places[Int(group)]
    // Checked to lie in the group when the descriptors were read.
    mark(place.blockBitmap - begin..<place.blockBitmap - begin + 1)
    mark(place.inodeBitmap - begin..<place.inodeBitmap - begin + 1)
    mark(place.inodeTable - begin..<place.inodeTable - begin + geometry.inodeTableBlocks)
  }
}

/// What the descriptors of a volume say.
struct GroupLayout {
  /// One descriptor.
  struct Place {
    var blockBitmap: UInt32
    var inodeBitmap: UInt32
    var inodeTable: UInt32
    var freeBlocks: UInt16
    var freeInodes: UInt16
    var directories: UInt16
    var flags: UInt16
    var unusedInodes: UInt16
  }
  /// By group.
  var places: [Place] = []
}
