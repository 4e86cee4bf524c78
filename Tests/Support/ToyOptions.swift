package import BlockDevice
package import PageCache

/// How a toy volume chooses a free block.
package enum ToyAllocator: String, Sendable, CaseIterable {
  /// The lowest free block. A page that is truncated and written again tends to get its old block back, which hides
  /// races.
  case firstFit
  /// The first free block after the latest one that was taken, all around the disk.
  case nextFit
  /// The block after the file's previous page, where that is free; else as `nextFit`.
  case contiguous
}

/// What a toy volume is made of. The page, the block and the device's logical block are one size.
package struct ToyOptions: Sendable {
  /// Blocks of the disk.
  package var blockCount = 48
  /// Bytes of a page and a block.
  package var pageByteCount = 512
  /// Files there are from the beginning, numbered from 0.
  package var fileCount = 3
  /// Pages one pointer block of a file maps: no lookup answers for more.
  package var leafPageCount = 8
  /// Which free block is taken.
  package var allocator = ToyAllocator.contiguous
  /// How writeback finds blocks.
  package var policy: any WritebackPolicy = CookiePolicy()
  /// Pages of the cache.
  package var cachePageCount = 64
  /// Pages that may be dirty.
  package var dirtyPageLimit = 32
  /// Dirty pages at which background writeback begins.
  package var backgroundPageCount = 16
  /// Pages of the largest write batch.
  package var batchPageLimit = 16
  /// Requests at the device at once.
  package var tagCount = 4
  /// Requests that have a place in the queue.
  package var placeCount = 16
  /// Whether the queue merges adjacent requests by offset.
  package var order = RequestQueue.Order.ascending
  /// When a request counts as timed out, in nanoseconds.
  package var timeoutNanoseconds: UInt64?
  /// One lookup in this many reads its pointer block from the disk; 0: none does.
  package var lookUpReadsOneIn = 0
  /// One lookup from memory in this many finds its pointer block missing; 0: none does.
  package var lookUpMissesOneIn = 0
  /// Whether freed blocks are discarded before they can be taken again.
  package var discardsFreedBlocks = false
  /// Marks failed pages clean, as Linux does.
  package var marksFailedPagesClean = false
  /// Rules that are switched off: mutants.
  package var switchedOff: SwitchedOffRules = []
  /// Whether background writeback runs.
  package var runsBackground = true
  /// Whether what the disk would keep at a power cut is compared with what fsync promised.
  package var checksDurability = true
  /// Ends a run that goes on for an hour of virtual time. It hides what a deadlock waits for, so only mutants have it.
  package var isWatched: Bool { !switchedOff.isEmpty }

  /// The defaults: nothing is random, everything is roomy.
  package init() {}
}

/// Why an operation on a toy volume did not succeed.
package enum ToyError: Error, Equatable {
  /// No block is free and none is pending.
  case noSpace
  /// The file was removed.
  case noSuchFile
  /// A condition that a script waits for did not come about.
  case neverHappened(String)
}
