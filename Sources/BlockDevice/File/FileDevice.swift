// A Linux file as a device, through libaio.
//
//   read, write ─> control block ─┐
//   flush ───────> fdatasync ─────┴─> one io_submit ─> the kernel ─> ring of completions ─> sink
//   discard, write zeroes ─> helper thread (fallocate) ─> pipe ────────────────────────────> sink
internal import CLinux
internal import Glibc
public import Reactor
internal import SystemPackage

/// A regular file or a block device, through the kernel's asynchronous I/O.
///
/// The file is never grown: its size is the one it had when it was opened, and the queue checks bounds. Flush is
/// fdatasync; forced unit access is `RWF_DSYNC`, or a write and then fdatasync where the kernel refuses that. Discard
/// punches a hole, which makes the next write to it slow because it allocates; write zeroes keeps the allocation.
///
/// Opened for writing, it is claimed until `close`: a second opening for writing, here or in another process, is
/// refused, and so is a file that the kernel's loop driver may write to. An opening for reading takes no claim, and what
/// it sees of a file that somebody else writes is not coherent.
///
/// Opening for writing makes the process ignore SIGXFSZ, unless it handles that signal: the kernel would end it where
/// a write meets RLIMIT_FSIZE.
public final class FileDevice: BlockDevice {
  /// How a file is opened.
  public struct Options: Sendable {
    /// Past the page cache (O_DIRECT), where the file allows it; `bufferedReason` tells why it did not.
    public var isDirect = true
    /// Only for reading, without a claim.
    public var isReadOnly = false
    /// Bytes of a logical block, a power of two from 512 to 65536; nil: what the kernel says, or 512.
    public var logicalBlockSize: Int?
    /// Whether completions wake the reactor. Whoever polls with `waitForCompletion` saves that by switching it off;
    /// tasks that wait on a sleeping reactor would then wait for ever.
    public var signalsCompletions = true
    /// Direct, for reading and writing.
    public init() {}
    /// Direct or not, for reading only or not.
    public init(isDirect: Bool = true, isReadOnly: Bool = false) {
      self.isDirect = isDirect
      self.isReadOnly = isReadOnly
    }
  }

  public let geometry: Geometry
  public var sink: (any CompletionSink)? {
    get { target }
    set { target = newValue }
  }
  /// The file's path, as it was given.
  public let path: String
  /// Why transfers go through the page cache, as the rest of a sentence; nil when they are direct.
  public let bufferedReason: String?

  /// Strong, since it is read once for each reaping and other kinds of references cost more. The queue clears it.
  private var target: (any CompletionSink)?
  private let signalsCompletions: Bool
  private var file: BackingFile?
  private var aio: AIOContext?
  private var worker: FallocateWorker?
  private var reactor: Reactor?
  /// The request of each tag, for what comes back from the helper thread.
  private var requests: [Request?] = []
  /// What a write by forced unit access did before its fdatasync, by tag; -1 while it is not at its fdatasync.
  private var doneBeforeSync: [Int] = []
  /// Requests that will not complete through the kernel's ring: refused, or at the helper thread.
  private var outsideCount = 0
  private var workerCalls: UInt64 = 0
  /// What `hostCalls` were when it was closed.
  private var callsBefore = HostCalls()
  /// What was refused; it is told at the next reap.
  private var refusals: [(request: Request, result: Int)] = []
  /// Whether the kernel refuses `RWF_DSYNC` here. Tests set it.
  package var refusesDurableWrites = false
  /// How many completions the kernel is asked to keep room for; nil: one a tag. Tests ask for fewer, to fill the ring.
  package var ringEventCount: Int?

  /// Opens a file.
  ///
  /// Throws `cannotOpen` when a step of the operating system fails, `unsuitable` when the file cannot be a device, and
  /// `inUse` when somebody else may write to it.
  public init(path: String, options: Options = Options()) throws(DeviceError) {
    let file = try BackingFile(path: path, options: options)
    self.path = path
    geometry = file.geometry
    bufferedReason = file.bufferedReason
    signalsCompletions = options.signalsCompletions
    self.file = consume file
  }

  // MARK: BlockDevice

  public func attach(to reactor: Reactor, tagCount: Int) throws(DeviceError) {
    precondition(aio == nil, "a device has one queue")
    guard let descriptor = file?.descriptor.rawValue else { throw .closed }
    let signal = signalsCompletions ? reactor.wakeDescriptor : nil
    do {
      aio = try AIOContext(
        file: descriptor, count: tagCount, ringEventCount: ringEventCount ?? tagCount, signal: signal)
    } catch {
      throw .cannotOpen(
        path: path, step: "io_setup for \(tagCount) requests (the machine's limit: /proc/sys/fs/aio-max-nr)",
        Errno(rawValue: error.errno))
    }
    worker = FallocateWorker(file: descriptor, signal: signal)
    self.reactor = reactor
    requests = Array(repeating: nil, count: tagCount)
    doneBeforeSync = Array(repeating: -1, count: tagCount)
    refusals.reserveCapacity(tagCount)
  }

