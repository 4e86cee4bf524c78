import BlockDevice
import Ext2
import Ext2Format
import FaultLab
import PageCache
import Support
import Testing

/// A rule that the file system itself applies, and the script that notices when it is switched off. The rules of the
/// page cache, and those whose absence only a power cut shows, are tested on the toy volume.
struct VolumeMutant: Sendable, CustomTestStringConvertible {
  let rule: SwitchedOffRules
  /// Nil: seeded runs of the whole volume.
  let script: (@Sendable (VolumeRig) async throws -> Void)?
  var options = VolumeOptions.quiet
  /// Unmount has to succeed, and e2fsck to be content with what is left.
  var isJudged = false
  var image: @Sendable () throws -> [UInt8] = cold
  var name: String { SwitchedOffRules.all.first { $0.rule == rule }?.name ?? "?" }
  var testDescription: String { name }

  /// What a script throws when a rule does not hold.
  struct Broken: Error { let what: String }

  static func expect(_ condition: Bool, _ what: String) throws(Broken) {
    if !condition { throw Broken(what: what) }
  }

  static let size = 1024

  /// Eight places, one tag, batches of one block: easily filled.
  static let narrowQueue = VolumeOptions.quiet.with {
    $0.queue.tagCount = 1
    $0.queue.placeCount = 8
    $0.queue.writebackReserve = 2
    $0.cache.batchByteCount = size
  }

  static let all: [VolumeMutant] =
    [
      VolumeMutant(rule: .pendingFrees, script: nil),
      VolumeMutant(rule: .discardCountsAsWrite, script: nil),
      VolumeMutant(rule: .evictorFrees, script: nil),
      VolumeMutant(rule: .walkComparison, script: walk),
      VolumeMutant(rule: .lateMetadataCopy, script: waitingMetadata, options: narrowQueue),
      VolumeMutant(rule: .flushAfterLastWrite, script: sharedFlush),
      VolumeMutant(rule: .failedFlushIsRemembered, script: failedFlush),
      VolumeMutant(rule: .growInOneStep, script: growth),
    ] + ofFiles + ofNames + HistoricalBug.mutants

  /// A volume with a file "a" and four more that have a pointer block each, none of it in memory.
  static func cold() throws -> [UInt8] {
    try Images.prepared(try Images.empty(blockSize: size)) { rig in
      for (name, count) in [("a", 40), ("w0", 14), ("w1", 14), ("w2", 14), ("w3", 14)] {
        let file = try await rig.volume.open(name, create: true)
        try await file.write(stamped(1, count: count * size), at: 0)
      }
    }
  }

  /// Four walks have their reads out, so a fifth waits; its pointer block is freed meanwhile, and becomes and is written
  /// as data of another file.
  static func walk(_ rig: VolumeRig) async throws {
    let file = try await rig.volume.open("a"), other = try await rig.volume.open("b", create: true)
    var crowd: [File] = []
    for index in 0..<4 { crowd.append(try await rig.volume.open("w\(index)")) }
    let number = UInt64(try await file.status().inode), readers = crowd
    await rig.hold { $0.operation == .read && !$0.isFileData && $0.owner > number && $0.owner <= number + 4 }
    async let others = withThrowingTaskGroup(of: Void.self) { group in
      for reader in readers { group.addTask { _ = try await reader.read(at: UInt64(13 * size), count: size) } }
      try await group.waitForAll()
    }
    try await rig.untilHeld(4)
    async let read = file.read(at: UInt64(20 * size), count: size)
    await rig.settle()
    try await file.truncate(to: 0)
    let free = Int(await rig.volume.statistics.freeBlockCount)
    _ = try await other.write([UInt8](repeating: 0xEE, count: free * size), at: 0)
    try await rig.volume.synchronize()
    await rig.serve()
    try await others
    try expect(try await read.isEmpty, "the reader got bytes of a file that was cut")
  }

  /// A dirty pointer block waits for admission, is freed, and becomes data of another file.
  static func waitingMetadata(_ rig: VolumeRig) async throws {
    let crowd = try await rig.volume.open("crowd", create: true), file = try await rig.volume.open("a")
    let taker = try await rig.volume.open("taker", create: true)
    try await taker.write([1], at: 0)
    // The file's inode and its pointer block become dirty.
    try await file.punch(UInt64(20 * size)..<UInt64(21 * size))
    try await crowd.write(stamped(3, count: 8 * size), at: 0)
    await rig.hold { $0.operation == .write }
    // Eight requests fill the queue, one of them at the device.
    async let crowdSync: Void = crowd.synchronizeData()
    try await rig.untilHeld()
    await rig.settle()
    async let sync: Void = file.synchronize()
    await rig.settle()
    // The inode's block takes the first place that comes free; the pointer block waits.
    await rig.disk { $0.release() }
    await rig.settle()
    try await file.truncate(to: 0)
    try await taker.write(stamped(4, count: 60 * size), at: 0)
    await rig.serve()
    try await sync
    try await crowdSync
  }

