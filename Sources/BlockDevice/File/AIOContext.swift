// The kernel's asynchronous I/O context, and the only place that touches its structures.
//
// Limits: one control block a tag, taken at the start. The number of events that all contexts of a machine may ask
// for together is /proc/sys/fs/aio-max-nr. The ring holds at least as many completions as there are control blocks,
// so that it cannot overflow.
internal import CLinux
internal import Glibc
internal import Synchronization

/// What one control block asks the kernel for.
enum AIOCommand {
  case read
  case write(isDurable: Bool)
  case dataSync
}

/// An io_setup context with a control block for every tag.
///
/// `prepare` fills control blocks in, `submit` hands all of them over in one system call, and `reap` takes completions
/// from the ring that the kernel shares with the process, without a system call (as fio's `user_io_getevents` does).
/// The kernel keeps no pointer to a control block after io_submit, but it does to segments and buffers.
@safe final class AIOContext {
  private var context: io_context_t?
  private let file: Int32
  private let controlBlocks: UnsafeMutablePointer<iocb>
  private let pending: UnsafeMutablePointer<UnsafeMutablePointer<iocb>?>
  private let events: UnsafeMutablePointer<io_event>
  private let ring: CompletionRing?
  private let count: Int
  private var firstPending = 0
  private var endOfPending = 0
  /// Control blocks that the kernel has taken and whose completion has not been reaped.
  private(set) var inFlightCount = 0
  /// What was asked of the kernel.
  private(set) var calls = HostCalls()

  /// A context for `count` transfers to `file` at once. Completions are added to the event descriptor `signal`, if
  /// there is one. Throws what io_setup says: EAGAIN when the machine's limit is reached.
  init(file: Int32, count: Int, ringEventCount: Int, signal: Int32?) throws(SetupError) {
    self.file = file
    self.count = count
    var context: io_context_t?
    let result = unsafe io_setup(Int32(clamping: ringEventCount), &context)
    guard result == 0 else { throw SetupError(errno: -result) }
    unsafe self.context = unsafe context
    unsafe ring = context.flatMap { unsafe CompletionRing(UnsafeMutableRawPointer($0)) }
    unsafe controlBlocks = .allocate(capacity: count)
    unsafe pending = .allocate(capacity: count)
    unsafe pending.initialize(repeating: nil, count: count)
    unsafe events = .allocate(capacity: count)
    unsafe events.initialize(repeating: io_event(), count: count)
    unsafe controlBlocks.initialize(repeating: iocb(), count: count)
    for index in 0..<count {
      unsafe controlBlocks[index].aio_fildes = file
      if let signal { unsafe io_set_eventfd(controlBlocks + index, signal) }
    }
  }
  struct SetupError: Error { let errno: Int32 }

  /// Waits for what is in flight; takes some 30 ms even when nothing is (the kernel's grace period).
  deinit {
    unsafe io_destroy(context)
    unsafe controlBlocks.deallocate()
    unsafe pending.deallocate()
    unsafe events.deallocate()
  }

  // MARK: Submitting

  /// Whether prepared control blocks wait for another `submit`.
  var hasPending: Bool { firstPending < endOfPending }

  /// Fills in the control block of `tag`, to go with the next `submit`. The request's segments stay where they are
  /// until the completion.
  func prepare(_ command: AIOCommand, tag: Int, _ request: Request) {
    precondition(tag >= 0 && tag < count && endOfPending < count, "a tag outside the set")
    let block = unsafe controlBlocks + tag
    unsafe block.pointee.data = Unmanaged.passUnretained(request).toOpaque()
    unsafe block.pointee.aio_rw_flags = 0
    switch command {
    case .read: unsafe fill(block, request, IO_CMD_PREAD, IO_CMD_PREADV)
    case .write(let isDurable):
      unsafe fill(block, request, IO_CMD_PWRITE, IO_CMD_PWRITEV)
      if isDurable { unsafe block.pointee.aio_rw_flags = UInt32(CL_RWF_DSYNC) }
    case .dataSync:
      unsafe block.pointee.aio_lio_opcode = Int16(IO_CMD_FDSYNC.rawValue)
      unsafe block.pointee.u.c.buf = nil
      unsafe block.pointee.u.c.nbytes = 0
      unsafe block.pointee.u.c.offset = 0
    }
    unsafe pending[endOfPending] = unsafe block
    endOfPending += 1
  }

