import BlockDevice
import Ext2
import PageCache
import Testing

@testable import Workload

@Suite("The options a run mounts its volume with")
struct MountOptionsTests {
  static func options(_ arguments: [String], isReadOnly: Bool = false) throws -> Ext2.VolumeOptions {
    try plan(arguments: ["--name=a", "--target=fs", "--size=1m"] + arguments).seeded(with: 7)
      .mountOptions(isReadOnly: isReadOnly, logger: quietControl().logger)
  }

  @Test("are the library's own where nobody asks for anything else")
  func defaults() throws {
    let options = try Self.options([])
    #expect(options.frees == .plain && options.allocation == .firstFit && options.cache.policy is CookiePolicy)
    #expect(!options.cache.marksFailedPagesClean && !options.cache.ignoresCookie && !options.isReadOnly)
    #expect(options.cache.cacheByteCount == 64 << 20 && options.cache.dirtyLimitByteCount == 32 << 20)
    #expect(options.cache.backgroundByteCount == 16 << 20 && options.cache.batchByteCount == 1 << 20)
    #expect(options.seed == 7 && options.queue.tagCount == 128)
  }

  @Test("are what the job says", arguments: WritebackPolicyName.allCases)
  func given(policy: WritebackPolicyName) throws {
    let options = try Self.options(
      [
        "--frees=ordered", "--allocation=next-fit", "--writeback=\(policy.rawValue)", "--failed_pages=clean",
        "--cache_size=8m", "--dirty_limit=4m", "--dirty_background=1m", "--wb_batch=64k", "--queue_depth=3",
        "--unsafe-ignore-cookie",
      ], isReadOnly: true)
    #expect(options.frees == .ordered && options.allocation == .nextFit)
    #expect(type(of: options.cache.policy) == type(of: policy.policy))
    #expect(options.cache.marksFailedPagesClean && options.cache.ignoresCookie && options.isReadOnly)
    #expect(options.cache.cacheByteCount == 8 << 20 && options.cache.dirtyLimitByteCount == 4 << 20)
    #expect(options.cache.backgroundByteCount == 1 << 20 && options.cache.batchByteCount == 64 << 10)
    #expect(options.queue.tagCount == 3)
  }
}
