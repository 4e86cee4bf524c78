// The sentences for people, all in one place.

extension CheckFinding: CustomStringConvertible {
  public var description: String {
    var text = subject
    if !text.isEmpty { text += ": " }
    return text + statement
  }

  /// What it is about: "Inode 12", "Directory 2, block 0 (37), byte 24", "Group 3".
  private var subject: String {
    switch kind {
    case .superblockReplaced, .descriptorsReplaced, .superblockValue, .volumeExceedsDevice, .freeBlocks, .freeInodes,
      .largeFileFeature, .orphanList:
      return "Superblock"
    case .attributeReferences: return "Attribute block \(number(block))"
    case .blockMarkedUsed, .blockMarkedFree: return "Block bitmap of group \(number(group))"
    case .inodeMarkedUsed, .inodeMarkedFree: return "Inode bitmap of group \(number(group))"
    case .metadataMisplaced, .metadataUnreadable, .groupFlags, .bitmapPadding, .groupFreeBlocks, .groupFreeInodes,
      .groupDirectories:
      return "Group \(number(group))"
    case .resizeInode, .journal:
      return inode.map { "Inode \($0)" } ?? "Superblock"
    default:
      break
    }
    var text = kind.pass == .directories && fileBlock != nil || kind == .duplicateName ? "Directory" : "Inode"
    text += " \(number(inode))"
    // Where that block is, the sentence says.
    if kind == .blockOutOfRange || kind == .fileTooBig || kind == .blockShared { return text }
    if let fileBlock, let block, fileBlock >= 0 { text += ", block \(fileBlock) (\(block))" }
    if let offset { text += ", byte \(offset)" }
    if let name { text += ", '\(Self.printable(name))'" }
    return text
  }

