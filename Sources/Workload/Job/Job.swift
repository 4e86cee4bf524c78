package import Ext2
package import PageCache

/// One job with every option read, defaulted and typed: what a runner executes.
///
/// A job says what is offered to the device or the volume; how it went is in the report. Two jobs that are equal offer
/// the same load when they run with the same seed.
package struct Job: Sendable, Equatable {
  package var name: String
  package var target: Target
  /// The backing file, or files in the volume's root directory; empty when none is named (see `fileNames(copy:)`).
  package var namedFiles: [String]
  /// Direction and order. Without meaning when `mix` is given.
  package var pattern: AccessPattern
  /// Of a job on files: choose operations by weight, instead of following `pattern`.
  package var mix: OperationMix?
  /// Bytes of one operation.
  package var blockSize: Int
  /// Bytes of all files of the job together; nil means all that the device or the file has.
  package var size: UInt64?
  /// When to stop, in nanoseconds; nil when `size` alone decides.
  package var runtimeNanoseconds: UInt64?
  /// Go on until the run time has passed, even when `size` has been done.
  package var isTimeBased: Bool
  /// Operations in flight for each copy.
  package var depth: Int
  /// How many copies of the job run beside each other (`numjobs`).
  package var copies: Int
  package var engine: Engine
  /// Whether the backing file, or the volume's image, is opened with O_DIRECT.
  package var isDirect: Bool
  /// Nil until somebody has chosen one (`Workload.seeded(with:)`).
  package var randomSeed: UInt64?
  /// Whether random offsets may repeat before all have been used (`norandommap`).
  package var offsetsMayRepeat: Bool
  /// Fsync after so many writes; 0 for never.
  package var fsyncEvery: UInt32
  /// Fdatasync after so many writes; 0 for never.
  package var fdatasyncEvery: UInt32
  package var fsyncsAtEnd: Bool
  package var reportsAsGroup: Bool
  /// Requests that the device may have in flight.
  package var queueDepth: Int
  /// The volume of a job on files; nil for a job on a device.
  package var volume: VolumeOptions?

  /// The files of one copy of the job: those that `filename` names, which all copies share, or, as in fio,
  /// `NAME.COPY.0`. A job on a device that is no file has none.
  package func fileNames(copy: Int) -> [String] {
    if !namedFiles.isEmpty || target == .device { return namedFiles }
    return ["\(name).\(copy).0"]
  }

  /// What each file of the job may grow to: its share of `size`, in whole blocks.
  package var bytesPerFile: UInt64? {
    size.map { bytes in
      let share = bytes / UInt64(max(1, namedFiles.count))
      return share - share % UInt64(blockSize)
    }
  }

  /// Whether the job changes what it works on.
  package var writes: Bool {
    guard let mix else { return pattern.writes }
    return mix.contains(.write) || mix.contains(.append) || mix.contains(.truncate)
  }
}

/// What a volume is and how it is mounted. All jobs of a run that work on files share one.
package struct VolumeOptions: Sendable, Equatable {
  /// The image; nil for a scratch image, which is made for the run.
  package var image: String?
  /// Bytes of the scratch image; nil to have it follow from the jobs (`Workload.scratchImageBytes`).
  package var imageBytes: UInt64?
  package var writeback: WritebackPolicyName
  package var frees: FreesName
  package var allocation: AllocationPolicyName
  /// Bytes of cached pages.
  package var cacheBytes: UInt64
  /// Dirty bytes at which writers wait. At most `cacheBytes`.
  package var dirtyLimitBytes: UInt64
  /// Dirty bytes at which background writeback begins. At most `dirtyLimitBytes`.
  package var dirtyBackgroundBytes: UInt64
  /// Bytes of one write batch at most.
  package var batchBytes: Int
  package var failedPages: FailedPagesChoice
}
