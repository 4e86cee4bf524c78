import Glibc
import Support
import SystemPackage
import Testing
import Workload

@Suite("blkdev-run check", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct CheckTests {
  /// A volume of 1 MiB with a file and a directory, changed by these commands of debugfs.
  private static func image(_ changes: [String] = []) throws -> [UInt8] {
    let whole = try Images.edited(
      Images.make(blockSize: 1024, byteCount: 1 << 20, options: ["-N", "32"]),
      ["write /etc/hostname name", "mkdir folder"])
    return changes.isEmpty ? whole : try Images.edited(whole, changes)
  }

  private static func shell(_ command: String) -> Int32 {
    unsafe system("PATH=$PATH:/usr/sbin:/sbin; { \(command); } >/dev/null 2>&1")
  }

  private static func write(_ bytes: [UInt8], to path: String) throws {
    let file = try FileDescriptor.open(
      FilePath(path), .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
    _ = try file.closeAfter { try file.writeAll(bytes) }
  }

  /// Runs the command on an image in its folder.
  private func check(
    _ bytes: [UInt8], _ arguments: [String] = []
  ) throws -> (exitCode: Int32, output: String, errors: String, image: String, after: [UInt8]) {
    let command = try Command()
    let image = "\(command.folder)/image"
    try Self.write(bytes, to: image)
    try command.start(["check", image] + arguments)
    let exitCode = try command.exitCode()
    return (exitCode, try command.output(), command.errors, image, try TemporaryFile.read(image))
  }

  @Test("says of a clean volume what e2fsck says on its last line, and ends with 0")
  func clean() throws {
    let bytes = try Self.image()
    let (exitCode, output, errors, image, after) = try check(bytes)
    #expect(exitCode == 0)
    #expect(errors == "")
    let said = try Images.output(of: "e2fsck", ["-fn"], on: bytes)
    let line = try #require(said.split(separator: "\n").last { $0.contains(" files (") })
    let usage = try #require(line.split(separator: ": ").last)
    #expect(output == "\(image): clean, \(usage)\n")
    #expect(after == bytes)
  }

  @Test("tells what is wrong, a line each, and ends with 4; the image stays as it was")
  func damaged() throws {
    let bytes = try Self.image([
      "set_inode_field name links_count 3", "freei <13>", "set_super_value free_inodes_count 1",
    ])
    let (exitCode, output, _, image, after) = try check(bytes)
    #expect(exitCode == 4)
    let lines = output.split(separator: "\n")
    #expect(lines.contains("Inode 12: i_links_count is 3, should be 1"), "\(output)")
    #expect(lines.contains("Inode bitmap of group 0: inode 13 is in use, but marked free"), "\(output)")
    #expect(lines.contains { $0.hasPrefix("Note: Superblock: s_free_inodes_count is 1") }, "\(output)")
    #expect(lines.last?.hasPrefix("\(image): 2 errors, 13/32 files") == true, "\(output)")
    #expect(after == bytes)
  }

  @Test("prints as many findings as are asked for, and counts the others", arguments: [0, 1, 5])
  func shows(count: Int) throws {
    let bytes = try Self.image((0..<5).map { "setb \(600 + 2 * $0)" })
    let (exitCode, output, _, image, _) = try check(bytes, ["--show", "\(count)"])
    #expect(exitCode == 4)
    let lines = output.split(separator: "\n")
    #expect(lines.last?.hasPrefix("\(image): 5 errors") == true, "\(output)")
    #expect(lines.count == (count == 5 ? 6 : count + 2), "\(output)")
    #expect(output.contains("… and \(5 - count) more\n") == (count < 5), "\(output)")
  }

  @Test("mends, says what, and ends with 1; the second time there is nothing left to mend")
  func repairs() throws {
    let bytes = try Self.image(["set_inode_field name links_count 3", "freei <13>", "setb 700 4"])
    let (exitCode, output, errors, image, after) = try check(bytes, ["--repair"])
    #expect(exitCode == 1, "\(errors)")
    #expect(output.contains("Inode 12: i_links_count is 3, should be 1\n"), "\(output)")
    #expect(output.contains("\(image): repaired ("), "\(output)")
    #expect(try Images.check(after) == nil)
    let again = try check(after, ["--repair"])
    #expect(again.exitCode == 0)
    #expect(again.after == after)
    #expect(again.output.hasPrefix("\(again.image): clean, 13/32 files"), "\(again.output)")
  }

  @Test("changes nothing where something needs a decision, and says what")
  func refuses() throws {
    // The count of links could be mended; a block out of the volume could not.
    let bytes = try Self.image(["set_inode_field name links_count 3", "set_inode_field name block[0] 99999"])
    let (exitCode, output, _, image, after) = try check(bytes, ["--repair"])
    #expect(exitCode == 4)
    #expect(after == bytes)
    #expect(output.contains("\(image): "), "\(output)")
    #expect(
      output.contains("need a decision, so that nothing was changed:\n  Inode 12: block number 99999"), "\(output)")
  }

  @Test(
    "tells a script the same in JSON", .enabled(if: ExternalTool("jq") != nil, "jq is needed"),
    arguments: [
      ([], ["--output-format=json"], ".exit_code == 0 and .clean and .findings == [] and .volume.inodes == 32"),
      (
        ["set_inode_field name links_count 3"], ["--output-format=json"],
        """
        .exit_code == 4 and (.clean | not) and .errors == 1 and .serious == 0 and .notes == 0 and .findings[0] ==
        {kind: "link-count", pass: 4, weight: "mendable", inode: 12, field: "i_links_count", found: 3, expected: 1,
         text: "Inode 12: i_links_count is 3, should be 1"}
        """
      ),
      (
        ["set_inode_field name links_count 3"], ["--output-format", "json", "--repair"],
        """
        .exit_code == 1 and .clean and .changed and .errors == 0 and .findings == []
        and [.mended[].kind] == ["link-count"]
        """
      ),
      (
        ["feature extent"], ["--output-format=json"],
        #".exit_code == 8 and .unsupported_features == ["extent"] and (.error | contains("extent"))"#
      ),
    ])
  func json(changes: [String], arguments: [String], isRight: String) throws {
    let output = try check(Self.image(changes), arguments).output
    try TemporaryFile.with(contents: Array(output.utf8)) { path in
      #expect(ExternalTool("jq")?.run(["-e", ".check | " + isRight, path])?.exitCode == 0, "\(output)")
    }
  }

  @Test("ends with 8 where there is nothing that it could check, and says why")
  func uncheckable() throws {
    let cases: [([UInt8], String)] = [
      ([UInt8](repeating: 0, count: 1 << 20), "not an ext2 volume"),
      ([UInt8](repeating: 0, count: 100), "not an ext2 volume"), ([], "not an ext2 volume"),
      (try Self.image(["feature extent metadata_csum"]), "extent metadata_csum"),
    ]
    for (bytes, reason) in cases {
      for arguments in [[], ["--repair"]] {
        let (exitCode, output, errors, _, after) = try check(bytes, arguments)
        #expect(exitCode == 8 && output == "", "\(reason)")
        #expect(errors.contains(reason), "\(errors)")
        #expect(after == bytes)
      }
    }
    let command = try Command()
    try command.start(["check", "\(command.folder)/image"])
    #expect(try command.exitCode() == 8)
    #expect(command.errors.contains("No such file"))
  }

  @Test("ends with 8 when nobody reads what it found", arguments: [[], ["--output-format=json"]])
  func abandonedPipe(options: [String]) throws {
    let command = try Command()
    let image = try command.makeImage()
    try command.start(["check", image] + options, output: .abandonedPipe)
    #expect(try command.exitCode() == 8)
    #expect(command.errors.contains("the output could not be written"))
  }

  @Test("takes a copy of the superblock that it is told, or finds one where the primary one is gone")
  func superblockCopies() throws {
    let whole = try Images.make(blockSize: 1024, byteCount: 8 << 20, options: ["-g", "1024"])
    let copy = try check(whole, ["-b", "1025"])
    #expect(copy.exitCode == 0, "\(copy.output)")
    #expect(try check(whole, ["--superblock", "1025", "--block-size", "1k"]).exitCode == 0)
    #expect(try check(whole, ["-b", "1025", "-B", "4096"]).exitCode == 8)
    #expect(try check(whole, ["-b", "1026"]).exitCode == 8)
    for options in [["-b", "8193"], ["-b", "2049", "-B", "4k"], ["-b", "4294967295"]] {
      let beyond = try check(whole, options)
      #expect(beyond.exitCode == 8 && beyond.errors.contains("the volume ends before it"), "\(beyond.errors)")
    }
    var headless = try Images.make(blockSize: 1024, byteCount: 16 << 20)
    for index in 1024..<2048 { headless[index] = 0 }
    let found = try check(headless)
    #expect(found.exitCode == (try Images.check(headless) == nil ? 0 : 4), "\(found.output)")
    #expect(found.output.contains("the copy in block 8193 was taken"), "\(found.output)")
    let repair = try check(headless, ["--repair"])
    #expect(repair.exitCode == 4)
    #expect(repair.after == headless)
  }

  @Test(
    "ends with 2 where it is asked for what cannot be",
    arguments: [
      ["--show", "-1"], ["--show", "x"], ["--output-format", "xml"], ["-B", "1k"], ["-b", "1", "-B", "1000"],
      ["-b", "1", "--repair"], ["--mend"], ["one-more"],
    ])
  func usage(arguments: [String]) throws {
    let (exitCode, output, errors, _, _) = try check(Self.image(), arguments)
    #expect(exitCode == 2)
    #expect(output == "")
    #expect(errors != "")
  }

  @Test("mends nothing that is in use, and warns when it reads it", .enabled(if: geteuid() == 0, "needs root"))
  func inUse() throws {
    let command = try Command()
    let image = "\(command.folder)/image"
    try Self.write(Self.image(), to: image)
    let loop = "\(image).loop"
    defer { _ = Self.shell("losetup -d $(cat \(loop)); rm \(loop)") }
    guard Self.shell("losetup --find --show \(image) > \(loop).1 && mv \(loop).1 \(loop)") == 0 else { return }
    try command.start(["check", image])
    #expect(try command.exitCode() == 0)
    #expect(command.errors.contains("in use by the kernel's loop device"), "\(command.errors)")
    let repair = try Command()
    try repair.start(["check", "--repair", image])
    #expect(try repair.exitCode() == 8)
    #expect(repair.errors.contains("loop device"), "\(repair.errors)")
  }
}
