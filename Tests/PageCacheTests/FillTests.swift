import BlockDevice
import PageCache
import Support
import Testing

@Suite("Reading and the cache's memory")
struct FillTests {
  /// Writes pages of file 0, syncs them and takes them out of the cache.
  static func prepare(_ volume: isolated ToyVolume, pages: Int) async throws {
    try await volume.write(0, at: 0, count: pages * pageSize)
    try await volume.fsync(volume.open(0))
    volume.dropPages(0)
  }

  @Test("a read in flight while its page is truncated and written again is thrown away")
  func truncated() {
    script { volume in
      try await Self.prepare(volume, pages: 2)
      volume.hold { $0.operation == .read }
      async let read = volume.read(0, at: 0, count: 2 * pageSize)
      try await volume.until("the read is held") { volume.heldCount > 0 }
      try await volume.truncate(0, to: 0)
      try await volume.write(0, at: 0, count: pageSize)
      volume.release()
      volume.expect(try await read.count <= pageSize, "the reader took the new size")
    }
  }

  @Test("a read in flight while its page is punched and written again is thrown away")
  func punched() {
    script { volume in
      try await Self.prepare(volume, pages: 3)
      volume.hold { $0.operation == .read }
      async let read = volume.read(0, at: 0, count: 3 * pageSize, ahead: 2)
      try await volume.until("the read is held") { volume.heldCount > 0 }
      try await volume.punch(0, pageSize..<2 * pageSize)
      try await volume.write(0, at: pageSize, count: 100)
      volume.release()
      volume.expect(try await read.count == 3 * pageSize, "everything was read")
    }
  }

  @Test(
    "a truncate between the lookup of a fill and its read is noticed",
    arguments: [ToyBlockMap.HoldPoint.beforeFinding, .afterFinding])
  func truncatedDuringLookup(_ point: ToyBlockMap.HoldPoint) {
    script { volume in
      try await Self.prepare(volume, pages: 4)
      let map = volume.files[0].map
      map.holdNext = point
      async let read = volume.read(0, at: 0, count: 4 * pageSize, ahead: 3)
      try await volume.until("the lookup is held") { map.heldCount == 1 }
      try await volume.truncate(0, to: pageSize)
      volume.blocks.setRotor(1)
      try await volume.write(1, at: 0, count: 3 * pageSize)
      try await volume.write(0, at: 3 * pageSize, count: pageSize)
      map.releaseLookUps()
      volume.expect(try await read.count == 4 * pageSize, "everything was read")
    }
  }

