import Ext2Format
import Testing

@Suite("Inode record")
struct InodeRecordTests {
  @Test("bytes that no field covers survive decoding and encoding", arguments: [128, 256, 1024])
  func keepsUnknownBytes(inodeSize: Int) throws {
    var generator = SplitMix64(seed: UInt64(inodeSize))
    for round in 0..<200 {
      var bytes = (0..<inodeSize).map { _ in UInt8.random(in: 0...255, using: &generator) }
      if inodeSize > 128 && round % 2 == 0 { (bytes[128], bytes[129]) = (32, 0) }
      // Nanoseconds of a second or more do not survive, by design.
      for offset in [135, 139, 143, 151] where inodeSize > 128 { bytes[offset] &= 0x7F }
      let original = bytes
      let inode = try bytes.inode()
      bytes.store(inode)
      #expect(bytes == original)
    }
  }

  @Test("fields lie at the offsets of fs/ext2/ext2.h")
  func offsets() throws {
    var bytes = (0..<128).map { UInt8($0) }
    (bytes[0], bytes[1]) = (0xA4, 0x81)
    let inode = try bytes.inode()
    #expect(inode.mode == FileMode(.regular, permissions: 0o644))
    #expect(inode.userID == 0x7978_0302)
    #expect(inode.groupID == 0x7B7A_1918)
    #expect(inode.size == 0x6F6E_6D6C_0706_0504)
    #expect(inode.accessTime == Timestamp(seconds: 0x0B0A_0908))
    #expect(inode.changeTime == Timestamp(seconds: 0x0F0E_0D0C))
    #expect(inode.modificationTime == Timestamp(seconds: 0x1312_1110))
    #expect(inode.deletionTime == 0x1716_1514)
    #expect(inode.linkCount == 0x1B1A)
    #expect(inode.sectorCount == 0x1F1E_1D1C)
    #expect(inode.flags.rawValue == 0x2322_2120)
    #expect(inode.block[0] == 0x2B2A_2928)
    #expect(inode.block[14] == 0x6362_6160)
    #expect(inode.generation == 0x6766_6564)
    #expect(inode.attributeBlock.rawValue == 0x6B6A_6968)
    #expect(inode.creationTime == nil)
    #expect(inode.extraSize == 0)
  }

  @Test("only regular files have a size beyond 32 bits")
  func directorySize() throws {
    var bytes = [UInt8](repeating: 0xFF, count: 128)
    (bytes[0], bytes[1]) = (0xED, 0x41)
    let inode = try bytes.inode()
    #expect(inode.mode.type == .directory)
    #expect(inode.size == UInt64(UInt32.max))
  }

  @Test(
    "a new inode is written over zeros and reads back as it was", arguments: [(128, 0), (256, 32), (256, 16), (256, 4)])
  func newInode(inodeSize: Int, extraSize: Int) throws {
    let time = Timestamp(seconds: 5_000_000_000, nanoseconds: 999_999_999)
    var inode = InodeRecord(mode: FileMode(.regular, permissions: 0o600), time: time, extraSize: extraSize)
    inode.userID = 100_000
    inode.groupID = 70_000
    inode.size = 1 << 40
    inode.linkCount = 1
    var bytes = [UInt8](repeating: 0xEE, count: inodeSize)
    bytes.store(inode, isNew: true)
    let read = try bytes.inode()
    #expect(read.userID == 100_000)
    #expect(read.groupID == 70_000)
    #expect(read.size == 1 << 40)
    #expect(read.extraSize == extraSize)
    #expect(read.accessTime == time.rounded(hasExtra: extraSize >= 16))
    #expect(read.changeTime == time.rounded(hasExtra: extraSize >= 8))
    #expect(read.creationTime == (extraSize >= 24 ? time : nil))
    #expect(bytes[(128 + extraSize)...].allSatisfy { $0 == 0 })
    #expect(bytes[36..<40].allSatisfy { $0 == 0 })
  }

  @Test("an extra size that cannot be right reads as none", arguments: [2, 132, 30, 65535, 129])
  func extraSize(stated: Int) throws {
    var bytes = [UInt8](repeating: 0x11, count: 256)
    (bytes[128], bytes[129]) = (UInt8(stated & 0xFF), UInt8(stated >> 8))
    let original = bytes
    let inode = try bytes.inode()
    #expect(inode.extraSize == 0)
    bytes.store(inode)
    #expect(bytes == original)
  }

  @Test("a short target lies in the inode, also beside an attribute block")
  func fastSymlink() throws {
    for length in [1, 4, 59] {
      let target = (0..<length).map { UInt8(97 + $0 % 26) }
      var inode = InodeRecord(
        mode: FileMode(.symbolicLink, permissions: 0o777), time: Timestamp(seconds: 0), extraSize: 0)
      inode.setFastSymlinkTarget(target)
      var bytes = [UInt8](repeating: 0, count: 128)
      bytes.store(inode)
      let read = try bytes.inode()
      #expect(read.fastSymlinkTarget == target)
      #expect(Array(bytes[40..<40 + length]) == target)
      #expect(read.isFastSymlink(blockSize: 4096))
      #expect(!read.hasBlockPointers(blockSize: 4096))
      inode.attributeBlock = BlockNumber(rawValue: 1000)
      inode.sectorCount = 8
      #expect(inode.isFastSymlink(blockSize: 4096))
      inode.sectorCount = 16
      #expect(!inode.isFastSymlink(blockSize: 4096))
    }
  }

