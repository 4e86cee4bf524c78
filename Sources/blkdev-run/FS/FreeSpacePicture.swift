internal import Ext2
internal import Ext2Format
internal import Workload

/// Where the free blocks of a volume are: a picture of it, the longest run, and how many runs there are of each size (as
/// e2freefrag counts them).
struct FreeSpacePicture {
  /// The most cells of the picture, and how many stand in a line.
  private static let cellLimit = 2048, lineLength = 64

  private let layout: VolumeLayout
  private let blocksPerCell: Int
  private var freeInCell: [Int]
  private var isAllMetadata: [Bool]
  /// A run that may go on in the next group.
  private var current: Range<UInt64>?
  private var longest: Range<UInt64> = 0..<0
  private var freeCount: UInt64 = 0
  private var runCount: UInt64 = 0
  /// Runs of 2^n to 2^(n+1) - 1 blocks, and the blocks in them.
  private var histogram: [(runs: UInt64, blocks: UInt64)] = []

  init(_ layout: VolumeLayout) {
    self.layout = layout
    var size = 1
    while Int(layout.blockCount) > size * Self.cellLimit { size *= 2 }
    blocksPerCell = size
    let count = (Int(layout.blockCount) + size - 1) / size
    freeInCell = [Int](repeating: 0, count: count)
    isAllMetadata = [Bool](repeating: false, count: count)
  }

  /// Takes the groups in their order.
  mutating func add(_ group: GroupInspection) {
    for run in group.freeBlocks {
      let range = UInt64(run.lowerBound.rawValue)..<UInt64(run.upperBound.rawValue)
      if let open = current, open.upperBound == range.lowerBound {
        current = open.lowerBound..<range.upperBound
      } else {
        endRun()
        current = range
      }
      var start = Int(range.lowerBound)
      while start < Int(range.upperBound) {
        let cell = start / blocksPerCell
        let end = min(Int(range.upperBound), (cell + 1) * blocksPerCell)
        freeInCell[cell] += end - start
        start = end
      }
    }
    // Cells that are nothing but an inode table, which is the one large thing of the volume's own.
    let table = Int(group.descriptor.inodeTable.rawValue), end = table + layout.inodeTableBlocksPerGroup
    var cell = (table + blocksPerCell - 1) / blocksPerCell
    while (cell + 1) * blocksPerCell <= end {
      isAllMetadata[cell] = true
      cell += 1
    }
  }

  /// After the last group.
  mutating func finish() { endRun() }

  private mutating func endRun() {
    guard let run = current.take() else { return }
    let count = run.upperBound - run.lowerBound
    let power = count.bitWidth - 1 - count.leadingZeroBitCount
    while histogram.count <= power { histogram.append((0, 0)) }
    histogram[power].runs += 1
    histogram[power].blocks += count
    runCount += 1
    freeCount += count
    if count > longest.upperBound - longest.lowerBound { longest = run }
  }

  private func character(_ cell: Int) -> Character {
    let size = min(blocksPerCell, Int(layout.blockCount) - cell * blocksPerCell)
    if freeInCell[cell] == 0 { return isAllMetadata[cell] ? "T" : "#" }
    if freeInCell[cell] == size { return "." }
    return freeInCell[cell] * 2 >= size ? "-" : "+"
  }

  var lines: [String] {
    var lines = [
      "Each character is \(blocksPerCell) block\(blocksPerCell == 1 ? "" : "s") of \(layout.blockSize) bytes:"
        + " . free, - half or more free, + less, # in use, T inode tables"
    ]
    for start in stride(from: 0, to: freeInCell.count, by: Self.lineLength) {
      let first = "\(start * blocksPerCell)"
      lines.append(
        String(repeating: " ", count: max(0, 10 - first.count)) + first + " "
          + String((start..<min(start + Self.lineLength, freeInCell.count)).map(character)))
    }
    let all = UInt64(layout.blockCount)
    lines += [
      "",
      "Free blocks: \(freeCount) of \(all) (\(ReportNumber.hundredths(freeCount * 100, per: all))%) in \(runCount) extents",
    ]
    if runCount > 0 {
      lines.append(
        "Longest free extent: \(longest.upperBound - longest.lowerBound) blocks, \(longest.lowerBound)-\(longest.upperBound - 1)"
      )
    }
    let rows = histogram.enumerated().filter { $1.runs > 0 }.map { power, bin in
      [
        "\(1 << power)...\((1 << (power + 1)) - 1)", "\(bin.runs)", "\(bin.blocks)",
        ReportNumber.hundredths(bin.blocks * 100, per: freeCount) + "%",
      ]
    }
    return lines
      + aligned([["Extent size in blocks", "Free extents", "Free blocks", "Percent"]] + rows, leftColumns: [])
  }

  var json: JSONValue {
    .members([
      "blocks": .unsigned(UInt64(layout.blockCount)), "block_size": .unsigned(UInt64(layout.blockSize)),
      "blocks_free": .unsigned(freeCount), "extents": .unsigned(runCount),
      "longest_first": .unsigned(longest.lowerBound),
      "longest_count": .unsigned(longest.upperBound - longest.lowerBound),
      "histogram": .array(
        histogram.enumerated().filter { $1.runs > 0 }.map { power, bin in
          .members([
            "from_blocks": .unsigned(1 << UInt64(power)), "extents": .unsigned(bin.runs),
            "blocks": .unsigned(bin.blocks),
          ])
        }),
      "blocks_per_cell": .unsigned(UInt64(blocksPerCell)),
      "picture": .string(String(freeInCell.indices.map(character))),
    ])
  }
}
