/// One option of a job: its names, how its value is read, what it is when nobody gives it, and what it does.
///
/// `JobOption.all` is the only list of options. Parsing, `--help`, the errors, and the command that repeats a run are all
/// driven by it.
package struct JobOption: Sendable {
  /// The identity of an option; its raw value is the name it is written with.
  package enum Name: String, CaseIterable, Sendable, Hashable {
    case name, description, target, filename, directory
    case fileCount = "nrfiles"
    case filenameFormat = "filename_format"
    case fileService = "file_service_type"
    case rw
    case readPercent = "rwmixread"
    case writePercent = "rwmixwrite"
    case randomPercent = "percentage_random"
    case fileOperations = "fs_ops"
    case blockSize = "bs"
    case blockSizeRange = "bsrange"
    case blockSizeSplit = "bssplit"
    case blockAlign = "blockalign"
    case size
    case ioSize = "io_size"
    case operationCount = "number_ios"
    case loops, offset
    case offsetIncrement = "offset_increment"
    case distribution = "random_distribution"
    case runtime
    case timeBased = "time_based"
    case rampTime = "ramp_time"
    case startDelay = "startdelay"
    case stonewall
    case newGroup = "new_group"
    case exitAll = "exitall"
    case exitAllOnError = "exitall_on_error"
    case rate
    case rateIOPS = "rate_iops"
    case rateProcess = "rate_process"
    case steadyState = "steadystate"
    case steadyDuration = "steadystate_duration"
    case steadyRamp = "steadystate_ramp_time"
    case thinkTime = "thinktime"
    case thinkTimeSpin = "thinktime_spin"
    case thinkTimeBlocks = "thinktime_blocks"
    case thinkTimeCount = "thinktime_blocks_type"
    case depth = "iodepth"
    case batchSubmit = "iodepth_batch"
    case batchCompleteMin = "iodepth_batch_complete_min"
    case batchCompleteMax = "iodepth_batch_complete_max"
    case lowDepth = "iodepth_low"
    case serializeOverlap = "serialize_overlap"
    case copies = "numjobs"
    case engine = "ioengine"
    case direct, buffered, sync
    case continueOnError = "continue_on_error"
    case maxLatency = "max_latency"
    case refillBuffers = "refill_buffers"
    case zeroBuffers = "zero_buffers"
    case randomRepeat = "randrepeat"
    case thread, invalidate
    case reapInUserSpace = "userspace_reap"
    case randomSeed = "randseed"
    case noRandomMap = "norandommap"
    case fsync, fdatasync
    case endFsync = "end_fsync"
    case groupReporting = "group_reporting"
    case logAverage = "log_avg_msec"
    case writeBandwidthLog = "write_bw_log"
    case writeLatencyLog = "write_lat_log"
    case writeIOPSLog = "write_iops_log"
    case perJobLogs = "per_job_logs"
    case logOffset = "log_offset"
    case logMaximum = "log_max_value"
    case verify
    case verifyPattern = "verify_pattern"
    case doVerify = "do_verify"
    case verifyOnly = "verify_only"
    case verifyBacklog = "verify_backlog"
    case verifyBacklogBatch = "verify_backlog_batch"
    case verifyFatal = "verify_fatal"
    case verifyInterval = "verify_interval"
    case verifyAsync = "verify_async"
    case trimPercentage = "trim_percentage"
    case trimVerifyZero = "trim_verify_zero"
    case trimBacklog = "trim_backlog"
    case trimBacklogBatch = "trim_backlog_batch"
    case verifyStateSave = "verify_state_save"
    case verifyStateLoad = "verify_state_load"
    case percentileList = "percentile_list"
    case submissionPercentiles = "slat_percentiles"
    case completionPercentiles = "clat_percentiles"
    case totalPercentiles = "lat_percentiles"
    case queueDepth = "queue_depth"
    case writeIOLog = "write_iolog"
    case readIOLog = "read_iolog"
    case replayNoStall = "replay_no_stall"
    case replayTimeScale = "replay_time_scale"
    case replayRedirect = "replay_redirect"
    case replayScale = "replay_scale"
    case replayAlign = "replay_align"
    case replaySkip = "replay_skip"
    case image
    case imageSize = "image_size"
    case age
    case coldStart = "cold_start"
    case writeback, frees, allocation
    case cacheSize = "cache_size"
    case dirtyLimit = "dirty_limit"
    case dirtyBackground = "dirty_background"
    case writebackBatch = "wb_batch"
    case failedPages = "failed_pages"
  }

  /// How the text of a value is read.
  package enum Kind: Sendable, Equatable {
    /// Any text that is not empty.
    case text
    /// Names with colons between them, none empty, none twice; a backslash makes a colon part of a name.
    case names
    /// Bytes, with a suffix k, m, g or t.
    case bytes(ClosedRange<UInt64>)
    /// A duration, with a suffix us, ms, s, m, h or d; seconds without one.
    case duration
    case integer(ClosedRange<UInt64>)
    case boolean
    case choice([String])
    /// Percentages with colons between them; decimals are allowed. The value counts millionths of a percent.
    case percentages(count: Int)
    /// Operations with their weights: `write:40,append:20`.
    case mix
    /// Bytes, or a percentage of what there is.
    case bytesOrPercent(ClosedRange<UInt64>)
    /// Numbers for reads, writes and trims, with commas between; one that is left out is the default.
    case integers(ClosedRange<UInt64>)
    /// The same with bytes.
    case bytesEach(ClosedRange<UInt64>)
    /// Ranges of bytes: `4k-64k`.
    case byteRanges(ClosedRange<UInt64>)
    /// Sizes with their shares: `4k/60:64k/40`.
    case splits(ClosedRange<UInt64>)
    /// A duration; microseconds without a suffix, where fio has them so.
    case microseconds
    /// A pattern, perhaps with a number behind a colon.
    case pattern
    case distribution
    /// When a rate is steady.
    case steadiness
    /// How blocks are verified.
    case verification
    /// Bytes to fill blocks with.
    case fillPattern
    /// Some of these words, with commas between.
    case words([String])
    /// What the names of log files begin with; by default the job's name.
    case logName

    /// What stands behind `=` in the help.
    package var unit: String {
      switch self {
      case .text: "NAME"
      case .names: "NAME[:NAME…]"
      case .bytes: "BYTES"
      case .duration: "TIME"
      case .integer: "N"
      case .boolean: "0|1"
      case .choice(let names): names.joined(separator: "|")
      case .percentages(let count): count == 1 ? "PERCENT" : "PERCENT[:PERCENT…]"
      case .mix: "OPERATION:WEIGHT,…"
      case .bytesOrPercent: "BYTES|N%"
      case .integers: "N[,N[,N]]"
      case .bytesEach: "BYTES[,BYTES[,BYTES]]"
      case .byteRanges: "BYTES-BYTES[,…]"
      case .splits: "BYTES/PERCENT:…[,…]"
      case .microseconds: "TIME"
      case .pattern: "PATTERN[:N]"
      case .distribution: "LAW"
      case .steadiness: "iops|bw|iops_slope|bw_slope:N[%]"
      case .verification: VerifyMethod.allCases.map(\.rawValue).joined(separator: "|")
      case .fillPattern: "BYTES"
      case .words(let names): names.joined(separator: "|") + ",…"
      case .logName: "[NAME]"
      }
    }
  }

  package let name: Name
  /// Other spellings: fio's, and `seed`, which is the name of the seed in every verb.
  package let aliases: [String]
  package let kind: Kind
  /// The value when nobody gives one, written as a user would; nil when there is none, or when it depends on others.
  package let defaultText: String?
  package let help: String

  init(_ name: Name, _ kind: Kind, default defaultText: String? = nil, aliases: [String] = [], _ help: String) {
    self.name = name
    self.aliases = aliases
    self.kind = kind
    self.defaultText = defaultText
    self.help = help
  }

  /// The option of this name.
  package static func option(_ name: Name) -> JobOption { all[index[name]!] }

  /// The option that is written so, by its name or an alias.
  package static func named(_ spelling: String) -> JobOption? {
    all.first { $0.name.rawValue == spelling || $0.aliases.contains(spelling) }
  }

  private static let index = Dictionary(uniqueKeysWithValues: all.enumerated().map { ($1.name, $0) })
}
