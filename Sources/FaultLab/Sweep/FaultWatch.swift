// A layer above a fault layer that notes which requests were hit, and how they ended.
internal import BlockDevice
internal import DeviceLayers
internal import Reactor
internal import SystemPackage

/// What became of a request that a rule fired at.
struct FaultHit: Sendable, CustomStringConvertible {
  let operation: Operation
  let isFileData: Bool
  /// The inode it was for, or 0.
  let owner: UInt64
  let offset: UInt64
  let byteCount: Int
  /// Whether it carried other requests, which the queue sends again by themselves when it fails.
  let isMerged: Bool
  /// Whether the device reported it as failed, or its deadline had passed.
  var hasFailed = false
  var hasTimedOut = false

  var description: String {
    let what =
      operation == .flush
      ? "flush" : "\(operation) of \(byteCount) bytes at byte \(offset)" + (isFileData ? ", data" : ", metadata")
    let whose = owner == 0 ? "" : " of inode \(owner)"
    return what + whose + (hasFailed ? ", failed" : "") + (hasTimedOut ? ", past its deadline" : "")
  }
}

/// Notes what a fault layer does.
///
/// Sendable because everything of a simulated run happens on the thread of its reactor: the volume has the device, and who
/// judges the run looks at it between two calls.
final class FaultWatch: DeviceLayer, @unchecked Sendable {
  private let faults: FaultLayer
  private let isTorn: Bool
  private(set) var hits: [FaultHit] = []
  /// By tag, the hit of the request that has it.
  private var open: [Int: Int] = [:]
  private var knownCount = 0

  /// `isTorn`: requests that are served in part are reported as failed.
  init(_ faults: FaultLayer, isTorn: Bool) {
    self.faults = faults
    self.isTorn = isTorn
    super.init(faults)
    faults.isEnabled = false
  }

  override func start(_ request: Request) {
    inner.start(request)
    noteHit(request)
  }

  override func finished(_ request: Request, _ result: Int) {
    noteHit(request)
    guard let tag = request.tag, let index = open.removeValue(forKey: tag) else { return tell(request, result) }
    let isTorn = isTorn && result >= 0 && result < request.remainingByteCount
    hits[index].hasFailed = hits[index].hasFailed || isTorn || result < 0
    hits[index].hasTimedOut = request.hasTimedOut
    tell(request, isTorn ? -Int(Errno.ioError.rawValue) : result)
  }

  private func noteHit(_ request: Request) {
    let count = faults.reports.reduce(0) { $0 + $1.fireCount }
    guard count > knownCount, let tag = request.tag else { return }
    knownCount = count
    var requestCount = 0
    request.forEachMerged { _ in requestCount += 1 }
    open[tag] = hits.count
    hits.append(
      FaultHit(
        operation: request.operation, isFileData: request.isFileData, owner: request.owner,
        offset: request.offset, byteCount: request.byteCount, isMerged: requestCount > 1))
  }

  /// Rules are asked from now on.
  func arm() { faults.isEnabled = true }
  /// No request fails any more, and what hangs is served.
  func heal() {
    faults.isEnabled = false
    faults.releaseHeld()
  }
  /// What a reader of the device gets, and what of it is durable.
  var image: [UInt8] { disk?.image ?? [] }
  var durableImage: [UInt8] { disk?.durableImage ?? [] }
  private var disk: SimulatedDevice? { faults.inner as? SimulatedDevice }
}
