import Ext2Tools
import Reactor
import Support
import Testing
import Workload

@Suite("New volumes of any kind", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct MakeRandomTests {
  /// A volume of up to 1 GiB, drawn from a seed.
  static func example(seed: UInt64) -> MakeCase {
    var generator = SeededGenerator(seed: seed)
    func draw<T>(_ values: [T]) -> T { values[Int.random(in: values.indices, using: &generator)] }
    // As many small ones as large ones.
    let scale = UInt64(1) << UInt64.random(in: 6...20, using: &generator)
    var example = MakeCase(kibibytes: scale / 2 + UInt64.random(in: 1...scale / 2, using: &generator))
    if Bool.random(using: &generator) { example.blockSize = 1 << Int.random(in: 10...16, using: &generator) }
    if Bool.random(using: &generator) { example.inodeSize = 1 << Int.random(in: 7...13, using: &generator) }
    switch Int.random(in: 0..<4, using: &generator) {
    case 0: example.inodes = UInt64.random(in: 1...example.kibibytes * 2, using: &generator)
    case 1: example.inodes = UInt64.random(in: 1...100, using: &generator)
    case 2: example.bytesPerInode = UInt64.random(in: 1000...100_000, using: &generator)
    default: break
    }
    if Bool.random(using: &generator) { example.reserved = Double(Int.random(in: 0...505, using: &generator)) / 10 }
    if Int.random(in: 0..<4, using: &generator) == 0 {
      example.revision = 0
      example.inodeSize = nil
    } else if Bool.random(using: &generator) {
      let names = ["dir_index", "ext_attr", "filetype", "large_file", "meta_bg", "resize_inode", "sparse_super"]
      let words = (0..<Int.random(in: 1...4, using: &generator)).map { _ in draw(["", "^"]) + draw(names) }
      example.features = words.joined(separator: ",")
    }
    if Bool.random(using: &generator) { example.owner = (UInt32.random(in: 0...70_000, using: &generator), 100) }
    return example
  }

  @Test("are clean, and the same as mke2fs makes; or both refuse", arguments: 0..<20)
  func any(part: UInt64) throws {
    for seed in part * 15..<part * 15 + 15 {
      let example = Self.example(seed: seed)
      if let difference = try MakeComparisonTests.compare(example) {
        Issue.record("seed \(seed): \(difference)\n\(example)")
      }
      try TemporaryFile.with(byteCount: Int(example.kibibytes << 10)) { path in
        guard (try? example.make(at: path)) != nil else { return }
        let outcome = try #require(ExternalTool("e2fsck")).run(["-fn", path])
        if outcome?.exitCode != 0 { Issue.record("seed \(seed): \(outcome?.output ?? "")\n\(example)") }
      }
    }
  }
}
