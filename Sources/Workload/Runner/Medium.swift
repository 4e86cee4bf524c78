internal import BlockDevice
internal import Glibc
internal import Logging
internal import Reactor
internal import SystemPackage

/// Where the bytes of the run's device are between two mounts.
enum Medium: Sendable {
  /// In a file, opened anew for each mount.
  case file(path: String, isDirect: Bool)
  /// In memory or in a simulated disk, which stays.
  case resident(ResidentDevice)

  /// The device, for one mount. The first one, which is for writing, tells `logger` when transfers are not as direct as
  /// they were asked to be.
  func open(isReadOnly: Bool, _ logger: Logger) throws(RunError) -> sending any BlockDevice {
    switch self {
    case .file(let path, let isDirect):
      do {
        let device = try FileDevice(path: path, options: .init(isDirect: isDirect, isReadOnly: isReadOnly))
        if isDirect && !isReadOnly { device.tellIfBuffered(logger) }
        return device
      } catch { throw .device(error) }
    case .resident(let resident):
      // One mount at a time has it, and all of them run on its reactor: see ResidentDevice.
      nonisolated(unsafe) let device = resident.device
      return unsafe device
    }
  }
}

extension FileDevice {
  /// Says so when transfers go through the page cache although `direct` was asked for.
  func tellIfBuffered(_ logger: Logger) {
    guard let bufferedReason else { return }
    logger.notice("\(path): not direct, but through the page cache: \(bufferedReason)")
  }
}

/// A device that outlives its mounts. Only its reactor touches the device, which makes this Sendable.
final class ResidentDevice: @unchecked Sendable {
  let device: any BlockDevice
  private let reactor: Reactor
  private static let chunk = 1 << 20

  init(_ device: any BlockDevice, on reactor: Reactor) {
    self.device = device
    self.reactor = reactor
  }

  /// Fills the zeroed device from a file; what is zero there is not written.
  func load(from path: String) async throws(RunError) {
    try await transfer { queue, buffer, offset async throws(RunError) in
      let bytes = try HostFile.with(path, .readOnly) { file throws(Errno) in
        try readAll(file, at: offset, count: buffer.byteCount)
      }
      if isZero(bytes) { return }
      buffer.withMutableBytes { target in
        unsafe target.withUnsafeMutableBytes { unsafe $0.copyBytes(from: bytes) }
      }
      do throws(DeviceError) { try await queue.write(buffer, at: offset) } catch { throw .device(error) }
    }
  }

  /// Writes the device's bytes to a new file, which stays sparse where they are zero.
  func store(to path: String) async throws(RunError) {
    let size = Int64(device.geometry.byteCount)
    try HostFile.with(path, .writeOnly, create: true) { file throws(Errno) in try resize(file, to: size) }
    try await transfer { queue, buffer, offset async throws(RunError) in
      do throws(DeviceError) { try await queue.read(buffer, at: offset) } catch { throw .device(error) }
      let bytes = buffer.withBytes { span in unsafe span.withUnsafeBytes { unsafe Array($0) } }
      if isZero(bytes) { return }
      try HostFile.with(path, .writeOnly) { file throws(Errno) in try writeAll(bytes, to: file, at: offset) }
    }
  }

  private func transfer(
    _ body: (RequestQueue, Buffer, UInt64) async throws(RunError) -> Void
  ) async throws(RunError) {
    let queue: RequestQueue
    do { queue = try RequestQueue(device: device, reactor: reactor) } catch { throw .device(error) }
    defer { queue.close() }
    var offset: UInt64 = 0
    while offset < device.geometry.byteCount {
      let count = Int(min(UInt64(Self.chunk), device.geometry.byteCount - offset))
      try await body(queue, Buffer(byteCount: count), offset)
      offset += UInt64(count)
    }
  }
}

// Whether there are only zeroes: what equals itself a byte further on is all the same. As quick as memory in any build,
// which matters to tests, and to whoever runs them under a sanitizer.
private func isZero(_ bytes: [UInt8]) -> Bool {
  guard bytes.first == 0 else { return bytes.isEmpty }
  return unsafe bytes.withUnsafeBytes { bytes in
    guard let start = bytes.baseAddress else { return true }
    return unsafe memcmp(start, start + 1, bytes.count - 1) == 0
  }
}

// SystemPackage throws untyped errors, all of which are Errno.
private func typed<R>(_ body: () throws -> R) throws(Errno) -> R {
  do { return try body() } catch let error as Errno { throw error } catch { throw .ioError }
}

private func readAll(_ file: FileDescriptor, at offset: UInt64, count: Int) throws(Errno) -> [UInt8] {
  try typed {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let part = try unsafe bytes.withUnsafeMutableBytes { target in
        unsafe try file.read(
          fromAbsoluteOffset: Int64(offset) + Int64(done),
          into: UnsafeMutableRawBufferPointer(rebasing: target[done...]))
      }
      // Past the end of the file there is nothing but zeroes.
      if part == 0 { break }
      done += part
    }
    return bytes
  }
}

private func writeAll(_ bytes: [UInt8], to file: FileDescriptor, at offset: UInt64) throws(Errno) {
  try typed { _ = try file.writeAll(toAbsoluteOffset: Int64(offset), bytes) }
}

private func resize(_ file: FileDescriptor, to size: Int64) throws(Errno) {
  try typed { try file.resize(to: size) }
}
