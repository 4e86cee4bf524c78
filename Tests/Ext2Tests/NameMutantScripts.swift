import BlockDevice
import Ext2
import Ext2Format
import PageCache
import Reactor
import Support

// Scripts for rules of names, inodes and locks that no power cut shows; the image is that of `VolumeMutant.cold`.
extension VolumeMutant {
  static let ofNames: [VolumeMutant] = [
    VolumeMutant(rule: .fsyncCountsFirst, script: { rig in try await growth(rig) { try await $0.synchronize() } }),
    VolumeMutant(
      rule: .syncCountsFirst, script: { rig in try await growth(rig) { try await $0.volume.synchronize() } }),
    VolumeMutant(
      rule: .readAgainIsUnsynced, script: outAndBack,
      options: .quiet.with { $0.idleInodeLimit = 1 }),
    VolumeMutant(rule: .newInodeIsCleared, script: reusedInode),
    VolumeMutant(rule: .freedNamesAreForgotten, script: freedDirectory, isJudged: true),
    VolumeMutant(
      rule: .ancestorIsLockedFirst, script: lockedFromAbove, image: { try Images.edited(try cold(), ["mkdir d"]) }),
    VolumeMutant(rule: .freezeWaits, script: frozen),
    VolumeMutant(
      rule: .encodingChecksLife, script: secondNameOfOneLink, isJudged: true,
      image: { try Images.edited(try cold(), ["mkdir d", "mkdir e", "ln a d/alias"]) }),
    VolumeMutant(rule: .cancellationEndsWrite, script: cancelledWrite, options: smallCache, isJudged: true),
    VolumeMutant(rule: .cancellationEndsAllocation, script: cancelledAllocation, options: smallCache, isJudged: true),
  ]

  private static let smallCache = VolumeOptions.quiet.with { $0.cache.cacheByteCount = 64 << 10 }

  private static func expectDurableSize(_ rig: VolumeRig, _ byteCount: Int) async throws {
    let found = try Images.dump("a", of: await rig.disk { $0.durableImage }).count
    try expect(found == byteCount, "fdatasync has returned, and the file has \(found) bytes on the medium")
  }

  /// A file grows while a flush is out that was submitted before; fdatasync has to write the new size.
  private static func growth(_ rig: VolumeRig, _ sync: @escaping @Sendable (File) async throws -> Void) async throws {
    let file = try await rig.volume.open("a")
    try await file.write([1], at: 0)
    await rig.hold { $0.operation == .flush }
    async let synced: Void = sync(file)
    try await rig.untilHeld()
    try await file.truncate(to: 50_000)
    await rig.serve()
    try await synced
    try await file.synchronizeData()
    try await expectDurableSize(rig, 50_000)
  }

  /// A file leaves memory before its new size is on the medium, and is opened again.
  private static func outAndBack(_ rig: VolumeRig) async throws {
    let file = try await rig.volume.open("a")
    let number = try await file.status().inode
    try await file.truncate(to: 50_000)
    await file.close()
    for index in 0..<100 { await (try rig.volume.open("w\(index % 4)")).close() }
    let isInMemory = await rig.volume.inodesInMemory.contains { $0.rawValue == number }
    try expect(!isInMemory, "the file has not left memory: this shows nothing")
    try await rig.volume.open("a").synchronizeData()
    try await expectDurableSize(rig, 50_000)
  }

  /// A file takes the inode of one that had an attribute in its inode.
  private static func reusedInode(_ rig: VolumeRig) async throws {
    let volume = rig.volume
    await (try volume.open("old", create: true)).close()
    let number = try await volume.status(of: "old").inode
    try await volume.setAttribute("user.x", to: [1], of: "old")
    try await volume.unlink("old")
    await rig.settle()
    await (try volume.open("new", create: true)).close()
    let reused = try await volume.status(of: "new").inode
    try expect(reused == number, "the inode was not used again: this shows nothing")
    try expect(try await volume.attributeNames(of: "new").isEmpty, "a new file has the attributes of another")
  }

