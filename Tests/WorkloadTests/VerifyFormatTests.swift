import Ext2Tools
import Reactor
import Testing

@testable import Workload

@Suite("Verified blocks")
struct VerifyFormatTests {
  private static func checksum(_ text: String, _ method: VerifyMethod) -> UInt64 {
    let bytes = Array(text.utf8)
    return unsafe method.checksum(of: bytes.span.bytes)
  }

  /// The check values of the algorithms' catalogues.
  @Test("have the checksums that everybody has")
  func checksums() {
    #expect(Self.checksum("123456789", .crc32c) == 0xE306_9283)
    #expect(Self.checksum("123456789", .crc32) == 0xCBF4_3926)
    #expect(Self.checksum("", .xxhash) == 0xEF46_DB37_51D8_E999)
    #expect(Self.checksum("a", .xxhash) == 0xD24E_C4F1_A98C_6E5B)
    #expect(Self.checksum("Nobody inspects the spammish repetition", .xxhash) == 0xFBCE_A83C_8A37_8BF1)
  }

  @Test("are filled with the pattern that is described")
  func patterns() {
    func bytes(_ text: String) -> [UInt8]? { VerifyPattern(text)?.bytes(at: 0x1234) }
    #expect(bytes("0xdeadf") == [0x0d, 0xea, 0xdf])
    #expect(bytes("0xff%o\"ab\"12") == [0xff, 0x34, 0x12, 0, 0, 0, 0, 0, 0, 0x61, 0x62, 12])
    #expect(bytes("65537") == [1, 0, 1])
    for text in ["", "0x", "\"a", "%x", "-12", "4294967296", "x", "\"\""] { #expect(bytes(text) == nil, "\(text)") }
  }

  private static let format = BlockFormat(seed: 5, area: 77, unit: 2048, method: .crc32c)
  private static func block(_ generation: UInt32, at offset: UInt64 = 8192, _ format: BlockFormat = format) -> [UInt8] {
    format.bytes(at: offset, generation: generation, job: 1, copy: 2)
  }
  private static func fault(_ block: [UInt8], _ expectation: BlockExpectation, _ format: BlockFormat = format)
    -> BlockFault?
  {
    unsafe BlockJudge(format: format, jobNames: ["a", "b"]).fault(block.span.bytes, 0, at: 8192, expectation)
  }

  @Test("are found to be what they are, by every method", arguments: VerifyMethod.allCases)
  func whole(method: VerifyMethod) {
    var format = Self.format
    format.method = method
    if method == .pattern { format.pattern = VerifyPattern("0x11%o") }
    #expect(Self.fault(Self.block(7, format), .oneOf([7]), format) == nil)
    #expect(Self.fault(Self.block(7, format), .oneOf([3, 7]), format) == nil)
    #expect(Self.fault(Self.block(7, format), .atLeast(5), format) == nil)
    #expect(Self.fault(Self.block(7, format), .written, format) == nil)
    let zeroes = [UInt8](repeating: 0, count: 2048)
    #expect(Self.fault(zeroes, .oneOf([GenerationMap.zeroes(by: 7)]), format) == nil)
    #expect(Self.fault(zeroes, .oneOf([7]), format) != nil)
    #expect(Self.fault(Self.block(7, format), .oneOf([GenerationMap.zeroes(by: 7)]), format) != nil)
  }

  private static func block(_ generation: UInt32, _ format: BlockFormat) -> [UInt8] {
    block(generation, at: 8192, format)
  }

  @Test("of which any single bit is turned over are found, at that byte")
  func rot() {
    let good = Self.block(7)
    for bit in stride(from: 0, to: good.count * 8, by: 7) {
      var bad = good
      bad[bit / 8] ^= 1 << UInt8(bit % 8)
      let fault = Self.fault(bad, .oneOf([7]))
      #expect(fault?.kind == .rot, "bit \(bit): \(String(describing: fault))")
      // In a checksum, in what it covers, or in a field of the header that names no other block.
      let isAtByte = fault?.byteOffset == 8192 + UInt64(bit / 8)
      #expect(isAtByte || (24..<28).contains(bit / 8) && fault?.byteOffset == 8192 + 44, "bit \(bit)")
    }
  }

  @Test("of other places, times, jobs and runs are called that")
  func foreign() {
    var other = Self.format
    other.seed = 6
    #expect(Self.fault(Self.block(7, at: 4096), .oneOf([7]))?.kind == .misdirected)
    #expect(Self.fault(Self.block(6), .oneOf([7]))?.kind == .lost)
    #expect(Self.fault(Self.block(6), .atLeast(7))?.kind == .lost)
    #expect(Self.fault(Self.block(8), .oneOf([7]))?.kind == .unexpected)
    #expect(Self.fault(Self.block(7, other), .oneOf([7]))?.kind == .lost)
    #expect(Self.fault(Self.block(7, at: 512, other), .oneOf([7]))?.kind == .otherRun)
    other.seed = 5
    other.area = 78
    #expect(Self.fault(Self.block(7, other), .oneOf([7]))?.kind == .foreign)
    #expect(Self.fault([UInt8](repeating: 0, count: 2048), .oneOf([7]))?.kind == .lost)
    #expect(Self.fault([UInt8](repeating: 9, count: 2048), .oneOf([7]))?.kind == .unknown)
    let fault = Self.fault(Self.block(6, at: 4096), .oneOf([7, 9]))
    #expect(
      fault
        == BlockFault(
          kind: .misdirected, byteOffset: 8192, expected: "generation 7 or generation 9",
          found: "generation 6 of b.2 at byte 4096"))
  }

