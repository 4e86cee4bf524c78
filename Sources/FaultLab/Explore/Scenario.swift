internal import BlockDevice
public import Ext2
public import PageCache
internal import Reactor

/// One seeded run of a whole volume: what is mounted how, and how much is done. Everything follows from the seed.
public struct Scenario: Sendable {
  /// The seed of schedule, latencies, choices and options.
  public let seed: UInt64
  /// The block size of the volume, one of those that images are made for.
  public let blockSize: Int
  /// How the volume is mounted.
  public var options: VolumeOptions
  /// Operations of each task.
  public let operationCount: Int
  /// Whether the run ends with a power cut instead of an unmount.
  public let endsWithCut: Bool

  /// The block sizes that scenarios rotate through.
  public static let blockSizes = [1024, 2048, 4096]

  /// The scenario of a seed, with some rules of the protocol switched off.
  public init(seed: UInt64, switchedOff: SwitchedOffRules = []) {
    self.seed = seed
    var random = SeededGenerator(seed: seed).split(1)
    let blockSize = Self.blockSizes[random.below(Self.blockSizes.count)]
    self.blockSize = blockSize
    var options = VolumeOptions()
    options.cache.cacheByteCount = (24 + 24 * random.below(3)) * blockSize
    options.cache.batchByteCount = [1, 4, 16, 256][random.below(4)] * blockSize
    options.cache.policy = (random.oneIn(4) ? WritebackPolicyName.allCases[random.below(3)] : .cookie).policy
    options.cache.backgroundByteCount = random.below(6) * blockSize
    options.cache.switchedOff = switchedOff
    options.queue.tagCount = 1 + random.below(4)
    options.queue.placeCount = 8 + random.below(16)
    options.queue.writebackReserve = 2
    options.metadataSlotCount = 64
    options.allocation = random.oneIn(3) ? .firstFit : .nextFit
    options.frees = random.oneIn(3) ? .ordered : .plain
    options.discards = random.oneIn(3)
    options.accessTimes = AccessTimePolicy.allCases[Int(seed % UInt64(AccessTimePolicy.allCases.count))]
    options.idleInodeLimit = [0, 2, 1024][Int(seed % 3)]
    options.seed = seed
    self.options = options
    operationCount = 8 + random.below(24)
    endsWithCut = random.oneIn(4)
  }
}

/// What a run found, and what it did.
public struct ScenarioOutcome: Sendable {
  /// The seed of the run.
  public let seed: UInt64
  /// What was wrong, in order; empty when all rules held.
  public var findings: [String] = []
  /// What the volume did.
  public var counters = VolumeCounters()
  /// A hash of every choice of the run.
  public var trace: UInt64 = 0
  /// The image that a cold reader gets.
  public var image: [UInt8] = []
  /// Whether what a power cut at its end leaves, where it ends with one, breaks the ordered contract.
  public var breaksOrder = false
}
