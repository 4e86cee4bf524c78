/// What a device is made of and what one request may ask of it.
public struct Geometry: Equatable, Sendable {
  /// Bytes of the device's addressable unit, a power of two: offsets and lengths are multiples of it.
  public var logicalBlockSize: Int
  /// The device's size in bytes, a multiple of `logicalBlockSize`.
  public var byteCount: UInt64
  /// What every segment's address is a multiple of, in bytes.
  public var memoryAlignment: Int
  /// The most bytes of one request after merging, a multiple of `logicalBlockSize`.
  public var maximumTransfer: Int
  /// The most segments of one request, counted after neighbours in memory were joined.
  public var maximumSegments: Int
  /// Whether only reads are served.
  public var isReadOnly: Bool

  /// A geometry. The defaults are those of a virtio disk: 254 segments a request.
  public init(
    logicalBlockSize: Int = 512, byteCount: UInt64, memoryAlignment: Int = 512, maximumTransfer: Int = 1 << 20,
    maximumSegments: Int = 254, isReadOnly: Bool = false
  ) {
    self.logicalBlockSize = logicalBlockSize
    self.byteCount = byteCount
    self.memoryAlignment = memoryAlignment
    self.maximumTransfer = maximumTransfer
    self.maximumSegments = maximumSegments
    self.isReadOnly = isReadOnly
  }
}
