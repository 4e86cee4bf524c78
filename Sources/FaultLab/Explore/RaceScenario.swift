// Writeback of a file, or a reader, against one change of it, on a disk that does what it should or not: small enough that all of its
// schedules can be run.
internal import BlockDevice
internal import Ext2
internal import PageCache
internal import Reactor
internal import Workload

/// What runs against writeback or a reader, and what the disk does with the first write, or read, of the file's data, or
/// with flushes.
public struct RaceScenario: Sendable, CustomStringConvertible {
  /// The change.
  public enum Change: String, Sendable, CaseIterable {
    case truncate, punch, reallocate, rewrite, extend, unlink, evict, fsync
    /// As `reallocate`, and the device is told of freed blocks.
    case discard
    /// Another file is written and synced, so that both may share a flush; or the whole volume is.
    case syncOther = "sync-other"
    case syncAll = "sync-all"
    // Against a reader of a file of which nothing is in memory.
    case readTruncate = "read-truncate"
    case readReallocate = "read-reallocate"
    case readRewrite = "read-rewrite"
    case readExtend = "read-extend"
    /// A hole is filled.
    case readFill = "read-fill"

    var isRead: Bool { rawValue.hasPrefix("read-") }
    /// Whether both tasks wait for what they write.
    var isSync: Bool { self == .fsync || self == .syncOther || self == .syncAll }
  }
  /// The disk.
  public enum Disk: String, Sendable, CaseIterable {
    /// Completes each request soon.
    case completes
    /// Fails the first write of data.
    case fails
    /// Keeps it until everybody has given up.
    case hangs
    /// Completes it after all others, with the bytes that it had when it was started.
    case late
    /// Fails each write.
    case broken
    /// Fails the first flush.
    case flushFails = "flush-fails"
    /// Completes the first flush after all other requests.
    case flushLate = "flush-late"

    /// Whether it does all that it is told to, sooner or later.
    var isSound: Bool { self == .completes || self == .late || self == .flushLate }
    /// Whether it makes a difference only to those who wait for what they write.
    fileprivate var isForSync: Bool { self == .broken || self == .flushFails || self == .flushLate }
  }
  public let change: Change
  public let disk: Disk
  /// Turns that the change waits first, in the straight schedule.
  public let delay: Int
  public var description: String { "\(change.rawValue)/\(disk.rawValue)/\(delay)" }

  public init(change: Change, disk: Disk, delay: Int) {
    self.change = change
    self.disk = disk
    self.delay = delay
  }

  /// The scenario that a description names.
  public init?(_ description: String) {
    let parts = description.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 3, let change = Change(rawValue: parts[0]), let disk = Disk(rawValue: parts[1]),
      let delay = Int(parts[2])
    else { return nil }
    self.init(change: change, disk: disk, delay: delay)
    if !Self.delays.contains(delay) || !isPossible { return nil }
  }

  private var isPossible: Bool { change.isSync || !disk.isForSync }

  private static let delays = [0, 3, 6]
  /// All of them.
  public static let all = Change.allCases.flatMap { change in
    Disk.allCases.flatMap { disk in delays.map { RaceScenario(change: change, disk: disk, delay: $0) } }
  }.filter(\.isPossible)
}

