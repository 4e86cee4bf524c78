internal import BlockDevice
internal import Reactor

/// The memory of one operation in flight of a job on devices, and its way there and back.
///
/// An operation that is larger than a request of the device becomes several requests, at the device at once, as the
/// kernel splits a large transfer for fio. It ends with the last of them, or when one is past its deadline.
final class JobBuffer {
  private let pieces: [Buffer]
  private let done: WaitQueue
  private var outstandingCount = 0
  private var isOverdue = false
  private var error: DeviceError?

  /// Memory for `byteCount` bytes, in pieces of at most `largestPiece`.
  init(byteCount: Int, largestPiece: Int, _ reactor: Reactor) {
    pieces = stride(from: 0, to: byteCount, by: largestPiece).map { start in
      Buffer(byteCount: min(largestPiece, byteCount - start))
    }
    done = WaitQueue(reactor, "the requests of one operation")
  }

  /// Fills the memory with what `random` draws.
  func fill(_ random: inout SeededGenerator) {
    for piece in pieces {
      piece.withMutableBytes { bytes in
        for start in stride(from: 0, to: bytes.byteCount - 7, by: 8) {
          bytes.storeBytes(of: random.next(), toByteOffset: start, as: UInt64.self)
        }
      }
    }
  }

  /// Reads from `offset` or writes there, in bytes. After a timeout the device may still use the memory: no more calls.
  func transfer(_ operation: Operation, at offset: UInt64, on queue: RequestQueue) async throws(DeviceError) {
    if pieces.count == 1 {
      if operation == .write {
        try await queue.write(pieces[0], at: offset)
      } else {
        try await queue.read(pieces[0], at: offset)
      }
      return
    }
    error = nil
    var position = offset
    for piece in pieces where !isOverdue {
      let request: Request
      do { request = try await queue.admit() } catch let refusal {
        // What is at the device already still uses the memory.
        error = error ?? refusal
        break
      }
      request.prepare(operation, at: position)
      request.context = piece
      _ = unsafe request.append(piece.segment)
      outstandingCount += 1
      queue.submit(request, handler: self)
      position += UInt64(piece.byteCount)
    }
    while outstandingCount > 0 && !isOverdue { await done.wait() }
    if let error { throw error }
  }
}

extension JobBuffer: RequestHandler {
  func requestCompleted(_ request: Request) {
    outstandingCount -= 1
    error = error ?? request.error
    if outstandingCount == 0 { done.wakeAll() }
  }
  func requestTimedOut(_ request: Request) {
    isOverdue = true
    error = error ?? .timedOut(request.operation, offset: request.offset)
    done.wakeAll()
  }
}
