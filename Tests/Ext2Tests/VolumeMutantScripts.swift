import BlockDevice
import Ext2
import Ext2Format
import PageCache
import Reactor
import Support
import SystemPackage

// Scripts for rules of files, frees and errors; the image is that of `VolumeMutant.cold`.
extension VolumeMutant {
  static let ofFiles: [VolumeMutant] = [
    VolumeMutant(rule: .cookieHasAllBits, script: wrappedCookie),
    VolumeMutant(
      rule: .lateWritesCount, script: lateWrite,
      options: .quiet.with {
        $0.queue.timeoutNanoseconds = 10_000_000
      }),
    VolumeMutant(rule: .orderedFreesWait, script: orderedFree, options: .quiet.with { $0.frees = .ordered }),
    VolumeMutant(rule: .spaceIsWaitedFor, script: lastBlock),
    VolumeMutant(rule: .freedIsForgotten, script: freedMetadata, isJudged: true),
    VolumeMutant(rule: .oneWriteABlock, script: twoWritesOfABlock),
    VolumeMutant(rule: .detachInOneStep, script: punchedPages),
    VolumeMutant(rule: .tailIsZeroed, script: tail),
    VolumeMutant(rule: .zeroedTailIsDirty, script: writtenTail),
    VolumeMutant(rule: .sizeIsTakenAnew, script: shrinkingRead),
    VolumeMutant(rule: .failureIsReportedOnce, script: repeatedFailure),
    VolumeMutant(rule: .failedPageWaits, script: patience),
    VolumeMutant(
      rule: .corruptionStopsWrites, script: readOnlyNow, options: .quiet.with { $0.onErrors = .remountReadOnly },
      image: { try Images.edited(try cold(), ["mkdir bad", "sif bad block[0] 0"]) }),
  ]

  private static func bytes(_ generation: UInt8, blocks: Int) -> [UInt8] { stamped(generation, count: blocks * size) }

  /// A file changes 256 times between the lookup of an extent and the next writeback, and its block is another one then.
  private static func wrappedCookie(_ rig: VolumeRig) async throws {
    let file = try await rig.volume.open("c", create: true), other = try await rig.volume.open("b", create: true)
    try await file.write(bytes(1, blocks: 1), at: 0)
    try await file.synchronize()
    try await file.truncate(to: 0)
    try await other.write(bytes(2, blocks: 4), at: 0)
    try await other.synchronize()
    // Each truncate frees in one step, and each write links in one.
    for _ in 0..<127 {
      try await file.write(bytes(3, blocks: 1), at: 0)
      try await file.truncate(to: 0)
    }
    try await file.write(bytes(4, blocks: 1), at: 0)
    try await file.synchronize()
    try await expectDurable(rig, other, bytes(2, blocks: 4))
  }

  /// What a file should contain is on the medium where its extents say.
  private static func expectDurable(_ rig: VolumeRig, _ file: File, _ expected: [UInt8]) async throws {
    let extents = try await file.extents(), left = await rig.disk { $0.durableImage }
    for extent in extents {
      let disk = Int(extent.diskBlock) * size, start = Int(extent.fileBlock) * size, count = extent.count * size
      try expect(
        Array(left[disk..<disk + count]) == Array(expected[start..<start + count]),
        "the medium has not what was written")
    }
  }

  /// A write that is past its deadline lands after its block was freed.
  private static func lateWrite(_ rig: VolumeRig) async throws {
    let file = try await rig.volume.open("a"), other = try await rig.volume.open("b", create: true)
    try await file.write(bytes(2, blocks: 4), at: 0)
    await rig.hold { $0.isDataWrite }
    let error = await errorOf { () async throws(Ext2Error) in try await file.synchronizeData() }
    try expect(error != nil, "fsync of a write that hangs has ended well")
    await rig.pause(20_000_000)
    await rig.treat { _ in .proceed }
    try await file.truncate(to: 0)
    await rig.pause(20_000_000)
    try await other.write(bytes(3, blocks: 100), at: 0)
    try await other.synchronize()
    await rig.serve()
    await rig.settle()
    try await expectDurable(rig, other, bytes(3, blocks: 100))
  }

  /// With ordered frees what another file gets has not been this one's on the medium.
  private static func orderedFree(_ rig: VolumeRig) async throws {
    let file = try await rig.volume.open("a"), other = try await rig.volume.open("b", create: true)
    let before = try await file.extents()
    try await file.truncate(to: 0)
    try await other.write(bytes(3, blocks: 200), at: 0)
    for extent in try await other.extents() {
      let blocks = extent.diskBlock..<extent.diskBlock + UInt64(extent.count)
      let isShared = before.contains { ($0.diskBlock..<$0.diskBlock + UInt64($0.count)).overlaps(blocks) }
      try expect(!isShared, "a power cut now shows a block in two files")
    }
  }

