package import Ext2
package import PageCache

extension WritebackCounters {
  /// Bytes of a batch, on average, rounded down; nil without a batch.
  package var meanBatchBytes: UInt64? { batches == 0 ? nil : bytes / batches }
}

/// What reached the device: requests dispatched, after merging.
package struct DeviceFigures: Sendable, Equatable {
  package var reads: UInt64 = 0
  package var writes: UInt64 = 0
  package var flushes: UInt64 = 0
  package var discards: UInt64 = 0
  package var readBytes: UInt64 = 0
  package var writeBytes: UInt64 = 0
  /// Requests that went along with one that they were adjacent to.
  package var merges: UInt64 = 0
  /// Waits for a place in the queue, and how long they took together.
  package var admissionWaits: UInt64 = 0
  package var admissionWaitNanoseconds: UInt64 = 0
  /// System calls to submit and to complete requests, and those to sleep until something happens.
  package var systemCalls: UInt64 = 0
  /// How often the kernel had no room for a submission (EAGAIN).
  package var requeues: UInt64 = 0
  /// Completions of requests that the device did not have.
  package var spuriousCompletions: UInt64 = 0

  package init() {}
}

/// What a volume did beside writeback, between mount and unmount.
package struct VolumeFigures: Sendable, Equatable {
  /// Pages of files, and blocks of metadata, that were wanted.
  package var pages = CacheCounters()
  package var metadata = CacheCounters()
  package var dirtyTime = DirtyTime()
  /// Bytes that the jobs gave to write, and bytes that were queued for the device by kind of block.
  package var givenBytes: UInt64 = 0
  package var written = WrittenBytes()

  package init() {}

  init(_ counters: VolumeCounters, givenBytes: UInt64) {
    pages = counters.pages
    metadata = counters.metadata
    dirtyTime = counters.dirtyTime
    written = counters.written
    self.givenBytes = givenBytes
  }

  /// All that was queued for the device, in thousandths of what was given to write; nil when nothing was.
  package var amplificationPermille: UInt64? { givenBytes == 0 ? nil : written.total * 1000 / givenBytes }
  /// How long a page was dirty on average; nil when none became durable.
  package var meanDirtyNanoseconds: UInt64? {
    dirtyTime.pages == 0 ? nil : dirtyTime.totalNanoseconds / dirtyTime.pages
  }
}

/// How full the queue of a job on devices was, counted in fio's classes.
package struct QueueFigures: Sendable, Equatable {
  /// Operations by how many were in flight with them: 1, 2 and 3, 4 to 7, … 64 and more; the eighth is unused. Vectors,
  /// because an array counts its references at each change.
  package var depths = SIMD8<UInt64>.zero
  /// Rounds by how many operations began, or had ended: none, 1 to 4, 5 to 8, … more than 64.
  package var begun = SIMD8<UInt64>.zero
  package var completed = SIMD8<UInt64>.zero

  package init() {}

  @inline(__always)
  mutating func noteDepth(_ depth: Int) { depths[min(6, Int.bitWidth - 1 - max(1, depth).leadingZeroBitCount)] += 1 }

  mutating func noteRound(begun: Int, completed: Int) {
    self.begun[Self.place(begun)] += 1
    self.completed[Self.place(completed)] += 1
  }
  private static func place(_ count: Int) -> Int {
    // 5 to 8 are three bits of 4 to 7.
    count == 0 ? 0 : count <= 4 ? 1 : min(6, Int.bitWidth - 1 - (count - 1).leadingZeroBitCount)
  }

  mutating func add(_ other: QueueFigures) {
    depths &+= other.depths
    begun &+= other.begun
    completed &+= other.completed
  }
}

/// What the comparison with the written data covered.
package struct VerifyFigures: Sendable, Equatable {
  /// Bytes compared, all comparisons together.
  package var bytes: UInt64
  /// Blocks that differed, which may be more than the findings name.
  package var mismatches: UInt64
  /// Bytes that are older than what was written last, which no flush covers: after a power cut. Nil where that was not
  /// found.
  package var unflushedBytes: UInt64?

  package init(bytes: UInt64, mismatches: UInt64) {
    self.bytes = bytes
    self.mismatches = mismatches
  }
}

/// One thing that did not hold, and where.
package struct Finding: Sendable, Equatable {
  /// What kind of promise was broken. Raw values stand in reports.
  package enum Kind: String, CaseIterable, Sendable {
    case contentMismatch = "content mismatch"
    case sizeMismatch = "size mismatch"
    case fileMissing = "file missing"
    case fileUnexpected = "file that should not be there"
    case checkFailed = "e2fsck"
    case invariantFailed = "invariant"
    case ioError = "I/O error"

    package var exitCode: ExitCode {
      switch self {
      case .contentMismatch, .sizeMismatch, .fileMissing, .fileUnexpected: .verificationMismatch
      case .checkFailed, .invariantFailed: .invariantFailed
      case .ioError: .jobError
      }
    }
  }

  package var kind: Kind
  /// When it was found, or by whom: `after remount`, `e2fsck`.
  package var context: String?
  package var file: String?
  /// The byte in the file.
  package var offset: UInt64?
  package var expected: String?
  package var found: String?
  /// The disk block that holds what was found.
  package var block: UInt64?
  /// Who owns that block now; nil when nobody does, or nobody asked.
  package var blockOwner: String?

  package init(
    _ kind: Kind, context: String? = nil, file: String? = nil, offset: UInt64? = nil, expected: String? = nil,
    found: String? = nil, block: UInt64? = nil, blockOwner: String? = nil
  ) {
    self.kind = kind
    self.context = context
    self.file = file
    self.offset = offset
    self.expected = expected
    self.found = found
    self.block = block
    self.blockOwner = blockOwner
  }
}
