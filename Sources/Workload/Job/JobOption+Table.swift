internal import Ext2
internal import PageCache

extension JobOption {
  /// Sizes of blocks and requests: an `Int` on every platform, and what one request could carry at most.
  private static let blockSizes: ClosedRange<UInt64> = 1...(1 << 30)
  /// Sizes of files and images: what an ext2 volume or a file offset can hold, with room to add.
  private static let fileSizes: ClosedRange<UInt64> = 0...(1 << 60)

  /// Every option of a job, in the order of the help. Defaults are fio's where fio has the option.
  package static let all: [JobOption] = [
    JobOption(.name, .text, "the job's name; on the command line it begins a new job"),
    JobOption(
      .target, .choice(Target.allCases.map(\.rawValue)), default: "dev", "the raw device, or files of a volume"),
    JobOption(.description, .text, "a remark, which the report shows"),
    JobOption(
      .filename, .names,
      "target=dev: the backing file; target=fs: files in the volume's root directory, by default one for each copy; "
        + "\\: is a colon in a name"),
    JobOption(
      .directory, .names,
      "target=dev: the folder of files that have no path of their own; of several between colons each copy in turn has one, "
        + "but files that are named have the first"),
    JobOption(
      .fileCount, .integer(1...65536), default: "1", aliases: ["nr_files"], "files of each copy when none is named"),
    JobOption(
      .filenameFormat, .text, default: Job.usualFilenameFormat,
      "the names of files when none is named, with $jobname, $jobnum (the copy) and $filenum"),
    JobOption(
      .fileService, .choice(FileService.allCases.map(\.rawValue)), default: "roundrobin",
      "which of the files is next"),
    JobOption(
      .rw, .pattern, default: "read", aliases: ["readwrite"],
      "direction and order of the job's operations: " + AccessPattern.allCases.map(\.rawValue).joined(separator: ", ")
        + "; behind a colon: of a random pattern, how many follow each other before an offset is drawn; of a sequential "
        + "one, the bytes that are skipped after each"),
    JobOption(.readPercent, .integer(0...100), default: "50", "of a mixed pattern, the percentage of reads"),
    JobOption(.writePercent, .integer(0...100), "the same by the percentage of writes; the last one given counts"),
    JobOption(
      .randomPercent, .integers(0...100), default: "100", "of a random pattern, the percentage of drawn offsets"),
    JobOption(
      .fileOperations, .mix,
      "target=fs: instead of rw, choose by weight among write (overwrite a block), append, truncate (to a random size, "
        + "down and up), fsync, read, create (one of the copy's files that is not there), unlink and rename (onto the name of "
        + "one that is not there)"),
    JobOption(.blockSize, .bytesEach(blockSizes), default: "4k", aliases: ["blocksize"], "bytes of one operation"),
    JobOption(
      .blockSizeRange, .byteRanges(blockSizes), aliases: ["blocksize_range"],
      "instead of bs: multiples of the first size up to the second"),
    JobOption(
      .blockSizeSplit, .splits(blockSizes), "instead of bs: sizes with the percentage of operations that have them"),
    JobOption(
      .blockAlign, .bytesEach(blockSizes), aliases: ["ba"],
      "random offsets are multiples of it; by default of the smallest block"),
    JobOption(
      .size, .bytesOrPercent(0...fileSizes.upperBound),
      "bytes that the job works on, shared evenly among its files; by default all of the device or file"),
    JobOption(
      .ioSize, .bytesOrPercent(0...fileSizes.upperBound), aliases: ["io_limit"],
      "bytes to transfer in all, or a part of size; by default as many as size"),
    JobOption(.operationCount, .integer(0...UInt64(Int.max)), "end after so many operations"),
    JobOption(.loops, .integer(1...1_000_000_000), default: "1", "do it all so many times"),
    JobOption(
      .offset, .bytesOrPercent(0...fileSizes.upperBound), default: "0", aliases: ["fileoffset"],
      "where in each file the job begins"),
    JobOption(
      .offsetIncrement, .bytesOrPercent(0...fileSizes.upperBound), default: "0",
      "each further copy of the job begins so much further"),
    JobOption(
      .distribution, .distribution, default: "random",
      "which offsets a random pattern prefers: random, zipf:THETA, pareto:H, normal:DEVIATION (percent), "
        + "zoned:ACCESS/SIZE:… (percent), zoned_abs:ACCESS/BYTES:…, hotspot:ACCESS/SIZE (percent; ours)"),
    JobOption(
      .runtime, .duration, default: "0", aliases: ["timeout"], "stop after this time; 0: when size has been done"),
    JobOption(.timeBased, .boolean, default: "0", "go on until runtime, even when size has been done"),
    JobOption(
      .rampTime, .duration, default: "0", "run so long before anything counts; runtime begins after it"),
    JobOption(.startDelay, .duration, default: "0", "begin so much later"),
    JobOption(
      .stonewall, .boolean, default: "0", aliases: ["wait_for_previous"],
      "begin when all jobs before this one have ended, in a group of its own"),
    JobOption(.newGroup, .boolean, default: "0", "report in a group of its own, with the jobs that follow"),
    JobOption(.exitAll, .boolean, default: "0", "when this job ends the others end too"),
    JobOption(.exitAllOnError, .boolean, default: "0", "when this job fails the others end too"),
    JobOption(.rate, .bytesEach(0...fileSizes.upperBound), "bytes a second at most; 0: no limit"),
    JobOption(
      .rateIOPS, .integers(0...1_000_000_000),
      "operations a second at most; the latency from the intended start is reported too"),
    JobOption(
      .rateProcess, .choice(RateProcess.allCases.map(\.rawValue)), default: "linear",
      "when those begin: at equal distances, or as independent users come"),
    JobOption(
      .steadyState, .steadiness, aliases: ["ss"],
      "end when operations (iops) or bytes (bw) a second are steady over ss_dur: none further from the mean than this, or, "
        + "by slope, the line through them no steeper"),
    JobOption(
      .steadyDuration, .duration, default: "0", aliases: ["ss_dur"], "the window of steadystate, in whole seconds"),
    JobOption(.steadyRamp, .duration, default: "0", aliases: ["ss_ramp"], "seconds that do not count for steadystate"),
    JobOption(.thinkTime, .microseconds, default: "0", "pause so long after thinktime_blocks operations"),
    JobOption(.thinkTimeSpin, .microseconds, default: "0", "for so much of the pause keep the processor busy"),
    JobOption(.thinkTimeBlocks, .integer(1...UInt64(UInt32.max)), default: "1", "operations between two pauses"),
    JobOption(
      .thinkTimeCount, .choice(ThinkTimeCount.allCases.map(\.rawValue)), default: "complete",
      "whether they count when they begin, or when they end: then one is in flight at a time, as with fio"),
    JobOption(.depth, .integer(1...65536), default: "1", "operations in flight for each copy of the job"),
    JobOption(
      .batchSubmit, .integer(0...65536), default: "0", aliases: ["iodepth_batch_submit"],
      "target=dev: operations that go to the device at once; 0: as many as may begin"),
    JobOption(
      .batchCompleteMin, .integer(0...65536), default: "1", aliases: ["iodepth_batch_complete"],
      "target=dev: completions to wait for before more begins"),
    JobOption(
      .batchCompleteMax, .integer(0...65536), "no effect: all completions that are there are taken"),
    JobOption(
      .lowDepth, .integer(0...65536), "target=dev: when iodepth is reached, let it fall to this before more begins"),
    JobOption(
      .serializeOverlap, .boolean, default: "0", "target=dev: an operation waits for those in flight on the same bytes"),
    JobOption(.copies, .integer(1...4096), default: "1", "copies of the job that run beside each other"),
    JobOption(
      .engine, .choice(Engine.allCases.map(\.rawValue)), default: "libaio",
      "a Linux file through libaio, memory, nothing, or the simulated reactor and disk"),
    JobOption(.direct, .boolean, default: "0", "open the backing file or the image with O_DIRECT"),
    JobOption(.buffered, .boolean, "the opposite of direct"),
    JobOption(
      .sync, .choice(["0", "1"] + WriteSync.allCases.map(\.rawValue)), default: "none",
      "target=dev: sync and dsync make each write durable by itself, by forced unit access"),
    JobOption(
      .continueOnError, .choice(["0", "1"] + ErrorTolerance.allCases.map(\.rawValue)), default: "none",
      "go on after errors of reads, of writes, of both (io, all, 1), or never"),
    JobOption(.maxLatency, .microseconds, default: "0", "an operation that takes longer ends the job with an error"),
    JobOption(
      .refillBuffers, .boolean, default: "0", "target=dev: new random bytes for each write; by default once"),
    JobOption(.zeroBuffers, .boolean, default: "0", "target=dev: write zeroes"),
    JobOption(
      .randomSeed, .integer(0...UInt64.max), aliases: ["seed"],
      "seed of everything that is drawn (--seed is the same); without it a new one, which the report names"),
    JobOption(
      .randomRepeat, .boolean, aliases: ["allrandrepeat"],
      "1: the same seed each time where none is given; 0: a new one, as by default"),
    JobOption(.noRandomMap, .boolean, default: "0", "random offsets may repeat before all have been used"),
    JobOption(.thread, .boolean, "no effect: jobs are threads here"),
    JobOption(.invalidate, .boolean, "no effect: nothing of a file is cached before a run"),
    JobOption(.reapInUserSpace, .boolean, "no effect: completions are always reaped in user space"),
    JobOption(.fsync, .integer(0...UInt64(UInt32.max)), default: "0", "fsync after every N writes; 0: never"),
    JobOption(.fdatasync, .integer(0...UInt64(UInt32.max)), default: "0", "fdatasync after every N writes; 0: never"),
    JobOption(.endFsync, .boolean, default: "0", "fsync when the job ends"),
    JobOption(.groupReporting, .boolean, default: "0", "report all jobs of a group as one, under the first one's name"),
    JobOption(
      .logAverage, .integer(0...3_600_000), default: "0",
      "milliseconds of one entry of the figures over time, which the JSON report then has, and of write_bw_log and its kin; "
        + "0: none, and a line for each operation. Where the report would have more than 8192 entries, each stands for twice "
        + "as long, as often as need be; bin_ns in it says for how long"
    ),
    JobOption(
      .writeBandwidthLog, .logName,
      "write what each copy transfers to NAME_bw.N.log, with N its number in the run: milliseconds, KiB/s, 0, 1 or 2 for a "
        + "read, write or trim, bytes, 0; without NAME the job's name"),
    JobOption(
      .writeLatencyLog, .logName,
      "the same with latencies in nanoseconds: NAME_slat.N.log, NAME_clat.N.log, NAME_lat.N.log"),
    JobOption(.writeIOPSLog, .logName, "the same with operations a second: NAME_iops.N.log"),
    JobOption(
      .perJobLogs, .boolean, default: "1", "0: all copies write to one file, whose name has no number: NAME_bw.log"),
    JobOption(.logOffset, .boolean, default: "0", "these logs have the offset, before the last column"),
    JobOption(
      .logMaximum, .boolean, default: "0", "with log_avg_msec they have the longest latency, not the mean"),
    JobOption(
      .verify, .verification,
      "target=dev: give each block a header and a checksum (meta: the header alone), and compare what is read: a "
        + "job that writes reads back at its end, one that only reads expects the blocks of an earlier run"),
    JobOption(
      .verifyPattern, .fillPattern,
      "fill blocks with 0xHEX, a number, \"TEXT\", or %o, which is the offset of the block; by default with bytes that tell "
        + "where they belong"),
    JobOption(.doVerify, .boolean, default: "1", "read back and compare when the job has done its work"),
    JobOption(
      .verifyOnly, .boolean, default: "0",
      "write nothing, and compare with what an earlier run of the same job has left"),
    JobOption(
      .verifyBacklog, .integer(0...UInt64(UInt32.max)), default: "0", "compare after every N writes; 0: at the end"),
    JobOption(
      .verifyBacklogBatch, .integer(1...UInt64(UInt32.max)), "of these, so many; by default all"),
    JobOption(.verifyFatal, .boolean, default: "0", "the first mismatch ends the job"),
    JobOption(
      .verifyInterval, .bytes(512...(1 << 30)), aliases: [],
      "bytes from one header to the next; by default the most that fits all blocks of the job"),
    JobOption(.verifyAsync, .integer(0...4096), "no effect: blocks are compared where they are read"),
    JobOption(
      .trimPercentage, .integer(0...100), default: "0", "of the writes that verify, trim so many afterwards, in percent"
    ),
    JobOption(
      .trimVerifyZero, .boolean, default: "1", "what was trimmed so must read as zeroes; 0: it may be anything"),
    JobOption(
      .trimBacklog, .integer(0...UInt64(UInt32.max)), default: "0", "trim after every N writes; 0: at the end"),
    JobOption(
      .trimBacklogBatch, .integer(0...UInt64(UInt32.max)), "then so many blocks, the oldest first; by default N"),
    JobOption(
      .verifyStateSave, .boolean, default: "1",
      "ioengine=libaio: what is expected goes to local-JOB-N-verify.state, at the end and after flushes"),
    JobOption(
      .verifyStateLoad, .boolean, default: "0",
      "compare with that state: blocks that a flush has covered must be there, later ones may"),
    JobOption(
      .percentileList, .percentages(count: 20), "the percentiles to report; by default 1 to 99.999 in 18 steps"),
    JobOption(.submissionPercentiles, .boolean, default: "0", "report percentiles of submission latencies"),
    JobOption(.completionPercentiles, .boolean, default: "1", "report percentiles of completion latencies"),
    JobOption(.totalPercentiles, .boolean, default: "0", "report percentiles of total latencies"),
    JobOption(.queueDepth, .integer(1...65536), default: "128", "requests that the device may have in flight"),
    JobOption(
      .writeIOLog, .text,
      "target=dev: write what each copy does as an iolog of version 3, which read_iolog and fio replay; with more copies "
        + "than one NAME.COPY"),
    JobOption(
      .readIOLog, .names,
      "target=dev: replay a log instead of rw, bs and size: an iolog of version 2 or 3, or a log of writes; copies of the "
        + "job take the logs in turn"),
    JobOption(
      .replayNoStall, .boolean, default: "0", "replay as fast as iodepth allows, whatever the times in the log"),
    JobOption(
      .replayTimeScale, .integer(1...1_000_000), default: "100", "percent: at 200 a replay takes half its time"),
    JobOption(.replayRedirect, .text, "replay all onto this file or device, whatever the log names"),
    JobOption(.replayScale, .integer(1...UInt64(UInt32.max)), default: "1", "divide the offsets of a log by it"),
    JobOption(
      .replayAlign, .bytes(512...blockSizes.upperBound),
      "move the offsets of a log down to multiples of this power of two"),
    JobOption(
      .replaySkip, .words(SkippedOperation.allCases.map(\.rawValue)), "leave these operations of a log out"),
    JobOption(
      .image, .text,
      "target=fs: the volume; without it a scratch image below TMPDIR or /tmp, "
        + "removed afterwards unless --keep"),
    JobOption(
      .imageSize, .bytes((1 << 20)...fileSizes.upperBound),
      "size of the scratch image; by default big enough for all jobs and a quarter more, at least 256m"),
    JobOption(
      .age, .integer(1...95),
      "target=fs: before the run, fill the volume with small files, and remove some, until so many percent of it are in use "
        + "and free space is in pieces; the seed decides"),
    JobOption(
      .coldStart, .boolean, default: "0", "target=fs: begin with nothing of the volume in memory"),
    JobOption(
      .writeback, .choice(WritebackPolicyName.allCases.map(\.rawValue)), default: "cookie",
      "how writeback maps pages: cached extents with a validity cookie, each page alone, or admission first"),
    JobOption(
      .frees, .choice(FreesName.allCases.map(\.rawValue)), default: "plain",
      "a freed block may be reused once no write to it is out, or also once its release is durable"),
    JobOption(
      .allocation, .choice(AllocationPolicyName.allCases.map(\.rawValue)), default: "first-fit",
      "where new blocks are looked for: from the start of the file's group, or after the last block that was taken"),
    JobOption(
      .cacheSize, .bytes((1 << 20)...fileSizes.upperBound), default: "64m", "memory for the pages of files"),
    JobOption(
      .dirtyLimit, .bytes((64 << 10)...fileSizes.upperBound),
      "dirty bytes at which writers wait; by default half of cache_size"),
    JobOption(
      .dirtyBackground, .bytes(0...fileSizes.upperBound),
      "dirty bytes at which background writeback begins; by default half of dirty_limit"),
    JobOption(.writebackBatch, .bytes(1024...(1 << 30)), default: "1m", "bytes of one write batch at most"),
    JobOption(
      .failedPages, .choice(FailedPagesChoice.allCases.map(\.rawValue)), default: "dirty",
      "a page that cannot be written stays dirty and is tried again, or is marked clean, as Linux does, and is lost"),
  ]
}
