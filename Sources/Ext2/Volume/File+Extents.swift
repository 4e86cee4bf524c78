// Where a file lives: for experiments and for messages that name the owner of a block.
internal import Ext2Format
internal import PageCache
internal import Reactor

/// Contiguous blocks of a file on contiguous blocks of the disk.
public struct FileExtent: Equatable, Sendable {
  /// The first block, counted from the start of the file.
  public let fileBlock: UInt64
  /// Where it lives, counted from the start of the volume.
  public let diskBlock: UInt64
  /// How many blocks.
  public let count: Int

  /// Whether it holds that block of the disk.
  public func contains(diskBlock block: UInt64) -> Bool {
    block >= diskBlock && block - diskBlock < UInt64(count)
  }
}

extension File {
  /// Where the file's data lives, in ascending order, without its pointer blocks; holes are left out. True at some
  /// moment between call and return only if nobody changes the file meanwhile.
  public func extents() async throws(Ext2Error) -> [FileExtent] {
    try await volume.reactor.run { () async throws(Ext2Error) in try await volume.extents(handle) }
  }
}

extension Volume {
  func extents(_ handle: Int) async throws(Ext2Error) -> [FileExtent] {
    try await beginCall()
    defer { core.calls.leave() }
    guard let file = handles[handle] else { throw .closed }
    let inode = core.inodes.reference(file.inode)
    defer { core.inodes.release(inode) }
    let blockSize = UInt64(inode.blockSize)
    var extents: [FileExtent] = []
    var index: UInt64 = 0
    while index * blockSize < inode.byteCount {
      do {
        switch try await inode.tree.lookUp(PageIndex(index), limit: Int.max) {
        case .hole(let count): index += UInt64(max(1, count))
        case .mapped(let block, let count):
          extents.append(FileExtent(fileBlock: index, diskBlock: block.rawValue, count: count))
          index += UInt64(max(1, count))
        }
      } catch { throw Ext2Error(error) }
    }
    return extents
  }
}
