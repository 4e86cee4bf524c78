import Ext2Format
import Testing

@Suite("Superblock")
struct SuperblockTests {
  @Test("fields lie at the offsets of fs/ext2/ext2.h")
  func offsets() throws {
    var bytes = [UInt8](repeating: 0, count: 1024)
    for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: index &* 7 &+ 3) }
    bytes[56] = 0x53
    bytes[57] = 0xEF
    (bytes[76], bytes[77], bytes[78], bytes[79]) = (1, 0, 0, 0)
    func word(_ offset: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) } }
    func half(_ offset: Int) -> UInt16 { UInt16(bytes[offset]) | UInt16(bytes[offset + 1]) << 8 }

    let superblock = try bytes.reading { (span) throws(FormatError) in try Superblock(decoding: span) }
    let words: [(UInt32, Int)] = [
      (superblock.inodeCount, 0), (superblock.blockCount, 4), (superblock.reservedBlockCount, 8),
      (superblock.freeBlockCount, 12), (superblock.freeInodeCount, 16), (superblock.firstDataBlock.rawValue, 20),
      (superblock.logBlockSize, 24), (superblock.logFragmentSize, 28), (superblock.blocksPerGroup, 32),
      (superblock.fragmentsPerGroup, 36), (superblock.inodesPerGroup, 40), (superblock.mountTime, 44),
      (superblock.writeTime, 48), (superblock.lastCheckTime, 64), (superblock.checkInterval, 68),
      (superblock.creatorSystem, 72), (superblock.firstInode.rawValue, 84), (superblock.compatible.rawValue, 92),
      (superblock.incompatible.rawValue, 96), (superblock.readOnlyCompatible.rawValue, 100),
      (superblock.journalInode.rawValue, 224), (superblock.lastOrphan.rawValue, 232), (superblock.hashSeed[0], 236),
      (superblock.hashSeed[3], 248), (superblock.defaultMountOptions, 256), (superblock.firstMetaBlockGroup, 260),
      (superblock.makeTime, 264), (superblock.flags, 352),
    ]
    for (value, offset) in words { #expect(value == word(offset), "offset \(offset)") }
    let halves: [(UInt16, Int)] = [
      (superblock.mountCount, 52), (UInt16(bitPattern: superblock.maxMountCount), 54), (superblock.magic, 56),
      (superblock.state.rawValue, 58), (superblock.minorRevision, 62), (superblock.reservedUser, 80),
      (superblock.reservedGroup, 82), (superblock.inodeSize, 88), (superblock.blockGroup, 90),
      (superblock.reservedDescriptorBlocks, 206), (superblock.wantedExtraInodeSize, 350),
    ]
    for (value, offset) in halves { #expect(value == half(offset), "offset \(offset)") }
    #expect(superblock.uuid == Array(bytes[104..<120]))
    #expect(superblock.label == Array(bytes[120..<136].prefix { $0 != 0 }))
    #expect(superblock.hashVersion == bytes[252])
  }

  @Test("bytes that no field covers survive decoding, a change and encoding")
  func keepsUnknownBytes() throws {
    var generator = SplitMix64(seed: 1)
    var bytes = (0..<1024).map { _ in UInt8.random(in: 0...255, using: &generator) }
    bytes[56] = 0x53
    bytes[57] = 0xEF
    var superblock = try bytes.reading { (span) throws(FormatError) in try Superblock(decoding: span) }
    superblock.freeBlockCount = 0x0403_0201
    superblock.label = Array("label".utf8)
    superblock.hashSeed = [1, 2, 3, 4]
    var written = [UInt8](repeating: 0xAA, count: 1024)
    written.changing { superblock.encode(into: &$0) }

    var expected = bytes
    expected.replaceSubrange(12..<16, with: [1, 2, 3, 4])
    expected.replaceSubrange(120..<136, with: Array("label".utf8) + [UInt8](repeating: 0, count: 11))
    for word in 0..<4 { expected.replaceSubrange(236 + 4 * word..<240 + 4 * word, with: [UInt8(word + 1), 0, 0, 0]) }
    #expect(written == expected)
  }

  @Test("revision 0 has inodes of 128 bytes and 11 as its first free inode, whatever the later fields hold")
  func revisionZero() throws {
    var superblock = Sample.superblock(revision: 0)
    superblock.inodeSize = 999
    superblock.firstInode = .root
    #expect(superblock.inodeSize == 128)
    #expect(superblock.firstInode == .firstInRevisionZero)
    let layout = try Sample.layout(superblock)
    #expect(layout.inodeSize == 128)
    #expect(!layout.hasFileTypes)
  }

  @Test("a wrong magic number and missing bytes are told apart")
  func notExt2() {
    let zeros = [UInt8](repeating: 0, count: 1024)
    #expect(throws: FormatError.notExt2(magic: 0)) {
      try zeros.reading { (span) throws(FormatError) in try Superblock(decoding: span) }
    }
    let short = [UInt8](repeating: 0, count: 1023)
    #expect(throws: FormatError.truncated(.superblock, neededBytes: 1024, availableBytes: 1023)) {
      try short.reading { (span) throws(FormatError) in try Superblock(decoding: span) }
    }
  }

  @Test("a valid superblock of each block size gives a layout", arguments: 10...16)
  func valid(blockSizeLog2: Int) throws {
    let layout = try Sample.layout(Sample.superblock(blockSizeLog2: blockSizeLog2))
    #expect(layout.blockSizeLog2 == blockSizeLog2)
    #expect(layout.groupCount == 3)
  }

  struct Flaw: CustomTestStringConvertible, Sendable {
    let field: String
    let testDescription: String
    let apply: @Sendable (inout Superblock) -> Void
    init(_ field: String, _ what: String, _ apply: @escaping @Sendable (inout Superblock) -> Void) {
      self.field = field
      testDescription = "\(field): \(what)"
      self.apply = apply
    }
  }

  static let flaws = [
    Flaw("s_log_block_size", "128 KiB") { ($0.logBlockSize, $0.logFragmentSize) = (7, 7) },
    Flaw("s_log_block_size", "shift beyond any word") { $0.logBlockSize = 0xFFFF_FFFF },
    Flaw("s_log_frag_size", "smaller") { $0.logFragmentSize = 0 },
    Flaw("s_inode_size", "zero") { $0.inodeSize = 0 },
    Flaw("s_inode_size", "64") { $0.inodeSize = 64 },
    Flaw("s_inode_size", "not a power of two") { $0.inodeSize = 384 },
    Flaw("s_inode_size", "larger than a block") { $0.inodeSize = 8192 },
    Flaw("s_inodes_per_group", "zero") { $0.inodesPerGroup = 0 },
    Flaw("s_inodes_per_group", "less than a block's worth") { $0.inodesPerGroup = 15 },
    Flaw("s_inodes_per_group", "more than a bitmap") { $0.inodesPerGroup = 32769 },
    Flaw("s_inodes_per_group", "largest") { $0.inodesPerGroup = .max },
    Flaw("s_first_data_block", "1 with 4 KiB") { $0.firstDataBlock = BlockNumber(rawValue: 1) },
    Flaw("s_blocks_per_group", "zero") { $0.blocksPerGroup = 0 },
    Flaw("s_blocks_per_group", "its inode table and 3") { $0.blocksPerGroup = 128 + 3 },
    Flaw("s_blocks_per_group", "its inode table and 4, too few for descriptors") { flawed in
      (flawed.blocksPerGroup, flawed.inodeCount) = (128 + 3 + 1, 2048 * ((flawed.blockCount - 1) / 132 + 1))
    },
    Flaw("s_blocks_per_group", "more than a bitmap") { $0.blocksPerGroup = 32769 },
    Flaw("s_blocks_count", "zero") { $0.blockCount = 0 },
    Flaw("s_blocks_count", "more than the device") { $0.blockCount += 1 },
    Flaw("s_blocks_count", "a last group of ten blocks") { $0.blockCount = 2 * $0.blocksPerGroup + 10 },
    Flaw("s_inodes_count", "one more") { $0.inodeCount += 1 },
    Flaw("s_inodes_count", "zero") { $0.inodeCount = 0 },
    Flaw("s_first_ino", "root") { $0.firstInode = .root },
    Flaw("s_first_ino", "beyond") { $0.firstInode = InodeNumber(rawValue: 3 * 2048 + 1) },
    Flaw("s_r_blocks_count", "more than all") { $0.reservedBlockCount = .max },
    Flaw("s_free_blocks_count", "more than all") { $0.freeBlockCount = .max },
    Flaw("s_free_inodes_count", "more than all") { $0.freeInodeCount = .max },
    Flaw("s_first_meta_bg", "beyond the descriptors") {
      ($0.incompatible, $0.firstMetaBlockGroup) = ([.fileType, .metaBlockGroups], 2)
    },
    Flaw("s_reserved_gdt_blocks", "more than an indirect block") {
      ($0.compatible, $0.reservedDescriptorBlocks) = (.resizeInode, 1025)
    },
  ]

  @Test("a superblock that contradicts itself is refused, naming the field", arguments: flaws)
  func flawed(_ flaw: Flaw) throws {
    let good = Sample.superblock()
    var bad = good
    flaw.apply(&bad)
    let error = #expect(throws: FormatError.self) {
      try bad.validate(deviceByteCount: UInt64(good.blockCount) * 4096)
    }
    guard case .invalid(.superblock, _, let field, _, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(field == flaw.field)
  }
}

