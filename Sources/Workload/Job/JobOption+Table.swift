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
    JobOption(
      .filename, .names,
      "target=dev: the backing file; target=fs: files in the volume's root directory, by default one for each copy; "
        + "\\: is a colon in a name"),
    JobOption(
      .rw, .choice(AccessPattern.allCases.map(\.rawValue)), default: "read", aliases: ["readwrite"],
      "direction and order of the job's reads and writes"),
    JobOption(
      .fileOperations, .mix,
      "target=fs: instead of rw, choose by weight among write (overwrite a block), append, truncate (to a random size, "
        + "down and up), fsync and read"),
    JobOption(.blockSize, .bytes(blockSizes), default: "4k", aliases: ["blocksize"], "bytes of one operation"),
    JobOption(
      .size, .bytes(0...fileSizes.upperBound),
      "bytes that the job works on, shared evenly among its files; by default all of the device or file"),
    JobOption(
      .runtime, .duration, default: "0", aliases: ["timeout"], "stop after this time; 0: when size has been done"),
    JobOption(.timeBased, .boolean, default: "0", "go on until runtime, even when size has been done"),
    JobOption(.depth, .integer(1...65536), default: "1", "operations in flight for each copy of the job"),
    JobOption(.copies, .integer(1...4096), default: "1", "copies of the job that run beside each other"),
    JobOption(
      .engine, .choice(Engine.allCases.map(\.rawValue)), default: "libaio",
      "a Linux file through libaio, memory, nothing, or the simulated reactor and disk"),
    JobOption(.direct, .boolean, default: "0", "open the backing file or the image with O_DIRECT"),
    JobOption(
      .randomSeed, .integer(0...UInt64.max), aliases: ["seed"],
      "seed of everything that is drawn (--seed is the same); without it a new one, which the report names"),
    JobOption(.noRandomMap, .boolean, default: "0", "random offsets may repeat before all have been used"),
    JobOption(.fsync, .integer(0...UInt64(UInt32.max)), default: "0", "fsync after every N writes; 0: never"),
    JobOption(.fdatasync, .integer(0...UInt64(UInt32.max)), default: "0", "fdatasync after every N writes; 0: never"),
    JobOption(.endFsync, .boolean, default: "0", "fsync when the job ends"),
    JobOption(.groupReporting, .boolean, default: "0", "report all copies of the job as one"),
    JobOption(.queueDepth, .integer(1...65536), default: "128", "requests that the device may have in flight"),
    JobOption(
      .image, .text,
      "target=fs: the volume; without it a scratch image below TMPDIR or /tmp, "
        + "removed afterwards unless --keep"),
    JobOption(
      .imageSize, .bytes((1 << 20)...fileSizes.upperBound),
      "size of the scratch image; by default big enough for all jobs and a quarter more, at least 256m"),
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
