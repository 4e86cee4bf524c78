import Ext2Tools
import Support
import Testing
import Workload

@Suite("A new volume beside mke2fs's", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct MakeComparisonTests {
  /// Makes it twice; what differs, or nil.
  static func compare(_ example: MakeCase) throws -> String? {
    try TemporaryFile.with(byteCount: Int(example.kibibytes << 10)) { ours in
      try TemporaryFile.with(byteCount: Int(example.kibibytes << 10)) { theirs in
        let refusal = try example.makeWithMke2fs(at: theirs)
        do {
          try example.make(at: ours)
        } catch let error as MakeError {
          return refusal == nil ? "we refuse: \(error)" : nil
        }
        if let refusal { return "mke2fs refuses: \(refusal)" }
        return try example.difference(ours, theirs)
      }
    }
  }

  static func expectSame(_ example: MakeCase) throws {
    if let difference = try compare(example) { Issue.record("\(difference)\n\(example)") }
  }

  static let sizes: [UInt64] = [
    64, 100, 1000, 1440, 3071, 3072, 8191, 8192, 8193, 8194, 8300, 16384, 65536, 131_072, 300_001, 524_287, 524_288,
    1_048_576,
  ]

  @Test("is the same to the byte, at every size", arguments: sizes)
  func everySize(kibibytes: UInt64) throws {
    for example in [MakeCase(kibibytes: kibibytes), MakeCase(kibibytes: kibibytes, revision: 0)] {
      try Self.expectSame(example)
    }
  }

  @Test("is the same to the byte with every block size and inode size", arguments: 10...16)
  func everyBlockSize(log2: Int) throws {
    for inodeSizeLog2 in 7...min(log2, 15) {
      let example = MakeCase(kibibytes: 300_000, blockSize: 1 << log2, inodeSize: 1 << inodeSizeLog2)
      try Self.expectSame(example)
    }
    let old = MakeCase(kibibytes: 300_000, blockSize: 1 << log2, revision: 0)
    try Self.expectSame(old)
  }

  static let options = [
    MakeCase(kibibytes: 65536, features: "meta_bg,^resize_inode"),
    MakeCase(kibibytes: 65536, features: "^resize_inode"),
    MakeCase(kibibytes: 65536, features: "^resize_inode,^sparse_super"), MakeCase(kibibytes: 65536, features: "none"),
    MakeCase(kibibytes: 65536, features: "^filetype,^dir_index,^ext_attr,^large_file"),
    MakeCase(kibibytes: 1 << 20, blockSize: 4096, features: "^large_file"),
    MakeCase(kibibytes: 1 << 20, blockSize: 1024, features: "^resize_inode,meta_bg,^sparse_super"),
    MakeCase(kibibytes: 65536, reserved: 0), MakeCase(kibibytes: 65536, reserved: 50),
    MakeCase(kibibytes: 65537, reserved: 1.7), MakeCase(kibibytes: 65536, label: "sixteen bytes ok"),
    MakeCase(kibibytes: 65536, owner: (100_000, 70_000)), MakeCase(kibibytes: 65536, inodes: 12),
    MakeCase(kibibytes: 65536, blockSize: 1024, inodeSize: 128, inodes: 12),
    MakeCase(kibibytes: 65536, inodes: 100_000), MakeCase(kibibytes: 65536, inodes: 262_000),
    MakeCase(kibibytes: 65536, bytesPerInode: 1024), MakeCase(kibibytes: 65536, bytesPerInode: 67_108_864),
    MakeCase(kibibytes: 65536, blockSize: 4096, bytesPerInode: 1024),
  ]

  @Test("is the same to the byte with every option", arguments: options)
  func everyOption(example: MakeCase) throws {
    try Self.expectSame(example)
  }

  /// The largest volumes, and sizes where the usual block size or number of inodes changes.
  static let large: [MakeCase] =
    (0...6).map { MakeCase(kibibytes: UInt64(UInt32.max) << $0, blockSize: 1024 << $0, inodes: 1_000_000) } + [
      MakeCase(kibibytes: (4 << 30) - 4), MakeCase(kibibytes: 4 << 30), MakeCase(kibibytes: 5_000_000_001),
      MakeCase(kibibytes: (16 << 30) - 4), MakeCase(kibibytes: 16 << 30),
      MakeCase(kibibytes: 17 << 30, blockSize: 65536), MakeCase(kibibytes: 1 << 40, blockSize: 32768),
      MakeCase(kibibytes: 1 << 32, blockSize: 1024), MakeCase(kibibytes: 1 << 28, blockSize: 1024, revision: 0),
      MakeCase(kibibytes: 1 << 30, blockSize: 2048, features: "^resize_inode,^sparse_super"),
    ]

  @Test("has mke2fs's counts up to the largest size", arguments: large)
  func largestCounts(example: MakeCase) throws {
    let plan = try? VolumePlan(example.options())
    let counts = try example.countsOfMke2fs()
    #expect(plan.map { UInt64($0.blockCount) } == counts?.blocks)
    #expect(plan.map { UInt64($0.inodeCount) } == counts?.inodes)
    #expect(plan?.superblockBackups == counts?.backups)
  }

  @Test("is clean at the largest size")
  func largest() throws {
    let example = MakeCase(kibibytes: UInt64(UInt32.max) << 3, blockSize: 8192, inodes: 1_000_000)
    try TemporaryFile.with(byteCount: Int(example.kibibytes << 10)) { path in
      try example.make(at: path)
      let outcome = try #require(ExternalTool("e2fsck")).run(["-fn", path])
      #expect(outcome?.exitCode == 0, "\(outcome?.output ?? "")\n\(example)")
    }
  }
}
