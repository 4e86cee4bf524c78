// Jobs as a script: what is to be cut anywhere, shown and shortened has to be one operation after the other.
internal import BlockDevice
internal import Reactor

/// The operations of a plan's jobs as verbs of `blkdev-run fs`, one a line.
///
/// Jobs take turns, an operation each, so that an `iodepth` counts as one. Reads leave no line.
package struct JobScript {
  /// Lines that a script has at most.
  package static let lineLimit = 10_000
  /// Operations at most, with those that leave no line.
  private static let turnLimit = 1_000_000
  package private(set) var lines: [String] = []
  /// Bytes of each file.
  private var sizes: [String: UInt64] = [:]
  /// Every write has a stamp of its own.
  private var stamp = 0

  /// A copy of a job, and its places for files: each has a name, and a file of that name or not.
  private struct Lane {
    let copy: JobCopy
    var names: [String]
    var isPresent: [Bool]
    var random: SeededGenerator

    /// The first place, from one of them on, that has a file, or has none.
    func place(from first: Int, isPresent: Bool) -> Int? {
      names.indices.map { (first + $0) % names.count }.first { self.isPresent[$0] == isPresent }
    }
  }

  /// - Throws: `unfit` for jobs that are none on files, that have no size, or too many operations, or whose files
  ///   another job creates and unlinks.
  package init(_ plan: WorkloadPlan) throws(RunError) {
    try plan.checkSharedNames()
    var lanes: [Lane] = []
    for (index, job) in plan.jobs.enumerated() {
      guard job.target == .fileSystem else {
        throw .unfit(job: job.name, reason: "it works on a device; wanted are jobs on files (target=fs)")
      }
      guard let share = job.bytesPerFile, share > 0, !job.schedule.isTimeBased else {
        throw .unfit(job: job.name, reason: "size has to say how much it does: give one, and leave time_based out")
      }
      for number in 0..<job.copies {
        let names = job.fileNames(copy: number)
        layOut(names, job, share)
        let copy = JobCopy(job, jobIndex: index, copy: number, files: names.map { _ in 0..<share })
        lanes.append(
          Lane(copy: copy, names: names, isPresent: names.map { _ in true }, random: copy.generator(of: 0)))
      }
    }
    if !lines.isEmpty { lines.append("sync") }
    var turnCount = 0
    while !lanes.isEmpty {
      for index in lanes.indices.reversed() where !lanes[index].copy.takeTurn(at: Instant(nanoseconds: 0)) {
        let lane = lanes.remove(at: index)
        guard lane.copy.job.fsyncsAtEnd else { continue }
        for (name, isPresent) in zip(lane.names, lane.isPresent) where isPresent { synchronize(name) }
      }
      for index in lanes.indices {
        perform(&lanes[index])
        turnCount += 1
        if lines.count > Self.lineLimit || turnCount > Self.turnLimit {
          throw .unfit(
            job: lanes[index].copy.job.name, reason: "the jobs have more than \(Self.lineLimit) operations together")
        }
      }
    }
  }

  /// Files that are read or overwritten are there before, and those whose names change, empty.
  private mutating func layOut(_ names: [String], _ job: Job, _ share: UInt64) {
    for name in names {
      if job.needsContents && sizes[name] ?? 0 < share {
        write(name, (sizes[name] ?? 0)..<share)
      } else if job.mix?.changesNames == true {
        create(name)
      }
    }
  }

  private mutating func perform(_ lane: inout Lane) {
    guard let mix = lane.copy.job.mix else {
      let step = lane.copy.nextStep(&lane.random, at: nil)
      switch step.operation {
      case .write: write(lane.names[step.file], step.range, lane.copy)
      case .flush: synchronize(lane.names[step.file])
      default: break
      }
      return
    }
    let operation = mix.draw(&lane.random)
    let drawn = lane.random.below(lane.names.count)
    let free = lane.place(from: drawn, isPresent: false)
    if operation == .create {
      guard let free else { return }
      create(lane.names[free])
      lane.isPresent[free] = true
      return
    }
    guard let place = lane.place(from: drawn, isPresent: true) else { return }
    let name = lane.names[place]
    switch operation {
    case .unlink:
      lines.append("rm \(Self.path(name))")
      sizes[name] = nil
      lane.isPresent[place] = false
    case .rename:
      guard let free else { return }
      let new = lane.names[free]
      lines.append("mv \(Self.path(name)) \(Self.path(new))")
      sizes[new] = sizes.removeValue(forKey: name)
      lane.names.swapAt(place, free)
    case .fsync: synchronize(name)
    default: change(name, operation, lane.copy, &lane.random)
    }
  }

  /// Appends to a file, overwrites a block of it, or gives it another size.
  private mutating func change(
    _ name: String, _ operation: FileOperation, _ copy: JobCopy, _ random: inout SeededGenerator
  ) {
    let size = UInt64(copy.job.smallestBlock), end = sizes[name] ?? 0, share = copy.job.bytesPerFile ?? 0
    switch operation {
    case .append where end + size <= share: write(name, end..<end + size, copy)
    case .write, .append:
      let start = end < size ? 0 : UInt64(random.below(Int(end / size))) * size
      write(name, start..<start + size, copy)
    case .truncate:
      let new = UInt64(random.below(Int(share) + 1))
      sizes[name] = new
      lines.append("truncate -s \(new) \(Self.path(name))")
    default: break
    }
  }

  private mutating func create(_ name: String) {
    sizes[name] = 0
    lines.append("touch \(Self.path(name))")
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
