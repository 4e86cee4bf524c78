import Ext2Tools
import Support

/// What the bytes of an input mean: an image, and how it is used.
///
///     offset size field
///          0    1 0xFF: the image follows at byte 8, as it is; anything else: changes to a base image do
///          1    2 seed of what is done with it
///          3    1 options of the mount (`ImageUse`)
///          4    4 the base image, by the hash of its name
///          8   13 a change: offset (4 bytes), width less one and, from bit 3 on, log2 of how often the value follows
///                 itself (1 byte), value (8 bytes); and so on
///
/// Base images are known by hash, so that an input means the same when images are added.
struct FuzzInput {
  /// Some bytes at one place, once or again and again: a pointer block full of one pointer is one change.
  struct Change {
    var mutation: Mutation
    var repeatLog2 = 0
  }

  static let headerByteCount = 8
  static let changeByteCount = 13
  static let repeatLog2Limit = 14
  /// Images that are the input itself are cut here.
  static let imageByteLimit = 1 << 20

  var isImage = false
  var seed: UInt16 = 0
  var options: UInt8 = 0
  var base: UInt32 = 0
  var changes: [Change] = []
  /// The image of the input itself.
  private(set) var ownImage: [UInt8] = []

  init() {}

  /// Any bytes mean something.
  init(_ bytes: [UInt8]) {
    func number(_ offset: Int, _ count: Int) -> UInt64 {
      (0..<count).reduce(0) { sum, index in
        offset + index < bytes.count ? sum | UInt64(bytes[offset + index]) << UInt64(8 * index) : sum
      }
    }
    isImage = number(0, 1) == 0xFF
    seed = UInt16(number(1, 2))
    options = UInt8(number(3, 1))
    base = UInt32(number(4, 4))
    if isImage {
      let image = bytes.dropFirst(Self.headerByteCount).prefix(Self.imageByteLimit)
      ownImage = image + [UInt8](repeating: 0, count: (512 - image.count % 512) % 512)
      return
    }
    var offset = Self.headerByteCount
    while offset + Self.changeByteCount <= bytes.count {
      let shape = Int(bytes[offset + 4])
      let mutation = Mutation(
        offset: Int(number(offset, 4)), width: 1 + shape & 7, value: number(offset + 5, 8), what: "")
      changes.append(Change(mutation: mutation, repeatLog2: min(shape >> 3, Self.repeatLog2Limit)))
      offset += Self.changeByteCount
    }
  }

  /// The bytes that mean this; not for an image.
  var bytes: [UInt8] {
    var bytes: [UInt8] = [0]
    func add(_ value: some FixedWidthInteger, _ count: Int) {
      for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * index))) }
    }
    add(seed, 2)
    add(options, 1)
    add(base, 4)
    for change in changes {
      add(change.mutation.offset, 4)
      add(change.mutation.width - 1 | change.repeatLog2 << 3, 1)
      add(change.mutation.value, 8)
    }
    return bytes
  }

  /// The image that it means; what lies beyond the end of a base image changes nothing.
  func image(_ bases: BaseImages) -> [UInt8] {
    if isImage { return ownImage }
    var image = bases.image(withHash: base).bytes
    for change in changes {
      let bytes = change.mutation.bytes
      let start = min(change.mutation.offset, image.count)
      let end = min(start + bytes.count << change.repeatLog2, image.count)
      for place in start..<end { image[place] = bytes[(place - start) % bytes.count] }
    }
    return image
  }
}
