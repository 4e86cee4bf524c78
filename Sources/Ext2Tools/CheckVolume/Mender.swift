internal import Ext2Format

/// Mends findings of one pass on a volume that was just checked.
struct Mender {
  let run: CheckRun
  let volume: any VolumeBytes
  let time: UInt32
  private var geometry: CheckGeometry { run.geometry }

  init(run: CheckRun, volume: any VolumeBytes, time: UInt32) {
    self.run = run
    self.volume = volume
    self.time = time
  }

  /// Mends findings, which are all of one pass and can be mended.
  func mend(_ findings: [CheckFinding], _ pass: CheckFinding.Pass) throws(VolumeBytesError) {
    for finding in findings { try mend(finding) }
    if pass == .summary { try mendSummary() }
  }

  private func mend(_ finding: CheckFinding) throws(VolumeBytesError) {
    let inode = finding.inode ?? 0
    let expected = finding.expected ?? 0
    switch finding.kind {
    case .groupFlags:
      let offset = descriptorOffset(finding.group ?? 0)
      let flags: UInt16 = try load(at: offset + 18)
      try store(flags & ~3, at: offset + 18)
      try store(UInt16(0), at: offset + 28)
    case .rootDeletionTime, .deletionTime: try store(UInt32(0), at: inodeOffset(inode) + 20)
    case .missingDeletionTime: try store(time, at: inodeOffset(inode) + 20)
    case .reservedMode:
      // A regular file is what they have to be, and e2fsck takes for wrong where it has cleared the mode itself.
      let isFile =
        inode == geometry.journalInode && geometry.compatible.contains(.hasJournal)
        || inode == InodeNumber.resize.rawValue && geometry.compatible.contains(.resizeInode)
      try store(isFile ? UInt16(0x8180) : 0, at: inodeOffset(inode))
    case .reservedInUse:
      let zeros = [UInt8](repeating: 0, count: geometry.inodeSize)
      try volume.write(unsafe zeros.span.bytes, at: inodeOffset(inode))
    case .extraSize: try mendExtraSize(inode, finding.found ?? 0)
    case .attributesInInode:
      let extra: UInt16 = try load(at: inodeOffset(inode) + 128)
      try store(UInt32(0), at: inodeOffset(inode) + 128 + UInt64(extra))
    case .specialSize, .inodeSize:
      try store(UInt32(truncatingIfNeeded: expected), at: inodeOffset(inode) + 4)
      try store(UInt32(truncatingIfNeeded: expected >> 32), at: inodeOffset(inode) + 108)
    case .inodeBlocks: try store(UInt32(clamping: expected), at: inodeOffset(inode) + 28)
    case .attributeBlockHigh: try store(UInt16(0), at: inodeOffset(inode) + 118)
    case .attributeHash, .attributeFeature: try store(UInt32(0), at: inodeOffset(inode) + 104)
    case .linkCount: try store(UInt16(clamping: expected), at: inodeOffset(inode) + 26)
    case .emptyDirectory, .emptyInodeUnattached: try clear(inode)
    case .indexFlag, .indexRoot, .indexNode:
      let flags: UInt32 = try load(at: inodeOffset(inode) + 32)
      try store(flags & ~InodeFlags.index.rawValue, at: inodeOffset(inode) + 32)
    case .largeFileFeature:
      let features: UInt32 = try load(at: 1024 + 100)
      try store(features | ReadOnlyCompatibleFeatures.largeFile.rawValue, at: 1024 + 100)
    case .entryUnusedInode: try store(UInt32(0), at: entryOffset(finding))
    case .entryTypeMissing: try store(UInt8(truncatingIfNeeded: expected), at: entryOffset(finding) + 7)
    case .entryTypeUnexpected: try store(UInt8(0), at: entryOffset(finding) + 7)
    default: break
    }
  }

  /// Takes an inode out of use (e2fsck_clear_inode).
  private func clear(_ inode: UInt32) throws(VolumeBytesError) {
    let offset = inodeOffset(inode)
    try store(UInt32(0), at: offset + 32)
    try store(UInt16(0), at: offset + 26)
    try store(time, at: offset + 20)
  }

  private func mendExtraSize(_ inode: UInt32, _ found: UInt64) throws(VolumeBytesError) {
    let limit = UInt64(geometry.inodeSize - 128)
    let size = found < 4 || found > limit ? UInt16(geometry.wantedExtraSize) : UInt16(found + 3 & ~3)
    // A wish that cannot be is none.
    try store(UInt64(size) > limit || size & 3 != 0 ? 0 : size, at: inodeOffset(inode) + 128)
  }

  // MARK: Bitmaps and counts

