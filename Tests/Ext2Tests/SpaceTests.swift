import BlockDevice
import Ext2
import Ext2Format
import Ext2Tools
import PageCache
import Support
import Testing

@Suite("Space", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct SpaceTests {
  @Test(
    "a full volume says so to the writer, loses nothing that was acknowledged, and has its space back after a truncate",
    arguments: blockSizes, FreesName.allCases)
  func full(blockSize: Int, frees: FreesName) throws {
    let options = VolumeOptions.quiet.with {
      $0.frees = frees
      $0.cache.cacheByteCount = 48 * blockSize
    }
    let image = try Images.empty(blockSize: blockSize, blockCount: blockSize == 1024 ? 512 : 256)
    try script(image, options, seeds: 0..<4) { rig in
      let before = await rig.volume.statistics
      let first = try await rig.volume.open("a", create: true), second = try await rig.volume.open("b", create: true)
      async let one = Self.fill(first, 1, blockSize), two = Self.fill(second, 2, blockSize)
      let counts = await [one, two]
      #expect(await rig.volume.statistics.freeBlockCount <= 1)
      try await rig.volume.synchronize()
      for (file, stamp, count) in [(first, UInt8(1), counts[0]), (second, 2, counts[1])] {
        #expect(try await file.status().byteCount == UInt64(count))
        #expect(try await Self.holds(file, stamp, count, blockSize))
      }
      // The blocks of one become the other's, without a sync in between.
      try await first.truncate(to: 0)
      let more = await Self.fill(second, 2, blockSize)
      #expect(more > counts[0] / 2)
      #expect(try await Self.holds(second, 2, counts[1] + more, blockSize))
      try await rig.volume.unlink("b")
      await second.close()
      try await rig.until("the space is back") {
        try? await rig.volume.synchronize()
        return await rig.volume.statistics.freeBlockCount == before.freeBlockCount
      }
      #expect(await Self.fill(first, 3, blockSize) > 100 * blockSize)
    }
  }

  /// Appends until nothing more is taken. Returns how many bytes were.
  private static func fill(_ file: File, _ stamp: UInt8, _ blockSize: Int) async -> Int {
    let piece = stamped(stamp, count: 5 * blockSize)
    var total = 0
    while let count = try? await file.append(piece) { total += count }
    return total
  }

  /// Whether a file that was filled so has what was acknowledged. Short appends are where two files met the end.
  private static func holds(_ file: File, _ stamp: UInt8, _ count: Int, _ blockSize: Int) async throws -> Bool {
    let found = try await file.read(at: 0, count: count + 1)
    guard found.count == count else { return false }
    let piece = stamped(stamp, count: 5 * blockSize)
    var offset = 0
    while offset < count {
      // The next piece begins where this one ended: after all of it, or after fewer blocks.
      let blocks = (1...5).reversed().first { blocks in
        let end = offset + blocks * blockSize
        return end <= count && found[offset..<end] == piece[..<(blocks * blockSize)]
      }
      guard let blocks else { return false }
      offset += blocks * blockSize
    }
    return true
  }

  @Test("files that grow side by side come out in few pieces", arguments: AllocationPolicyName.allCases)
  func contiguous(allocation: AllocationPolicyName) throws {
    let image = try Images.make(blockSize: 1024, byteCount: 8 << 20)
    try script(image, .quiet.with { $0.allocation = allocation }, seeds: 0..<2) { rig in
      var files: [File] = []
      for name in ["a", "b", "c", "d"] { files.append(try await rig.volume.open(name, create: true)) }
      for _ in 0..<250 { for file in files { try await file.append(stamped(1, count: 3 * 1024)) } }
      for file in files {
        let extents = try await file.extents()
        #expect(extents.reduce(0) { $0 + $1.count } == 750)
        #expect(extents.count <= 24, "750 blocks in \(extents.count) pieces")
      }
    }
  }

  @Test("a piece of a write may get one block from each of very many groups")
  func oneBlockInEachGroup() throws {
    let image = try Images.make(
      blockSize: 1024, byteCount: 16 << 20, options: ["-g", "256", "-N", "1024", "-m", "0"])
    try script(image, .quiet.with { $0.metadataSlotCount = 48 }, seeds: 0..<2) { rig in
      let big = try await rig.volume.open("big", create: true), file = try await rig.volume.open("a", create: true)
      var total = 0
      while let count = try? await big.append(stamped(1, count: 200 * 1024)) { total += count }
      try await rig.volume.synchronize()
      var punched: Set<UInt64> = []
      for extent in try await big.extents() {
        for step in 0..<extent.count where punched.insert((extent.diskBlock + UInt64(step) - 1) / 256).inserted {
          let block = extent.fileBlock + UInt64(step)
          try await big.punch(block * 1024..<(block + 1) * 1024)
        }
      }
      #expect(punched.count > 50)
      let wanted = punched.count - 4
      #expect(try await file.write(stamped(2, count: wanted * 1024), at: 0) == wanted * 1024)
      try await rig.volume.synchronize()
      #expect(try await file.read(at: 0, count: wanted * 1024) == stamped(2, count: wanted * 1024))
      #expect(try await file.extents().count > 40)
    }
  }

  @Test(
    "a sparse file reaches into the triple indirect tree, and truncates go through all levels", arguments: blockSizes)
  func sparse(blockSize: Int) throws {
    let size = UInt64(blockSize), pointers = size / 4
    // The last block of each level, and the first of the next.
    let edges = [
      11, 12, 11 + pointers, 12 + pointers, 11 + pointers + pointers * pointers, 12 + pointers + pointers * pointers,
    ]
    let far = 12 + pointers + pointers * pointers + 5 * pointers * pointers + 7
    try script(try Images.empty(blockSize: blockSize), seeds: 0..<3) { rig in
      let free = await rig.volume.statistics.freeBlockCount
      let file = try await rig.volume.open("a", create: true)
      try await file.write([7], at: far * size)
      #expect(try await file.status().byteCount == far * size + 1)
      #expect(try await file.status().sectorCount == UInt32(4 * blockSize / 512), "a block and three of pointers")
      for edge in edges { try await file.write(stamped(UInt8(edge % 251), count: blockSize), at: edge * size) }
      try await rig.volume.synchronize()
      // Direct 11; 12 and the last below the indirect block; two leaves below double; the first below triple.
      let data = 7, indirect = 1, double = 1 + 2, triple = 1 + 2 + 2
      #expect(try await file.status().sectorCount == UInt32((data + indirect + double + triple) * blockSize / 512))
      for edge in edges {
        #expect(try await file.read(at: edge * size, count: blockSize) == stamped(UInt8(edge % 251), count: blockSize))
        #expect(try await file.read(at: (edge + 2) * size, count: 10).allSatisfy { $0 == 0 })
      }
      // Back and forth over each edge.
      for edge in edges.reversed() {
        try await file.truncate(to: (edge + 1) * size)
        try await file.truncate(to: far * size)
        #expect(try await file.read(at: edge * size, count: blockSize) == stamped(UInt8(edge % 251), count: blockSize))
        try await file.truncate(to: edge * size)
        try await file.truncate(to: far * size)
        #expect(try await file.read(at: edge * size, count: blockSize).allSatisfy { $0 == 0 })
      }
      #expect(try await file.status().sectorCount == 0)
      try await rig.volume.synchronize()
      #expect(await rig.volume.statistics.freeBlockCount == free)
      try await file.write([1], at: edges[5] * size)
      try await file.punch(0..<far * size)
      #expect(try await file.read(at: edges[5] * size, count: 1) == [0])
      try await file.write([9], at: far * size)
    }
  }

  @Test("a file cannot grow beyond what its tree or the count of its blocks allows", arguments: blockSizes)
  func fileTooLarge(blockSize: Int) throws {
    try script(try Images.empty(blockSize: blockSize), seeds: 0..<2) { rig in
      let file = try await rig.volume.open("a", create: true)
      let error = await errorOf { () async throws(Ext2Error) in try await file.truncate(to: UInt64.max) }
      guard case .fileTooLarge(_, let limit) = error else {
        Issue.record("truncate says \(String(describing: error))")
        return
      }
      for offset in [limit, limit + 1, UInt64.max - 1, UInt64.max] {
        let error = await errorOf { () async throws(Ext2Error) in try await file.write([1, 2, 3], at: offset) }
        guard case .fileTooLarge = error else {
          Issue.record("a write at \(offset) says \(String(describing: error))")
          return
        }
      }
      try await file.truncate(to: limit)
      await #expect(throws: Ext2Error.self) { try await file.append([1]) }
      #expect(try await file.read(at: limit - 2, count: 5) == [0, 0])
      #expect(try await file.read(at: UInt64.max, count: 5) == [])
      try await file.punch(0..<UInt64.max)
      try await file.punch(UInt64.max - 1..<UInt64.max)
      try await file.truncate(to: 5)
    }
  }

  @Test("a cache that is full of clean pages does not make every dirty page go at once")
  func fullCacheWaits() throws {
    let size = 1024
    let image = try Images.prepared(try Images.empty(blockSize: size)) { rig in
      let file = try await rig.volume.open("a", create: true)
      try await file.write(stamped(1, count: 200 * size), at: 0)
    }
    let options = VolumeOptions.quiet.with { $0.cache.cacheByteCount = 64 * size }
    // One seed that holds no task back: the clock must not pass the age at which pages are written.
    try script(image, options, seeds: 0..<1) { rig in
      let file = try await rig.volume.open("a")
      _ = try await file.read(at: 0, count: 200 * size)
      let writes = Tally()
      await rig.treat { request in
        if request.isDataWrite { writes.count += 1 }
        return .proceed
      }
      for page in 0..<8 { try await file.write(stamped(2, count: size), at: UInt64((200 + page) * size)) }
      await rig.settle()
      #expect(writes.count == 0)
    }
  }

  @Test("the first file beyond 2 GiB sets the volume's large_file feature, also on the disk", arguments: [true, false])
  func largeFile(isOwnSync: Bool) throws {
    let image = try Images.empty(blockSize: 1024) {
      var features = FeatureSet.standard
      try features.edit("^large_file")
      $0.features = features
    }
    #expect(try !Superblocks.decoded(image).readOnlyCompatible.contains(.largeFile))
    let outcome = VolumeRig.run(image) { rig in
      let file = try await rig.volume.open("a", create: true)
      try await file.write([1], at: 0x7FFF_FFFE)
      try await rig.volume.synchronize()
      #expect(try !Superblocks.decoded(await rig.disk { $0.durableImage }).readOnlyCompatible.contains(.largeFile))
      try await file.append([2])
      if isOwnSync { try await file.synchronize() } else { try await rig.volume.synchronize() }
      #expect(try Superblocks.decoded(await rig.disk { $0.durableImage }).readOnlyCompatible.contains(.largeFile))
    }
    #expect(outcome.failures == [] && outcome.unmountError == nil)
    #expect(try Images.check(outcome.image) == nil)
  }

  @Test("a large write that is cancelled ends with a short count, and what it counted is there")
  func cancelledWrite() throws {
    let options = VolumeOptions.quiet.with { $0.cache.cacheByteCount = 64 * 1024 }
    try script(try Images.empty(blockSize: 1024), options) { rig in
      let file = try await rig.volume.open("a", create: true)
      await rig.hold(\.isDataWrite)
      let write = Task(executorPreference: rig.reactor) { try await file.write(stamped(1, count: 600 * 1024), at: 0) }
      try await rig.untilHeld()
      write.cancel()
      await rig.serve()
      let count = try await write.value
      #expect(count > 0 && count < 600 * 1024)
      #expect(try await file.read(at: 0, count: 600 * 1024) == Array(stamped(1, count: 600 * 1024).prefix(count)))
      let late = Task(executorPreference: rig.reactor) {
        await rig.pause(1_000_000)
        return await errorOf { () async throws(Ext2Error) in try await file.write([1], at: 0) }
      }
      late.cancel()
      guard case .cancelled = await late.value else {
        Issue.record("a task that was cancelled before changes nothing")
        return
      }
    }
  }
}
