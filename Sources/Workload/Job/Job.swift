package import Ext2
package import PageCache

/// One job with every option read, defaulted and typed: what a runner executes.
///
/// A job says what is offered to the device or the volume; how it went is in the report. Two jobs that are equal offer
/// the same load when they run with the same seed.
package struct Job: Sendable, Equatable {
  package var name: String
  package var target: Target
  /// A remark; nil without one.
  package var remark: String?
  /// The backing file, or files in the volume's root directory; empty when none is named (see `fileNames(copy:)`).
  package var namedFiles: [String]
  /// Where files without a path of their own are, of a job on devices.
  package var directories: [String]
  /// The names of files when none is named.
  package var filenameFormat: String
  /// How many files each copy has when none is named.
  package var fileCount: Int
  package var load: Load
  /// Of a job on files: choose operations by weight, instead of following the load's pattern.
  package var mix: OperationMix?
  /// Bytes of all files of the job together; nil means all that the device or the file has, or `sizePercent` of it.
  package var size: UInt64?
  package var sizePercent: UInt64?
  package var schedule: Schedule
  package var queueing: Queueing
  /// How many copies of the job run beside each other (`numjobs`).
  package var copies: Int
  package var engine: Engine
  /// Whether the backing file, or the volume's image, is opened with O_DIRECT.
  package var isDirect: Bool
  /// Nil until somebody has chosen one (`WorkloadPlan.seeded(with:)`).
  package var randomSeed: UInt64?
  /// How durable each write is by itself.
  package var writeSync: WriteSync
  package var tolerance: ErrorTolerance
  /// An operation that takes longer, in nanoseconds, ends the job; nil: none does.
  package var maximumLatency: UInt64?
  package var buffers: BufferContents
  /// Fsync after so many writes; 0 for never.
  package var fsyncEvery: UInt32
  /// Fdatasync after so many writes; 0 for never.
  package var fdatasyncEvery: UInt32
  package var fsyncsAtEnd: Bool
  package var reportsAsGroup: Bool
  /// Nanoseconds of one entry of the figures over time; nil: none were asked for.
  package var seriesNanoseconds: UInt64?
  /// Of a job on devices: how blocks are verified; nil: not at all.
  package var verify: VerifyOptions?
  package var percentiles: Percentiles
  /// Requests that the device may have in flight.
  package var queueDepth: Int
  /// What the job replays; nil: it follows its pattern.
  package var replay: Replay?
  /// Where it is logged what the job does; nil: nowhere.
  package var iologPath: String?
  /// The logs of its operations.
  package var logging: OperationLogging
  /// The volume of a job on files; nil for a job on a device.
  package var volume: VolumeOptions?

  /// The files of one copy of the job: those that `filename` names, which all copies share, or, as in fio,
  /// `NAME.COPY.NUMBER`, or what `filename_format` says. Devices that are no files have the job's name, and all copies share them too.
  package func fileNames(copy: Int) -> [String] {
    if target == .device && engine != .libaio { return namedFiles.isEmpty ? [name] : namedFiles }
    let names = namedFiles.isEmpty ? generatedNames(copy: copy) : namedFiles
    guard !directories.isEmpty, target == .device else { return names }
    let directory = directories[namedFiles.isEmpty ? copy % directories.count : 0]
    return names.map { $0.hasPrefix("/") ? $0 : "\(directory)/\($0)" }
  }

  static let usualFilenameFormat = "$jobname.$jobnum.$filenum"

  /// Without a keyword that tells them apart several files are one.
  private func generatedNames(copy: Int) -> [String] {
    if filenameFormat == Self.usualFilenameFormat { return (0..<fileCount).map { "\(name).\(copy).\($0)" } }
    var names: [String] = []
    for number in 0..<fileCount {
      // The job's name last: what looks like a keyword in it is none.
      let text = filenameFormat.replacing("$filenum", with: "\(number)").replacing("$jobnum", with: "\(copy)")
        .replacing("$jobname", with: name)
      if names.last != text { names.append(text) }
    }
    return names
  }

  /// How many files each copy works on.
  package var filesPerCopy: Int { fileNames(copy: 0).count }

  /// The smallest and the largest block of any operation.
  package var smallestBlock: Int { blockSizes.map(\.smallest).min() ?? 0 }
  package var largestBlock: Int { blockSizes.map(\.largest).max() ?? 0 }
  private var blockSizes: [BlockSizes] { load.directions(withMix: mix).map { load.blockSizes[$0] } }

  /// Whether its files are written before it begins: those of a job that reads, or overwrites only.
  var needsContents: Bool { mix.map { !$0.contains(.append) && !$0.contains(.truncate) } ?? load.pattern.reads }

  /// What each file of the job may grow to: its share of `size`, in whole blocks.
  package var bytesPerFile: UInt64? {
    size.map { bytes in
      let share = bytes / UInt64(max(1, filesPerCopy))
      return share - share % UInt64(smallestBlock)
    }
  }

  /// Whether the job changes what it works on.
  package var writes: Bool {
    if verify?.isOnly == true { return false }
    guard let mix else { return load.pattern.writes }
    return mix.weights.contains { $0.operation != .read && $0.operation != .fsync }
  }
}

