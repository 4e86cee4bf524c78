// What verification writes. A device, or the part of it that jobs write, is divided into units of equal size, each of
// which has:
//
//      0  magic            8 bytes   "BLKVRFY1"
//      8  offset           8         of the unit on the device, in bytes
//     16  length           4         of the unit, in bytes, a multiple of 512
//     20  area             4         which part of which device, 24 bits
//     24  job              2         who wrote it: the job's number in its run,
//     26  copy             2         and the copy of the job
//     28  generation       4         of the writes to the area the how manieth, from 1 on
//     32  seed             8         of the run
//     40  method           1         0 meta, 1 crc32c, 2 crc32, 3 xxhash (XXH64)
//     41  payload          1         0 lanes, 1 verify_pattern
//     42  zero             2
//     44  header checksum  4         CRC-32C of bytes 0 to 43
//     48  checksum         8         of everything behind it, by the method; 0 with meta
//     56  zero             8
//     64  payload                    to the end of the unit
//
// All numbers have their lowest byte first. The payload is the pattern, again and again from byte 64 on, or lanes of 16
// bytes (`ContentStamp`), each of which tells by itself where it belongs and which generation it is: a block of which a power
// cut left some sectors of one write and some of another is known for what it is, and so is one whose header is lost. A
// generation numbers the operations on its area in the order in which they began.
//
// With `verify=pattern` there is no header: a unit is the pattern from its first byte on.

/// What the header of a unit says.
struct BlockHeader: Equatable {
  var offset: UInt64
  var length: UInt32
  var area: UInt32
  var job: UInt16
  var copy: UInt16
  var generation: UInt32
  var seed: UInt64
  var method: VerifyMethod
  var hasPattern: Bool

  static let byteCount = 64
  /// `BLKVRFY1` as it lies in memory.
  static let magic: UInt64 = 0x3159_4652_564B_4C42
}

/// Makes units, and reads their headers.
struct BlockFormat: Sendable, Equatable {
  /// What reaches a medium whole or not at all.
  static let sectorByteCount = 512

  var seed: UInt64
  /// 24 bits.
  var area: UInt32
  /// Bytes of a unit.
  var unit: Int
  var method: VerifyMethod
  var pattern: VerifyPattern?

  var stamp: ContentStamp { ContentStamp(seed: seed) }

  /// Fills `bytes` from `index` on with the unit at `offset`.
  func fill(
    _ bytes: inout MutableRawSpan, _ index: Int, at offset: UInt64, generation: UInt32, job: UInt16, copy: UInt16
  ) {
    if !method.hasHeader { return fillPattern(&bytes, index, 0, at: offset) }
    let start = index + BlockHeader.byteCount
    if pattern != nil {
      fillPattern(&bytes, index, BlockHeader.byteCount, at: offset)
    } else {
      let stamp = stamp
      var lane = (offset + UInt64(BlockHeader.byteCount)) / UInt64(ContentStamp.laneByteCount)
      for position in stride(from: start, to: index + unit, by: ContentStamp.laneByteCount) {
        let (low, high) = stamp.words(area, lane, generation)
        bytes.storeBytes(of: low, toByteOffset: position, as: UInt64.self)
        bytes.storeBytes(of: high, toByteOffset: position + 8, as: UInt64.self)
        lane += 1
      }
    }
    func store(_ value: some FixedWidthInteger & BitwiseCopyable, _ offset: Int) {
      bytes.storeBytes(of: value.littleEndian, toByteOffset: index + offset, as: type(of: value))
    }
    store(BlockHeader.magic, 0)
    store(offset, 8)
    store(UInt32(unit), 16)
    store(area, 20)
    store(job, 24)
    store(copy, 26)
    store(generation, 28)
    store(seed, 32)
    store(method.code, 40)
    store(UInt8(pattern == nil ? 0 : 1), 41)
    store(UInt16(0), 42)
    store(UInt64(0), 56)
    store(CyclicChecksum.castagnoli.value(of: bytes.bytes.extracting(index..<index + 44)), 44)
    store(method.checksum(of: bytes.bytes.extracting(index + 56..<index + unit)), 48)
  }

  private func fillPattern(_ bytes: inout MutableRawSpan, _ index: Int, _ skip: Int, at offset: UInt64) {
    let pattern = pattern?.bytes(at: offset) ?? [0]
    var next = 0
    for position in index + skip..<index + unit {
      bytes.storeBytes(of: pattern[next], toByteOffset: position, as: UInt8.self)
      next = next + 1 == pattern.count ? 0 : next + 1
    }
  }

  /// What the unit at `offset` should be.
  func bytes(at offset: UInt64, generation: UInt32, job: UInt16, copy: UInt16) -> [UInt8] {
    var result = [UInt8](repeating: 0, count: unit)
    var span = result.mutableSpan
    var raw = unsafe span.mutableBytes
    fill(&raw, 0, at: offset, generation: generation, job: job, copy: copy)
    return result
  }

  /// The header at `index`; nil when there is none that is whole.
  static func header(_ bytes: RawSpan, _ index: Int) -> BlockHeader? {
    guard index + BlockHeader.byteCount <= bytes.byteCount, word(bytes, index) == BlockHeader.magic,
      UInt32(truncatingIfNeeded: word(bytes, index + 40) >> 32)
        == CyclicChecksum.castagnoli.value(of: bytes.extracting(index..<index + 44)),
      let method = VerifyMethod(code: byte(bytes, index + 40))
    else { return nil }
    let lengths = word(bytes, index + 16), owner = word(bytes, index + 24)
    return BlockHeader(
      offset: word(bytes, index + 8), length: UInt32(truncatingIfNeeded: lengths), area: UInt32(lengths >> 32),
      job: UInt16(truncatingIfNeeded: owner), copy: UInt16(truncatingIfNeeded: owner >> 16),
      generation: UInt32(owner >> 32), seed: word(bytes, index + 32), method: method,
      hasPattern: byte(bytes, index + 41) == 1)
  }

  /// Whether the payload behind a header is as its checksum says.
  static func isPayloadWhole(_ bytes: RawSpan, _ index: Int, _ header: BlockHeader) -> Bool {
    let end = index + Int(header.length)
    guard Int(header.length) >= BlockHeader.byteCount, end <= bytes.byteCount else { return false }
    if header.method == .meta { return true }
    return word(bytes, index + 48) == header.method.checksum(of: bytes.extracting(index + 56..<end))
  }
}

extension ContentStamp {
  /// Who wrote the 16 bytes at `index`; nil when they are no lane of this seed.
  func origin(_ bytes: RawSpan, _ index: Int) -> Origin? {
    let low = word(bytes, index), high = word(bytes, index + 8)
    let generation = UInt32(truncatingIfNeeded: high), file = UInt32(low >> 40), lane = low & 0xFF_FFFF_FFFF
    guard generation != Self.zeroes else { return nil }
    let expected = words(file, lane, generation)
    guard UInt64(littleEndian: expected.0) == low, UInt64(littleEndian: expected.1) == high else { return nil }
    return Origin(file: file, generation: generation, byteOffset: lane * UInt64(Self.laneByteCount))
  }
}