  private func fill(
    _ block: UnsafeMutablePointer<iocb>, _ request: Request, _ single: io_iocb_cmd, _ vectored: io_iocb_cmd
  ) {
    unsafe block.pointee.u.c.offset = Int64(bitPattern: request.remainingOffset)
    if request.segmentCount == 1 {
      // One piece of memory needs no vector, which saves the kernel copying it in.
      let segment = unsafe request.remainingSegments.pointee
      unsafe block.pointee.aio_lio_opcode = Int16(single.rawValue)
      unsafe block.pointee.u.c.buf = unsafe segment.base
      unsafe block.pointee.u.c.nbytes = UInt(segment.byteCount)
    } else {
      unsafe block.pointee.aio_lio_opcode = Int16(vectored.rawValue)
      unsafe block.pointee.u.c.buf = UnsafeMutableRawPointer(request.remainingSegments)
      unsafe block.pointee.u.c.nbytes = UInt(request.segmentCount)
    }
  }

  /// Hands over what was prepared. When the kernel takes a part, it is asked again for the rest; what it has no room for
  /// now (EAGAIN) stays pending. Returns a request that it refused and why, for the caller to deal with and to call
  /// again; nil when there is none.
  func submit() -> (request: Request, errno: Int32)? {
    while firstPending < endOfPending {
      calls.systemCalls += 1
      let taken = unsafe Int(io_submit(context, endOfPending - firstPending, pending + firstPending))
      if taken > 0 {
        firstPending += taken
        inFlightCount += taken
      } else if taken == 0 || taken == -Int(EAGAIN) {
        calls.requeues += 1
        makeRoom()
        return nil
      } else if taken != -Int(EINTR), let data = unsafe pending[firstPending]?.pointee.data {
        firstPending += 1
        makeRoom()
        return unsafe (Unmanaged<Request>.fromOpaque(data).takeUnretainedValue(), Int32(clamping: -taken))
      }
    }
    makeRoom()
    return nil
  }

  /// Moves what stays pending to the front, so that every tag finds room behind it.
  private func makeRoom() {
    let rest = endOfPending - firstPending
    for index in 0..<rest { unsafe pending[index] = unsafe pending[firstPending + index] }
    firstPending = 0
    endOfPending = rest
  }

  // MARK: Reaping

  /// Calls `body` with each completed request and the kernel's result (bytes, or a negative errno). Returns how many
  /// there were.
  @inline(__always)
  func reap(_ body: (Request, Int) -> Void) -> Int {
    guard inFlightCount > 0 else { return 0 }
    guard let ring = unsafe ring else { return collect(minimum: 0, timeoutNanoseconds: 0, body) }
    let tail = unsafe ring.tail
    var head = unsafe ring.head
    var reaped = 0
    while head != tail {
      let event = unsafe ring.event(at: head)
      head = unsafe head + 1 == ring.count ? 0 : head + 1
      // Given back before the completion is told, which may submit or reap again.
      unsafe ring.publish(head: head)
      reaped += 1
      unsafe deliver(event, body)
    }
    return reaped
  }

  /// As `reap`, through io_getevents, which waits until there are `minimum` completions or the time is over; nil waits
  /// for ever.
  func collect(minimum: Int, timeoutNanoseconds: Int?, _ body: (Request, Int) -> Void) -> Int {
    guard inFlightCount > 0 else { return 0 }
    var collected: Int
    repeat {
      calls.systemCalls += 1
      if let timeoutNanoseconds {
        var time = timespec(tv_sec: 0, tv_nsec: timeoutNanoseconds)
        collected = unsafe Int(io_getevents(context, minimum, count, events, &time))
      } else {
        collected = unsafe Int(io_getevents(context, minimum, count, events, nil))
      }
    } while collected == -Int(EINTR)
    precondition(collected >= 0, "io_getevents failed with errno \(-collected)")
    for index in 0..<collected { unsafe deliver(events[index], body) }
    return collected
  }

  @inline(__always)
  private func deliver(_ event: io_event, _ body: (Request, Int) -> Void) {
    guard let data = unsafe event.data else { return }
    inFlightCount -= 1
    // The queue keeps its requests as long as one is at a device.
    let request = unsafe Unmanaged<Request>.fromOpaque(data)
    unsafe request._withUnsafeGuaranteedRef { unsafe body($0, Int(bitPattern: event.res)) }
  }
}