  @Test("a page is read once however many want it")
  func once() {
    script { volume in
      try await Self.prepare(volume, pages: 4)
      let reads = volume.queue.counters.reads
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<6 { group.addTask { _ = try? await volume.read(0, at: 0, count: 4 * pageSize, ahead: 3) } }
      }
      volume.expect(volume.queue.counters.reads - reads <= 4, "no page was read twice")
      volume.expect(volume.queue.counters.readBytes == 4 * UInt64(pageSize), "four pages were read")
    }
  }

  @Test("a writer waits until its page is not filling")
  func writerWaits() {
    script { volume in
      try await Self.prepare(volume, pages: 1)
      volume.hold { $0.operation == .read }
      async let read = volume.read(0, at: 0, count: pageSize)
      try await volume.until("the read is held") { volume.heldCount == 1 }
      async let write: Void = volume.write(0, at: 0, count: pageSize)
      await volume.settle()
      volume.expect(volume.page(0, 0)?.isDirty == false, "nothing is written yet")
      volume.release()
      try await write
      _ = try await read
    }
  }

  @Test("a read that fails is told to who wants the page; reading ahead fails nobody")
  func failures() {
    script(.scripted.with { $0.leafPageCount = 2 }) { volume in
      try await Self.prepare(volume, pages: 4)
      volume.files[0].map.failingPages = 2..<4
      volume.expect(try await volume.read(0, at: 0, count: 2 * pageSize, ahead: 3).count == 2 * pageSize, "pages 0, 1")
      await #expect(throws: PageCacheError.self) { try await volume.read(0, at: 2 * pageSize, count: 1) }
      volume.files[0].map.failingPages = 0..<0
      volume.treat { $0.operation == .read ? .failWithIOError : .proceed }
      await #expect(throws: PageCacheError.self) { try await volume.read(0, at: 2 * pageSize, count: 1) }
      await #expect(throws: PageCacheError.self) { try await volume.write(0, at: 3 * pageSize, count: 1) }
      await #expect(throws: PageCacheError.self) { try await volume.truncate(0, to: 3 * pageSize + 1) }
      volume.expect(volume.files[0].byteCount == 4 * pageSize, "what failed changed nothing")
      volume.release()
      try await volume.read(0, at: 0, count: 4 * pageSize)
    }
  }

  @Test("a read past its deadline ends with the error; its memory stays until it lands")
  func deadline() {
    script(.scripted.with { $0.timeoutNanoseconds = 1_000_000 }) { volume in
      try await Self.prepare(volume, pages: 1)
      volume.hold { $0.operation == .read }
      await #expect(throws: PageCacheError.self) { try await volume.read(0, at: 0, count: 1) }
      volume.treat { _ in .proceed }
      try await volume.write(0, at: 0, count: pageSize)
      volume.disk?.release()
      await volume.settle()
      try await volume.read(0, at: 0, count: pageSize)
    }
  }

  @Test("the page used longest ago leaves first, and the cache keeps its bound")
  func replacement() {
    let options = ToyOptions.scripted.with {
      $0.cachePageCount = 16
      $0.dirtyPageLimit = 12
    }
    script(options) { volume in
      let space = volume.files[0].space
      for page in 0..<16 {
        try await volume.write(0, at: page * pageSize, count: pageSize)
        if page % 8 == 7 { try await volume.fsync(volume.open(0)) }
      }
      for page in 0..<16 { try await volume.read(0, at: page * pageSize, count: 1) }
      try await volume.read(0, at: 0, count: 1)
      try await volume.write(0, at: 16 * pageSize, count: pageSize)
      volume.expect(volume.page(0, 0) != nil, "page 0 was used just now")
      volume.expect(volume.page(0, 1) == nil, "page 1 has left")
      volume.expect(space.pageCount == 16, "the cache is full and not fuller")
      try await volume.fsync(volume.open(0))
      for page in 0..<17 { try await volume.read(0, at: page * pageSize, count: pageSize) }
      volume.expect(space.pageCount <= 16, "the cache keeps its bound")
    }
  }

  @Test("whoever finds no page free waits for one")
  func frames() {
    let options = ToyOptions.scripted.with {
      $0.cachePageCount = 16
      $0.dirtyPageLimit = 12
      $0.placeCount = 40
      $0.tagCount = 40
    }
    script(options) { volume in
      for page in 0..<24 {
        try await volume.write(0, at: page * pageSize, count: pageSize)
        if page % 8 == 7 { try await volume.fsync(volume.open(0)) }
      }
      volume.dropPages(0)
      volume.hold { $0.operation == .read }
      await withTaskGroup(of: Void.self) { group in
        for page in 0..<24 { group.addTask { _ = try? await volume.read(0, at: page * pageSize, count: pageSize) } }
        group.addTask { await volume.releaseWhenFull(16) }
      }
      volume.expect(volume.queue.counters.readBytes >= 24 * UInt64(pageSize), "every page was read")
    }
  }

  @Test("reading ahead leaves places to those who are waited for")
  func readAhead() {
    script(.scripted.with { $0.placeCount = 8 }) { volume in
      try await Self.prepare(volume, pages: 24)
      volume.hold { $0.operation == .read }
      let space = volume.files[0].space
      for page in 0..<12 {
        try await space.fill(from: PageIndex(UInt64(2 * page)), count: 1, isReadAhead: true)
      }
      volume.expect(volume.queue.outstandingCount == 6, "a quarter of the places is free")
      volume.expect(space.pageCount == 6, "what found no place left the cache again")
      volume.release()
      try await volume.read(0, at: 0, count: 24 * pageSize)
    }
  }
}

extension ToyVolume {
  /// Lets go of everything when that many reads are held or waiting; goes on letting go.
  fileprivate func releaseWhenFull(_ count: Int) async {
    try? await until("all pages are taken") { queue.outstandingCount == count }
    release()
  }
}
