internal import Reactor

/// What a job works on.
package enum Target: String, CaseIterable, Sendable {
  /// The raw device; `filename` is its backing file.
  case device = "dev"
  /// Files of an ext2 volume; `image` is the volume.
  case fileSystem = "fs"
}

/// Where the bytes of a device are, and who completes its requests.
package enum Engine: String, CaseIterable, Sendable {
  /// A Linux file, through libaio.
  case libaio
  /// Memory of this process.
  case memory = "mem"
  /// Nowhere: reads give zeroes, writes are forgotten. The cost of everything but a device.
  case null
  /// The simulated reactor and disk: virtual time, every choice drawn from the seed.
  case simulated = "sim"

  /// Whether the bytes are in this process's memory.
  package var isInMemory: Bool { self == .memory || self == .simulated }
}

/// The order and direction of a job's operations, in fio's words; the last three are ours.
package enum AccessPattern: String, CaseIterable, Sendable {
  case read, write, trim
  case randomRead = "randread"
  case randomWrite = "randwrite"
  case randomTrim = "randtrim"
  case mixed = "rw"
  case randomMixed = "randrw"
  /// Each block is trimmed and then written.
  case trimWrite = "trimwrite"
  case randomTrimWrite = "randtrimwrite"
  /// Flushes and nothing else.
  case flush
  case writeZeroes = "writezeroes"
  case randomWriteZeroes = "randwritezeroes"

  /// Whether offsets are drawn, not counted up.
  package var isRandom: Bool { rawValue.hasPrefix("rand") }
  /// Whether a job of this pattern reads.
  package var reads: Bool { [.read, .randomRead, .mixed, .randomMixed].contains(self) }
  /// Whether a job of this pattern changes what is stored.
  package var writes: Bool { ![.read, .randomRead, .flush].contains(self) }
  /// Whether it chooses between reads and writes.
  package var isMixed: Bool { self == .mixed || self == .randomMixed }
  /// Whether each trim is followed by a write of the same block.
  package var trimsBeforeWrite: Bool { self == .trimWrite || self == .randomTrimWrite }
  /// What reads and writes of a file can do as well.
  package var isOfFiles: Bool { reads || [.write, .randomWrite].contains(self) }
}

/// Which file of a job comes next (`file_service_type`).
package enum FileService: String, CaseIterable, Sendable {
  /// Each in turn.
  case roundRobin = "roundrobin"
  /// Any.
  case random
  /// One to its end, then the next.
  case sequential
}

/// When the operations of a job with a rate begin (`rate_process`).
package enum RateProcess: String, CaseIterable, Sendable {
  /// At equal distances.
  case linear
  /// At distances drawn from an exponential law, as independent users would.
  case poisson
}

/// What a think time counts (`thinktime_blocks_type`).
package enum ThinkTimeCount: String, CaseIterable, Sendable {
  case complete, issue
}

/// How durable each write is (`sync`).
package enum WriteSync: String, CaseIterable, Sendable {
  case none
  /// By forced unit access, as Linux does O_DSYNC and O_SYNC on a device.
  case sync, dsync
}

/// The errors after which a job goes on (`continue_on_error`).
package enum ErrorTolerance: String, CaseIterable, Sendable {
  case none, read, write, io, verify, all

  /// Whether a failed operation ends the job.
  package func ends(afterWrite isWrite: Bool) -> Bool {
    switch self {
    case .none, .verify: true
    case .read: isWrite
    case .write: !isWrite
    case .io, .all: false
    }
  }
}

/// What becomes of a page whose write failed alone.
package enum FailedPagesChoice: String, CaseIterable, Sendable {
  /// It stays dirty, and fsync, sync and a timer try again.
  case dirty
  /// It becomes clean, as with Linux: whoever syncs hears of the error once, and what was written is lost.
  case clean
}

/// One operation of `fs_ops`.
package enum FileOperation: String, CaseIterable, Sendable {
  /// Overwrite one block at random inside the file.
  case write
  /// Write one block at the end of the file, never past the file's share of `size`.
  case append
  /// Set the size to a random one from 0 to the file's share of `size`: down and up.
  case truncate
  /// Fsync the file.
  case fsync
  /// Read one block at random inside the file.
  case read
  /// Make one of the copy's files that is not there.
  case create
  /// Remove one that is.
  case unlink
  /// Give one that is there the name of one that is not.
  case rename

  /// As what it is reported.
  var direction: Direction { self == .read ? .read : .write }
  /// Whether it changes which files there are.
  package var changesNames: Bool { self == .create || self == .unlink || self == .rename }
}

/// The relative weights of the operations that a job on files chooses among.
package struct OperationMix: Sendable, Equatable {
  /// Operations with a weight above 0, in the order of `FileOperation.allCases`, so that a mix means the same however
  /// it was written.
  package let weights: [Weight]

  /// One operation and how often it is chosen, relative to the others.
  package struct Weight: Sendable, Equatable {
    package let operation: FileOperation
    package let weight: UInt32
  }

  /// The sum of all weights: draw a number below it and pass it to `operation(at:)`. At least 1.
  package let total: UInt64

  /// Nil when no weight is above 0.
  package init?(_ weights: [FileOperation: UInt32]) {
    self.weights = FileOperation.allCases.compactMap { operation in
      weights[operation].flatMap { $0 == 0 ? nil : Weight(operation: operation, weight: $0) }
    }
    total = self.weights.reduce(0) { $0 + UInt64($1.weight) }
    if total == 0 { return nil }
  }

  /// The operation that owns this point of `0..<total`.
  package func operation(at point: UInt64) -> FileOperation {
    precondition(point < total)
    var rest = point
    for entry in weights {
      if rest < UInt64(entry.weight) { return entry.operation }
      rest -= UInt64(entry.weight)
    }
    preconditionFailure("the weights sum to total")
  }

  /// An operation, drawn by weight.
  func draw(_ random: inout SeededGenerator) -> FileOperation {
    operation(at: UInt64(random.below(Int(total))))
  }

  /// The part of the mix that is reported as this direction; nil where there is none.
  func only(_ direction: Direction) -> OperationMix? {
    OperationMix(
      Dictionary(
        uniqueKeysWithValues: weights.filter { $0.operation.direction == direction }.map { ($0.operation, $0.weight) }))
  }

  /// Whether the mix can choose this operation.
  package func contains(_ operation: FileOperation) -> Bool { weights.contains { $0.operation == operation } }

  /// Whether it can change which files there are.
  package var changesNames: Bool { weights.contains { $0.operation.changesNames } }

  /// As `fs_ops` takes it: `write:40,append:20`.
  package var text: String { weights.map { "\($0.operation.rawValue):\($0.weight)" }.joined(separator: ",") }
}
