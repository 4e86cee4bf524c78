// The thread for what the kernel's asynchronous I/O cannot do: fallocate, which blocks.
//
// Records of fixed size go to it through one pipe and come back through another, so that there is no lock. A record is
// far below PIPE_BUF: the kernel writes and reads each as a whole.
internal import CLinux
internal import Glibc

/// What the helper thread does to a range of the file.
enum FallocateCommand: UInt64 {
  /// Gives the range back to the file system; it reads as zeroes.
  case punchHole
  /// Makes the range read as zeroes and keeps it allocated.
  case writeZeroes
  /// fdatasync, where the kernel has no asynchronous one.
  case dataSync
}

/// A helper thread of one device; it is started for the first command.
final class FallocateWorker {
  private struct Record: BitwiseCopyable {
    var tag: Int
    var command: UInt64
    var offset: UInt64
    var byteCount: UInt64
    var result: Int

    /// Writes the record into a pipe.
    func write(to pipe: Int32) {
      unsafe withUnsafeBytes(of: self) { bytes in
        while unsafe Glibc.write(pipe, bytes.baseAddress, bytes.count) < 0, errno == EINTR {}
      }
    }

    /// The next record of a pipe; nil when there is none, or when the other end is closed.
    static func read(from pipe: Int32) -> Record? {
      var record = Record(tag: 0, command: 0, offset: 0, byteCount: 0, result: 0)
      let count = unsafe withUnsafeMutableBytes(of: &record) { bytes in
        var count: Int
        repeat { count = unsafe Glibc.read(pipe, bytes.baseAddress, bytes.count) } while count < 0 && errno == EINTR
        return count
      }
      return count == MemoryLayout<Record>.size ? record : nil
    }
  }

  /// What the thread needs. Everything in it is constant.
  private final class Ends: Sendable {
    let file, commands, results: Int32
    let signal: Int32?
    init(file: Int32, commands: Int32, results: Int32, signal: Int32?) {
      self.file = file
      self.commands = commands
      self.results = results
      self.signal = signal
    }
  }

  /// Commands in the pipes at once: both ways they fit, so that no write to a pipe ever waits for the other side.
  private static let pipeCapacity = 256

  private let file: Int32
  private let signal: Int32?
  private var thread = pthread_t()
  private var isRunning = false
  private var commandsIn: Int32 = -1
  private var resultsOut: Int32 = -1
  private var descriptors: [Int32] = []
  /// Commands that wait for room in the pipe, from `firstWaiting` on.
  private var waiting: [Record] = []
  private var firstWaiting = 0
  private var inPipeCount = 0

  /// A worker on `file` that adds to the event descriptor `signal`, if there is one, after each command.
  init(file: Int32, signal: Int32?) {
    self.file = file
    self.signal = signal
  }

  deinit {
    // The thread reads the end of the pipe, finishes and is joined before its descriptors are closed.
    if isRunning {
      close(commandsIn)
      pthread_join(thread, nil)
    }
    for descriptor in descriptors { close(descriptor) }
  }

  /// Commands whose result has not been reaped.
  var outstandingCount: Int { inPipeCount + waiting.count - firstWaiting }

  /// Starts a command; `tag` comes back with its result. Returns a negative errno when there can be no thread.
  func start(_ command: FallocateCommand, tag: Int, offset: UInt64, byteCount: Int) -> Int32 {
    if !isRunning {
      let result = launch()
      guard result == 0 else { return result }
    }
    waiting.append(
      Record(tag: tag, command: command.rawValue, offset: offset, byteCount: UInt64(byteCount), result: 0))
    feed()
    return 0
  }

  private func feed() {
    while firstWaiting < waiting.count, inPipeCount < Self.pipeCapacity {
      waiting[firstWaiting].write(to: commandsIn)
      firstWaiting += 1
      inPipeCount += 1
    }
    if firstWaiting == waiting.count {
      waiting.removeAll(keepingCapacity: true)
      firstWaiting = 0
    }
  }

