// Cuts the power of workloads everywhere, and has every state judged that the medium may then be in.
public import DeviceLayers
public import Ext2
internal import Ext2Format
internal import Ext2Tools
public import PageCache
internal import Reactor

/// What is crashed, and how it is judged.
public struct CrashOptions: Sendable {
  /// The workloads.
  public enum Workload: Sendable {
    /// All sequences of one, two or three operations, or one of them by its number.
    case sequences(length: Int, only: Int?)
    /// The steps that somebody else has made.
    case steps(CrashScript)
  }
  public var workload: Workload
  public var subset = SubsetRule.automatic
  public var contract = CrashContract.ext2
  public var frees = FreesName.plain
  public var blockSize = 1024
  /// Blocks of the volume; nil: 512, or 1,024 of the smallest.
  public var blockCount: Int?
  /// Inodes of the volume.
  public var inodeCount = 64
  public var seed: UInt64 = 1
  /// What goes wrong at the device from the first step of a workload on; rules that damage stored bytes are none of these,
  /// since such damage lies over the device, and states are what the device has.
  public var faults: [FaultRule] = []
  /// Rules of the protocol that are switched off.
  public var switchedOff: SwitchedOffRules = []
  /// The first case that is looked at: those before it were, by an earlier run.
  public var firstCase = 0
  /// How many cases, or states, are looked at; nil: all there are, and of the sequences of three as many as time allows.
  public var caseLimit: Int?
  public var stateLimit: Int?
  /// How long workloads are shrunk, in nanoseconds in all.
  public var shrinkingLimit: UInt64 = 60_000_000_000
  /// Stop when so many violations were found.
  public var violationLimit: Int?
  /// How often a state is shown to slower judges.
  public var sampling = CrashSampling()
  /// Bytes that the memory of known states may take.
  public var memoryLimit = 1 << 30
  public init(workload: Workload) { self.workload = workload }

  /// How many sequences of so many operations there are.
  public static func sequenceCount(length: Int) -> Int { Sequences.count(length: length) }

  /// Rules whose absence a run of `seq1` or `seq2` has to notice, by name.
  public static var mutants: [String] { SwitchedOffRules.all.filter { crashRules.contains($0.rule) }.map(\.name) }
  private static let crashRules = SwitchedOffRules.ofDurability.union([
    .evictorFrees, .unmountWrites, .statusIsEncoded, .directoryGrows, .sharersAreCounted, .oneLinkAName,
    .newAttributesAreDirty, .filledHoleIsShape,
  ])
}

/// Of how many states one is shown to the slower judges; 0: none is. Which ones follows from the states themselves.
public struct CrashSampling: Sendable {
  /// Of those that are marked clean: to `e2fsck -fn`.
  public var clean = 1
  /// Of those that need more than `e2fsck -p`: to `e2fsck -fy`, after which the promises are looked at again.
  public var serious = 1
  /// Of all: to a read-only mount.
  public var mounted = 16
  /// Of those that `check --repair` can mend: to a repair that is cut as well, at every write; and to a mount for writing,
  /// cut as well.
  public var recovered = 8
  /// Of single operations, and of what else is not many states.
  public init() {}
  /// Of sequences of so many operations: of many more states fewer are drawn.
  public init(length: Int) {
    guard length > 1 else { return }
    let factor = length == 2 ? 32 : 256
    (clean, serious, mounted, recovered) = (factor, 2 * factor, 8 * factor, 8 * factor)
  }
}

/// What a state is judged by.
public enum CrashContract: String, Sendable, CaseIterable {
  /// What a file system without a journal and without ordering can promise.
  case ext2
  /// That a cut leaves leaked blocks and inodes and wrong counts at worst.
  case ordered
}

/// Steps that are made elsewhere, such as the lines of a script.
public struct CrashScript: Sendable {
  package let steps: [CrashStep]
  package init(_ steps: [CrashStep]) { self.steps = steps }
}

/// A state that broke the contract, and how to see it again.
public struct CrashViolation: Sendable {
  public let finding: CrashFinding
  /// The case among the sequences, or 0.
  public let number: Int
  /// The lines of the workload, as a script.
  public let script: [String]
  /// The end of the device's history before the cut, and what was kept of it, a line each.
  public let timeline: [String]
  /// The bytes that were expected and those that were found, and where these come from.
  public let evidence: [String]
  /// Where the blocks of the file concerned lie in that state.
  public let blockMap: [String]
}

/// What was looked at, and what was found.
public struct CrashReport: Sendable {
  /// Cases that were run.
  public var caseCount = 0
  /// States that differ from each other.
  public var distinctStates = 0
  /// States that were judged: the same one counts anew where something else is expected of it.
  public var judgedStates = 0
  /// Cuts at which states were looked for.
  public var cutCount = 0
  /// Whether all subsets were tried everywhere.
  public var isExhaustive = true
  /// The violations of the contract that were kept, one a case and kind, and how many states broke it, each once.
  public var violations: [CrashViolation] = []
  public var violatingStates = 0
  /// States that break the ordered contract, each once.
  public var orderedViolations = 0
  /// States that were marked clean and shown to `e2fsck -fn`; that `e2fsck -fy` repaired; that were mounted; whose repair
  /// was cut; and whose mount and unmount were.
  public var cleanStates = 0
  public var repairedStates = 0
  public var mountedStates = 0
  public var recoveredStates = 0
  public var remountedStates = 0
  /// What failed in a workload of steps without faults: the line and the error, in order.
  public var failedSteps: [(line: String, error: String)] = []
  /// What became of each rule of faults, in all cases.
  public var faults: [FaultReport] = []
  /// Nanoseconds in all, and those of the slower judges.
  public var elapsed: UInt64 = 0
  public var elapsedAside: UInt64 = 0
  /// The case that comes next, where not all were run, and why it was not.
  public var nextCase: Int?
  public var stopReason: String?
  public init() {}

  mutating func addFaults(_ new: [FaultReport]) {
    if faults.isEmpty { faults = new } else { for index in new.indices { faults[index].add(new[index]) } }
  }
}
