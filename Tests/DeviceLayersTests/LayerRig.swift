import BlockDevice
import DeviceLayers
import Reactor
import SystemPackage

/// A queue on a stack of layers on a memory device, on the simulated reactor.
///
/// Sendable because all of it stays on the one thread of that reactor.
struct LayerRig: @unchecked Sendable {
  let reactor: SimulatedReactor
  let memory: MemoryDevice
  let queue: RequestQueue
  static let blockCount = 64

  /// Runs `body` with a device of 64 blocks of 512 bytes, block n full of n, under the layers that `make` builds.
  static func run<T: Sendable>(
    seed: UInt64 = 1, timeoutNanoseconds: UInt64? = nil,
    _ make: @Sendable @escaping (any BlockDevice) -> any BlockDevice,
    _ body: @Sendable @escaping (LayerRig) async throws -> T
  ) throws -> T {
    let reactor = SimulatedReactor(seed: seed)
    return try reactor.run {
      let memory = MemoryDevice(image: (0..<blockCount).flatMap { [UInt8](repeating: UInt8($0), count: 512) })
      var configuration = RequestQueue.Configuration(tagCount: 8)
      configuration.timeoutNanoseconds = timeoutNanoseconds
      let queue = try RequestQueue(device: make(memory), reactor: reactor, configuration: configuration)
      let rig = LayerRig(reactor: reactor, memory: memory, queue: queue)
      let result = try await body(rig)
      queue.closeWhenIdle()
      return result
    }
  }

  func layer<Layer: DeviceLayer>(_ type: Layer.Type) -> Layer {
    var current: any BlockDevice = queue.device
    while let layer = current as? DeviceLayer {
      if let found = layer as? Layer { return found }
      current = layer.inner
    }
    preconditionFailure("no such layer")
  }

  /// Writes blocks from `first` on, full of one byte.
  func write(_ first: Int, count: Int = 1, _ byte: UInt8, isFUA: Bool = false) async throws(DeviceError) {
    let buffer = Buffer(byteCount: count * 512)
    buffer.withMutableBytes { bytes in
      for offset in 0..<bytes.byteCount { bytes.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self) }
    }
    try await queue.write(buffer, at: UInt64(first * 512), isFUA: isFUA)
  }

  /// The bytes of blocks from `first` on.
  func read(_ first: Int, count: Int = 1) async throws(DeviceError) -> [UInt8] {
    let buffer = Buffer(byteCount: count * 512)
    try await queue.read(buffer, at: UInt64(first * 512))
    return buffer.withBytes { bytes in
      (0..<bytes.byteCount).map { unsafe bytes.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
    }
  }

  /// The first byte of each of `count` blocks, where all bytes of a block are alike; nil where they are not.
  func blocks(_ first: Int, count: Int) async throws(DeviceError) -> [UInt8?] {
    let bytes = try await read(first, count: count)
    return (0..<count).map { block in
      let part = bytes[block * 512..<(block + 1) * 512]
      return part.allSatisfy { $0 == part.first } ? part.first : nil
    }
  }

  /// The first byte of a block on the memory device itself.
  func stored(_ block: Int) -> UInt8 { memory.image[block * 512] }
}

/// The errno of an operation that fails with one; nil when it succeeds.
func errno(_ body: () async throws(DeviceError) -> Void) async throws -> Errno? {
  do throws(DeviceError) {
    try await body()
    return nil
  } catch {
    guard case .io(_, _, let errno) = error else { throw error }
    return errno
  }
}
