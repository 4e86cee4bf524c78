import Ext2Tools
import Reactor
import Support
import SystemPackage
import Testing

/// Volumes with much damage at once, by no plan. `FUZZ_COUNT` is how many a run makes of each image, `CORPUS_SEED` which.
@Suite("A volume with much damage", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct CheckFuzzTests {
  static let images = CheckImage.all.filter {
    ["1k", "1k-deep", "1k-meta-groups", "1k-revision-0", "2k-legacy", "4k-groups", "64k"].contains($0.name)
  }

  @Test("is checked to the end, reading little more than there is, and mended whole or not at all", arguments: images)
  func fuzz(image: CheckImage) throws {
    let bytes = try image.make()
    let fields = try VolumeFields(bytes)
    var generator = SeededGenerator(seed: CheckCorpusTests.number("CORPUS_SEED", 1))
    let checker = VolumeChecker()
    for round in 0..<CheckCorpusTests.number("FUZZ_COUNT", 150) {
      let damaged = CountedBytes(bytes)
      for _ in 0..<Int.random(in: 1...24, using: &generator) {
        try fields.damage(damaged.image, using: &generator)
      }
      let before = damaged.image.bytes
      let report = try? checker.check(damaged)
      #expect(damaged.bytesRead <= 4 * UInt64(bytes.count) + 1 << 20, "\(image.name), round \(round)")
      #expect(damaged.image.bytes == before)
      guard let outcome = try? checker.repair(damaged, time: 1_700_000_000) else {
        #expect(report == nil, "\(image.name), round \(round)")
        continue
      }
      if outcome.refusal.isEmpty {
        #expect(outcome.after.isClean, "\(image.name), round \(round): \(outcome.after.findings)")
        #expect(try checker.check(damaged).isClean, "\(image.name), round \(round)")
      } else {
        #expect(damaged.image.bytes == before, "\(image.name), round \(round): \(outcome.refusal)")
      }
    }
  }

  @Test("whose pointer blocks all point to one block is read once for each of them, not for each pointer")
  func circles() throws {
    // A directory of 1 MiB whose indirect blocks, filled with one number, name its first block again and again.
    let image = try Images.edited(
      Images.make(blockSize: 1024, byteCount: 4 << 20, options: ["-N", "32"]),
      ["mkdir many"] + (0..<40).map { "write /etc/hostname many/file-\($0)" })
    let damaged = CountedBytes(image)
    let fields = try VolumeFields(image)
    let inode = try #require(fields.fields.first { $0.what == "inode 12 +40" }).offset
    let first = image[inode..<inode + 4]
    for block in 2000..<2600 { for word in 0..<256 { try damaged.image.put(first, at: block << 10 + 4 * word) } }
    // The triple-indirect block: each of its 256 words is a double-indirect block of 256 others, and so on.
    for word in 0..<256 {
      try damaged.image.put(number(2001), at: 2000 << 10 + 4 * word)
      try damaged.image.put(number(2002 + UInt32(word)), at: 2001 << 10 + 4 * word)
    }
    try damaged.image.put(number(2000), at: inode + 4 * 14)
    let report = try VolumeChecker().check(damaged)
    #expect(!report.isClean)
    #expect(report.errorCount > 60_000)
    #expect(report.findings.count == 1000)
    #expect(damaged.bytesRead <= 2 * UInt64(image.count), "\(damaged.bytesRead)")
  }

  @Test("whose resize inode names one pointer block again and again is followed as often as there are blocks")
  func circlesOfResize() throws {
    let image = try Images.make(blockSize: 8192, byteCount: 4 << 20, options: ["-O", "resize_inode"])
    let damaged = CountedBytes(image)
    let fields = try VolumeFields(image)
    let inode = try #require(fields.fields.first { $0.what == "inode 7 +40" }).offset
    for (block, target) in [(400, 401), (401, 50_000)] as [(Int, UInt32)] {
      for word in 0..<2048 { try damaged.image.put(number(target), at: block << 13 + 4 * word) }
    }
    try damaged.image.put(number(400), at: inode + 4 * 13)
    let report = try VolumeChecker().check(damaged)
    #expect(!report.isClean)
    // 512 blocks of 2048 pointers each; without a limit it were 2048 times 2048.
    #expect(report.total <= 520 * 2048, "\(report.total)")
    #expect(damaged.bytesRead <= 3 * UInt64(image.count), "\(damaged.bytesRead)")
  }

  @Test("whose journal says that it is as large as a number can be is checked to the end")
  func largestJournal() throws {
    let image = try Images.make(blockSize: 1024, byteCount: 4 << 20, options: ["-O", "has_journal"])
    let damaged = CountedBytes(image)
    let inode = try #require(try VolumeFields(image).fields.first { $0.what == "inode 8 +40" }).offset - 40
    for field in [4, 108] { try damaged.image.put([UInt8](repeating: 255, count: 4), at: inode + field) }
    #expect(try !VolumeChecker().check(damaged).isClean)
  }

  private func number(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
}

/// An image in memory, and how many bytes of it were asked for.
final class CountedBytes: VolumeBytes {
  let image: MemoryBytes
  private(set) var bytesRead: UInt64 = 0

  init(_ bytes: [UInt8]) { image = MemoryBytes(bytes) }

  var byteCount: UInt64 { image.byteCount }
  func read(at offset: UInt64, into buffer: inout MutableRawSpan) throws(VolumeBytesError) {
    bytesRead += UInt64(buffer.byteCount)
    try image.read(at: offset, into: &buffer)
  }
  func write(_ bytes: RawSpan, at offset: UInt64) throws(VolumeBytesError) { try image.write(bytes, at: offset) }
}

extension MemoryBytes {
  /// Writes some bytes, which lie in the image.
  func put(_ bytes: some Sequence<UInt8>, at offset: Int) throws {
    let bytes = Array(bytes)
    try write(unsafe bytes.span.bytes, at: UInt64(offset))
  }
}

extension VolumeFields {
  /// Changes a field, a bit of a block with fields, or a few bytes of one.
  func damage(_ image: MemoryBytes, using generator: inout some RandomNumberGenerator) throws {
    let field = fields[Int.random(in: 0..<fields.count, using: &generator)]
    switch Int.random(in: 0..<8, using: &generator) {
    case 0:
      let near = field.offset & ~511 + Int.random(in: 0..<512, using: &generator)
      try image.put([image.bytes[near] ^ (1 << UInt8.random(in: 0..<8, using: &generator))], at: near)
    case 1:
      let count = Int.random(in: 1...64, using: &generator)
      let start = min(field.offset, image.bytes.count - count)
      try image.put((0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }, at: start)
    case 2:
      // What another place holds.
      let other = fields[Int.random(in: 0..<fields.count, using: &generator)]
      try image.put(image.bytes[other.offset..<other.offset + min(other.width, field.width)], at: field.offset)
    default:
      if let mutation = mutations(of: field, using: &generator).randomElement(using: &generator) {
        try mutation.apply(to: image)
      }
    }
  }
}
