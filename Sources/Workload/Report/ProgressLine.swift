/// The line that a run shows about itself on a terminal, in fio's shape:
///
///     Jobs: 8 (f=8): [m(4),m(1),_(3)][42.0%][r=1024KiB/s,w=519MiB/s][r=256,w=133k IOPS][eta 00m:07s]
///
/// When to print it, how to erase it, and whether stderr is a terminal at all, is the command's business.
package struct ProgressLine: Sendable, Equatable {
  /// What one copy of a job is doing, as a letter.
  package enum Mark: Character, Sendable {
    case sequentialRead = "R"
    case randomRead = "r"
    case sequentialWrite = "W"
    case randomWrite = "w"
    case sequentialMixed = "M"
    case randomMixed = "m"
    case sequentialTrim = "D"
    case randomTrim = "d"
    case trimWrite = "T"
    case fsyncing = "F"
    case verifying = "V"
    case finished = "_"

    /// A copy that runs this job.
    package init(running job: Job) {
      if job.mix != nil {
        self = .randomMixed
        return
      }
      self =
        switch job.load.pattern {
        case .read: .sequentialRead
        case .randomRead: .randomRead
        case .write, .writeZeroes: .sequentialWrite
        case .randomWrite, .randomWriteZeroes: .randomWrite
        case .mixed: .sequentialMixed
        case .randomMixed: .randomMixed
        case .trim: .sequentialTrim
        case .randomTrim: .randomTrim
        case .trimWrite, .randomTrimWrite: .trimWrite
        case .flush: .fsyncing
        }
    }
  }

  /// One mark for each copy of each job, in order.
  package var marks: [Mark]
  package var openFiles: Int
  /// How much is done, in thousandths; nil when nothing says when it will be.
  package var permille: Int?
  package var readBytesPerSecond: UInt64
  package var writeBytesPerSecond: UInt64
  package var readsPerSecond: UInt64
  package var writesPerSecond: UInt64
  /// Nil when nothing says how long it will take.
  package var remainingSeconds: UInt64?

  package init(
    marks: [Mark], openFiles: Int, permille: Int?, readBytesPerSecond: UInt64, writeBytesPerSecond: UInt64,
    readsPerSecond: UInt64, writesPerSecond: UInt64, remainingSeconds: UInt64?
  ) {
    self.marks = marks
    self.openFiles = openFiles
    self.permille = permille
    self.readBytesPerSecond = readBytesPerSecond
    self.writeBytesPerSecond = writeBytesPerSecond
    self.readsPerSecond = readsPerSecond
    self.writesPerSecond = writesPerSecond
    self.remainingSeconds = remainingSeconds
  }

  /// The line, without a newline.
  package var text: String { pieces.joined() }

  /// The line in at most so many columns, because one that is broken cannot be written over: rates make room first, then
  /// what each job does; the end is cut off last.
  package func text(columns: Int) -> String {
    var pieces = pieces
    for piece in [4, 3, 1] where pieces.reduce(0, { $0 + $1.count }) > columns { pieces[piece] = "" }
    return String(pieces.joined().prefix(max(0, columns)))
  }

  /// While nothing moves, what copies that only read will do.
  private var isOfReads: Bool {
    marks.contains { $0 == .sequentialRead || $0 == .randomRead || $0 == .verifying }
      && !marks.contains { ![.sequentialRead, .randomRead, .verifying, .finished].contains($0) }
  }

  private var pieces: [String] {
    let running = marks.count { $0 != .finished }
    let done = permille.map { "[\($0 / 10).\($0 % 10)%]" } ?? "[-.-%]"
    let bytes = directions(readBytesPerSecond, writeBytesPerSecond) { ReportNumber.short($0, .binary) + "B/s" }
    let operations = directions(readsPerSecond, writesPerSecond) { ReportNumber.short($0) }
    return [
      "Jobs: \(running) (f=\(openFiles)): ", "[\(markText)]", done, "[\(bytes)]", "[\(operations) IOPS]",
      "[eta \(eta)]",
    ]
  }

  /// Equal marks beside each other are counted: `w(4),_(1)`.
  private var markText: String {
    var runs: [(mark: Mark, count: Int)] = []
    for mark in marks {
      if let last = runs.last, last.mark == mark {
        runs[runs.count - 1].count += 1
      } else {
        runs.append((mark, 1))
      }
    }
    return runs.map { "\($0.mark.rawValue)(\($0.count))" }.joined(separator: ",")
  }

  /// Only the directions that move; when none does, one at 0, so that the line keeps its shape.
  private func directions(_ read: UInt64, _ write: UInt64, _ text: (UInt64) -> String) -> String {
    var parts: [String] = []
    let isIdle = read == 0 && write == 0
    if read > 0 || isIdle && isOfReads { parts.append("r=\(text(read))") }
    if write > 0 || isIdle && !isOfReads { parts.append("w=\(text(write))") }
    return parts.joined(separator: ",")
  }

  private var eta: String {
    guard let remainingSeconds else { return "--m:--s" }
    let seconds = ReportNumber.padded(remainingSeconds % 60, 2)
    let minutes = ReportNumber.padded(remainingSeconds / 60 % 60, 2)
    let hours = remainingSeconds / 3600
    return (hours > 0 ? "\(ReportNumber.padded(hours, 2))h:" : "") + "\(minutes)m:\(seconds)s"
  }
}
