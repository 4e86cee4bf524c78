internal import Ext2Format

/// The right of one operation to pin so many metadata blocks, obtained before any lock: so nobody ever waits for a slot
/// while holding what others wait for.
final class MetadataTicket {
  private let cache: MetadataCache
  /// Blocks it may still pin.
  fileprivate(set) var remaining: Int
  private var pinned: [MetadataBlock] = []
  /// Whether the operation may take blocks that are reserved.
  var mayUseReservedBlocks = true

  init(_ cache: MetadataCache, _ count: Int) {
    self.cache = cache
    remaining = count
    pinned.reserveCapacity(8)
  }

  /// Holds a block in memory until the ticket ends. A block that could have left the cache uses up a slot.
  func pin(_ block: MetadataBlock) {
    if !block.isCountedUnevictable {
      precondition(remaining > 0, "an operation pins more metadata than it reserved")
      remaining -= 1
      cache.reservedCount -= 1
    }
    block.pinCount += 1
    cache.recount(block)
    pinned.append(block)
  }

  /// Lets go of a block that turned out not to be needed.
  func unpin(_ block: MetadataBlock) {
    guard let index = pinned.lastIndex(where: { $0 === block }) else { return }
    pinned.remove(at: index)
    release(block)
    // A block that was forgotten meanwhile has given its slot up, so the slot comes back too.
    if !block.isCountedUnevictable {
      remaining += 1
      cache.reservedCount += 1
    }
  }

  private func release(_ block: MetadataBlock) {
    block.pinCount -= 1
    cache.recount(block)
  }

  /// Ends every pin and gives back what was not used.
  func end() {
    for block in pinned { release(block) }
    pinned.removeAll()
    cache.reservedCount -= remaining
    remaining = 0
    cache.grantTickets()
  }
}
