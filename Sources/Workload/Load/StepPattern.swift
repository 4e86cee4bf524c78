internal import BlockDevice
internal import Reactor

/// The operations of one copy of a job, one after the other: which, where, how long, and when.
struct StepPattern {
  private let load: Load
  private var generator: SeededGenerator
  private var sources: [OffsetSource]
  private var nextFile = 0
  private var pacer: Pacer

  /// - Parameter files: the bytes of each file that the copy works on; each has at least one block.
  init(_ job: Job, files: [Range<UInt64>], _ generator: inout SeededGenerator) {
    load = job.load
    let directions = load.directions(withMix: job.mix)
    let align =
      directions.map { job.load.blockAlign[$0] ?? job.load.blockSizes[$0].smallest }.min() ?? job.smallestBlock
    sources = files.map { range in
      OffsetSource(job.load, range: range, smallest: job.smallestBlock, align: align, &generator)
    }
    self.generator = generator
    pacer = Pacer(job.schedule)
  }

  /// The next operation, `time` nanoseconds after the copy's start; nil: at no time in particular, as if nothing were ahead
  /// of its rate.
  mutating func next(_ random: inout SeededGenerator, at time: UInt64?) -> Step {
    let direction: Direction, operation: Operation
    switch load.pattern {
    case .read, .randomRead: (direction, operation) = (.read, .read)
    case .write, .randomWrite: (direction, operation) = (.write, .write)
    case .trim, .randomTrim, .trimWrite, .randomTrimWrite: (direction, operation) = (.trim, .discard)
    case .mixed, .randomMixed:
      let drawn = random.below(100) < load.readPercent ? Direction.read : .write
      direction = load.readPercent % 100 == 0 ? drawn : pacer.direction(drawn: drawn, at: time ?? .max)
      operation = direction == .read ? .read : .write
    case .writeZeroes, .randomWriteZeroes: (direction, operation) = (.write, .writeZeroes)
    case .flush:
      let due = pacer.takeTurn(.write, byteCount: 0, &random)
      return Step(operation: .flush, file: takeFile(&random), offset: 0, byteCount: 0, due: due)
    }
    let file = takeFile(&random)
    let wanted = load.blockSizes[direction].draw(&random)
    let (offset, byteCount) = sources[file].next(byteCount: wanted, direction, &random, &generator)
    return Step(
      operation: operation, file: file, offset: offset, byteCount: byteCount,
      due: pacer.takeTurn(direction, byteCount: byteCount, &random), isWrittenNext: load.pattern.trimsBeforeWrite)
  }

  /// An operation of a mix. Each direction keeps its rate: see `Pacer.direction`.
  func operation(of mix: OperationMix, _ random: inout SeededGenerator, at time: UInt64) -> FileOperation {
    let drawn = mix.draw(&random)
    let direction = pacer.direction(drawn: drawn.direction, at: time)
    return direction == drawn.direction ? drawn : mix.only(direction)?.draw(&random) ?? drawn
  }

  /// When an operation that the pattern does not know is meant to begin; see `Pacer.takeTurn`.
  mutating func takeTurn(_ direction: Direction, byteCount: Int, _ random: inout SeededGenerator) -> UInt64? {
    pacer.takeTurn(direction, byteCount: byteCount, &random)
  }

  private mutating func takeFile(_ random: inout SeededGenerator) -> Int {
    if sources.count == 1 && load.fileService != .random { return 0 }
    let file: Int
    switch load.fileService {
    case .roundRobin:
      file = nextFile
      nextFile = (nextFile + 1) % sources.count
    case .random: file = random.below(sources.count)
    case .sequential:
      if sources[nextFile].isAtEnd { nextFile = (nextFile + 1) % sources.count }
      file = nextFile
    }
    return file
  }
}
