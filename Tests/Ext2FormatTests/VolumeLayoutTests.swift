import Ext2Format
import Testing

@Suite("Volume layout")
struct VolumeLayoutTests {
  @Test("sparse_super keeps copies in groups 0, 1 and the powers of 3, 5 and 7")
  func sparseGroups() throws {
    let layout = try Sample.layout(Sample.superblock(blockSizeLog2: 10, groups: 400, inodeSize: 128))
    let expected: [UInt32] = [1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343]
    #expect(layout.backupGroups.map(\.rawValue) == expected)
    #expect(layout.groups.filter(layout.hasSuperblockBackup).map(\.rawValue) == expected)
    #expect(layout.hasSuperblock(layout.group(0)))
  }

  @Test("without sparse_super every group holds a copy")
  func denseGroups() throws {
    let layout = try Sample.layout(Sample.superblock(groups: 5, revision: 0))
    #expect(layout.backupGroups.map(\.rawValue) == [1, 2, 3, 4])
    let offsets: [UInt64] = [1024, 32768 * 4096, 2 * 32768 * 4096]
    #expect(layout.groups.prefix(3).compactMap(layout.superblockByteOffset) == offsets)
  }

  @Test("blocks, groups and bits convert both ways", arguments: [10, 12, 16])
  func blocks(blockSizeLog2: Int) throws {
    let layout = try Sample.layout(Sample.superblock(blockSizeLog2: blockSizeLog2))
    var expected = layout.firstDataBlock
    for group in layout.groups {
      #expect(layout.firstBlock(of: group) == expected)
      for block in [layout.blocks(of: group).lowerBound, layout.blocks(of: group).upperBound.advanced(by: -1)] {
        #expect(layout.group(of: block) == group)
        #expect(layout.block(in: group, bit: layout.bitIndex(of: block)) == block)
      }
      expected = layout.blocks(of: group).upperBound
    }
    #expect(expected.rawValue == layout.blockCount)
    #expect(layout.blockCount(of: layout.group(2)) == Int(layout.blocksPerGroup) - 1000)
    #expect(layout.contains(BlockNumber.none) == (blockSizeLog2 != 10))
    #expect(!layout.contains(BlockNumber(rawValue: layout.blockCount)))
    #expect(!layout.contains(BlockNumber(rawValue: layout.blockCount - 1), count: 2))
    #expect(!layout.contains(BlockNumber(rawValue: .max), count: .max))
  }

  @Test("an inode lies in its group's table", arguments: [UInt16(128), 256, 1024, 4096])
  func inodes(inodeSize: UInt16) throws {
    let layout = try Sample.layout(Sample.superblock(inodeSize: inodeSize))
    let descriptors = Sample.descriptors(layout)
    for number in [UInt32(1), 2, 16, 17, 2048, 2049, 6144] {
      let inode = InodeNumber(rawValue: number)
      let group = layout.group(of: inode)
      #expect(Int(group.rawValue) == (Int(number) - 1) / 2048)
      #expect(layout.inode(in: group, bit: layout.indexInGroup(of: inode)) == inode)
      let descriptor = descriptors[Int(group.rawValue)]
      let (block, offset) = layout.location(of: inode, descriptor: descriptor)
      let bytes = (Int(number) - 1) % 2048 * Int(inodeSize)
      #expect(descriptor.inodeTable.distance(to: block) == bytes / 4096)
      #expect(offset == bytes % 4096)
    }
    #expect(!layout.contains(InodeNumber.none))
    #expect(!layout.contains(InodeNumber(rawValue: 6145)))
  }