  /// A writer on a full volume waits for the block whose write is in flight.
  private static func lastBlock(_ rig: VolumeRig) async throws {
    let file = try await rig.volume.open("a"), other = try await rig.volume.open("b", create: true)
    let crowd = try await rig.volume.open("crowd", create: true)
    _ = try await crowd.write(bytes(2, blocks: 1024), at: 0)
    _ = await errorOf { () async throws(Ext2Error) in try await crowd.append(bytes(2, blocks: 1)) }
    try await rig.volume.synchronize()
    try await file.write(bytes(3, blocks: 1), at: 0)
    await rig.hold { $0.isDataWrite }
    async let sync: Void = file.synchronizeData()
    try await rig.untilHeld()
    try await file.punch(0..<UInt64(size))
    async let written = other.write(bytes(4, blocks: 1), at: 0)
    await rig.settle()
    await rig.serve()
    try await sync
    try expect(try await written == size, "there was room")
  }

  /// A dirty pointer block is freed and becomes data.
  private static func freedMetadata(_ rig: VolumeRig) async throws {
    let file = try await rig.volume.open("a"), other = try await rig.volume.open("b", create: true)
    try await file.punch(UInt64(20 * size)..<UInt64(21 * size))
    try await file.truncate(to: 0)
    try await other.write(bytes(3, blocks: 100), at: 0)
    try await rig.volume.synchronize()
  }

  /// An inode changes while the write of its block is in flight, and is synced again.
  private static func twoWritesOfABlock(_ rig: VolumeRig) async throws {
    let file = try await rig.volume.open("a")
    try await file.write([1], at: 0)
    await rig.hold { $0.isMetadataWrite }
    async let one: Void = file.synchronize()
    try await rig.untilHeld()
    try await file.write([2], at: 0)
    async let two: Void = file.synchronize()
    await rig.settle()
    await rig.serve()
    try await one
    try await two
  }

  /// Fsync beside a punch of dirty pages.
  private static func punchedPages(_ rig: VolumeRig) async throws {
    let file = try await rig.volume.open("a")
    try await file.write(bytes(2, blocks: 40), at: 0)
    async let sync: Void = file.synchronize()
    async let punch: Void = file.punch(0..<UInt64(30 * size))
    try await sync
    try await punch
  }

  private static func tail(_ rig: VolumeRig) async throws {
    let file = try await rig.volume.open("a")
    try await file.truncate(to: 100)
    try await file.truncate(to: UInt64(size))
    let found = try await file.read(at: 100, count: size)
    try expect(found.allSatisfy { $0 == 0 }, "what was cut off is there again")
  }

  /// What was cut off is not on the medium for another file system to show when the file grows.
  private static func writtenTail(_ rig: VolumeRig) async throws {
    let file = try await rig.volume.open("a")
    try await file.truncate(to: 100)
    try await file.synchronize()
    let start = Int(try await file.extents()[0].diskBlock) * size
    let left = await rig.disk { $0.durableImage }
    try expect(left[start + 100..<start + size].allSatisfy { $0 == 0 }, "what was cut off is on the medium")
  }

  /// A reader beside a truncate sees the old end or the new one.
  private static func shrinkingRead(_ rig: VolumeRig) async throws {
    let file = try await rig.volume.open("w0"), old = bytes(1, blocks: 14)
    await rig.hold { $0.operation == .read && $0.isFileData }
    async let read = file.read(at: 0, count: size)
    try await rig.untilHeld()
    async let cut: Void = file.truncate(to: 100)
    await rig.settle()
    await rig.serve()
    let found = try await read
    try await cut
    try expect(found == Array(old.prefix(size)) || found == Array(old.prefix(100)), "a reader saw \(found.count) bytes")
  }

  /// A page fails again and again; who was told of it once hears no more of it when it has been written.
  private static func repeatedFailure(_ rig: VolumeRig) async throws {
    let file = try await rig.volume.open("a")
    try await file.write(bytes(2, blocks: 1), at: 0)
    await rig.fail { $0.isDataWrite }
    let error = await errorOf { () async throws(Ext2Error) in try await file.synchronize() }
    try expect(error != nil, "fsync has not told")
    await rig.pause(10_000_000_000)
    await rig.serve()
    let again = await errorOf { () async throws(Ext2Error) in try await file.synchronize() }
    try expect(again == nil, "an error was told twice")
  }

  /// How often a page is tried that fails for ever.
  private static func patience(_ rig: VolumeRig) async throws {
    let file = try await rig.volume.open("a"), attempts = Tally()
    try await file.write(bytes(2, blocks: 1), at: 0)
    await rig.treat { request in
      guard request.isDataWrite else { return .proceed }
      attempts.count += 1
      return .fail(.ioError)
    }
    _ = await errorOf { () async throws(Ext2Error) in try await file.synchronize() }
    await rig.pause(20_000_000_000)
    try expect(attempts.count <= 8, "\(attempts.count) attempts in 20 s")
  }

  /// Metadata is dirty when corruption is found.
  private static func readOnlyNow(_ rig: VolumeRig) async throws {
    _ = try await rig.volume.open("n", create: true)
    let error = await errorOf { () async throws(Ext2Error) in try await rig.volume.list("bad") }
    try expect(error != nil, "a directory without blocks was listed")
    let writes = Tally()
    await rig.treat { request in
      if request.isMetadataWrite { writes.count += 1 }
      return .proceed
    }
    await rig.pause(100_000_000_000)
    try expect(writes.count == 0, "\(writes.count) blocks of metadata were written")
  }
}
