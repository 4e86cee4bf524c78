internal import BlockDevice
internal import Reactor

/// What a job trims of the blocks that it has written (`trim_percentage` and the options beside it).
package struct TrimOptions: Sendable, Equatable {
  /// Of the writes, so many in a hundred are trimmed afterwards; 0: none.
  package var percent: Int
  /// Whether what was trimmed has to read as zeroes; else nobody looks.
  package var leavesZeroes: Bool
  /// Trim after every so many writes; nil: at the end.
  package var backlog: UInt64?
  /// Then so many of the blocks, the oldest first; nil: as many as `backlog`.
  package var batch: UInt64?

  init(_ settings: ResolvedSettings) {
    percent = settings.integer(.trimPercentage)
    leavesZeroes = settings.flag(.trimVerifyZero)
    backlog = settings.positive(.trimBacklog)
    batch = settings.positive(.trimBacklogBatch)
  }

  /// The value of one of its options, as a user would write it.
  func text(of option: JobOption.Name) -> String? {
    switch option {
    case .trimPercentage: "\(percent)"
    case .trimVerifyZero: leavesZeroes ? "1" : "0"
    case .trimBacklog: "\(backlog ?? 0)"
    case .trimBacklogBatch: batch.map { "\($0)" }
    default: nil
    }
  }
}

/// The blocks of one copy that are to be trimmed, as fio has them (`io_u_should_trim`, `check_get_trim`): which is drawn
/// when a write begins, and those that have been written are trimmed by batches.
///
/// What is left at the end is trimmed then, where fio leaves it ("trim entries leaked"). At most 1,048,576 blocks wait, 24 MiB.
struct TrimBacklog {
  private static let limit = 1 << 20
  private let options: TrimOptions
  private var random: SeededGenerator
  private var waiting: [(file: Int, range: Range<UInt64>)] = []
  /// How many of them have been taken.
  private var head = 0
  /// How many of them are due.
  private var due = 0
  private var writeCount: UInt64 = 0

  init(_ options: TrimOptions, _ random: SeededGenerator) {
    self.options = options
    self.random = random
  }

  /// Whether a write that begins will be trimmed.
  mutating func choose() -> Bool { options.percent > 0 && random.below(100) < options.percent }

  /// A write has ended well.
  mutating func noteWrite(_ step: Step, isChosen: Bool) {
    if isChosen { waiting.append((step.file, step.range)) }
    writeCount += 1
    let count = waiting.count - head
    if due == 0, let backlog = options.backlog, writeCount >= backlog {
      writeCount = 0
      due = Int(min(UInt64(count), options.batch ?? backlog))
    }
    if count >= Self.limit { due = max(due, count / 2) }
  }

  /// No write follows: all the rest is due.
  mutating func beginRest() { due = waiting.count - head }

  /// The next trim, if one is due.
  mutating func takeStep() -> Step? {
    guard due > 0 else { return nil }
    let (file, range) = waiting[head]
    due -= 1
    head += 1
    if head * 2 > waiting.count {
      waiting.removeSubrange(..<head)
      head = 0
    }
    var step = Step(
      operation: .discard, file: file, offset: range.lowerBound, byteCount: Int(range.count), due: nil)
    step.leavesZeroes = options.leavesZeroes
    return step
  }
}
