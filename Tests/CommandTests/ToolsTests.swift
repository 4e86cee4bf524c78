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
    // A byte of a payload.
    #expect(verdict("printf x | dd of='\(image)' bs=1 seek=9000 conv=notrunc status=none") == 1)
    // The block of another place.
    #expect(
      verdict("dd if='\(image)' of='\(image)' bs=4k count=1 skip=9 seek=2 conv=notrunc status=none") == 1)
  }
}
