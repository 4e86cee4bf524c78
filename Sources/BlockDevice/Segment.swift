/// One contiguous piece of memory of a request, laid out as `struct iovec`.
@unsafe public struct Segment {
  /// The first byte.
  public var base: UnsafeMutableRawPointer
  /// Bytes from there on.
  public var byteCount: Int

  /// A piece of memory. It has to stay where it is until the request completes.
  public init(base: UnsafeMutableRawPointer, byteCount: Int) {
    unsafe self.base = unsafe base
    unsafe self.byteCount = byteCount
  }
}
