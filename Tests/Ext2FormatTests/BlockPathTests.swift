import Ext2Format
import Testing

@Suite("Block path")
struct BlockPathTests {
  @Test(
    "the tree limit and the largest file are those of the kernel's ext2_max_size",
    arguments: [
      (10, 16_843_020, 17_247_252_480), (11, 134_480_396, 275_415_851_008), (12, 1_074_791_436, 2_196_873_666_560),
    ] as [(Int, UInt64, UInt64)])
  func limits(blockSizeLog2: Int, blocks: UInt64, bytes: UInt64) {
    #expect(BlockPath.treeBlockLimit(blockSizeLog2: blockSizeLog2) == blocks)
    #expect(BlockPath.maximumFileSize(blockSizeLog2: blockSizeLog2) == bytes)
  }

  @Test("the largest file of any block size can be mapped, and its blocks counted", arguments: 10...16)
  func largest(blockSizeLog2: Int) {
    let size = BlockPath.maximumFileSize(blockSizeLog2: blockSizeLog2)
    #expect(size <= BlockPath.treeByteLimit(blockSizeLog2: blockSizeLog2))
    #expect(size >> 9 <= UInt64(UInt32.max))
    #expect(BlockPath(fileBlock: (size - 1) >> UInt64(blockSizeLog2), blockSizeLog2: blockSizeLog2) != nil)
  }

  @Test("levels begin where the one before ends", arguments: 10...16)
  func boundaries(blockSizeLog2: Int) throws {
    let p = UInt64(1) << UInt64(blockSizeLog2 - 2)
    let last = Int(p - 1)
    let table: [(block: UInt64, offsets: [Int], toEnd: UInt64)] = [
      (0, [0], 12), (11, [11], 1),
      (12, [12, 0], p), (12 + p - 1, [12, last], 1),
      (12 + p, [13, 0, 0], p), (12 + p + p * p - 1, [13, last, last], 1),
      (12 + p + p * p, [14, 0, 0, 0], p), (12 + p + p * p + p * p * p - 1, [14, last, last, last], 1),
      (12 + 2 * p, [13, 1, 0], p), (12 + p + 2 * p * p + p + 5, [14, 1, 1, 5], p - 5),
    ]
    for row in table {
      let path = try #require(BlockPath(fileBlock: row.block, blockSizeLog2: blockSizeLog2))
      #expect(path.depth == row.offsets.count)
      #expect((0..<path.depth).map { path.offsets[$0] } == row.offsets)
      #expect(path.countToLeafEnd == Int(row.toEnd))
    }
    #expect(BlockPath(fileBlock: 12 + p + p * p + p * p * p, blockSizeLog2: blockSizeLog2) == nil)
    #expect(BlockPath(fileBlock: .max, blockSizeLog2: blockSizeLog2) == nil)
  }

  @Test("a path leads back to its file block")
  func inverse() throws {
    var generator = SplitMix64(seed: 3)
    for blockSizeLog2 in 10...16 {
      let p = UInt64(1) << UInt64(blockSizeLog2 - 2)
      let limit = BlockPath.treeBlockLimit(blockSizeLog2: blockSizeLog2)
      for _ in 0..<500 {
        let block = UInt64.random(in: 0..<limit, using: &generator) >> UInt64.random(in: 0...40, using: &generator)
        let path = try #require(BlockPath(fileBlock: block, blockSizeLog2: blockSizeLog2))
        let index = (1..<4).prefix(path.depth - 1).reduce(UInt64(0)) { $0 * p + UInt64(path.offsets[$1]) }
        let starts = [0, 12, 12 + p, 12 + p + p * p]
        #expect(starts[path.depth - 1] + (path.depth == 1 ? UInt64(path.offsets[0]) : index) == block)
      }
    }
  }
}
