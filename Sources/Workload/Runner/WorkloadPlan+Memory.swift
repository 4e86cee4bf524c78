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
        try add(
          job.replay?.needs(of: name).end ?? job.bytesPerFile ?? 0, job, "a device of ioengine=\(job.engine.rawValue)")
      }
    }
    guard let volume else { return }
    try add(volume.cacheBytes, jobs[0], "cache_size")
    if let imageBytes, jobs[0].engine.isInMemory {
      try add(imageBytes, jobs[0], "an image of ioengine=\(jobs[0].engine.rawValue)")
    }
  }
}