@Suite("Features")
struct FeatureTests {
  @Test("bits print with the names of e2fsprogs, unknown ones by number")
  func names() {
    #expect(CompatibleFeatures(rawValue: 0x38).description == "ext_attr resize_inode dir_index")
    #expect(CompatibleFeatures(rawValue: 1 << 20).description == "FEATURE_C20")
    #expect(IncompatibleFeatures(rawValue: 0x12 | 1 << 31).description == "filetype meta_bg FEATURE_I31")
    #expect(ReadOnlyCompatibleFeatures(rawValue: 3 | 1 << 25).description == "sparse_super large_file FEATURE_R25")
    #expect(IncompatibleFeatures(named: "meta_bg") == .metaBlockGroups)
    #expect(CompatibleFeatures(named: "meta_bg") == nil)
  }

  @Test("an unknown incompatible feature is refused by name")
  func incompatible() {
    var superblock = Sample.superblock()
    superblock.incompatible = [.fileType, .extents]
    let error = FormatError.unsupportedIncompatible(.extents)
    #expect(throws: error) { try superblock.checkMountable() }
    #expect(throws: error) { try superblock.validate(deviceByteCount: .max) }
    #expect(error.description == "the volume uses features that are not supported: extent")
  }

  @Test("a journal that needs recovery is refused with what to do, an empty one is not")
  func journal() throws {
    var superblock = Sample.superblock()
    superblock.compatible = .hasJournal
    try superblock.checkMountable()
    #expect(!superblock.mustBeReadOnly)
    superblock.incompatible.insert(.needsRecovery)
    let error = #expect(throws: FormatError.self) { try superblock.checkMountable() }
    #expect(error?.description.contains("needs_recovery") == true)
    #expect(error?.description.contains("run e2fsck") == true)
  }

  @Test("an unknown read-only feature and a revision after 1 allow reading only")
  func readOnly() {
    var superblock = Sample.superblock()
    #expect(!superblock.mustBeReadOnly)
    superblock.revision = 2
    #expect(superblock.mustBeReadOnly)
    superblock.revision = 1
    superblock.readOnlyCompatible.insert(ReadOnlyCompatibleFeatures(rawValue: 0x400))
    #expect(superblock.mustBeReadOnly)
  }

  @Test("an error names structure, place, field and value")
  func message() {
    let error = FormatError.invalid(
      .directoryBlock, at: .blockByte(BlockNumber(rawValue: 77), offset: 24), field: "rec_len", value: 3,
      why: "too small")
    #expect(error.description == "directory block at block 77 byte 24: rec_len is 3: too small")
  }
}
