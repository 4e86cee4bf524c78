/// What is wrong with bytes that should be an ext2 structure.
///
/// Carries numbers; the sentence for people is `description`. Corruption is an operating error: it is thrown, never a
/// trap, and always names the structure, where it lies, the field and its value.
package enum FormatError: Error, Equatable, Sendable {
  /// The magic number at byte 1080 of the device is not 0xEF53.
  case notExt2(magic: UInt16)
  /// The volume needs features that cannot be mounted here.
  case unsupportedIncompatible(IncompatibleFeatures)
  /// Fewer bytes than the structure has.
  case truncated(Structure, neededBytes: Int, availableBytes: Int)
  /// A field that contradicts the format, or the rest of the volume. `value` is what the disk holds.
  case invalid(Structure, at: Location, field: String, value: UInt64, why: String)

  /// The kinds of structure this module decodes.
  package enum Structure: String, Sendable {
    case superblock
    case groupDescriptor = "group descriptor"
    case inode
    case directoryBlock = "directory block"
    case bitmap
    case pointer = "block pointer"
    case attributes = "extended attributes"
    case accessControlList = "access control list"
  }

  /// Where on the volume the structure lies.
  package enum Location: Equatable, Sendable {
    /// A byte of the structure itself, whose place is not known.
    case byte(Int)
    /// A whole block.
    case block(BlockNumber)
    /// A byte of a block.
    case blockByte(BlockNumber, offset: Int)
    /// The descriptor or a bitmap of a block group.
    case group(GroupNumber)
    /// An inode.
    case inode(InodeNumber)
  }
}

extension FormatError.Location: CustomStringConvertible {
  package var description: String {
    switch self {
    case .byte(let offset): "byte \(offset)"
    case .block(let block): "block \(block)"
    case .blockByte(let block, let offset): "block \(block) byte \(offset)"
    case .group(let group): "group \(group)"
    case .inode(let inode): "inode \(inode)"
    }
  }
}

extension FormatError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .notExt2(let magic):
      "not an ext2 volume: the magic number is 0x\(String(magic, radix: 16)), expected 0xef53"
    case .unsupportedIncompatible(let features):
      if features.contains(.needsRecovery) {
        "needs_recovery: the journal holds changes that were not replayed: run e2fsck"
          + (features == .needsRecovery ? "" : " (also not supported: \(features.subtracting(.needsRecovery)))")
      } else {
        "the volume uses features that are not supported: \(features)"
      }
    case .truncated(let structure, let needed, let available):
      "\(structure.rawValue): \(available) bytes, \(needed) needed"
    case .invalid(let structure, let location, let field, let value, let why):
      "\(structure.rawValue) at \(location): \(field) is \(value): \(why)"
    }
  }
}
