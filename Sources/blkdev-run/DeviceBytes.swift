// A volume that is not mounted, through the layers of a device: for whoever wants to see what a check or a mkfs makes of a
// device that fails.
//
//   checker, maker ─> DeviceBytes ─> queue ─> layers ─> FileBytesDevice ─> file
//
// All of it runs on a simulated reactor on the caller's thread: a call returns when its request has ended, what rules say
// follows from the seed, and delays, hanging requests and deadlines cost virtual time alone.
internal import BlockDevice
internal import DeviceLayers
internal import Ext2Tools
internal import Glibc
internal import Reactor
internal import SystemPackage

/// The bytes of a volume behind a queue and layers.
final class DeviceBytes: VolumeBytes {
  private let reactor: SimulatedReactor
  private let queue: RequestQueue
  private let buffer = Buffer(byteCount: 1 << 20)
  let byteCount: UInt64

  /// A file through a stack. Throws `DeviceError` where the file is no whole number of logical blocks.
  init(_ file: FileBytes, _ stack: DeviceStack, isWritable: Bool) throws {
    let device = try FileBytesDevice(file, isWritable: isWritable)
    byteCount = device.geometry.byteCount
    reactor = SimulatedReactor(seed: stack.description.seed, policy: .uniform)
    // As many as there is work.
    reactor.stepLimit = .max
    var configuration = RequestQueue.Configuration(tagCount: 1)
    if let deadline = stack.description.deadlineNanoseconds { configuration.timeoutNanoseconds = deadline }
    queue = try RequestQueue(device: stack.stacked(on: device), reactor: reactor, configuration: configuration)
    if stack.description.isShown { print(stackDescription(of: queue.device), to: .standardError) }
  }

  deinit { queue.closeWhenIdle() }

  func read(at offset: UInt64, into target: inout MutableRawSpan) throws(VolumeBytesError) {
    let count = target.byteCount
    try forEachPiece("read", offset, count) { piece, inside, done throws(VolumeBytesError) in
      try transfer(.read, piece)
      buffer.withBytes { source in
        for index in 0..<inside.count {
          let byte = unsafe source.unsafeLoad(fromByteOffset: inside.lowerBound + index, as: UInt8.self)
          target.storeBytes(of: byte, toByteOffset: done + index, as: UInt8.self)
        }
      }
    }
  }

  func write(_ bytes: RawSpan, at offset: UInt64) throws(VolumeBytesError) {
    try forEachPiece("write", offset, bytes.byteCount) { piece, inside, done throws(VolumeBytesError) in
      // Where it does not cover whole logical blocks, the rest of them stays.
      if inside.count < piece.count { try transfer(.read, piece) }
      buffer.withMutableBytes { target in
        for index in 0..<inside.count {
          let byte = unsafe bytes.unsafeLoad(fromByteOffset: done + index, as: UInt8.self)
          target.storeBytes(of: byte, toByteOffset: inside.lowerBound + index, as: UInt8.self)
        }
      }
      try transfer(.write, piece)
    }
  }

  /// Makes every write so far durable.
  func synchronize() throws(VolumeBytesError) {
    try perform("flush", 0..<0) { queue, _ async throws(DeviceError) in try await queue.flush() }
  }

  // MARK: Pieces

  /// Cuts a range into pieces of whole logical blocks that fit the buffer; `body` gets each, the part of it that was asked
  /// for, and how many bytes came before.
  private func forEachPiece(
    _ step: String, _ offset: UInt64, _ count: Int,
    _ body: (_ piece: Range<UInt64>, _ inside: Range<Int>, _ done: Int) throws(VolumeBytesError) -> Void
  ) throws(VolumeBytesError) {
    guard offset <= byteCount, UInt64(count) <= byteCount - offset else {
      throw VolumeBytesError(step: step, offset: offset, byteCount: count, errno: .invalidArgument)
    }
    let block = UInt64(queue.geometry.logicalBlockSize)
    let limit = UInt64(min(buffer.byteCount, queue.geometry.maximumTransfer))
    let end = offset + UInt64(count)
    var position = offset
    while position < end {
      let start = position / block * block
      let stop = min(start + limit, (end + block - 1) / block * block)
      let last = min(stop, end)
      try body(start..<stop, Int(position - start)..<Int(last - start), Int(position - offset))
      position = last
    }
  }

  private func transfer(_ operation: Operation, _ piece: Range<UInt64>) throws(VolumeBytesError) {
    try perform("\(operation)", piece) { queue, memory async throws(DeviceError) in
      let request = try await queue.admit()
      request.prepare(operation, at: piece.lowerBound)
      // A request past its deadline may still use the memory; what comes later gets the error of a full queue, or the
      // device's, and the command ends with the first.
      request.context = memory
      var segment = unsafe memory.segment
      unsafe segment.byteCount = piece.count
      _ = unsafe request.append(segment)
      try await queue.perform(request)
    }
  }

  private func perform(
    _ step: String, _ range: Range<UInt64>,
    _ body: @escaping @Sendable (RequestQueue, Buffer) async throws(DeviceError) -> Void
  ) throws(VolumeBytesError) {
    // They stay on this thread, which is the reactor's meanwhile.
    nonisolated(unsafe) let queue = queue
    nonisolated(unsafe) let memory = buffer
    var errno = Errno.ioError
    do {
      return try reactor.run { unsafe try await body(queue, memory) }
    } catch DeviceError.io(_, _, let reason) {
      errno = reason
    } catch DeviceError.timedOut {
      errno = .timedOut
    } catch {}
    throw VolumeBytesError(step: step, offset: range.lowerBound, byteCount: range.count, errno: errno)
  }
}

/// The bytes of a file as a device that is done at once.
final class FileBytesDevice: BlockDevice {
  let geometry: Geometry
  weak var sink: (any CompletionSink)?
  private let file: FileBytes
  private var started: [Request] = []
  private var ended: [(request: Request, result: Int)] = []

  init(_ file: FileBytes, isWritable: Bool) throws(DeviceError) {
    self.file = file
    let size = file.logicalBlockSize ?? 512
    guard file.byteCount > 0, file.byteCount % UInt64(size) == 0 else {
      throw .unsuitable(path: file.path, reason: "\(file.byteCount) bytes are no whole number of blocks of \(size)")
    }
    geometry = Geometry(logicalBlockSize: size, byteCount: file.byteCount, isReadOnly: !isWritable)
  }

  func attach(to reactor: Reactor, tagCount: Int) throws(DeviceError) {}
  func start(_ request: Request) { started.append(request) }
  var hasUnsubmitted: Bool { !started.isEmpty }

  func submit() {
    for request in started { ended.append((request, serve(request))) }
    started = []
  }

  func reap() -> Bool {
    let told = ended
    ended = []
    for (request, result) in told { sink?.completed(request, result: result) }
    return !told.isEmpty
  }

  private func serve(_ request: Request) -> Int {
    let offset = request.remainingOffset, count = request.remainingByteCount
    do throws(VolumeBytesError) {
      switch request.operation {
      case .read:
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        var raw = unsafe span.mutableBytes
        try file.read(at: offset, into: &raw)
        request.scatter(bytes.span, at: 0)
      case .write: try file.write(unsafe request.gather().span.bytes, at: offset)
      case .flush: try file.synchronize()
      case .discard, .writeZeroes: try file.zero(at: offset, byteCount: UInt64(count))
      }
      return count
    } catch { return -Int(error.errno.rawValue) }
  }
}