  @Test("with meta_bg a descriptor block lies in the first, second and last of its groups")
  func metaGroups() throws {
    var superblock = Sample.superblock(blockSizeLog2: 10, groups: 100, inodeSize: 128)
    superblock.incompatible.insert(.metaBlockGroups)
    superblock.firstMetaBlockGroup = 1
    let layout = try Sample.layout(superblock)
    #expect(layout.descriptorsPerBlock == 32)
    #expect(layout.descriptorBlockCount == 4)
    func first(_ group: Int) -> BlockNumber { layout.firstBlock(of: layout.group(group)) }
    #expect(layout.descriptorBlock(0) == BlockNumber(rawValue: 2))
    #expect(layout.descriptorBackups(0) == [1, 3, 5, 7, 9, 25, 27].map { first($0).advanced(by: 1) })
    #expect(layout.descriptorBlock(1) == first(32))
    #expect(layout.descriptorBackups(1) == [first(33), first(63)])
    #expect(layout.descriptorBlock(2) == first(64))
    #expect(layout.descriptorBackups(3) == [first(97)])
    #expect(layout.leadingMetadataCount(of: layout.group(49)) == 1)
    #expect(layout.leadingMetadataCount(of: layout.group(50)) == 0)
    #expect(layout.leadingMetadataCount(of: layout.group(81)) == 1)
    #expect(layout.descriptorPosition(of: layout.group(33)) == (index: 1, byteOffset: 32))
  }

  @Test(
    "overhead is the sum over the groups of what cannot be data",
    arguments: [(10, false, false), (10, true, false), (12, true, false), (10, true, true), (10, false, true)])
  func overhead(blockSizeLog2: Int, sparse: Bool, meta: Bool) throws {
    var superblock = Sample.superblock(blockSizeLog2: blockSizeLog2, groups: 90, inodeSize: 128)
    if !sparse { superblock.readOnlyCompatible.remove(.sparseSuper) }
    if meta { superblock.incompatible.insert(.metaBlockGroups) }
    let layout = try Sample.layout(superblock)
    var sum = UInt64(layout.firstDataBlock.rawValue)
    for group in layout.groups {
      sum += (layout.hasSuperblock(group) ? 1 : 0) + UInt64(layout.descriptorBlocks(in: group).count)
      sum += UInt64(2 + layout.inodeTableBlocksPerGroup)
    }
    #expect(layout.overheadBlockCount == sum)
  }
}

