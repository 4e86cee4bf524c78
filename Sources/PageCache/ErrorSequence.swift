/// Errors of writeback, so that every opener sees each one exactly once. The kernel's errseq_t does the same.
public struct ErrorSequence {
  /// What one opener has seen.
  public struct Cursor: Sendable {
    fileprivate var number: UInt64
  }

  private var number: UInt64 = 0
  private var latest: PageCacheError?
  private var isSeen = true

  /// No errors yet.
  public init() {}

  /// Whether the latest error was seen by nobody.
  public var hasUnseen: Bool { !isSeen }

  /// Every opener will see `error` once.
  public mutating func record(_ error: PageCacheError) {
    number += 1
    latest = error
    isSeen = false
  }

  /// Where a new opener begins: it sees the latest error too if nobody has.
  public func sample() -> Cursor { Cursor(number: isSeen ? number : number - 1) }

  /// The latest error if there was one since the cursor last saw any.
  public mutating func check(_ cursor: inout Cursor) -> PageCacheError? {
    guard cursor.number != number else { return nil }
    cursor.number = number
    isSeen = true
    return latest
  }
}
