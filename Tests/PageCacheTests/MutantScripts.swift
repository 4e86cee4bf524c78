import BlockDevice
import PageCache
import Support

/// A script that notices when a rule is switched off which storms have no eyes for: they compare bytes, and these say who
/// has to wait, and who must not.
struct MutantScript: Sendable {
  let rule: SwitchedOffRules
  var options = ToyOptions.scripted
  let body: @Sendable (isolated ToyVolume) async throws -> Void

  static let all = [
    MutantScript(
      rule: .budgetUntilWritten,
      options: ToyOptions().with {
        $0.dirtyPageLimit = 8
        $0.backgroundPageCount = 0
      }, body: dirtyLimit),
    MutantScript(
      rule: .framesAreReserved,
      options: ToyOptions().with {
        $0.cachePageCount = 16
        $0.dirtyPageLimit = 16
        $0.backgroundPageCount = 0
      }, body: frames),
    MutantScript(
      rule: .writebackHasPlaces,
      options: .scripted.with {
        $0.tagCount = 4
        $0.placeCount = 4
      }, body: places),
    MutantScript(rule: .pageIsTriedOnce, body: attempts),
    MutantScript(rule: .fillZeroesPastEnd, body: WritebackTests.tail),
    MutantScript(
      rule: .stalePlanKeepsPlace,
      options: .scripted.with {
        $0.batchPageLimit = 1
        $0.policy = RestlessPolicy()
      }, body: discards),
  ]

  /// Pages whose write is in flight count as dirty: a writer waits.
  private static func dirtyLimit(_ volume: isolated ToyVolume) async throws {
    volume.hold { $0.operation == .write }
    async let written: Void = volume.write(0, at: 0, count: 24 * pageSize)
    try await volume.until("writes are held") { volume.heldCount > 0 }
    await volume.settle()
    let count = (0..<24).count { index in
      volume.page(0, index).map { $0.isDirty || $0.isUnderWriteback } ?? false
    }
    volume.expect(count <= 8, "\(count) pages are not written")
    volume.release()
    try await written
  }

  /// A reader finds a frame however much there is to write.
  private static func frames(_ volume: isolated ToyVolume) async throws {
    try await volume.write(1, at: 0, count: pageSize)
    try await volume.fsync(volume.open(1))
    volume.dropPages(1)
    volume.hold { $0.operation == .write }
    async let written: Void = volume.write(0, at: 0, count: 24 * pageSize)
    try await volume.until("writes are held") { volume.heldCount > 0 }
    await volume.settle()
    async let read = volume.read(1, at: 0, count: 1)
    await volume.settle()
    volume.expect(volume.page(1, 0)?.isFilling == false, "the reader waits for writes")
    volume.release()
    try await written
    _ = try await read
  }

  /// Writeback goes on though reads hang.
  private static func places(_ volume: isolated ToyVolume) async throws {
    try await FillTests.prepare(volume, pages: 4)
    try await volume.write(1, at: 0, count: pageSize)
    volume.hold { $0.operation == .read }
    async let first = volume.read(0, at: 0, count: 1)
    async let second = volume.read(0, at: 2 * pageSize, count: 1)
    try await volume.until("two reads are held") { volume.heldCount == 2 }
    let handle = volume.open(1)
    async let written: Void = volume.fsync(handle)
    await volume.settle()
    volume.expect(volume.page(1, 0)?.isDirty == false, "writeback waits for reads")
    volume.release()
    _ = try await (first, second)
    try await written
  }

  /// Fsync of a page that cannot be written ends.
  private static func attempts(_ volume: isolated ToyVolume) async throws {
    try await volume.write(0, at: 0, count: 2 * pageSize)
    let count = RequestCount()
    volume.treat { request in
      count.count(request)
      return request.operation == .write && count.writes[1, default: 0] <= 20 ? .failWithIOError : .proceed
    }
    _ = try? await volume.fsync(volume.open(0))
    // With its neighbour, and alone.
    volume.expect(count.writes[1, default: 0] == 2, "page 1 was tried \(count.writes[1, default: 0]) times")
  }

  /// Writeback goes on though each plan is stale when it has its place.
  private static func discards(_ volume: isolated ToyVolume) async throws {
    try await volume.write(0, at: 0, count: 4 * pageSize)
    try await volume.fsync(volume.open(0))
    let counters = volume.cache.writeback.counters
    volume.expect(counters.staleBatches == 4 && counters.batches == 4, "a place cost \(counters.staleBatches) discards")
  }
}

/// As `CookiePolicy`, in a file whose tree changes while a plan waits for its place: a hundred times.
private struct RestlessPolicy: WritebackPolicy {
  func write(_ page: Page, _ pass: inout Writeback.Pass, _ writeback: Writeback) async throws(PageCacheError) {
    guard let plan = try await writeback.plan(page, pass) else { return }
    let request = try await writeback.admit()
    if writeback.counters.staleBatches < 100, let map = pass.space.mapper as? ToyBlockMap, let block = map[0] {
      map.link(block, at: 0)
    }
    writeback.validateAndDispatch(plan, request, &pass)
  }
}