@Suite("Group descriptors and the metadata map")
struct MetadataMapTests {
  @Test("a descriptor survives encoding and leaves its padding alone")
  func roundTrip() throws {
    var bytes = (0..<96).map { UInt8($0) }
    let original = bytes
    let descriptor = try bytes.reading { (span) throws(FormatError) in try GroupDescriptor(decoding: span, at: 32) }
    #expect(descriptor.blockBitmap.rawValue == 0x2322_2120)
    #expect(descriptor.usedDirectoryCount == 0x3130)
    bytes.changing { descriptor.encode(into: &$0, at: 32) }
    #expect(bytes == original)
    #expect(throws: FormatError.truncated(.groupDescriptor, neededBytes: 32, availableBytes: 31)) {
      try bytes.reading { (span) throws(FormatError) in try GroupDescriptor(decoding: span, at: 65) }
    }
  }

  typealias Change = @Sendable (inout GroupDescriptor, VolumeLayout) -> Void
  static let flaws: [(field: String, apply: Change)] = [
    ("bg_block_bitmap", { descriptor, _ in descriptor.blockBitmap = .none }),
    ("bg_block_bitmap", { $0.blockBitmap = $1.firstBlock(of: $1.group(1)) }),
    ("bg_block_bitmap", { $0.blockBitmap = $1.firstBlock(of: $1.group(2)) }),
    ("bg_block_bitmap", { descriptor, _ in descriptor.blockBitmap = descriptor.inodeTable }),
    ("bg_inode_bitmap", { descriptor, _ in descriptor.inodeBitmap = BlockNumber(rawValue: .max) }),
    ("bg_inode_bitmap", { descriptor, _ in descriptor.inodeBitmap = descriptor.blockBitmap }),
    ("bg_inode_table", { $0.inodeTable = $1.firstBlock(of: $1.group(2)).advanced(by: -1) }),
    ("bg_inode_table", { descriptor, _ in descriptor.inodeTable = BlockNumber(rawValue: .max) }),
    ("bg_free_blocks_count", { descriptor, _ in descriptor.freeBlockCount = .max }),
    ("bg_free_inodes_count", { descriptor, _ in descriptor.freeInodeCount = 2049 }),
    ("bg_used_dirs_count", { descriptor, _ in descriptor.usedDirectoryCount = 2049 }),
  ]

  @Test("a descriptor that points out of its group or into itself is refused", arguments: flaws.indices)
  func flawed(_ index: Int) throws {
    let layout = try Sample.layout(Sample.superblock())
    var descriptor = Sample.descriptors(layout)[1]
    try descriptor.validate(group: layout.group(1), layout: layout)
    Self.flaws[index].apply(&descriptor, layout)
    let error = #expect(throws: FormatError.self) {
      try descriptor.validate(group: layout.group(1), layout: layout)
    }
    guard case .invalid(.groupDescriptor, .group(let group), let field, _, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(group == layout.group(1))
    #expect(field == Self.flaws[index].field)
  }

  @Test("the map agrees with counting block by block", arguments: [(10, false, 10), (10, true, 34), (12, false, 2)])
  func everyBlock(blockSizeLog2: Int, meta: Bool, groups: UInt32) throws {
    var superblock = Sample.superblock(blockSizeLog2: blockSizeLog2, groups: groups, inodeSize: 128)
    if meta { superblock.incompatible.insert(.metaBlockGroups) }
    superblock.compatible = .resizeInode
    superblock.reservedDescriptorBlocks = meta ? 0 : 9
    let layout = try Sample.layout(superblock)
    let descriptors = Sample.descriptors(layout)
    let map = try MetadataMap(layout: layout, descriptors: descriptors)
    var data = 0
    var reserved = 0
    for group in layout.groups {
      for block in layout.blocks(of: group) {
        let use = map.fixedUse(of: block)
        if use == nil { data += 1 }
        if use == .reservedDescriptors { reserved += 1 }
      }
      let begin = layout.firstBlock(of: group)
      #expect((map.fixedUse(of: begin) == .superblock) == layout.hasSuperblock(group))
      for block in layout.descriptorBlocks(in: group) { #expect(map.fixedUse(of: block) == .groupDescriptors) }
    }
    #expect(data == descriptors.reduce(0) { $0 + Int($1.freeBlockCount) })
    #expect(reserved == (meta ? 0 : 9 * (layout.backupGroups.count + 1)))
    #expect(UInt64(data + reserved) + layout.overheadBlockCount == UInt64(layout.blockCount))
  }

  @Test("a range is ownable when each of its blocks is")
  func ranges() throws {
    let layout = try Sample.layout(Sample.superblock(blockSizeLog2: 10, groups: 4, inodeSize: 128))
    let map = try MetadataMap(layout: layout, descriptors: Sample.descriptors(layout))
    var generator = SplitMix64(seed: 7)
    for _ in 0..<500 {
      let first = BlockNumber(rawValue: UInt32.random(in: 0...layout.blockCount, using: &generator))
      let count = Int.random(in: 1...600, using: &generator)
      let each = (0..<count).allSatisfy { map.isOwnable(first.advanced(by: $0)) }
      #expect(map.isOwnable(first, count: count) == each, "\(first) + \(count)")
    }
    #expect(!map.isOwnable(BlockNumber(rawValue: .max), count: .max))
    #expect(!map.isOwnable(BlockNumber(rawValue: 5000), count: 0))
  }

  @Test("a pointer into metadata or out of the volume is refused, a hole is not")
  func pointers() throws {
    let layout = try Sample.layout(Sample.superblock())
    let map = try MetadataMap(layout: layout, descriptors: Sample.descriptors(layout))
    try map.checkPointer(.none, at: .inode(.root), field: "i_block")
    try map.checkPointer(BlockNumber(rawValue: 5000), at: .inode(.root), field: "i_block")
    for wrong in [UInt32(1), 3, layout.blockCount, .max] {
      #expect(throws: FormatError.self) {
        try map.checkPointer(BlockNumber(rawValue: wrong), at: .inode(.root), field: "i_block")
      }
    }
  }
}
