// The contents of one regular file, in pieces, holes left out: from this machine, to it, and on the volume.
package import Ext2
internal import Ext2Format

/// The largest piece that is in memory at once, in bytes.
let pieceByteCount: UInt64 = 1 << 20

extension Range<UInt64> {
  /// The range in pieces that fit into memory.
  var pieces: some Sequence<Range<UInt64>> {
    stride(from: lowerBound, to: upperBound, by: UInt64.Stride(pieceByteCount)).lazy.map { start in
      start..<Swift.min(start + pieceByteCount, upperBound)
    }
  }
}

extension File {
  /// The ranges of bytes that have blocks, in ascending order, up to `byteCount`; neighbours are joined.
  package func dataRanges(byteCount: UInt64, blockSize: Int) async throws(Ext2Error) -> [Range<UInt64>] {
    var ranges: [Range<UInt64>] = []
    for extent in try await extents() {
      let start = extent.fileBlock * UInt64(blockSize)
      let end = Swift.min(start + UInt64(extent.count) * UInt64(blockSize), byteCount)
      guard start < end else { continue }
      if let last = ranges.last, last.upperBound == start {
        ranges[ranges.count - 1] = last.lowerBound..<end
      } else {
        ranges.append(start..<end)
      }
    }
    return ranges
  }
}

/// Writes all bytes, or throws why the rest could not be written.
func writeAll(_ bytes: [UInt8], to file: File, at offset: UInt64, _ path: [UInt8]) async throws(TreeError) {
  var done = 0
  while done < bytes.count {
    let rest = done == 0 ? bytes : Array(bytes[done...])
    // A short write is asked about again: the second one says why.
    done += try await at(path) { () async throws(Ext2Error) in
      try await file.write(rest, at: offset + UInt64(done))
    }
  }
}

/// Copies a file of this machine to an empty file of a volume.
///
/// A file that changes meanwhile is read up to the size it had, and is an error then: what was read is no version of it.
func copy(_ source: HostFile, to file: File, _ path: [UInt8], _ control: TreeControl) async throws(TreeError) {
  let node = try source.node()
  guard node.type == .regular else { throw TreeError(source.path, .unfit("not a regular file any more")) }
  var position: UInt64 = 0
  while position < node.byteCount {
    let range: Range<UInt64>?
    if node.hasHoles {
      range = try source.nextData(from: position, limit: node.byteCount)
    } else {
      range = position..<node.byteCount
    }
    guard let range else { break }
    for piece in range.pieces {
      try control.checkStop()
      let bytes = try source.read(at: piece.lowerBound, count: piece.count)
      try await writeAll(bytes, to: file, at: piece.lowerBound, path)
      control.noteBytes(bytes.count)
      if bytes.count < piece.count { throw TreeError(source.path, .unfit("the file changed while it was read")) }
    }
    position = range.upperBound
  }
  let end = try await at(path) { () async throws(Ext2Error) in try await file.status().byteCount }
  if end != node.byteCount {
    try await at(path) { () async throws(Ext2Error) in try await file.truncate(to: node.byteCount) }
  }
  let after = try source.node()
  guard after.byteCount == node.byteCount, after.modificationTime == node.modificationTime else {
    throw TreeError(source.path, .unfit("the file changed while it was read"))
  }
}

/// Copies a file of a volume to an empty file of this machine.
func copy(
  _ file: File, _ status: FileStatus, _ path: [UInt8], to target: HostFile, _ control: TreeControl
) async throws(TreeError) {
  try await forEachPiece(of: file, status, path, control) { bytes, offset throws(TreeError) in
    try target.write(bytes, at: offset)
  }
  // What ends with a hole is longer than what was written.
  try target.truncate(to: status.byteCount)
}

/// Copies a file of a volume to an empty file of the same volume.
func copy(
  _ file: File, _ status: FileStatus, _ path: [UInt8], to target: File, _ targetPath: [UInt8], _ control: TreeControl
) async throws(TreeError) {
  try await forEachPiece(of: file, status, path, control) { bytes, offset async throws(TreeError) in
    try await writeAll(bytes, to: target, at: offset, targetPath)
  }
  try await at(targetPath) { () async throws(Ext2Error) in try await target.truncate(to: status.byteCount) }
}

/// Reads a file of a volume in pieces, holes left out, up to the size that `status` tells.
func forEachPiece(
  of file: File, _ status: FileStatus, _ path: [UInt8], _ control: TreeControl,
  _ body: ([UInt8], UInt64) async throws(TreeError) -> Void
) async throws(TreeError) {
  let blockSize = await file.volume.statistics.blockSize
  let ranges = try await at(path) { () async throws(Ext2Error) in
    try await file.dataRanges(byteCount: status.byteCount, blockSize: blockSize)
  }
  for range in ranges {
    for piece in range.pieces {
      try control.checkStop()
      let bytes = try await at(path) { () async throws(Ext2Error) in
        try await file.read(at: piece.lowerBound, count: piece.count)
      }
      try await body(bytes, piece.lowerBound)
      control.noteBytes(bytes.count)
      if bytes.count < piece.count { throw TreeError(path, .unfit("the file became shorter while it was read")) }
    }
  }
}
