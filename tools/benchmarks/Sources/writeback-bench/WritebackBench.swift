// Our side of tools/bench writeback: a file of a mounted volume, written and synced.
//
//     writeback-bench sequential IMAGE MIBS            MIBS MiB in pieces of 1 MiB, then fsync
//     writeback-bench scattered IMAGE                  16,384 random 4 KiB overwrites of a file of 64 MiB, then fsync
//     writeback-bench bounded IMAGE CACHE_MIB          a file of ten times the cache
//     writeback-bench price IMAGE BATCHES cookie|none real|simulated
//                                                      so many one-page batches on a memory device
//
// Prints `name value` lines.
internal import BlockDevice
internal import Dispatch
internal import Ext2
internal import Glibc
internal import PageCache
internal import Reactor

@main
enum WritebackBench {
  /// Not an async `main`, which gives up the process's first thread: valgrind does not survive that.
  static func main() {
    let ended = DispatchSemaphore(value: 0)
    Task.detached {
      do { try await run(CommandLine.arguments) } catch {
        print("writeback-bench: \(error)")
        exit(1)
      }
      ended.signal()
    }
    ended.wait()
  }

  private static func run(_ words: [String]) async throws {
    switch words.count > 2 ? words[1] : "" {
    case "sequential" where words.count == 4: try await sequential(words[2], mebibytes: Int(words[3]) ?? 256)
    case "scattered": try await scattered(words[2])
    case "bounded" where words.count == 4: try await bounded(words[2], cacheMebibytes: Int(words[3]) ?? 32)
    case "price" where words.count == 6:
      try await price(
        words[2], batches: Int(words[3]) ?? 10_000, comparing: words[4] == "cookie", isSimulated: words[5] == "simulated")
    default:
      print(
        "usage: writeback-bench sequential IMAGE MIBS | scattered IMAGE | bounded IMAGE CACHE_MIB | price IMAGE BATCHES cookie|none real|simulated"
      )
      exit(2)
    }
  }
}

/// A volume on an image file, through libaio and O_DIRECT.
func mount(_ path: String, on reactor: Reactor, _ change: (inout VolumeOptions) -> Void) async throws -> Volume {
  var options = VolumeOptions()
  change(&options)
  return try await Volume.mount(FileDevice(path: path), on: reactor, options: options)
}

func cpuSeconds() -> Double {
  var usage = rusage()
  // 0 is RUSAGE_SELF.
  unsafe getrusage(.init(0), &usage)
  return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
    + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
}

/// The process's high-water mark in KiB.
func peakKibibytes() -> Int {
  var usage = rusage()
  unsafe getrusage(.init(0), &usage)
  return usage.ru_maxrss
}

func show(_ counters: VolumeCounters, since before: VolumeCounters = VolumeCounters()) {
  print("device_writes", counters.device.writes - before.device.writes)
  print("flushes", counters.device.flushes - before.device.flushes)
  print("batches", counters.writeback.batches - before.writeback.batches)
  print("lookups", counters.writeback.lookups - before.writeback.lookups)
  print("stale", counters.writeback.staleBatches - before.writeback.staleBatches)
}

private func sequential(_ path: String, mebibytes: Int) async throws {
  let reactor = ThreadReactor()
  let volume = try await mount(path, on: reactor) { options in
    options.cache.cacheByteCount = 16 << 20
    options.cache.dirtyLimitByteCount = 12 << 20
    options.cache.backgroundByteCount = 2 << 20
    options.queue.tagCount = 8
  }
  let file = try await volume.open("bench", create: true)
  let piece = [UInt8](repeating: 0xA5, count: 1 << 20)
  let before = await volume.counters
  let cpu = cpuSeconds(), start = reactor.now
  try await reactor.run {
    for index in 0..<mebibytes { try await file.write(piece, at: UInt64(index) << 20) }
    try await file.synchronize()
  }
  let nanoseconds = reactor.now.nanoseconds(since: start)
  print("mib_per_second", Double(mebibytes) * 1e9 / Double(nanoseconds))
  print("cpu_us_per_block", (cpuSeconds() - cpu) * 1e6 / Double(mebibytes * 256))
  show(await volume.counters, since: before)
  try await volume.unmount()
  reactor.stop()
}

