public import SystemPackage

/// A path on a volume, from its root: names of 1 to 255 bytes, any but '/' and NUL, with slashes between them.
///
/// A `String`, an array of bytes (names need not be UTF-8) and a `FilePath` are paths.
public protocol VolumePath: Sendable {
  /// Its bytes.
  var volumePathBytes: [UInt8] { get }
}

extension String: VolumePath {
  public var volumePathBytes: [UInt8] { Array(utf8) }
}
extension [UInt8]: VolumePath {
  public var volumePathBytes: [UInt8] { self }
}
extension FilePath: VolumePath {
  public var volumePathBytes: [UInt8] {
    unsafe withPlatformString { text in
      var bytes: [UInt8] = []
      while unsafe text[bytes.count] != 0 { bytes.append(UInt8(bitPattern: unsafe text[bytes.count])) }
      return bytes
    }
  }
}

/// The names of a path, and its text for messages.
struct PathNames {
  /// From first to last; empty for the root.
  var names: [[UInt8]]
  /// It ends with a slash: it can only be a directory.
  var mustBeDirectory: Bool
  let text: String

  init(_ bytes: [UInt8]) throws(Ext2Error) {
    text = String(decoding: bytes, as: UTF8.self)
    names = bytes.split(separator: UInt8(ascii: "/")).map(Array.init)
    mustBeDirectory = bytes.last == UInt8(ascii: "/")
    // As fs/namei.c, getname_flags. The length of a name is checked where it is looked up (fs/ext2/namei.c, ext2_lookup).
    guard !bytes.isEmpty else { throw .notFound(text) }
    guard !bytes.contains(0) else { throw .invalidName(text) }
  }
}
