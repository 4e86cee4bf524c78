// Whether what was read from a device is what may be there, and if not, what has happened to it.

/// What a unit may hold.
enum BlockExpectation: Equatable {
  /// Nobody knows.
  case anything
  /// One of these values of a `GenerationMap`, or sectors of several of them.
  case oneOf([UInt32])
  /// That value or a later one, or sectors of several of them: after a power cut.
  case atLeast(UInt32)
  /// Whatever a run has written for this place.
  case written
}

/// What is wrong with a unit.
struct BlockFault: Equatable {
  /// What has happened, as far as it can be told.
  enum Kind: String, CaseIterable {
    /// The right write, with some bits changed.
    case rot = "bit rot"
    /// A write that was meant for another place.
    case misdirected = "misdirected write"
    /// What was there before the write that should be.
    case lost = "lost write"
    /// Sectors of one write and sectors of another, where neither failed.
    case torn = "torn write"
    /// What another job has written, or the same job to another file.
    case foreign = "another job's block"
    /// What a run with another seed has written.
    case otherRun = "another run's block"
    /// A write that is not expected any more, or not yet.
    case unexpected = "unexpected write"
    /// Nothing that verification writes.
    case unknown = "unknown bytes"
  }

  let kind: Kind
  /// The first byte on the device that is wrong.
  let byteOffset: UInt64
  let expected: String
  let found: String
}

/// Compares units with what is expected.
struct BlockJudge {
  let format: BlockFormat
  /// Of the jobs of the run, for words.
  let jobNames: [String]

  /// - Parameters:
  ///   - index: where the unit begins in `bytes`, which has all of it.
  ///   - offset: of the unit on the device.
  func fault(_ bytes: RawSpan, _ index: Int, at offset: UInt64, _ expectation: BlockExpectation) -> BlockFault? {
    if expectation == .anything { return nil }
    let unit = bytes.extracting(index..<index + format.unit)
    if !format.method.hasHeader { return patternFault(unit, at: offset, expectation) }
    let header = BlockFormat.header(unit, 0)
    if let header, isExpected(header, at: offset, expectation), BlockFormat.isPayloadWhole(unit, 0, header) {
      return nil
    }
    if isMixed(unit, at: offset, expectation) { return nil }
    return classify(unit, header, at: offset, expectation)
  }

  private func isExpected(_ header: BlockHeader, at offset: UInt64, _ expectation: BlockExpectation) -> Bool {
    guard header.offset == offset, Int(header.length) == format.unit else { return false }
    if expectation == .written { return true }
    return header.seed == format.seed && header.area == format.area && isExpected(header.generation, expectation)
  }

  private func isExpected(_ generation: UInt32, _ expectation: BlockExpectation) -> Bool {
    switch expectation {
    case .anything, .written: true
    case .oneOf(let values): values.contains(generation)
    case .atLeast(let value): generation >= GenerationMap.number(value)
    }
  }

  private func mayBeZero(_ expectation: BlockExpectation) -> Bool {
    switch expectation {
    case .anything: true
    case .written: false
    case .oneOf(let values): values.contains(where: GenerationMap.isZeroed)
    case .atLeast(let value): GenerationMap.isZeroed(value)
    }
  }

  /// Whether each sector is of one of the writes that are expected.
  private func isMixed(_ unit: RawSpan, at offset: UInt64, _ expectation: BlockExpectation) -> Bool {
    switch expectation {
    case .oneOf(let values) where values.count == 1 && !mayBeZero(expectation): return false
    case .written: return false
    default: break
    }
    for start in stride(from: 0, to: unit.byteCount, by: BlockFormat.sectorByteCount) {
      let end = start + BlockFormat.sectorByteCount
      if mayBeZero(expectation), isZero(unit, start..<end) { continue }
      if start == 0 {
        guard let header = BlockFormat.header(unit, 0), isExpected(header, at: offset, expectation),
          isPayload(unit, BlockHeader.byteCount..<end, at: offset, header.generation)
        else { return false }
      } else if format.pattern == nil && format.method != .meta {
        guard let origin = format.stamp.origin(unit, start), isExpected(origin.generation, expectation),
          isPayload(unit, start..<end, at: offset, origin.generation)
        else { return false }
      } else if !isPayload(unit, start..<end, at: offset, 0) {
        return false
      }
    }
    return true
  }

