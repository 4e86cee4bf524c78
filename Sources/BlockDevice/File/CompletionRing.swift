internal import CLinux
internal import Synchronization

/// The ring of completions that the kernel maps into the process (`struct aio_ring` in fs/aio.c):
///
///     0  id        4  nr             8  head                  12  tail
///     16 magic     20 compat bits    24 incompatible bits     28  length of this header
///     32 struct io_event [nr]
///
/// The kernel writes events and then the tail; whoever reaps reads events and then moves the head.
@unsafe struct CompletionRing {
  private static let magic: UInt32 = 0xA10A_10A1
  private let base: UnsafeMutableRawPointer
  private let events: UnsafeMutablePointer<io_event>
  /// How many events the ring has room for.
  let count: UInt32

  /// The ring of a context; nil when it is not of the only kind this code knows, and io_getevents is to be used.
  init?(_ context: UnsafeMutableRawPointer) {
    let words = unsafe context.assumingMemoryBound(to: UInt32.self)
    guard unsafe words[4] == Self.magic, unsafe words[6] == 0, unsafe words[7] == 32, unsafe words[1] > 0 else {
      return nil
    }
    unsafe base = unsafe context
    unsafe count = unsafe words[1]
    unsafe events = unsafe (context + 32).assumingMemoryBound(to: io_event.self)
  }

  private func word(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt32>> {
    unsafe (base + 4 * index).assumingMemoryBound(to: Atomic<UInt32>.self)
  }
  /// Where the next event to reap lies. Only this process moves it. A head outside the ring counts as its start.
  var head: UInt32 {
    let head = unsafe word(2).pointee.load(ordering: .relaxed)
    return unsafe head < count ? head : 0
  }
  /// Where the kernel will put the next event.
  var tail: UInt32 {
    let tail = unsafe word(3).pointee.load(ordering: .acquiring)
    return unsafe tail < count ? tail : 0
  }
  /// Gives the events before `head` back to the kernel.
  func publish(head: UInt32) { unsafe word(2).pointee.store(head, ordering: .releasing) }
  /// An event between head and tail.
  func event(at index: UInt32) -> io_event { unsafe events[Int(index)] }
}
