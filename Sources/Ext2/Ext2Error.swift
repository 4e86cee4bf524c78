public import BlockDevice
package import Ext2Format
internal import PageCache
public import SystemPackage

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
  /// The object is a directory (EISDIR).
  case isADirectory(String)
  /// The object is neither a regular file nor a directory (EINVAL).
  case notARegularFile(String)
  /// The object is not a symbolic link (EINVAL).
  case notASymbolicLink(String)
  /// A name that is "." or has a NUL in it (EINVAL).
  case invalidName(String)
  /// A name of more than 255 bytes, or a target of a symbolic link that fills a block (ENAMETOOLONG).
  case nameTooLong(String)
  /// The directory has entries (ENOTEMPTY).
  case notEmpty(String)
  /// A directory cannot become its own descendant (EINVAL).
  case intoItself(String)
  /// The root, or "." or "..", cannot be moved or removed (EBUSY).
  case busy(String)
  /// The inode has as many names as it can have, or the directory as many directories (EMLINK).
  case tooManyLinks(String)
  /// More symbolic links than one path may lead through (ELOOP).
  case tooManySymbolicLinks(String)
  /// The object's type or flags forbid it: directories have one name, an immutable file does not change (EPERM).
  case notPermitted(String)
  /// ext2 has no such operation (EOPNOTSUPP).
  case notSupported(String)
  /// No data, or no hole, from there on (ENXIO).
  case noSuchOffset(UInt64)
  /// An argument that cannot be (EINVAL).
  case invalidArgument(String)
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

extension Ext2Error {
  /// The number that a kernel would return.
  public var errno: Errno {
    switch self {
    case .corrupt: Errno(rawValue: 117)  // EUCLEAN
    case .device, .stuck, .dropped: .ioError
    case .noSpace: .noSpace
    case .notFound: .noSuchFileOrDirectory
    case .exists: .fileExists
    case .notADirectory: .notDirectory
    case .isADirectory: .isDirectory
    case .notARegularFile, .notASymbolicLink, .invalidName, .intoItself, .invalidArgument, .badOption: .invalidArgument
    case .nameTooLong: .fileNameTooLong
    case .notEmpty: .directoryNotEmpty
    case .busy: .resourceBusy
    case .tooManyLinks: .tooManyLinks
    case .tooManySymbolicLinks: .tooManySymbolicLinkLevels
    case .notPermitted: .notPermitted
    case .noAttribute: .noData
    case .attributeOutOfRange: .outOfRange
    case .invalidAttribute: .invalidArgument
    case .unsupportedAttribute: .notSupported
    case .notADirectoryForDefaultACL: .permissionDenied
    case .notSupported: .notSupported
    case .noSuchOffset: Errno(rawValue: 6)  // ENXIO
    case .fileTooLarge: .fileTooLarge
    case .readOnly: .readOnlyFileSystem
    case .closed: .badFileDescriptor
    case .cancelled: .interrupted
    }
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
    case .notFound(let name): "\(name): no such file or directory"
    case .exists(let name): "\(name): file exists"
    case .notADirectory(let name): "\(name): not a directory"
    case .isADirectory(let name): "\(name): is a directory"
    case .notARegularFile(let name): "\(name): not a regular file"
    case .notASymbolicLink(let name): "\(name): not a symbolic link"
    case .invalidName(let name): "'\(name)': not a name"
    case .nameTooLong(let name): "\(name.prefix(60)): file name too long"
    case .notEmpty(let name): "\(name): directory not empty"
    case .intoItself(let name): "\(name): cannot move a directory into itself"
    case .busy(let name): "\(name): device or resource busy"
    case .tooManyLinks(let name): "\(name): too many links"
    case .tooManySymbolicLinks(let name): "\(name): too many levels of symbolic links"
    case .notPermitted(let name): "\(name): operation not permitted"
    case .notSupported(let what): "\(what): operation not supported"
    case .noSuchOffset(let offset): "byte \(offset): no such data or hole"
    case .invalidArgument(let what): "\(what): invalid argument"
    case .fileTooLarge(let byteCount, let limit): "\(byteCount) bytes: larger than the \(limit) a file may have"
    case .readOnly: "the volume is read-only"
    case .closed: "closed"
    case .cancelled: "cancelled"
    case .badOption(let reason): reason
    case .noAttribute(let name): "\(name): no such attribute"
    case .attributeOutOfRange(let reason), .invalidAttribute(let reason): reason
    case .unsupportedAttribute(let name): "\(name): not supported"
    case .notADirectoryForDefaultACL: "only directories have a default ACL"
    }
  }
}
