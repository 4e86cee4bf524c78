internal import BlockDevice
package import PageCache
internal import Reactor
internal import SystemPackage

/// Where the pages of one toy file live: an array in memory that behaves as a tree of pointer blocks would, some of
/// which have to be read first. Confined to the reactor.
package final class ToyBlockMap: BlockMapper {
  /// Where a script stops a lookup.
  package enum HoldPoint: Sendable {
    /// Before anything is found: what it returns will be true at its end.
    case beforeFinding
    /// After it was found: what it returns was true at its beginning.
    case afterFinding
  }

  package private(set) var blockSequence: UInt64 = 0
  package private(set) var freeSequence: UInt64 = 0
  /// Stops the next lookup.
  package var holdNext: HoldPoint?
  /// Lookups that are stopped.
  package private(set) var heldCount = 0
  /// Pages whose pointer block cannot be read.
  package var failingPages: Range<Int> = 0..<0
  /// Leaves (`page / leafPageCount`) that are not in memory until a lookup has read them.
  package var missingLeaves: [Int] = []
  /// Lookups so far.
  package private(set) var lookUpCount = 0

  private var blocks: [Int?] = []
  private let options: ToyOptions
  private let reactor: Reactor
  private var random: SeededGenerator
  private let held: WaitQueue

  init(_ options: ToyOptions, _ reactor: Reactor, random: SeededGenerator) {
    self.options = options
    self.reactor = reactor
    self.random = random
    held = WaitQueue(reactor, "a held lookup")
  }

  /// The block of a page, if it has one.
  package subscript(page: Int) -> Int? { page < blocks.count ? blocks[page] : nil }
  /// Pages that the map reaches to.
  package var pageCount: Int { blocks.count }

  /// Links a block: part of the step that makes its page dirty.
  package func link(_ block: Int, at page: Int) {
    while blocks.count <= page { blocks.append(nil) }
    blocks[page] = block
    blockSequence += 1
  }

  /// Clears the pointers in a range and returns what they were: part of the step that detaches the pages.
  func unlink(_ range: Range<Int>) -> [(page: Int, block: Int)] {
    var dropped: [(page: Int, block: Int)] = []
    for page in range.clamped(to: 0..<blocks.count) {
      if let block = blocks[page] { dropped.append((page, block)) }
      blocks[page] = nil
    }
    if !dropped.isEmpty {
      blockSequence += 1
      freeSequence += 1
    }
    return dropped
  }

  /// Lets held lookups go on.
  package func releaseLookUps() { held.wakeAll() }

  package func lookUp(_ index: PageIndex, limit: Int) async throws(PageCacheError) -> Mapping {
    lookUpCount += 1
    var found: Mapping?
    if let point = holdNext {
      holdNext = nil
      if point == .afterFinding { found = find(index, limit) }
      heldCount += 1
      await held.wait()
      heldCount -= 1
    } else if random.oneIn(options.lookUpReadsOneIn) {
      // What it finds is true at its beginning or at its end.
      if random.oneIn(2) { found = find(index, limit) }
      await reactor.sleep(until: reactor.now.advanced(byNanoseconds: UInt64(1 + random.below(50_000))))
    }
    let page = Int(clamping: index.rawValue)
    if failingPages.contains(page) {
      throw .device(.io(.read, offset: index.rawValue, .ioError))
    }
    missingLeaves.removeAll { $0 == page / options.leafPageCount }
    return found ?? find(index, limit)
  }

  package func lookUpCached(_ index: PageIndex, limit: Int) -> Mapping? {
    let page = Int(clamping: index.rawValue)
    if missingLeaves.contains(page / options.leafPageCount) || random.oneIn(options.lookUpMissesOneIn) { return nil }
    return find(index, limit)
  }

  private func find(_ index: PageIndex, _ limit: Int) -> Mapping {
    let page = Int(clamping: index.rawValue)
    let most = min(limit, options.leafPageCount - page % options.leafPageCount)
    var count = 1
    guard let first = self[page] else {
      while count < most, self[page + count] == nil { count += 1 }
      return .hole(count: count)
    }
    while count < most, self[page + count] == first + count { count += 1 }
    return .mapped(DiskBlock(UInt64(first)), count: count)
  }
}
