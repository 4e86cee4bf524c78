/// What an operation finds and leaves when nothing fails, and what follows from it for what is on the disk.
final class SweepReference {
  /// What was durable before, what there is before the operation, and what it leaves.
  let start: ObservedTree
  let old: ObservedTree
  let new: ObservedTree
  private let persistence: [Persistence]
  private let blockSize: Int
  /// To make an expectation takes longer than to judge by it, and nearly all runs leave the old tree or the new one.
  private var known: [(tree: ObservedTree?, ended: Int, expectation: CrashExpectation)] = []
  private static let knownLimit = 16

  init(start: ObservedTree, old: ObservedTree, new: ObservedTree, _ persistence: [Persistence], blockSize: Int) {
    self.start = start
    self.old = old
    self.new = new
    self.persistence = persistence
    self.blockSize = blockSize
  }

  /// What a disk has to hold after the operation has left this tree: of what was given, the operation, and a sync after it so
  /// many have ended. Nil: before all that.
  func expectation(_ found: ObservedTree?, ended: Int) -> CrashExpectation {
    if let one = known.first(where: { $0.ended == ended && $0.tree == found }) { return one.expectation }
    var observations = CrashObservations(start: start)
    if let found {
      observations.add(old, promising: [])
      observations.add(found, promising: persistence)
      observations.add(found, promising: [.everything])
    }
    let expectation = observations.expectation(begun: found == nil ? 0 : 3, ended: ended, blockSize: blockSize)
    if known.count == Self.knownLimit { known.removeFirst() }
    known.append((found, ended, expectation))
    return expectation
  }
}
