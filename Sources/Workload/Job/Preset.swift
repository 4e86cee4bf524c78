// The job files that come with the program. An installed program has no folder tools/jobs, so their text is here; a test
// compares them with the files there.

/// A job file that comes with the program (`--preset`).
package enum Preset: String, CaseIterable, Sendable {
  case randread4k
  case seqwrite
  case oltp
  case varmail
  case fileserver
  case appendLog = "append-log"
  case truncateStorm = "truncate-storm"
  case flushHeavy = "flush-heavy"

  /// The option that runs one.
  package static let option = "preset"

  func jobFile() throws(JobError) -> JobFile { try JobFile(path: "--\(Self.option)=\(rawValue)", text: text) }

  /// What is in tools/jobs.
  package var text: String {
    switch self {
    case .randread4k: Self.randread4kText
    case .seqwrite: Self.seqwriteText
    case .oltp: Self.oltpText
    case .varmail: Self.varmailText
    case .fileserver: Self.fileserverText
    case .appendLog: Self.appendLogText
    case .truncateStorm: Self.truncateStormText
    case .flushHeavy: Self.flushHeavyText
    }
  }

  private static let randread4kText = """
    ; Random reads of 4 KiB, 32 in flight: how many operations a second a device has.
    ;
    ;     tools/blkdev-run --preset=randread4k --filename=/dev/DEVICE
    [randread4k]
    ioengine=libaio
    rw=randread
    bs=4k
    iodepth=32
    direct=1
    size=256m
    runtime=5
    time_based

    """

  private static let seqwriteText = """
    ; One pass of large writes in order, durable at its end: how many bytes a second a device takes.
    [seqwrite]
    ioengine=libaio
    rw=write
    bs=1m
    iodepth=8
    direct=1
    size=256m
    end_fsync=1

    """

  private static let oltpText = """
    ; A database: pages of 8 KiB are read and written at random, hot ones more often, while a log grows, each record of which
    ; is durable before the next is written.
    [global]
    ioengine=libaio
    direct=1
    runtime=5
    time_based

    [pages]
    rw=randrw
    rwmixread=70
    random_distribution=zipf:1.1
    bs=8k
    iodepth=16
    size=256m

    [log]
    rw=write
    bs=4k
    fdatasync=1
    size=32m

    """

  private static let varmailText = """
    ; A mail server on an ext2 volume, after filebench's personality of that name: many small files, mails are appended and
    ; synced, read, and thrown away, and new ones come.
    [varmail]
    target=fs
    nrfiles=64
    size=4m
    bs=4k
    fs_ops=create:10,append:25,fsync:25,read:30,unlink:10
    numjobs=4
    runtime=5
    time_based
    group_reporting

    """

  private static let fileserverText = """
    ; A file server on an ext2 volume, after filebench's personality of that name: files of a megabyte are appended to, read and
    ; overwritten, come, go, and get other names.
    [fileserver]
    target=fs
    nrfiles=16
    size=16m
    bs=64k
    fs_ops=create:10,append:25,write:15,read:35,rename:5,unlink:10
    numjobs=4
    runtime=5
    time_based
    group_reporting

    """

  private static let appendLogText = """
    ; Two logs of an ext2 volume grow by records of 4 KiB; every tenth append is followed by an fsync.
    [append-log]
    target=fs
    fs_ops=append:10,fsync:1
    bs=4k
    size=16m
    numjobs=2
    group_reporting

    """

  private static let truncateStormText = """
    ; The truncate storm: several writers and truncators on the same files of one ext2 volume, while other files grow and
    ; take the blocks that truncation frees, and background writeback runs against all of them.
    ;
    ;     tools/blkdev-run tools/jobs/truncate-storm.fio
    ;
    ; The numbers make writeback meet changed block trees often, and make it visible when it does not notice:
    ;
    ; - Most of the cache is dirty (dirty_background of dirty_limit of cache_size) and batches are small, so that writeback
    ;   works through a file for a long time, with a wait for a place in the small queue before each batch.
    ; - Each shared file is cut some ten to sixty times a second. More often would wipe out what was written before anybody
    ;   could see where it went.
    ; - Files grow by 32 KiB at a time, and with next-fit allocation never into the blocks that they gave up: those go to
    ;   others.
    ; - A quarter of the data fits into the cache, and every job reads at random: what reached the wrong block, or no block,
    ;   is read from there soon, and compared.

    [global]
    target=fs
    direct=1
    image_size=48m
    allocation=next-fit
    runtime=10
    time_based
    group_reporting
    new_group
    bs=32k
    cache_size=10m
    dirty_limit=8m
    dirty_background=7m
    wb_batch=32k
    queue_depth=4

    ; Appends at the end, overwrites at random blocks inside. Four files of 2 MiB.
    [writers]
    filename=shared.0:shared.1:shared.2:shared.3
    size=8m
    numjobs=4
    iodepth=8
    fs_ops=write:5,append:60,read:34,fsync:1

    ; The same files, to a random size, down and up.
    [truncators]
    filename=shared.0:shared.1:shared.2:shared.3
    size=8m
    numjobs=2
    iodepth=2
    fs_ops=truncate:10,read:90

    ; Four other files of 4 MiB, which are rarely cut: what the truncators free is theirs next.
    [growers]
    filename=grower.0:grower.1:grower.2:grower.3
    size=16m
    numjobs=3
    iodepth=4
    fs_ops=append:45,read:53,truncate:1,fsync:1

    """

  private static let flushHeavyText = """
    ; Small writes of two writers, each of them flushed: what durability costs a device.
    [flush-heavy]
    ioengine=libaio
    rw=randwrite
    bs=4k
    fsync=1
    numjobs=2
    direct=1
    size=32m
    runtime=5
    time_based
    group_reporting

    """
}