  @Test("of sectors of several writes are right where each may be there, and torn where not", arguments: 1..<4)
  func torn(sectors: Int) {
    let mixed = Array(Self.block(7)[..<(512 * sectors)] + Self.block(6)[(512 * sectors)...])
    #expect(Self.fault(mixed, .oneOf([6, 7])) == nil)
    #expect(Self.fault(mixed, .atLeast(6)) == nil)
    for expectation in [BlockExpectation.oneOf([7]), .oneOf([5, 7]), .atLeast(7)] {
      let fault = Self.fault(mixed, expectation)
      #expect(fault?.kind == .torn && fault?.byteOffset == 8192 + UInt64(512 * sectors))
      #expect(fault?.found == "generation 6 from here on")
    }
    // And one bit of one sector is still found.
    var rotten = mixed
    rotten[2047] ^= 1
    #expect(Self.fault(rotten, .oneOf([6, 7])) != nil)
  }

  // MARK: States

  private static let state = VerifyState(
    seed: 5, method: .crc32c, pattern: VerifyPattern("0xff%o"),
    files: [
      .init(
        name: "disk one.img", unit: 2048, area: 77,
        entries: [
          .init(range: 0..<4096, candidates: [3], durable: 3),
          .init(range: 4096..<6144, candidates: [4, 9], durable: nil),
          .init(range: 8192..<10240, candidates: [GenerationMap.zeroes(by: 8)], durable: GenerationMap.zeroes(by: 2)),
          .init(range: 10240..<12288, candidates: [], durable: 4),
        ]), .init(name: "b", unit: 512, area: 1),
    ])

  @Test("have a state that is a text, and the same when it is read")
  func stateText() throws {
    #expect(
      Self.state.text == """
        blkdev verify state 1
        seed 5
        method crc32c
        pattern 0xff%o
        file 2048 77 disk one.img
        0 4096 3 3
        4096 2048 4,9 -
        8192 2048 z8 z2
        10240 2048 * 4
        file 512 1 b
        end 4

        """)
    #expect(try VerifyState(text: Self.state.text) == Self.state)
  }

  @Test("have no state that is cut off, and none that says what cannot be")
  func hostileState() {
    let text = Self.state.text
    for count in 0..<text.utf8.count - 1 {
      #expect(throws: VerifyState.Problem.self) { try VerifyState(text: String(text.prefix(count))) }
    }
    for (good, bad) in [
      ("0 4096 3 3", "0 4097 3 3"), ("0 4096 3 3", "0 0 3 3"), ("0 4096 3 3", "0 8192 3 3"),
      ("0 4096 3 3", "-1 4096 3 3"),
      ("0 4096 3 3", "0 18446744073709549568 3 3"), ("0 4096 3 3", "18446744073709549568 4096 3 3"),
      ("0 4096 3 3", "0 4096 4294967295 3"), ("0 4096 3 3", "0 4096 0 3"), ("0 4096 3 3", "0 4096 3, 3"),
      ("file 2048 77", "file 0 77"), ("file 2048 77", "file 513 77"), ("file 2048 77", "file 2048 16777216"),
      ("file 2048 77 disk one.img\n", ""), ("state 1", "state 2"), ("crc32c", "md5"), ("end 4", "end 5"),
    ] {
      let changed = text.replacing(good, with: bad)
      #expect(changed != text)
      #expect(throws: VerifyState.Problem.self, "\(bad)") { try VerifyState(text: changed) }
    }
    var random = SeededGenerator(seed: 1)
    for _ in 0..<20_000 {
      var bytes = Array(text.utf8)
      for _ in 0..<1 + random.below(3) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
      _ = try? VerifyState(text: String(decoding: bytes, as: UTF8.self))
    }
  }

  @Test("of an image are judged by a state: what is durable must be there, the rest may")
  func image() throws {
    var format = Self.format
    format.unit = 512
    func image(_ generations: [UInt32]) -> MemoryBytes {
      MemoryBytes(
        generations.enumerated().flatMap { format.bytes(at: UInt64($0 * 512), generation: $1, job: 0, copy: 0) })
    }
    let state = VerifyState(
      seed: 5, method: .crc32c,
      files: [
        .init(
          name: "x", unit: 512, area: 77,
          entries: [
            .init(range: 0..<1024, candidates: [9], durable: 4),
            .init(range: 1024..<1536, candidates: [3], durable: nil),
          ])
      ])
    func verdict(_ generations: [UInt32]) throws -> [UInt64] {
      let verdict = try state.judge(image(generations))
      return [verdict.bytes, verdict.unflushedBytes, verdict.mismatches]
    }
    #expect(try verdict([9, 9, 3]) == [1536, 0, 0])
    #expect(try verdict([9, 5, 2]) == [512, 1024, 0])
    #expect(try verdict([3, 9, 3]) == [1536, 0, 1])
    // Shorter than the state says.
    #expect(try verdict([9]) == [512, 0, 2])
  }
}
