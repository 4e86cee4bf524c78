import Glibc
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
}
