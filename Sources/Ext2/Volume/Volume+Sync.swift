// Sync: the data of all files, many at once, so that what lies side by side on the disk goes to the device as one request
// whoever it belongs to; then the metadata; then a flush.
internal import BlockDevice
internal import DequeModule
internal import Ext2Format
internal import PageCache
internal import Reactor

/// The files that one call still has to write, and the first error.
struct SyncWork {
  var files: Deque<Inode>
  var firstError: Ext2Error?
}

extension Volume {
  /// Writes everything and flushes the device. Goes on past errors and returns the first.
  func sync() async -> Ext2Error? { await core.sync { await self.writeAllData() } }

  private func writeAllData() async -> Ext2Error? {
    let files = core.inodes.all.filter(\.space.isBusy).map(core.inodes.reference)
    if files.isEmpty { return nil }
    let number = addSyncWork(SyncWork(files: Deque(files)))
    // As many at once as have places in the queue, but for what others need.
    let width = min(files.count, max(1, core.queue.configuration.placeCount / 2))
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<width { group.addTask { await self.writeFiles(of: number) } }
    }
    return syncWork.removeValue(forKey: number)?.firstError
  }

  private func writeFiles(of number: Int) async {
    while let inode = syncWork[number]?.files.popFirst() {
      if let error = await core.cache.writeback.writeAll(of: inode.space), syncWork[number]?.firstError == nil {
        syncWork[number]?.firstError = Ext2Error(error)
      }
      core.inodes.release(inode)
    }
  }
}
