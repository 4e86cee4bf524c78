internal import BlockDevice
package import PageCache
package import Reactor
internal import SystemPackage

/// A seeded run: writers, appenders, truncators, punchers, fsync, readers and background writeback over a few small
/// files, all at once. The seed also draws the volume's options, because no single setting finds every race.
package struct ToyStorm: Sendable {
  /// What everything is drawn from.
  package let seed: UInt64
  /// The volume's options.
  package let options: ToyOptions
  /// Whether requests fail, and some are late.
  package let hasFaults: Bool
  private let operationCount: Int

  /// The storm of a seed. Without a policy the seed draws one too.
  package init(seed: UInt64, policy: WritebackPolicyName? = nil, switchedOff: SwitchedOffRules = []) {
    self.seed = seed
    var random = SeededGenerator(seed: seed).split(1)
    func draw<T>(_ values: T...) -> T { values[random.below(values.count)] }
    var options = ToyOptions()
    options.allocator = draw(.firstFit, .nextFit, .nextFit, .contiguous)
    let drawn = draw(WritebackPolicyName.cookie, .cookie, .cookie, .admitFirst, .perPage)
    options.policy = (policy ?? drawn).policy
    options.blockCount = draw(20, 28, 40)
    options.fileCount = draw(2, 3)
    options.leafPageCount = draw(2, 4, 8)
    options.batchPageLimit = draw(2, 4, 16)
    options.tagCount = draw(1, 1, 2, 4)
    options.placeCount = draw(4, 6, 16)
    options.order = draw(.ascending, .arrival)
    options.cachePageCount = draw(16, 20, 40)
    options.dirtyPageLimit = draw(8, 12)
    options.backgroundPageCount = draw(0, 1, 4)
    options.lookUpReadsOneIn = draw(0, 2, 4)
    options.lookUpMissesOneIn = draw(0, 3)
    options.discardsFreedBlocks = draw(true, false, false)
    hasFaults = draw(true, false, false, false)
    if hasFaults { options.timeoutNanoseconds = draw(nil, nil, 2_500_000) }
    options.switchedOff = switchedOff
    self.options = options
    operationCount = draw(6, 10, 14)
  }

  /// Runs it. Returns what is wrong, and the run's trace.
  package func run() -> (failures: [String], trace: UInt64) {
    let hasFaults = hasFaults, operationCount = operationCount
    return simulateTraced(options, seed: seed) { volume in
      await volume.storm(operationCount: operationCount, hasFaults: hasFaults)
    }
  }

  /// Runs it on any reactor, on a disk in memory and without faults, deadlines or an oracle: the bytes alone are compared.
  package func run(on reactor: Reactor) async throws -> [String] {
    let operationCount = operationCount, seed = seed
    var timeless = options
    // On a real clock a deadline would make the outcome depend on the machine.
    timeless.timeoutNanoseconds = nil
    let options = timeless
    return try await reactor.run {
      let volume = try ToyVolume(inMemory: reactor, options, seed: seed)
      return await volume.run { await $0.storm(operationCount: operationCount, hasFaults: false) }
    }
  }

  /// What tasks of the storm do.
  enum Role: CaseIterable { case writer, appender, rewriter, truncator, puncher, syncer, reader }
}

/// Draws faults for requests.
private final class ToyFaults {
  private var random: SeededGenerator
  init(_ random: SeededGenerator) { self.random = random }
  func treatment(_ request: Request) -> SimulatedDevice.Treatment {
    switch random.below(24) {
    case 0, 1: .fail(.ioError)
    case 2: request.operation == .read || request.operation == .write ? .short(512 * random.below(3)) : .proceed
    case 3: .delay(UInt64(random.below(5_000_000)))
    default: .proceed
    }
  }
}

extension ToyVolume {
  fileprivate func storm(operationCount: Int, hasFaults: Bool) async {
    if hasFaults, let disk {
      let faults = ToyFaults(random.split(99))
      disk.script = { faults.treatment($0) }
    }
    await withTaskGroup(of: Void.self) { group in
      for role in ToyStorm.Role.allCases + [.syncer] {
        group.addTask { await self.work(as: role, operationCount, hasFaults) }
      }
    }
  }

  private func work(as role: ToyStorm.Role, _ operationCount: Int, _ hasFaults: Bool) async {
    let handles = files.indices.map { open($0) }
    for _ in 0..<operationCount {
      do { try await operate(role, handles) } catch {
        if !isExpected(error, hasFaults) { fail("\(role): \(error)") }
      }
      if random.oneIn(2) { await pause(UInt64(random.below(200_000))) } else { await reactor.pass() }
    }
  }

  private func isExpected(_ error: any Error, _ hasFaults: Bool) -> Bool {
    if let error = error as? ToyError { return error == .noSpace }
    guard hasFaults, let error = error as? PageCacheError else { return false }
    switch error {
    case .device, .stuck: return true
    case .mapping, .unmapped: return false
    }
  }

  private func operate(_ role: ToyStorm.Role, _ handles: [Int]) async throws {
    let size = options.pageByteCount
    let file = random.below(files.count)
    let length = files[file].byteCount
    switch role {
    case .writer: try await write(file, at: random.below(10 * size), count: 1 + random.below(3 * size))
    case .appender:
      if length < 12 * size { try await append(file, count: 1 + random.below(2 * size)) }
    case .rewriter:
      // Whole pages at the end of the file get new blocks, often without a suspension in between.
      let start = max(0, length / size - random.below(4)) * size
      if random.oneIn(2) { try await truncate(file, to: start) }
      try await write(file, at: start, count: (1 + random.below(3)) * size)
    case .truncator:
      if random.oneIn(4) {
        try await truncate(file, to: length + random.below(2 * size))
      } else {
        try await truncate(
          file, to: random.oneIn(2) ? random.below(length + 1) : random.below(length / size + 1) * size)
      }
    case .puncher:
      let start = random.below(length + 1)
      try await punch(file, start..<start + 1 + random.below(4 * size))
    case .syncer: try await fsync(handles[file])
    case .reader:
      try await read(file, at: random.below(length + 1), count: 1 + random.below(4 * size), ahead: random.below(4))
    }
  }
}
