import Glibc
import Support
import Testing

@Suite("The scripts in tools")
struct ToolsTests {
  /// The checkout these tests were built from.
  private static let repository = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()

  @Test(
    "end with 5 and the line to type where the toolchain will not do, and print nothing on stdout",
    arguments: ["tools/test", "tools/format", "tools/bench device", "tools/fuzz"],
    ["exit 1", "echo Swift version 5.10.1"])
  func toolchain(command: String, swift: String) {
    let script = """
      folder=$(mktemp -d) || exit 9
      printf '#!/bin/sh\\n%s\\n' '\(swift)' >"$folder/swift" && chmod +x "$folder/swift"
      cd '\(Self.repository)' || exit 9
      PATH=$folder:$PATH \(command) >"$folder/output" 2>"$folder/errors"
      status=$?
      [ ! -s "$folder/output" ] && tail -n 1 "$folder/errors" | grep -q '^    .*swiftly' || status=9
      rm -r "$folder"
      exit $status
      """
    let status = unsafe system(script)
    #expect(status & 0x7F == 0 && status >> 8 == 5)
  }

  /// The format of verified blocks as its description says it, in another language and by nobody's code but its own.
  @Test(
    "read the blocks that verification writes, and find the one that is damaged",
    .enabled(if: unsafe system("command -v python3 >/dev/null") == 0), arguments: ["crc32c", "crc32", "xxhash", "meta"])
  func verifyBlocks(method: String) throws {
    let command = try Command()
    let image = "\(command.folder)/image"
    try command.start([
      "--name=a", "--filename=\(image)", "--size=512k", "--rw=randwrite", "--iodepth=8", "--bs=4k",
      "--verify=\(method)", "--randseed=7", "--verify_state_save=0",
    ])
    #expect(try command.exitCode() == 0)
    func verdict(_ change: String) -> Int32 {
      unsafe system("\(change) && '\(Self.repository)/tools/verify-blocks' --seed=7 '\(image)' >/dev/null") >> 8
    }
    #expect(verdict("true") == 0)
    // A byte of a payload, of which meta says nothing: the command and the script agree.
    #expect(
      verdict("printf x | dd of='\(image)' bs=1 seek=9000 conv=notrunc status=none") == (method == "meta" ? 0 : 1))
    let reader = try Command()
    try reader.start(["--name=a", "--filename=\(image)", "--rw=read", "--bs=4k", "--verify=\(method)"])
    #expect(try reader.exitCode() == (method == "meta" ? 0 : 3))
    // The block of another place.
    #expect(
      verdict("dd if='\(image)' of='\(image)' bs=4k count=1 skip=9 seek=2 conv=notrunc status=none") == 1)
  }

  @Test(
    "tell a file without blocks, one that is not there, and what a state says is lost",
    .enabled(if: unsafe system("command -v python3 >/dev/null") == 0))
  func blocksMissing() throws {
    let command = try Command()
    let image = "\(command.folder)/image", state = "\(command.folder)/local-a-0-verify.state"
    let old = "\(command.folder)/old"
    defer { _ = unsafe system("rm -f '\(command.folder)'/*") }
    func verdict(_ arguments: String, says text: String) -> Int32 {
      let log = "'\(command.folder)/log'"
      let status =
        unsafe system(
          "'\(Self.repository)/tools/verify-blocks' \(arguments) >\(log) 2>&1; s=$?; "
            + "grep -q Traceback \(log) && exit 9; grep -q '\(text)' \(log) || exit 8; exit $s") >> 8
      return status
    }
    #expect(unsafe system("head -c 65536 /dev/urandom >'\(image)'; : >'\(old)'") == 0)
    for path in [image, old] {
      #expect(verdict("'\(path)'", says: "has no block of verify=") == 1)
      #expect(verdict("--allow-none '\(path)'", says: "0 blocks, 0 wrong") == 0)
    }
    #expect(verdict("'\(image).gone'", says: "cannot be read: No such file") == 2)
    #expect(verdict("--state='\(image)' '\(image)'", says: "no verify state") == 2)
    #expect(unsafe system("rm '\(image)'") == 0)

    // Written twice: what is there before the last write is a block too.
    for loops in [1, 2] {
      let writer = try Command()
      try writer.start([
        "--aux-path=\(command.folder)", "--name=a", "--filename=\(image)", "--size=128k", "--rw=randwrite",
        "--iodepth=4", "--verify=crc32c", "--randseed=7", "--loops=\(loops)", "--end_fsync",
      ])
      #expect(try writer.exitCode() == 0)
      if loops == 1 { #expect(unsafe system("cp '\(image)' '\(old)'") == 0) }
    }
    func copy(_ source: String) -> Bool {
      unsafe system("dd if='\(source)' of='\(image)' bs=4k count=1 skip=3 seek=3 conv=notrunc status=none") == 0
    }
    #expect(verdict("--state='\(state)' '\(image)'", says: "32 blocks, 0 wrong") == 0)
    #expect(copy(old))
    #expect(verdict("'\(image)'", says: "32 blocks, 0 wrong") == 0)
    #expect(verdict("--state='\(state)' '\(image)'", says: "byte 12288: lost write: generation") == 1)
    #expect(copy("/dev/zero"))
    #expect(verdict("--state='\(state)' '\(image)'", says: "byte 12288: lost write: zeroes where generation") == 1)
    #expect(unsafe system("truncate -s 64k '\(image)'") == 0)
    #expect(verdict("--state='\(state)' '\(image)'", says: "byte 65536: the file ends before it") == 1)
  }
}
