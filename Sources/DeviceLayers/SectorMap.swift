/// Contents of logical blocks by number: what a layer keeps instead of, or besides, what its device holds.
struct SectorMap {
  let sectorByteCount: Int
  private var contents: [UInt64: [UInt8]] = [:]

  init(sectorByteCount: Int) { self.sectorByteCount = sectorByteCount }

  var isEmpty: Bool { contents.isEmpty }
  var count: Int { contents.count }
  /// The numbers of the blocks that it has, in order.
  var sectors: [UInt64] { contents.keys.sorted() }

  subscript(sector: UInt64) -> [UInt8]? {
    get { contents[sector] }
    set { contents[sector] = newValue }
  }

  /// The blocks that a range of bytes covers; it begins and ends at block boundaries.
  func sectors(in range: Range<UInt64>) -> Range<UInt64> {
    range.lowerBound / UInt64(sectorByteCount)..<range.upperBound / UInt64(sectorByteCount)
  }

  mutating func remove(_ range: Range<UInt64>) {
    let gone = sectors(in: range)
    // A discard may cover far more than there is.
    for sector in gone.count < contents.count ? Array(gone) : contents.keys.filter(gone.contains) {
      contents[sector] = nil
    }
  }

  /// Keeps the bytes from a block boundary on.
  mutating func store(_ bytes: ArraySlice<UInt8>, at offset: UInt64) {
    var rest = bytes
    var sector = offset / UInt64(sectorByteCount)
    while !rest.isEmpty {
      contents[sector] = Array(rest.prefix(sectorByteCount))
      rest = rest.dropFirst(sectorByteCount)
      sector += 1
    }
  }

  /// Overlays what it has of the range that begins at `offset`.
  func apply(to bytes: inout [UInt8], at offset: UInt64) {
    guard !isEmpty else { return }
    for sector in sectors(in: offset..<offset + UInt64(bytes.count)) {
      guard let kept = contents[sector] else { continue }
      let start = Int(sector * UInt64(sectorByteCount) - offset)
      bytes.replaceSubrange(start..<start + sectorByteCount, with: kept)
    }
  }

  mutating func removeAll() { contents.removeAll() }
}