/// What the operations are: their direction, their sizes and where they go.
package struct Load: Sendable, Equatable {
  /// Direction and order. Without meaning when a job has a mix.
  package var pattern: AccessPattern
  /// Of a random pattern, how many operations follow each other before an offset is drawn; of a sequential one, the bytes
  /// skipped after each. Nil: one, or none.
  package var patternModifier: UInt64?
  /// Of a mixed pattern, the percentage of reads.
  package var readPercent: Int
  /// Of a random pattern, the percentage of offsets that are drawn.
  package var randomPercent: PerDirection<Int>
  package var blockSizes: PerDirection<BlockSizes>
  /// Random offsets are multiples of it; nil: of the smallest block.
  package var blockAlign: PerDirection<Int?>
  package var distribution: OffsetDistribution
  /// Whether random offsets may repeat before all have been used (`norandommap`).
  package var offsetsMayRepeat: Bool
  package var fileService: FileService
  /// Where in each file the job begins, and how much further each copy does.
  package var offset: Extent
  package var offsetIncrement: Extent

  /// Bytes, or a part of what there is.
  package enum Extent: Sendable, Equatable {
    case bytes(UInt64)
    case percent(UInt64)

    /// In bytes of a whole of so many.
    package func bytes(of whole: UInt64) -> UInt64 {
      switch self {
      case .bytes(let bytes): bytes
      case .percent(let percent): whole.multipliedFullWidth(by: percent).high > 0 ? whole : whole * percent / 100
      }
    }
  }

  /// The directions in which bytes go.
  func directions(withMix mix: OperationMix?) -> [Direction] {
    if mix != nil { return [.read, .write] }
    switch pattern {
    case .read, .randomRead: return [.read]
    case .write, .randomWrite, .writeZeroes, .randomWriteZeroes: return [.write]
    case .trim, .randomTrim: return [.trim]
    case .mixed, .randomMixed: return [.read, .write]
    case .trimWrite, .randomTrimWrite: return [.write, .trim]
    case .flush: return [.read]
    }
  }
}

/// When the operations of a job begin, and when it ends.
package struct Schedule: Sendable, Equatable {
  /// When to stop, in nanoseconds; nil when the size alone decides.
  package var runtimeNanoseconds: UInt64?
  /// Go on until the run time has passed, even when everything has been done.
  package var isTimeBased: Bool
  /// Bytes to transfer in all; nil: as many as the job's size.
  package var ioBytes: UInt64?
  /// The same in percent of what the job works on; nil where bytes say it, or nothing does.
  package var ioPercent: UInt64?
  /// End after so many operations; nil: as many as that takes.
  package var operationCount: UInt64?
  /// Do it all so many times.
  package var loops: UInt64
  /// Run so long before anything counts, in nanoseconds.
  package var rampNanoseconds: UInt64
  /// Begin so much later, in nanoseconds.
  package var startDelayNanoseconds: UInt64
  /// Begin when all jobs before have ended.
  package var waitsForPrevious: Bool
  /// Begins a reporting group.
  package var beginsGroup: Bool
  /// The end of this job, or its failure, ends the others.
  package var endsOthers: Bool
  package var endsOthersOnError: Bool
  /// Bytes, and operations, a second at most; nil: as many as can be.
  package var bytesPerSecond: PerDirection<UInt64?>
  package var operationsPerSecond: PerDirection<UInt64?>
  package var rateProcess: RateProcess
  package var thinkTime: ThinkTime
  /// End when the rate is steady; nil: it is not looked at.
  package var steadyState: SteadyState?

  /// The pauses of a job.
  package struct ThinkTime: Sendable, Equatable {
    package var nanoseconds: UInt64
    /// For so much of it the processor is kept busy.
    package var spinNanoseconds: UInt64
    /// Operations between two pauses.
    package var operationCount: UInt64
    package var counts: ThinkTimeCount

    /// Whether nothing begins before what is in flight has ended: with fio too, pauses that count what has ended leave one
    /// operation in flight, whatever the depth.
    var isOneAtATime: Bool { nanoseconds > 0 && counts == .complete }
  }

  /// Whether operations have an intended start.
  package var hasRate: Bool {
    Direction.allCases.contains { bytesPerSecond[$0] != nil || operationsPerSecond[$0] != nil }
  }
}

/// How many operations are in flight, and how they go to the device.
package struct Queueing: Sendable, Equatable {
  /// Operations in flight for each copy.
  package var depth: Int
  /// Operations that go to the device at once; 0: as many as may begin.
  package var batchSubmit: Int
  /// Completions to wait for before more begins.
  package var batchCompleteMin: Int
  /// When the depth is reached, let it fall to this before more begins; nil: one less.
  package var lowDepth: Int?
  /// An operation waits for those in flight on the same bytes.
  package var serializesOverlap: Bool
}

/// What is written where nothing is verified.
package enum BufferContents: Sendable, Equatable {
  /// Drawn once, and changed a little for each write, as with fio's `scramble_buffers`.
  case randomOnce
  /// Drawn for each write.
  case random
  case zeroes
}

/// What a volume is and how it is mounted. All jobs of a run that work on files share one.
package struct VolumeOptions: Sendable, Equatable {
  /// The image; nil for a scratch image, which is made for the run.
  package var image: String?
  /// Bytes of the scratch image; nil to have it follow from the jobs (`Workload.scratchImageBytes`).
  package var imageBytes: UInt64?
  /// How full the volume is made before the run, in percent, with free space in pieces; nil: it stays as it is.
  package var agePercent: Int?
  /// Begin with nothing of the volume in memory.
  package var startsCold: Bool
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
