import BlockDevice
import Ext2
import Reactor
import Support
import Testing

@Suite("A volume on a real thread", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct ThreadTests {
  /// A memory device completes a read in the turn that submits it: a task that hopped between submitting and waiting
  /// would wait for ever, because nothing else wakes the reactor.
  @Test("what completes at once finds whoever waits for it")
  func completesAtOnce() async throws {
    let image = try Images.make(blockSize: 4096, byteCount: 8 << 20)
    let reactor = ThreadReactor()
    var options = VolumeOptions()
    options.queue.timeoutNanoseconds = nil
    let volume = try await Volume.mount(MemoryDevice(image: image), on: reactor, options: options)
    let file = try await volume.open("file", create: true)
    let bytes = (0..<600_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    try await file.write(bytes, at: 100)
    try await file.synchronize()
    #expect(try await file.read(at: 100, count: bytes.count) == bytes)
    try await volume.unmount()
    let written = await volume.withDevice { ($0 as? MemoryDevice)?.image ?? [] }
    #expect(try Images.check(written) == nil)
    reactor.stop()
  }
}
