extension WorkloadPlan {
  /// Refuses a plan that asks for more memory than the machine has: devices that live in memory, the page cache, and
  /// the blocks in flight.
  ///
  /// What fits is taken as it is written, so a plan that passes may still meet the end of memory.
  ///
  /// - Parameters:
  ///   - imageBytes: bytes of the image; nil when the run has none.
  ///   - machineBytes: the machine's memory.
  func checkMemory(imageBytes: UInt64?, machineBytes: UInt64 = HostFile.machineMemoryBytes) throws(RunError) {
    var seen: Set<String> = []
    var sum: UInt64 = 0
    func add(_ bytes: UInt64, _ job: Job, _ what: String) throws(RunError) {
      let (total, overflow) = sum.addingReportingOverflow(bytes)
      guard !overflow, total <= machineBytes else {
        throw .unfit(
          job: job.name, reason: "\(what) needs \(bytes) bytes of memory, and the machine has \(machineBytes)")
      }
      sum = total
    }
    for job in jobs {
      try add(UInt64(job.largestBlock * job.queueing.depth * job.copies), job, "bs times iodepth times numjobs")
    }
    for job in jobs where job.target == .device && job.engine.isInMemory {
      for name in job.namedFiles.isEmpty ? [job.name] : job.namedFiles where seen.insert(name).inserted {
        try add(neededBytes(of: name, job) ?? 0, job, "a device of ioengine=\(job.engine.rawValue)")
      }
    }
    guard let volume else { return }
    try add(volume.cacheBytes, jobs[0], "cache_size")
    if let imageBytes, jobs[0].engine.isInMemory {
      try add(imageBytes, jobs[0], "an image of ioengine=\(jobs[0].engine.rawValue)")
    }
  }

  /// How large to make a file or a device: as far as all jobs go that work on it.
  func neededBytes(of name: String, _ job: Job) -> UInt64? {
    guard let own = Self.byteCount(of: name, job) else { return nil }
    return jobs.reduce(own) { most, user in
      guard let share = Self.byteCount(of: name, user) else { return most }
      return (0..<user.copies).reduce(most) { most, copy in
        guard user.fileNames(copy: copy).contains(name) else { return most }
        // Of a part of the whole nobody knows yet how much that is.
        guard case .bytes(let offset) = user.load.offset, case .bytes(let step) = user.load.offsetIncrement else {
          return max(most, share)
        }
        let skip = step.multipliedReportingOverflow(by: UInt64(copy))
        // Below 2^62, as share and offset are at most 2^60; what goes further is refused when the file is there.
        return max(most, share + offset + (skip.overflow ? 0 : min(skip.partialValue, 1 << 60)))
      }
    }
  }
  /// How large to make a device.
  private static func byteCount(of name: String, _ job: Job) -> UInt64? {
    job.replay.map { max(4096, $0.needs(of: name).end.roundedUp(to: 4096)) } ?? job.bytesPerFile
  }
}