  /// Calls `body` with the tag and the result (0 or a negative errno) of each finished command.
  func reap(_ body: (Int, Int) -> Void) {
    while inPipeCount > 0, let record = Record.read(from: resultsOut) {
      inPipeCount -= 1
      body(record.tag, record.result)
    }
    feed()
  }

  /// Waits until a result can be reaped.
  func wait() { _ = cl_wait_readable(resultsOut, -1) }

  // MARK: The thread

  /// Makes the pipes and the thread. 0 or a negative errno.
  private func launch() -> Int32 {
    var commands: [Int32] = [-1, -1], results: [Int32] = [-1, -1]
    var result = unsafe cl_pipe(&commands, false)
    guard result == 0 else { return result }
    result = unsafe cl_pipe(&results, true)
    guard result == 0 else {
      for descriptor in commands { close(descriptor) }
      return result
    }
    let ends = Ends(file: file, commands: commands[0], results: results[1], signal: signal)
    let error = startThread(ends)
    guard error == 0 else {
      for descriptor in commands + results { close(descriptor) }
      return -error
    }
    isRunning = true
    commandsIn = commands[1]
    resultsOut = results[0]
    descriptors = [commands[0], results[0], results[1]]
    return 0
  }

  // `nonisolated` and outside any main-actor context: a closure for pthread_create that inherits an actor traps.
  private nonisolated func startThread(_ ends: Ends) -> Int32 {
    let argument = unsafe Unmanaged.passRetained(ends).toOpaque()
    let result = unsafe pthread_create(
      &thread, nil,
      { argument in
        if let argument = unsafe argument {
          unsafe FallocateWorker.serve(Unmanaged<Ends>.fromOpaque(argument).takeRetainedValue())
        }
        return nil
      }, argument)
    if result != 0 { unsafe Unmanaged<Ends>.fromOpaque(argument).release() }
    return result
  }

  private nonisolated static func serve(_ ends: Ends) {
    while var record = Record.read(from: ends.commands) {
      record.result = perform(record, ends.file)
      record.write(to: ends.results)
      if let signal = ends.signal {
        var one: UInt64 = 1
        _ = unsafe write(signal, &one, 8)
      }
    }
  }

  private nonisolated static func perform(_ record: Record, _ file: Int32) -> Int {
    switch FallocateCommand(rawValue: record.command) {
    case .punchHole: return Int(cl_punch_hole(file, record.offset, record.byteCount))
    case .writeZeroes:
      let result = cl_zero_range(file, record.offset, record.byteCount)
      // tmpfs has no ZERO_RANGE. To punch and allocate again could lose the allocation to somebody in between.
      return result == -EOPNOTSUPP ? writeZeroes(record, file) : Int(result)
    case .dataSync:
      while fdatasync(file) < 0 {
        if errno != EINTR { return -Int(errno) }
      }
      return 0
    case nil: return -Int(EINVAL)
    }
  }

  /// Writes zeroes from memory, aligned for direct transfers.
  private nonisolated static func writeZeroes(_ record: Record, _ file: Int32) -> Int {
    let chunk = min(Int(record.byteCount), 1 << 18)
    let zeroes = UnsafeMutableRawPointer.allocate(byteCount: chunk, alignment: 65536)
    defer { unsafe zeroes.deallocate() }
    unsafe zeroes.initializeMemory(as: UInt8.self, repeating: 0, count: chunk)
    var done: UInt64 = 0
    while done < record.byteCount {
      let size = min(chunk, Int(record.byteCount - done))
      let count = unsafe pwrite(file, zeroes, size, Int(record.offset + done))
      if count < 0 && errno == EINTR { continue }
      if count <= 0 { return count < 0 ? -Int(errno) : -Int(EIO) }
      done += UInt64(count)
    }
    return 0
  }
}