  public func close() {
    precondition(refusals.isEmpty && aio?.inFlightCount ?? 0 == 0 && worker?.outstandingCount ?? 0 == 0)
    callsBefore = hostCalls
    worker = nil
    aio = nil
    file = nil
    reactor = nil
  }

  public func start(_ request: Request) {
    guard let aio, let tag = request.tag else { preconditionFailure("a request without a tag, or a closed device") }
    switch request.operation {
    case .read: aio.prepare(.read, tag: tag, request)
    case .write:
      doneBeforeSync[tag] = -1
      aio.prepare(.write(isDurable: request.isFUA && !refusesDurableWrites), tag: tag, request)
    case .flush: aio.prepare(.dataSync, tag: tag, request)
    case .discard: delegate(.punchHole, tag, request)
    case .writeZeroes: delegate(.writeZeroes, tag, request)
    }
  }

  public var hostCalls: HostCalls {
    guard let aio else { return callsBefore }
    var calls = aio.calls
    calls.systemCalls += workerCalls
    return calls
  }

  private func delegate(_ command: FallocateCommand, _ tag: Int, _ request: Request) {
    requests[tag] = request
    outsideCount += 1
    // The command, what it does, and its result.
    workerCalls += 3
    let result =
      worker?.start(command, tag: tag, offset: request.remainingOffset, byteCount: request.remainingByteCount)
      ?? -EIO
    if result != 0 {
      requests[tag] = nil
      refusals.append((request, Int(result)))
    }
  }

  public var hasUnsubmitted: Bool { aio?.hasPending ?? false }

  public func submit() {
    guard let aio else { return }
    while let refusal = aio.submit() { handle(refusal.request, errno: refusal.errno, aio) }
    // Without anything in flight no completion will end the reactor's sleep: the kernel is to be asked again.
    if aio.hasPending && aio.inFlightCount == 0 { reactor?.wake() }
  }

  /// Deals with what io_submit refused outright: in another way where there is one, else the request fails.
  private func handle(_ request: Request, errno: Int32, _ aio: AIOContext) {
    guard let tag = request.tag else { return }
    if request.operation == .write && request.isFUA && !refusesDurableWrites && (errno == EOPNOTSUPP || errno == EINVAL)
    {
      refusesDurableWrites = true
      start(request)
    } else if request.operation == .flush && errno == EINVAL {
      delegate(.dataSync, tag, request)
    } else if doneBeforeSync[tag] >= 0 && errno == EINVAL {
      delegate(.dataSync, tag, request)
    } else {
      outsideCount += 1
      refusals.append((request, -Int(errno)))
    }
  }

  public func reap() -> Bool {
    guard let aio, let sink = target else { return false }
    let count = aio.reap { complete($0, $1, aio, sink) }
    return (outsideCount > 0 && reapOutside(sink)) || count > 0
  }

  public func waitForCompletion() {
    guard let aio, let sink = target else { return }
    if aio.hasPending { submit() }
    if outsideCount == 0 {
      _ = aio.collect(minimum: 1, timeoutNanoseconds: nil) { complete($0, $1, aio, sink) }
    } else if !reapOutside(sink) {
      // With both at work, neither may be waited for alone: a millisecond of the one, then a look at the other.
      if aio.inFlightCount > 0 {
        _ = aio.collect(minimum: 1, timeoutNanoseconds: 1_000_000) { complete($0, $1, aio, sink) }
      } else {
        worker?.wait()
      }
      _ = reapOutside(sink)
    }
  }

  /// Reports what did not come from the kernel's ring. Returns whether there was any.
  private func reapOutside(_ sink: any CompletionSink) -> Bool {
    let before = outsideCount
    while let refusal = refusals.popLast() {
      outsideCount -= 1
      report(refusal.request, refusal.result, sink)
    }
    if let worker, worker.outstandingCount > 0 {
      worker.reap { tag, result in
        guard let request = requests[tag].take() else { return }
        outsideCount -= 1
        report(request, result < 0 ? result : request.remainingByteCount, sink)
      }
    }
    return outsideCount < before
  }

  /// Takes one of the kernel's completions: reports it, or goes on with the fdatasync that the write still lacks.
  @inline(__always)
  private func complete(_ request: Request, _ result: Int, _ aio: AIOContext, _ sink: any CompletionSink) {
    if request.isFUA && refusesDurableWrites, let tag = request.tag, doneBeforeSync[tag] < 0, result > 0,
      result == request.remainingByteCount
    {
      doneBeforeSync[tag] = result
      aio.prepare(.dataSync, tag: tag, request)
      return
    }
    report(request, result, sink)
  }

  /// Reports a completion. That of a fdatasync behind a write counts for the write.
  @inline(__always)
  private func report(_ request: Request, _ result: Int, _ sink: any CompletionSink) {
    guard request.isFUA, let tag = request.tag, doneBeforeSync[tag] >= 0 else {
      sink.completed(request, result: result)
      return
    }
    let done = doneBeforeSync[tag]
    doneBeforeSync[tag] = -1
    sink.completed(request, result: result < 0 ? result : done)
  }
}
