// Jobs as a script: what is to be cut anywhere, shown and shortened has to be one operation after the other.
internal import BlockDevice
internal import Reactor

/// The operations of a plan's jobs as verbs of `blkdev-run fs`, one a line.
///
/// Jobs take turns, an operation each, so that an `iodepth` counts as one. Reads leave no line.
package struct JobScript {
  /// Lines that a script has at most.
  package static let lineLimit = 10_000
  package private(set) var lines: [String] = []
  /// Bytes of each file.
  private var sizes: [String: UInt64] = [:]
  /// Every write has a stamp of its own.
  private var stamp = 0

  /// - Throws: `unfit` for jobs that are none on files, that have no size, or too many operations.
  package init(_ plan: WorkloadPlan) throws(RunError) {
    var copies: [(copy: JobCopy, names: [String], random: SeededGenerator)] = []
    for (index, job) in plan.jobs.enumerated() {
      guard job.target == .fileSystem else {
        throw .unfit(job: job.name, reason: "it works on a device; wanted are jobs on files (target=fs)")
      }
      guard let share = job.bytesPerFile, share > 0, !job.schedule.isTimeBased else {
        throw .unfit(job: job.name, reason: "its size has to say how much it does, and not a run time")
      }
      if job.mix?.changesNames == true {
        throw .unfit(
          job: job.name, reason: "create, unlink and rename of fs_ops are not for scripts: use the verbs of fs")
      }
      for number in 0..<job.copies {
        let names = job.fileNames(copy: number)
        layOut(names, job, share)
        let copy = JobCopy(job, jobIndex: index, copy: number, files: names.map { _ in 0..<share })
        copies.append((copy, names, copy.generator(of: 0)))
      }
    }
    if !lines.isEmpty { lines.append("sync") }
    while !copies.isEmpty {
      for index in copies.indices.reversed() where !copies[index].copy.takeTurn(at: Instant(nanoseconds: 0)) {
        let (copy, names, _) = copies.remove(at: index)
        if copy.job.fsyncsAtEnd { for name in names { synchronize(name) } }
      }
      for index in copies.indices {
        perform(copies[index].copy, copies[index].names, &copies[index].random)
        if lines.count > Self.lineLimit {
          throw .unfit(
            job: copies[index].copy.job.name, reason: "the jobs have more than \(Self.lineLimit) operations together")
        }
      }
    }
  }

  /// Files that are read or overwritten are there before.
  private mutating func layOut(_ names: [String], _ job: Job, _ share: UInt64) {
    let mustExist = job.mix.map { !$0.contains(.append) && !$0.contains(.truncate) } ?? job.load.pattern.reads
    if mustExist { for name in names where sizes[name] ?? 0 < share { write(name, (sizes[name] ?? 0)..<share) } }
  }

  private mutating func perform(_ copy: JobCopy, _ names: [String], _ random: inout SeededGenerator) {
    let size = UInt64(copy.job.smallestBlock)
    guard let mix = copy.job.mix else {
      let step = copy.nextStep(&random, at: nil)
      switch step.operation {
      case .write: write(names[step.file], step.range, copy)
      case .flush: synchronize(names[step.file])
      default: break
      }
      return
    }
    let operation = mix.draw(&random)
    let name = names[random.below(names.count)]
    let end = sizes[name] ?? 0, share = copy.job.bytesPerFile ?? 0
    switch operation {
    case .read, .create, .unlink, .rename: break
    case .fsync: synchronize(name)
    case .append where end + size <= share: write(name, end..<end + size, copy)
    case .write, .append:
      let start = end < size ? 0 : UInt64(random.below(Int(end / size))) * size
      write(name, start..<start + size, copy)
    case .truncate:
      let new = UInt64(random.below(Int(share) + 1))
      sizes[name] = new
      lines.append("truncate -s \(new) \(Self.path(name))")
    }
  }

  private mutating func write(_ name: String, _ range: Range<UInt64>, _ copy: JobCopy? = nil) {
    stamp += 1
    sizes[name] = max(sizes[name] ?? 0, range.upperBound)
    lines.append("fill -o \(range.lowerBound) -l \(range.count) -s \(stamp) \(Self.path(name))")
    guard let due = copy?.syncDueAfterWrite(), due.isDue else { return }
    synchronize(name, isDataOnly: due.isDataOnly)
  }

  private mutating func synchronize(_ name: String, isDataOnly: Bool = false) {
    lines.append("fsync \(isDataOnly ? "-d " : "")\(Self.path(name))")
  }

  /// As a word of a script: in quotation marks where it has to be.
  private static func path(_ name: String) -> String {
    let isPlain = name.utf8.allSatisfy { byte in
      (0x61...0x7A).contains(byte) || (0x41...0x5A).contains(byte) || (0x2D...0x39).contains(byte) || byte == 0x5F
    }
    return isPlain ? "/" + name : "'/" + name.replacing("'", with: "'\\''") + "'"
  }
}
