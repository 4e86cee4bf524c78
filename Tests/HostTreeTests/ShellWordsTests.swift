import HostTree
import Testing

@Suite("Words as a shell reads them")
struct ShellWordsTests {
  private func words(_ line: String) throws -> [String] {
    try ShellWords.split(Array(line.utf8)).map { String(decoding: $0, as: UTF8.self) }
  }

  @Test(
    "are split at blanks, with quotes, escapes and comments",
    arguments: [
      ("", []), ("   \t ", []), ("a", ["a"]), (" a  b\tc ", ["a", "b", "c"]), ("# all", []), ("a # b", ["a"]),
      ("a#b", ["a#b"]), ("'a b' c", ["a b", "c"]), (#"'a'\''b'"#, ["a'b"]), (#""a \"b\" \\ \n""#, [#"a "b" \ \n"#]),
      (#"a\ b"#, ["a b"]), (#"\x41\x42"#, ["AB"]), (#"\x4"#, ["\u{4}"]), ("''", [""]), ("a''b", ["ab"]),
      (#"$'a\tb\n\x41\101\\\''"#, ["a\tb\nAA\\'"]), ("$a", ["$a"]), ("\\#", ["#"]), ("x'y'\"z\"", ["xyz"]),
    ] as [(String, [String])])
  func splits(line: String, expected: [String]) throws { #expect(try words(line) == expected) }

  @Test(
    "are refused where a quotation mark is not closed or an escape is none",
    arguments: [
      ("'a", .unclosedQuote("'")), ("\"a", .unclosedQuote("\"")), ("$'a", .unclosedQuote("'")),
      ("a\\", .trailingBackslash), (#"$'\q'"#, .badEscape("q")), (#"\xZ"#, .badEscape("x")), (#"\x00"#, .nul),
      (#"$'\0'"#, .nul), (#"$'\777'"#, .badEscape("777")), ("a\0b", .nul), ("'\0'", .nul),
      ("$'a\\", .unclosedQuote("'")),
    ] as [(String, ShellWords.Problem)])
  func refuses(line: String, problem: ShellWords.Problem) {
    #expect(throws: problem) { try ShellWords.split(Array(line.utf8)) }
  }

  @Test("come back from their quoted form, whatever bytes they have")
  func comesBack() throws {
    var words: [[UInt8]] = [[], Array("plain-1.0_x".utf8), Array("a b".utf8), Array("it's".utf8), Array("ä ß".utf8)]
    words += (1...255).map { [UInt8($0)] }
    words += (1...255).map { [UInt8(ascii: "1"), UInt8($0), UInt8(ascii: "7")] }
    words += [Array("#x".utf8), Array("~".utf8), Array("$'".utf8), [0xC3], [0xE2, 0x80, 0xAE], Array("\\n".utf8)]
    for word in words {
      let quoted = ShellWords.quotedIfNeeded(word)
      #expect(try ShellWords.split(Array(quoted.utf8)) == [word], "quoted as \(quoted)")
      #expect(quoted.unicodeScalars.allSatisfy { $0.value >= 32 && $0.value != 127 })
    }
  }

  @Test("need no quotes when they mean nothing to a shell")
  func stayPlain() {
    #expect(ShellWords.quotedIfNeeded(Array("/usr/include/a-b_c.h".utf8)) == "/usr/include/a-b_c.h")
    #expect(ShellWords.quotedIfNeeded(Array("a b".utf8)) == "'a b'")
    #expect(ShellWords.quotedIfNeeded([0xFF, 10]) == #"$'\377\n'"#)
  }
}
