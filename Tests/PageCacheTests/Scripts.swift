import BlockDevice
import Support
import Testing

/// Runs a script on a toy volume under several seeds: what it says must hold in whatever order its tasks run.
func script(
  _ options: ToyOptions = .scripted, seeds: Range<UInt64> = 0..<8, sourceLocation: SourceLocation = #_sourceLocation,
  _ body: @escaping @Sendable (isolated ToyVolume) async throws -> Void
) {
  for seed in seeds {
    let failures = simulate(options, seed: seed, body)
    #expect(failures == [], "seed \(seed)", sourceLocation: sourceLocation)
  }
}

extension ToyOptions {
  /// Without background writeback, so that a script alone says what is written when.
  static var scripted: ToyOptions {
    var options = ToyOptions()
    options.runsBackground = false
    return options
  }

  /// The options with something changed.
  func with(_ change: (inout ToyOptions) -> Void) -> ToyOptions {
    var copy = self
    change(&copy)
    return copy
  }
}

/// Bytes of a page in these tests.
let pageSize = 512

/// Counts what reaches the device, by block.
final class RequestCount {
  private(set) var writes: [Int: Int] = [:]
  private(set) var reads: [Int: Int] = [:]

  /// Counts a request, and lets it proceed unless `otherwise` says something else.
  func count(_ request: Request) {
    for block in Int(request.offset) / pageSize..<(Int(request.offset) + request.transferByteCount) / pageSize {
      if request.operation == .write { writes[block, default: 0] += 1 }
      if request.operation == .read { reads[block, default: 0] += 1 }
    }
  }
}

extension Request {
  /// Whether it is a write that touches this block.
  func writes(_ block: Int) -> Bool {
    operation == .write && byteRange.contains(UInt64(block * pageSize))
  }
}
