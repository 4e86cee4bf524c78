public import BlockDevice

/// Why a page could not be read or written.
public enum PageCacheError: Error, Sendable {
  /// The device failed.
  case device(DeviceError)
  /// The file system could not say where the page lives.
  case mapping(any Error)
  /// A dirty page has no block: the volume is corrupt, or a rule of the write path was broken.
  case unmapped(owner: UInt64, page: PageIndex)
  /// Every page that may be dirty is one whose write failed or hangs; nothing more can be written. What failed first.
  case stuck(owner: UInt64, page: PageIndex)
}

extension PageCacheError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .device(let error): "\(error)"
    case .mapping(let error): "\(error)"
    case .unmapped(let owner, let page): "inode \(owner): dirty page \(page.rawValue) has no block"
    case .stuck(let owner, let page):
      "no dirty page can be written any more; the first that failed is page \(page.rawValue) of inode \(owner)"
    }
  }
}
