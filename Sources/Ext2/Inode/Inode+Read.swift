// Reading a file's data. Readers take no lock; they take the size anew after each suspension.
internal import PageCache

/// What an open file knows of how it is read: sequential readers are read ahead, in windows that double.
final class ReadAhead {
  private var next: UInt64 = 0
  private var window = 0
  private(set) var aheadEnd: UInt64 = 0
  static let smallestWindow = 4
  static let largestWindow = 256

  /// Notes a read of `count` pages from `index` on. Returns how many pages to read along when one is missing.
  func note(_ index: UInt64, count: Int) -> Int {
    let isSequential = index == next || index + 1 == next
    window = isSequential ? min(max(Self.smallestWindow, window * 2), Self.largestWindow) : 0
    if !isSequential { aheadEnd = 0 }
    next = index + UInt64(count)
    return max(count - 1, window)
  }

  /// The range to start reading now, before anybody wants it; nil when enough is on its way.
  func due(after index: UInt64) -> (start: UInt64, count: Int)? {
    guard window >= Self.smallestWindow, aheadEnd > 0, index + UInt64(window / 2) >= aheadEnd else { return nil }
    let start = max(aheadEnd, index + 1)
    aheadEnd = start + UInt64(window)
    return (start, window)
  }
  func noteFill(from index: UInt64, count: Int) { aheadEnd = max(aheadEnd, index + UInt64(count)) }
}

extension Inode {
  /// Up to `count` bytes from an offset; fewer at the end of the file.
  func read(at offset: UInt64, count: Int, _ readAhead: ReadAhead) async throws(Ext2Error) -> [UInt8] {
    var result: [UInt8] = []
    let size = UInt64(blockSize)
    let (requestedEnd, overflow) = offset.addingReportingOverflow(UInt64(count))
    let limit = overflow ? UInt64.max : requestedEnd
    guard offset < min(limit, space.fileByteCount) else { return result }
    result.reserveCapacity(Int(min(limit, space.fileByteCount) - offset))
    let pageCount = Int((min(limit, space.fileByteCount) - 1) / size - offset / size) + 1
    let ahead = readAhead.note(offset / size, count: pageCount)
    while true {
      let position = offset + UInt64(result.count)
      let end = min(limit, space.fileByteCount)
      guard position < end else { return result }
      let index = position / size
      do throws(PageCacheError) {
        if let due = readAhead.due(after: index) {
          try await space.fill(from: PageIndex(due.start), count: due.count, isReadAhead: true)
        }
        if space.page(at: PageIndex(index)) == nil { readAhead.noteFill(from: index, count: ahead + 1) }
        guard let page = try await space.validPage(at: PageIndex(index), ahead: ahead) else { return result }
        let inPage = Int(position % size)
        // The size may have changed while the page was read.
        let now = table.switchedOff.contains(.sizeIsTakenAnew) ? end : min(limit, space.fileByteCount)
        guard position < now else { return result }
        let length = Int(min(UInt64(blockSize - inPage), now - position))
        page.withBytes { bytes in result.append(bytes, inPage..<inPage + length) }
      } catch { throw Ext2Error(error) }
    }
  }
}
