extension MutableRawSpan {
  /// Overwrites the beginning with all of `source`, which is not longer.
  mutating func copy(_ source: RawSpan) {
    precondition(source.byteCount <= byteCount, "a copy into too little memory")
    unsafe withUnsafeMutableBytes { target in
      unsafe source.withUnsafeBytes { unsafe target.copyMemory(from: $0) }
    }
  }

  /// Overwrites bytes from `offset` on with a part of an array.
  mutating func copy(_ source: [UInt8], _ range: Range<Int>, at offset: Int) {
    precondition(offset >= 0 && offset + range.count <= byteCount, "a copy into too little memory")
    unsafe withUnsafeMutableBytes { target in
      unsafe source[range].withUnsafeBytes { part in
        unsafe UnsafeMutableRawBufferPointer(rebasing: target[offset...]).copyMemory(from: part)
      }
    }
  }
}

extension [UInt8] {
  /// Appends a part of some bytes.
  mutating func append(_ source: RawSpan, _ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= source.byteCount, "bytes outside the span")
    unsafe source.withUnsafeBytes { unsafe append(contentsOf: $0[range]) }
  }
}