/// The two tasks of a scenario, and what must be left of the files.
actor Race {
  nonisolated let reactor: SimulatedReactor
  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }
  private let scenario: RaceScenario
  private var volume: Volume
  private(set) var findings: [String] = []
  /// How often a file's sync has failed.
  private var failures: [String: Int] = [:]
  /// What each file has to contain in the end; nil: it is gone.
  private(set) var expected: [String: [UInt8]?] = [:]
  /// The main file as it is to be after the write that runs.
  private var pending: [UInt8] = []
  private var mainFile: File?
  private var otherFile: File?
  static let blockSize = 1024

  init(_ scenario: RaceScenario, _ volume: Volume, _ reactor: SimulatedReactor) {
    self.scenario = scenario
    self.volume = volume
    self.reactor = reactor
  }

  /// Bytes that no other write has.
  private static func content(_ blocks: Int, generation: UInt32) -> [UInt8] {
    ContentStamp(seed: 1).bytes(blocks * blockSize, at: 0, file: 1, generation: generation)
  }

  /// A file of sixteen blocks, of which the first four and the last four are dirty. For a reader they are on the disk, two
  /// are a hole, half of the last one is past the end, and the blocks that are free have had other bytes.
  func prepare() async throws {
    if scenario.change.isRead {
      let junk = try await volume.open("junk", create: true)
      try await junk.write(Self.content(64, generation: 9), at: 0)
      try await volume.synchronize()
      await junk.close()
      try await volume.unlink("junk")
      try await volume.synchronize()
    }
    let file = try await volume.open("f", create: true)
    var bytes = Self.content(16, generation: 1)
    try await file.write(bytes, at: 0)
    try await volume.synchronize()
    let fresh = Self.content(4, generation: 2)
    for start in [0, 12] {
      try await file.write(fresh, at: UInt64(start * Self.blockSize))
      bytes.replaceSubrange(start * Self.blockSize..<(start + 4) * Self.blockSize, with: fresh)
    }
    if scenario.change.isRead {
      try await file.punch(UInt64(6 * Self.blockSize)..<UInt64(8 * Self.blockSize))
      bytes.replaceSubrange(
        6 * Self.blockSize..<8 * Self.blockSize, with: [UInt8](repeating: 0, count: 2 * Self.blockSize))
      bytes.removeLast(Self.blockSize / 2)
      try await file.truncate(to: UInt64(bytes.count))
      try await volume.synchronize()
    }
    expected["f"] = bytes
    mainFile = file
    if scenario.change == .syncOther || scenario.change == .syncAll {
      otherFile = try await volume.open("g", create: true)
    }
  }

  /// Goes on with another mount of what `prepare` has left, so that nothing is in memory.
  func remount(_ other: Volume) async throws {
    volume = other
    mainFile = try await other.open("f")
  }

  func run() async {
    guard let file = mainFile else { return }
    await withTaskGroup(of: Void.self) { group in
      if scenario.change.isRead {
        group.addTask(name: "reader") { await self.read(file) }
      } else {
        group.addTask(name: "writeback") { await self.synchronizeFile(file) }
      }
      group.addTask(name: "change") {
        do { try await self.change(file) } catch  where self.mayFail {
          // The page that it needs could not be read.
        } catch {
          await self.note("\(self.scenario.change.rawValue): \(error)")
        }
      }
    }
  }

  func note(_ text: String) { findings.append(text) }

  /// Whether the disk does not what it should to a read that the change may wait for.
  private nonisolated var mayFail: Bool {
    scenario.change.isRead && (scenario.disk == .fails || scenario.disk == .hangs)
  }

  /// Reads the file, and finds in each block what was there or what is written now, up to one end or the other.
  private func read(_ file: File) async {
    await pass(1)
    guard let old = expected["f"] ?? nil else { return }
    for round in 0..<6 {
      // From the second time on everything is in memory.
      if round > 1 { await reactor.sleep(until: reactor.now.advanced(byNanoseconds: 10_000)) }
      guard let found = try? await file.read(at: 0, count: 20 * Self.blockSize) else { return }
      let new = (expected["f"] ?? nil) ?? []
      for start in stride(from: 0, to: found.count, by: Self.blockSize) {
        let end = min(found.count, start + Self.blockSize), bytes = found[start..<end]
        func has(_ file: [UInt8]) -> Bool { file.count >= end && file[start..<end] == bytes }
        if !has(old) && !has(new) && !has(pending) && !bytes.allSatisfy({ $0 == 0 }) {
          note("a reader got bytes in block \(start / Self.blockSize) that nobody has written there")
        }
        if scenario.change == .readExtend && end > old.count && !has(new) && !has(pending) {
          note("a reader got a size without its bytes")
        }
      }
    }
  }

  /// What was just synced is on the medium.
  private func expectDurable(_ file: File, _ blocks: Range<Int>, _ bytes: [UInt8]) async throws {
    let left = await volume.withDevice { ($0 as? SimulatedDevice)?.durableImage ?? [] }
    for extent in try await file.extents() {
      for step in 0..<extent.count where blocks.contains(Int(extent.fileBlock) + step) {
        let index = Int(extent.fileBlock) + step - blocks.lowerBound, size = Self.blockSize
        let start = (Int(extent.diskBlock) + step) * size
        if left[start..<start + size] != bytes[index * size..<(index + 1) * size] {
          note("fsync has ended, and block \(index + blocks.lowerBound) is not durable")
        }
      }
    }
  }

  /// Room for the other task to go first, or a request to complete.
  private func pass(_ count: Int = 2) async { for _ in 0..<count { await reactor.pass() } }

  /// Returns whether it has ended well.
  @discardableResult private func synchronize(_ name: String, _ sync: () async throws -> Void) async -> Bool {
    await pass(1)
    do {
      try await sync()
      return true
    } catch Ext2Error.closed where scenario.change == .evict {
      // The other task was quicker.
    } catch {
      failures[name, default: 0] += 1
      if scenario.disk.isSound { note("fsync: \(error)") }
    }
    return false
  }

  @discardableResult private func synchronizeFile(_ file: File) async -> Bool {
    await synchronize("f") { try await file.synchronize() }
  }

  /// Whoever had a file open when what he wrote was not made durable has been told, or is now, and then no more.
  func checkTold() async {
    guard scenario.disk == .broken || scenario.disk == .flushFails else { return }
    for (name, file) in [("f", mainFile), ("g", otherFile)] {
      guard let file else { continue }
      do { try await file.synchronize() } catch { failures[name, default: 0] += 1 }
      if failures[name] == nil { note("nobody who had \(name) open was told that the disk has failed") }
      do { try await file.synchronize() } catch { note("\(name): told again: \(error)") }
    }
  }

  private func change(_ file: File) async throws {
    let size = Self.blockSize
    /// The file as it is after a write at a byte.
    func spliced(_ start: Int, _ bytes: [UInt8]) -> [UInt8]? {
      guard var all = expected["f"] ?? nil else { return nil }
      all += [UInt8](repeating: 0, count: max(0, start + bytes.count - all.count))
      all.replaceSubrange(start..<start + bytes.count, with: bytes)
      return all
    }
    func splice(_ block: Int, _ bytes: [UInt8]) {
      if let all = spliced(block * size, bytes) { expected["f"] = all }
    }
    /// Writes at a byte of which a reader may see less at first.
    func rewrite(_ start: Int, _ bytes: [UInt8]) async throws {
      pending = spliced(start, bytes) ?? []
      try await file.write(bytes, at: UInt64(start))
      expected["f"] = pending
    }
    let new = Self.content(3, generation: 3)
    await pass(1 + scenario.delay)
    switch scenario.change {
    case .readRewrite:
      // Half of a page: the rest has to be read first.
      try await rewrite(size, Array(new.prefix(size / 2)))
    case .readFill:
      try await rewrite(5 * size, new)
    case .readExtend:
      // The rest of the last page, and more.
      try await rewrite(15 * size + size / 2, new)
    case .syncOther, .syncAll:
      guard let otherFile else { return }
      try await otherFile.write(new, at: 0)
      expected["g"] = new
      let isAll = scenario.change == .syncAll
      let isDone = await synchronize(isAll ? "volume" : "g") {
        if isAll { try await volume.synchronize() } else { try await otherFile.synchronize() }
      }
      if isDone { try await expectDurable(otherFile, 0..<3, new) }
    case .truncate, .readTruncate:
      try await file.truncate(to: UInt64(2 * size))
      expected["f"] = (expected["f"] ?? nil).map { Array($0.prefix(2 * size)) }
      await pass()
      // The new page begins with zeroes.
      try await rewrite(12 * size + size / 2, new)
    case .punch:
      try await file.punch(UInt64(size)..<UInt64(14 * size))
      splice(1, [UInt8](repeating: 0, count: 13 * size))
      await pass()
      try await file.write(new, at: UInt64(2 * size))
      splice(2, new)
    case .reallocate, .readReallocate, .discard:
      try await file.truncate(to: UInt64(size))
      expected["f"] = (expected["f"] ?? nil).map { Array($0.prefix(size)) }
      await pass()
      try await writeOther()
    case .rewrite:
      try await file.write(new, at: UInt64(size))
      splice(1, new)
      await pass()
      try await file.write(new, at: UInt64(13 * size))
      splice(13, new)
    case .extend:
      try await file.append(new)
      splice(16, new)
    case .unlink:
      try await volume.unlink("f")
      expected["f"] = .some(nil)
      await pass()
      try await file.write(new, at: 0)
    case .evict:
      try await volume.unlink("f")
      expected["f"] = .some(nil)
      await file.close()
      await pass()
      try await writeOther()
    case .fsync:
      try await file.write(new, at: UInt64(size))
      splice(1, new)
      if await synchronizeFile(file) { try await expectDurable(file, 1..<4, new) }
    }
  }

  /// A file that takes the blocks that were freed.
  private func writeOther() async throws {
    let file = try await volume.open("g", create: true)
    let bytes = Self.content(16, generation: 4)
    try await file.write(bytes, at: 0)
    expected["g"] = bytes
    await file.close()
  }

  /// Every file has to contain what was written, and the removed ones to be gone.
  func compare(_ other: Volume, _ when: String) async {
    for name in expected.keys.sorted() {
      let bytes = expected[name] ?? nil
      do {
        let file = try await other.open(name)
        let found = try await file.read(at: 0, count: 64 * Self.blockSize)
        await file.close()
        guard let bytes else {
          note("\(when): \(name) is still there")
          continue
        }
        if found.count != bytes.count {
          note("\(when): \(name) has \(found.count) bytes, should have \(bytes.count)")
        } else if let index = found.indices.first(where: { found[$0] != bytes[$0] }) {
          note("\(when): \(name) block \(index / Self.blockSize) is not what was written")
        }
      } catch Ext2Error.notFound where bytes == nil {
      } catch { note("\(when): \(name): \(error)") }
    }
  }
}
