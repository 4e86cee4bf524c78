/// A double-ended list of small values with a fixed capacity: tags, indices of places, what is plugged.
///
/// A queue keeps its lists in these and not in arrays because a request passes four of them: here that costs a few
/// nanoseconds, and nothing is ever allocated.
@safe final class FixedRing<Element: BitwiseCopyable> {
  private let slots: UnsafeMutablePointer<Element>
  private let mask: Int
  private var start = 0
  /// How many values it holds.
  private(set) var count = 0

  /// An empty ring for at least that many; `filler` is what unused memory holds.
  init(capacity: Int, filler: Element) {
    var size = 1
    while size < capacity { size *= 2 }
    mask = size - 1
    unsafe slots = .allocate(capacity: size)
    unsafe slots.initialize(repeating: filler, count: size)
  }
  deinit { unsafe slots.deallocate() }

  /// The value at a position counted from the first.
  subscript(index: Int) -> Element {
    precondition(index >= 0 && index < count)
    return unsafe slots[(start + index) & mask]
  }
  /// The first value.
  var first: Element { self[0] }

  /// Adds a value at the end.
  func append(_ element: Element) {
    precondition(count <= mask, "a full ring")
    unsafe slots[(start + count) & mask] = element
    count += 1
  }

  /// Adds a value before the one at `index`, which and whose successors move.
  func insert(_ element: Element, at index: Int) {
    precondition(index >= 0 && index <= count)
    append(element)
    var position = count - 1
    while position > index {
      unsafe slots[(start + position) & mask] = unsafe slots[(start + position - 1) & mask]
      position -= 1
    }
    unsafe slots[(start + index) & mask] = element
  }

  /// Takes the first value away.
  func removeFirst() {
    precondition(count > 0, "an empty ring")
    start = (start + 1) & mask
    count -= 1
  }

  /// Takes the last value out.
  func removeLast() -> Element {
    precondition(count > 0, "an empty ring")
    count -= 1
    return unsafe slots[(start + count) & mask]
  }
}