private func scattered(_ path: String) async throws {
  let reactor = ThreadReactor()
  let size = 64 << 20, block = 4096
  let volume = try await mount(path, on: reactor) { options in
    options.cache.cacheByteCount = 192 << 20
    options.cache.dirtyLimitByteCount = 128 << 20
    options.cache.backgroundByteCount = 96 << 20
  }
  let file = try await volume.open("bench", create: true)
  let piece = [UInt8](repeating: 0x5A, count: 1 << 20)
  for index in 0..<size >> 20 { try await file.write(piece, at: UInt64(index) << 20) }
  try await volume.synchronize()
  var random = SeededGenerator(seed: 1)
  var isDirty = [Bool](repeating: false, count: size / block)
  let page = [UInt8](repeating: 0xC3, count: block)
  let before = await volume.counters
  let start = reactor.now
  for _ in 0..<16_384 {
    let index = random.below(isDirty.count)
    isDirty[index] = true
    try await file.write(page, at: UInt64(index * block))
  }
  try await file.synchronize()
  print("milliseconds", Double(reactor.now.nanoseconds(since: start)) / 1e6)
  print("dirty_blocks", isDirty.count(where: \.self))
  print("dirty_runs", try await runs(of: isDirty, in: file, block))
  show(await volume.counters, since: before)
  try await volume.unmount()
  reactor.stop()
}

/// Runs of dirty blocks that are contiguous in the file and on the disk.
private func runs(of isDirty: [Bool], in file: File, _ block: Int) async throws -> Int {
  var positions = [UInt64?](repeating: nil, count: isDirty.count)
  for extent in try await file.extents() {
    for step in 0..<extent.count where Int(extent.fileBlock) + step < positions.count {
      positions[Int(extent.fileBlock) + step] = UInt64(extent.diskBlock) + UInt64(step)
    }
  }
  var count = 0
  for index in isDirty.indices where isDirty[index] {
    guard index > 0, isDirty[index - 1], let here = positions[index], let previous = positions[index - 1],
      here == previous + 1
    else {
      count += 1
      continue
    }
  }
  return count
}

private func bounded(_ path: String, cacheMebibytes: Int) async throws {
  let reactor = ThreadReactor()
  let volume = try await mount(path, on: reactor) { $0.cache.cacheByteCount = cacheMebibytes << 20 }
  let file = try await volume.open("bench", create: true)
  let piece = [UInt8](repeating: 0x3C, count: 1 << 20)
  for index in 0..<10 * cacheMebibytes { try await file.write(piece, at: UInt64(index) << 20) }
  try await file.synchronize()
  try await volume.unmount()
  reactor.stop()
  print("cache_mib", cacheMebibytes)
  print("peak_mib", Double(peakKibibytes()) / 1024)
}

/// Many batches of one page, with the comparison of the cookie and without, on a device that costs a copy. On the simulated
/// reactor every run takes the same steps: there a difference in instructions is the comparison's own.
private func price(_ path: String, batches: Int, comparing: Bool, isSimulated: Bool) async throws {
  let image = try readImage(path)
  if isSimulated {
    try simulate { reactor in try await writeSinglePages(image, batches, comparing, on: reactor) }
  } else {
    let reactor = ThreadReactor()
    try await writeSinglePages(image, batches, comparing, on: reactor)
    reactor.stop()
  }
}

private func simulate(_ body: @escaping @Sendable (Reactor) async throws -> Void) throws {
  let reactor = SimulatedReactor(seed: 0, policy: .uniform)
  try reactor.run { try await body(reactor) }
}

private func writeSinglePages(_ image: [UInt8], _ batches: Int, _ comparing: Bool, on reactor: Reactor) async throws {
  var options = VolumeOptions()
  options.cache.ignoresCookie = !comparing
  options.queue.timeoutNanoseconds = nil
  let volume = try await Volume.mount(MemoryDevice(image: image), on: reactor, options: options)
  let file = try await volume.open("bench", create: true)
  let page = [UInt8](repeating: 1, count: 4096)
  let start = reactor.now
  try await reactor.run {
    for index in 0..<batches {
      try await file.write(page, at: UInt64(index % 64 * 2 * 4096))
      if index % 64 == 63 { try await file.synchronize() }
    }
    try await file.synchronize()
  }
  print("ns_per_batch", Double(reactor.now.nanoseconds(since: start)) / Double(batches))
  show(await volume.counters)
  try await volume.unmount()
}

private func readImage(_ path: String) throws -> [UInt8] {
  guard let file = unsafe fopen(path, "r") else { throw DeviceError.closed }
  defer { unsafe fclose(file) }
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 1 << 20)
  while true {
    let count = unsafe fread(&chunk, 1, chunk.count, file)
    if count == 0 { return bytes }
    bytes += chunk[..<count]
  }
}
