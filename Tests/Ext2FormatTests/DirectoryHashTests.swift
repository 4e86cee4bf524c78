import Ext2Format
import Testing

@Suite("The hash of a directory's names", .enabled(if: Tool.areInstalled, "e2fsprogs is needed"))
struct DirectoryHashTests {
  /// Lengths at which the hash takes another piece of the name, and names of plain and of other letters.
  static let names: [String] =
    [1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 254, 255].map { String(repeating: "kq7", count: 85).prefix($0) }
    .map { String($0) } + ["lost+found", "ünïcödé-nämé", "Привет", "日本語のファイル名", "ÿÿÿÿÿÿÿÿÿ"]

  static let seeds: [(text: String, words: SIMD4<UInt32>)] = [
    ("00000000-0000-0000-0000-000000000000", .zero),
    ("4d2c2a1e-0000-4000-8000-0123456789ab", [0x1E2A_2C4D, 0x0040_0000, 0x2301_0080, 0xAB89_6745]),
  ]

  // Of the unsigned variants the judge is e2fsck, in the tests of the checker: debugfs does not know them.
  @Test("is what debugfs computes, and the same for ASCII however bytes count", arguments: DirectoryHash.allCases)
  func judge(algorithm: DirectoryHash) throws {
    let name = ["legacy", "half_md4", "tea"][Int(algorithm.rawValue)]
    let directory = try TemporaryDirectory()
    for seed in Self.seeds {
      let commands = Self.names.map { "dx_hash -h \(name) -s \(seed.text) \($0)" }
      let script = directory.path("script")
      try File.write(Array((commands.joined(separator: "\n") + "\n").utf8), to: script)
      let output = try Tool.run([Tool.debugfs, "-f", script], in: directory)
      // "Hash of name is 0x12345678 (minor 0x0)"
      let lines = output.split(separator: "\n").filter { $0.hasPrefix("Hash of") }
      #expect(lines.count == Self.names.count)
      let hasher = DirectoryHasher(algorithm, seed: seed.words, countsBytesAsUnsigned: false)
      let other = DirectoryHasher(algorithm, seed: seed.words, countsBytesAsUnsigned: true)
      for (text, line) in zip(Self.names, lines) {
        let bytes = Array(text.utf8)
        let hash = unsafe hasher.hash(bytes.span.bytes, at: 0, count: bytes.count)
        let isSame = unsafe other.hash(bytes.span.bytes, at: 0, count: bytes.count) == hash
        #expect(isSame == bytes.allSatisfy { $0 < 0x80 })
        #expect(line.contains(" is 0x\(String(hash, radix: 16)) "), "\(text): 0x\(String(hash, radix: 16)), \(line)")
      }
    }
  }
}
