internal import Ext2Format
internal import PageCache
internal import Reactor

/// What one opening of a file knows.
final class OpenFile {
  let inode: Inode
  let readAhead = ReadAhead()
  /// What this opener has seen of the file's errors, and of the volume's.
  var fileErrors: ErrorSequence.Cursor
  var volumeErrors: ErrorSequence.Cursor

  /// Who opened it, for the reserved blocks.
  let credentials: Credentials

  init(_ inode: Inode, _ credentials: Credentials, volumeErrors: ErrorSequence.Cursor) {
    self.inode = inode
    self.credentials = credentials
    fileErrors = inode.space.errors.sample()
    self.volumeErrors = volumeErrors
  }
}

/// An open regular file of a volume; usable from any task. Close it with `close`.
public struct File: Sendable {
  /// The volume it belongs to.
  public let volume: Volume
  let handle: Int

  /// Up to `count` bytes from `offset`, in bytes; fewer at the end of the file.
  public func read(at offset: UInt64, count: Int) async throws(Ext2Error) -> [UInt8] {
    try await volume.reactor.run { () async throws(Ext2Error) in
      try await volume.read(handle, at: offset, count: count)
    }
  }

  /// Writes bytes at `offset`. Returns how many: fewer than all when the volume is full or the device fails in between.
  @discardableResult
  public func write(_ bytes: [UInt8], at offset: UInt64) async throws(Ext2Error) -> Int {
    try await volume.reactor.run { () async throws(Ext2Error) in
      try await volume.write(handle, bytes, at: offset)
    }
  }

  /// Writes bytes at the end of the file, wherever that is by then. Returns how many.
  @discardableResult
  public func append(_ bytes: [UInt8]) async throws(Ext2Error) -> Int {
    try await volume.reactor.run { () async throws(Ext2Error) in
      try await volume.write(handle, bytes, at: nil)
    }
  }

  /// Makes the file `byteCount` long: what is cut off is freed, what is added reads as zeroes.
  public func truncate(to byteCount: UInt64) async throws(Ext2Error) {
    try await volume.reactor.run { () async throws(Ext2Error) in
      try await volume.truncate(handle, to: byteCount)
    }
  }

  /// Makes a range of bytes a hole; the size stays.
  public func punch(_ range: Range<UInt64>) async throws(Ext2Error) {
    try await volume.reactor.run { () async throws(Ext2Error) in try await volume.punch(handle, range) }
  }

  /// fallocate(2). Blocks that are allocated are written as zeroes, because ext2 cannot tell that a block was not.
  ///
  /// - Throws: `notSupported` for modes that ext2 does not have (collapse, insert, unshare), for allocation with
  ///   `keepSize` beyond the end of the file (blocks there are damage to e2fsck), and for combinations that
  ///   fallocate(2) does not have; `invalidArgument` for an empty range; `noSpace`, and then part of the range may have
  ///   its blocks.
  public func fallocate(_ mode: FallocateMode = [], _ range: Range<UInt64>) async throws(Ext2Error) {
    try await volume.reactor.run { () async throws(Ext2Error) in try await volume.fallocate(handle, mode, range) }
  }

  /// lseek(2) with SEEK_DATA or SEEK_HOLE: the first byte at or after `offset` that is in a block, or in none. The end of
  /// the file counts as a hole. Throws `noSuchOffset` when there is none, or past the end.
  public func seek(_ what: SeekTarget, from offset: UInt64) async throws(Ext2Error) -> UInt64 {
    try await volume.reactor.run { () async throws(Ext2Error) in try await volume.seek(handle, what, from: offset) }
  }

  /// fsync: what was written before the call is durable when this returns without an error. Every opener sees an error
  /// of writeback once.
  public func synchronize() async throws(Ext2Error) {
    try await volume.reactor.run { () async throws(Ext2Error) in
      try await volume.synchronize(handle, dataOnly: false)
    }
  }

  /// fdatasync: as `synchronize`, without times.
  public func synchronizeData() async throws(Ext2Error) {
    try await volume.reactor.run { () async throws(Ext2Error) in
      try await volume.synchronize(handle, dataOnly: true)
    }
  }

  /// What is known of the file.
  public func status() async throws(Ext2Error) -> FileStatus { try await volume.status(handle) }

  /// Changes permissions, owner, times or flags; see `Volume.change`.
  public func change(_ changes: StatusChanges) async throws(Ext2Error) {
    try await volume.reactor.run { () async throws(Ext2Error) in try await volume.change(handle, changes) }
  }

  /// Ends the use of the file. An unlinked file's blocks are freed when its last opening ends.
  public func close() async { await volume.closeHandle(handle) }
}