  private var statement: String {
    let value = found.map { "\($0)" } ?? "?"
    let right = expected.map { "\($0)" } ?? "?"
    let field = self.field ?? "a field"
    return switch kind {
    case .superblockReplaced: "the primary one cannot be used; the copy in block \(number(block)) was taken"
    case .descriptorsReplaced:
      "the group descriptors make no sense; those with the copy in block \(number(block)) were taken"
    case .superblockValue: "\(field) is \(value)" + (expected.map { ", should be \($0)" } ?? ", which cannot be")
    case .volumeExceedsDevice: "\(field) is \(value), and the device has \(right) blocks"
    case .metadataMisplaced:
      "\(field) is \(number(block)), outside the group or on other metadata; nothing more can be checked"
    case .metadataUnreadable: "the \(field) cannot be read"
    case .groupFlags: "\(field) is \(value) without the feature uninit_bg"
    case .resizeInode:
      self.field == "s_feature_compat"
        ? "resize_inode and meta_bg exclude each other"
        : "the blocks kept for more descriptors are not as they should be"
    case .journal:
      "the journal is not as it should be" + (self.field.map { ": \($0)" + (found == nil ? "" : " is \(value)") } ?? "")
    case .orphanList: "there is a list of orphans from inode \(number(inode)) on, which ext2 does not have"
    case .rootNotDirectory: "the root is not a directory (i_mode 0\(octal(found)))"
    case .rootDeletionTime, .deletionTime: "is in use, but has a deletion time (\(value))"
    case .reservedMode: "a reserved inode with the mode 0\(octal(found))"
    case .reservedInUse: "is not in use, but holds data"
    case .badBlocksInode: "the list of bad blocks has fields that it should not have"
    case .badBlockInMetadata: "bad block \(number(block)) is in use for the volume's metadata or for the list itself"
    case .orphanDeletionTime: "was part of a list of orphans (i_dtime \(value))"
    case .missingDeletionTime: "deleted, but without a deletion time"
    case .inodeFlag: "i_flags 0x\(hexadecimal(found)) hold a flag that the volume has no feature for"
    case .inodeField, .attributeBlockHigh: "\(field) is \(value), should be 0"
    case .inodeMode: "i_mode 0\(octal(found)) is not that of any type"
    case .extraSize: "i_extra_isize is \(value), which cannot be"
    case .deviceInode: "a device file, pipe or socket with flags or blocks of another type"
    case .specialSize: "a device file, pipe or socket with the size \(value), should be 0"
    case .specialFlags: "a special file or symbolic link that is immutable or append-only"
    case .symbolicLink: "the symbolic link's target is not as long as i_size (\(value)) says"
    case .blockOutOfRange: "block number \(number(block)) (\(place)) is outside the volume"
    case .fileTooBig: "block \(number(block)) (\(place)) makes the file too big"
    case .blockShared:
      "block \(number(block))\(fileBlock == nil ? " of attributes" : " (\(place))") is in use for something else as well"
    case .blockUnreadable: "block \(number(block)) cannot be read"
    case .inodeSize: "i_size is \(value), should be \(right)"
    case .inodeBlocks: "i_blocks is \(value), should be \(right)"
    case .emptyDirectory: "a directory without blocks"
    case .attributesInInode, .attributesOverlap: "the attributes in the inode are wrong: \(field) is \(value)"
    case .attributeBlock, .attributeHash: "attribute block \(number(block)) is wrong: \(field) is \(value)"
    case .attributeReferences: "\(field) is \(value), should be \(right)"
    case .attributeFeature:
      "attribute block \(number(block)) keeps a value in inode \(value), which is a feature of ext4"
    case .largeFileFeature: "there is a file of 2 GiB or more, but no feature large_file"
    case .directoryHole:
      "\(found == 1 ? "a block is" : "\(value) blocks are") missing from file block \(fileBlock ?? 0) on"
    case .directoryEntry: "the entry is corrupt (rec_len \(value))"
    case .dotMissing: "'.' or '..' is missing"
    case .dotWrong:
      self.field == "inode" ? "'.' names inode \(value), should be \(right)" : "should be '.' or '..'"
    case .dotLong: "the entry for '.' has room for another one (rec_len \(value))"
    case .entryInode: "names inode \(value), which no entry may name"
    case .entryUnusedInode: "names inode \(value), which is not in use"
    case .entryInUnusedPart: "names inode \(value), which its group says was never used"
    case .entryToItself: "names its own directory"
    case .entryToRoot: "names the root"
    case .entryToDirectory: "names directory \(number(otherInode)), which has another entry"
    case .entryDot: "a second '.' or '..'"
    case .entryNameEmpty: "an empty name"
    case .entryName: "a name with a '/' or a NUL"
    case .entryType: "file_type is \(value), should be \(right)"
    case .entryTypeMissing: "file_type is not set, should be \(right)"
    case .entryTypeUnexpected: "file_type is \(value), and the volume has no feature filetype"
    case .duplicateName: "the name occurs twice"
    case .indexFlag: "is marked as indexed, but is no directory, or the volume has no feature dir_index"
    case .indexRoot: "the root of the hash index is wrong" + (self.field.map { ": \($0)" } ?? "")
    case .indexNode: "a block of the hash index is wrong: \(field) is \(value)"
    case .indexTree: "the hash index does not fit block \(fileBlock ?? 0): \(field)"
    case .rootMissing: "the root is not in use"
    case .directoryUnconnected: "a directory that no entry names ('..' is inode \(number(otherInode)))"
    case .directoryLoop: "directories that hang in each other, and not on the root (in directory \(number(otherInode)))"
    case .dotDot: "'..' is inode \(value), should be \(right)"
    case .inodeUnattached: "is in use, but no entry names it"
    case .emptyInodeUnattached: "is in use and empty, but no entry names it"
    case .linkCount: "i_links_count is \(value), should be \(right)"
    case .blockMarkedUsed: "\(range) marked in use, but belong\(isSingle ? "s" : "") to nothing"
    case .blockMarkedFree: "\(range) in use, but marked free"
    case .inodeMarkedUsed: "inode \(number(inode)) is marked in use, but is not"
    case .inodeMarkedFree: "inode \(number(inode)) is in use, but marked free"
    case .bitmapPadding: "the padding at the end of the \(field) is not set"
    case .groupFreeBlocks, .groupFreeInodes, .groupDirectories: "\(field) is \(value), should be \(right)"
    case .freeBlocks, .freeInodes: "\(field) is \(value), should be \(right)"
    }
  }

  private var isSingle: Bool { block == lastBlock || lastBlock == nil }
  private var range: String {
    isSingle ? "block \(number(block)) is" : "blocks \(number(block)) to \(number(lastBlock)) are"
  }

  /// Where in a file a block is: "file block 12", "the indirect block".
  private var place: String {
    switch fileBlock {
    case -1: "an indirect block"
    case -2: "a double-indirect block"
    case -3: "the triple-indirect block"
    case .some(let position) where position >= 0: "file block \(position)"
    default: "a pointer"
    }
  }

  private func number(_ value: UInt32?) -> String { value.map { "\($0)" } ?? "?" }
  private func octal(_ value: UInt64?) -> String { String(value ?? 0, radix: 8) }
  private func hexadecimal(_ value: UInt64?) -> String { String(value ?? 0, radix: 16) }

  /// A name as a terminal may show it: control characters and what is not UTF-8 as octal numbers.
  public static func printable(_ name: [UInt8]) -> String {
    func octal(_ byte: UInt8) -> String {
      let digits = String(byte, radix: 8)
      return "\\" + String(repeating: "0", count: 3 - digits.count) + digits
    }
    if let text = String(validating: name, as: UTF8.self),
      text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control })
    {
      return text
    }
    return name.map { $0 >= 0x20 && $0 < 0x7F ? String(UnicodeScalar($0)) : octal($0) }.joined()
  }
}
