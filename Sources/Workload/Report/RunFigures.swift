/// What writeback did between mount and unmount.
package struct WritebackFigures: Sendable, Equatable {
  /// Write batches dispatched.
  package var batches: UInt64 = 0
  package var pages: UInt64 = 0
  package var bytes: UInt64 = 0
  package var largestBatchBytes: UInt64 = 0
  /// Extents looked up in the block tree.
  package var lookups: UInt64 = 0
  /// Batches discarded because a block of their inode was freed after their cookie was sampled.
  package var staleAfterFree: UInt64 = 0
  /// Batches discarded because of allocations only.
  package var staleAfterAllocation: UInt64 = 0
  /// Pages of discarded batches that were planned again.
  package var replannedPages: UInt64 = 0

  package init() {}

  /// Bytes of a batch, on average, rounded down; nil without a batch.
  package var meanBatchBytes: UInt64? { batches == 0 ? nil : bytes / batches }
  /// Batches discarded, whatever made them stale.
  package var staleBatches: UInt64 { staleAfterFree + staleAfterAllocation }
}

/// What reached the device: requests dispatched, after merging.
package struct DeviceFigures: Sendable, Equatable {
  package var reads: UInt64 = 0
  package var writes: UInt64 = 0
  package var flushes: UInt64 = 0
  package var discards: UInt64 = 0
  package var readBytes: UInt64 = 0
  package var writeBytes: UInt64 = 0
  /// Completions of requests that the device did not have.
  package var spuriousCompletions: UInt64 = 0

  package init() {}
}

/// What the comparison with the written data covered.
package struct VerifyFigures: Sendable, Equatable {
  /// Bytes compared, all comparisons together.
  package var bytes: UInt64
  /// Blocks that differed, which may be more than the findings name.
  package var mismatches: UInt64

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