extension Volume {
  func file(_ handle: Int) throws(Ext2Error) -> OpenFile {
    guard let file = handles[handle] else { throw .closed }
    return file
  }

  /// Runs a changing operation on an open file, inside the gate and with a reference to its inode.
  private func change<R>(_ handle: Int, _ body: (Inode) async throws(Ext2Error) -> R) async throws(Ext2Error) -> R {
    try checkWritable()
    if !(try beginCallNow()) { try await beginCall() }
    defer { core.calls.leave() }
    let inode = core.inodes.reference(try file(handle).inode)
    defer { core.inodes.release(inode) }
    if !core.gate.tryEnter() { await core.gate.enter() }
    defer { core.gate.leave() }
    try checkWritable()
    try await core.beginChange()
    return try await body(inode)
  }

  func read(_ handle: Int, at offset: UInt64, count: Int) async throws(Ext2Error) -> [UInt8] {
    if !(try beginCallNow()) { try await beginCall() }
    defer { core.calls.leave() }
    let file = try file(handle)
    let inode = core.inodes.reference(file.inode)
    defer { core.inodes.release(inode) }
    let bytes = try await inode.read(at: offset, count: count, file.readAhead)
    // A read at the end of the file is one too (mm/filemap.c, filemap_read).
    if count > 0 { noteRead(inode) }
    return bytes
  }

  func write(_ handle: Int, _ bytes: [UInt8], at offset: UInt64?) async throws(Ext2Error) -> Int {
    let mayUseReservedBlocks = core.mayUseReservedBlocks(try file(handle).credentials)
    return try await change(handle) { inode async throws(Ext2Error) in
      let count = try await inode.write(.bytes(bytes), at: offset, mayUseReservedBlocks: mayUseReservedBlocks)
      try await makeDurableIfAsked([inode])
      return Int(count)
    }
  }

  func truncate(_ handle: Int, to byteCount: UInt64) async throws(Ext2Error) {
    try await change(handle) { inode async throws(Ext2Error) in
      try await inode.truncate(to: byteCount)
      try await makeDurableIfAsked([inode])
    }
  }

  func punch(_ handle: Int, _ range: Range<UInt64>) async throws(Ext2Error) {
    try await change(handle) { inode async throws(Ext2Error) in
      try await inode.punch(range)
      try await makeDurableIfAsked([inode])
    }
  }

  func fallocate(_ handle: Int, _ mode: FallocateMode, _ range: Range<UInt64>) async throws(Ext2Error) {
    guard !range.isEmpty else { throw .invalidArgument("fallocate of no bytes") }
    let mayUseReservedBlocks = core.mayUseReservedBlocks(try file(handle).credentials)
    try await change(handle) { inode async throws(Ext2Error) in
      try await inode.fallocate(mode, range, mayUseReservedBlocks: mayUseReservedBlocks)
      try await makeDurableIfAsked([inode])
    }
  }

  func change(_ handle: Int, _ changes: StatusChanges) async throws(Ext2Error) {
    try await change(handle) { inode async throws(Ext2Error) in
      let ticket = try await core.metadata.ticket()
      defer { ticket.end() }
      try await inode.change(changes, "inode \(inode.number)", core.attributes, ticket)
      try await makeDurableIfAsked([inode])
    }
  }

  func synchronize(_ handle: Int, dataOnly: Bool) async throws(Ext2Error) {
    try await beginCall()
    defer { core.calls.leave() }
    if core.isReadOnly && core.corruption == nil { return }
    let file = try file(handle)
    let inode = core.inodes.reference(file.inode)
    defer { core.inodes.release(inode) }
    if !dataOnly { await core.accessTimes.writeUnlessFrozen(inode) }
    let own = await core.synchronise(inode, dataOnly: dataOnly)
    let cursors = (file.fileErrors, file.volumeErrors)
    defer {
      if core.options.cache.switchedOff.contains(.errorIsToldOnce) { (file.fileErrors, file.volumeErrors) = cursors }
    }
    let earlier = inode.space.errors.check(&file.fileErrors)
    let shared = core.errors.check(&file.volumeErrors)
    if let error = own ?? (earlier ?? shared).map(Ext2Error.init) { throw error }
  }

  func status(_ handle: Int) throws(Ext2Error) -> FileStatus {
    FileStatus(try file(handle).inode)
  }

  func closeHandle(_ handle: Int) {
    guard let file = handles.removeValue(forKey: handle) else { return }
    // Nobody writes it any more: the blocks kept for its growth are for others (fs/ext2/file.c, ext2_release_file).
    file.inode.openCount -= 1
    if file.inode.openCount == 0 { core.allocator.dropWindow(of: file.inode.number) }
    core.inodes.release(file.inode)
  }
}
