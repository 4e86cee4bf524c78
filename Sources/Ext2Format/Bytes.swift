// Little-endian integers in borrowed bytes: the one place of this module that touches memory without a type.
//
// Every access is bounds-checked by the span. The structures of this module check the length of what they are given
// once, so a failing bounds check is a mistake of the program and never a property of the disk.

extension RawSpan {
  /// The little-endian integer at a byte offset, which needs no alignment.
  @inlinable @inline(__always)
  package func integer<T: FixedWidthInteger & BitwiseCopyable>(at offset: Int, as type: T.Type = T.self) -> T {
    unsafe T(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: T.self))
  }

  /// A copy of `count` bytes from an offset.
  package func copy(at offset: Int, count: Int) -> [UInt8] {
    precondition(offset >= 0 && count >= 0 && offset <= byteCount - count, "bytes outside the span")
    return [UInt8](capacity: count) { output in
      for index in offset..<offset + count { output.append(integer(at: index)) }
    }
  }
}

extension MutableRawSpan {
  /// The little-endian integer at a byte offset, which needs no alignment.
  @inlinable @inline(__always)
  package func integer<T: FixedWidthInteger & BitwiseCopyable>(at offset: Int, as type: T.Type = T.self) -> T {
    bytes.integer(at: offset)
  }

  /// Stores an integer in little-endian order.
  @inlinable @inline(__always)
  package mutating func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
    storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
  }

  /// Sets `count` bytes from an offset to zero.
  package mutating func zero(at offset: Int, count: Int) {
    precondition(offset >= 0 && count >= 0 && offset <= byteCount - count, "bytes outside the span")
    var index = offset
    while index + 8 <= offset + count {
      store(UInt64(0), at: index)
      index += 8
    }
    while index < offset + count {
      store(UInt8(0), at: index)
      index += 1
    }
  }

  /// Stores bytes from an offset.
  package mutating func store(_ source: Span<UInt8>, at offset: Int) {
    for index in source.indices { store(source[index], at: offset + index) }
  }
}