  /// Whether these bytes of a unit are the payload of that generation.
  private func isPayload(
    _ unit: RawSpan, _ range: Range<Int>, at offset: UInt64, _ generation: UInt32, _ other: BlockFormat? = nil
  ) -> Bool {
    let format = other ?? format
    if format.method == .meta { return true }
    if let pattern = format.pattern {
      let bytes = pattern.bytes(at: offset)
      let start = format.method.hasHeader ? BlockHeader.byteCount : 0
      return range.allSatisfy { byte(unit, $0) == bytes[($0 - start) % bytes.count] }
    }
    return stride(from: range.lowerBound, to: range.upperBound, by: ContentStamp.laneByteCount).allSatisfy { index in
      let lane = (offset + UInt64(index)) / UInt64(ContentStamp.laneByteCount)
      let words = format.stamp.words(format.area, lane, generation)
      return word(unit, index) == UInt64(littleEndian: words.0)
        && word(unit, index + 8) == UInt64(littleEndian: words.1)
    }
  }

  private func isZero(_ unit: RawSpan, _ range: Range<Int>) -> Bool {
    stride(from: range.lowerBound, to: range.upperBound, by: 8).allSatisfy { word(unit, $0) == 0 }
  }

  private func patternFault(_ unit: RawSpan, at offset: UInt64, _ expectation: BlockExpectation) -> BlockFault? {
    for start in stride(from: 0, to: unit.byteCount, by: BlockFormat.sectorByteCount) {
      let range = start..<start + BlockFormat.sectorByteCount
      if mayBeZero(expectation), isZero(unit, range) { continue }
      if case .oneOf(let values) = expectation, values.allSatisfy(GenerationMap.isZeroed) {
        return BlockFault(
          kind: .lost, byteOffset: offset + UInt64(start), expected: "zeroes", found: text(unit, start))
      }
      if isPayload(unit, range, at: offset, 0) { continue }
      let expected = format.bytes(at: offset, generation: 0, job: 0, copy: 0)
      return difference(unit, expected, at: offset, "the pattern")
    }
    return nil
  }

  // MARK: What has happened

  private func classify(
    _ unit: RawSpan, _ header: BlockHeader?, at offset: UInt64, _ expectation: BlockExpectation
  ) -> BlockFault {
    let expected = text(expectation)
    func fault(_ kind: BlockFault.Kind, _ found: String) -> BlockFault {
      BlockFault(kind: kind, byteOffset: offset, expected: expected, found: found)
    }
    guard let header else { return withoutHeader(unit, at: offset, expectation, expected) }
    let who = "generation \(header.generation) of \(name(header)) at byte \(header.offset)"
    if expectation != .written {
      if header.seed != format.seed {
        return fault(header.offset == offset ? .lost : .otherRun, "\(who), of a run with seed \(header.seed)")
      }
      if header.area != format.area { return fault(.foreign, who) }
    }
    if header.offset != offset { return fault(.misdirected, who) }
    if Int(header.length) != format.unit { return fault(.unexpected, "\(who), a block of \(header.length) bytes") }
    if !isExpected(header.generation, expectation) {
      return fault(isOlder(header.generation, expectation) ? .lost : .unexpected, who)
    }
    var own = format
    own.seed = header.seed
    own.area = header.area
    own.method = header.method
    if header.hasPattern != (format.pattern != nil) {
      return fault(.unexpected, "\(who), with \(header.hasPattern ? "a" : "no") pattern as its payload")
    }
    return damaged(unit, header, at: offset, own)
  }

  private func isOlder(_ generation: UInt32, _ expectation: BlockExpectation) -> Bool {
    switch expectation {
    case .oneOf(let values): generation < values.map(GenerationMap.number).min() ?? 0
    case .atLeast: true
    case .anything, .written: false
    }
  }

  /// The header is as expected, and what is behind it is not.
  private func damaged(_ unit: RawSpan, _ header: BlockHeader, at offset: UInt64, _ own: BlockFormat) -> BlockFault {
    let who = "generation \(header.generation) of \(name(header))"
    let size = BlockFormat.sectorByteCount
    for start in stride(from: size, to: unit.byteCount, by: size) where own.pattern == nil {
      let lanes = [start, start + size - ContentStamp.laneByteCount]
      // A lane at each end: what is between them may have rotted.
      if lanes.contains(where: { isPayload(unit, $0..<$0 + 16, at: offset, header.generation, own) }) { continue }
      let origins = lanes.map { own.stamp.origin(unit, $0) }
      var found = isZero(unit, start..<start + size) ? "zeroes" : "other bytes"
      if let first = origins[0], let last = origins[1], first.generation == last.generation, first.file == last.file {
        found = "generation \(first.generation)" + (first.file == own.area ? "" : " of another file or job")
        if first.byteOffset != offset + UInt64(start) { found += " of byte \(first.byteOffset)" }
      }
      return BlockFault(kind: .torn, byteOffset: offset + UInt64(start), expected: who, found: "\(found) from here on")
    }
    let expected = own.bytes(at: offset, generation: header.generation, job: header.job, copy: header.copy)
    return difference(unit, expected, at: offset, who)
  }

