import Ext2Tools
import Support
import SystemPackage
import Testing

/// An image in memory that keeps its bytes when it is to be discarded, and whose writes fail from one on.
private final class StubbornBytes: VolumeBytes {
  let memory: MemoryBytes
  var writesLeft: Int
  init(_ bytes: [UInt8], writesLeft: Int = .max) {
    memory = MemoryBytes(bytes)
    self.writesLeft = writesLeft
  }
  var byteCount: UInt64 { memory.byteCount }
  func read(at offset: UInt64, into buffer: inout MutableRawSpan) throws(VolumeBytesError) {
    try memory.read(at: offset, into: &buffer)
  }
  func write(_ bytes: RawSpan, at offset: UInt64) throws(VolumeBytesError) {
    guard writesLeft > 0 else {
      throw VolumeBytesError(step: "write", offset: offset, byteCount: bytes.byteCount, errno: .noSpace)
    }
    writesLeft -= 1
    try memory.write(bytes, at: offset)
  }
}

@Suite("Making a volume")
struct MakeVolumeTests {
  static let garbage = [UInt8](repeating: 0xA5, count: 20 << 20)
  static let example = MakeCase(kibibytes: 20 << 10)

  private func plan(_ change: (inout MakeOptions) -> Void = { _ in }) throws -> VolumePlan {
    var options = try Self.example.options()
    change(&options)
    return try VolumePlan(options)
  }

  @Test("makes the same bytes from the same options, whatever was there before")
  func isDeterministic() throws {
    let fresh = MemoryBytes([UInt8](repeating: 0, count: 20 << 20))
    try plan().write(to: fresh, isZeroed: true)
    let used = MemoryBytes(Self.garbage)
    try plan().write(to: used)
    #expect(used.bytes == fresh.bytes)
    try TemporaryFile.with(contents: Self.garbage) { path in
      try plan().write(to: FileBytes(path: path, isWritable: true))
      #expect(try TemporaryFile.read(path) == fresh.bytes)
    }
    let other = MemoryBytes([UInt8](repeating: 0, count: 20 << 20))
    try plan { $0.seconds += 1 }.write(to: other)
    #expect(other.bytes != fresh.bytes)
  }

  @Test(
    "is clean where old bytes cannot be given back", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"),
    arguments: [1024, 4096, 65536])
  func overGarbage(blockSize: Int) throws {
    let bytes = StubbornBytes(Self.garbage)
    try plan { $0.blockSize = blockSize }.write(to: bytes)
    #expect(try Images.check(bytes.memory.bytes) == nil)
    // What other programs look for at both ends is gone.
    #expect(bytes.memory.bytes[..<1024].allSatisfy { $0 == 0 })
    #expect(bytes.memory.bytes[(20 << 20) - 4096..<20 << 20].allSatisfy { $0 == 0 })
  }

  @Test("takes the room of inode tables when asked to, else only that of what is not zero")
  func tables() throws {
    var taken: [UInt64] = []
    for writesTables in [false, true] {
      try TemporaryFile.with(byteCount: 20 << 20) { path in
        try plan().write(to: FileBytes(path: path, isWritable: true), isZeroed: true, writesTables: writesTables)
        taken.append(try TemporaryFile.allocatedBytes(path))
      }
    }
    // 5,120 inodes of 256 bytes.
    #expect(taken[0] < 512 << 10)
    #expect(taken[1] >= taken[0] + (1 << 20))
  }

  @Test("names the errno of the write that fails, wherever it is, and leaves no volume")
  func failingWrites() throws {
    let all = StubbornBytes([UInt8](repeating: 0, count: 20 << 20))
    try plan().write(to: all, isZeroed: true)
    let count = Int.max - all.writesLeft
    for writes in 0..<count {
      let bytes = StubbornBytes([UInt8](repeating: 0, count: 20 << 20), writesLeft: writes)
      do {
        try plan().write(to: bytes, isZeroed: true)
        Issue.record("\(writes) writes were enough")
      } catch MakeError.bytes(let error) {
        #expect(error.errno == .noSpace)
      }
      #expect(bytes.memory.bytes[1080] == 0)
    }
  }

