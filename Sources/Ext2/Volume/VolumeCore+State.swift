// The state in the superblock: clean or not.
internal import Ext2Format
internal import PageCache
internal import Reactor

extension VolumeCore {
  /// What begins every change: a freeze, a thaw or a remount that failed may have left *clean* on the disk.
  func beginChange() async throws(Ext2Error) {
    if mayBeMarkedClean && !options.cache.switchedOff.contains(.changeMarksAgain) {
      try await markNotClean(isMount: false)
    }
  }

  /// *Not clean* is durable before the first change. A mount is counted.
  func markNotClean(isMount: Bool) async throws(Ext2Error) {
    groups.superblock.state.remove(.valid)
    if isMount {
      groups.superblock.mountCount &+= 1
      groups.superblock.mountTime = UInt32(clamping: inodes.now.seconds)
    }
    groups.encodeSuperblock(into: metadata)
    if options.cache.switchedOff.contains(.markedBeforeChange) { return }
    if let error = await metadata.writeAll() { throw error }
    try await flushes.flush()
    mayBeMarkedClean = false
  }

  /// *Clean* is written after everything else has been flushed, then flushed itself. A volume that was not clean when it
  /// was mounted stays so.
  func markClean() async -> Ext2Error? {
    if wasClean { groups.superblock.state.insert(.valid) }
    groups.superblock.writeTime = UInt32(clamping: inodes.now.seconds)
    groups.encode(into: metadata)
    mayBeMarkedClean = true
    if let error = await metadata.writeAll() { return error }
    do { try await flushes.flush() } catch { return error }
    return nil
  }
}
