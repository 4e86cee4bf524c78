/// One check of one volume: what the passes leave to each other.
///
/// A struct, so that the compiler sees that nobody else changes it; its arrays keep their memory for the next check.
struct CheckRun {
  let reader = BlockReader()
  var geometry: CheckGeometry!
  var layout = GroupLayout()
  var blocks = UsedBlocks()
  var inodes = UsedInodes()
  var directories: [DirectoryRecord] = []
  var directoryBlocks: [DirectoryBlockRecord] = []
  /// Of each attribute block how many inodes it says share it that were not met yet.
  var attributeBlocks: [UInt32: Int64] = [:]
  /// Those that are wrong, which each inode that shares them is told of.
  var wrongAttributeBlocks: [UInt32: WrongAttribute] = [:]
  var names = NameTable()
  var regions = ByteRegions()
  var index = HashIndexCheck()
  var report = CheckReport()
  /// Blocks in `directoryBlocks` that something else had claimed.
  var sharedDirectoryBlocks: UInt32 = 0
  /// Whether some regular file needs the `large_file` feature.
  var hasLargeFile = false
  private var keptFindings = 0
  private var progress: ((Double) -> Void)?

  /// A directory: where its blocks are listed, and what the entries say.
  struct DirectoryRecord {
    let inode: UInt32
    /// The directory with an entry for it; 0 while none was met.
    var parent: UInt32 = 0
    /// Where its ".." points; 0 while it was not met.
    var dotDot: UInt32 = 0
    /// The first of its blocks in `directoryBlocks`.
    let firstBlock: Int
    /// How many the list has.
    var blockCount: Int
    /// File blocks up to the last one; more than are listed when there are holes.
    var fileBlockCount: Int64
    var isConnected = false
  }

  /// A block of a directory.
  struct DirectoryBlockRecord {
    let block: UInt32
    let fileBlock: UInt32
  }

  mutating func check(
    _ volume: any VolumeBytes, _ options: VolumeChecker.Options, _ progress: ((Double) -> Void)?
  ) throws(CheckFailure) -> CheckReport {
    reader.volume = volume
    defer { reader.volume = nil }
    self.progress = progress
    keptFindings = options.keptFindings
    report = CheckReport()
    directories.removeAll(keepingCapacity: true)
    directoryBlocks.removeAll(keepingCapacity: true)
    if !attributeBlocks.isEmpty { attributeBlocks.removeAll(keepingCapacity: true) }
    if !wrongAttributeBlocks.isEmpty { wrongAttributeBlocks.removeAll() }
    hasLargeFile = false
    sharedDirectoryBlocks = 0
    inodes.reset()

    try openVolume(options)
    if checkSuperblock() {
      blocks.reset(geometry, deviceBlocks: reader.byteCount >> UInt64(geometry.blockSizeLog2))
      names.reset(blockSize: geometry.blockSize)
      checkInodes()
      checkDirectories()
      checkConnectivity()
      checkLinks()
      checkBitmaps()
    }
    countStatistics()
    let result = report
    report = CheckReport()
    self.progress = nil
    return result
  }

  /// Enters a finding, and keeps it while there is room.
  @inline(never)
  mutating func add(_ finding: CheckFinding) {
    switch finding.kind.weight {
    case .note: report.noteCount += 1
    case .mendable: report.errorCount += 1
    case .serious:
      report.errorCount += 1
      report.seriousCount += 1
    }
    if report.findings.count < keptFindings { report.findings.append(finding) }
  }

  /// Tells how far a pass is. The passes weigh as in e2fsck's progress bar: 70, 20, 2, 3 and 5 percent.
  func show(_ begin: Double, _ weight: Double, _ done: UInt32, of total: UInt32) {
    progress?(begin + weight * Double(done) / Double(max(1, total)))
  }

  private mutating func countStatistics() {
    report.statistics.blockSize = geometry.blockSize
    report.statistics.inodeCount = UInt64(geometry.inodeCount)
    report.statistics.blockCount = UInt64(geometry.blockCount)
    report.statistics.isMarkedClean = geometry.state & 1 != 0
    report.statistics.isMarkedWithErrors = geometry.state & 2 != 0
  }
}
