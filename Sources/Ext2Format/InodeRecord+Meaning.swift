// What the fields of an inode mean together.

extension InodeRecord {
  /// Bytes a symbolic link's target may have to be kept in the inode instead of a block; the last is for a NUL.
  package static let fastSymlinkLimit = 60

  /// Whether the inode belongs to no file: never used, or freed (fs/ext2/inode.c, ext2_iget).
  package var isUnused: Bool { linkCount == 0 && (mode.rawValue == 0 || deletionTime != 0) }

  /// Whether the target of this symbolic link lies in the inode: it owns no block but perhaps one of attributes
  /// (fs/ext2/inode.c, ext2_inode_is_fast_symlink).
  package func isFastSymlink(blockSize: Int) -> Bool {
    guard mode.type == .symbolicLink else { return false }
    return sectorCount == (attributeBlock == .none ? 0 : UInt32(blockSize / 512))
  }

  /// Whether `block` holds pointers: not in device files, pipes, sockets and fast symbolic links.
  package func hasBlockPointers(blockSize: Int) -> Bool {
    switch mode.type {
    case .regular, .directory: true
    case .symbolicLink: !isFastSymlink(blockSize: blockSize)
    default: false
    }
  }

  /// The target of a fast symbolic link, which must be one. Its size was checked by `validate`.
  package var fastSymlinkTarget: [UInt8] {
    (0..<min(Int(clamping: size), Self.fastSymlinkLimit)).map { index in
      UInt8(truncatingIfNeeded: block[index / 4] >> (8 * UInt32(index % 4)))
    }
  }

  /// Puts a target of 1 to 59 bytes into the inode and sets the size.
  package mutating func setFastSymlinkTarget(_ target: [UInt8]) {
    precondition(!target.isEmpty && target.count < Self.fastSymlinkLimit, "a target that needs a block")
    block = .init(repeating: 0)
    for (index, byte) in target.enumerated() { block[index / 4] |= UInt32(byte) << (8 * UInt32(index % 4)) }
    size = UInt64(target.count)
  }

  /// Checks an inode that is in use: its type, its size against what its blocks can map, and what it needs that ext2
  /// does not have. Pointers are checked where they are used, with `MetadataMap.checkPointer`.
  package func validate(_ inode: InodeNumber, layout: VolumeLayout) throws(FormatError) {
    func check(_ condition: Bool, _ field: String, _ value: UInt64, _ why: String) throws(FormatError) {
      guard condition else { throw .invalid(.inode, at: .inode(inode), field: field, value: value, why: why) }
    }
    guard let type = mode.type else {
      throw .invalid(
        .inode, at: .inode(inode), field: "i_mode", value: UInt64(mode.rawValue), why: "not a type of file")
    }
    try check(
      flags.isDisjoint(with: [.extents, .inlineData]), "i_flags", UInt64(flags.rawValue),
      "extents or inline data, which ext2 does not have")
    try check(
      attributeBlock == .none || layout.contains(attributeBlock), "i_file_acl", UInt64(attributeBlock.rawValue),
      "points out of the volume")
    let blockSize = UInt64(layout.blockSize)
    switch type {
    case .regular:
      try check(
        size <= BlockPath.treeByteLimit(blockSizeLog2: layout.blockSizeLog2), "i_size", size,
        "more than the pointers of an inode can map")
    case .directory:
      try check(
        size % blockSize == 0 && size <= BlockPath.treeByteLimit(blockSizeLog2: layout.blockSizeLog2), "i_size", size,
        "not a whole number of blocks, or more than can be mapped")
    case .symbolicLink:
      let limit = isFastSymlink(blockSize: layout.blockSize) ? UInt64(Self.fastSymlinkLimit) : blockSize
      try check(size >= 1 && size < limit, "i_size", size, "no target, or one that does not fit")
    default:
      break
    }
  }
}
