internal import DequeModule
internal import Ext2Format

/// Attribute blocks that a further inode may share, by the hash of their attributes: what mbcache is in the kernel.
///
/// Limits: the `limit` blocks that were noted last; of those with one hash `candidateLimit` are looked at. What it says is
/// a hint: whoever shares a block compares all of it, in the step in which he takes it.
struct ShareableBlocks {
  static let limit = 512
  static let candidateLimit = 8

  /// Bare numbers: to compare typed ones here costs several times as much.
  private var noted: Deque<(block: UInt32, hash: UInt32)> = []

  /// Notes a block; one that was noted before stays where it is, with its new hash.
  mutating func insert(_ block: BlockNumber, hash: UInt32) {
    if let index = index(of: block) {
      noted[index].hash = hash
      return
    }
    if noted.count >= Self.limit { noted.removeFirst() }
    noted.append((block.rawValue, hash))
  }

  /// Forgets a block: it is full, or freed.
  mutating func remove(_ block: BlockNumber) {
    if let index = index(of: block) { noted.remove(at: index) }
  }

  private func index(of block: BlockNumber) -> Int? {
    let number = block.rawValue
    return noted.firstIndex { $0.block == number }
  }

  /// Whether a block is noted with a hash.
  func contains(_ block: BlockNumber, hash: UInt32) -> Bool {
    index(of: block).map { noted[$0].hash == hash } ?? false
  }

  /// Blocks with a hash, those noted last first.
  func candidates(hash: UInt32) -> [BlockNumber] {
    noted.reversed().lazy.filter { $0.hash == hash }.prefix(Self.candidateLimit).map {
      BlockNumber(rawValue: $0.block)
    }
  }
}
