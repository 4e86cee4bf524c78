public import BlockDevice
package import Ext2Format
internal import PageCache

/// Something on the disk that contradicts the format or the rest of the volume: which structure, where, which field.
public struct Corruption: Error, Sendable, CustomStringConvertible {
  package let error: FormatError
  package init(_ error: FormatError) { self.error = error }
  public var description: String { error.description }
}

/// What an unmount after errors=remount-ro did not write.
public struct DroppedChanges: Error, Sendable, CustomStringConvertible {
  /// Dirty metadata blocks, by number, in ascending order.
  public let metadataBlocks: [UInt64]
  /// Inodes with dirty pages, in ascending order, and how many each.
  public let pages: [(inode: UInt32, count: Int)]
  /// What made the volume read-only.
  public let corruption: Corruption
  public var description: String {
    var parts: [String] = []
    if !metadataBlocks.isEmpty {
      parts.append(
        "\(metadataBlocks.count) metadata blocks (\(metadataBlocks.map(String.init).joined(separator: ", ")))")
    }
    parts += pages.map { "\($0.count) pages of inode \($0.inode)" }
    return "\(corruption); dropped: \(parts.joined(separator: ", "))"
  }
}

/// Why an operation on a volume did not succeed. The errno a kernel would return is in the comment.
public enum Ext2Error: Error, Sendable {
  /// The volume is corrupt, or is not ext2 (EUCLEAN, EINVAL).
  case corrupt(Corruption)
  /// The device failed (EIO).
  case device(DeviceError)
  /// Everything that may be dirty is what cannot be written (EIO).
  case stuck(owner: UInt64, page: UInt64)
  /// After corruption metadata is not written any more: what unmount dropped (EIO).
  case dropped(DroppedChanges)
  /// No block or no inode is free (ENOSPC).
  case noSpace
  /// No such name (ENOENT).
  case notFound(String)
  /// The name exists (EEXIST).
  case exists(String)
  /// A component of the path, or the object, is not a directory (ENOTDIR).
  case notADirectory(String)
  /// The object is not a regular file (EISDIR, EINVAL).
  case notARegularFile(String)
  /// A name that is empty, too long, or has a slash or a NUL in it (EINVAL, ENAMETOOLONG).
  case invalidName(String)
  /// The file would become larger than its block tree maps (EFBIG).
  case fileTooLarge(byteCount: UInt64, limit: UInt64)
  /// The volume is mounted for reading, or became so after an error (EROFS).
  case readOnly
  /// The volume is not mounted any more, or the file is closed (EBADF).
  case closed
  /// The task was cancelled before anything changed (EINTR).
  case cancelled
  /// The mount's options contradict each other or the volume (EINVAL).
  case badOption(String)
  /// No such attribute (ENODATA).
  case noAttribute(String)
  /// A name of an attribute that is empty or too long, or a value larger than a block (ERANGE).
  case attributeOutOfRange(String)
  /// A name of an attribute, or an ACL, that is malformed (EINVAL).
  case invalidAttribute(String)
  /// No attribute has such a name here, or the object takes none (EOPNOTSUPP).
  case unsupportedAttribute(String)
  /// The object's type or flags forbid it (EPERM).
  case notPermitted(String)
  /// Only directories have a default ACL (EACCES).
  case notADirectoryForDefaultACL
}

extension Ext2Error {
  init(_ error: PageCacheError) {
    switch error {
    case .device(let error): self = .device(error)
    case .mapping(let error as Ext2Error): self = error
    case .mapping: self = .closed
    case .unmapped(let owner, let page):
      self = .corrupt(
        Corruption(
          .invalid(
            .inode, at: .inode(InodeNumber(rawValue: UInt32(truncatingIfNeeded: owner))), field: "block of dirty page",
            value: page.rawValue, why: "is a hole")))
    case .stuck(let owner, let page): self = .stuck(owner: owner, page: page.rawValue)
    }
  }
  init(_ error: FormatError) { self = .corrupt(Corruption(error)) }

  /// The same error for the page cache.
  var forPageCache: PageCacheError {
    if case .device(let error) = self { .device(error) } else { .mapping(self) }
  }
}

extension Ext2Error: CustomStringConvertible {
  public var description: String {
    switch self {
    case .corrupt(let corruption): "\(corruption)"
    case .device(let error): "\(error)"
    case .stuck(let owner, let page):
      "no dirty page can be written any more; the first that failed is page \(page) of inode \(owner)"
    case .dropped(let changes): "\(changes)"
    case .noSpace: "no space left on the volume"
    case .notFound(let name): "\(name): no such file"
    case .exists(let name): "\(name): exists already"
    case .notADirectory(let name): "\(name): not a directory"
    case .notARegularFile(let name): "\(name): not a regular file"
    case .invalidName(let name): "'\(name)': not a name"
    case .fileTooLarge(let byteCount, let limit): "\(byteCount) bytes: larger than the \(limit) a file may have"
    case .readOnly: "the volume is read-only"
    case .closed: "closed"
    case .cancelled: "cancelled"
    case .badOption(let reason): reason
    case .noAttribute(let name): "\(name): no such attribute"
    case .attributeOutOfRange(let reason), .invalidAttribute(let reason): reason
    case .unsupportedAttribute(let name): "\(name): not supported"
    case .notPermitted(let what): "\(what): not permitted"
    case .notADirectoryForDefaultACL: "only directories have a default ACL"
    }
  }
}
