import Ext2Format

/// The superblock of an image.
enum Superblocks {
  static func decoded(_ image: [UInt8]) throws -> Superblock {
    try unsafe Superblock(decoding: image.span.bytes, at: 1024)
  }

  /// Whether the volume was unmounted cleanly; nil when there is no superblock.
  static func isClean(_ image: [UInt8]) -> Bool? { (try? decoded(image))?.state.contains(.valid) }
}
