// Where a file lives: for experiments and for messages that name the owner of a block.
internal import Ext2Format
internal import PageCache
internal import Reactor

/// Contiguous blocks of a file on contiguous blocks of the disk.
public struct FileExtent: Equatable, Sendable {
  /// The first block, counted from the start of the file.
  public let fileBlock: UInt64
  /// Where it lives, counted from the start of the volume.
  public let diskBlock: UInt64
  /// How many blocks.
  public let count: Int

  /// Whether it holds that block of the disk.
  public func contains(diskBlock block: UInt64) -> Bool {
    block >= diskBlock && block - diskBlock < UInt64(count)
  }
}

extension File {
  /// Where the file's data lives, in ascending order, without its pointer blocks; holes are left out. True at some
  /// moment between call and return only if nobody changes the file meanwhile.
  public func extents() async throws(Ext2Error) -> [FileExtent] {
    try await volume.reactor.run { () async throws(Ext2Error) in try await volume.extents(handle) }
  }
}

extension Volume {
  func extents(_ handle: Int) async throws(Ext2Error) -> [FileExtent] {
    try await beginCall()
    defer { core.calls.leave() }
    let inode = core.inodes.reference(try file(handle).inode)
    defer { core.inodes.release(inode) }
    let blockSize = UInt64(inode.blockSize)
    var extents: [FileExtent] = []
    var bound = WalkBound(inode, core.groups.layout)
    var index: UInt64 = 0
    while index * blockSize < inode.byteCount {
      let mapping: Mapping
      do { mapping = try await inode.tree.lookUp(PageIndex(index), limit: Int.max) } catch { throw Ext2Error(error) }
      switch try await notingCorruption({ () async throws(Ext2Error) in try bound.passed(mapping) }) {
      case .hole(let count): index += UInt64(max(1, count))
      case .mapped(let block, let count):
        extents.append(FileExtent(fileBlock: index, diskBlock: block.rawValue, count: count))
        index += UInt64(max(1, count))
      }
    }
    return extents
  }
}

/// Ends a walk along a file whose pointer blocks point to each other: it would go on for as many blocks as a file can have.
private struct WalkBound {
  private let inode: InodeNumber
  private let blockLimit: Int
  private let stepLimit: Int
  private var blockCount = 0
  private var stepCount = 0

  init(_ inode: Inode, _ layout: VolumeLayout) {
    self.inode = inode.number
    // No block belongs to a file twice. Each step but one passes an entry of a pointer block, and those are blocks, too.
    blockLimit = Int(layout.blockCount)
    stepLimit = blockLimit * (layout.blockSize / 4 + 1)
  }

  /// Counts what a lookup has found, and returns it.
  mutating func passed(_ mapping: Mapping) throws(Ext2Error) -> Mapping {
    stepCount += 1
    if case .mapped(_, let count) = mapping { blockCount += count }
    guard blockCount <= blockLimit, stepCount <= stepLimit else {
      throw Ext2Error(
        FormatError.invalid(
          .inode, at: .inode(inode), field: "i_block", value: UInt64(max(blockCount, stepCount)),
          why: "the file has more blocks than the volume"))
    }
    return mapping
  }
}

/// The modes of fallocate(2).
public struct FallocateMode: OptionSet, Sendable {
  public let rawValue: Int32
  public init(rawValue: Int32) { self.rawValue = rawValue }
  /// The file keeps its size (FALLOC_FL_KEEP_SIZE).
  public static let keepSize = FallocateMode(rawValue: 0x1)
  /// The range becomes a hole; with `keepSize` only (FALLOC_FL_PUNCH_HOLE).
  public static let punchHole = FallocateMode(rawValue: 0x2)
  /// The range is cut out (FALLOC_FL_COLLAPSE_RANGE); not in ext2.
  public static let collapseRange = FallocateMode(rawValue: 0x8)
  /// The range reads as zeroes and has blocks (FALLOC_FL_ZERO_RANGE).
  public static let zeroRange = FallocateMode(rawValue: 0x10)
  /// A hole is put in between (FALLOC_FL_INSERT_RANGE); not in ext2.
  public static let insertRange = FallocateMode(rawValue: 0x20)
  /// Blocks shared with other files become the file's own (FALLOC_FL_UNSHARE_RANGE); not in ext2.
  public static let unshareRange = FallocateMode(rawValue: 0x40)
}

/// What `File.seek` looks for.
public enum SeekTarget: Sendable {
  /// Bytes in a block (SEEK_DATA).
  case data
  /// Bytes in no block (SEEK_HOLE).
  case hole
}

extension Volume {
  func seek(_ handle: Int, _ what: SeekTarget, from offset: UInt64) async throws(Ext2Error) -> UInt64 {
    try await beginCall()
    defer { core.calls.leave() }
    let inode = core.inodes.reference(try file(handle).inode)
    defer { core.inodes.release(inode) }
    let blockSize = UInt64(inode.blockSize)
    var position = offset
    var bound = WalkBound(inode, core.groups.layout)
    // The size is taken anew after each suspension.
    while position < inode.byteCount {
      let mapping: Mapping
      do { mapping = try await inode.tree.lookUp(PageIndex(position / blockSize), limit: Int.max) } catch {
        throw Ext2Error(error)
      }
      let count: Int
      let passed = try await notingCorruption { () async throws(Ext2Error) in try bound.passed(mapping) }
      switch (passed, what) {
      case (.mapped, .data), (.hole, .hole): return position
      case (.mapped(_, let blocks), .hole), (.hole(let blocks), .data): count = blocks
      }
      position = (position / blockSize + UInt64(max(1, count))) * blockSize
    }
    guard what == .hole, offset < inode.byteCount else { throw .noSuchOffset(offset) }
    return inode.byteCount
  }
}

extension Inode {
  func fallocate(
    _ mode: FallocateMode, _ range: Range<UInt64>, mayUseReservedBlocks: Bool
  ) async throws(Ext2Error) {
    guard type == .regular else { throw .notARegularFile("inode \(number)") }
    switch mode {
    case [.punchHole, .keepSize]: try await punch(range)
    case .zeroRange, [.zeroRange, .keepSize]:
      // Whatever the mode (fs/open.c, vfs_fallocate).
      guard range.upperBound <= sizeLimit else {
        throw .fileTooLarge(byteCount: range.upperBound, limit: sizeLimit)
      }
      let end = mode.contains(.keepSize) ? min(range.upperBound, max(byteCount, range.lowerBound)) : range.upperBound
      guard range.lowerBound < end else { return }
      let count = end - range.lowerBound
      let done = try await write(
        .zeroes(count), at: range.lowerBound, mayUseReservedBlocks: mayUseReservedBlocks,
        keepsSize: mode.contains(.keepSize))
      if done < count { throw .noSpace }
    case [] where range.upperBound > sizeLimit:
      throw .fileTooLarge(byteCount: range.upperBound, limit: sizeLimit)
    case []: try await allocate(range, mayUseReservedBlocks: mayUseReservedBlocks, keepsSize: false)
    case .keepSize where range.upperBound <= byteCount:
      try await allocate(range, mayUseReservedBlocks: mayUseReservedBlocks, keepsSize: true)
    default: throw .notSupported("fallocate with mode 0x\(String(mode.rawValue, radix: 16))")
    }
  }
}
