internal import CLinux
internal import Ext2Format
internal import Reactor

/// Which file of this machine: its device and its inode there.
package struct HostIdentity: Hashable, Sendable {
  /// The device that holds it.
  package let device: UInt64
  /// Its inode on that device.
  package let inode: UInt64

  package init(device: UInt64, inode: UInt64) {
    self.device = device
    self.inode = inode
  }

  /// The file that a path leads to, symbolic links followed; nil when there is none.
  package init?(ofPath path: [UInt8]) {
    var info = cl_file_info()
    guard unsafe cl_path_info(cString(path), &info) == 0 else { return nil }
    self.init(device: info.device, inode: info.inode)
  }
}

/// What is known of one file of this machine.
struct HostNode {
  let identity: HostIdentity
  let mode: UInt32
  let byteCount: UInt64
  /// Units of 512 bytes that its blocks take.
  let sectorCount: UInt64
  let user: UInt32
  let group: UInt32
  let linkCount: UInt32
  let deviceMajor: UInt32
  let deviceMinor: UInt32
  let accessTime: CalendarTime
  let modificationTime: CalendarTime

  init(_ node: cl_node) {
    identity = HostIdentity(device: node.device, inode: node.inode)
    mode = node.mode
    byteCount = node.byte_count
    sectorCount = node.sector_count
    user = node.user
    group = node.group
    linkCount = node.link_count
    deviceMajor = node.device_major
    deviceMinor = node.device_minor
    accessTime = CalendarTime(seconds: node.access_seconds, nanoseconds: node.access_nanoseconds)
    modificationTime = CalendarTime(seconds: node.modification_seconds, nanoseconds: node.modification_nanoseconds)
  }

  /// What it is; nil for what ext2 has no type for.
  var type: InodeType? { InodeType(rawValue: UInt16(mode >> 12 & 0xF)) }
  /// Set-id bits, sticky bit and permissions.
  var permissions: UInt16 { UInt16(mode & 0o7777) }
  /// Whether its blocks are too few for its size.
  var hasHoles: Bool { sectorCount < (byteCount + 511) / 512 }
}

extension HostIdentity {
  /// Whether a path of this machine leads to a directory.
  package static func isDirectory(_ path: [UInt8]) -> Bool {
    var info = cl_file_info()
    return unsafe cl_path_info(cString(path), &info) == 0 && info.is_directory
  }
}

/// Bytes as C takes a path: they come from the command line or a directory, so there is no NUL in them.
func cString(_ bytes: [UInt8]) -> [CChar] { bytes.map { CChar(bitPattern: $0) } + [0] }
