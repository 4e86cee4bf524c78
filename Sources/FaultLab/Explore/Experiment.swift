// The tasks of a scenario: writers, truncators and punchers on the same files, growers that take what is freed, creation
// and removal, fsync, readers, freezes, and the volume's own background writeback, all at once.
internal import BlockDevice
internal import Ext2
internal import PageCache
internal import Reactor

actor Experiment {
  nonisolated let reactor: SimulatedReactor
  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }
  private let scenario: Scenario
  private let volume: Volume
  private var files: [ModelFile] = []
  private var generation: UInt64 = 0
  private(set) var findings: [String] = []

  init(_ scenario: Scenario, _ volume: Volume, _ reactor: SimulatedReactor) {
    self.scenario = scenario
    self.volume = volume
    self.reactor = reactor
  }

  private var blockSize: Int { scenario.blockSize }
  /// The largest offset of a write: far enough for a double indirect block where blocks are small.
  private var reach: Int { blockSize == 1024 ? 290 : 40 }

  func run() async {
    do {
      for name in ["a", "b", "c"] {
        files.append(ModelFile(name, try await volume.open(name, create: true), blockSize: blockSize, reactor))
      }
    } catch {
      findings.append("create: \(error)")
      return
    }
    await withTaskGroup(of: Void.self) { group in
      for file in 0..<2 {
        group.addTask(name: "writer \(file)") { await self.repeating { await self.write(file) } }
        group.addTask(name: "truncator \(file)") { await self.repeating { await self.truncate(file) } }
      }
      group.addTask(name: "grower") { await self.repeating { await self.grow(2) } }
      group.addTask(name: "syncer") { await self.repeating(3) { await self.synchronize() } }
      group.addTask(name: "reader") { await self.repeating(2) { await self.read() } }
      group.addTask(name: "churner") { await self.repeating(3) { await self.churn() } }
      if scenario.seed % 5 == 0 { group.addTask(name: "freezer") { await self.freeze() } }
    }
  }

  private func repeating(_ divisor: Int = 1, _ body: () async -> Void) async {
    for _ in 0..<max(1, scenario.operationCount / divisor) {
      await pause()
      await body()
    }
  }

  private func pause() async {
    if reactor.random.oneIn(3) {
      await reactor.pass()
    } else {
      await reactor.sleep(until: reactor.now.advanced(byNanoseconds: UInt64(reactor.random.below(60_000))))
    }
  }

  /// Bytes that no other write of this run has.
  private func content(_ count: Int, _ file: Int) -> [UInt8] {
    generation += 1
    let stamp = generation
    return (0..<count).map { UInt8(truncatingIfNeeded: stamp &* 7 &+ UInt64($0 / 16) &+ UInt64(file) &* 85) | 1 }
  }

  private func changing(_ index: Int, _ what: String, _ body: (ModelFile) async throws -> Void) async {
    let file = files[index]
    await file.lock.lock()
    defer { file.lock.unlock() }
    do { try await body(file) } catch Ext2Error.noSpace {} catch {
      findings.append("\(what) of \(file.name): \(error)")
    }
  }

  private func write(_ index: Int) async {
    let count =
      reactor.random.oneIn(2) ? blockSize * (1 + reactor.random.below(4)) : 1 + reactor.random.below(3 * blockSize)
    let bytes = content(count, index)
    await changing(index, "write") { file in
      switch reactor.random.below(4) {
      case 0:
        let end = file.expected.count
        guard end < (reach + 8) * blockSize else { return }
        let written = try await file.file.append(bytes)
        file.noteWrite(Array(bytes.prefix(written)), at: end)
      default:
        let limit = reactor.random.oneIn(8) ? reach * blockSize : max(1, min(file.expected.count, 16 * blockSize))
        var offset = reactor.random.below(limit)
        if reactor.random.oneIn(2) { offset -= offset % blockSize }
        let written = try await file.file.write(bytes, at: UInt64(offset))
        file.noteWrite(Array(bytes.prefix(written)), at: offset)
      }
    }
  }

  private func truncate(_ index: Int) async {
    await changing(index, "truncate") { file in
      let size = file.expected.count
      if reactor.random.oneIn(5), size > blockSize {
        let start = reactor.random.below(size)
        let range = start..<start + 1 + reactor.random.below(size)
        try await file.file.punch(UInt64(range.lowerBound)..<UInt64(range.upperBound))
        file.notePunch(range)
        return
      }
      var target = reactor.random.oneIn(4) ? size + reactor.random.below(4 * blockSize) : reactor.random.below(size + 1)
      if reactor.random.oneIn(3) { target -= target % blockSize }
      try await file.file.truncate(to: UInt64(target))
      file.noteTruncate(to: target)
    }
  }

  /// A file that grows, so that it takes blocks that others freed, and begins anew when it is long.
  private func grow(_ index: Int) async {
    let bytes = content(blockSize * (1 + reactor.random.below(3)), index)
    await changing(index, "append") { file in
      if file.expected.count > 24 * blockSize {
        try await file.file.truncate(to: 0)
        file.noteTruncate(to: 0)
      }
      let end = file.expected.count
      let written = try await file.file.append(bytes)
      file.noteWrite(Array(bytes.prefix(written)), at: end)
    }
  }

  private func synchronize() async {
    let file = files[reactor.random.below(files.count)]
    do {
      if reactor.random.oneIn(6) {
        try await volume.synchronize()
      } else if reactor.random.oneIn(2) {
        // With the model's lock the promise is exact.
        await file.lock.lock()
        defer { file.lock.unlock() }
        let contents = file.expected
        try await file.file.synchronize()
        file.notePromise(contents)
      } else {
        try await file.file.synchronizeData()
      }
    } catch { findings.append("fsync of \(file.name): \(error)") }
  }

  private func read() async {
    let file = files[reactor.random.below(files.count)]
    await file.lock.lock()
    defer { file.lock.unlock() }
    let offset = reactor.random.below(file.expected.count + 1)
    let count = 1 + reactor.random.below(6 * blockSize)
    do {
      let found = try await file.file.read(at: UInt64(offset), count: count)
      let expected = file.expected[offset..<min(file.expected.count, offset + count)]
      compare(file.name, found, Array(expected), at: offset, "read")
    } catch { findings.append("read of \(file.name): \(error)") }
  }

  /// Makes a file, writes it, removes it while it is dirty and still open, writes on, and lets go.
  private func churn() async {
    let name = "churn\(reactor.random.below(2))"
    do {
      let file = try await volume.open(name, create: true)
      try await file.write(content(blockSize * (1 + reactor.random.below(14)), 9), at: 0)
      if reactor.random.oneIn(2) { await pause() }
      try? await volume.unlink(name)
      if reactor.random.oneIn(2) { try await file.append(content(blockSize, 9)) }
      if reactor.random.oneIn(3) { try await file.synchronize() }
      await file.close()
    } catch Ext2Error.noSpace {
    } catch { findings.append("churn of \(name): \(error)") }
  }

  private func freeze() async {
    await pause()
    do {
      try await volume.freeze()
      await pause()
      try await volume.thaw()
    } catch { findings.append("freeze: \(error)") }
  }

  // MARK: Judging

  private func compare(_ name: String, _ found: [UInt8], _ expected: [UInt8], at offset: Int, _ when: String) {
    if found == expected { return }
    guard found.count == expected.count else {
      findings.append("\(when): \(name) has \(found.count) bytes from \(offset) on, expected \(expected.count)")
      return
    }
    if let index = found.indices.first(where: { found[$0] != expected[$0] }) {
      findings.append(
        "\(when): \(name) byte \(offset + index) (page \((offset + index) / blockSize)): expected \(expected[index]), found \(found[index])"
      )
    }
  }

  /// Every file must contain exactly what the model says, read from a volume.
  func compareAll(_ other: Volume, _ when: String) async {
    for file in files {
      do {
        let opened = try await other.open(file.name)
        let found = try await opened.read(at: 0, count: file.expected.count + blockSize)
        compare(file.name, found, file.expected, at: 0, when)
        await opened.close()
      } catch { findings.append("\(when): \(file.name): \(error)") }
    }
  }

  /// The promised bytes as they are now. Pages that may hold anything are left out: they count as the promise itself.
  private func readPromised(_ file: ModelFile, from opened: File) async throws -> [UInt8] {
    var found: [UInt8] = []
    while found.count < file.promised.count {
      let count = min(blockSize, file.promised.count - found.count)
      if file.isExposed(page: found.count / blockSize) {
        found += file.promised[found.count..<found.count + count]
      } else {
        let page = try await opened.read(at: UInt64(found.count), count: count)
        found += page
        if page.count < count { break }
      }
    }
    return found
  }

  /// Every file must contain what its last fsync promised, read from what a cut left.
  func checkPromises(_ other: Volume) async {
    for file in files where file.isPromised && (scenario.options.frees == .ordered || !file.hasLostBlocks) {
      do {
        let opened = try await other.open(file.name)
        // What lies behind the promised bytes may hang on pointer blocks that were never written.
        let found = try await readPromised(file, from: opened)
        if let index = file.brokenPromise(found) {
          findings.append(
            "after a cut: \(file.name) byte \(index) (page \(index / blockSize)): fsync promised \(file.promised[index]), found \(index < found.count ? "\(found[index])" : "the end of the file")"
          )
        }
        await opened.close()
      } catch Ext2Error.notFound {
        // The directory was not made durable.
      } catch { findings.append("after a cut: \(file.name): \(error)") }
    }
  }
}
