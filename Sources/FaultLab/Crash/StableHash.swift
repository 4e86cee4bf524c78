/// A hash that is the same in every process, of what is given to it in its order.
struct StableHash {
  private(set) var value: UInt64
  init(_ seed: UInt64 = 0xCBF2_9CE4_8422_2325) { value = seed }

  /// Of an image.
  init(image: [UInt8]) {
    self.init()
    add(image)
  }

  mutating func add(_ number: some BinaryInteger) {
    let product = (value ^ UInt64(truncatingIfNeeded: number)).multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
    value = product.high ^ product.low &+ 0x9E37_79B9_7F4A_7C15
  }

  mutating func add(_ bytes: [UInt8]) {
    add(bytes.count)
    add(bytes[...])
  }

  /// Of a part of some bytes, without how many there are.
  mutating func add(_ bytes: ArraySlice<UInt8>) {
    let raw = unsafe bytes.span.bytes
    var offset = 0
    while offset + 8 <= raw.byteCount {
      add(unsafe raw.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self).littleEndian)
      offset += 8
    }
    while offset < raw.byteCount {
      add(unsafe raw.unsafeLoad(fromByteOffset: offset, as: UInt8.self))
      offset += 1
    }
  }
}
