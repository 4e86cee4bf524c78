public import BlockDevice
public import Reactor

/// What a strict layer has found.
public enum StrictViolation: Equatable, Sendable, CustomStringConvertible {
  /// Outside the device, or no multiple of its blocks.
  case misplaced(Operation, Range<UInt64>)
  /// A write, discard or zeroing while another one touches the same bytes.
  case overlappingWrites(Range<UInt64>, Range<UInt64>)
  /// A read of blocks that nobody has written since the device was made.
  case neverWritten(Range<UInt64>)
  /// The device told the end of a request that it did not have.
  case completedTwice(Operation, Range<UInt64>)
  /// More is said to be done than was asked for.
  case overdone(Operation, Range<UInt64>, result: Int)

  public var description: String {
    func text(_ range: Range<UInt64>) -> String { "bytes \(range.lowerBound) to \(range.upperBound)" }
    return switch self {
    case .misplaced(let operation, let range): "\(operation) of \(text(range)): outside the device or misaligned"
    case .overlappingWrites(let new, let old): "two writes in flight overlap: \(text(new)) and \(text(old))"
    case .neverWritten(let range): "read of \(text(range)), which nobody has written"
    case .completedTwice(let operation, let range): "\(operation) of \(text(range)) completed twice"
    case .overdone(let operation, let range, let result):
      "\(operation) of \(text(range)) completed with \(result) bytes"
    }
  }
}

/// Watches that the rules between a queue and its device are kept, by both.
///
/// The memory of a read holds a pattern until the device has filled it, so that whoever looks too early sees it. What is
/// found is kept; nothing is refused, but a second end of a request goes no further.
public final class StrictLayer: DeviceLayer {
  /// What was found, in order; the first `limit`.
  public private(set) var violations: [StrictViolation] = []
  /// How many were found in all.
  public private(set) var violationCount = 0
  private let limit: Int
  private let writtenBlocks: BlockSet?
  private var flights: [Range<UInt64>?] = []
  private var requests: [Request?] = []
  /// What ended last: whoever gets a request back empties it, before the device tells its end once more.
  private var lastEnd: (request: Request, operation: Operation, range: Range<UInt64>)?
  /// What the memory of a read holds until it is filled.
  public static let poison: UInt8 = 0xDB

  /// - Parameters:
  ///   - watchesUnwritten: the device is new: what is read before it is written is reported.
  ///   - limit: violations that are kept.
  public init(_ inner: any BlockDevice, watchesUnwritten: Bool = false, limit: Int = 100) {
    self.limit = limit
    writtenBlocks = watchesUnwritten ? BlockSet() : nil
    super.init(inner)
  }

  public override var summary: String { "strict: \(violationCount) violations" }

  public override func attach(to reactor: Reactor, tagCount: Int) throws(DeviceError) {
    try super.attach(to: reactor, tagCount: tagCount)
    flights = Array(repeating: nil, count: tagCount)
    requests = Array(repeating: nil, count: tagCount)
  }

  private func report(_ violation: StrictViolation) {
    if switchedOff.contains(violation.promise) { return }
    violationCount += 1
    if violations.count < limit { violations.append(violation) }
  }

  public override func start(_ request: Request) {
    guard let tag = request.tag, tag < tagCount else { return inner.start(request) }
    let range = request.remainingRange
    let size = UInt64(geometry.logicalBlockSize)
    if request.operation != .flush {
      if range.upperBound > geometry.byteCount || range.isEmpty || range.lowerBound % size != 0
        || range.upperBound % size != 0
      {
        report(.misplaced(request.operation, range))
      }
      if request.operation.isWrite {
        for other in flights {
          if let other, other.overlaps(range) { report(.overlappingWrites(range, other)) }
        }
        flights[tag] = range
        writtenBlocks?.insert(range.lowerBound / size..<range.upperBound / size)
      } else {
        if let writtenBlocks, !writtenBlocks.contains(range.lowerBound / size..<range.upperBound / size) {
          report(.neverWritten(range))
        }
        if !switchedOff.contains(.poisonsReads) {
          request.scatter([UInt8](repeating: Self.poison, count: request.remainingByteCount).span, at: 0)
        }
      }
    }
    requests[tag] = request
    inner.start(request)
  }

  public override func finished(_ request: Request, _ result: Int) {
    guard let tag = request.tag, tag < tagCount, requests[tag] === request else {
      if let lastEnd, lastEnd.request === request {
        return report(.completedTwice(lastEnd.operation, lastEnd.range))
      }
      return report(.completedTwice(request.operation, request.remainingRange))
    }
    lastEnd = (request, request.operation, request.remainingRange)
    requests[tag] = nil
    flights[tag] = nil
    if request.operation != .flush, result > request.remainingByteCount {
      report(.overdone(request.operation, request.remainingRange, result: result))
    }
    tell(request, result)
  }
}

extension StrictViolation {
  fileprivate var promise: SwitchedOffPromises {
    switch self {
    case .misplaced: .reportsMisplaced
    case .overlappingWrites: .reportsOverlaps
    case .neverWritten: .reportsUnwritten
    case .completedTwice: .reportsSecondEnds
    case .overdone: .reportsOverdone
    }
  }
}

/// A set of block numbers, a bit each, that grows as needed.
private final class BlockSet {
  private var words: [UInt64: UInt64] = [:]
  func insert(_ range: Range<UInt64>) { for block in range { words[block >> 6, default: 0] |= 1 << (block & 63) } }
  func contains(_ range: Range<UInt64>) -> Bool {
    range.allSatisfy { (words[$0 >> 6] ?? 0) >> ($0 & 63) & 1 == 1 }
  }
}
