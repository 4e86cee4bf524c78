import Ext2
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