  private func withoutHeader(
    _ unit: RawSpan, at offset: UInt64, _ expectation: BlockExpectation, _ expected: String
  ) -> BlockFault {
    func fault(_ kind: BlockFault.Kind, _ found: String) -> BlockFault {
      BlockFault(kind: kind, byteOffset: offset, expected: expected, found: found)
    }
    if isZero(unit, 0..<unit.byteCount) { return fault(.lost, "zeroes") }
    let bits = (0..<unit.byteCount).reduce(0) { $0 + byte(unit, $1).nonzeroBitCount }
    if mayBeZero(expectation), bits <= 64 {
      return difference(unit, [UInt8](repeating: 0, count: unit.byteCount), at: offset, expected)
    }
    // Whoever has lost its header still says in its payload what it is.
    let lanes = stride(from: BlockHeader.byteCount, to: unit.byteCount, by: ContentStamp.laneByteCount)
    let origin = format.pattern == nil ? lanes.lazy.compactMap { format.stamp.origin(unit, $0) }.first : nil
    if let origin {
      if origin.file != format.area { return fault(.foreign, "generation \(origin.generation), without a header") }
      if origin.byteOffset < offset || origin.byteOffset >= offset + UInt64(unit.byteCount) {
        return fault(.misdirected, "generation \(origin.generation) of byte \(origin.byteOffset), without a header")
      }
      if !isExpected(origin.generation, expectation) {
        let kind = isOlder(origin.generation, expectation) ? BlockFault.Kind.lost : .unexpected
        return fault(kind, "generation \(origin.generation), without a header")
      }
    }
    let start = unit.extracting(0..<BlockHeader.byteCount)
    guard let generation = origin?.generation ?? (word(unit, 0) == BlockHeader.magic ? onlyOne(expectation) : nil)
    else {
      let first = (0..<unit.byteCount).first { byte(unit, $0) != 0 } ?? 0
      return BlockFault(
        kind: .unknown, byteOffset: offset + UInt64(first), expected: expected, found: text(unit, first))
    }
    let owner = word(start, 24)
    let whole = format.bytes(
      at: offset, generation: generation, job: UInt16(truncatingIfNeeded: owner),
      copy: UInt16(truncatingIfNeeded: owner >> 16))
    return difference(unit, whole, at: offset, "generation \(generation)")
  }

  private func onlyOne(_ expectation: BlockExpectation) -> UInt32? {
    if case .oneOf(let values) = expectation, values.count == 1, !GenerationMap.isZeroed(values[0]) {
      values[0]
    } else {
      nil
    }
  }

  /// Where a unit first differs from what it should be, and by how many bits in all.
  private func difference(_ unit: RawSpan, _ expected: [UInt8], at offset: UInt64, _ who: String) -> BlockFault {
    let first = expected.indices.first { byte(unit, $0) != expected[$0] } ?? 0
    let bits = expected.indices.reduce(0) { $0 + (byte(unit, $1) ^ expected[$1]).nonzeroBitCount }
    return BlockFault(
      kind: .rot, byteOffset: offset + UInt64(first),
      expected: "\(who), byte \(hexadecimal(expected[first]))",
      found:
        "byte \(hexadecimal(byte(unit, first))), and \(bits) \(bits == 1 ? "bit" : "bits") of the block wrong in all")
  }

  // MARK: Words

  private func name(_ header: BlockHeader) -> String {
    let isOurs = header.seed == format.seed && Int(header.job) < jobNames.count
    return (isOurs ? jobNames[Int(header.job)] : "job \(header.job)") + ".\(header.copy)"
  }

  private func text(_ expectation: BlockExpectation) -> String {
    switch expectation {
    case .anything: return "anything"
    case .written: return "a block that was written for this place"
    case .atLeast(let value): return text(value) + " or later"
    case .oneOf(let values): return values.map(text).joined(separator: " or ")
    }
  }
  private func text(_ value: UInt32) -> String {
    GenerationMap.isZeroed(value) ? "zeroes of generation \(GenerationMap.number(value))" : "generation \(value)"
  }
  private func text(_ unit: RawSpan, _ index: Int) -> String {
    "bytes "
      + (index..<min(index + 16, unit.byteCount)).map { hexadecimal(byte(unit, $0)) }.joined(separator: " ")
  }
  private func hexadecimal(_ byte: UInt8) -> String {
    (byte < 16 ? "0" : "") + String(byte, radix: 16)
  }
}