  /// Two files are synced; the second one's data is written while the first one's flush is out.
  private static func sharedFlush(_ rig: VolumeRig) async throws {
    let first = try await rig.volume.open("a"), second = try await rig.volume.open("b", create: true)
    try await first.write([1], at: 0)
    await rig.hold { $0.operation == .flush }
    async let one: Void = first.synchronize()
    try await rig.untilHeld()
    try await second.write(stamped(5, count: 3 * size), at: 0)
    async let two: Void = second.synchronize()
    await rig.settle()
    await rig.serve()
    try await one
    try await two
    let extents = try await second.extents()
    let left = await rig.disk { $0.durableImage }
    for extent in extents {
      let start = Int(extent.diskBlock) * size
      let expected = stamped(5, count: 3 * size)[
        Int(extent.fileBlock) * size..<(Int(extent.fileBlock) + extent.count) * size]
      try expect(
        Array(left[start..<start + extent.count * size]) == Array(expected),
        "fsync returned before its data was durable")
    }
  }

  /// A flush fails; whoever else has written since the last good one has to hear of it.
  private static func failedFlush(_ rig: VolumeRig) async throws {
    let first = try await rig.volume.open("a"), second = try await rig.volume.open("b", create: true)
    try await first.write([1], at: 0)
    try await second.write([2], at: 0)
    await rig.fail { $0.operation == .flush }
    let error = await errorOf { () async throws(Ext2Error) in try await first.synchronize() }
    await rig.serve()
    let other = await errorOf { () async throws(Ext2Error) in try await second.synchronize() }
    try expect(error != nil && other != nil, "an opener did not hear of a failed flush")
  }

  /// A reader beside an append inside one page sees the old end or the new bytes.
  private static func growth(_ rig: VolumeRig) async throws {
    let file = try await rig.volume.open("grows", create: true)
    for round in 0..<40 {
      let offset = UInt64(round * 20)
      async let written = file.append([UInt8](repeating: 0x7F, count: 20))
      for _ in 0..<8 {
        let found = try await file.read(at: offset, count: 20)
        try expect(found.allSatisfy { $0 == 0x7F }, "a reader saw a size without its bytes")
        await rig.pause(100)
      }
      _ = try await written
    }
  }

  /// What notices the mutant, or what is wrong without one.
  func firstFinding(
    switchedOff: SwitchedOffRules, seeds: Int, _ image: [UInt8], _ explorer: Explorer
  ) throws -> String? {
    for seed in UInt64(0)..<UInt64(seeds) {
      var findings: [String]
      if let script {
        let outcome = VolumeRig.run(
          image, seed: seed, options: options.with { $0.cache.switchedOff = switchedOff }, script)
        findings = outcome.failures
        if isJudged && findings.isEmpty {
          findings += [outcome.unmountError, try Images.check(outcome.image)].compactMap(\.self)
          if try Superblocks.decoded(outcome.image).state.contains(.error) { findings.append("corruption was found") }
        }
      } else {
        findings = explorer.run(Scenario(seed: seed, switchedOff: switchedOff)).findings
      }
      if let first = findings.first { return "seed \(seed) | \(first)" }
    }
    return nil
  }
}

@Suite("Mutants of the whole volume", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct WholeVolumeMutantTests {
  @Test(
    "a script or a seeded run notices when a rule is switched off, and is content with it on",
    arguments: VolumeMutant.all)
  func isKilled(_ mutant: VolumeMutant) throws {
    let image = try mutant.image(), explorer = try Explorer()
    let sound = try mutant.firstFinding(switchedOff: [], seeds: 24, image, explorer)
    #expect(sound == nil)
    let found = try leaving("what a volume without the rule holds, or waits for, for ever") {
      try mutant.firstFinding(switchedOff: mutant.rule, seeds: 128, image, explorer)
    }
    guard let finding = found else {
      Issue.record("no test notices \(mutant.name)")
      return
    }
    print("mutant | \(mutant.name) | \(finding.prefix(150))")
  }
}
