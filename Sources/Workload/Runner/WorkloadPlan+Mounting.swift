internal import BlockDevice
internal import DeviceLayers
internal import Ext2
internal import Logging
internal import PageCache

extension WorkloadPlan {
  /// How the run's volume is mounted: the jobs' options in the words of `Ext2`.
  func mountOptions(isReadOnly: Bool, logger: Logger) -> Ext2.VolumeOptions {
    var options = Ext2.VolumeOptions()
    options.isReadOnly = isReadOnly
    options.seed = jobs[0].randomSeed ?? 0
    options.logger = logger
    options.queue = RequestQueue.Configuration(tagCount: jobs[0].queueDepth)
    if let deadline = self.options.stack.deadlineNanoseconds { options.queue.timeoutNanoseconds = deadline }
    options.cache.ignoresCookie = self.options.ignoresCookie
    guard let volume else { return options }
    options.frees = volume.frees
    options.allocation = volume.allocation
    options.cache.policy = volume.writeback.policy
    options.cache.cacheByteCount = Int(volume.cacheBytes)
    options.cache.dirtyLimitByteCount = Int(volume.dirtyLimitBytes)
    options.cache.backgroundByteCount = Int(volume.dirtyBackgroundBytes)
    options.cache.batchByteCount = volume.batchBytes
    options.cache.marksFailedPagesClean = volume.failedPages == .clean
    return options
  }
}
