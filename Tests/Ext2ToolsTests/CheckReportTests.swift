import Ext2Format
import Ext2Tools
import Support
import Testing

/// What a report says, finding by finding, and how much is kept of it.
@Suite("A report", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct CheckReportTests {
  /// 1 MiB: inode 11 is lost+found, 12 a file "name" of one block, 13 a directory "folder".
  private static func image(_ changes: [String] = [], options: [String] = []) throws -> [UInt8] {
    let whole = try Images.edited(
      Images.make(blockSize: 1024, byteCount: 1 << 20, options: ["-N", "32"] + options),
      ["write /etc/hostname name", "mkdir folder"])
    return changes.isEmpty ? whole : try Images.edited(whole, changes)
  }

  @Test(
    "names what is wrong and where",
    arguments: [
      (["set_inode_field name block[0] 99999"], CheckFinding.Kind.blockOutOfRange, UInt32(12)),
      (["set_inode_field name block[0] 5"], .blockShared, 12),
      (["set_inode_field name blocks 7"], .inodeBlocks, 12),
      (["set_inode_field folder size 5"], .inodeSize, 13),
      (["set_inode_field name mode 0"], .inodeMode, 12),
      (["set_inode_field name dtime 1600000000"], .deletionTime, 12),
      (["set_inode_field name links_count 0"], .missingDeletionTime, 12),
      (["set_inode_field name faddr 3"], .inodeField, 12),
      (["set_inode_field name flags 0x80000"], .inodeFlag, 12),
      (["set_inode_field name links_count 9"], .linkCount, 12),
      (["unlink name"], .inodeUnattached, 12),
      (["unlink folder"], .directoryUnconnected, 13),
      (["mknod pipe p", "set_inode_field pipe size 4"], .specialSize, 14),
      (["symlink link target", "set_inode_field link size 5"], .symbolicLink, 14),
      (["link folder second"], .entryToDirectory, 2),
      (["clri <12>"], .entryUnusedInode, 2),
      (["freei <12>"], .inodeMarkedFree, 12),
      (["seti <20>"], .inodeMarkedUsed, 20),
      (["set_inode_field <2> mode 0100644"], .rootNotDirectory, 2),
      (["set_inode_field <7> block[DIND] 0"], .resizeInode, 7),
    ])
  func names(changes: [String], kind: CheckFinding.Kind, inode: UInt32) throws {
    let bytes = try Self.image(changes)
    let report = try VolumeChecker().check(MemoryBytes(bytes))
    #expect(report.findings.contains { $0.kind == kind && $0.inode == inode }, "\(report.findings)")
    #expect(!report.isClean)
    #expect(report.errorCount + report.noteCount == UInt64(report.findings.count))
    // Each is a sentence that names its inode, group or block, and none has a number left out.
    for finding in report.findings { #expect(!"\(finding)".contains("?"), "\(finding)") }
    if kind != .resizeInode { #expect(try Images.check(bytes) != nil) }
  }

  @Test("counts what it does not keep", arguments: [0, 1, 3, 1000])
  func kept(count: Int) throws {
    let bytes = try Self.image((0..<20).map { "setb \(600 + 2 * $0)" })
    var options = VolumeChecker.Options()
    options.keptFindings = count
    let report = try VolumeChecker().check(MemoryBytes(bytes), options: options)
    #expect(report.errorCount == 20)
    #expect(report.findings.count == min(20, count))
  }

  @Test("is the same from a checker that has checked other volumes before, of other sizes")
  func reuse() throws {
    let checker = VolumeChecker()
    let volumes = try CheckImage.all.filter { ["1k-deep", "64k", "1k-groups", "4k-groups"].contains($0.name) }.map {
      try $0.make()
    }
    for first in volumes + volumes.reversed() {
      let damaged = MemoryBytes(first)
      try damaged.put([0xFF], at: 1024 + 12)
      for bytes in [MemoryBytes(first), damaged] {
        let (again, fresh) = (try checker.check(bytes), try VolumeChecker().check(bytes))
        #expect(again.findings == fresh.findings && again.statistics == fresh.statistics)
        #expect(again.errorCount == fresh.errorCount)
      }
    }
  }

  @Test("tells the features that are not checked here by their names")
  func features() throws {
    let cases: [(String, [String])] = [
      ("extent", ["extent"]), ("64bit metadata_csum", ["64bit", "metadata_csum"]), ("uninit_bg", ["uninit_bg"]),
      ("quota", ["quota"]), ("sparse_super2", ["sparse_super2"]), ("inline_data", ["inline_data"]),
      ("needs_recovery", ["needs_recovery"]),
    ]
    for (feature, names) in cases {
      let bytes = try Self.image(["feature \(feature)"])
      #expect(throws: CheckFailure.unsupportedFeatures(names)) { try VolumeChecker().check(MemoryBytes(bytes)) }
    }
  }

  @Test("tells why there is nothing to check")
  func failures() throws {
    let whole = try Self.image()
    func failure(_ bytes: [UInt8]) -> CheckFailure? {
      do {
        _ = try VolumeChecker().check(MemoryBytes(bytes))
        return nil
      } catch { return error }
    }
    #expect(failure([]) == .tooSmall(byteCount: 0))
    #expect(failure([UInt8](repeating: 0, count: 2047)) == .tooSmall(byteCount: 2047))
    #expect(failure([UInt8](repeating: 0, count: 4096)) == .notExt2(magic: 0))
    #expect(failure(Array(whole.prefix(2048))) == nil)
    var changed = whole
    changed[1024 + 76] = 2
    #expect(failure(changed) == .revision(2))
    changed = whole
    // No copy of the superblock is in one group.
    changed[1024 + 24] = 9
    #expect(failure(changed) == .superblock(field: "s_log_block_size", value: 9))
    changed = whole
    changed[1024 + 11] = 0xFF
    #expect(failure(changed) == .superblock(field: "s_r_blocks_count", value: 0xFF00_0033))
  }

  @Test("shows a name with control characters, or none of UTF-8, so that no terminal obeys it")
  func printable() {
    #expect(CheckFinding.printable(Array("a ü 名".utf8)) == "a ü 名")
    #expect(CheckFinding.printable([0x61, 0x1B, 0x5B, 0x33, 0x31, 0x6D]) == "a\\033[31m")
    #expect(CheckFinding.printable([0xFF, 0x62]) == "\\377b")
  }

  @Test("says of a truncated image what is missing, and needs no memory for it")
  func truncated() throws {
    let whole = try Images.make(blockSize: 1024, byteCount: 8 << 20, options: ["-g", "1024"])
    for length in [2048, 3 << 10, 100 << 10, 1 << 20, 7 << 20, (8 << 20) - 1024] {
      let report = try VolumeChecker().check(MemoryBytes(Array(whole.prefix(length))))
      #expect(!report.isClean)
      #expect(
        report.findings.contains {
          $0.kind == .volumeExceedsDevice && $0.found == 8192 && $0.expected == UInt64(length / 1024)
        })
    }
  }
}
