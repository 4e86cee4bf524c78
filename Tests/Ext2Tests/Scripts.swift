import Ext2
import Ext2Format
import Support
import Testing

/// Runs a script on a volume under several seeds. What it says must hold in whatever order its tasks run, nobody may
/// write a block that is not his, unmount succeeds, and e2fsck is content with what is left.
func script(
  _ image: [UInt8], _ options: VolumeOptions = .quiet, seeds: Range<UInt64> = 0..<8,
  sourceLocation: SourceLocation = #_sourceLocation, _ body: @escaping @Sendable (VolumeRig) async throws -> Void
) throws {
  for seed in seeds {
    let outcome = VolumeRig.run(image, seed: seed, options: options, body)
    #expect(outcome.failures == [], "seed \(seed)", sourceLocation: sourceLocation)
    #expect(outcome.unmountError == nil, "seed \(seed)", sourceLocation: sourceLocation)
    if outcome.failures.isEmpty {
      #expect(try Images.check(outcome.image) == nil, "seed \(seed)", sourceLocation: sourceLocation)
    }
  }
}

/// The block sizes that tests rotate through.
let blockSizes = [1024, 2048, 4096]

/// Whether an operation ended with an error, and which.
func errorOf<R>(_ body: () async throws(Ext2Error) -> R) async -> Ext2Error? {
  do {
    _ = try await body()
    return nil
  } catch { return error }
}

extension Volume {
  /// Makes a directory of that many blocks of 1 KiB, with nothing in it but the first `keptCount` of its names, of which
  /// each block has room for four.
  func makeLongDirectory(_ path: String, blockCount: Int, keptCount: Int = 0) async throws {
    let count = 4 * (blockCount - 1) + 1, tail = String(repeating: "n", count: 238)
    try await makeDirectory(path)
    for index in 0..<count { try await makeNode("\(path)/\(10 + index)\(tail)", .fifo) }
    for index in keptCount..<count { try await unlink("\(path)/\(10 + index)\(tail)") }
    let byteCount = try await status(of: path).byteCount
    #expect(byteCount == UInt64(blockCount) * 1024)
  }
}