  @Test("an inode in use that cannot be right is refused, naming the field")
  func flaws() throws {
    let layout = try Sample.layout(Sample.superblock())
    func inode(_ type: InodeType, size: UInt64, _ change: (inout InodeRecord) -> Void = { _ in }) -> InodeRecord {
      var made = InodeRecord(mode: FileMode(type, permissions: 0), time: Timestamp(seconds: 0), extraSize: 0)
      made.size = size
      change(&made)
      return made
    }
    let limit = BlockPath.treeByteLimit(blockSizeLog2: 12)
    for good in [
      inode(.regular, size: limit), inode(.directory, size: 4096), inode(.symbolicLink, size: 59),
      inode(.symbolicLink, size: 4095) { $0.sectorCount = 8 }, inode(.fifo, size: 0),
    ] {
      try good.validate(.root, layout: layout)
    }
    let bad: [(String, InodeRecord)] = [
      ("i_mode", inode(.regular, size: 0) { $0.mode = FileMode(rawValue: 0x3000) }),
      ("i_flags", inode(.regular, size: 0) { $0.flags = .extents }),
      ("i_flags", inode(.regular, size: 0) { $0.flags = .inlineData }),
      ("i_file_acl", inode(.regular, size: 0) { $0.attributeBlock = BlockNumber(rawValue: .max) }),
      ("i_size", inode(.regular, size: limit + 1)), ("i_size", inode(.regular, size: .max)),
      ("i_size", inode(.directory, size: 4095)),
      ("i_size", inode(.symbolicLink, size: 0)), ("i_size", inode(.symbolicLink, size: 60)),
      ("i_size", inode(.symbolicLink, size: 4096) { $0.sectorCount = 8 }),
    ]
    for (expected, record) in bad {
      let error = #expect(throws: FormatError.self) { try record.validate(.root, layout: layout) }
      guard case .invalid(.inode, .inode(.root), let field, _, _) = error else {
        Issue.record("\(expected)")
        continue
      }
      #expect(field == expected)
    }
  }

  @Test("freed and never used inodes are told from those in use")
  func unused() {
    var inode = InodeRecord(mode: FileMode(.regular, permissions: 0), time: Timestamp(seconds: 0), extraSize: 0)
    #expect(!inode.isUnused)
    inode.deletionTime = 1
    #expect(inode.isUnused)
    inode.linkCount = 1
    #expect(!inode.isUnused)
  }

  @Test(
    "device numbers keep their halves in the old and the new form",
    arguments: [(0, 1), (8, 0), (255, 255), (256, 0), (1, 256), (0xFFF, 0xF_FFFF)] as [(UInt32, UInt32)])
  func devices(major: UInt32, minor: UInt32) {
    let device = DeviceNumber(major: major, minor: minor)
    #expect(DeviceNumber(decoding: device.encoded) == device)
    #expect((device.encoded[0] != 0) == (major < 256 && minor < 256))
  }

  @Test("each type of file has its code in directory entries")
  func types() {
    for type in InodeType.allCases {
      #expect(InodeType(directoryCode: type.directoryCode) == type)
      #expect(FileMode(type, permissions: 0o7777).type == type)
    }
    #expect(InodeType(directoryCode: 0) == nil)
    #expect(InodeType(directoryCode: 8) == nil)
  }
}

@Suite("Timestamp")
struct TimestampTests {
  static let moments: [Timestamp] = [
    Timestamp(seconds: 0), Timestamp(seconds: -1, nanoseconds: 999_999_999),
    Timestamp(seconds: 1 << 31, nanoseconds: 5),
    Timestamp(seconds: (1 << 31) - 1), Timestamp(seconds: 1 << 32),
    Timestamp(seconds: (1 << 32) + (1 << 31), nanoseconds: 1),
    .earliest, .latestWithExtra,
  ]

  @Test("with extra bits every moment from 1901 to 2446 survives an inode", arguments: moments)
  func withExtra(_ moment: Timestamp) throws {
    #expect(try store(moment, inodeSize: 256, extraSize: 32) == moment)
  }

  @Test("without, nanoseconds are cut and moments out of range become the nearest", arguments: moments)
  func withoutExtra(_ moment: Timestamp) throws {
    let expected = min(max(moment.seconds, Int64(Int32.min)), Int64(Int32.max))
    #expect(try store(moment, inodeSize: 128, extraSize: 0) == Timestamp(seconds: expected))
  }

  @Test("moments beyond any inode become the nearest")
  func outOfRange() throws {
    #expect(try store(Timestamp(seconds: .max), inodeSize: 256, extraSize: 32) == .latestWithExtra)
    #expect(try store(Timestamp(seconds: .min), inodeSize: 256, extraSize: 32) == .earliest)
  }

  func store(_ moment: Timestamp, inodeSize: Int, extraSize: Int) throws(FormatError) -> Timestamp {
    var bytes = [UInt8](repeating: 0, count: inodeSize)
    let inode = InodeRecord(mode: FileMode(.regular, permissions: 0), time: moment, extraSize: extraSize)
    bytes.store(inode, isNew: true)
    return try bytes.inode().modificationTime
  }
}
