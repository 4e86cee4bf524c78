import Ext2Format
import Testing

/// Bytes from a disk are hostile: whatever they are, decoding ends with a value or a `FormatError`.
@Suite("Hostile bytes")
struct FuzzTests {
  /// Changes a few bytes: one bit, or a whole word to an extreme value.
  static func damage(_ bytes: inout [UInt8], _ range: Range<Int>, _ generator: inout SplitMix64) {
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
      let place = Int.random(in: range, using: &generator)
      if Bool.random(using: &generator) {
        bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      } else {
        let value: UInt8 = [0, 0xFF, 0x7F, 0x80].randomElement(using: &generator)!
        for index in place..<min(place + 4, range.upperBound) { bytes[index] = value }
      }
    }
  }

  @Test("a damaged superblock gives a layout without traps, or an error", arguments: [10, 12, 16])
  func superblock(blockSizeLog2: Int) {
    var generator = SplitMix64(seed: UInt64(blockSizeLog2))
    var whole = [UInt8](repeating: 0, count: 1024)
    let good = Sample.superblock(blockSizeLog2: blockSizeLog2)
    whole.changing { good.encode(into: &$0) }
    var (accepted, refused) = (0, 0)
    for _ in 0..<4000 {
      var bytes = whole
      Self.damage(&bytes, 0..<360, &generator)
      do throws(FormatError) {
        let superblock = try bytes.reading { (span) throws(FormatError) in try Superblock(decoding: span) }
        let device = Bool.random(using: &generator) ? UInt64.max : UInt64(good.blockCount) << UInt64(blockSizeLog2)
        use(try superblock.validate(deviceByteCount: device))
        accepted += 1
      } catch {
        refused += 1
        #expect(!error.description.isEmpty)
      }
    }
    #expect(accepted > 0 && refused > 0)
  }

  /// Every query at the edges of a layout.
  private func use(_ layout: VolumeLayout) {
    for index in Set([0, 1, Int(layout.groupCount) / 2, Int(layout.groupCount) - 1]) where index < layout.groupCount {
      let group = layout.group(index)
      let last = layout.blocks(of: group).upperBound.advanced(by: -1)
      #expect(layout.group(of: last) == group)
      #expect(layout.contains(last))
      _ = (layout.leadingMetadataCount(of: group), layout.superblockByteOffset(group))
      let (block, _) = layout.descriptorPosition(of: group)
      #expect(layout.contains(layout.descriptorBlock(block)))
    }
    let last = InodeNumber(rawValue: layout.inodeCount)
    #expect(layout.inode(in: layout.group(of: last), bit: layout.indexInGroup(of: last)) == last)
    if layout.groupCount < 100_000 { _ = layout.overheadBlockCount }
  }

  @Test("damaged descriptors never lead outside the volume")
  func descriptors() throws {
    let layout = try Sample.layout(Sample.superblock())
    let good = Sample.descriptors(layout)
    var generator = SplitMix64(seed: 11)
    for _ in 0..<4000 {
      var bytes = [UInt8](repeating: 0, count: 32)
      bytes.changing { good[1].encode(into: &$0) }
      Self.damage(&bytes, 0..<18, &generator)
      let descriptor = try bytes.reading { (span) throws(FormatError) in try GroupDescriptor(decoding: span) }
      guard let map = try? MetadataMap(layout: layout, descriptors: [good[0], descriptor, good[2]]) else { continue }
      let inode = InodeNumber(rawValue: 2 * layout.inodesPerGroup)
      let block = layout.location(of: inode, descriptor: descriptor).block
      #expect(map.fixedUse(of: block) == .inodeTable)
    }
  }

  @Test("damaged and random inodes decode, and what validates can be mapped", arguments: [128, 256])
  func inodes(inodeSize: Int) throws {
    let layout = try Sample.layout(Sample.superblock(inodeSize: UInt16(inodeSize)))
    var generator = SplitMix64(seed: UInt64(inodeSize))
    var accepted = 0
    for _ in 0..<4000 {
      var bytes = (0..<inodeSize).map { _ in UInt8.random(in: 0...255, using: &generator) }
      if Bool.random(using: &generator) {
        let good = InodeRecord(
          mode: FileMode(.regular, permissions: 0o644), time: Timestamp(seconds: 1), extraSize: inodeSize - 128)
        bytes.store(good, isNew: true)
        Self.damage(&bytes, 0..<inodeSize, &generator)
      }
      let inode = try bytes.inode()
      _ = (inode.fastSymlinkTarget, inode.isFastSymlink(blockSize: 4096), DeviceNumber(decoding: inode.block))
      bytes.store(inode)
      #expect(try bytes.inode() == inode)
      guard (try? inode.validate(.root, layout: layout)) != nil else { continue }
      accepted += 1
      if inode.mode.type == .regular && inode.size > 0 {
        #expect(BlockPath(fileBlock: (inode.size - 1) >> 12, blockSizeLog2: 12) != nil)
      }
    }
    #expect(accepted > 100)
  }

  @Test(
    "a damaged directory block is refused, or can be read and changed", arguments: [1024, 4096, 65536], [true, false])
  func directories(blockSize: Int, types: Bool) throws {
    let format = DirectoryBlock(blockSize: blockSize, hasFileTypes: types, inodeCount: 5000)
    let place = BlockNumber(rawValue: 9)
    var generator = SplitMix64(seed: UInt64(blockSize))
    var whole = [UInt8](repeating: 0, count: blockSize)
    try whole.changing { (span) throws(FormatError) in
      format.initializeDots(&span, directory: .root, parent: .root)
      for number in 0..<40 {
        _ = try format.insert(
          Array("file-\(number)".utf8).span, inode: InodeNumber(rawValue: 100), type: .regular, into: &span,
          block: place)
      }
    }
    var refused = 0
    let wanted = Array("file-39".utf8)
    for _ in 0..<400 {
      var bytes = whole
      Self.damage(&bytes, 0..<min(blockSize, 900), &generator)
      let checked = bytes.reading { (span) in
        do throws(FormatError) {
          try format.check(span, block: place)
          return true
        } catch {
          return false
        }
      }
      if !checked { refused += 1 }
      // Unchecked blocks must be safe too: another reader of the same bytes may come before the check.
      do throws(FormatError) {
        try bytes.changing { (span) throws(FormatError) in
          _ = try format.holdsOnlyDots(span.bytes, of: .root, block: place)
          _ = try format.find(wanted.span, in: span.bytes, block: place)
          _ = try format.insert(Array("new".utf8).span, inode: .root, type: .directory, into: &span, block: place)
          _ = try format.remove(name: wanted.span, from: &span, block: place)
          _ = try format.boundary(atOrAfter: blockSize / 2, in: span.bytes, block: place)
        }
      } catch {
        #expect(!checked, "\(error)")
      }
    }
    #expect(refused > 0)
  }

  @Test("random bytes are no directory, and reading them ends")
  func noise() {
    let format = DirectoryBlock(blockSize: 4096, hasFileTypes: true, inodeCount: .max)
    var generator = SplitMix64(seed: 21)
    for _ in 0..<300 {
      let bytes = (0..<4096).map { _ in UInt8.random(in: 0...255, using: &generator) }
      bytes.reading { span in
        do throws(FormatError) {
          try format.check(span, block: .none)
        } catch {
          #expect(error.description.hasPrefix("directory block at block 0 byte "))
        }
      }
    }
  }

  @Test("an image of mke2fs with damaged metadata is read or refused", .enabled(if: Tool.areInstalled))
  func wholeImage() throws {
    let directory = try TemporaryDirectory()
    let good = try Image.make(["-t", "ext2", "-b", "1024", "-I", "128", "-N", "64"], kibibytes: 512, in: directory)
    var generator = SplitMix64(seed: 31)
    var (read, refused) = (0, 0)
    let parts = [1024..<1400, 2048..<2080, 2048..<4096]
    let root = try Image(good).inode(.root).block[0]
    let table = Int(try Image(good).descriptors[0].inodeTable.rawValue) * 1024
    for round in 0..<600 {
      var bytes = good
      let more = [table + 128..<table + 256, Int(root) * 1024..<Int(root) * 1024 + 64]
      Self.damage(&bytes, (parts + more)[round % 5], &generator)
      do throws(FormatError) {
        let image = try Image(bytes)
        for found in try image.list(.root).prefix(20) { _ = try image.contents(found.entry.inode, limit: 64) }
        read += 1
      } catch {
        refused += 1
      }
    }
    #expect(read > 0 && refused > 0)
  }
}
