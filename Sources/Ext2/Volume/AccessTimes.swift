// Access times: noted in memory by whoever reads, written later by operations of their own.
//
// A read takes no lock and waits for nothing on their account: in the step that ends it the time is noted in the inode,
// and the inode here. One task a volume enters the gate holding nothing, some time later, and encodes what was noted into
// the inode table; whatever else encodes the inode before takes the time along. Sync and fsync write them first, and so
// do freeze and unmount, once the gate is closed. What is noted while the volume is frozen waits for the thaw.
//
// Limits: `kickCount` noted inodes are written at once; beyond `noteLimit`, which only a frozen volume comes to, no
// further inode is noted. An inode stays in memory until its time is written or dropped. When one cannot be written, all
// that are noted are dropped, so that nobody waits for one deadline after the other; nobody but the log is told (as in
// fs/inode.c, touch_atime).
internal import Ext2Format
internal import Logging
internal import Reactor

final class AccessTimes {
  /// How long a noted time waits before it goes into the inode table.
  static let delayNanoseconds: UInt64 = 5_000_000_000
  static let kickCount = 256
  static let noteLimit = 4096
  /// With `relative`, times older than this are renewed by any read (fs/inode.c, relatime_need_update).
  private static let relativeLimitSeconds: Int64 = 24 * 60 * 60

  private let inodes: InodeTable
  private let gate: Gate
  private let policy: AccessTimePolicy
  private let logger: Logger
  private var noted: [InodeNumber: Inode] = [:]
  /// When what is noted is to be written; nil when nothing is.
  private var dueAt: Instant?
  private let work: WaitQueue
  private let ended: WaitQueue
  private var isStopping = false
  private var isRunning = false

  init(_ inodes: InodeTable, _ gate: Gate, _ policy: AccessTimePolicy, _ logger: Logger) {
    self.inodes = inodes
    self.gate = gate
    self.policy = policy
    self.logger = logger
    work = WaitQueue(inodes.reactor, "an access time to write")
    ended = WaitQueue(inodes.reactor, "the end of the writing of access times")
  }

  // MARK: Noting

  /// Notes that the contents of an inode were read now, in the step that ends the read.
  func note(_ inode: Inode) {
    guard policy != .none, inode.isLive, inode.record.linkCount > 0, !inode.record.flags.contains(.noAccessTime) else {
      return
    }
    let now = inodes.now
    guard policy == .strict || isRelativelyOld(inode.record, now), !isSame(now, inode.record) else { return }
    if !inode.hasUnwrittenAccessTime {
      guard noted.count < Self.noteLimit else { return }
      inode.hasUnwrittenAccessTime = true
      noted[inode.number] = inode
    }
    inode.record.accessTime = now
    scheduleWriting()
  }

  /// Whether the last access was before the last change, or long ago (fs/inode.c, relatime_need_update).
  private func isRelativelyOld(_ record: InodeRecord, _ now: Timestamp) -> Bool {
    record.modificationTime >= record.accessTime || record.changeTime >= record.accessTime
      || now.seconds - record.accessTime.seconds >= Self.relativeLimitSeconds
  }

  /// Whether the disk could not tell the two apart: inodes of 128 bytes have whole seconds only.
  private func isSame(_ now: Timestamp, _ record: InodeRecord) -> Bool {
    let hasExtra = record.hasExtraTimes
    return now.rounded(hasExtra: hasExtra) == record.accessTime.rounded(hasExtra: hasExtra)
  }

  private func scheduleWriting() {
    let now = inodes.reactor.now
    let due = noted.count >= Self.kickCount ? now : now.advanced(byNanoseconds: Self.delayNanoseconds)
    if let dueAt, dueAt <= due { return }
    dueAt = due
    work.wakeAll()
  }

  // MARK: Writing

  /// Writes what was noted, some time after it was, until `stop`.
  func run() async {
    isRunning = true
    while !isStopping {
      guard let due = dueAt else {
        await work.wait()
        continue
      }
      if due <= inodes.reactor.now {
        await gate.enter()
        await writeAll()
        gate.leave()
      } else {
        _ = await work.waitInterruptibly(until: due)
      }
    }
    isRunning = false
    ended.wakeAll()
  }

  /// Ends `run`. Not to be called with the gate closed.
  func stop() async {
    isStopping = true
    work.wakeAll()
    while isRunning { await ended.wait() }
  }

  /// Writes all that was noted before the call, for whoever is inside the gate or has closed it.
  func writeAll() async {
    dueAt = nil
    for inode in noted.values.sorted(by: { $0.number < $1.number }) {
      do throws(Ext2Error) { try await write(inode) } catch {
        dropAll(because: error)
        return
      }
    }
  }

  /// As `writeAll`, as an operation of its own. Does nothing when the gate is closed: a freeze writes them itself, and
  /// what is noted after it waits for the thaw.
  func writeAllUnlessFrozen() async {
    guard !noted.isEmpty, gate.tryEnter() else { return }
    await writeAll()
    gate.leave()
  }

  /// As `writeAllUnlessFrozen`, of one inode.
  func writeUnlessFrozen(_ inode: Inode) async {
    guard inode.hasUnwrittenAccessTime, gate.tryEnter() else { return }
    do throws(Ext2Error) { try await write(inode) } catch { dropAll(because: error) }
    gate.leave()
  }

  private func write(_ inode: Inode) async throws(Ext2Error) {
    if inode.hasUnwrittenAccessTime && canBeWritten(inode) {
      let inode = inodes.reference(inode)
      defer { inodes.release(inode) }
      let ticket = try await inodes.metadata.ticket(1)
      defer { ticket.end() }
      let table = try await inodes.pinTable(of: inode.number, ticket)
      // The step: it checks that the inode is live.
      if canBeWritten(inode) { inodes.encode(inode, into: table) }
    }
    forget(inode)
  }

  /// It is written, or will not be.
  private func forget(_ inode: Inode) {
    inode.hasUnwrittenAccessTime = false
    if noted[inode.number] === inode { noted[inode.number] = nil }
  }

  private func dropAll(because error: Ext2Error) {
    logger.warning("access times of \(noted.count) inodes are dropped: \(error)")
    for inode in noted.values { inode.hasUnwrittenAccessTime = false }
    noted = [:]
    dueAt = nil
  }

  /// Not so once it is removed: the evictor has the last word on it then.
  private func canBeWritten(_ inode: Inode) -> Bool {
    inode.isLive && inode.record.linkCount > 0 && inodes.metadata.refusal == nil
  }
}
