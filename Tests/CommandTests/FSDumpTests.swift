import Support
import Testing
import Workload

@Suite("blkdev-run fs dump", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct FSDumpTests {
  /// Blocks of each size, with and without copies and features of the layout.
  static let layouts: [(blockSize: Int, options: [String])] = [
    (1024, []), (4096, []), (1024, ["-O", "^sparse_super,^resize_inode", "-L", "'a label'"]),
    (1024, ["-O", "meta_bg,^resize_inode"]),
    (2048, ["-O", "^resize_inode", "-e", "remount-ro", "-m", "1"]), (1024, ["-r", "0"]),
  ]

  @Test("shows superblock and groups in dumpe2fs's words", arguments: layouts)
  func groups(blockSize: Int, options: [String]) throws {
    let image = try FSImage(byteCount: 40 << 20, blockSize: blockSize, options: options)
    #expect(try image.script("mkdir -p /a/b/c\nfill -l 5M -s 1 /a/f\nfill -l 100K -s 2 /g\nrm /g\n").exitCode == 0)
    let theirs = try image.shell("dumpe2fs \"$image\" 2>/dev/null").split(separator: "\n").map(String.init)
    let superblock = try image.fs("dump superblock").split(separator: "\n").map(trimmed)
    let known = Set(theirs.map(trimmed))
    for line in superblock { #expect(known.contains(line), "\(line)") }
    // What we leave out are fields that ext2 does not use.
    let labels = Set(superblock.map { $0.prefix { $0 != ":" } })
    let left = theirs.prefix { !$0.hasPrefix("Group ") }.filter { !labels.contains($0.prefix { $0 != ":" }) }
    for line in left {
      #expect(["Overhead clusters", "Required extra isize"].contains { line.hasPrefix($0) }, "\(line)")
    }
    let groups = try image.fs("dump groups").split(separator: "\n").map(String.init)
    #expect(groups == theirs.drop { !$0.hasPrefix("Group ") }.map { $0 })
  }

  /// Without differences in blanks.
  private func trimmed(_ line: some StringProtocol) -> String {
    line.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }

  @Test("a superblock as JSON has values, not dumpe2fs's words for those that are missing")
  func superblockValues() throws {
    let json = try FSImage(options: ["-O", "none"]).fs("--output-format=json dump superblock")
    for line in [
      "\"label\" : \"\"", "\"last_mounted_on\" : \"\"", "\"features\" : []", "\"default_mount_options\" : [",
    ] {
      #expect(json.contains(line), "\(json)")
    }
    #expect(!json.contains("<") && !json.contains("(none)"))
  }

  @Test("counts free extents as e2freefrag does, and draws where they are")
  func freeSpace() throws {
    let image = try FSImage(byteCount: 40 << 20)
    #expect(
      try image.script((0..<20).map { "fill -l \($0 * 7)K -s 1 /f\($0)\n" }.joined() + "rm /f3 /f11 /f12 /f17\n")
        .exitCode == 0)
    let json = try image.fs("--output-format=json dump free")
    func number(_ key: String) -> Int? {
      json.split(separator: "\n").first { $0.contains("\"\(key)\"") }.flatMap { Int($0.filter(\.isNumber)) }
    }
    let theirs = try image.shell("e2freefrag \"$image\"").split(separator: "\n")
    let free = theirs.first { $0.hasPrefix("Free blocks: ") }?.split(separator: " ")[2]
    let extents = theirs.first { $0.hasPrefix("Num. free extent: ") }?.split(separator: " ").last
    #expect(number("blocks_free") == free.flatMap { Int($0) })
    #expect(number("extents") == extents.flatMap { Int($0) })
    let picture = try image.fs("dump free").split(separator: "\n")
    #expect(picture[0].hasPrefix("Each character is 32 blocks of 1024 bytes"))
    #expect(picture.filter { $0.contains("#") || $0.contains("....") }.count >= 20)
    #expect(picture.contains { $0.hasPrefix("Longest free extent: ") })
  }

  @Test("shows inodes, extents and blocks as debugfs does")
  func details() throws {
    let image = try FSImage()
    #expect(try image.script("fill -l 20K -s 1 /f\nfallocate -p -o 4K -l 8K /f\nchown 5:6 /f\n").exitCode == 0)
    let number = try image.fs("ls -i /").split(separator: "\n").first { $0.hasSuffix(" f") }?.split(separator: " ")[0]
    let inode = try #require(number)
    let theirs = try image.debugfs("stat /f"), ours = try image.fs("dump inode \(inode)")
    for part in ["Links: 1   Blockcount: ", "Generation: "] {
      let line = try #require(theirs.split(separator: "\n").first { $0.hasPrefix(part) })
      #expect(ours.contains(line.prefix { $0 != "V" }.trimmingSuffix(while: \.isWhitespace)), "\(line)\n\(ours)")
    }
    #expect(ours.contains("User: 5   Group: 6   Size: 20480") && ours.contains("In bitmap: used"))
    let blocks = try image.debugfs("blocks /f").split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
    let json = try image.fs("--output-format=json dump extents /f")
    let first = json.split(separator: "\n").first { $0.contains("disk_block") }?.filter(\.isNumber)
    #expect(first.flatMap { Int($0) } == blocks.first)
    #expect(try image.fs("dump extents /f").hasSuffix("\n2 extents\n"))
    // The root's first block holds its names.
    let root = try image.debugfs("blocks /").split(whereSeparator: \.isWhitespace).compactMap { Int($0) }[0]
    let dump = try image.fs("dump block \(root)")
    #expect(dump.hasPrefix("Block \(root): in use\n00000000  02 00 00 00 0c 00 01 02  2e 00 00 00"))
    #expect(dump.contains("lost+found"))
    guard ExternalTool("hexdump") != nil else { return }
    let hex = try image.shell("dd if=\"$image\" bs=1024 skip=\(root) count=1 status=none | hexdump -C")
    #expect(dump.split(separator: "\n").dropFirst().elementsEqual(hex.split(separator: "\n").dropLast()))
    #expect(try image.fs("dump block 1").hasPrefix("Block 1: superblock\n"))
    #expect(try image.fs("dump block 2").hasPrefix("Block 2: group descriptors\n"))
    #expect(
      try image.run("\"$image\" dump block 999999").errors.contains("dump: block 999999: the volume has blocks 0 to "))
    for inode in [0, 999999] {
      let outcome = try image.run("\"$image\" dump inode \(inode)")
      #expect(outcome.exitCode == 1 && outcome.errors.contains("dump: inode \(inode): the volume has inodes 1 to "))
    }
  }
}

extension Substring {
  fileprivate func trimmingSuffix(while isTrimmed: (Character) -> Bool) -> Substring {
    var rest = self
    while let last = rest.last, isTrimmed(last) { rest.removeLast() }
    return rest
  }
}
