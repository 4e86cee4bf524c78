public import BlockDevice
internal import Ext2Format
internal import Logging
internal import PageCache
public import Reactor

/// A mounted ext2 volume. Everything of it runs on its reactor; it may be called from any task.
///
///     let reactor = ThreadReactor()
///     let device = try FileDevice(path: "disk.img")
///     let volume = try await Volume.mount(device, on: reactor)
///     let file = try await volume.open("hello", create: true)
///     try await file.write(Array("hello".utf8), at: 0)
///     try await file.synchronize()
///     try await volume.unmount()
public actor Volume {
  /// The reactor it runs on.
  public nonisolated let reactor: Reactor
  public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }
  let core: VolumeCore
  private var background: Task<Void, Never>?
  private var isMounted = true
  private var isFrozen = false
  var handles: [Int: OpenFile] = [:]
  private var lastHandle = 0
  var oracle: OwnershipOracle?
  /// Calls of sync that write data now.
  var syncWork: [Int: SyncWork] = [:]
  private var lastSyncWork = 0

  private init(core: VolumeCore) {
    reactor = core.reactor
    self.core = core
  }

  // MARK: Mount and unmount

  /// Opens the device's queue on `reactor`, reads and checks the volume and mounts it. For writing it is marked not clean
  /// first. When it cannot be mounted nothing else was written, and the device is closed again.
  public static func mount(
    _ device: sending any BlockDevice, on reactor: Reactor, options: VolumeOptions = VolumeOptions()
  ) async throws(Ext2Error) -> Volume {
    // The device is handed over to the reactor here, once, for good.
    let parcel = Parcel(device)
    return try await reactor.run { () async throws(Ext2Error) -> Volume in
      try await mountHere(parcel, on: reactor, options)
    }
  }

  private final class Parcel: @unchecked Sendable {
    // Sendable because the device was sent: whoever sent it cannot touch it any more.
    let device: any BlockDevice
    init(_ device: sending any BlockDevice) { self.device = device }
  }

  private static func mountHere(
    _ parcel: Parcel, on reactor: Reactor, _ options: VolumeOptions
  ) async throws(Ext2Error) -> Volume {
    let mounting = Mounting(reactor)
    let core = try await mounting.mount(parcel.device, options)
    let volume = Volume(core: core)
    await volume.start()
    return volume
  }

  private func start() {
    background = Task(name: "volume", executorPreference: reactor) { [self] in await runBackground() }
  }

  private func runBackground() async {
    await withTaskGroup(of: Void.self) { group in
      group.addTask(name: "background writeback") { await self.runWriteback() }
      group.addTask(name: "metadata writer") { await self.runMetadataWriter() }
      group.addTask(name: "freeing") { await self.runFreeing() }
      group.addTask(name: "evictor") { await self.runEvictor() }
      group.addTask(name: "access times") { await self.runAccessTimes() }
    }
  }
  private func runWriteback() async { await core.cache.writeback.runBackground() }
  private func runMetadataWriter() async { await core.metadata.writer.run() }
  private func runFreeing() async { await core.pendingFrees.run() }
  private func runEvictor() async { await core.evictor.run() }
  private func runAccessTimes() async { await core.accessTimes.run() }

  /// Writes everything, marks the volume clean and closes the device. Open files are closed. Throws the first error met;
  /// the volume is not mounted any more in any case, and is left *not clean* when something was not written.
  public nonisolated func unmount() async throws(Ext2Error) {
    try await reactor.run { () async throws(Ext2Error) in try await self.unmountHere() }
  }

  private func unmountHere() async throws(Ext2Error) {
    guard isMounted else { throw .closed }
    isMounted = false
    // Whoever waits for the end of a freeze gets an error; whoever runs comes to the end of his call.
    core.gate.open()
    await core.calls.close()
    // It may hold the last reference to an inode that is to be evicted.
    await core.accessTimes.stop()
    for handle in handles.keys.sorted() { closeHandle(handle) }
    await core.evictor.drain()
    if !core.options.cache.switchedOff.contains(.evictionIsTriedAgain) { core.evictor.retryFailed() }
    await core.evictor.drain()
    await core.gate.close()
    await core.accessTimes.writeAll()
    let mustWrite = !core.options.cache.switchedOff.contains(.unmountWrites)
    var firstError = core.isReadOnly && core.corruption == nil || !mustWrite ? nil : await sync()
    firstError = firstError ?? core.evictor.firstError
    await core.evictor.stop()
    await core.cache.writeback.stopBackground()
    await core.pendingFrees.stop()
    await core.metadata.writer.stop()
    await background?.value
    if let error = await waitForDevice() { firstError = firstError ?? error }
    if let dropped = core.dropped {
      core.options.logger.error("\(dropped)")
      firstError = .dropped(dropped)
    }
    let isWritten = firstError == nil || core.options.cache.switchedOff.contains(.cleanOnlyWhenWritten)
    if !core.isReadOnly && isWritten { firstError = await core.markClean() }
    // A request past its deadline keeps its tag and memory until the device lets go: the queue stays open then.
    core.queue.closeWhenIdle()
    if let firstError { throw firstError }
  }

  /// Waits until nothing is at the device, a read ahead for example, or everything there is past its deadline.
  private func waitForDevice() async -> Ext2Error? {
    let start = reactor.now
    var pause: UInt64 = 100_000
    while core.queue.outstandingCount > 0 {
      if let timeout = core.queue.configuration.timeoutNanoseconds,
        start.advanced(byNanoseconds: timeout) <= reactor.now
      {
        return .device(.timedOut(.write, offset: 0))
      }
      await reactor.sleep(until: reactor.now.advanced(byNanoseconds: pause))
      // What is not back soon hangs, and is not worth ten thousand looks a second.
      pause = min(2 * pause, 100_000_000)
    }
    return nil
  }

  func checkMounted() throws(Ext2Error) {
    guard isMounted else { throw .closed }
  }
  /// Begins a call that unmount has to wait for; `core.calls.leave` ends it.
  func beginCall() async throws(Ext2Error) {
    try checkMounted()
    if core.isAborted, let corruption = core.corruption { throw corruption }
    await core.calls.enter()
  }
  /// As `beginCall`, without suspending; false where that would have to wait.
  func beginCallNow() throws(Ext2Error) -> Bool {
    try checkMounted()
    if core.isAborted, let corruption = core.corruption { throw corruption }
    return core.calls.tryEnter()
  }
  func checkWritable() throws(Ext2Error) {
    try checkMounted()
    guard !core.isReadOnly else { throw .readOnly }
  }

  func addHandle(_ file: OpenFile) -> Int {
    lastHandle += 1
    file.inode.openCount += 1
    handles[lastHandle] = file
    return lastHandle
  }

  func addSyncWork(_ work: SyncWork) -> Int {
    lastSyncWork += 1
    syncWork[lastSyncWork] = work
    return lastSyncWork
  }

  // MARK: The whole volume

  /// Whether it can be changed now: not when it was mounted for reading, or when corruption was found.
  public var isReadOnly: Bool { core.isReadOnly }

  /// Makes everything durable that was changed before the call.
  public nonisolated func synchronize() async throws(Ext2Error) {
    try await reactor.run { () async throws(Ext2Error) in try await self.synchronizeHere() }
  }
  private func synchronizeHere() async throws(Ext2Error) {
    try await beginCall()
    defer { core.calls.leave() }
    if core.isReadOnly && core.corruption == nil { return }
    await core.accessTimes.writeAllUnlessFrozen()
    if let error = await sync() { throw error }
  }

  /// Stops changes, waits for those that run, and makes everything durable; until `thaw` further changes wait.
  public nonisolated func freeze() async throws(Ext2Error) {
    try await reactor.run { () async throws(Ext2Error) in try await self.freezeHere() }
  }
  private func freezeHere() async throws(Ext2Error) {
    try await beginCall()
    defer { core.calls.leave() }
    await core.gate.close()
    if isMounted { await core.evictor.evictAll() }
    if isMounted { await core.accessTimes.writeAll() }
    var error = isMounted ? core.isReadOnly && core.corruption == nil ? nil : await sync() : .closed
    // What is frozen can be copied and mounted as a clean volume, unless removed files are still open
    // (fs/ext2/super.c, ext2_freeze).
    if error == nil, !core.isReadOnly, !core.inodes.hasOrphans { error = await core.markClean() }
    if let error {
      core.gate.open()
      throw error
    }
    isFrozen = true
  }

  /// Ends a freeze, once *not clean* is durable again.
  public nonisolated func thaw() async throws(Ext2Error) {
    try await reactor.run { () async throws(Ext2Error) in try await self.thawHere() }
  }
  private func thawHere() async throws(Ext2Error) {
    try checkMounted()
    guard isFrozen else { throw .invalidArgument("thaw of a volume that is not frozen") }
    isFrozen = false
    defer { core.gate.open() }
    if !core.isReadOnly { try await core.markNotClean(isMount: false) }
  }

  /// What was done since the mount.
  public var counters: VolumeCounters {
    var counters = VolumeCounters()
    counters.writeback = core.cache.writeback.counters
    counters.device = core.queue.counters
    counters.pages = core.cache.counters
    counters.metadata = core.metadata.counters
    counters.dirtyTime = core.cache.durability.time
    counters.written = core.metadata.written
    counters.written.data = core.cache.writeback.counters.bytes
    return counters
  }

  /// Sizes and free space; blocks that wait to be freed count as used.
  public var statistics: VolumeStatistics {
    let layout = core.groups.layout, superblock = core.groups.superblock
    let all = UInt64(layout.blockCount), free = core.groups.freeBlockCount
    return VolumeStatistics(
      blockSize: layout.blockSize,
      blockCount: core.options.countsOverhead ? all : all - min(all, layout.overheadBlockCount),
      freeBlockCount: free,
      availableBlockCount: free - min(free, UInt64(superblock.reservedBlockCount)),
      inodeCount: UInt64(layout.inodeCount), freeInodeCount: core.groups.freeInodeCount,
      label: String(decoding: superblock.label, as: UTF8.self), uuid: superblock.uuid)
  }

  /// Calls `body` with the device, on the reactor: for experiments that look at it or steer it.
  public func withDevice<R: Sendable, E: Error>(_ body: @Sendable (any BlockDevice) throws(E) -> R) throws(E) -> R {
    try body(core.queue.device)
  }
}
