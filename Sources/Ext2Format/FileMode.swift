/// What an inode is. Raw values are the upper four bits of `i_mode`.
public enum InodeType: UInt16, Sendable, CaseIterable {
  /// A named pipe.
  case fifo = 0x1
  /// A character device.
  case characterDevice = 0x2
  /// A directory.
  case directory = 0x4
  /// A block device.
  case blockDevice = 0x6
  /// A regular file.
  case regular = 0x8
  /// A symbolic link.
  case symbolicLink = 0xA
  /// A socket.
  case socket = 0xC

  /// The code of this type in a directory entry (`EXT2_FT_*`), used when the volume has the `filetype` feature.
  package var directoryCode: UInt8 {
    switch self {
    case .regular: 1
    case .directory: 2
    case .characterDevice: 3
    case .blockDevice: 4
    case .fifo: 5
    case .socket: 6
    case .symbolicLink: 7
    }
  }

  /// The type with a code of a directory entry; nil for 0 (not told) and for what is not a code.
  package init?(directoryCode: UInt8) {
    switch directoryCode {
    case 1: self = .regular
    case 2: self = .directory
    case 3: self = .characterDevice
    case 4: self = .blockDevice
    case 5: self = .fifo
    case 6: self = .socket
    case 7: self = .symbolicLink
    default: return nil
    }
  }
}

/// `i_mode`: the type of a file, set-id and sticky bits, and permissions.
package struct FileMode: RawRepresentable, Hashable, Sendable {
  /// The 16 bits as the disk stores them.
  package var rawValue: UInt16
  package init(rawValue: UInt16) { self.rawValue = rawValue }

  /// A mode from a type and the lower twelve bits.
  package init(_ type: InodeType, permissions: UInt16) {
    rawValue = type.rawValue << 12 | permissions & 0o7777
  }

  /// Bits of the permissions: set-user-id, set-group-id, and execution by the group.
  package static let setUserID: UInt16 = 0o4000
  package static let setGroupID: UInt16 = 0o2000
  package static let groupExecute: UInt16 = 0o010

  /// The type, or nil when the upper bits mean nothing.
  package var type: InodeType? { InodeType(rawValue: rawValue >> 12) }

  /// Set-user-id, set-group-id, sticky and the nine permission bits.
  package var permissions: UInt16 {
    get { rawValue & 0o7777 }
    set { rawValue = rawValue & 0xF000 | newValue & 0o7777 }
  }
}

/// The number of a device, for the inodes of device files.
public struct DeviceNumber: Hashable, Sendable {
  /// Which driver; 12 bits on the disk.
  public private(set) var major: UInt32
  /// Which device of the driver; 20 bits on the disk.
  public private(set) var minor: UInt32

  /// A number whose halves are cut to what the disk can hold.
  public init(major: UInt32, minor: UInt32) {
    self.major = major & 0xFFF
    self.minor = minor & 0xF_FFFF
  }

  /// Decodes `i_block`: the old form, eight bits each, in word 0; otherwise the new form in word 1
  /// (fs/ext2/inode.c, ext2_iget; include/linux/kdev_t.h).
  package init(decoding block: [15 of UInt32]) {
    if block[0] != 0 {
      self.init(major: block[0] >> 8 & 0xFF, minor: block[0] & 0xFF)
    } else {
      self.init(major: block[1] >> 8 & 0xFFF, minor: block[1] & 0xFF | block[1] >> 12 & 0xF_FF00)
    }
  }

  /// The `i_block` of a device file: the old form when it fits, because every kernel reads it.
  package var encoded: [15 of UInt32] {
    var block: [15 of UInt32] = .init(repeating: 0)
    if major < 256 && minor < 256 {
      block[0] = major << 8 | minor
    } else {
      block[1] = minor & 0xFF | major << 8 | (minor & ~0xFF) << 12
    }
    return block
  }
}
