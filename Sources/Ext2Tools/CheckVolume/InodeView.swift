internal import Ext2Format

/// The first 128 bytes of an inode, field by field. See `InodeRecord` for the layout.
struct InodeView {
  private let words: [32 of UInt32]
  /// Where it lies in the part of the table that is being read.
  let start: Int
  /// Its number.
  let number: UInt32

  init(_ table: RawSpan, at start: Int, number: UInt32) {
    words = .init { table.integer(at: start + 4 * $0) }
    self.start = start
    self.number = number
  }

  @inline(__always)
  func word(_ offset: Int) -> UInt32 { words[offset >> 2] }
  @inline(__always)
  func half(_ offset: Int) -> UInt16 { UInt16(truncatingIfNeeded: words[offset >> 2] >> UInt32(8 * (offset & 3))) }
  @inline(__always)
  func byte(_ offset: Int) -> UInt8 { UInt8(truncatingIfNeeded: words[offset >> 2] >> UInt32(8 * (offset & 3))) }

  var mode: UInt16 { half(0) }
  /// The upper four bits of the mode; a `InodeType` where it is right.
  var type: UInt16 { half(0) >> 12 }
  /// 64 bits whatever the type.
  var size: UInt64 { UInt64(word(4)) | UInt64(word(108)) << 32 }
  var sizeHigh: UInt32 { word(108) }
  var deletionTime: UInt32 { word(20) }
  var links: UInt16 { half(26) }
  var sectorCount: UInt32 { word(28) }
  var flags: InodeFlags { InodeFlags(rawValue: word(32)) }
  /// `h_i_translator` of the Hurd, a version elsewhere.
  var translator: UInt32 { word(36) }
  var attributeBlock: UInt32 { word(104) }
  var fragmentAddress: UInt32 { word(112) }
  /// The upper half of the count of sectors; fragments on the Hurd.
  var sectorCountHigh: UInt16 { half(116) }
  var attributeBlockHigh: UInt16 { half(118) }
  @inline(__always)
  func pointer(_ index: Int) -> UInt32 { word(40 + 4 * index) }

  /// Whether this is a symbolic link so short that its target lies where the pointers would (ext2fs_is_fast_symlink).
  var isFastSymbolicLink: Bool {
    type == InodeType.symbolicLink.rawValue && size > 0 && size < UInt64(InodeRecord.fastSymlinkLimit)
  }

  /// Whether the pointers are pointers (ext2fs_inode_has_valid_blocks2).
  var hasPointers: Bool {
    switch InodeType(rawValue: type) {
    case .regular, .directory: return !flags.contains(.inlineData)
    case .symbolicLink:
      if attributeBlock == 0 { return sectorCount != 0 }
      return word(4) >= 60 || (word(4) > 4 && pointer(1) == 0)
    default: return false
    }
  }
}
