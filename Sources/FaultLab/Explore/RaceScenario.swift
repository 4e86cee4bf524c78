// Writeback of a file against one change of it, on a disk that does what it should or not: small enough that all of its
// schedules can be run.
internal import BlockDevice
internal import Ext2
internal import PageCache
internal import Reactor
internal import Workload

/// What runs against writeback, and what the disk does with the first write of the file's data.
public struct RaceScenario: Sendable, CustomStringConvertible {
  /// The change.
  public enum Change: String, Sendable, CaseIterable {
    case truncate, punch, reallocate, rewrite, extend, unlink, evict, fsync
  }
  /// The disk.
  public enum Disk: String, Sendable, CaseIterable {
    /// Completes each request soon.
    case completes
    /// Fails the first write of data.
    case fails
    /// Keeps it until everybody has given up.
    case hangs
    /// Completes it after all others.
    case late
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
      let delay = Int(parts[2]), Self.delays.contains(delay)
    else { return nil }
    self.init(change: change, disk: disk, delay: delay)
  }

  private static let delays = [0, 3, 6]
  /// All of them.
  public static let all = Change.allCases.flatMap { change in
    Disk.allCases.flatMap { disk in delays.map { RaceScenario(change: change, disk: disk, delay: $0) } }
  }
}

/// The two tasks of a scenario, and what must be left of the files.
actor Race {
  nonisolated let reactor: SimulatedReactor
  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }
  private let scenario: RaceScenario
  private let volume: Volume
  private(set) var findings: [String] = []
  /// What each file has to contain in the end; nil: it is gone.
  private(set) var expected: [String: [UInt8]?] = [:]
  private var mainFile: File?
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

  /// A file of sixteen blocks, of which the first four and the last four are dirty.
  func prepare() async throws {
    let file = try await volume.open("f", create: true)
    var bytes = Self.content(16, generation: 1)
    try await file.write(bytes, at: 0)
    try await volume.synchronize()
    let fresh = Self.content(4, generation: 2)
    for start in [0, 12] {
      try await file.write(fresh, at: UInt64(start * Self.blockSize))
      bytes.replaceSubrange(start * Self.blockSize..<(start + 4) * Self.blockSize, with: fresh)
    }
    expected["f"] = bytes
    mainFile = file
  }

  func run() async {
    guard let file = mainFile else { return }
    await withTaskGroup(of: Void.self) { group in
      group.addTask(name: "writeback") { await self.synchronize(file) }
      group.addTask(name: "change") {
        do { try await self.change(file) } catch {
          await self.note("\(self.scenario.change.rawValue): \(error)")
        }
      }
    }
  }

  func note(_ text: String) { findings.append(text) }

  /// Room for the other task to go first, or a request to complete.
  private func pass(_ count: Int = 2) async { for _ in 0..<count { await reactor.pass() } }

  private func synchronize(_ file: File) async {
    await pass(1)
    do { try await file.synchronize() } catch Ext2Error.closed where scenario.change == .evict {
      // The other task was quicker.
    } catch {
      // The disk has not done what it should.
      if scenario.disk == .completes || scenario.disk == .late { note("fsync: \(error)") }
    }
  }

  private func change(_ file: File) async throws {
    let size = Self.blockSize
    func splice(_ start: Int, _ bytes: [UInt8]) {
      guard var all = expected["f"] ?? nil else { return }
      let end = start * size + bytes.count
      if all.count < end { all += [UInt8](repeating: 0, count: end - all.count) }
      all.replaceSubrange(start * size..<end, with: bytes)
      expected["f"] = all
    }
    let new = Self.content(3, generation: 3)
    await pass(1 + scenario.delay)
    switch scenario.change {
    case .truncate:
      try await file.truncate(to: UInt64(2 * size))
      expected["f"] = (expected["f"] ?? nil).map { Array($0.prefix(2 * size)) }
      await pass()
      try await file.write(new, at: UInt64(12 * size))
      splice(12, new)
    case .punch:
      try await file.punch(UInt64(size)..<UInt64(14 * size))
      splice(1, [UInt8](repeating: 0, count: 13 * size))
      await pass()
      try await file.write(new, at: UInt64(2 * size))
      splice(2, new)
    case .reallocate:
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
      await synchronize(file)
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
