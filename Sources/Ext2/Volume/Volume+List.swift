// Reading directories.
public import Ext2Format
internal import PageCache
internal import Reactor

/// One name of a directory.
public struct VolumeEntry: Equatable, Sendable {
  /// Its bytes; they need not be UTF-8.
  public let name: [UInt8]
  /// The number of the inode it names.
  public let inode: UInt32
  /// What that is, as the directory tells it; nil on volumes without the filetype feature.
  public let type: InodeType?
  /// Where reading goes on after this entry.
  public let nextPosition: UInt64
  /// The name as text; bytes that are no UTF-8 are repaired.
  public var text: String { String(decoding: name, as: UTF8.self) }
}

extension Volume {
  /// The names in a directory, without "." and "..", in the order of the disk. Bytes that are no UTF-8 are repaired.
  public nonisolated func list(_ path: some VolumePath = "/") async throws(Ext2Error) -> [String] {
    try await entries(of: path).map(\.text).filter { $0 != "." && $0 != ".." }
  }

  /// The entries of a directory, "." and ".." among them, in the order of the disk.
  ///
  /// - Parameters:
  ///   - position: 0 for the first, or the `nextPosition` of the last one seen. It stays good while others add and remove
  ///     names: what is there all the time is seen once.
  ///   - limit: the most entries to return.
  public nonisolated func entries(
    of path: some VolumePath, from position: UInt64 = 0, limit: Int = .max
  ) async throws(Ext2Error) -> [VolumeEntry] {
    let bytes = path.volumePathBytes
    return try await reactor.run { () async throws(Ext2Error) in
      try await self.entriesHere(bytes, from: position, limit: limit)
    }
  }

  private func entriesHere(
    _ path: [UInt8], from position: UInt64, limit: Int
  ) async throws(Ext2Error) -> [VolumeEntry] {
    try await reading { ticket async throws(Ext2Error) in
      let inode = try await resolve(path, followsLast: true, ticket)
      defer { core.inodes.release(inode) }
      guard inode.type == .directory else { throw .notADirectory(String(decoding: path, as: UTF8.self)) }
      var entries: [VolumeEntry] = []
      guard limit > 0 else { return entries }
      await inode.lock.lock()
      defer { inode.lock.unlock() }
      try await Directory(inode).read(from: position, ticket) { bytes, entry, next in
        entries.append(
          VolumeEntry(
            name: entry.name(in: bytes), inode: entry.inode.rawValue, type: entry.type, nextPosition: next))
        return entries.count < limit
      }
      noteRead(inode)
      return entries
    }
  }
}