  @Test("stops before a group when told to")
  func stops() throws {
    let bytes = MemoryBytes([UInt8](repeating: 0, count: 20 << 20))
    var seen: [UInt32] = []
    #expect(throws: MakeError.stopped) {
      try plan().write(to: bytes) { done in
        seen.append(done)
        return done < 1
      }
    }
    #expect(seen == [0, 1])
    #expect(bytes.bytes[1080] == 0)
  }

  static let refused: [(String, @Sendable (inout MakeOptions) -> Void)] = [
    ("size", { $0.byteCount = 1 << 50 }), ("block-size", { $0.blockSize = 512 }),
    ("block-size", { $0.blockSize = 3000 }),
    ("block-size", { $0.blockSize = 131_072 }), ("block-size", { $0.blockSize = -1024 }),
    ("block-size", { ($0.blockSize, $0.deviceBlockSize) = (2048, 4096) }),
    ("inode-size", { $0.inodeSize = 64 }), ("inode-size", { $0.inodeSize = 192 }),
    ("inode-size", { $0.inodeSize = 2048 }),
    ("inode-size", { ($0.blockSize, $0.inodeSize) = (65536, 65536) }),
    ("inode-size", { ($0.revision, $0.inodeSize) = (0, 256) }), ("inodes", { $0.inodeCount = 0 }),
    ("inodes", { $0.inodeCount = 1 << 32 }), ("inodes", { $0.inodeCount = 100_000 }),
    // Eight inodes, and the first eleven have uses of their own.
    ("inodes", { $0.byteCount = 64 << 10 }),
    ("bytes-per-inode", { $0.bytesPerInode = 1 }), ("bytes-per-inode", { $0.bytesPerInode = 1 << 40 }),
    ("reserved-percent", { $0.reservedPercent = 50.1 }), ("reserved-percent", { $0.reservedPercent = -0.1 }),
    ("reserved-percent", { $0.reservedPercent = .nan }), ("label", { $0.label = "more than 16 byte" }),
    ("label", { $0.label = "a\0b" }), ("revision", { $0.revision = 2 }), ("time", { $0.seconds = -1 }),
    ("time", { $0.seconds = 1 << 32 }), ("features", { ($0.revision, $0.features) = (0, .standard) }),
  ]

  @Test("refuses what cannot be, and names the option")
  func refusals() throws {
    for (index, (option, change)) in Self.refused.enumerated() {
      do {
        _ = try plan(change)
        Issue.record("\(index): \(option) was not refused")
      } catch MakeError.invalid(let refused, _) {
        #expect(refused == option, "\(index)")
      }
    }
    for byteCount: UInt64 in [0, 1, 1023, 1024, 2048, 40 << 10] {
      #expect(throws: MakeError.self, "\(byteCount)") { try plan { $0.byteCount = byteCount } }
    }
  }

  @Test("has no smaller blocks than the device", arguments: [512, 1024, 4096, 8192])
  func deviceBlocks(size: Int) throws {
    #expect(try plan { $0.deviceBlockSize = size }.blockSize == max(1024, size))
    #expect(try plan { ($0.byteCount, $0.deviceBlockSize) = (1 << 30, size) }.blockSize == max(4096, size))
  }

  @Test("edits features as mke2fs does, and knows its own")
  func features() throws {
    var set = FeatureSet.standard
    try set.edit("^filetype, meta_bg,^resize_inode")
    try set.edit("filetype")
    var other = FeatureSet()
    try other.edit("dir_index,ext_attr,filetype,large_file,meta_bg,sparse_super")
    #expect(set == other)
    try set.edit("none")
    #expect(set == FeatureSet() && set.isEmpty)
    #expect(throws: MakeError.unknownFeature("extent")) { try set.edit("ext_attr,^extent") }
    #expect(throws: MakeError.unknownFeature("has_journal")) { try set.edit("has_journal") }
    for list in ["resize_inode,meta_bg", "^sparse_super"] {
      #expect(throws: MakeError.self) {
        try plan {
          var features = FeatureSet.standard
          try? features.edit(list)
          $0.features = features
        }
      }
    }
  }

  @Test("reads a UUID as it writes it, and nothing else")
  func uuid() throws {
    let text = "01234567-89ab-cdef-0123-456789abcdef"
    #expect(VolumeUUID(text)?.description == text)
    #expect(VolumeUUID(text.uppercased())?.description == text)
    for wrong in [
      "", "01234567", text + "0", "g" + text.dropFirst(), text.replacing("-", with: ""), " " + text.dropFirst(),
    ] {
      #expect(VolumeUUID(wrong) == nil, "\(wrong)")
    }
    var generator = SystemRandomNumberGenerator()
    let random = VolumeUUID.random(using: &generator).description
    #expect(random.dropFirst(14).first == "4" && random.dropFirst(19).first.map { "89ab".contains($0) } == true)
  }
}