  /// The dirty block of a directory is freed and becomes data.
  private static func freedDirectory(_ rig: VolumeRig) async throws {
    let file = try await rig.volume.open("a")
    try await rig.volume.makeDirectory("d")
    try await rig.volume.removeDirectory("d")
    await rig.settle()
    // No further pointer block is needed.
    try await file.write(stamped(3, count: 220 * size), at: UInt64(40 * size))
    try await rig.volume.synchronize()
  }

  /// A rename out of a directory has looked at it; the directory is removed from above before the rename takes its locks.
  private static func lockedFromAbove(_ rig: VolumeRig) async throws {
    let volume = rig.volume
    let number = UInt64(try await volume.status(of: "d").inode)
    await rig.hold { $0.operation == .read && $0.owner == number && !$0.isFileData }
    async let moved = try? volume.rename("d/x", to: "y")
    try await rig.untilHeld()
    async let removed: Void = volume.removeDirectory("d")
    await rig.settle()
    await rig.serve()
    try await removed
    try expect(await moved == nil, "a name was moved that is not there")
  }

  /// A file is removed while the volume is frozen; what is frozen does not change.
  private static func frozen(_ rig: VolumeRig) async throws {
    let volume = rig.volume
    await rig.hold { $0.operation == .read && !$0.isFileData }
    async let removed: Void = volume.unlink("a")
    try await rig.untilHeld()
    async let frozen: Void = volume.freeze()
    await rig.settle()
    await rig.serve()
    try await frozen
    try await removed
    let writes = Tally()
    await rig.treat { request in
      if request.operation == .write { writes.count += 1 }
      return .proceed
    }
    await rig.pause(100_000_000_000)
    try expect(writes.count == 0, "\(writes.count) writes while the volume was frozen")
    try await volume.thaw()
  }

  /// On a corrupt volume a file has two names and one link. It is freed while its second name is removed, and a new file
  /// takes its inode.
  private static func secondNameOfOneLink(_ rig: VolumeRig) async throws {
    let volume = rig.volume
    let number = UInt64(try await volume.status(of: "a").inode)
    _ = try await volume.status(of: "d/alias")
    let directory = UInt64(try await volume.status(of: "e").inode)
    await rig.hold { $0.operation == .read && !$0.isFileData && ($0.owner == number || $0.owner == directory) }
    try await volume.unlink("a")
    // The evictor waits for a pointer block.
    try await rig.untilHeld(1)
    async let removed: Void = volume.unlink("d/alias")
    async let new = volume.open("e/new", create: true)
    try await rig.untilHeld(2)
    await rig.serve()
    try await removed
    await (try new).close()
    await rig.settle()
  }

  /// A large write is cancelled while it waits for budget: what it counts is there, and the rest can be written later.
  private static func cancelledWrite(_ rig: VolumeRig) async throws {
    let file = try await rig.volume.open("b", create: true), bytes = stamped(1, count: 400 * size)
    let write = Task(executorPreference: rig.reactor) { try await file.write(bytes, at: 0) }
    try await cancel(write, rig)
    let count = try await write.value
    try expect(count > 0 && count < bytes.count, "a cancelled write has written \(count) bytes")
    try expect(try await file.status().byteCount == UInt64(count), "it was said to be \(count) bytes")
    try await file.append(Array(bytes[count...]))
    try expect(try await file.read(at: 0, count: bytes.count) == bytes, "other bytes than were written")
  }

  /// The same of an allocation.
  private static func cancelledAllocation(_ rig: VolumeRig) async throws {
    let file = try await rig.volume.open("b", create: true), range = 0..<UInt64(400 * size)
    let allocation = Task(executorPreference: rig.reactor) {
      await errorOf { () async throws(Ext2Error) in try await file.fallocate([], range) }
    }
    try await cancel(allocation, rig)
    guard case .cancelled = await allocation.value else { throw Broken(what: "a cancelled fallocate has gone on") }
    try expect(try await file.status().byteCount < range.upperBound, "all was allocated")
    try await file.fallocate([], range)
    try expect(try await file.status().byteCount == range.upperBound, "the rest was not allocated")
  }

  /// Cancels a task that waits for writes.
  private static func cancel<R, E: Error>(_ task: Task<R, E>, _ rig: VolumeRig) async throws {
    await rig.hold(\.isDataWrite)
    try await rig.untilHeld()
    task.cancel()
    await rig.serve()
  }
}
