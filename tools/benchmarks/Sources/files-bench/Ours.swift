internal import BlockDevice
internal import Ext2
internal import Ext2Format
internal import Logging
internal import PageCache
internal import Reactor

func runOurs(_ image: String, _ work: String, _ count: Int) async throws {
  let reactor = ThreadReactor()
  let begun = reactor.now
  var options = VolumeOptions()
  options.cache.cacheByteCount = (work == "overwrite" ? 128 : 64) << 20
  options.cache.dirtyLimitByteCount = (work == "overwrite" ? 96 : 48) << 20
  options.cache.backgroundByteCount = (work == "overwrite" ? 96 : work == "create" ? 48 : 8) << 20
  // Lookups are to be cached: a million inodes of 256 bytes are 62,500 blocks.
  options.metadataSlotCount = work == "names" ? 131_072 : 16_384
  options.logger.logLevel = .critical
  let volume = try await Volume.mount(try FileDevice(path: image), on: reactor, options: options)
  if work == "mount" {
    print("mount", seconds(reactor, begun))
    try await volume.unmount()
    print("peak_kib", peakKibibytes())
    return
  }
  try await OurBench(volume, reactor).run(work, count)
  let counters = await volume.counters
  print("device_reads", counters.device.reads)
  try await volume.unmount()
  print("peak_kib", peakKibibytes())
  reactor.stop()
}

private func seconds(_ reactor: ThreadReactor, _ begun: Instant) -> Double {
  Double(reactor.now.nanoseconds(since: begun)) / 1e9
}

/// An actor on the volume's reactor: what it asks of the volume is a call, not a hop between executors.
private actor OurBench {
  let volume: Volume
  let reactor: ThreadReactor
  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }
  init(_ volume: Volume, _ reactor: ThreadReactor) {
    self.volume = volume
    self.reactor = reactor
  }

  func run(_ work: String, _ count: Int) async throws {
    // As tasks of the reactor do, suspensions stay on it.
    try await reactor.run {
      if isTimed(work) { try await self.warmUp() }
      switch work {
      case "write": try await self.write()
      case "read": try await self.read()
      case "overwrite": try await self.overwrite()
      case "create":
        try await self.create()
        try await self.unlink()
      case "names": try await self.names(count)
      default: try await self.robin()
      }
    }
  }

  private func measure(_ name: String, _ body: () async throws -> Void) async throws {
    let before = await volume.counters
    let begun = reactor.now
    try await body()
    print(name, seconds(reactor, begun))
    print("device_writes", await volume.counters.device.writes - before.device.writes)
  }

  private func warmUp() async throws {
    let file = try await volume.open("warm", create: true)
    let piece = [UInt8](repeating: 0, count: 1 << 20)
    for index in 0..<warmUpPieces { try await file.write(piece, at: UInt64(index) << 20) }
    try await file.synchronize()
    await file.close()
    try await volume.unlink("warm")
    try await volume.synchronize()
  }

  func write() async throws {
    let piece = [UInt8](repeating: 0xA5, count: 128 << 10)
    try await measure("write") {
      let file = try await volume.open("big", create: true)
      for index in 0..<2048 { try await file.write(piece, at: UInt64(index) << 17) }
      try await file.synchronize()
      await file.close()
    }
  }

  func read() async throws {
    try await measure("read") {
      let file = try await volume.open("big")
      var total = 0
      while true {
        let bytes = try await file.read(at: UInt64(total), count: 128 << 10)
        if bytes.isEmpty { break }
        total += bytes.count
      }
      precondition(total == 256 << 20, "the file of `write` is not there")
      await file.close()
    }
  }

  func overwrite() async throws {
    let file = try await volume.open("random", create: true)
    let piece = [UInt8](repeating: 0x5A, count: 1 << 20)
    for index in 0..<64 { try await file.write(piece, at: UInt64(index) << 20) }
    try await file.synchronize()
    let pages = overwrittenPages(), block = [UInt8](repeating: 0xC3, count: 4096)
    try await measure("overwrite") {
      for page in pages { try await file.write(block, at: UInt64(page) << 12) }
      try await file.synchronize()
    }
    print("runs", runCount(pages))
  }

  private func path(_ index: Int) -> String { "d\(index % 100)/f\(index)" }

  func create() async throws {
    let block = [UInt8](repeating: 0x3C, count: 4096)
    try await measure("create") {
      for index in 0..<100 { try await volume.makeDirectory("d\(index)") }
      for index in 0..<10_000 {
        let file = try await volume.open(path(index), create: true)
        try await file.write(block, at: 0)
        await file.close()
      }
      try await volume.synchronize()
    }
  }

  func unlink() async throws {
    try await measure("unlink") {
      for index in 0..<10_000 { try await volume.unlink(path(index)) }
      try await volume.synchronize()
    }
  }

  func names(_ count: Int) async throws {
    try await volume.makeDirectory("many")
    try await measure("make") {
      try await volume.makeNode("many/file-0", .regular)
      for index in 1..<count { try await volume.makeNode("many/file-\(index)", .regular) }
      try await volume.synchronize()
    }
    var random = SeededGenerator(seed: 7)
    let paths = (0..<100_000).map { _ in Array("many/file-\(random.below(count))".utf8) }
    for path in paths { _ = try await volume.status(of: path) }
    try await measure("lookup") { for path in paths { _ = try await volume.status(of: path) } }
  }

  func robin() async throws {
    let block = [UInt8](repeating: 0x11, count: 4096)
    var files: [File] = []
    for index in 0..<100 { files.append(try await volume.open("robin\(index)", create: true)) }
    for _ in 0..<256 { for file in files { try await file.append(block) } }
    try await volume.synchronize()
    var extents = 0
    for file in files {
      extents += try await file.extents().count
      await file.close()
    }
    print("extents", Double(extents) / 100)
  }
}
