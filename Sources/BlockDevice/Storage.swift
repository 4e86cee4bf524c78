internal import Glibc

/// The medium of devices that keep their bytes in memory. Its pages are the system's lazily zeroed ones, so that a large,
/// sparsely written device costs what is written.
@safe final class Storage {
  private let base: UnsafeMutableRawPointer
  let byteCount: Int

  init(byteCount: Int) {
    self.byteCount = byteCount
    guard let memory = unsafe calloc(max(byteCount, 1), 1) else {
      preconditionFailure("no memory for a device of \(byteCount) bytes")
    }
    unsafe base = memory
  }
  deinit { unsafe free(base) }

  func bytes(in range: Range<Int>) -> [UInt8] {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
    return unsafe [UInt8](UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count))
  }

  func store(_ bytes: [UInt8], at offset: Int) {
    precondition(offset >= 0 && offset + bytes.count <= byteCount)
    unsafe bytes.withUnsafeBytes { source in
      guard let start = source.baseAddress else { return }
      unsafe (base + offset).copyMemory(from: start, byteCount: source.count)
    }
  }

  /// Does what a request asks for, at its remaining range.
  func transfer(_ request: Request) {
    var offset = Int(request.remainingOffset)
    precondition(offset + request.remainingByteCount <= byteCount)
    switch request.operation {
    case .flush: break
    case .discard, .writeZeroes:
      unsafe (base + offset).initializeMemory(as: UInt8.self, repeating: 0, count: request.remainingByteCount)
    case .read, .write:
      for index in 0..<request.segmentCount {
        let segment = unsafe request.segment(index)
        if request.operation == .read {
          unsafe segment.base.copyMemory(from: base + offset, byteCount: segment.byteCount)
        } else {
          unsafe (base + offset).copyMemory(from: segment.base, byteCount: segment.byteCount)
        }
        unsafe offset += segment.byteCount
      }
    }
  }
}
