/// What a range of a file maps to.
public enum Mapping: Equatable, Sendable {
  /// Pages on contiguous blocks, from the one asked for on.
  case mapped(DiskBlock, count: Int)
  /// That many pages, from the one asked for on, have no block.
  case hole(count: Int)
}

/// What the page cache needs to know of a file system: where the pages of one inode live. Confined to the reactor.
public protocol BlockMapper: AnyObject {
  /// The block sequence: moved by every allocation and free in the inode's block tree, in the step that links or clears
  /// the pointer; never reset.
  var blockSequence: UInt64 { get }
  /// Moved, with the block sequence, by frees only.
  var freeSequence: UInt64 { get }
  /// Where the pages from `index` on live, at most `limit` of them. May read the device. What it found was true at some
  /// moment between call and return: a caller that keeps it compares the block sequence.
  func lookUp(_ index: PageIndex, limit: Int) async throws(PageCacheError) -> Mapping
  /// As `lookUp`, from what is in memory alone, in one step; nil where that needs a read.
  func lookUpCached(_ index: PageIndex, limit: Int) -> Mapping?
}

/// The block sequence as it was *before* an extent was looked up. While the inode's sequence still equals it, nothing in
/// the block tree has changed since, so the extent is true.
///
/// Sampled before the lookup it is on the safe side: a change during the lookup makes the extent look stale, at the
/// price of another lookup. Sampled after it, the change would go unnoticed. (ext2's `i_blkseq` in "ext2: Implement seq
/// counter for validating cached iomap", RFC of 2024-04-25, and its review by Jan Kara; `iomap::validity_cookie`.)
public struct ValidityCookie: Equatable, Sendable {
  /// The block sequence at the sample.
  public let blockSequence: UInt64
  /// The free sequence at the sample: only to tell the cause of staleness.
  public let freeSequence: UInt64

  /// Samples the inode's sequences.
  public init(sampling mapper: any BlockMapper) {
    blockSequence = mapper.blockSequence
    freeSequence = mapper.freeSequence
  }

  /// Whether nothing has changed in the inode's block tree since the sample.
  public func isCurrent(_ mapper: any BlockMapper) -> Bool { blockSequence == mapper.blockSequence }
}

/// Contiguous pages on contiguous blocks, with the cookie it was sampled under. It keeps that cookie for as long as it
/// is kept, and never gets a newer one.
public struct MappedExtent: Sendable {
  /// The first page.
  public let index: PageIndex
  /// The block it lives on.
  public let block: DiskBlock
  /// How many pages.
  public let count: Int
  /// The sequence before the lookup.
  public let cookie: ValidityCookie

  /// Whether it says where `index` lives.
  public func covers(_ index: PageIndex) -> Bool {
    index >= self.index && index.rawValue - self.index.rawValue < UInt64(count)
  }
  /// Where `index` lives; only for pages it covers.
  public func block(of index: PageIndex) -> DiskBlock { block + index.distance(from: self.index) }
  /// The first page it does not cover.
  public var end: PageIndex { index + count }
}
