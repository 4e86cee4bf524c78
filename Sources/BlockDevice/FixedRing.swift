/// A double-ended list of small numbers with a fixed capacity: tags, and indices of places.
///
/// A queue keeps its lists in these and not in arrays because a request passes four of them: here that costs a few
/// nanoseconds, and nothing is ever allocated.
@safe final class FixedRing {
  private let slots: UnsafeMutablePointer<Int>
  private let mask: Int
  private var start = 0
  /// How many numbers it holds.
  private(set) var count = 0

  /// An empty ring for at least that many.
  init(capacity: Int) {
    var size = 1
    while size < capacity { size *= 2 }
    mask = size - 1
    unsafe slots = .allocate(capacity: size)
    unsafe slots.initialize(repeating: 0, count: size)
  }
  deinit { unsafe slots.deallocate() }

  /// The number at a position counted from the first.
  subscript(index: Int) -> Int {
    precondition(index >= 0 && index < count)
    return unsafe slots[(start + index) & mask]
  }
  /// The first number.
  var first: Int { self[0] }

  /// Adds a number at the end.
  func append(_ number: Int) {
    precondition(count <= mask, "a full ring")
    unsafe slots[(start + count) & mask] = number
    count += 1
  }

  /// Adds a number before the one at `index`, which and whose successors move.
  func insert(_ number: Int, at index: Int) {
    precondition(index >= 0 && index <= count)
    append(number)
    var position = count - 1
    while position > index {
      unsafe slots[(start + position) & mask] = unsafe slots[(start + position - 1) & mask]
      position -= 1
    }
    unsafe slots[(start + index) & mask] = number
  }

  /// Takes the first number away.
  func removeFirst() {
    precondition(count > 0, "an empty ring")
    start = (start + 1) & mask
    count -= 1
  }

  /// Takes the last number out.
  func removeLast() -> Int {
    precondition(count > 0, "an empty ring")
    count -= 1
    return unsafe slots[(start + count) & mask]
  }
}