  /// Writes the bitmaps and counts of every group that are not what the passes have met.
  private func mendSummary() throws(VolumeBytesError) {
    var run = self.run
    var freeBlocks: UInt64 = 0
    var freeInodes: UInt64 = 0
    for group in 0..<geometry.groupCount {
      let place = run.layout.places[Int(group)]
      let blockCount = Int(geometry.blockCount(of: group))
      let bits = run.blocks.withWords(of: group, geometry, run.layout) { words in
        (0..<words.count).map { words[$0] }
      }
      let usedBlocks = try writeBitmap(place.blockBitmap, count: blockCount) {
        bits[$0 >> 6] & 1 << UInt64($0 & 63) != 0
      }
      let range = run.inodes.range(of: group)
      let first = group * geometry.inodesPerGroup + 1
      var used = [Bool](repeating: false, count: Int(geometry.inodesPerGroup))
      var directories: UInt16 = 0
      for position in range {
        used[Int(run.inodes.entries[position].number - first)] = true
        if run.inodes.entries[position].directory != UsedInodes.none { directories += 1 }
      }
      let usedInodes = try writeBitmap(place.inodeBitmap, count: used.count) { used[$0] }
      freeBlocks += UInt64(blockCount - usedBlocks)
      freeInodes += UInt64(used.count - usedInodes)
      let offset = descriptorOffset(group)
      try store(UInt16(clamping: blockCount - usedBlocks), at: offset + 12)
      try store(UInt16(clamping: used.count - usedInodes), at: offset + 14)
      try store(directories, at: offset + 16)
    }
    try store(UInt32(clamping: freeBlocks), at: 1024 + 12)
    try store(UInt32(clamping: freeInodes), at: 1024 + 16)
  }

  /// Writes a bitmap of `count` bits and its padding where it differs. Returns how many of the bits are set.
  private func writeBitmap(_ block: UInt32, count: Int, _ isUsed: (Int) -> Bool) throws(VolumeBytesError) -> Int {
    let start = UInt64(block) << UInt64(geometry.blockSizeLog2)
    let before = try bytes(at: start, count: geometry.blockSize)
    var after = [UInt8](repeating: 0xFF, count: geometry.blockSize)
    var used = 0
    for bit in 0..<count {
      if isUsed(bit) { used += 1 } else { after[bit >> 3] &= ~(1 << UInt8(bit & 7)) }
    }
    if after != before { try volume.write(unsafe after.span.bytes, at: start) }
    return used
  }

  /// Says in the superblock that the volume is clean and was checked.
  func markChecked() throws(VolumeBytesError) {
    try store(UInt16(1), at: 1024 + 58)
    try store(UInt16(0), at: 1024 + 52)
    try store(time, at: 1024 + 64)
  }

  // MARK: Places

  private func inodeOffset(_ number: UInt32) -> UInt64 {
    let group = (number - 1) / geometry.inodesPerGroup
    let table = UInt64(run.layout.places[Int(group)].inodeTable) << UInt64(geometry.blockSizeLog2)
    return table + UInt64((number - 1) % geometry.inodesPerGroup) * UInt64(geometry.inodeSize)
  }

  private func descriptorOffset(_ group: UInt32) -> UInt64 {
    let block = geometry.descriptorBlock(group / geometry.descriptorsPerBlock, superblock: geometry.firstDataBlock)
    return block << UInt64(geometry.blockSizeLog2)
      + UInt64(group % geometry.descriptorsPerBlock) * UInt64(GroupDescriptor.byteCount)
  }

  private func entryOffset(_ finding: CheckFinding) -> UInt64 {
    UInt64(finding.block ?? 0) << UInt64(geometry.blockSizeLog2) + UInt64(finding.offset ?? 0)
  }

  private func bytes(at offset: UInt64, count: Int) throws(VolumeBytesError) -> [UInt8] {
    var result: [UInt8] = []
    try volume.lendBytes(at: offset, count: count, buffer: TransferBuffer()) { result = $0.copy(at: 0, count: count) }
    return result
  }

  private func load<T: FixedWidthInteger & BitwiseCopyable>(at offset: UInt64) throws(VolumeBytesError) -> T {
    var value: T = 0
    try volume.lendBytes(at: offset, count: MemoryLayout<T>.size, buffer: TransferBuffer()) {
      value = $0.integer(at: 0)
    }
    return value
  }

  private func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: UInt64) throws(VolumeBytesError) {
    let bytes = (0..<MemoryLayout<T>.size).map { UInt8(truncatingIfNeeded: value >> T(8 * $0)) }
    try volume.write(unsafe bytes.span.bytes, at: offset)
  }
}
